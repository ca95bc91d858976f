package phase

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/helpers/internal/canary"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/deploy"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/policy"
	run "slipway.dev/slipway/helpers/internal/record"
	"slipway.dev/slipway/helpers/internal/registry"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// promote goes on only with what was approved: the canary still has its share and is up, stable is still what it was.
func promote(c *cli.Context) error {
	number, err := weight(c)
	if err == nil {
		err = needs(c, "image", "from")
	}
	if err != nil {
		return err
	}
	names, err := namesOf(c)
	if err != nil {
		return err
	}
	site, err := permitted(c, policy.Promotion)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	signed, err := signedApprovals(c, site)
	if err != nil {
		return err
	}
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	options, err := putting(c, names.Stable, "promotion")
	if err != nil {
		return err
	}
	if !c.Bool("first") {
		if err := canaryStands(c, cluster, names, number); err != nil {
			return slipway.Finish(c, nil, err)
		}
	}
	now, err := wouldChange(c, cluster)
	if err == nil {
		err = still(now, c.String("from"), c.Bool("first"))
	}
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	if c.Bool("first") {
		pods := int32(c.Int("replicas"))
		if pods < 1 {
			return slipway.Usagef("a first release needs --replicas of 1 or more")
		}
		options.Replicas = &pods
		options.Record["replicas"] = fmt.Sprint(pods)
	}
	outcome, err := deploy.Deploy(c.Context, cluster, options)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	err = wait(c.Context, c, cluster, names.Stable, rollout.Options{
		Criteria: rollout.Criteria{Image: digestOf(options.Image)}, Timeout: c.Duration("timeout"), MarkGood: true,
	})
	fields := slipway.Fields{"from": outcome.From, "to": outcome.To}
	if signed != nil {
		fields["signed"] = signed
	}
	writePage(c, err, func(r *run.Record) { r.Now = "production runs " + outcome.To })
	return slipway.Finish(c, said{"production runs " + outcome.To, fields}, err)
}

// signedApprovals are the run's approvals with a signature, for its record; nil without a key.
func signedApprovals(c *cli.Context, site *policy.Site) (*policy.Signed, error) {
	key, err := registry.PrivateKeyOf(c)
	if key == nil || err != nil {
		return nil, err
	}
	answers, err := policy.ReadAnswers(c.String("approvals"))
	if err != nil {
		return nil, err
	}
	signed, err := policy.Approved{Build: c.String("run"), Image: c.String("image"), Plan: c.String("plan"), Verdict: c.String("verdict"),
		Policy: site.Hash, Approvals: answers}.Sign(key)
	return &signed, err
}

// canaryStands says whether the canary has its share and is up: it may have died while the approval waited.
func canaryStands(c *cli.Context, cluster *kube.Cluster, names canary.Names, number int) error {
	opened, err := open(c, cluster)
	if err != nil {
		return err
	}
	if _, err := opened.Verify(c.Context, canary.VerifyOptions{Weight: number, Tolerance: c.Float64("tolerance")}); err != nil {
		return err
	}
	if err := extend(c, cluster, 0); err != nil {
		return err
	}
	return wait(c.Context, c, cluster, names.Canary, rollout.Options{
		Criteria: rollout.Criteria{Image: digestOf(c.String("image"))}, Timeout: time.Minute,
	})
}

// still says whether stable is what the approval named.
func still(now deploy.Outcome, from string, first bool) error {
	const next = "see who changed it, then run the pipeline again"
	if now.From != from {
		return slipway.Errorf(slipway.Conflict, "deployment/%s was changed while the approval waited: it has %s, and the approval named %s",
			now.Deployment, now.From, from).Next(next)
	}
	if first && !now.First {
		const changed = "deployment/%s was changed while the approval waited: it has run, and the approval named a first release"
		return slipway.Errorf(slipway.Conflict, changed, now.Deployment).Next(next)
	}
	return nil
}
