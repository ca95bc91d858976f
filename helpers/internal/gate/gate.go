// Package gate decides whether what a scanner found in an image lets it go on: by severity, and by waivers that end.
package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/safe"
)

// Severities are those that a scanner knows, the least first.
var Severities = []string{"UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"}

// Gate is what stops an image.
type Gate struct {
	Severities []string // of the findings that stop it
	Waivers    []Waiver
}

// New reads a list such as HIGH,CRITICAL.
func New(severities string, waivers []Waiver) (*Gate, error) {
	g := &Gate{Waivers: waivers}
	for _, each := range strings.Split(severities, ",") {
		if !slices.Contains(Severities, each) {
			return nil, slipway.Usagef("--severity %q is not a list of %s, joined by commas", severities, strings.Join(Severities, ", "))
		}
		g.Severities = append(g.Severities, each)
	}
	return g, nil
}

// String is the list of severities.
func (g *Gate) String() string { return strings.Join(g.Severities, ",") }

// Finding is one vulnerability of one package.
type Finding struct {
	ID       string `json:"id"`
	Package  string `json:"package"`
	Version  string `json:"version"`
	Fixed    string `json:"fixed,omitempty"`
	Severity string `json:"severity"`
}

// String is the finding on one line.
func (f Finding) String() string {
	fixed := "no fix yet"
	if f.Fixed != "" {
		fixed = "fixed in " + f.Fixed
	}
	return fmt.Sprintf("%s %s of %s %s (%s)", f.Severity, f.ID, f.Package, f.Version, fixed)
}

// Findings are what stopped an image.
type Findings []Finding

const shown = 10 // findings in one sentence

// Error lists the first of them.
func (f Findings) Error() string {
	var lines []string
	for _, each := range f[:min(len(f), shown)] {
		lines = append(lines, each.String())
	}
	if len(f) > shown {
		lines = append(lines, fmt.Sprintf("and %d more", len(f)-shown))
	}
	return strings.Join(lines, "; ")
}

// Waived is a finding that a waiver covers.
type Waived struct {
	ID       string `json:"id"`
	Package  string `json:"package"`
	Severity string `json:"severity"`
	Reason   string `json:"reason"`
	Owner    string `json:"owner"`
	Until    string `json:"until"` // the last day, 2027-01-31
}

// Line is the finding and its waiver on one line, as of that time.
func (w Waived) Line(now time.Time) string {
	text := fmt.Sprintf("%s %s of %s is waived until %s by %s: %s", w.Severity, w.ID, w.Package, w.Until, w.Owner, w.Reason)
	if w.Until < now.UTC().Format(day) {
		text += " (THIS WAIVER HAS ENDED)"
	}
	return safe.Line(text)
}

// Decide gives the findings that stop nothing because a waiver covers each, or refuses those that none covers.
func (g *Gate) Decide(findings []Finding) ([]Waived, error) {
	var waived []Waived
	var open Findings
	for _, found := range findings {
		if !slices.Contains(g.Severities, found.Severity) {
			continue
		}
		at := slices.IndexFunc(g.Waivers, func(w Waiver) bool { return w.covers(found) })
		if at < 0 {
			if !slices.Contains(open, found) { // a package may lie in several places
				open = append(open, found)
			}
			continue
		}
		by := g.Waivers[at]
		one := Waived{ID: found.ID, Package: found.Package, Severity: found.Severity, Reason: by.Reason, Owner: by.Owner,
			Until: by.Until.Format(day)}
		if !slices.Contains(waived, one) {
			waived = append(waived, one)
		}
	}
	if len(open) > 0 {
		rank := func(f Finding) int { return slices.Index(Severities, f.Severity) }
		slices.SortStableFunc(open, func(a, b Finding) int { return rank(b) - rank(a) })
		return waived, slipway.Errorf(slipway.No, "the image has %d findings of %s that no waiver covers", len(open), g).Because(open).
			Next("raise each package to its fixed version, in the requirements or by a newer base image; where there is none yet, " +
				"waive the finding in slipway-waivers.yaml, with a reason, an owner and an end")
	}
	return waived, nil
}
