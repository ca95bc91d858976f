// Package nexuslatesttag is the command nexus-latest-tag, which finds the newest image that may be promoted, and pins it by its digest.
package nexuslatesttag

import (
	"runtime/debug"
	"time"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/registry"
)

// App is the command nexus-latest-tag: flags in, one call, one result out.
func App() *cli.App {
	debug.SetGCPercent(30) // lists of 100,000 tags in less memory than other tools need
	return &cli.App{
		Name:      "nexus-latest-tag",
		Usage:     "print the newest image that may be promoted, pinned by its digest",
		ArgsUsage: "REGISTRY/REPOSITORY",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "pattern", Value: registry.DefaultPattern, EnvVars: []string{"SLIPWAY_TAG_PATTERN"},
				Usage: "the tags' form; its group `captures` the number, or several the parts of a version"},
			&cli.StringSliceFlag{Name: "require", Value: cli.NewStringSlice("staging-verified"), EnvVars: []string{"SLIPWAY_REQUIRE"},
				Usage: "a `TYPE` of evidence that the image must have"},
			registry.VerifyingKey, registry.ScanAge,
			&cli.StringFlag{Name: "require-revision", Usage: "the `COMMIT` that it must be built from, or its first digits"},
			&cli.StringFlag{Name: "git", Usage: "a clone in `DIR`: the commits must be in the same order as the numbers"},
			&cli.BoolFlag{Name: "allow-unverified", Usage: "take the newest tag, whatever is known about it"},
			&cli.StringFlag{Name: "at", Usage: "check this `TAG` instead of looking for the newest"},
			&cli.IntFlag{Name: "depth", Value: 200, Usage: "look at no more than this many tags, from the highest number down"},
			&cli.BoolFlag{Name: "explain", Usage: "show on stderr what was looked at on the way down, and why it was passed over"},
		}, registry.Flags(5*time.Minute)...),
		Action: run,
	}
}

func run(c *cli.Context) error {
	if c.NArg() != 1 {
		return slipway.Usagef("nexus-latest-tag needs one REGISTRY/REPOSITORY, and got %d arguments", c.NArg())
	}
	if c.Int("depth") < 1 {
		return slipway.Usagef("--depth %d is no number of tags", c.Int("depth"))
	}
	pattern, err := registry.Pattern(c.String("pattern"))
	if err != nil {
		return err
	}
	key, err := registry.PublicKeyOf(c)
	if err != nil {
		return err
	}
	client, err := registry.Connect(c)
	if err != nil {
		return err
	}
	defer client.Close()
	repository, err := client.Repository(c.Args().First())
	if err != nil {
		return err
	}
	search := registry.Search{
		Pattern: pattern, Required: c.StringSlice("require"), Key: key, MaxAge: c.Duration("scan-max-age"),
		Revision: c.String("require-revision"), Git: c.String("git"), At: c.String("at"), Depth: c.Int("depth"),
	}
	if c.Bool("allow-unverified") {
		search.Required = nil
	}
	found, err := client.Latest(c.Context, repository, search)
	if c.Bool("explain") && (err == nil || len(found.PassedOver) > 0) {
		if err := found.Explain(c.App.ErrWriter); err != nil {
			return err
		}
	}
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, found, nil)
}
