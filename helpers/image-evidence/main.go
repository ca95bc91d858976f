// Package imageevidence is the command image-evidence, which attaches statements to an image's digest, and reads them.
package imageevidence

import (
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/urfave/cli/v2"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/registry"
)

const reference = "REGISTRY/REPOSITORY@sha256:..."

// App is the command image-evidence: flags in, one call, one result out.
func App() *cli.App {
	return &cli.App{
		Name:  "image-evidence",
		Usage: "attach statements to an image's digest, and read them",
		Description: `Evidence counts for production where it is signed.

To make a key: cosign generate-key-pair
  writes cosign.key, encrypted with COSIGN_PASSWORD, for who attests, and cosign.pub for who reads.
To replace one: give the readers both public keys (--key old.pub --key new.pub), then the writers the
  new private key; take the old public key away when nothing that it signed is to be promoted any more.`,
		Commands: []*cli.Command{
			{
				Name: "add", Usage: "attach a file", ArgsUsage: reference, Action: add,
				Flags: append([]cli.Flag{
					&cli.StringFlag{Name: "type", Usage: "what it states: `scan`, staging-verified or a name of your own"},
					&cli.StringFlag{Name: "file", Usage: "the statement; for a scan, Trivy's report in JSON"},
					&cli.StringFlag{Name: "scanner", Usage: "for a scan, the `FILE` that trivy version --format json printed"},
					&cli.StringFlag{Name: "build-url", EnvVars: []string{"BUILD_URL"}, Usage: "the build's `URL`"},
					registry.SigningKey,
				}, registry.Flags(5*time.Minute)...),
			},
			{
				Name: "list", Usage: "list what is attached", ArgsUsage: reference, Action: list,
				Flags: append([]cli.Flag{registry.VerifyingKey}, registry.Flags(5*time.Minute)...),
			},
			{
				Name: "verify", Usage: "check that evidence of each required type is attached", ArgsUsage: reference, Action: verify,
				Flags: append([]cli.Flag{
					&cli.StringSliceFlag{Name: "require", Aliases: []string{"type"}, Usage: "a `TYPE` that must be there"},
					registry.VerifyingKey, registry.ScanAge,
				}, registry.Flags(5*time.Minute)...),
			},
		},
	}
}

func add(c *cli.Context) error {
	if c.String("type") == "" || c.String("file") == "" {
		return slipway.Usagef("image-evidence add needs --type TYPE and --file FILE")
	}
	client, digest, err := connect(c)
	if err != nil {
		return err
	}
	defer client.Close()
	key, err := registry.PrivateKeyOf(c)
	if err != nil {
		return err
	}
	added, err := client.AddEvidence(c.Context, digest,
		registry.Statement{Type: c.String("type"), File: c.String("file"), Scanner: c.String("scanner"), Build: c.String("build-url"), Key: key})
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c,
		registry.EvidenceList{Reference: digest.String(), Evidence: []registry.Evidence{added}, Rejected: []registry.Rejected{}}, nil)
}

func list(c *cli.Context) error {
	client, digest, key, err := reader(c)
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := client.List(c.Context, digest, key)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, found, nil)
}

func verify(c *cli.Context) error {
	if len(c.StringSlice("require")) == 0 {
		return slipway.Usagef("image-evidence verify needs --require TYPE")
	}
	client, digest, key, err := reader(c)
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := client.Verify(c.Context, digest, c.StringSlice("require"), key, c.Duration("scan-max-age"))
	if found.Reference == "" {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, found, err)
}

// reader is connect for who reads, and may check signatures.
func reader(c *cli.Context) (*registry.Client, name.Digest, *registry.PublicKey, error) {
	client, digest, err := connect(c)
	if err != nil {
		return nil, name.Digest{}, nil, err
	}
	key, err := registry.PublicKeyOf(c)
	return client, digest, key, err
}

func connect(c *cli.Context) (*registry.Client, name.Digest, error) {
	if c.NArg() != 1 {
		return nil, name.Digest{}, slipway.Usagef("image-evidence %s needs one %s, and got %d arguments", c.Command.Name, reference, c.NArg())
	}
	client, err := registry.Connect(c)
	if err != nil {
		return nil, name.Digest{}, err
	}
	digest, err := client.Digest(c.Args().First())
	return client, digest, err
}
