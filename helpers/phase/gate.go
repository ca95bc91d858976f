package phase

import (
	"time"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/registry"
)

// judgeScan says whether the image in a tar may go on, by what its scan found: for branches that push nothing.
func judgeScan(c *cli.Context) error {
	if err := needs(c, "tar", "report", "severity"); err != nil {
		return err
	}
	if c.NArg() > 0 {
		return slipway.Usagef("phase gate does not know what to do with %q", c.Args().First())
	}
	gate, warnings, err := registry.GateOf(c)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	statement := registry.Statement{Type: "scan", File: c.String("report"), Scanner: c.String("scanner"), MaxAge: c.Duration("scan-max-age"),
		Gate: gate}
	scan, err := registry.CheckScan(statement, c.String("tar"), time.Now())
	if err != nil {
		return slipway.Finish(c, registry.Refusal(err), err)
	}
	return slipway.Finish(c, registry.Checked{Scan: scan, Warnings: warnings}, nil)
}
