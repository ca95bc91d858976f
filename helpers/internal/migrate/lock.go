package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lib/pq"
	"github.com/sirupsen/logrus"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Lock takes the advisory lock. It asks again and again instead of waiting in
// the server: a session that waits holds a snapshot, on which CREATE INDEX
// CONCURRENTLY of the other runner waits in turn, and one of the two is killed.
func (d *Database) Lock(ctx context.Context, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for first := true; ; first = false {
		var taken bool
		if err := d.conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", d.place.key).Scan(&taken); err != nil {
			return d.explain(err)
		}
		if taken {
			return d.refusePooler(ctx)
		}
		if time.Now().After(deadline) {
			return slipway.Errorf(slipway.Conflict, "another run migrates this database").Because(errors.New(d.lockHolder(ctx))).
				Next("let it finish, then run this again: what it applies is not applied twice")
		}
		if first {
			logrus.Infof("waiting for another run: %s", d.lockHolder(ctx))
		}
		if err := pause(ctx, 100*time.Millisecond+rand.N(200*time.Millisecond)); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// refusePooler makes sure that the lock is this session's. Behind a pooler that
// lends a session to every transaction, a second connection that is in a
// transaction either has taken the first one's session, or has made the pooler
// give the first one another.
func (d *Database) refusePooler(ctx context.Context) error {
	pid := func(conn *sql.Conn) (pid int, err error) {
		err = conn.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid)
		return pid, err
	}
	before, err := pid(d.conn)
	if err != nil {
		return d.explain(err)
	}
	if other, err := d.pool.Conn(ctx); err == nil {
		defer other.Close()
		if _, err = other.ExecContext(ctx, "BEGIN"); err == nil {
			// This defer runs first: the connection goes back without a transaction.
			defer func() { _, _ = other.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") }()
			second, err := pid(other)
			if err == nil && second == before {
				return d.pooler()
			}
		} else if errors.As(err, new(*pq.Error)) {
			return d.pooler().Because(withoutSecrets(err, d.secrets...)) // a pool by statement
		}
	} // a role that may have one session only: what follows says enough
	after, err := pid(d.conn)
	if err != nil {
		return d.explain(err)
	}
	held, err := d.holdsLock(ctx)
	if err != nil {
		return err
	}
	if after != before || !held {
		return d.pooler()
	}
	return nil
}

const lockedBy = `l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.database = (SELECT oid FROM pg_database
	WHERE datname = current_database())
	AND (l.classid::bigint << 32 | l.objid::bigint) = $1`

func (d *Database) holdsLock(ctx context.Context) (held bool, err error) {
	err = d.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_locks l WHERE l.pid = pg_backend_pid() AND "+lockedBy+")",
		d.place.key).Scan(&held)
	return held, d.explain(err)
}

func (d *Database) lockHolder(ctx context.Context) string {
	var who string
	err := d.conn.QueryRowContext(ctx, `SELECT coalesce(nullif(a.application_name, ''), 'a session') || ' of ' || coalesce(a.usename, '?')
		|| ' from ' || coalesce(host(a.client_addr), 'the server itself')
		|| ', pid ' || a.pid || ', since ' || a.backend_start::timestamptz(0) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE `+lockedBy, d.place.key).Scan(&who)
	if err != nil {
		return "its session cannot be seen, or has just ended"
	}
	return who
}

// Unlock lets go of the advisory lock.
func (d *Database) Unlock(ctx context.Context) error {
	var released bool
	if err := d.conn.QueryRowContext(ctx, "SELECT pg_advisory_unlock($1)", d.place.key).Scan(&released); err != nil {
		return d.explain(err)
	}
	if !released {
		return fmt.Errorf("the migration's lock: %w", errLockLost)
	}
	return nil
}

var errLockLost = slipway.Errorf(slipway.Unknown, "the lock was lost on the way").Next("look at migrate-diff status: whatever it lists " +
	"was applied once")
