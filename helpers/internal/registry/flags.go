package registry

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/gate"
)

// Flags say how a registry is spoken to; they are the same for every helper that
// does, but for the time that it usually takes at most.
func Flags(timeout time.Duration) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "plain-http", EnvVars: []string{"SLIPWAY_PLAIN_HTTP"}, Usage: "speak HTTP without TLS"},
		&cli.StringFlag{Name: "ca-file", EnvVars: []string{"SLIPWAY_CA_FILE"},
			Usage: "trust the certificates of this PEM `FILE` as well as the system's"},
		&cli.BoolFlag{Name: "insecure-skip-verify", EnvVars: []string{"SLIPWAY_INSECURE_SKIP_VERIFY"},
			Usage: "speak TLS without checking the certificate"},
		&cli.StringFlag{Name: "token-host", EnvVars: []string{"SLIPWAY_REGISTRY_TOKEN_HOST"},
			Usage: "`HOST[:PORT]` that may get the login beside the registry itself, where the registry has its tokens made elsewhere"},
		&cli.DurationFlag{Name: "timeout", Value: timeout, EnvVars: []string{"SLIPWAY_REGISTRY_TIMEOUT"},
			Usage: "the longest time that all of it may take"},
	}
}

var errBound = slipway.Errorf(slipway.Unknown, "the time that --timeout gives ran out")

// Connect gives the client that the flags and the environment ask for, and bounds the
// context's time. Close it.
func Connect(c *cli.Context) (*Client, error) {
	if c.Duration("timeout") <= 0 {
		return nil, slipway.Usagef("--timeout %s is no time", c.Duration("timeout"))
	}
	options, err := OptionsOf(c)
	if err != nil {
		return nil, err
	}
	client, err := New(options)
	if err != nil {
		return nil, err
	}
	c.Context, client.stop = context.WithTimeoutCause(c.Context, c.Duration("timeout"), errBound)
	return client, nil
}

// OptionsOf are those that the flags and the environment ask for.
func OptionsOf(c *cli.Context) (Options, error) {
	username, password := os.Getenv("REGISTRY_USERNAME"), os.Getenv("REGISTRY_PASSWORD")
	if file := os.Getenv("REGISTRY_PASSWORD_FILE"); password == "" && file != "" {
		body, err := os.ReadFile(file)
		if err != nil {
			return Options{}, slipway.Usagef("the file that REGISTRY_PASSWORD_FILE names cannot be read").Because(err)
		}
		password = strings.TrimRight(string(body), "\r\n")
	}
	if (username == "") != (password == "") {
		return Options{}, slipway.Usagef("REGISTRY_USERNAME and REGISTRY_PASSWORD belong together, and one of them is empty")
	}
	return Options{
		PlainHTTP:  c.Bool("plain-http"),
		CAFile:     c.String("ca-file"),
		SkipVerify: c.Bool("insecure-skip-verify"),
		TokenHost:  c.String("token-host"),
		Username:   username,
		Password:   password,
		UserAgent:  "slipway-" + c.App.Name,
	}, nil
}

// Close ends what Connect began.
func (c *Client) Close() { c.stop() }

// SigningKey is the flag of those helpers that sign, VerifyingKey of those that check.
var (
	SigningKey = &cli.StringFlag{Name: "key", EnvVars: []string{"SLIPWAY_SIGNING_KEY"},
		Usage: "sign with the private key in `FILE` or env://NAME (cosign.key with COSIGN_PASSWORD, or PKCS #8)"}
	VerifyingKey = &cli.StringSliceFlag{Name: "key", EnvVars: []string{"SLIPWAY_VERIFYING_KEY"},
		Usage: "take only what is signed with the public key in `FILE` or env://NAME (cosign.pub); given twice, either key does"}
	ScanAge = &cli.DurationFlag{Name: "scan-max-age", EnvVars: []string{"SLIPWAY_SCAN_MAX_AGE"},
		Usage: "take no scan as evidence that was made longer ago than this `DURATION`, such as 168h"}
)

// GateFlags say what a scan must have found for an image to go on.
func GateFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "scanner", Usage: "the `FILE` that trivy version --format json printed, for the evidence of the type scan"},
		&cli.DurationFlag{Name: "scan-max-age",
			Usage: "refuse a scan whose vulnerability database is older than this `DURATION` (Java's: four times that)"},
		&cli.StringFlag{Name: "severity",
			Usage: "refuse an image with findings of these `SEVERITIES`, such as HIGH,CRITICAL, that no waiver covers"},
		&cli.StringSliceFlag{Name: "waivers", Usage: "a `FILE` of waivers; one that is not there has none"},
	}
}

// GateOf is the gate that the flags ask for, or nil; it says on stderr which waivers end soon, and gives that as a line each.
func GateOf(c *cli.Context) (*gate.Gate, string, error) {
	if c.String("severity") == "" {
		if len(c.StringSlice("waivers")) > 0 {
			return nil, "", slipway.Usagef("--waivers waives findings of --severity, which is missing")
		}
		return nil, "", nil
	}
	waivers, warnings, err := gate.Read(c.StringSlice("waivers"), time.Now())
	if err != nil {
		return nil, "", err
	}
	for _, warning := range warnings {
		logrus.Warn(warning)
	}
	made, err := gate.New(c.String("severity"), waivers)
	return made, strings.Join(warnings, "\n"), err
}

// PrivateKeyOf reads the key that --key names, or gives nil.
func PrivateKeyOf(c *cli.Context) (*PrivateKey, error) {
	if c.String("key") == "" {
		return nil, nil
	}
	return ReadPrivateKey(c.String("key"))
}

// PublicKeyOf reads the keys that --key names, or gives nil.
func PublicKeyOf(c *cli.Context) (*PublicKey, error) {
	files := slices.DeleteFunc(c.StringSlice("key"), func(file string) bool { return file == "" })
	if len(files) == 0 {
		return nil, nil
	}
	return ReadPublicKey(files...)
}
