// Command nexus-latest-tag finds the newest image that may be promoted, and pins it by its digest.
package main

import (
	"regexp"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/registry"
)

func main() {
	slipway.Run(&cli.App{
		Name:      "nexus-latest-tag",
		Usage:     "print the newest image that may be promoted, pinned by its digest",
		ArgsUsage: "REGISTRY/REPOSITORY",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "pattern", Value: registry.DefaultPattern, EnvVars: []string{"SLIPWAY_TAG_PATTERN"}, Usage: "the tags' form; its one group `captures` the number"},
			&cli.StringSliceFlag{Name: "require", Value: cli.NewStringSlice("staging-verified"), EnvVars: []string{"SLIPWAY_REQUIRE"}, Usage: "a `TYPE` of evidence that the image must have"},
			&cli.StringFlag{Name: "require-revision", Usage: "the `COMMIT` that it must be built from"},
			&cli.BoolFlag{Name: "allow-unverified", Usage: "take the newest tag, whatever is known about it"},
			&cli.StringFlag{Name: "at", Usage: "check this `TAG` instead of looking for the newest"},
		}, registry.Flags...),
		Action: run,
	})
}

func run(c *cli.Context) error {
	if c.NArg() != 1 {
		return slipway.Usagef("nexus-latest-tag needs one REGISTRY/REPOSITORY, and got %d arguments", c.NArg())
	}
	pattern, err := regexp.Compile(c.String("pattern"))
	if err != nil || pattern.NumSubexp() != 1 {
		return slipway.Usagef("--pattern %q is no expression with one group for the number, such as %s", c.String("pattern"), registry.DefaultPattern)
	}
	client, err := registry.Connect(c)
	if err != nil {
		return err
	}
	repository, err := client.Repository(c.Args().First())
	if err != nil {
		return err
	}
	search := registry.Search{Pattern: pattern, Required: c.StringSlice("require"), Revision: c.String("require-revision"), At: c.String("at")}
	if c.Bool("allow-unverified") {
		search.Required = nil
	}
	found, err := client.Latest(c.Context, repository, search)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, found, nil)
}
