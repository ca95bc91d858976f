// Package guard is the command guard, which says what the guard of a namespace admits, and puts on its list what runs now.
package guard

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/helpers/internal/approved"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/safe"
)

// App is the command guard.
func App() *cli.App {
	return &cli.App{
		Name:  "guard",
		Usage: "say which images a guarded namespace admits and what it would refuse; approve what runs there",
		Commands: []*cli.Command{
			{Name: "status", Usage: "list what the guard would refuse today, who went past it, and what is approved",
				Flags: kube.Flags, Action: status},
			{Name: "approve", Usage: "approve these images for workloads that no pipeline delivers; without any, all that runs there now",
				ArgsUsage: "[REPOSITORY:TAG@sha256:...]...", Flags: kube.Flags, Action: approve},
		},
	}
}

func status(c *cli.Context) error {
	if c.NArg() > 0 {
		return slipway.Usagef("guard status takes no arguments, and got %d", c.NArg())
	}
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	survey, err := approved.Look(c.Context, cluster)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, survey, verdict(survey))
}

// verdict is the answer no, where a person has something to do.
func verdict(s approved.Survey) error {
	switch {
	case len(s.Broken) > 0:
		return slipway.Errorf(slipway.No, "%d objects of the namespace %s went past the guard", len(s.Broken), s.Namespace).
			Next("see what was done, then acknowledge it: kubectl annotate -n %s %s %s-", s.Namespace, s.Broken[0].Object, approved.BreakGlass)
	case len(s.Refused) > 0:
		return slipway.Errorf(slipway.No, "the guard of the namespace %s would refuse %d images that it runs", s.Namespace, len(s.Refused)).
			Next("name them by digest in their manifests, then approve them: slipway guard approve -n %s", s.Namespace)
	}
	return nil
}

// list is what was approved.
type list []string

func (l list) Text(out io.Writer) error {
	if len(l) == 0 {
		l = list{"nothing: all of it was approved before"}
	}
	_, err := fmt.Fprintf(out, "approved: %s\n", safe.Visible(strings.Join(l, "\napproved: ")))
	return err
}

func (l list) Answer() slipway.Fields { return slipway.Fields{"approved": len(l)} }

func approve(c *cli.Context) error {
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	added, err := approved.Approve(c.Context, cluster, c.Args().Slice())
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, list(append([]string{}, added...)), nil)
}
