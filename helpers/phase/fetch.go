package phase

import (
	"fmt"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/registry"
)

// fetch writes the image of a digest to a tar, which is scanned and pushed from there.
func fetch(c *cli.Context) error {
	reference, err := argument(c, "REGISTRY/REPOSITORY@sha256:...")
	if err == nil {
		err = needs(c, "tar")
	}
	if err != nil {
		return err
	}
	client, err := registry.Connect(c)
	if err != nil {
		return err
	}
	defer client.Close()
	digest, err := client.Digest(reference)
	if err != nil {
		return err
	}
	fetched, err := client.Fetch(c.Context, digest, c.String("tar"), slipway.NewProgress(c.App.ErrWriter))
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	text := fmt.Sprintf("%s: %s, %d layers, %d bytes", c.String("tar"), fetched.Digest, fetched.Layers, fetched.Bytes)
	return slipway.Finish(c, said{text, slipway.Fields{"digest": fetched.Digest, "image": fetched.Image, "bytes": fetched.Bytes}}, nil)
}
