package migratediff

import (
	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/helpers/internal/migrate"
	"slipway.dev/slipway/helpers/internal/policy"
)

// permitted refuses what a site's policy for production does not allow now. Elsewhere there is no policy, and nothing is asked.
func permitted(c *cli.Context, database *migrate.Database, files []migrate.Migration, options *migrate.Options) error {
	site, err := policy.Of(c)
	if err != nil || site.Hash == "" && c.String("approvals") == "" {
		return err
	}
	change, err := policy.Asked(c, policy.Migration, policy.Subject{Image: c.String("image"), Plan: options.PlanID})
	if err == nil {
		_, _, err = site.Permit(change)
	}
	if err != nil {
		return err
	}
	if site.Production.Breaking == policy.Refuse {
		options.AllowBreaking = false
	}
	if site.Production.PrivilegedSQL != policy.Refuse {
		return nil
	}
	plan, err := database.Plan(c.Context, files, options.Allow)
	if err != nil {
		return err
	}
	return site.Refused(nil, plan.Privileged())
}
