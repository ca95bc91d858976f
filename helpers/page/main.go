// Package page is the command page, which writes the page of a release from the record of its run.
package page

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/record"
	"slipway.dev/slipway/helpers/internal/release"
)

// App is the command page.
func App() *cli.App {
	return &cli.App{
		Name:  "page",
		Usage: "write the page of a release: timeline, approvals, migration, scan, canary, and how to go back",
		Description: `The page is one HTML file without a script, which loads nothing. The .css beside it is for Jenkins, which lets only a file
apply to the pages of a build.

Examples:
   slipway page slipway-record.json
   slipway page slipway-record.json --file release.html
   slipway page slipway-record.json --plan plan.md --configuration config.diff

Exit codes: 0 it is written; 2 the record cannot be read, or the page cannot be written.`,
		ArgsUsage: "RECORD.json",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "file", Usage: "the `FILE` that is written; without it slipway-release.html beside the record"},
			&cli.StringFlag{Name: "plan", Usage: "a `FILE` with the migration's plan, where the record has none"},
			&cli.StringFlag{Name: "configuration", Usage: "a `FILE` with the diff of the configuration, where the record has none"},
		},
		Action: run,
	}
}

func run(c *cli.Context) error {
	if c.NArg() != 1 {
		return slipway.Usagef("page needs one RECORD.json, and got %d arguments", c.NArg())
	}
	r, err := record.Read(c.Args().First())
	if err != nil {
		return slipway.Usagef("the record cannot be read").Because(err).Next("give a slipway-record.json as a pipeline archives it")
	}
	if err := more(c, &r); err != nil {
		return err
	}
	file := c.String("file")
	if file == "" {
		file = beside(r.File)
	}
	if err := release.Write(file, r); err != nil {
		return slipway.Usagef("the page cannot be written").Because(err)
	}
	return slipway.Finish(c, written(file), nil)
}

// more takes from files what the record does not have.
func more(c *cli.Context, r *record.Record) error {
	for flag, field := range map[string]*string{"plan": nil, "configuration": &r.Configuration} {
		name := c.String(flag)
		if name == "" {
			continue
		}
		body, err := os.ReadFile(name)
		if err != nil {
			return slipway.Usagef("the file of --%s cannot be read", flag).Because(err)
		}
		if field == nil {
			if r.Migration == nil {
				r.Migration = &record.Migration{}
			}
			field = &r.Migration.Plan
		}
		*field = string(body)
	}
	return nil
}

// beside is the page's name for a record's: slipway-record-2.json has slipway-release-2.html.
func beside(file string) string {
	name := strings.Replace(strings.TrimSuffix(filepath.Base(file), ".json"), "slipway-record", "slipway-release", 1)
	return filepath.Join(filepath.Dir(file), name+".html")
}

type written string

func (w written) Text(out io.Writer) error {
	_, err := fmt.Fprintln(out, "wrote "+string(w))
	return err
}
func (w written) Answer() slipway.Fields { return slipway.Fields{"file": string(w)} }
func (w written) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"file":%q}`, string(w)), nil
}
