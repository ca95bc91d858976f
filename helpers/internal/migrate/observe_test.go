package migrate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shownLocks are the locks of a session on tables and views that were there
// before, also those that it waits for. What only reads (AccessShareLock) stops
// nobody, and is not spoken of.
const shownLocks = `SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted), coalesce(string_agg(relname || ' ' || mode, ','), '') FROM (
	SELECT b.relname, l.mode FROM pg_locks l JOIN before b ON b.oid = l.relation
	WHERE l.pid = $1 AND l.locktype = 'relation' AND l.mode <> 'AccessShareLock') x`

// flush makes the server count at once what this session has read.
const flush = `SELECT pg_stat_force_next_flush()`

// indexesOfGround are the indexes that were there before, with their tables.
var indexesOfGround = map[string]string{"here_h": "here", "here_b": "here", "here_a": "here", "kept_one": "kept", "other_pkey": "other",
	"other_twice": "other", "part_id": "part"}

const afresh = `DROP SCHEMA public CASCADE; CREATE SCHEMA public;`

// layGround makes what the statements are about, and remembers how it was before them.
func layGround(t *testing.T, database *Database) {
	t.Helper()
	execute(t, database, groundOfDatabase)
	execute(t, database, flush)
	execute(t, database,
		`CREATE TABLE before AS SELECT oid, relname, relkind, relfilenode, pg_stat_get_numscans(oid) AS scans FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'i')`)
}

// observe runs a statement and gives the locks that pg_locks shows meanwhile, the
// table that was written anew, and those that were read from end to end. It leaves
// the ground as it was.
func observe(t *testing.T, database *Database, url, sql string, alone bool) (locks []string, rewritten, scanned string) {
	t.Helper()
	const (
		scans    = `SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM before WHERE relkind <> 'i' AND `
		scansNow = scans + `pg_stat_get_xact_numscans(oid) > 0` // in this transaction
		scansAll = scans + `pg_stat_get_numscans(oid) > scans`  // since before
	)
	const anew = `SELECT coalesce(string_agg(b.relname, ' '), '') FROM before b JOIN pg_class c USING (oid) WHERE c.relfilenode <> b.relfilenode AND c.relkind <> 'i'`
	var pid int
	require.NoError(t, database.conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid))
	var shown string
	if alone {
		shown = observeAlone(t, database, url, sql, pid)
		rewritten = one(t, database, anew)
		execute(t, database, flush)
		scanned = one(t, database, scansAll)
		execute(t, database, afresh)
		layGround(t, database)
	} else {
		execute(t, database, flush)
		execute(t, database, "BEGIN")
		execute(t, database, sql)
		var waits bool
		require.NoError(t, database.conn.QueryRowContext(t.Context(), shownLocks, pid).Scan(&waits, &shown))
		rewritten, scanned = one(t, database, anew), one(t, database, scansNow)
		execute(t, database, "ROLLBACK")
	}
	strongest := map[string]string{}
	for _, each := range strings.Split(shown, ",") {
		if table, mode, found := strings.Cut(each, " "); found && table != "before" && strength(mode) > strength(strongest[table]) {
			strongest[table] = mode
		}
	}
	for table, mode := range strongest {
		if of := indexesOfGround[table]; of != "" && (alone || mode != accessExclusive || strongest[of] == accessExclusive) {
			continue // who may use the table may use its index; CONCURRENTLY holds one for a moment
		}
		locks = append(locks, table+" "+mode)
	}
	return withoutPartitions(locks), rewritten, scanned
}

// withoutPartitions leaves out the partitions that are locked as their table is: a
// table is locked with its partitions.
func withoutPartitions(locks []string) []string {
	return slices.DeleteFunc(slices.Clone(locks), func(lock string) bool {
		table, mode, _ := strings.Cut(lock, " ")
		parent := map[string]string{"part": "partitioned", "rest": "split"}[table]
		return parent != "" && slices.Contains(locks, parent+" "+mode)
	})
}

// observeAlone looks at a statement that cannot run in a transaction while
// others hold, one after the other, what it needs: its lock, the end of
// transactions that use the table, the partition.
func observeAlone(t *testing.T, database *Database, url, sql string, pid int) (shown string) {
	t.Helper()
	watcher := open(t, url)
	var holders []*Database
	for _, hold := range []string{
		"LOCK TABLE here, partitioned IN SHARE UPDATE EXCLUSIVE MODE",
		"LOCK TABLE partitioned IN ACCESS SHARE MODE; INSERT INTO here (a, b) VALUES (99, 'held')",
		"LOCK TABLE part IN ACCESS SHARE MODE",
	} {
		holder := open(t, url)
		execute(t, holder, "BEGIN;"+hold)
		holders = append(holders, holder)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := database.conn.ExecContext(t.Context(), sql)
		ended <- err
	}()
	deadline := time.Now().Add(60 * time.Second)
	seen := map[string]bool{}
	for {
		var now string
		var waits bool
		require.NoError(t, watcher.conn.QueryRowContext(t.Context(), shownLocks, pid).Scan(&waits, &now))
		for _, each := range strings.Split(now, ",") {
			seen[each] = true
		}
		if waits && len(holders) > 0 {
			execute(t, holders[0], "ROLLBACK")
			holders = holders[1:]
		}
		select {
		case err := <-ended:
			require.NoError(t, err, sql)
			for _, holder := range holders {
				execute(t, holder, "ROLLBACK")
			}
			all := make([]string, 0, len(seen))
			for each := range seen {
				all = append(all, each)
			}
			return strings.Join(all, ",")
		default:
			require.True(t, time.Now().Before(deadline), "it neither ends nor waits")
		}
	}
}
