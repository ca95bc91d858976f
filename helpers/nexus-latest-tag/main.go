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
		Flags: append(append(registry.SearchFlags(),
			&cli.StringSliceFlag{Name: "require", Value: cli.NewStringSlice("staging-verified"), EnvVars: []string{"SLIPWAY_REQUIRE"},
				Usage: "a `TYPE` of evidence that the image must have"},
			&cli.BoolFlag{Name: "allow-unverified", Usage: "take the newest tag, whatever is known about it"},
			&cli.BoolFlag{Name: "explain", Usage: "print to stderr which tags were passed over, and why"},
		), registry.Flags(5*time.Minute)...),
		Action: run,
	}
}

func run(c *cli.Context) error {
	if c.NArg() != 1 {
		return slipway.Usagef("nexus-latest-tag needs one REGISTRY/REPOSITORY, and got %d arguments", c.NArg())
	}
	search, err := registry.SearchOf(c)
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
