package phase

import (
	"encoding/json"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	run "slipway.dev/slipway/helpers/internal/record"
	"slipway.dev/slipway/helpers/internal/release"
)

// paging are the flags by which the last phase of a run writes the page of the release, which so takes no command of its own.
var paging = []cli.Flag{
	&cli.StringFlag{Name: "page", EnvVars: []string{"SLIPWAY_PAGE"},
		Usage: "where it goes well, write the page of the release to this `FILE`"},
	&cli.StringFlag{Name: "page-of", EnvVars: []string{"SLIPWAY_PAGE_OF"},
		Usage: "the record of the run as it is when this phase is done, `JSON`"},
}

// writePage writes it where the flags ask for it; completes adds to the record what only this phase knows. The page of a run that came
// to its end is written only where the phase went well. That a page cannot be written is told, and fails nothing.
func writePage(c *cli.Context, failed error, completes func(*run.Record)) {
	if c.String("page") == "" || c.String("page-of") == "" {
		return
	}
	var r run.Record
	err := json.Unmarshal([]byte(c.String("page-of")), &r)
	if err == nil && r.Outcome == run.Done && failed != nil {
		return
	}
	if err == nil {
		completes(&r)
		err = release.Write(c.String("page"), r)
	}
	if err != nil {
		logrus.Warnf("the page of the release was not written: %v", err)
	}
}

// takenBack is, of a run that did not come to its end, what was undone, and why not all of it.
func takenBack(failed error, undone []string) func(*run.Record) {
	if failed != nil {
		undone = append(undone, "not all could be undone: "+slipway.AsError(failed).Error())
	}
	return func(r *run.Record) {
		if r.Outcome != run.Done {
			r.Undone = strings.Join(undone, "; ")
			r.Now = r.Undone
		}
	}
}
