package migrate

// What a server really does with a statement: the locks that its session holds, the
// tables that get a new file, and those that are read from end to end.

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lib/pq"
)

// relationNow is a relation that others can use before a statement runs.
type relationNow struct {
	name, kind string
	filenode   int64
	heap       int64 // of an index
	scans      int64 // that the session has counted already, and not yet reported
}

// isTable says whether it has rows.
func (r relationNow) isTable() bool { return strings.Contains("rpm", r.kind) }

// shows is what a server did: the strongest lock on each relation beyond ACCESS SHARE,
// and the tables that were rewritten, or read under such a lock.
type shows struct {
	locks              map[string]string
	rewritten, scanned []string
}

// observer sees what a session does to the relations that were there before.
type observer struct {
	conn   *sql.Conn
	before map[int64]relationNow
	held   map[int64]string // by relation: the strongest mode that the transaction has taken
}

const relationsNow = `SELECT c.oid::bigint, c.oid::regclass::text, c.relkind, coalesce(pg_relation_filenode(c.oid), 0)::bigint,
	coalesce(i.indrelid, 0)::bigint
	FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE c.oid >= 16384 AND c.relkind <> 't' AND c.relpersistence <> 't'
	AND c.relnamespace NOT IN ('information_schema'::regnamespace, 'pg_toast'::regnamespace)`

const locksNow = `SELECT l.relation::bigint, string_agg(l.mode, ' '), coalesce(pg_relation_filenode(l.relation), 0)::bigint,
	coalesce(pg_stat_get_xact_numscans(l.relation), 0)
	FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.relation >= 16384 GROUP BY 1, l.relation`

// newObserver notes the relations that there are.
func newObserver(ctx context.Context, conn *sql.Conn) (*observer, error) {
	o := &observer{conn: conn, before: map[int64]relationNow{}}
	rows, err := conn.QueryContext(ctx, relationsNow)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var oid int64
		var r relationNow
		if err := rows.Scan(&oid, &r.name, &r.kind, &r.filenode, &r.heap); err != nil {
			return nil, err
		}
		o.before[oid] = r
	}
	return o, rows.Err()
}

// begin is called in a new transaction: nothing is held, and what earlier ones have read does not count.
func (o *observer) begin(ctx context.Context) error {
	o.held = map[int64]string{}
	rows, err := o.conn.QueryContext(ctx, "SELECT c.oid::bigint, pg_stat_get_xact_numscans(c.oid) FROM pg_class c WHERE c.oid >= 16384 "+
		"AND pg_stat_get_xact_numscans(c.oid) > 0")
	if err != nil {
		return err
	}
	defer rows.Close()
	for oid, relation := range o.before {
		relation.scans = 0
		o.before[oid] = relation
	}
	for rows.Next() {
		var oid, scans int64
		if err := rows.Scan(&oid, &scans); err != nil {
			return err
		}
		if relation, known := o.before[oid]; known {
			relation.scans = scans
			o.before[oid] = relation
		}
	}
	return rows.Err()
}

// look gives what the transaction has taken, rewritten and read since the last look.
func (o *observer) look(ctx context.Context) (shows, error) {
	rows, err := o.conn.QueryContext(ctx, locksNow)
	if err != nil {
		return shows{}, err
	}
	defer rows.Close()
	var found shows
	taken, strongest := map[int64]string{}, map[int64]string{}
	for rows.Next() {
		var oid, filenode, scans int64
		var held string
		if err := rows.Scan(&oid, &held, &filenode, &scans); err != nil {
			return found, err
		}
		relation, known := o.before[oid]
		if !known {
			continue
		}
		for _, mode := range strings.Fields(held) {
			if strength(mode) > strength(strongest[oid]) {
				strongest[oid] = mode
			}
		}
		if strength(strongest[oid]) > strength(o.held[oid]) {
			taken[oid] = strongest[oid]
		}
		if relation.isTable() && strength(strongest[oid]) > strength(accessShare) {
			if filenode != 0 && filenode != relation.filenode {
				found.rewritten = append(found.rewritten, relation.name)
			}
			if scans > relation.scans {
				found.scanned = append(found.scanned, relation.name)
			}
		}
		relation.filenode, relation.scans = filenode, scans
		o.before[oid] = relation
	}
	found.locks = o.spoken(taken, strongest)
	maps.Copy(o.held, strongest)
	slices.Sort(found.rewritten)
	slices.Sort(found.scanned)
	return found, rows.Err()
}

// spoken leaves out what stops nobody: ACCESS SHARE, and locks on an index that are
// weaker than ACCESS EXCLUSIVE, or than that on its table.
func (o *observer) spoken(taken, held map[int64]string) map[string]string {
	locks := map[string]string{}
	for oid, mode := range taken {
		relation := o.before[oid]
		isIndex := relation.heap != 0
		if strength(mode) <= strength(accessShare) || isIndex && (mode != accessExclusive || held[relation.heap] == accessExclusive) {
			continue
		}
		locks[relation.name] = mode
	}
	return locks
}

// oids gives the relations of the names that a plan uses, of those that were there before.
func (o *observer) oids(ctx context.Context, names []string) (map[string]int64, error) {
	found := map[string]int64{}
	rows, err := o.conn.QueryContext(ctx, "SELECT DISTINCT n, to_regclass(n)::oid::bigint FROM unnest($1::text[]) n WHERE to_regclass(n) "+
		"IS NOT NULL", pq.Array(names))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var oid int64
		if err := rows.Scan(&name, &oid); err != nil {
			return nil, fmt.Errorf("reading the names of relations: %w", err)
		}
		if _, known := o.before[oid]; known {
			found[name] = oid
		}
	}
	return found, rows.Err()
}

// claimed is what a statement is said to lock, by the names of the relations that were there before.
func (o *observer) claimed(s Statement, oids map[string]int64) map[string]string {
	strongest := map[int64]string{}
	for _, lock := range s.Locks {
		if oid, known := oids[lock.Table]; known && strength(lock.Mode) > strength(strongest[oid]) {
			strongest[oid] = lock.Mode
		}
	}
	return o.spoken(strongest, strongest)
}

// against says how a claim differs from what was done, and whether it is silent about an
// ACCESS EXCLUSIVE or a rewrite. TRUNCATE gives a table a new file, which costs nothing and
// is not called a rewrite; it reads what is empty by then.
func (s Statement) against(claim map[string]string, real shows) (what []string, silent bool) {
	for table, mode := range real.locks {
		if claim[table] != mode {
			what = append(what, fmt.Sprintf("%s on %s, claimed %s", lockName(mode), table, orNone(lockName(claim[table]))))
			silent = silent || mode == accessExclusive
		}
	}
	for table, mode := range claim {
		if real.locks[table] == "" {
			what = append(what, fmt.Sprintf("claimed %s on %s, not locked", lockName(mode), table))
		}
	}
	slices.Sort(what)
	if s.Kind == "TRUNCATE" {
		return what, silent
	}
	rewrites, scans := len(real.rewritten) > 0, len(real.scanned) > 0
	if rewrites != s.Rewrites {
		what = append(what, fmt.Sprintf("rewrites %t, claimed %t", rewrites, s.Rewrites))
		silent = silent || rewrites
	}
	if scans != (s.Scans || s.Rewrites) && !rewrites {
		what = append(what, fmt.Sprintf("reads whole tables %t, claimed %t", scans, s.Scans))
	}
	return what, silent
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// beside puts what was seen beside the claim. What an earlier statement of the file has
// locked already may be claimed by this one, too.
func (o *observer) beside(seen *Observed, s Statement, oids map[string]int64, real shows, held map[string]string) {
	for name, mode := range real.locks {
		seen.Locks = append(seen.Locks, o.lockOf(name, mode))
	}
	slices.SortFunc(seen.Locks, func(a, b Lock) int { return strings.Compare(a.Table, b.Table) })
	seen.Rewritten, seen.Scanned = real.rewritten, real.scanned
	claim := o.claimed(s, oids)
	for name, mode := range claim {
		if _, new := real.locks[name]; !new && strength(held[name]) >= strength(mode) {
			delete(claim, name)
		}
	}
	for _, lock := range s.Locks {
		name := o.before[oids[lock.Table]].name
		if mode, known := claim[name]; known && strength(mode) > strength(real.locks[name]) {
			seen.NotLocked = append(seen.NotLocked, lock.Table)
		}
	}
	seen.Differs, seen.Silent = s.against(claim, real)
}

// lockOf is a lock as a plan writes it.
func (o *observer) lockOf(name, mode string) Lock {
	lock := Lock{Table: name, Mode: mode}
	for _, relation := range o.before {
		if relation.name == name && relation.heap != 0 {
			lock.Index, lock.Of = true, o.before[relation.heap].name
		}
	}
	return lock
}
