package registry

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/gate"
	"slipway.dev/slipway/helpers/internal/safe"
)

// What a scan came to.
const (
	clean    = "clean"
	findings = "findings"
)

// Checked is a scan that let the image go on.
type Checked struct {
	Scan     Scan
	Warnings string // waivers that end soon, a line each
}

// Text is the scan on one line, and the findings that are waived below it.
func (c Checked) Text(out io.Writer) error {
	_, err := fmt.Fprintln(out, strings.TrimSpace(c.Scan.String()+"\n"+c.Scan.waived(time.Now())))
	return err
}

// Answer gives what a pipeline shows and keeps.
func (c Checked) Answer() slipway.Fields {
	return slipway.Fields{"scan": clean, "waived": c.Scan.waived(time.Now()), "warnings": c.Warnings}
}

// waived are the findings that a waiver covers, a line each.
func (s Scan) waived(now time.Time) string {
	var lines []string
	for _, one := range s.Waived {
		lines = append(lines, one.Line(now))
	}
	return strings.Join(lines, "\n")
}

// WaivedOf are those of the newest scan.
func WaivedOf(evidence []Evidence) string {
	text := ""
	for _, one := range evidence {
		if one.Scan != nil {
			text = one.Scan.waived(time.Now())
		}
	}
	return text
}

// refusal lists the findings for which an image is refused.
type refusal struct {
	Findings gate.Findings `json:"findings"`
}

// Refusal gives the findings for which an image was refused with that error, and nil where it was another cause.
func Refusal(err error) slipway.Result {
	var found gate.Findings
	if !errors.As(err, &found) {
		return nil
	}
	return refusal{found}
}

// Text lists them all, one a line.
func (r refusal) Text(out io.Writer) error {
	for _, one := range r.Findings {
		if _, err := fmt.Fprintln(out, safe.Line(one.String())); err != nil {
			return err
		}
	}
	return nil
}

// Answer says that there are findings.
func (r refusal) Answer() slipway.Fields { return slipway.Fields{"scan": findings} }
