package migrate

// Who holds what a statement needs: sessions, prepared transactions, old snapshots,
// and replication slots that keep what is written.

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Holder is a session, or a prepared transaction, that holds what the plan needs.
type Holder struct {
	PID     int     `json:"pid"`            // 0 of a prepared transaction
	GID     string  `json:"gid,omitempty"`  // of a prepared transaction
	Mode    string  `json:"mode,omitempty"` // empty where a snapshot is what is waited for
	State   string  `json:"state"`          // such as idle in transaction
	Who     string  `json:"who"`
	Seconds float64 `json:"seconds"` // since its transaction began
}

func (h Holder) String() string {
	open := (time.Duration(h.Seconds) * time.Second).String()
	switch {
	case h.GID != "":
		return fmt.Sprintf("the prepared transaction '%s' of %s, prepared %s ago, holds %s (COMMIT PREPARED or ROLLBACK PREPARED '%s' ends "+
			"it)", h.GID, h.Who, open, lockName(h.Mode), h.GID)
	case h.Mode == "":
		return fmt.Sprintf("pid %d (%s), %s, transaction open for %s, has an older snapshot", h.PID, h.Who, h.State, open)
	}
	return fmt.Sprintf("pid %d (%s), %s, transaction open for %s, holds %s", h.PID, h.Who, h.State, open, lockName(h.Mode))
}

// stateOf a session; an autovacuum against wraparound does not give way to others.
const stateOf = `CASE WHEN a.query LIKE '%(to prevent wraparound)%'
	THEN 'autovacuum to prevent wraparound, which does not give way' ELSE coalesce(nullif(a.state, ''), a.backend_type, 'unknown') END`

const (
	who     = `concat_ws(' of ', coalesce(nullif(a.application_name, ''), a.backend_type), a.usename)`
	seconds = `coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8`
	here    = `(SELECT oid FROM pg_database WHERE datname = current_database())`
)

// holders are the others that hold a lock on the table which conflicts with mode.
func (d *Database) holders(ctx context.Context, table, mode string) ([]Holder, error) {
	const on = `l.granted AND l.locktype = 'relation' AND l.database = ` + here +
		` AND l.relation IN (SELECT f.member FROM (SELECT $1::text AS name) n, LATERAL (` + family + `) AS f)`
	found, err := d.listHolders(ctx, `SELECT a.pid, '', l.mode, `+stateOf+`, `+who+`, `+seconds+` AS open
		FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.pid <> pg_backend_pid() AND `+on+`
		UNION ALL SELECT 0, p.gid, l.mode, 'prepared', p.owner, extract(epoch FROM clock_timestamp() - p.prepared)::float8
		FROM pg_locks l JOIN pg_locks x ON x.pid IS NULL AND x.locktype = 'transactionid' AND x.virtualtransaction = l.virtualtransaction
			JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
		WHERE l.pid IS NULL AND `+on+` ORDER BY 6 DESC LIMIT 20`, table)
	return slices.DeleteFunc(found, func(h Holder) bool { return !conflicts(h.Mode, mode) }), err
}

// snapshots are the sessions of this database whose snapshot CONCURRENTLY waits for,
// whatever table they read: WaitForOlderSnapshots in PostgreSQL's src/backend/commands/indexcmds.c.
func (d *Database) snapshots(ctx context.Context) ([]Holder, error) {
	return d.listHolders(ctx, `SELECT a.pid, '', '', `+stateOf+`, `+who+`, `+seconds+` FROM pg_stat_activity a
		WHERE a.pid <> pg_backend_pid() AND a.datname = current_database() AND a.backend_xmin IS NOT NULL
			AND a.backend_type NOT LIKE 'autovacuum%'
			AND a.xact_start < clock_timestamp() - $1::interval ORDER BY 6 DESC LIMIT 20`, "1 second")
}

// slots are the replication slots that nobody reads: what the plan writes stays on disk.
func (d *Database) slots(ctx context.Context) (lines []string, err error) {
	rows, err := d.conn.QueryContext(ctx, `SELECT slot_name, coalesce(CASE WHEN NOT pg_is_in_recovery()
		THEN pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) END, 0)::float8
		FROM pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL ORDER BY 2 DESC LIMIT 5`)
	if err != nil {
		return nil, d.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var bytes float64
		if err := rows.Scan(&name, &bytes); err != nil {
			return nil, fmt.Errorf("reading the replication slots: %w", err)
		}
		lines = append(lines, fmt.Sprintf("the replication slot %s is not active and retains %sB of WAL: what this plan writes stays on the "+
			"server's disk too", name, short(bytes)))
	}
	return lines, d.explain(rows.Err())
}

func (d *Database) listHolders(ctx context.Context, query string, arguments ...any) ([]Holder, error) {
	rows, err := d.conn.QueryContext(ctx, query, arguments...)
	if err != nil {
		return nil, d.explain(err)
	}
	defer rows.Close()
	found := []Holder{}
	for rows.Next() {
		var h Holder
		if err := rows.Scan(&h.PID, &h.GID, &h.Mode, &h.State, &h.Who, &h.Seconds); err != nil {
			return nil, fmt.Errorf("reading who holds a lock: %w", err)
		}
		found = append(found, h)
	}
	return found, d.explain(rows.Err())
}

// concurrent says whether a statement waits for the snapshots of others.
func (s Statement) concurrent() bool { return strings.HasSuffix(s.Kind, "CONCURRENTLY") && s.Alone }

// facts reads what stands in the way of the plan now.
func (d *Database) facts(ctx context.Context, p *Plan) (err error) {
	names, strongest, waited := p.locked()
	if p.Tables, err = d.tables(ctx, names, strongest, waited); err != nil || len(p.Pending) == 0 {
		return err
	}
	for _, migration := range p.Pending {
		if slices.ContainsFunc(migration.Statements, Statement.concurrent) {
			if p.Snapshots, err = d.snapshots(ctx); err != nil {
				return err
			}
		}
	}
	p.Slots, err = d.slots(ctx)
	return err
}
