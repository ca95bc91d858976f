// Command nexus-push pushes the image in a tar file, and says by which digest it is known from then on.
package main

import (
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/registry"
)

func main() {
	slipway.Run(&cli.App{
		Name:      "nexus-push",
		Usage:     "push the image in a tar file, and print its reference with its digest",
		ArgsUsage: "REGISTRY/REPOSITORY:TAG",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "tar", Required: true, Usage: "the image, as `FILE` that Kaniko, Buildah or docker save wrote"},
			&cli.StringSliceFlag{Name: "evidence", Usage: "attach a file to the pushed digest: `TYPE=FILE`"},
			&cli.StringFlag{Name: "build-url", EnvVars: []string{"BUILD_URL"}, Usage: "the build's `URL`, noted in the evidence"},
			&cli.BoolFlag{Name: "force", Usage: "overwrite a tag that names another image"},
		}, registry.Flags...),
		Action: run,
	})
}

func run(c *cli.Context) error {
	if c.NArg() != 1 {
		return slipway.Usagef("nexus-push needs one REGISTRY/REPOSITORY:TAG, and got %d arguments", c.NArg())
	}
	evidence := map[string]string{}
	for _, given := range c.StringSlice("evidence") {
		kind, file, found := strings.Cut(given, "=")
		if !found {
			return slipway.Usagef("--evidence %q is not of the form TYPE=FILE", given)
		}
		if _, err := os.Stat(file); err != nil {
			return slipway.Usagef("the evidence %s cannot be read, and nothing was pushed", file).Because(err)
		}
		evidence[kind] = file
	}
	client, err := registry.Connect(c)
	if err != nil {
		return err
	}
	tag, err := client.Tag(c.Args().First())
	if err != nil {
		return err
	}
	pushed, err := client.Push(c.Context, c.String("tar"), tag, c.Bool("force"))
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	for kind, file := range evidence {
		added, err := client.AddEvidence(c.Context, tag.Digest(pushed.Digest), kind, file, c.String("build-url"))
		if err != nil {
			return slipway.Finish(c, pushed, err)
		}
		pushed.Evidence = append(pushed.Evidence, added)
	}
	return slipway.Finish(c, pushed, nil)
}
