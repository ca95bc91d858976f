package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/lib/pq"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Database is one pinned connection: locks and settings belong to a session.
type Database struct {
	pool *sql.DB
	conn *sql.Conn
	host string
}

// Connect opens the connection that the address says, or, where it is empty,
// the PG* environment. The password is never part of an error.
func Connect(ctx context.Context, address string) (*Database, error) {
	host := os.Getenv("PGHOST")
	if address != "" {
		parsed, err := url.Parse(address)
		if err != nil || parsed.Scheme != "postgres" && parsed.Scheme != "postgresql" {
			return nil, slipway.Usagef("DATABASE_URL is no address of the form postgres://USER@HOST:PORT/DATABASE")
		}
		host = parsed.Host
	}
	if host == "" {
		return nil, slipway.Usagef("no database is named").Next("set PGHOST, PGDATABASE, PGUSER and PGPASSWORD, or DATABASE_URL")
	}
	connector, err := pq.NewConnector(address)
	if err != nil {
		return nil, slipway.Usagef("the database's address makes no sense").Because(scrub(err))
	}
	d := &Database{pool: sql.OpenDB(connector), host: host}
	attempt, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if d.conn, err = d.pool.Conn(attempt); err != nil {
		_ = d.pool.Close()
		return nil, explainConnection(err, host)
	}
	return d, nil
}

// Close gives the session back, and with it its locks.
func (d *Database) Close() {
	_ = d.conn.Close()
	_ = d.pool.Close()
}

func scrub(err error) error {
	text := err.Error()
	for _, secret := range []string{os.Getenv("PGPASSWORD"), os.Getenv("DATABASE_URL")} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "****")
		}
	}
	return errors.New(text)
}

// Error classes: https://www.postgresql.org/docs/15/errcodes-appendix.html
func explainConnection(err error, host string) error {
	var answer *pq.Error
	if errors.As(err, &answer) {
		switch answer.Code.Class() {
		case "28":
			return slipway.Errorf(slipway.Usage, "%s refuses the login of %s", host, os.Getenv("PGUSER")).Because(scrub(err)).Next("check PGUSER and PGPASSWORD")
		case "3D":
			return slipway.Errorf(slipway.Usage, "%s has no database %s", host, os.Getenv("PGDATABASE")).Because(scrub(err)).Next("check PGDATABASE")
		}
	}
	if errors.Is(err, pq.ErrSSLNotSupported) {
		return slipway.Errorf(slipway.Usage, "%s does not speak TLS, and without it the password would go in clear", host).Next("turn TLS on at the server, or say PGSSLMODE=disable inside a network that you trust")
	}
	return slipway.Errorf(slipway.Unknown, "the database at %s does not answer", host).Because(scrub(err)).Next("look whether it runs and whether it can be reached from here")
}

// Server is the major version.
func (d *Database) Server(ctx context.Context) (int, error) {
	var number int
	if err := d.conn.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&number); err != nil {
		return 0, explainConnection(err, d.host)
	}
	return number, nil
}

const historyTable = "schema_migrations"

// History reads what was applied. No table means nothing was; a table of the
// same name that another tool made is refused.
func (d *Database) History(ctx context.Context) ([]Applied, error) {
	var columns sql.NullString
	err := d.conn.QueryRowContext(ctx, `SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`, historyTable).Scan(&columns)
	if err != nil {
		return nil, explainConnection(err, d.host)
	}
	if !columns.Valid {
		return nil, nil
	}
	if !strings.HasPrefix(columns.String, "version name checksum ") {
		return nil, slipway.Errorf(slipway.Conflict, "the table %s is another tool's: its columns are %s", historyTable, columns.String).
			Next("rename it, and mark what it records as applied with: migrate-diff baseline VERSION")
	}
	rows, err := d.conn.QueryContext(ctx, `SELECT version, name, checksum, to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), applied_by, duration_ms, plan_id, commit FROM `+historyTable)
	if err != nil {
		return nil, explainConnection(err, d.host)
	}
	defer rows.Close()
	var history []Applied
	for rows.Next() {
		var row Applied
		if err := rows.Scan(&row.Version, &row.Name, &row.Checksum, &row.AppliedAt, &row.AppliedBy, &row.Duration, &row.PlanID, &row.Commit); err != nil {
			return nil, fmt.Errorf("reading %s: %w", historyTable, err)
		}
		history = append(history, row)
	}
	return history, rows.Err()
}

// key is the advisory lock's: one for each database, schema and history table.
const key = `('x' || left(md5('slipway ' || current_database() || ' ' || coalesce(current_schema(), '') || ' ` + historyTable + `'), 16))::bit(64)::bigint`

// Lock takes the advisory lock. It asks again and again instead of waiting in
// the server: a session that waits holds a snapshot, on which CREATE INDEX
// CONCURRENTLY of the other runner waits in turn, and one of the two is killed.
func (d *Database) Lock(ctx context.Context, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		var taken bool
		if err := d.conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock("+key+")").Scan(&taken); err != nil {
			return explainConnection(err, d.host)
		}
		if taken {
			return d.refusePooler(ctx)
		}
		if time.Now().After(deadline) {
			return slipway.Errorf(slipway.Conflict, "another run migrates this database (%s)", d.holder(ctx)).Next("let it finish, then run this again: what it applies is not applied twice")
		}
		pause := time.NewTimer(100*time.Millisecond + rand.N(200*time.Millisecond))
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// refusePooler makes sure that the lock is this session's: behind a pooler that
// gives a session to every transaction it is somebody else's.
func (d *Database) refusePooler(ctx context.Context) error {
	for range 3 {
		var own bool
		err := d.conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
			AND (classid::bigint << 32 | objid::bigint) = `+key+`)`).Scan(&own)
		if err != nil {
			return explainConnection(err, d.host)
		}
		if !own {
			return slipway.Errorf(slipway.Usage, "%s is a pooler that changes the session between transactions", d.host).Next("name PostgreSQL itself, or a pool in session mode")
		}
	}
	return nil
}

func (d *Database) holder(ctx context.Context) string {
	var who string
	err := d.conn.QueryRowContext(ctx, `SELECT coalesce(nullif(a.application_name, ''), a.usename) || ' from ' || coalesce(a.client_addr::text, 'the server itself') || ', since ' || a.backend_start::timestamp(0)
		FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32 | l.objid::bigint) = `+key).Scan(&who)
	if err != nil {
		return "its session cannot be seen"
	}
	return who
}

// Unlock lets go of the advisory lock.
func (d *Database) Unlock(ctx context.Context) error {
	var released bool
	if err := d.conn.QueryRowContext(ctx, "SELECT pg_advisory_unlock("+key+")").Scan(&released); err != nil {
		return explainConnection(err, d.host)
	}
	if !released {
		return slipway.Errorf(slipway.Unknown, "the migration's lock was lost on the way").Next("look at migrate-diff status: whatever it lists was applied once")
	}
	return nil
}
