package migrate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"
	"github.com/sirupsen/logrus"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// runner applies one file.
type runner struct {
	*Database
	file    Migration
	options Options
	planID  string
	// checks says that the server can look whether its client is still there
	// (client_connection_check_interval, since PostgreSQL 14).
	checks bool
	server int       // its major version
	began  time.Time // on the file
}

func (r runner) apply(ctx context.Context) error {
	if r.file.Alone {
		return r.alone(ctx)
	}
	return r.retried(ctx, r.inTransaction)
}

// marker is the column of the answer that says that a statement is done: an
// error that has no position then still names its statement.
const marker = "slipway_statement"

// before begins the transaction of a file. A killed runner's statement must not
// go on, and commit, without it; and a table that is held must not make all who
// come after wait for long.
func (r runner) before() string {
	begin := fmt.Sprintf("BEGIN;SET LOCAL lock_timeout=%d;", r.options.LockTimeout.Milliseconds())
	if r.checks {
		begin += "SET LOCAL client_connection_check_interval=1000;"
	}
	return begin + "\n"
}

// restore gives the session back as it was, whatever the file has set or made in
// it: in a later run the next file would not find that either.
const restore = "\n;RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;DISCARD TEMP;DEALLOCATE ALL;CLOSE ALL;"

func (r runner) recorded(milliseconds string) string {
	return r.record(Applied{Version: r.file.Version, Name: r.file.Name, Checksum: r.file.Checksum, AppliedBy: r.options.AppliedBy,
		PlanID: r.planID, Commit: r.options.Commit}, milliseconds, r.file.Repeatable)
}

func (r runner) after() string {
	return restore + r.recorded("(extract(epoch FROM clock_timestamp() - now()) * 1000)::bigint") + ";COMMIT"
}

// inTransaction runs the file and its history row as one transaction: in one
// round trip, or, where the file is large, in one for each chunk.
func (r runner) inTransaction(ctx context.Context) error {
	if len(r.file.chunks) <= 1 {
		return r.send(ctx, r.batch(r.file.text))
	}
	in, err := openSource(r.file.path)
	if err != nil {
		return slipway.Usagef("the migration %s cannot be read", r.file.Name).Because(err)
	}
	defer in.Close()
	if err := r.exec(ctx, "%s", r.before()); err != nil {
		return r.failed(err, batch{})
	}
	for _, length := range r.file.chunks {
		text, line, err := in.part(length)
		if err != nil {
			return r.changed(err)
		}
		if err := r.exec(ctx, "%s", text); err != nil {
			return r.failed(err, batch{text: text, line: line, parts: []part{{0, 0, len(text), -1}}})
		}
	}
	if err := in.fill(1); err != nil || in.checksum() != r.file.Checksum {
		return r.changed(err)
	}
	if err := r.exec(ctx, "%s", r.after()); err != nil {
		return r.failed(err, batch{done: true})
	}
	return nil
}

// part gives the next bytes of the file; at its end it makes sure that there are no more.
func (s *source) part(length int) (text string, line int, err error) {
	if err := s.fill(length + 1); err != nil {
		return "", 0, err
	}
	text, line = s.take(min(length, len(s.rest)))
	return text, line, nil
}

func (r runner) changed(err error) error {
	failure := slipway.Errorf(slipway.Conflict, "%s changed after it was planned; nothing of it was applied",
		r.file.Name).Next("run migrate-diff plan again")
	if err != nil {
		failure = failure.Because(err)
	}
	return failure
}

// batch is a query of several statements, and where they came from.
type batch struct {
	query string
	text  string // the file's, or its chunk's
	line  int    // of the text's first byte
	parts []part
	seen  int  // how many statements are done
	done  bool // only the history row and COMMIT were left
	kept  bool // outside a transaction: an earlier statement of the file stays
}

// part says that text[from:to] stands at offset at of the query, and is that statement.
type part struct{ at, from, to, statement int }

// batch puts the file's statements, each with its marker, and the history row together.
func (r runner) batch(text string) batch {
	var query strings.Builder
	query.WriteString(r.before())
	b := batch{text: text, line: 1}
	for i, s := range r.file.Statements {
		b.parts = append(b.parts, part{query.Len(), s.from, s.to, i})
		query.WriteString(text[s.from:s.to])
		if i == len(r.file.Statements)-1 {
			query.WriteString("\n;")
		}
		fmt.Fprintf(&query, "SELECT %d AS %s;", i+1, marker)
	}
	query.WriteString(r.after())
	b.query = query.String()
	return b
}

// send runs a batch and counts the markers that come back.
func (r runner) send(ctx context.Context, b batch) error {
	rows, err := r.conn.QueryContext(ctx, b.query)
	if err != nil {
		return r.failed(err, b)
	}
	defer rows.Close()
	for more := true; more; more = rows.NextResultSet() {
		if columns, err := rows.Columns(); err == nil && len(columns) == 1 && columns[0] == marker {
			b.seen++
		}
		for rows.Next() {
			continue // what a migration selects is of no interest
		}
	}
	b.done = b.seen == len(r.file.Statements)
	if err := rows.Err(); err != nil {
		return r.failed(err, b)
	}
	return nil
}

// retried tries again where a lock was not to be had in time, or the server
// chose this transaction to end a deadlock: everybody behind in the queue goes first.
func (r runner) retried(ctx context.Context, run func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := run(ctx)
		if err == nil {
			return nil
		}
		r.rollBack(ctx)
		var answer *pq.Error
		if !errors.As(err, &answer) || !passing[string(answer.Code)] {
			return err
		}
		if attempt >= r.options.LockAttempts {
			return r.named(ctx, err)
		}
		logrus.Warnf("%s: %s; attempt %d of %d%s", r.file.Name, answer.Message, attempt, r.options.LockAttempts, r.whoHolds(ctx))
		if err := pause(ctx, min(time.Duration(attempt)*200*time.Millisecond, 2*time.Second)+rand.N(300*time.Millisecond)); err != nil {
			return err
		}
	}
}

// passing are lock_not_available, deadlock_detected and serialization_failure.
var passing = map[string]bool{"55P03": true, "40P01": true, "40001": true}

// rollBack ends the transaction, where the session still lives.
func (r runner) rollBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = r.exec(ctx, "ROLLBACK")
}

// named adds to an error who holds what the file needs.
func (r runner) named(ctx context.Context, err error) error {
	known := slipway.AsError(err)
	if who := r.whoHolds(ctx); who != "" {
		known.Why += who
	}
	return known
}

// whoHolds names those in the way, each with the table that it holds.
func (r runner) whoHolds(ctx context.Context) string {
	var all []string
	names, _, waited := Plan{Pending: []Migration{r.file}}.locked()
	for _, name := range names {
		holders, err := r.holders(ctx, name, waited[name])
		if err != nil {
			break
		}
		for _, holder := range holders {
			all = append(all, fmt.Sprintf("; %s: %s", name, holder))
		}
	}
	if slices.ContainsFunc(r.file.Statements, Statement.concurrent) {
		if snapshots, err := r.snapshots(ctx); err == nil {
			for _, holder := range snapshots {
				all = append(all, "; "+holder.String())
			}
		}
	}
	return strings.Join(all[:min(len(all), 5)], "")
}
