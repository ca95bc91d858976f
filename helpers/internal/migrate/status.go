package migrate

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Status is the history beside the files, as a table.
type Status struct {
	Current string  `json:"current"`
	Entries []Entry `json:"entries"`
}

// Entry is one version.
type Entry struct {
	Applied
	State string `json:"state"` // applied, pending, changed (a repeatable file), interrupted, edited, missing
}

// Status tells what was applied and what is pending, whether or not the two belong together.
func (d *Database) Status(ctx context.Context, files []Migration) (found Status, err error) {
	err = d.bounded(ctx, func() error {
		found, err = d.status(ctx, files)
		return err
	})
	return found, err
}

func (d *Database) status(ctx context.Context, files []Migration) (Status, error) {
	history, err := d.History(ctx)
	if err != nil {
		return Status{}, err
	}
	if err := d.mine(files, history); err != nil {
		return Status{}, err
	}
	interrupted, err := d.interrupted(ctx)
	return newStatus(files, history, interrupted), err
}

// progress is a file that a run has begun outside a transaction and not finished.
type progress struct {
	version, checksum string
	statement         int // that it goes on with, from 0
}

func (d *Database) interrupted(ctx context.Context) (found []progress, err error) {
	var exists bool
	if err := d.conn.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", d.place.progress).Scan(&exists); err != nil || !exists {
		return nil, d.explain(err)
	}
	rows, err := d.conn.QueryContext(ctx, "SELECT version, checksum, statement FROM "+d.place.progress+" WHERE statement > 0 OR begun "+
		"ORDER BY version")
	if err != nil {
		return nil, d.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var p progress
		if err := rows.Scan(&p.version, &p.checksum, &p.statement); err != nil {
			return nil, fmt.Errorf("reading %s: %w", d.place.progress, err)
		}
		found = append(found, p)
	}
	return found, d.explain(rows.Err())
}

func newStatus(files []Migration, history []Applied, interrupted []progress) Status {
	status := Status{Entries: []Entry{}}
	states := map[string]string{}
	for _, drift := range driftOf(files, history) {
		states[drift.Version] = drift.State
	}
	for _, begun := range interrupted {
		states[begun.version] = "interrupted"
	}
	checksums := map[string]string{}
	for _, file := range files {
		checksums[file.Version] = file.Checksum
	}
	done := map[string]bool{}
	for _, row := range sorted(history) {
		done[row.Version] = true
		entry := Entry{row, "applied"}
		if state := states[row.Version]; state != "" {
			entry.State = state
		} else if sum, here := checksums[row.Version]; here && sum != row.Checksum && !isNumber(row.Version) {
			entry.State = "changed"
		}
		if isNumber(row.Version) {
			status.Current = row.Version
		}
		status.Entries = append(status.Entries, entry)
	}
	for _, file := range files {
		if !done[file.Version] {
			done[file.Version] = true
			state := "pending"
			if states[file.Version] == "interrupted" {
				state = "interrupted"
			}
			status.Entries = append(status.Entries, Entry{Applied{Version: file.Version, Name: file.Name, Checksum: file.Checksum}, state})
		}
	}
	for _, begun := range interrupted {
		if !done[begun.version] {
			status.Entries = append(status.Entries, Entry{Applied{Version: begun.version, Name: "(its file is not here)",
				Checksum: begun.checksum}, "interrupted"})
		}
	}
	return status
}

func (s Status) count(states ...string) (n int) {
	for _, entry := range s.Entries {
		for _, state := range states {
			if entry.State == state {
				n++
			}
		}
	}
	return n
}

// Text is the table.
func (s Status) Text(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "VERSION\tNAME\tSTATE\tAPPLIED AT\tBY\tPLAN")
	for _, entry := range s.Entries {
		fmt.Fprintln(table, strings.TrimRight(strings.Join([]string{entry.Version, entry.Name, entry.State, entry.AppliedAt, entry.AppliedBy,
			entry.PlanID}, "\t"), "\t"))
	}
	return table.Flush()
}

// Answer tells it to a pipeline.
func (s Status) Answer() slipway.Fields {
	return slipway.Fields{"current": s.Current, "applied": s.count("applied", "edited", "missing", "changed"),
		"pending": s.count("pending", "changed", "interrupted")}
}

// Verification is whether the files and the history belong together.
type Verification struct {
	Applied int     `json:"applied"`
	Pending int     `json:"pending"`
	Drift   []Drift `json:"drift"`
}

// Verify compares each file with what was applied under its version.
func (d *Database) Verify(ctx context.Context, files []Migration) (Verification, error) {
	status, err := d.Status(ctx, files)
	if err != nil {
		return Verification{}, err
	}
	history, err := d.History(ctx)
	if err != nil {
		return Verification{}, err
	}
	found := Verification{Applied: status.count("applied", "edited", "missing", "changed"), Pending: status.count("pending",
		"interrupted"), Drift: driftOf(files, history)}
	for _, entry := range status.Entries {
		if entry.State == "interrupted" {
			found.Drift = append(found.Drift, Drift{entry.Version, entry.Name, "interrupted", entry.Name + " was begun and stopped half way",
				"run migrate-diff apply: it goes on there"})
		}
	}
	if found.Drift == nil {
		found.Drift = []Drift{}
		return found, nil
	}
	return found, found.Drift[0].err()
}

// Text is a line for each disagreement.
func (v Verification) Text(out io.Writer) error {
	if len(v.Drift) == 0 {
		_, err := fmt.Fprintf(out, "files and history belong together: %d applied, %d pending\n", v.Applied, v.Pending)
		return err
	}
	for _, drift := range v.Drift {
		if _, err := fmt.Fprintf(out, "%-12s %s\n", drift.State, drift.What); err != nil {
			return err
		}
	}
	return nil
}

// Answer counts them.
func (v Verification) Answer() slipway.Fields {
	return slipway.Fields{"applied": v.Applied, "pending": v.Pending, "drift": len(v.Drift)}
}
