package phase

import (
	"context"
	"errors"
	"os"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/migrate"
	"slipway.dev/slipway/helpers/internal/policy"
)

func plan(c *cli.Context) error {
	if c.NArg() > 0 {
		return slipway.Usagef("phase plan does not know what to do with %q", c.Args().First())
	}
	site, err := policy.Of(c)
	if err != nil {
		return err
	}
	skipped, err := withoutDatabase(c.Context, repository{"."}, c.String("dir"), c.Bool("optional"))
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	if skipped != "" {
		fields := slipway.Fields{"skipped": skipped, "planId": "", "pending": 0, "current": "", "breaking": "", "plan": skipped,
			"approval": approvalOf(c, site, "", "")}
		return slipway.Finish(c, said{skipped, fields}, nil)
	}
	files, err := migrate.Load(c.String("dir"))
	if err != nil {
		return err
	}
	database, err := migrate.Connect(c.Context, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer database.Close()
	computed, err := database.Plan(c.Context, files, migrate.Allow{OutOfOrder: c.Bool("allow-out-of-order"), Gaps: c.Bool("allow-gaps")})
	if err != nil {
		return err
	}
	if name := c.String("markdown"); name != "" {
		if err := os.WriteFile(name, []byte(computed.Markdown()), 0o644); err != nil {
			return slipway.Usagef("the plan cannot be written to %s", name).Because(err)
		}
	}
	fields := slipway.Fields{"approval": approvalOf(c, site, computed.ID, "")}
	return slipway.Finish(c, and{computed, fields}, site.Refused(computed.Breaking(), computed.Privileged()))
}

// withoutDatabase says why there is no database to migrate; empty where there is one. A service
// that lost its migrations is refused, and so is a clone that cannot tell.
func withoutDatabase(ctx context.Context, clone repository, dir string, optional bool) (string, error) {
	if dir == "" {
		return "migrationsDir is '': no database migration", nil
	}
	if _, err := os.Stat(clone.dir + "/" + dir); !optional || !errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	last, err := clone.lastTouching(ctx, dir)
	if err != nil {
		return "", slipway.Errorf(slipway.Unknown, "git cannot say whether there ever was a folder %s", dir).Because(err).
			Next("run it inside a clone")
	}
	if last != "" {
		return "", slipway.Errorf(slipway.No, "the folder %s is gone, and %s was the last commit that had it", dir, last).
			Next("bring it back, or say migrationsDir: '' if the service has no database any more")
	}
	whole, err := clone.whole(ctx)
	if err != nil {
		return "", slipway.Errorf(slipway.Unknown, "git cannot say whether there ever was a folder %s", dir).Because(err).
			Next("run it inside a clone")
	}
	if !whole {
		return "", slipway.Errorf(slipway.Unknown, "this clone is shallow: whether there ever was a folder %s cannot be told", dir).
			Next("let the job clone the whole history, or say migrationsDir: '' if the service has no database")
	}
	if last, err = clone.lastTouching(ctx, dir); err == nil && last != "" { // it may just have been deepened
		return withoutDatabase(ctx, clone, dir, optional)
	}
	return "there is no folder " + dir + ": this service has no database to migrate", err
}
