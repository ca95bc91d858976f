package policy

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Needs are what a promotion needs now, in a form for people and one for a pipeline.
type Needs struct {
	File     string          `json:"file,omitempty"`
	Policy   string          `json:"policy"` // its hash
	At       time.Time       `json:"at"`
	Gates    map[string]Gate `json:"approvals"`
	Closing  Closing         `json:"-"`
	Window   string          `json:"window"`
	Trial    Trial           `json:"canary"`
	Raised   []string        `json:"raised"`
	Unmapped []string        `json:"unmappedAuthors"` // addresses of authors that nobody in people has
	Warnings []string        `json:"warnings"`
	Lacks    string          `json:"lacks,omitempty"` // what the site lacks for it
	site     *Site
	approval string
	err      error
}

// Needs says what this run needs. Image is the reference that is to be promoted.
func (s *Site) Needs(run Run, asked Trial, image string, now time.Time) Needs {
	p := &s.Production
	n := Needs{File: s.File, Policy: s.Hash, At: now, Gates: map[string]Gate{}, Closing: p.At(now), Raised: []string{}, Unmapped: []string{},
		Warnings: s.Missing(), site: s, approval: Subject{Image: image, Policy: s.Hash}.Hash()}
	n.Window = n.Closing.String()
	for _, what := range []string{Migration, Promotion, Override} {
		gate, raised := p.Gate(what, run)
		n.Gates[what] = gate
		if raised != "" {
			n.Raised = append(n.Raised, raised)
		}
	}
	if p.AsksForAuthors() {
		n.Unmapped = append(n.Unmapped, p.Unmapped(run.Authors)...)
	}
	trial, raised, err := p.Canary.Raise(asked)
	n.Trial, n.Raised = trial, append(n.Raised, raised...)
	if n.err = err; err != nil {
		n.Lacks = err.Error()
	}
	return n
}

// Err says that this run can never have what it needs.
func (n Needs) Err() error { return n.err }

// Fields are those that a pipeline reads.
func (n Needs) Fields() slipway.Fields {
	fields := slipway.Fields{
		"policy": n.Policy, "approval": n.approval, "raised": strings.Join(n.Raised, "\n"), "warnings": strings.Join(n.Warnings, "\n"),
		"authors": n.unmapped(), "window": n.Window, "closesIn": n.until(n.Closing.From), "opensIn": n.until(n.Closing.Until),
		"weight": fmt.Sprint(n.Trial.Weight), "hold": n.Trial.Hold.String(), "duration": n.Trial.Duration.String(),
		"minRequests": fmt.Sprint(n.Trial.MinRequests), "breakingSql": n.site.Production.Breaking,
	}
	for what, gate := range n.Gates {
		body, _ := json.Marshal(gate) // texts and a number: it cannot fail
		fields[what+"Rule"] = string(body)
	}
	return fields
}

// until is in milliseconds: the clocks of a controller and of an agent may differ. Where there is no closing it is 0.
func (n Needs) until(at time.Time) int64 {
	if n.Closing.Until.IsZero() {
		return 0
	}
	return at.Sub(n.At).Milliseconds()
}

func (n Needs) unmapped() string {
	if len(n.Unmapped) == 0 {
		return ""
	}
	return "authors whom the policy's people do not name: " + strings.Join(n.Unmapped, ", ")
}

// Answer is for a pipeline.
func (n Needs) Answer() slipway.Fields { return n.Fields() }

// Text is for people.
func (n Needs) Text(out io.Writer) error {
	var text strings.Builder
	line := func(name, format string, arguments ...any) {
		fmt.Fprintf(&text, "  %-15s%s\n", name, fmt.Sprintf(format, arguments...))
	}
	by := "without a policy"
	if n.Policy != "" {
		by = fmt.Sprintf("by the policy %s (%s)", n.File, short(n.Policy))
	}
	fmt.Fprintf(&text, "a promotion at %s needs, %s:\n", n.At.Format("Mon 2006-01-02 15:04 MST"), by)
	p := n.site.Production
	for _, what := range []string{Migration, Promotion} {
		gate := n.Gates[what]
		line(what, "%s", gate.Who)
		for _, id := range slices.Sorted(maps.Keys(gate.Excluded)) {
			line("", "not %s, who %s", id, gate.Excluded[id])
		}
	}
	switch {
	case n.Closing.Holds(n.At):
		line("window", "production is %s", n.Window)
	case n.Window != "":
		line("window", "open now; %s", n.Window)
	default:
		line("window", "open")
	}
	if gate := n.Gates[Override]; gate.Required > 0 {
		line("override", "of a closed window: %s, and a reason", gate.Who)
	}
	line("evidence", "%s", p.Evidence.said())
	line("canary", "%s", p.Canary.said())
	line("breaking", "%s", decided(p.Breaking, "the call decides: allowBreaking"))
	line("privileged SQL", "%s", decided(p.PrivilegedSQL, "not looked at"))
	if n.Lacks != "" {
		line("lacks", "%s", n.Lacks)
	}
	for _, each := range n.Raised {
		line("raised", "%s", each)
	}
	if n.unmapped() != "" {
		line("note", "%s", n.unmapped())
	}
	for _, each := range n.Warnings {
		line("warning", "%s", each)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func (e Evidence) said() string {
	require := e.Require
	if len(require) == 0 {
		require = []string{"scan", "staging-verified"}
	}
	text := strings.Join(require, ", ")
	switch len(e.Keys) {
	case 0:
		text += "; no signature"
	case 1:
		text += "; signed with " + e.Keys[0]
	default:
		text += "; each signed with one of " + strings.Join(e.Keys, ", ")
	}
	if e.ScanMaxAge > 0 {
		text += "; the scan not older than " + lasting(e.ScanMaxAge)
	}
	return text
}

func (c Canary) said() string {
	var parts []string
	if c.MinWeight > 0 {
		parts = append(parts, fmt.Sprintf("at least %d %% of the requests", c.MinWeight))
	}
	if c.MinDuration > 0 {
		parts = append(parts, "for at least "+lasting(c.MinDuration))
	}
	if c.MinRequests > 0 {
		parts = append(parts, fmt.Sprintf("at least %d requests", c.MinRequests))
	}
	if len(parts) == 0 {
		return "the call decides"
	}
	return strings.Join(parts, ", ")
}

func decided(value, unsaid string) string {
	switch value {
	case Refuse:
		return "refused"
	case Approve:
		return "may be approved"
	}
	return unsaid
}

// lasting is a duration as a policy has it.
func lasting(d time.Duration) string {
	text := ""
	for _, unit := range "dhms" {
		if count := d / units[byte(unit)]; count > 0 {
			text += fmt.Sprintf("%d%c", count, unit)
			d -= count * units[byte(unit)]
		}
	}
	return text
}
