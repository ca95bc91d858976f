package migrate

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lib/pq"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Repair is one thing that a person puts right in the history, and why. Exactly
// one of the actions is chosen.
type Repair struct {
	Version     string
	Reason      string
	AcceptFile  bool   // the file is right as it is now: take its checksum
	Forget      bool   // what the file did was undone by hand: it is pending again
	MarkApplied bool   // what the file does was done by hand: it is not pending any more
	Statement   string // of a file that stopped half way: done (go on behind it) or again
}

// Written is what baseline and repair have written.
type Written struct {
	What     []string `json:"what"`
	Versions []string `json:"versions"`
}

// Text is a line for each.
func (w Written) Text(out io.Writer) error {
	_, err := fmt.Fprintln(out, strings.Join(w.What, "\n"))
	return err
}

// Answer tells it to a pipeline.
func (w Written) Answer() slipway.Fields {
	return slipway.Fields{"versions": strings.Join(w.Versions, " ")}
}

func needsReason(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return slipway.Usagef("it changes the history, and says nowhere why").Next("give --reason: it is recorded")
	}
	return nil
}

func (d *Database) note(by, version, what, reason string) string {
	return fmt.Sprintf("INSERT INTO %s (by, version, what, reason) VALUES (%s, %s, %s, %s)", d.place.repairs,
		pq.QuoteLiteral(by), pq.QuoteLiteral(version), pq.QuoteLiteral(what), pq.QuoteLiteral(reason))
}

// Repair changes one row of the history, under the lock, and records why.
func (d *Database) Repair(ctx context.Context, files []Migration, repair Repair, options Options) (written Written, err error) {
	if err := needsReason(repair.Reason); err != nil {
		return written, err
	}
	var file *Migration
	for i := range files {
		if files[i].Version == repair.Version || compare(files[i].Version, repair.Version) == 0 {
			file = &files[i]
		}
	}
	if file == nil && !repair.Forget {
		return written, slipway.Usagef("no file has the version %s", repair.Version).Next("versions are what file names begin with: " +
			"migrate-diff status lists them")
	}
	err = d.locked(ctx, options, func() error {
		history, err := d.History(ctx)
		if err != nil {
			return err
		}
		if err := d.createHistory(ctx); err != nil {
			return err
		}
		var row *Applied
		for i := range history {
			if compare(history[i].Version, repair.Version) == 0 {
				row = &history[i]
			}
		}
		interrupted, err := d.interrupted(ctx)
		if err != nil {
			return err
		}
		begun := slices.ContainsFunc(interrupted, func(p progress) bool { return compare(p.version, repair.Version) == 0 })
		if repair.Statement != "" && !begun {
			return slipway.Usagef("%s did not stop half way", file.Name).Next("migrate-diff status lists what did, as interrupted")
		}
		if repair.Forget && row == nil && !begun {
			return slipway.Usagef("nothing is recorded of version %s", repair.Version).Next("migrate-diff status lists what is")
		}
		change, what, err := d.change(repair, file, row, options)
		if err != nil {
			return err
		}
		if err := d.exec(ctx, "BEGIN;%s;%s;COMMIT", change, d.note(options.AppliedBy, repair.Version, what, repair.Reason)); err != nil {
			_ = d.exec(context.WithoutCancel(ctx), "ROLLBACK")
			return d.explain(err)
		}
		written = Written{[]string{what}, []string{repair.Version}}
		return nil
	})
	return written, err
}

// change is the statement of a repair, and what it does in words.
func (d *Database) change(repair Repair, file *Migration, row *Applied, options Options) (statement, what string, err error) {
	version := pq.QuoteLiteral(repair.Version)
	if row != nil {
		version = pq.QuoteLiteral(row.Version)
	}
	switch {
	case repair.AcceptFile && row == nil:
		return "", "", slipway.Usagef("%s is not applied", file.Name).Next("it has no recorded checksum to replace")
	case repair.AcceptFile:
		return fmt.Sprintf("UPDATE %s SET checksum = %s, name = %s WHERE version = %s", d.place.table, pq.QuoteLiteral(file.Checksum),
				pq.QuoteLiteral(file.Name), version),
			fmt.Sprintf("%s is accepted as it is now (its checksum was %.12s, is %.12s)", file.Name, row.Checksum, file.Checksum), nil
	case repair.Forget:
		progress := fmt.Sprintf("DELETE FROM %s WHERE version = %s", d.place.progress, version)
		if row == nil {
			return progress, fmt.Sprintf("what was begun of %s is forgotten", repair.Version), nil
		}
		return progress + fmt.Sprintf(";DELETE FROM %s WHERE version = %s", d.place.table, version),
			fmt.Sprintf("%s is forgotten (it was applied at %s by %s)", row.Name, row.AppliedAt, row.AppliedBy), nil
	case repair.MarkApplied && row != nil:
		return "", "", slipway.Errorf(slipway.Conflict, "%s is applied already, at %s", row.Name, row.AppliedAt).Next("nothing is to be done")
	case repair.MarkApplied:
		return d.record(Applied{Version: file.Version, Name: file.Name, Checksum: file.Checksum, AppliedBy: options.AppliedBy,
			PlanID: "by hand", Commit: options.Commit}, "0", false) +
			fmt.Sprintf(";DELETE FROM %s WHERE version = %s", d.place.progress, version), fmt.Sprintf("%s is marked as applied", file.Name), nil
	case repair.Statement == "done":
		return fmt.Sprintf("UPDATE %s SET statement = statement + 1, begun = false WHERE version = %s", d.place.progress, version),
			fmt.Sprintf("%s goes on behind the statement that it stopped at", file.Name), nil
	case repair.Statement == "again":
		return fmt.Sprintf("UPDATE %s SET begun = false WHERE version = %s", d.place.progress, version),
			fmt.Sprintf("%s runs the statement that it stopped at again", file.Name), nil
	}
	return "", "", slipway.Usagef("repair does nothing without saying what").Next("choose --accept-file, --forget, --mark-applied or " +
		"--statement done|again")
}

// Baseline marks the files up to a version as applied, in a database that has
// them already, or takes the history of another tool over: its table stays, as
// schema_migrations_before_slipway.
func (d *Database) Baseline(ctx context.Context, files []Migration, version string, adopt bool, reason string,
	options Options) (written Written, err error) {
	if err := needsReason(reason); err != nil {
		return written, err
	}
	err = d.locked(ctx, options, func() error {
		columns, exists, err := d.columnsOfHistory(ctx)
		if err != nil {
			return err
		}
		other, isForeign := foreign(columns)
		isForeign = isForeign && exists
		move := ""
		var marked []Migration
		switch {
		case adopt && !isForeign:
			tool, table, how, err := d.otherHistory(ctx)
			if err != nil {
				return err
			}
			if table != "" && !exists {
				if marked, err = d.adoptOther(ctx, files, tool, table, how); err != nil {
					return err
				}
				break
			}
			return slipway.Usagef("there is no history of another tool in %s", d.place.table).Next("name the version that the database is at: " +
				"migrate-diff baseline VERSION --reason ...")
		case adopt && other.versions == "":
			return slipway.Usagef("the columns of %s are of no tool that is known: %s", d.place.table,
				columns).Next("rename it, and name the version: migrate-diff baseline VERSION --reason ...")
		case adopt:
			if marked, err = d.foreignHistory(ctx, files, other); err != nil {
				return err
			}
			move = fmt.Sprintf("ALTER TABLE %s RENAME TO %s_before_slipway;", d.place.table, historyTable)
		default:
			if marked, err = d.unmarked(ctx, files, version); err != nil {
				return err
			}
		}
		return d.mark(ctx, move, marked, reason, options, &written)
	})
	return written, err
}

// unmarked are the files up to a version that are not in the history.
func (d *Database) unmarked(ctx context.Context, files []Migration, version string) ([]Migration, error) {
	history, err := d.History(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, row := range history {
		known[row.Version] = true
	}
	var marked []Migration
	found := false
	for _, file := range files {
		order := compare(file.Version, version)
		if _, rest := splitVersion(version); rest == "" {
			order = compareNumbers(file.Version, version) // all files of that number
		}
		if !file.Repeatable && order <= 0 {
			found = found || order == 0
			if !known[file.Version] {
				marked = append(marked, file)
			}
		}
	}
	if !found && trimZeros(version) == "0" {
		return nil, nil // the files begin with the database as it is
	}
	if !found {
		return nil, slipway.Usagef("no file has the version %s", version).Next("name the last file that the database has")
	}
	return marked, nil
}

// foreignHistory are the files that another tool has applied.
func (d *Database) foreignHistory(ctx context.Context, files []Migration, other tool) ([]Migration, error) {
	rows, err := d.conn.QueryContext(ctx, fmt.Sprintf(other.versions, d.place.table))
	if err != nil {
		return nil, d.explain(err)
	}
	defer rows.Close()
	var marked []Migration
	for rows.Next() {
		var version string
		var dirty, found bool
		if err := rows.Scan(&version, &dirty); err != nil {
			return nil, d.explain(err)
		}
		if dirty {
			return nil, slipway.Errorf(slipway.Conflict, "%s has left version %s half applied (dirty)", other.name,
				version).Next("put that right with %s first", other.name)
		}
		for _, file := range files {
			if file.Repeatable {
				continue
			}
			order := compare(file.Version, version)
			if strings.TrimSuffix(file.Name, ".sql") == strings.TrimSuffix(version, ".sql") {
				order = 0 // a tool that keeps names
			}
			found = found || order == 0
			if order == 0 || other.upTo && order < 0 {
				marked = append(marked, file)
			}
		}
		if !found {
			return nil, slipway.Errorf(slipway.Conflict, "%s has applied version %s, and no file has it", other.name,
				version).Next("name the files' folder with --dir, or add the file")
		}
	}
	return marked, d.explain(rows.Err())
}

func (d *Database) mark(ctx context.Context, move string, marked []Migration, reason string, options Options, written *Written) error {
	written.What, written.Versions = []string{"every file up to there is marked already"}, []string{}
	if _, exists, err := d.columnsOfHistory(ctx); err != nil || len(marked) == 0 && move == "" && exists {
		return err
	}
	err := d.exec(ctx, "BEGIN;%s", move)
	if err == nil {
		err = d.createHistory(ctx)
	}
	written.What = nil
	for _, file := range marked {
		if err != nil {
			break
		}
		err = d.exec(ctx, "%s", d.record(Applied{Version: file.Version, Name: file.Name, Checksum: file.Checksum,
			AppliedBy: options.AppliedBy, PlanID: "baseline", Commit: options.Commit}, "0", false))
		what := file.Name + " is marked as applied"
		if file.same {
			what += ", as version " + file.Version + ": another file has its number, and their order is that of their names"
		}
		written.What = append(written.What, what)
		written.Versions = append(written.Versions, file.Version)
	}
	if err == nil {
		err = d.exec(ctx, "%s;COMMIT", d.note(options.AppliedBy, strings.Join(written.Versions, " "), "baseline", reason))
	}
	if err != nil {
		*written = Written{}
		_ = d.exec(context.WithoutCancel(ctx), "ROLLBACK")
		return d.explain(err)
	}
	return nil
}
