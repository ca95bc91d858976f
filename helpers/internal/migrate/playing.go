package migrate

// One file of a rehearsal, statement by statement.

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/safe"
)

type playing struct {
	*rehearsing
	run  runner
	see  *observer
	oids map[string]int64 // of the relations that the plan names
}

func (p playing) inTransaction(ctx context.Context, played *RehearsedFile) error {
	if err := p.run.exec(ctx, "%s", p.run.before()); err != nil {
		return p.run.failed(err, batch{})
	}
	if err := p.see.begin(ctx); err != nil {
		return p.run.explain(err)
	}
	for i := range p.run.file.Statements {
		if err := p.statement(ctx, i, played); err != nil {
			return err
		}
	}
	if err := p.run.exec(ctx, "%s", p.run.after()); err != nil {
		return p.run.failed(err, batch{done: true})
	}
	return nil
}

// statement runs one that is in a transaction, and looks at what its session then holds.
func (p playing) statement(ctx context.Context, i int, played *RehearsedFile) error {
	s := p.run.file.Statements[i]
	seen, err := p.timed(ctx, s, func() error { return p.run.run(ctx, i, s.text) })
	if err != nil {
		return err
	}
	held := map[string]string{}
	for oid, mode := range p.see.held {
		held[p.see.before[oid].name] = mode
	}
	real, err := p.see.look(ctx)
	if err != nil {
		return p.run.explain(err)
	}
	p.compare(&seen, s, real, held)
	played.Statements = append(played.Statements, seen)
	return nil
}

// timed runs a statement, and says how long it took and what it wrote.
func (p playing) timed(ctx context.Context, s Statement, run func() error) (Observed, error) {
	const written = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
	seen := Observed{Line: s.Line}
	var before, after int64
	if err := p.Database.conn.QueryRowContext(ctx, written).Scan(&before); err != nil {
		return seen, p.explain(err)
	}
	began := time.Now()
	if err := run(); err != nil {
		return seen, err
	}
	seen.Milliseconds = milliseconds(time.Since(began))
	err := p.Database.conn.QueryRowContext(ctx, written).Scan(&after)
	seen.WAL = after - before
	return seen, p.explain(err)
}

// compare puts what was seen beside the claim, and estimates how long it takes with the real rows.
func (p playing) compare(seen *Observed, s Statement, real shows, held map[string]string) {
	p.see.beside(seen, s, p.oids, real, held)
	for _, name := range append(slices.Clone(seen.Rewritten), seen.Scanned...) {
		if n := p.rows[name]; n > 0 && s.Kind != "TRUNCATE" {
			if real := p.realRows(name); real > n {
				seen.Estimate = max(seen.Estimate, seen.Milliseconds*float64(real)/float64(n))
			}
		}
	}
}

// realRows are those that the database says a table has.
func (p playing) realRows(name string) int64 {
	for _, table := range p.plan.Tables {
		if p.oids[table.Name] != 0 && p.see.before[p.oids[table.Name]].name == name {
			return table.Rows
		}
	}
	return 0
}

// alone runs a file's statements one by one, as apply does outside a transaction.
func (p playing) alone(ctx context.Context, played *RehearsedFile) error {
	if err := p.run.settings(ctx); err != nil {
		return err
	}
	for i, s := range p.run.file.Statements {
		if s.made.session || !s.Alone && !s.made.procedural {
			if !s.made.session {
				if err := p.run.exec(ctx, "%s", p.run.before()); err != nil {
					return p.run.failed(err, batch{})
				}
			}
			if err := p.see.begin(ctx); err != nil {
				return p.run.explain(err)
			}
			if err := p.statement(ctx, i, played); err != nil {
				return err
			}
			if !s.made.session {
				if err := p.run.exec(ctx, "COMMIT"); err != nil {
					return p.run.failed(err, batch{done: true})
				}
			}
			continue
		}
		if err := p.outside(ctx, i, played); err != nil {
			return err
		}
	}
	if err := p.run.exec(ctx, "BEGIN%s%s;COMMIT", restore, p.run.recorded("0")); err != nil {
		return p.run.failed(err, batch{done: true})
	}
	return nil
}

// outside runs a statement that cannot run in a transaction. Another session makes it wait
// for its first lock, and looks at its locks until it ends: what it holds for a moment only may be missed.
func (p playing) outside(ctx context.Context, i int, played *RehearsedFile) error {
	s := p.run.file.Statements[i]
	var pid int
	if err := p.run.conn.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		return p.run.explain(err)
	}
	holder, err := connectAlone(ctx, p.stage.address(""))
	if err != nil {
		return err
	}
	defer holder.Close()
	if err := holder.exec(ctx, "BEGIN"); err != nil {
		return holder.explain(err)
	}
	for _, lock := range s.Locks {
		if relation := p.see.before[p.oids[lock.Table]]; relation.kind == "r" || relation.kind == "p" {
			if err := holder.exec(ctx, "LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE", relation.name); err != nil {
				return holder.explain(err)
			}
		}
	}
	taken, files := map[int64]string{}, map[int64]int64{}
	seen, err := p.timed(ctx, s, func() error {
		ended := make(chan error, 1)
		go func() { ended <- p.run.run(ctx, i, s.text) }()
		for {
			select {
			case err := <-ended:
				return err
			default:
			}
			waits, err := p.sample(ctx, pid, taken)
			if err == nil && waits {
				err = holder.exec(ctx, "ROLLBACK")
			}
			if err != nil {
				return errors.Join(err, <-ended)
			}
		}
	})
	if err != nil {
		return err
	}
	rows, err := p.Database.conn.QueryContext(ctx, "SELECT oid::bigint, coalesce(pg_relation_filenode(oid), 0)::bigint FROM pg_class "+
		"WHERE relkind IN ('r', 'm')")
	if err != nil {
		return p.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var oid, file int64
		if err := rows.Scan(&oid, &file); err != nil {
			return p.explain(err)
		}
		files[oid] = file
	}
	real := shows{locks: p.see.spoken(taken, taken)}
	for oid, relation := range p.see.before {
		if relation.isTable() && files[oid] != 0 && relation.filenode != 0 && files[oid] != relation.filenode {
			real.rewritten = append(real.rewritten, relation.name)
			relation.filenode = files[oid]
			p.see.before[oid] = relation
		}
	}
	p.compare(&seen, s, real, nil)
	// What was missed, or is not counted for another session, is no difference.
	seen.Sampled, seen.NotLocked, seen.Differs = true, nil, slices.DeleteFunc(seen.Differs, func(what string) bool {
		return strings.HasPrefix(what, "claimed ") || strings.HasPrefix(what, "reads ")
	})
	played.Statements = append(played.Statements, seen)
	return rows.Err()
}

// sample adds to taken what a session holds, or waits for, at this moment.
func (p playing) sample(ctx context.Context, pid int, taken map[int64]string) (waits bool, err error) {
	rows, err := p.Database.conn.QueryContext(ctx, "SELECT coalesce(relation, 0)::bigint, mode, granted FROM pg_locks WHERE pid = $1", pid)
	if err != nil {
		return false, p.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var oid int64
		var mode string
		var granted bool
		if err := rows.Scan(&oid, &mode, &granted); err != nil {
			return false, p.explain(err)
		}
		waits = waits || !granted
		if _, known := p.see.before[oid]; known && strength(mode) > strength(taken[oid]) {
			taken[oid] = mode
		}
	}
	return waits, p.explain(rows.Err())
}

// check runs the command against the throw-away database, and keeps the end of what it said where it fails.
func (r *rehearsing) check(ctx context.Context, keep func(c *Check, why string)) error {
	if r.options.Check == "" {
		return nil
	}
	if r.found.Check == nil {
		r.found.Check = &Check{Command: r.options.Check}
	}
	session, err := connectAlone(ctx, r.stage.address(""))
	if err != nil {
		return err
	}
	defer session.Close()
	command := exec.CommandContext(ctx, "sh", "-c", r.options.Check)
	command.Env = append(withoutDatabase(os.Environ()), session.environment()...)
	out, err := command.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &failed):
		lines := strings.Split(strings.TrimSpace(safe.Visible(string(out))), "\n")
		keep(r.found.Check, strings.Join(append(lines[max(0, len(lines)-5):], failed.Error()), "; "))
	default:
		return slipway.Usagef("the command of --check cannot be run").Because(err)
	}
	return nil
}
