package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"
	"github.com/sirupsen/logrus"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// alone runs a file's statements one by one. What can run in a transaction does,
// together with the note that it is done. Of the rest it is noted first that it
// is begun: a later run then looks whether it was finished.
func (r runner) alone(ctx context.Context) error {
	start := time.Now()
	first, begun, err := r.progressOf(ctx)
	if err != nil {
		return err
	}
	if held, err := r.holdsLock(ctx); err != nil || !held {
		return errors.Join(err, errLockLost)
	}
	if err := r.settings(ctx); err != nil {
		return err
	}
	for i, s := range r.file.Statements {
		switch {
		case s.made.session:
			err = r.run(ctx, i, s.text) // of the earlier ones a later run needs the settings again
		case i < first:
			continue
		case s.Alone || s.made.procedural:
			err = r.outside(ctx, i, begun && i == first)
		default:
			err = r.retried(ctx, func(ctx context.Context) error {
				return r.run(ctx, i, r.before()+s.text+"\n;"+r.note(i+1, false)+";COMMIT")
			})
			var answer *pq.Error
			if errors.As(err, &answer) && answer.Code == "25001" { // the server knows of more: REINDEX of a partitioned table
				err = r.outside(ctx, i, begun && i == first)
			}
		}
		if err != nil {
			return err
		}
	}
	err = r.exec(ctx, "BEGIN%s%s;DELETE FROM %s WHERE version = %s;COMMIT", restore,
		r.recorded(fmt.Sprint(time.Since(start).Milliseconds())), r.place.progress, pq.QuoteLiteral(r.file.Version))
	if err != nil {
		return r.failed(err, batch{done: true})
	}
	return nil
}

// forClearing is what is kept of the time for all: an index that was not finished is dropped in it.
const forClearing = 20 * time.Second

// settings for statements outside a transaction. A lock_timeout would leave an
// invalid index behind; statement_timeout bounds them, and ends them before the time for all is over:
// what the server ends is told by the server, and cleared away.
func (r runner) settings(ctx context.Context) error {
	longest := r.options.StatementTimeout
	if end, bounded := ctx.Deadline(); bounded {
		if left := max(time.Until(end)-forClearing, time.Second); longest == 0 || left < longest {
			longest = left
		}
	}
	set := fmt.Sprintf("SET lock_timeout=0;SET statement_timeout=%d;", longest.Milliseconds())
	if r.server >= 17 {
		set += "SET transaction_timeout=0;"
	}
	if r.checks {
		set += "SET client_connection_check_interval=1000;"
	}
	return r.explain(r.exec(ctx, "%s", set))
}

// run sends the text of statement i, with whatever stands around it.
func (r runner) run(ctx context.Context, i int, query string) error {
	if err := r.exec(ctx, "%s", query); err != nil {
		s := r.file.Statements[i]
		at := len(query)
		if prefix := r.before(); len(query) > len(prefix)+len(s.text) && query[:len(prefix)] == prefix {
			at = len(prefix)
		} else if query == s.text {
			at = 0
		}
		b := batch{query: query, text: s.text, line: s.Line, parts: []part{{at, 0, len(s.text), i}}, seen: i}
		b.kept = slices.ContainsFunc(r.file.Statements[:i], func(before Statement) bool { return !before.made.session })
		if head := len(s.text) - len(skipComments(s.text)); head > 0 {
			b.line -= lineOf(s.text, head) - 1
		}
		return r.failed(err, b)
	}
	return nil
}

func (r runner) note(statement int, begun bool) string {
	return fmt.Sprintf("INSERT INTO %s AS p VALUES (%s, %s, %d, %t) ON CONFLICT (version) DO UPDATE SET checksum = excluded.checksum, "+
		"statement = excluded.statement, begun = excluded.begun",
		r.place.progress, pq.QuoteLiteral(r.file.Version), pq.QuoteLiteral(r.file.Checksum), statement, begun)
}

// outside runs a statement that cannot run in a transaction, or may end its own.
func (r runner) outside(ctx context.Context, i int, begun bool) error {
	s := r.file.Statements[i]
	done, mine, err := r.finished(ctx, s, begun)
	if err != nil {
		return err
	}
	if !done {
		if mine {
			if err := r.exec(ctx, "%s", r.note(i, true)); err != nil {
				return r.failed(err, batch{done: true})
			}
		}
		if err := r.run(ctx, i, s.text); err != nil {
			var answer *pq.Error
			if errors.As(err, &answer) {
				_ = r.exec(ctx, "%s", r.note(i, false)) // it is known that it was not finished
				if answer.Code == "57014" {
					err = r.named(ctx, err)
				}
				if left := r.clear(ctx, s, mine); left != nil {
					logrus.Warn(left)
				}
			}
			return err
		}
	}
	if err := r.exec(ctx, "%s", r.note(i+1, false)); err != nil {
		return r.failed(err, batch{done: true})
	}
	return nil
}

// clear takes away what a statement that failed has left: an invalid index slows
// every write, and a unique one goes on refusing rows.
func (r runner) clear(ctx context.Context, s Statement, mine bool) error {
	if s.Kind == "REINDEX CONCURRENTLY" {
		return r.dropHalfBuilt(ctx, s)
	}
	if s.Kind != "CREATE INDEX CONCURRENTLY" || !mine || s.made.index == "" {
		return nil
	}
	var name string
	err := r.conn.QueryRowContext(ctx, "SELECT indexrelid::regclass::text FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT "+
		"indisvalid", s.made.index).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return r.explain(err)
	}
	return r.dropInvalid(ctx, name)
}

func (r runner) progressOf(ctx context.Context) (statement int, begun bool, err error) {
	var checksum string
	err = r.conn.QueryRowContext(ctx, "SELECT checksum, statement, begun FROM "+r.place.progress+" WHERE version = $1",
		r.file.Version).Scan(&checksum, &statement, &begun)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, false, nil
	case err != nil:
		return 0, false, r.explain(err)
	case checksum != r.file.Checksum: // nothing of the older one was done, or the plan would have been refused
		return 0, false, nil
	}
	return statement, begun, nil
}

// finished says whether a statement that an earlier run has begun was finished,
// and clears away what it left half done. mine says that, if it is run now, what
// it makes will be its own: nothing of that name is there before.
func (r runner) finished(ctx context.Context, s Statement, begun bool) (done, mine bool, err error) {
	switch {
	case s.made.procedural && begun:
		return false, false, slipway.Errorf(slipway.Conflict, "%s:%d: %s was begun by an earlier run, and nobody can tell from outside "+
			"whether it ended", r.file.Name, s.Line, s.Kind).
			Next("look at what it changes, then say so: migrate-diff repair %s --statement done (or again) --reason ...", r.file.Version)
	case s.made.database != "":
		var exists bool
		err = r.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", s.made.database).Scan(&exists)
		return begun && exists != s.made.dropped, exists == s.made.dropped, r.explain(err)
	case s.made.detached != "":
		return r.finishDetach(ctx, s, begun)
	case s.Kind == "REINDEX CONCURRENTLY" && begun:
		return false, true, r.dropHalfBuilt(ctx, s)
	case s.made.index == "" || strings.HasPrefix(s.Kind, "REINDEX"):
		return false, true, nil
	}
	var valid bool
	var name string
	err = r.conn.QueryRowContext(ctx, "SELECT indisvalid, indexrelid::regclass::text FROM pg_index WHERE indexrelid = to_regclass($1)",
		s.made.index).Scan(&valid, &name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return begun && s.made.dropped, !s.made.dropped, nil
	case err != nil:
		return false, false, r.explain(err)
	case s.made.dropped:
		return false, true, nil
	case valid:
		return begun, false, nil
	}
	return false, true, r.dropInvalid(ctx, name)
}

// dropInvalid clears away what an interrupted CREATE INDEX CONCURRENTLY leaves.
// One that somebody builds at this moment looks the same, and is left alone.
// https://www.postgresql.org/docs/15/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
func (r runner) dropInvalid(ctx context.Context, name string) error {
	var pid sql.NullInt64
	err := r.conn.QueryRowContext(ctx, `SELECT min(l.pid) FROM pg_locks l JOIN pg_stat_progress_create_index p USING (pid)
		WHERE l.relation = (SELECT indrelid FROM pg_index WHERE indexrelid = to_regclass($1)) AND l.pid <> pg_backend_pid()`, name).Scan(&pid)
	if err != nil {
		return r.explain(err)
	}
	if pid.Valid {
		return slipway.Errorf(slipway.Conflict, "%s: the index %s is being built by pid %d", r.file.Name, name,
			pid.Int64).Next("let it end, then run this again")
	}
	logrus.Warnf("%s: dropping the invalid index %s, which was not finished", r.file.Name, name)
	if err := r.exec(ctx, "DROP INDEX CONCURRENTLY %s", name); err != nil {
		var answer *pq.Error
		if !errors.As(err, &answer) {
			return r.lost(err)
		}
		return slipway.Errorf(slipway.No, "the invalid index %s, which was not finished, cannot be dropped",
			name).Because(err).Next("drop it by hand: DROP INDEX CONCURRENTLY %s", name)
	}
	return nil
}

// dropHalfBuilt drops the invalid indexes that REINDEX CONCURRENTLY leaves beside the old ones.
// https://www.postgresql.org/docs/15/sql-reindex.html#SQL-REINDEX-CONCURRENTLY
func (r runner) dropHalfBuilt(ctx context.Context, s Statement) error {
	rows, err := r.conn.QueryContext(ctx, `SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AND (i.indrelid = to_regclass($1) OR i.indrelid = (SELECT indrelid
			FROM pg_index WHERE indexrelid = to_regclass($1)))`, s.table())
	if err != nil {
		return r.explain(err)
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return r.explain(err)
		}
		names = append(names, name)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return r.explain(err)
	}
	for _, name := range names {
		if err := r.dropInvalid(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// finishDetach: https://www.postgresql.org/docs/15/sql-altertable.html#SQL-ALTERTABLE-DETACH-PARTITION
func (r runner) finishDetach(ctx context.Context, s Statement, begun bool) (done, mine bool, err error) {
	var pending bool
	err = r.conn.QueryRowContext(ctx, "SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = to_regclass($1)",
		s.made.detached).Scan(&pending)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return begun, false, nil
	case err != nil:
		return false, false, r.explain(err)
	case !pending:
		return false, true, nil
	}
	if err := r.exec(ctx, "ALTER TABLE %s DETACH PARTITION %s FINALIZE", s.Locks[0].Table, s.made.detached); err != nil {
		return false, false, r.failed(err, batch{done: true})
	}
	return true, true, nil
}
