package migrate

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/lib/pq"
)

// Table is one that a plan locks, as it is now.
type Table struct {
	Name     string   `json:"name"`
	Mode     string   `json:"mode"`  // the strongest lock that the plan takes on it
	Bytes    int64    `json:"bytes"` // with TOAST, without indexes
	Rows     int64    `json:"rows"`  // as estimated by the last ANALYZE; -1 where there was none
	Blockers []Holder `json:"blockers"`
}

// Holder is a session that holds what the plan needs.
type Holder struct {
	PID     int     `json:"pid"`
	Mode    string  `json:"mode"`
	State   string  `json:"state"` // such as idle in transaction
	Who     string  `json:"who"`
	Seconds float64 `json:"seconds"` // since its transaction began
}

func (h Holder) String() string {
	return fmt.Sprintf("pid %d (%s), %s, transaction open for %s, holds %s", h.PID, h.Who, h.State, (time.Duration(h.Seconds) * time.Second), h.Mode)
}

func (t Table) lines() []string {
	rows := "rows not estimated yet"
	if t.Rows >= 0 {
		rows = "about " + short(float64(t.Rows)) + " rows"
	}
	lines := []string{fmt.Sprintf("table    %s: %sB, %s", t.Name, short(float64(t.Bytes)), rows)}
	for _, holder := range t.Blockers {
		line := fmt.Sprintf("waits    for %s on %s", holder, t.Name)
		if t.Mode == accessExclusive {
			line += "; while it waits, everybody who reads the table queues behind it"
		}
		lines = append(lines, line)
	}
	return lines
}

// short writes 1234567 as 1.2 M.
func short(n float64) string {
	for _, unit := range []string{"", "k", "M", "G"} {
		if math.Abs(n) < 1000 {
			return fmt.Sprintf("%.3g %s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.3g T", n)
}

// locked are the tables that the pending statements lock, with the strongest mode.
func (p Plan) locked() (names []string, strongest map[string]string) {
	strongest = map[string]string{}
	for _, migration := range p.Pending {
		for _, s := range migration.Statements {
			for _, lock := range s.Locks {
				if lock.Index {
					continue
				}
				if _, known := strongest[lock.Table]; !known {
					names = append(names, lock.Table)
				}
				if strength(lock.Mode) > strength(strongest[lock.Table]) {
					strongest[lock.Table] = lock.Mode
				}
			}
		}
	}
	return names, strongest
}

// family are a table and its partitions: whoever locks it locks them.
const family = `SELECT to_regclass(name)::oid AS member UNION SELECT relid::oid FROM pg_partition_tree(to_regclass(name))`

// tables says how large the tables are and who would be waited for now. Those
// that do not exist are left out.
func (d *Database) tables(ctx context.Context, names []string, strongest map[string]string) ([]Table, error) {
	tables := []Table{}
	if len(names) == 0 {
		return tables, nil
	}
	rows, err := d.conn.QueryContext(ctx, `SELECT name, sum(pg_table_size(c.oid))::bigint, coalesce(sum(c.reltuples) FILTER (WHERE c.relkind <> 'p' AND c.reltuples >= 0), -1)::bigint
		FROM unnest($1::text[]) WITH ORDINALITY AS n(name, place), LATERAL (`+family+`) AS f JOIN pg_class c ON c.oid = f.member GROUP BY name, place ORDER BY place`, pq.Array(names))
	if err != nil {
		return nil, d.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		t := Table{Blockers: []Holder{}}
		if err := rows.Scan(&t.Name, &t.Bytes, &t.Rows); err != nil {
			return nil, fmt.Errorf("reading the tables' sizes: %w", err)
		}
		t.Mode = strongest[t.Name]
		tables = append(tables, t)
	}
	if err := rows.Err(); err != nil {
		return nil, d.explain(err)
	}
	for i := range tables {
		if tables[i].Blockers, err = d.holders(ctx, tables[i].Name, tables[i].Mode); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

// holders are the other sessions that hold a lock on the table which conflicts with mode.
func (d *Database) holders(ctx context.Context, table, mode string) ([]Holder, error) {
	rows, err := d.conn.QueryContext(ctx, `SELECT a.pid, l.mode, coalesce(nullif(a.state, ''), a.backend_type, 'unknown'),
			concat_ws(' of ', coalesce(nullif(a.application_name, ''), a.backend_type), a.usename),
			coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8
		FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.granted AND l.locktype = 'relation' AND l.pid <> pg_backend_pid() AND l.relation IN (SELECT f.member FROM (SELECT $1::text AS name) n, LATERAL (`+family+`) AS f)
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		ORDER BY a.xact_start LIMIT 20`, table)
	if err != nil {
		return nil, d.explain(err)
	}
	defer rows.Close()
	found := []Holder{}
	for rows.Next() {
		var h Holder
		if err := rows.Scan(&h.PID, &h.Mode, &h.State, &h.Who, &h.Seconds); err != nil {
			return nil, fmt.Errorf("reading who holds %s: %w", table, err)
		}
		if conflicts(h.Mode, mode) {
			found = append(found, h)
		}
	}
	return found, rows.Err()
}

// conflicts is the table of
// https://www.postgresql.org/docs/15/explicit-locking.html#TABLE-LOCK-COMPATIBILITY
func conflicts(a, b string) bool {
	x, y := min(strength(a), strength(b)), max(strength(a), strength(b))
	switch y {
	case 8: // ACCESS EXCLUSIVE
		return x >= 1
	case 7: // EXCLUSIVE
		return x >= 2
	case 6, 5: // SHARE ROW EXCLUSIVE; SHARE, which does not conflict with itself
		return x >= 3 && (y == 6 || x != 5)
	case 4: // SHARE UPDATE EXCLUSIVE
		return x == 4
	}
	return false
}
