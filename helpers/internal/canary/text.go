package canary

import (
	"fmt"
	"io"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Text tells in five lines who runs, since when, what was asked for and what is
// true, until when, and how to undo.
func (o Outcome) Text(out io.Writer) error {
	run := "nobody"
	if o.Run != "" {
		run = fmt.Sprintf("%s, since %s", o.Run, o.Since.Format(time.RFC3339))
	}
	until, undo := "", "nothing to undo"
	if o.Run != "" && o.Note == "" {
		until = o.Until.Format(time.RFC3339)
		undo = "canary-weight abort --app " + o.App
	}
	if o.Note != "" {
		_, err := fmt.Fprintf(out, "%s: %s (stable %d, canary %d, %.1f %%)\n", o.App, o.Note, o.Stable, o.Canary, o.Achieved)
		return err
	}
	_, err := fmt.Fprintf(out, "run       %s\nasked     %d %%\ntrue      %.1f %% (router %s, stable %d, canary %d)\nuntil     %s\nundo      %s\n", run, o.Requested, o.Achieved, o.Router, o.Stable, o.Canary, until, undo)
	return err
}

// Env tells it to a pipeline.
func (o Outcome) Env() []slipway.Pair {
	until := ""
	if !o.Until.IsZero() {
		until = o.Until.Format(time.RFC3339)
	}
	return []slipway.Pair{
		{Key: "ROUTER", Value: o.Router}, {Key: "RUN", Value: o.Run}, {Key: "REQUESTED", Value: fmt.Sprint(o.Requested)}, {Key: "ACHIEVED", Value: fmt.Sprintf("%.1f", o.Achieved)},
		{Key: "STABLE", Value: fmt.Sprint(o.Stable)}, {Key: "CANARY", Value: fmt.Sprint(o.Canary)}, {Key: "UNTIL", Value: until}, {Key: "NOTE", Value: o.Note},
	}
}
