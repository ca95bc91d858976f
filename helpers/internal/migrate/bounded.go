package migrate

// What migrate-diff itself asks of the database is bounded: a session that holds
// ACCESS EXCLUSIVE on a table must not keep a plan waiting.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lib/pq"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// ownLockWait is how long a query of migrate-diff itself waits for a lock.
const ownLockWait = 3 * time.Second

// bounded runs what only reads. Compiling a query that reads a few rows of the
// catalog would cost seconds (jit).
func (d *Database) bounded(ctx context.Context, read func() error) error {
	if err := d.exec(ctx, "SET jit = off; SET lock_timeout = %d; SET statement_timeout = '60s'", ownLockWait.Milliseconds()); err != nil {
		return d.explain(err)
	}
	err := d.heldUp(ctx, read())
	restore, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if resetErr := d.exec(restore, "RESET jit; RESET lock_timeout; RESET statement_timeout"); err == nil {
		err = d.explain(resetErr)
	}
	return err
}

// heldUp names who holds the table of the history, where that is why a query ended.
func (d *Database) heldUp(ctx context.Context, err error) error {
	var answer *pq.Error
	if !errors.As(err, &answer) || answer.Code != "55P03" && answer.Code != "57014" {
		return err
	}
	var names string
	for _, table := range []string{d.place.table, d.place.progress} {
		holders, lookErr := d.holders(ctx, table, accessShare)
		if lookErr != nil {
			break
		}
		for _, holder := range holders {
			names += fmt.Sprintf("; %s: %s", table, holder)
		}
	}
	why := answer.Message + names
	return slipway.Errorf(slipway.Unknown, "a query of migrate-diff itself waited for more than %s", ownLockWait).Because(errors.New(why)).
		Next("let the session that holds the table end, or end it: SELECT pg_terminate_backend(PID); then run this again")
}
