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

// tables says how large the tables are and who would be waited for now. Those
// that do not exist are left out.
func (d *Database) tables(ctx context.Context, names []string, strongest map[string]string) ([]Table, error) {
	tables := []Table{}
	if len(names) == 0 {
		return tables, nil
	}
	rows, err := d.conn.QueryContext(ctx, `SELECT name, coalesce(pg_table_size(c.oid), 0), c.reltuples::bigint
		FROM unnest($1::text[]) WITH ORDINALITY AS n(name, place) JOIN pg_class c ON c.oid = to_regclass(name) ORDER BY place`, pq.Array(names))
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
		WHERE l.granted AND l.locktype = 'relation' AND l.pid <> pg_backend_pid() AND l.relation = to_regclass($1)
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

// catalog reads what review needs of the tables, functions and indexes that the migrations name.
func (d *Database) catalog(ctx context.Context, migrations []Migration) (catalog, error) {
	known := catalog{columns: map[string]column{}, proven: map[string]bool{}, checks: map[string]string{}, volatile: map[string]bool{}, indexes: map[string]string{}}
	var tables, functions, indexes []string
	for _, migration := range migrations {
		for _, s := range migration.Statements {
			for _, lock := range s.Locks {
				if lock.Index {
					indexes = append(indexes, lock.Table)
				} else if len(s.made.types)+len(s.made.notNull) > 0 || s.made.validated != "" {
					tables = append(tables, lock.Table)
				}
			}
			functions = append(functions, s.made.functions...)
		}
	}
	for _, query := range []struct {
		names []string
		sql   string
		take  func(a, b, c string, yes bool)
	}{
		{tables, `SELECT n.name, a.attname, t.typname || ' ' || format_type(a.atttypid, a.atttypmod), a.attnotnull
			FROM unnest($1::text[]) n(name) JOIN pg_attribute a ON a.attrelid = to_regclass(n.name) AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type t ON t.oid = a.atttypid`,
			func(table, name, kind string, notNull bool) {
				at, formatted := cutWord(kind)
				known.columns[table+" "+name] = column{declared(at, formatted), notNull}
			}},
		{tables, `SELECT n.name, c.conname, a.attname, c.convalidated FROM unnest($1::text[]) n(name)
			JOIN pg_constraint c ON c.conrelid = to_regclass(n.name) AND c.contype = 'c' AND array_length(c.conkey, 1) = 1
			JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
			WHERE pg_get_constraintdef(c.oid) IN (format('CHECK ((%I IS NOT NULL))', a.attname), format('CHECK ((%I IS NOT NULL)) NOT VALID', a.attname))`,
			func(table, name, column string, validated bool) {
				known.checks[table+" "+name] = column
				known.proven[table+" "+column] = known.proven[table+" "+column] || validated
			}},
		{functions, `SELECT proname, '', '', bool_or(provolatile = 'v') FROM pg_proc WHERE proname = ANY($1) GROUP BY 1`,
			func(name, _, _ string, yes bool) { known.volatile[name] = yes }},
		{indexes, `SELECT n.name, i.indrelid::regclass::text, '', true FROM unnest($1::text[]) n(name) JOIN pg_index i ON i.indexrelid = to_regclass(n.name)`,
			func(index, table, _ string, _ bool) { known.indexes[index] = table }},
	} {
		if len(query.names) == 0 {
			continue
		}
		if err := d.each(ctx, query.sql, pq.Array(query.names), query.take); err != nil {
			return known, err
		}
	}
	return known, nil
}

func cutWord(text string) (first, rest string) {
	for i := range text {
		if text[i] == ' ' {
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

func (d *Database) each(ctx context.Context, query string, names any, take func(a, b, c string, yes bool)) error {
	rows, err := d.conn.QueryContext(ctx, query, names)
	if err != nil {
		return d.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var a, b, c string
		var yes bool
		if err := rows.Scan(&a, &b, &c, &yes); err != nil {
			return fmt.Errorf("reading the catalog: %w", err)
		}
		take(a, b, c, yes)
	}
	return rows.Err()
}
