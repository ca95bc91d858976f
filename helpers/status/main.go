// Package status is the command status, which says what runs where, who approved it, and what a person has to look at.
package status

import (
	"strings"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/record"
	"slipway.dev/slipway/helpers/internal/status"
)

// App is the command status.
func App() *cli.App {
	return &cli.App{
		Name:  "status",
		Usage: "say what runs where, since when, who approved it, which canaries stand, and what differs from what was delivered",
		Description: `It only reads. k8s/optional/status-reader.yaml has the rights that it needs; what it may not read it names (exit code 3).

Examples:
   slipway status -n prod
   slipway status -n prod --app fastapi-app --output json
   slipway status --all-namespaces --output html > status.html
   slipway status -A --records /var/lib/jenkins/jobs

Exit codes: 0 it could read everything, also where it found something; 1 there is no such namespace or app; 2 wrong usage or missing
rights; 3 something could not be read.`,
		Metadata: map[string]any{slipway.Formats: []string{"html"}},
		Flags: append(append([]cli.Flag{}, kube.Flags...),
			&cli.BoolFlag{Name: "all-namespaces", Aliases: []string{"A"}, Usage: "all namespaces, whatever --namespace says"},
			&cli.StringFlag{Name: "app", EnvVars: []string{"SLIPWAY_APP"}, Usage: "only this `DEPLOYMENT`, and its canary"},
			&cli.StringFlag{Name: "waivers-in", Value: "jenkins-prod", EnvVars: []string{"SLIPWAY_WAIVERS_IN"},
				Usage: "the `NAMESPACES`, separated by commas, whose ConfigMap slipway-policy has waivers; with --all-namespaces it is any"},
			&cli.StringSliceFlag{Name: "records", EnvVars: []string{"SLIPWAY_RECORDS"},
				Usage: "a `FILE` slipway-record.json, or a folder in which they are; may be repeated"},
		),
		Action: run,
	}
}

func run(c *cli.Context) error {
	if c.NArg() > 0 {
		return slipway.Usagef("status takes no arguments, and got %q", c.Args().First()).Next("name the Deployment with --app")
	}
	records, err := record.Load(c.StringSlice("records"))
	if err != nil {
		return err
	}
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	agents := append([]string{}, strings.FieldsFunc(c.String("waivers-in"), func(r rune) bool { return r == ',' })...)
	if c.Bool("all-namespaces") {
		cluster.Namespace, agents = "", nil
	}
	found, err := status.Read(c.Context, cluster, agents)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	found.Records = records
	s := status.Of(found, cluster.Namespace, c.String("app"), cluster.Now())
	return slipway.Finish(c, s, verdict(s, c.String("app")))
}

func verdict(s status.Status, app string) error {
	switch {
	case app != "" && len(s.Apps) == 0:
		return slipway.Errorf(slipway.No, "Slipway has delivered no deployment/%s there", app).
			Next("see what it has delivered: slipway status -A")
	case len(s.Unread) > 0:
		return slipway.Errorf(slipway.Unknown, "not everything could be read").
			Next("give the account the rights of k8s/optional/status-reader.yaml")
	}
	return nil
}
