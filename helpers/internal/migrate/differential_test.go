package migrate

// The differential test: statements run on a real server, and what the server did
// (locks, rewrites, reads) is compared with what plan says of them.

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// relationNow is a relation that others can use before a statement runs.
type relationNow struct {
	name, kind  string
	filenode    int64
	heap        int64 // of an index
	isPartition bool
}

// shows is what a server did: the strongest lock on each relation beyond ACCESS
// SHARE, whether a table was rewritten, and whether one was read under such a lock.
type shows struct {
	locks           map[string]string
	rewrites, scans bool
}

// difference is a statement of which the claim is not what the server did.
type difference struct {
	sql, what string
	silent    bool // ACCESS EXCLUSIVE, or a rewrite, that is not claimed
}

type differential struct {
	database *Database
	compared int
	differs  []difference
	failed   int
	undo     bool // roll each statement back
}

const relationsNow = `SELECT c.oid, c.oid::regclass::text, c.relkind, coalesce(pg_relation_filenode(c.oid), 0), coalesce(i.indrelid, 0)::bigint, c.relispartition
	FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE c.oid >= 16384 AND c.relkind <> 't' AND c.relpersistence <> 't' AND c.relnamespace NOT IN ('information_schema'::regnamespace, 'pg_toast'::regnamespace)`

const locksNow = `SELECT l.relation, string_agg(l.mode, ' '), coalesce(pg_relation_filenode(l.relation), 0), coalesce(pg_stat_get_xact_numscans(l.relation), 0)
	FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.relation >= 16384 GROUP BY 1`

func (d *differential) relations(ctx context.Context) (map[int64]relationNow, error) {
	rows, err := d.database.conn.QueryContext(ctx, relationsNow)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[int64]relationNow{}
	for rows.Next() {
		var oid int64
		var r relationNow
		if err := rows.Scan(&oid, &r.name, &r.kind, &r.filenode, &r.heap, &r.isPartition); err != nil {
			return nil, err
		}
		found[oid] = r
	}
	return found, rows.Err()
}

// shown is what the session holds and has done since its transaction began.
func (d *differential) shown(ctx context.Context, before map[int64]relationNow) (shows, error) {
	found := shows{locks: map[string]string{}}
	rows, err := d.database.conn.QueryContext(ctx, locksNow)
	if err != nil {
		return found, err
	}
	defer rows.Close()
	strongest := map[int64]string{}
	for rows.Next() {
		var oid, filenode, scans int64
		var held string
		if err := rows.Scan(&oid, &held, &filenode, &scans); err != nil {
			return found, err
		}
		relation, known := before[oid]
		if !known {
			continue
		}
		for _, mode := range strings.Fields(held) {
			if strength(mode) > strength(strongest[oid]) {
				strongest[oid] = mode
			}
		}
		if isTable := strings.Contains("rpm", relation.kind); isTable && strength(strongest[oid]) > strength(accessShare) {
			found.rewrites = found.rewrites || filenode != 0 && filenode != relation.filenode
			found.scans = found.scans || scans > 0
		}
	}
	found.locks = spoken(before, strongest)
	return found, rows.Err()
}

// spoken leaves out what stops nobody: ACCESS SHARE, and locks on an index that
// are weaker than ACCESS EXCLUSIVE or than that on its table.
func spoken(before map[int64]relationNow, strongest map[int64]string) map[string]string {
	locks := map[string]string{}
	for oid, mode := range strongest {
		relation := before[oid]
		isIndex := relation.heap != 0
		if strength(mode) <= strength(accessShare) || isIndex && (mode != accessExclusive || strongest[relation.heap] == accessExclusive) {
			continue
		}
		locks[relation.name] = mode
	}
	return locks
}

// errOwn: a temporary table is nobody else's, and a table of the system is no migration's.
var errOwn = errors.New("the statement is about a temporary table, or one of the system")

// claimed is what plan says of a statement on this database now.
func (d *differential) claimed(ctx context.Context, sql string, before map[int64]relationNow) (Statement, shows, error) {
	found := shows{locks: map[string]string{}}
	statements, err := Parse(sql)
	if err != nil || len(statements) != 1 {
		return Statement{}, found, fmt.Errorf("parse: %w", err)
	}
	migrations := []Migration{{Statements: statements}}
	in, err := d.database.scope(ctx, migrations)
	if err != nil {
		return Statement{}, found, err
	}
	resolve(migrations, in)
	known, err := d.database.catalog(ctx, migrations)
	if err != nil {
		return Statement{}, found, err
	}
	review(migrations, known)
	s := migrations[0].Statements[0]
	strongest := map[int64]string{}
	for _, lock := range s.Locks {
		var oid int64
		if err := d.database.conn.QueryRowContext(ctx, "SELECT coalesce(to_regclass($1)::oid::bigint, 0)", lock.Table).Scan(&oid); err != nil {
			return s, found, err
		}
		if _, here := before[oid]; !here && oid != 0 {
			return s, found, errOwn
		}
		if _, here := before[oid]; here && strength(lock.Mode) > strength(strongest[oid]) {
			strongest[oid] = lock.Mode
		}
	}
	found.locks, found.rewrites, found.scans = spoken(before, strongest), s.Rewrites, s.Scans
	return s, found, nil
}

// compare runs a statement in a transaction of its own, and keeps what it did.
func (d *differential) compare(ctx context.Context, sql string) error {
	before, err := d.relations(ctx)
	if err != nil {
		return err
	}
	s, claim, err := d.claimed(ctx, sql, before)
	if errors.Is(err, errOwn) {
		_ = d.database.exec(ctx, "%s", sql)
		return nil
	}
	if err != nil {
		return fmt.Errorf("claim of %s: %w", sql, err)
	}
	_ = d.database.exec(ctx, "%s", flush)
	if err := d.database.exec(ctx, "BEGIN"); err != nil {
		return err
	}
	if err := d.database.exec(ctx, "%s", sql); err != nil {
		d.failed++
		return d.database.exec(ctx, "ROLLBACK")
	}
	real, err := d.shown(ctx, before)
	if err != nil {
		return err
	}
	if err := d.database.exec(ctx, "%s", map[bool]string{true: "ROLLBACK", false: "COMMIT"}[d.undo]); err != nil {
		d.failed++
		return d.database.exec(ctx, "ROLLBACK")
	}
	d.compared++
	d.judge(sql, s, claim, real)
	return nil
}

// judge notes how the claim differs from what was done. TRUNCATE gives a table a
// new file, which costs nothing and is not called a rewrite; it reads what is empty by then.
func (d *differential) judge(sql string, s Statement, claim, real shows) {
	var what []string
	silent := false
	for table, mode := range real.locks {
		if claim.locks[table] != mode {
			what = append(what, fmt.Sprintf("%s: %s, claimed %q", table, mode, claim.locks[table]))
			silent = silent || mode == accessExclusive && claim.locks[table] != accessExclusive
		}
	}
	for table, mode := range claim.locks {
		if real.locks[table] == "" {
			what = append(what, fmt.Sprintf("%s: claimed %s, not locked", table, mode))
		}
	}
	if s.Kind != "TRUNCATE" {
		if real.rewrites != claim.rewrites {
			what = append(what, fmt.Sprintf("rewrites %t, claimed %t", real.rewrites, claim.rewrites))
			silent = silent || real.rewrites
		}
		if real.scans != (claim.scans || claim.rewrites) && !real.rewrites {
			what = append(what, fmt.Sprintf("scans %t, claimed %t", real.scans, claim.scans))
		}
	}
	if len(what) > 0 {
		sort.Strings(what)
		d.differs = append(d.differs, difference{sql, s.Kind + ": " + strings.Join(what, "; "), silent})
	}
}

func (d *differential) agreement() float64 {
	return 100 * (1 - float64(len(d.differs))/float64(max(d.compared, 1)))
}

func (d *differential) silent() (n int) {
	for _, each := range d.differs {
		if each.silent {
			n++
		}
	}
	return n
}

var copyRows = regexp.MustCompile(`(?ims)^copy\s[^;]*from\s+stdin[^;]*;.*?^\\\.$`)
var commandsOfPsql = regexp.MustCompile(`(?m)(^\s*\\.*$|\\(gexec|gset|gdesc|g|d|crosstabview).*$)`)

// regressionStatements are the statements of a file of PostgreSQL's regression suite,
// without psql's commands and the rows of COPY.
func regressionStatements(body string) []string {
	body = commandsOfPsql.ReplaceAllString(copyRows.ReplaceAllString(body, ""), ";")
	if split, err := pgquery.SplitWithScanner(body, true); err == nil {
		return split
	}
	var all []string
	for _, paragraph := range strings.Split(body, "\n\n") {
		if split, err := pgquery.SplitWithScanner(paragraph, true); err == nil {
			all = append(all, split...)
		}
	}
	return all
}

// kindOfNode says what is to be done with a statement: compared, only run, or left out.
func kindOfNode(sql string) string {
	tree, err := pgquery.Parse(sql)
	if err != nil || len(tree.Stmts) != 1 {
		return "run"
	}
	switch n := tree.Stmts[0].Stmt.Node.(type) {
	case *pgquery.Node_SelectStmt:
		if n.SelectStmt.IntoClause == nil {
			return "skip"
		}
		return "run"
	case *pgquery.Node_ExplainStmt, *pgquery.Node_VariableShowStmt, *pgquery.Node_FetchStmt, *pgquery.Node_DeclareCursorStmt, *pgquery.Node_ExecuteStmt, *pgquery.Node_PrepareStmt, *pgquery.Node_CheckPointStmt,
		*pgquery.Node_CopyStmt, *pgquery.Node_LoadStmt, *pgquery.Node_NotifyStmt, *pgquery.Node_ListenStmt:
		return "skip"
	case *pgquery.Node_TransactionStmt:
		return "transaction"
	case *pgquery.Node_InsertStmt, *pgquery.Node_UpdateStmt, *pgquery.Node_DeleteStmt, *pgquery.Node_MergeStmt, *pgquery.Node_VariableSetStmt, *pgquery.Node_DoStmt, *pgquery.Node_CallStmt,
		*pgquery.Node_DiscardStmt, *pgquery.Node_DeallocateStmt, *pgquery.Node_CreateTableAsStmt, *pgquery.Node_RefreshMatViewStmt:
		if _, is := n.(*pgquery.Node_RefreshMatViewStmt); is {
			return "compare"
		}
		return "run"
	case *pgquery.Node_CreatedbStmt, *pgquery.Node_DropdbStmt, *pgquery.Node_AlterSystemStmt, *pgquery.Node_CreateTableSpaceStmt, *pgquery.Node_DropTableSpaceStmt, *pgquery.Node_AlterDatabaseStmt:
		return "skip"
	}
	return "compare"
}

func (d *differential) file(ctx context.Context, path string) error {
	body, err := regressionFile(path)
	if err != nil {
		return err
	}
	inside := false
	for _, sql := range regressionStatements(body) {
		kind := kindOfNode(sql)
		if kind == "transaction" {
			first := strings.ToUpper(strings.Fields(sql + " x")[0])
			inside = first == "BEGIN" || first == "START" || inside && first != "COMMIT" && first != "ROLLBACK" && first != "END" && first != "ABORT"
			if strings.Contains(strings.ToUpper(sql), "ROLLBACK TO") {
				inside = true
			}
		}
		switch {
		case kind == "skip":
		case kind == "compare" && !inside:
			statements, err := Parse(sql)
			if err == nil && len(statements) == 1 && statements[0].Alone {
				_ = d.database.exec(ctx, "%s", sql)
				continue
			}
			if err := d.compare(ctx, sql); err != nil {
				if d.database.conn.PingContext(ctx) != nil {
					return err
				}
				d.failed++
				_ = d.database.exec(ctx, "ROLLBACK")
			}
		default:
			_ = d.database.exec(ctx, "%s", sql)
		}
	}
	return d.database.exec(ctx, "ROLLBACK")
}

// regressionFile reads a file of the suite, which may be compressed.
func regressionFile(path string) (string, error) {
	body, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(path, ".gz") {
		return string(body), err
	}
	in, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	body, err = io.ReadAll(in)
	return string(body), err
}

// leastAgreement is the share of the statements here, in percent, whose locks, rewrites
// and reads must all be as claimed; none may be silent.
const leastAgreement = 97.0

// TestTheServerDoesWhatIsClaimed runs the statements of PostgreSQL's regression suite
// that are here, on PostgreSQL 15. SLIPWAY_REGRESSION names a folder with all of it,
// SLIPWAY_ONLY files of that, SLIPWAY_DIFFERENTIAL=all runs them on every version.
func TestTheServerDoesWhatIsClaimed(t *testing.T) {
	folder := cmp.Or(os.Getenv("SLIPWAY_REGRESSION"), "testdata/regress")
	versions := []int{debian}
	if os.Getenv("SLIPWAY_DIFFERENTIAL") == "all" {
		versions = nil
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.sql*"))
	require.NoError(t, err)
	if only := strings.Fields(os.Getenv("SLIPWAY_ONLY")); len(only) > 0 {
		files = slices.DeleteFunc(files, func(file string) bool { return !slices.Contains(only, strings.Split(filepath.Base(file), ".")[0]) })
	}
	require.NotEmpty(t, files)
	logrus.SetLevel(logrus.ErrorLevel)
	t.Cleanup(func() { logrus.SetLevel(logrus.InfoLevel) })
	onVersions(t, func(t *testing.T, s *server, _ int) {
		all := differential{}
		for _, file := range files {
			began := time.Now()
			d := differential{database: open(t, s.create(t))}
			execute(t, d.database, "SET jit = off; SET statement_timeout = '20s'; SET client_min_messages = error")
			setup, err := filepath.Glob(filepath.Join(folder, "test_setup.sql*"))
			require.NoError(t, err)
			for _, name := range setup {
				body, err := regressionFile(name)
				require.NoError(t, err)
				for _, sql := range regressionStatements(body) {
					_ = d.database.exec(t.Context(), "%s", sql)
				}
			}
			require.NoError(t, d.file(t.Context(), file))
			d.database.Close()
			t.Logf("%-25s %4d compared, %4d differ, %3d silent, %d failed, %s", filepath.Base(file), d.compared, len(d.differs), d.silent(), d.failed, time.Since(began).Round(time.Millisecond))
			all.compared, all.failed, all.differs = all.compared+d.compared, all.failed+d.failed, append(all.differs, d.differs...)
		}
		for _, each := range all.differs {
			t.Logf("%s\n        %s", strings.Join(strings.Fields(each.sql), " "), each.what)
			assert.False(t, each.silent, "silent: %s: %s", each.sql, each.what)
		}
		t.Logf("%d statements, %.2f %% agree, %d silent", all.compared, all.agreement(), all.silent())
		assert.GreaterOrEqual(t, all.agreement(), leastAgreement)
	}, versions...)
}
