// Command image-evidence attaches statements to an image's digest, and reads them.
package main

import (
	"context"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/registry"
)

const reference = "REGISTRY/REPOSITORY@sha256:..."

func main() {
	slipway.Run(&cli.App{
		Name:  "image-evidence",
		Usage: "attach statements to an image's digest, and read them",
		Commands: []*cli.Command{
			{
				Name: "add", Usage: "attach a file", ArgsUsage: reference,
				Flags: append([]cli.Flag{
					&cli.StringFlag{Name: "type", Required: true, Usage: "what it states: `scan`, staging-verified or a name of your own"},
					&cli.StringFlag{Name: "file", Required: true, Usage: "the statement"},
					&cli.StringFlag{Name: "build-url", EnvVars: []string{"BUILD_URL"}, Usage: "the build's `URL`"},
				}, registry.Flags...),
				Action: func(c *cli.Context) error {
					return with(c, func(ctx context.Context, client *registry.Client, digest name.Digest) (slipway.Result, error) {
						added, err := client.AddEvidence(ctx, digest, c.String("type"), c.String("file"), c.String("build-url"))
						return registry.EvidenceList{Reference: digest.String(), Evidence: []registry.Evidence{added}}, err
					})
				},
			},
			{
				Name: "list", Usage: "list what is attached", ArgsUsage: reference, Flags: registry.Flags,
				Action: func(c *cli.Context) error {
					return with(c, func(ctx context.Context, client *registry.Client, digest name.Digest) (slipway.Result, error) {
						return client.List(ctx, digest)
					})
				},
			},
			{
				Name: "verify", Usage: "exit 1 where a type of evidence is missing", ArgsUsage: reference,
				Flags: append([]cli.Flag{&cli.StringSliceFlag{Name: "type", Required: true, Usage: "a `TYPE` that must be there"}}, registry.Flags...),
				Action: func(c *cli.Context) error {
					return with(c, func(ctx context.Context, client *registry.Client, digest name.Digest) (slipway.Result, error) {
						return client.Verify(ctx, digest, c.StringSlice("type"))
					})
				},
			},
		},
	})
}

func with(c *cli.Context, act func(context.Context, *registry.Client, name.Digest) (slipway.Result, error)) error {
	if c.NArg() != 1 {
		return slipway.Usagef("image-evidence %s needs one %s, and got %d arguments", c.Command.Name, reference, c.NArg())
	}
	client, err := registry.Connect(c)
	if err != nil {
		return err
	}
	digest, err := client.Digest(c.Args().First())
	if err != nil {
		return err
	}
	result, err := act(c.Context, client, digest)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, result, nil)
}
