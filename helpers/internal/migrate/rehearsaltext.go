package migrate

import (
	"fmt"
	"strings"
	"time"
)

// lines tell what a rehearsal has shown, the worst first.
func (r *Rehearsal) lines() (lines []string) {
	if r == nil {
		return nil
	}
	add := func(label, format string, arguments ...any) {
		lines = append(lines, fmt.Sprintf("%-8s ", label)+fmt.Sprintf(format, arguments...))
	}
	for _, file := range r.Files {
		if file.Error != "" {
			add("FAILS", "in the rehearsal: %s", file.Error)
		}
	}
	if c := r.Check; c != nil {
		switch {
		case c.Before != "":
			add("check", "%q fails on the schema as it is, so that it proves nothing: %s", c.Command, c.Before)
		case c.After != "":
			add("BREAKING", "%q passes on the schema as it is, and fails on the new one: %s", c.Command, c.After)
		default:
			add("check", "%q passes on the schema as it is and on the new one", c.Command)
		}
	}
	for _, file := range r.Files {
		for _, s := range file.Statements {
			for _, what := range s.Differs {
				add("differs", "%s:%d the server: %s", file.Name, s.Line, what)
			}
		}
	}
	for _, file := range r.Files {
		for _, s := range file.Statements {
			add("observed", "%s:%d %s", file.Name, s.Line, s.text())
		}
	}
	if b := r.Back; b != nil {
		switch {
		case b.Error != "":
			add("back", "the way back FAILS: %s", b.Error)
		case b.Again != "":
			add("back", "%s ran, and the files could not be applied again: %s", strings.Join(b.Files, ", "), b.Again)
		case len(b.Without) > 0:
			add("back", "%s ran; without a down file: %s", strings.Join(b.Files, ", "), strings.Join(b.Without, ", "))
		default:
			add("back", "%s ran, and the files were applied again", strings.Join(b.Files, ", "))
		}
		for _, line := range b.Leaves {
			add("back", "the schema is then not what it was: %s", line)
		}
	}
	for _, what := range r.Missing {
		add("unseen", "%s", what)
	}
	add("rehearsed", "on PostgreSQL %s as the role %s, with up to %d synthetic rows in a table", r.Server, r.Role, r.Rows)
	return lines
}

// text says what a statement did.
func (o Observed) text() string {
	var parts []string
	for _, lock := range o.Locks {
		name := lock.Table
		if lock.Index {
			name = "the index " + name
		}
		parts = append(parts, lockName(lock.Mode)+" on "+name)
	}
	if len(parts) > 8 {
		parts = append(parts[:6:6], fmt.Sprintf("%d more locks: -o json lists them", len(parts)-6))
	}
	if len(o.Rewritten) > 0 {
		parts = append(parts, "rewrites "+shorten(o.Rewritten))
	}
	if len(o.Scanned) > 0 {
		parts = append(parts, "reads "+shorten(o.Scanned))
	}
	if len(parts) == 0 {
		parts = append(parts, "no lock beyond those of the statements before it")
	}
	took := fmt.Sprintf("%.3g ms", o.Milliseconds)
	if o.Estimate > 0 {
		took += fmt.Sprintf(", about %s with the real rows (an estimate, in proportion)",
			time.Duration(o.Estimate*float64(time.Millisecond)).Round(100*time.Millisecond))
	}
	if o.WAL > 0 {
		took += fmt.Sprintf(", %sB of WAL", short(float64(o.WAL)))
	}
	return strings.Join(append(parts, took), "; ")
}
