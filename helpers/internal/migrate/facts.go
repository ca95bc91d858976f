package migrate

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/lib/pq"
)

// Table is one that a plan locks, as it is now.
type Table struct {
	Name     string   `json:"name"`
	Index    bool     `json:"index,omitempty"`
	Mode     string   `json:"mode"`  // the strongest lock that the plan takes on it
	Bytes    int64    `json:"bytes"` // with TOAST, without indexes
	Rows     int64    `json:"rows"`  // as estimated by the last ANALYZE; -1 where there was none
	Blockers []Holder `json:"blockers"`
}

func (t Table) lines() []string {
	rows := "rows not estimated yet"
	if t.Rows >= 0 {
		rows = "about " + short(float64(t.Rows)) + " rows"
	}
	what := "table"
	if t.Index {
		what, rows = "index", "every query on its table waits for the lock on it"
	}
	lines := []string{fmt.Sprintf("%-8s %s: %sB, %s", what, t.Name, short(float64(t.Bytes)), rows)}
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

// locked are the tables that the pending statements lock, with the strongest mode; and the mode
// whose holders are waited for, which CONCURRENTLY does without taking it.
func (p Plan) locked() (names []string, strongest, waited map[string]string) {
	strongest, waited = map[string]string{}, map[string]string{}
	for _, migration := range p.Pending {
		for _, s := range migration.Statements {
			for _, lock := range s.Locks {
				if lock.folded(s.Locks) {
					continue
				}
				if _, known := strongest[lock.Table]; !known {
					names = append(names, lock.Table)
				}
				if strength(lock.Mode) > strength(strongest[lock.Table]) {
					strongest[lock.Table] = lock.Mode
				}
				if mode := s.waitsFor(lock.Mode); strength(mode) > strength(waited[lock.Table]) {
					waited[lock.Table] = mode
				}
			}
		}
	}
	return names, strongest, waited
}

// waitsFor is the mode of which a statement waits for every conflicting lock: CREATE INDEX
// CONCURRENTLY for writers, the others for whoever uses the table.
// WaitForLockers in PostgreSQL's src/backend/commands/indexcmds.c, catalog/index.c and commands/tablecmds.c
func (s Statement) waitsFor(mode string) string {
	switch {
	case !s.concurrent():
		return mode
	case s.Kind == "CREATE INDEX CONCURRENTLY":
		return share
	}
	return accessExclusive
}

// folded says that a lock is spoken of with another one: a partition that is locked as
// its partitioned table is.
func (l Lock) folded(all []Lock) bool {
	return l.Of != "" && !l.Index && slices.ContainsFunc(all, func(other Lock) bool { return other.Table == l.Of && other.Mode == l.Mode })
}

// family are a table and its partitions: whoever locks it locks them.
const family = `SELECT to_regclass(name)::oid AS member UNION SELECT relid::oid FROM pg_partition_tree(to_regclass(name))`

// sizeOf is a table's size without waiting for whoever holds ACCESS EXCLUSIVE on it:
// then it is that of the last VACUUM or ANALYZE.
const sizeOf = `CASE WHEN EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'relation' AND l.relation = c.oid
	AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid())
	THEN c.relpages::bigint * current_setting('block_size')::bigint ELSE pg_table_size(c.oid) END`

// tables says how large the tables are and who would be waited for now. Those
// that do not exist are left out.
func (d *Database) tables(ctx context.Context, names []string, strongest, waited map[string]string) ([]Table, error) {
	tables := []Table{}
	if len(names) == 0 {
		return tables, nil
	}
	rows, err := d.conn.QueryContext(ctx, `SELECT name, sum(`+sizeOf+`)::bigint, bool_or(c.relkind IN ('i', 'I')),
			coalesce(sum(c.reltuples) FILTER (WHERE c.relkind <> 'p' AND c.reltuples >= 0), -1)::bigint
		FROM unnest($1::text[]) WITH ORDINALITY AS n(name, place), LATERAL (`+family+`) AS f
			JOIN pg_class c ON c.oid = f.member GROUP BY name, place ORDER BY place`, pq.Array(names))
	if err != nil {
		return nil, d.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		t := Table{Blockers: []Holder{}}
		if err := rows.Scan(&t.Name, &t.Bytes, &t.Index, &t.Rows); err != nil {
			return nil, fmt.Errorf("reading the tables' sizes: %w", err)
		}
		t.Mode = strongest[t.Name]
		tables = append(tables, t)
	}
	if err := rows.Err(); err != nil {
		return nil, d.explain(err)
	}
	for i := range tables {
		if tables[i].Blockers, err = d.holders(ctx, tables[i].Name, waited[tables[i].Name]); err != nil {
			return nil, err
		}
	}
	return tables, nil
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
