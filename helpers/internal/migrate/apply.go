package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/lib/pq"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Options of one application.
type Options struct {
	PlanID      string // refuse any other plan; empty takes what is there
	OutOfOrder  bool
	LockWait    time.Duration // for another runner
	LockTimeout time.Duration // for the locks of one file, before it is tried again
	AppliedBy   string
	Commit      string
	Report      func(format string, arguments ...any) // told after each file
}

// Outcome is what apply answers.
type Outcome struct {
	PlanID  string   `json:"planId"`
	Applied []string `json:"applied"` // the files' names
	Current string   `json:"current"`
}

// Text tells it in one line.
func (o Outcome) Text(out io.Writer) error {
	if len(o.Applied) == 0 {
		_, err := fmt.Fprintf(out, "nothing was pending: the database is at %s\n", orNothing(o.Current))
		return err
	}
	_, err := fmt.Fprintf(out, "applied %s: the database is at %s\n", strings.Join(o.Applied, ", "), o.Current)
	return err
}

// Env tells it to a pipeline.
func (o Outcome) Env() []slipway.Pair {
	return []slipway.Pair{{Key: "PLAN_ID", Value: o.PlanID}, {Key: "APPLIED", Value: strings.Join(o.Applied, " ")}, {Key: "CURRENT", Value: o.Current}}
}

const createHistory = `CREATE TABLE IF NOT EXISTS ` + historyTable + ` (
	version text PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
	applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), applied_by text NOT NULL,
	duration_ms bigint NOT NULL, plan_id text NOT NULL, commit text NOT NULL);
CREATE TABLE IF NOT EXISTS ` + progressTable + ` (version text PRIMARY KEY, checksum text NOT NULL, statement int NOT NULL)`

// progressTable holds, while a file runs outside a transaction, which of its
// statements was begun last.
const progressTable = "schema_migrations_progress"

// Plan computes what is pending in this database.
func (d *Database) Plan(ctx context.Context, files []Migration, outOfOrder bool) (Plan, error) {
	server, err := d.Server(ctx)
	if err != nil {
		return Plan{}, err
	}
	history, err := d.History(ctx)
	if err != nil {
		return Plan{}, err
	}
	return Compute(files, history, server, outOfOrder)
}

// Apply takes the database through what is pending, one runner at a time. What
// was applied before an error stays applied, and the answer names it.
func (d *Database) Apply(ctx context.Context, files []Migration, options Options) (outcome Outcome, err error) {
	if err := d.Lock(ctx, options.LockWait); err != nil {
		return outcome, err
	}
	defer func() {
		// Also after a cancelled context the lock goes back; with the session it would in any case.
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if unlockErr := d.Unlock(release); err == nil {
			err = unlockErr
		}
	}()
	plan, err := d.Plan(ctx, files, options.OutOfOrder)
	outcome = Outcome{PlanID: plan.ID, Applied: []string{}, Current: plan.Current}
	if err != nil {
		return outcome, err
	}
	if options.PlanID != "" && options.PlanID != plan.ID {
		return outcome, slipway.Errorf(slipway.Conflict, "the plan %s was approved, and the plan is now %s", options.PlanID, plan.ID).
			Because(errors.New(plan.Summary())).Next("look at the new plan and approve it: migrate-diff plan")
	}
	if len(plan.Pending) == 0 {
		return outcome, nil
	}
	if err := d.prepare(ctx); err != nil {
		return outcome, err
	}
	for _, file := range plan.Pending {
		start := time.Now()
		record := func() string {
			return fmt.Sprintf("INSERT INTO %s (version, name, checksum, applied_by, duration_ms, plan_id, commit) VALUES (%s, %s, %s, %s, %d, %s, %s)", historyTable,
				pq.QuoteLiteral(file.Version), pq.QuoteLiteral(file.Name), pq.QuoteLiteral(file.Checksum), pq.QuoteLiteral(options.AppliedBy),
				time.Since(start).Milliseconds(), pq.QuoteLiteral(plan.ID), pq.QuoteLiteral(options.Commit))
		}
		if file.Alone {
			err = d.applyAlone(ctx, file, record)
		} else {
			err = d.applyInTransaction(ctx, file, options.LockTimeout, start, record)
		}
		if err != nil {
			return outcome, err
		}
		outcome.Applied, outcome.Current = append(outcome.Applied, file.Name), file.Version
		if options.Report != nil {
			options.Report("applied %s in %s", file.Name, time.Since(start).Round(time.Millisecond))
		}
	}
	return outcome, nil
}

// prepare makes the history's tables, and lets the server notice that this
// runner was killed: else its last statement would go on, and commit, without it.
func (d *Database) prepare(ctx context.Context) error {
	if _, err := d.conn.ExecContext(ctx, "SET client_connection_check_interval = '1s'"); err != nil {
		return explainConnection(err, d.host)
	}
	if _, err := d.conn.ExecContext(ctx, createHistory); err != nil {
		return slipway.Errorf(slipway.Usage, "the table %s cannot be made", historyTable).Because(err).Next("give the role the right to create tables in its schema")
	}
	return nil
}

const lockAttempts = 5

// applyInTransaction runs the file and its history row as one transaction, in
// one round trip. Where a lock is not to be had in time, everybody behind in the
// queue goes first, and the whole file is tried again.
func (d *Database) applyInTransaction(ctx context.Context, file Migration, lockTimeout time.Duration, start time.Time, record func() string) error {
	prologue := fmt.Sprintf("BEGIN; SET LOCAL lock_timeout = %d;\n", lockTimeout.Milliseconds())
	for attempt := 1; ; attempt++ {
		_, err := d.conn.ExecContext(ctx, prologue+file.SQL+"\n;"+record()+"; COMMIT")
		if err == nil {
			return nil
		}
		rollback, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		_, rollbackErr := d.conn.ExecContext(rollback, "ROLLBACK")
		cancel()
		var answer *pq.Error
		if !errors.As(err, &answer) || rollbackErr != nil {
			return unknownOutcome(file, err)
		}
		// 55P03 lock_not_available, 40P01 deadlock_detected
		if (answer.Code != "55P03" && answer.Code != "40P01") || attempt == lockAttempts {
			return statementError(file, answer, len(prologue), 0)
		}
		pause := time.NewTimer(time.Duration(attempt)*200*time.Millisecond + rand.N(300*time.Millisecond))
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// applyAlone runs the statements one by one outside a transaction, and notes
// before each that it is begun: a later run goes on there.
func (d *Database) applyAlone(ctx context.Context, file Migration, record func() string) error {
	first, resumed, err := d.progress(ctx, file)
	if err != nil {
		return err
	}
	for i := first; i < len(file.Statements); i++ {
		statement := file.Statements[i]
		if _, err := d.conn.ExecContext(ctx, `INSERT INTO `+progressTable+` VALUES ($1, $2, $3) ON CONFLICT (version) DO UPDATE SET checksum = $2, statement = $3`, file.Version, file.Checksum, i); err != nil {
			return unknownOutcome(file, err)
		}
		if statement.index != "" {
			done, err := d.leftover(ctx, statement, resumed && i == first)
			if err != nil {
				return err
			}
			if done {
				continue
			}
		}
		if _, err := d.conn.ExecContext(ctx, statement.SQL); err != nil {
			var answer *pq.Error
			if errors.As(err, &answer) {
				return statementError(file, answer, 0, statement.Line-1)
			}
			return unknownOutcome(file, err)
		}
	}
	if _, err := d.conn.ExecContext(ctx, "BEGIN; "+record()+"; DELETE FROM "+progressTable+" WHERE version = "+pq.QuoteLiteral(file.Version)+"; COMMIT"); err != nil {
		return unknownOutcome(file, err)
	}
	return nil
}

func (d *Database) progress(ctx context.Context, file Migration) (statement int, resumed bool, err error) {
	var checksum string
	err = d.conn.QueryRowContext(ctx, "SELECT checksum, statement FROM "+progressTable+" WHERE version = $1", file.Version).Scan(&checksum, &statement)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, false, nil
	case err != nil:
		return 0, false, explainConnection(err, d.host)
	case checksum != file.Checksum:
		return 0, false, slipway.Errorf(slipway.Conflict, "%s was begun by an earlier run, and was changed since", file.Name).Next("restore the file as it was")
	}
	return statement, true, nil
}

// leftover looks for an index of the statement's name. An invalid one is what an
// interrupted CREATE INDEX CONCURRENTLY leaves, and is dropped; a valid one is
// done where this very statement was begun before.
// https://www.postgresql.org/docs/15/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
func (d *Database) leftover(ctx context.Context, statement Statement, begun bool) (done bool, err error) {
	var valid bool
	var name string
	schema := ""
	if before, _, found := strings.Cut(statement.Table, "."); found {
		schema = pq.QuoteIdentifier(before) + "."
	}
	err = d.conn.QueryRowContext(ctx, "SELECT indisvalid, indexrelid::regclass::text FROM pg_index WHERE indexrelid = to_regclass($1)", schema+pq.QuoteIdentifier(statement.index)).Scan(&valid, &name)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, explainConnection(err, d.host)
	}
	if valid {
		return begun, nil
	}
	if _, err := d.conn.ExecContext(ctx, "DROP INDEX CONCURRENTLY "+name); err != nil {
		return false, slipway.Errorf(slipway.No, "the invalid index %s, left by an interrupted run, cannot be dropped", name).Because(err).Next("drop it by hand: DROP INDEX CONCURRENTLY %s", name)
	}
	return false, nil
}

// statementError says where in the file PostgreSQL stopped. prefix is the
// length of what was sent before the file, line how many lines of it were not.
func statementError(file Migration, answer *pq.Error, prefix, line int) error {
	where := file.Name
	var position int
	if _, err := fmt.Sscan(answer.Position, &position); err == nil && position > prefix {
		text := file.SQL
		if line > 0 {
			text = strings.Join(strings.SplitAfter(file.SQL, "\n")[line:], "")
		}
		offset := byteOffset(text, position-prefix-1)
		where = fmt.Sprintf("%s:%d:%d", file.Name, lineOf(text, offset)+line, columnOf(text, offset))
	}
	next := "mend the file; nothing of it was applied"
	switch {
	case answer.Code == "55P03":
		next = "somebody holds the table: look for long transactions in pg_stat_activity, and run this again; nothing of the file was applied"
	case file.Alone:
		next = "mend the cause and run this again: it goes on at this statement"
	}
	cause := answer.Message
	if answer.Detail != "" {
		cause += ": " + answer.Detail
	}
	return slipway.Errorf(slipway.No, "%s failed: SQLSTATE %s", where, answer.Code).Because(errors.New(cause)).Next("%s", next)
}

func unknownOutcome(file Migration, err error) error {
	if errors.Is(err, context.Canceled) {
		return slipway.Errorf(slipway.Unknown, "stopped while %s ran", file.Name).Next("run it again: what was applied is recorded, and is not applied twice")
	}
	return slipway.Errorf(slipway.Unknown, "the connection was lost while %s ran", file.Name).Because(scrub(err)).Next("run it again: what was applied is recorded, and is not applied twice")
}
