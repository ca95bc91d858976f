// Package policy is the command policy: it checks a site's policy for production, and explains what a promotion needs by it.
package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/policy"
	"slipway.dev/slipway/helpers/internal/registry"
)

// App is the command policy.
func App() *cli.App {
	return &cli.App{
		Name:                      "policy",
		Usage:                     "check the site's policy for production, and explain what a promotion needs by it",
		Description:               "A policy is one YAML file. Kubernetes holds it in the ConfigMap slipway-policy, which only administrators write.",
		DisableSliceFlagSeparator: true,
		Commands: []*cli.Command{
			{Name: "check", Usage: "name every mistake of a policy, with its line", ArgsUsage: "FILE", Action: check},
			{Name: "verify", Usage: "say whether the approvals of a production run's record were signed, and are those of what it promoted",
				ArgsUsage: "RECORD", Action: verify, Flags: []cli.Flag{registry.VerifyingKey}},
			{Name: "explain", Usage: "say who must approve a promotion now, who may not, and what else it needs", Action: explain, Flags: []cli.Flag{
				policy.Flag,
				&cli.TimestampFlag{Name: "time", Layout: time.RFC3339,
					Usage: "explain it for this `TIME` instead, such as 2026-12-24T10:00:00+01:00"},
				&cli.StringFlag{Name: "to", Usage: "the `COMMIT` that is to be promoted: its authors may have to stay out"},
				&cli.StringFlag{Name: "from", Usage: "the `COMMIT` that production runs; without it all of the history comes with --to"},
				&cli.StringFlag{Name: "git", Value: ".", Usage: "the `FOLDER` of the clone that has these commits"},
				&cli.StringSliceFlag{Name: "started-by", Usage: "the `USER` who starts the run; may be repeated"},
				&cli.StringFlag{Name: "approvers", Usage: "the call's own `USERS` and groups, separated by commas"},
				&cli.StringFlag{Name: "image", Usage: "the image of the release, `REPOSITORY:TAG@sha256:...`, for the hash that is approved"},
				&cli.IntFlag{Name: "weight", Value: 10, Usage: "the call's canaryWeight, in `PERCENT`"},
				&cli.DurationFlag{Name: "hold", Value: time.Minute, Usage: "the call's hold, without Prometheus"},
				&cli.DurationFlag{Name: "duration", Value: 5 * time.Minute, Usage: "the call's analysisDuration, with Prometheus"},
				&cli.IntFlag{Name: "min-requests", Value: 500, Usage: "the call's analysisMinRequests, with Prometheus"},
				&cli.StringFlag{Name: "prometheus", EnvVars: []string{"PROMETHEUS_URL"}, Usage: "its `URL`, where the analysis asks it"},
			}},
		},
	}
}

// checked is what check answers.
type checked struct {
	File     string           `json:"file"`
	Hash     string           `json:"hash,omitempty"`
	Mistakes []policy.Mistake `json:"mistakes"`
	Warnings []string         `json:"warnings"`
}

func (c checked) Text(out io.Writer) error {
	var text strings.Builder
	for _, mistake := range c.Mistakes {
		fmt.Fprintf(&text, "%s:%d: %s\n", c.File, mistake.Line, mistake.Text)
	}
	if len(c.Mistakes) == 0 {
		fmt.Fprintf(&text, "%s has no mistakes; its hash is %s\n", c.File, c.Hash)
	}
	for _, warning := range c.Warnings {
		fmt.Fprintf(&text, "  warning  %s\n", warning)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func (c checked) Answer() slipway.Fields {
	return slipway.Fields{"hash": c.Hash, "mistakes": len(c.Mistakes), "warnings": strings.Join(c.Warnings, "\n")}
}

func check(c *cli.Context) error {
	if c.NArg() != 1 {
		return slipway.Usagef("policy check needs one FILE, and got %d arguments", c.NArg())
	}
	found := checked{File: c.Args().First(), Mistakes: []policy.Mistake{}, Warnings: []string{}}
	site, err := policy.Load(found.File)
	var mistakes policy.Mistakes
	if errors.As(err, &mistakes) {
		found.Mistakes = mistakes
		failure := *slipway.AsError(err)
		failure.Why, failure.Hint = "", "correct the lines above"
		return slipway.Finish(c, found, &failure)
	}
	if err == nil && len(site.Keys()) > 0 {
		_, err = registry.ReadPublicKey(site.Keys()...)
	}
	if err != nil {
		return err
	}
	found.Hash, found.Warnings = site.Hash, append(found.Warnings, site.Missing()...)
	return slipway.Finish(c, found, nil)
}

func explain(c *cli.Context) error {
	if c.NArg() > 0 {
		return slipway.Usagef("policy explain does not know what to do with %q", c.Args().First())
	}
	if c.String("policy") == "" {
		return slipway.Usagef("policy explain needs --policy FILE, or SLIPWAY_POLICY").
			Next("save it: kubectl get configmap slipway-policy -n jenkins-prod -o jsonpath='{.data.policy\\.yaml}' > policy.yaml")
	}
	if _, err := os.Stat(c.String("policy")); err != nil {
		return slipway.Usagef("the policy cannot be read").Because(err)
	}
	site, err := policy.Of(c)
	if err != nil {
		return err
	}
	starters := slices.DeleteFunc(c.StringSlice("started-by"), func(id string) bool { return id == "" })
	run := policy.Run{Approvers: c.String("approvers"), Starters: starters}
	if run.Authors, err = authors(c); err != nil {
		return slipway.Finish(c, nil, err)
	}
	now := time.Now()
	if at := c.Timestamp("time"); at != nil {
		now = *at
	}
	asked := policy.Trial{Weight: c.Int("weight"), Prometheus: c.String("prometheus") != "",
		Hold: c.Duration("hold"), Duration: c.Duration("duration"), MinRequests: c.Int("min-requests")}
	return slipway.Finish(c, site.Needs(run, asked, c.String("image"), now), nil)
}

// authors are those between the commits that the flags name.
func authors(c *cli.Context) (map[string]string, error) {
	var commits [2]string
	for i, name := range []string{"from", "to"} {
		if c.String(name) == "" {
			continue
		}
		var err error
		if commits[i], err = policy.Commit(c.Context, c.String("git"), c.String(name)); err != nil {
			return nil, err
		}
	}
	if commits[1] == "" {
		return nil, nil
	}
	return policy.Authors(c.Context, c.String("git"), commits[0], commits[1])
}

// verified is what verify answers.
type verified policy.Approved

func (v verified) Text(out io.Writer) error {
	_, err := fmt.Fprintf(out, "%s\n  approved by %s\n", v.Image, policy.Approved(v).By())
	return err
}

func (v verified) Answer() slipway.Fields {
	return slipway.Fields{"image": v.Image, "build": v.Build, "approvedBy": policy.Approved(v).By()}
}

func verify(c *cli.Context) error {
	if c.NArg() != 1 {
		return slipway.Usagef("policy verify needs one RECORD, and got %d arguments", c.NArg())
	}
	key, err := registry.PublicKeyOf(c)
	if err != nil {
		return err
	}
	if key == nil {
		return slipway.Usagef("policy verify needs --key FILE, the public key of the folder production")
	}
	body, err := os.ReadFile(c.Args().First())
	if err != nil {
		return slipway.Usagef("the record cannot be read").Because(err)
	}
	var record policy.Record
	if err := json.Unmarshal(body, &record); err != nil {
		return slipway.Usagef("%s is no record of a run", c.Args().First()).Because(err)
	}
	approved, err := record.Verify(key)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, verified(approved), nil)
}
