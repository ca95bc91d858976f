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
	"strings"
	"testing"
	"time"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// difference is a statement of which the claim is not what the server did.
type difference struct {
	sql, what string
	silent    bool // ACCESS EXCLUSIVE, or a rewrite, that is not claimed
}

type differential struct {
	database  *Database
	compared  int
	differs   []difference
	failed    int
	rehearsed []string // what still differs after a rehearsal
	server    int      // the major version
	undo      bool     // roll each statement back
}

// errOwn: a temporary table is nobody else's, and a table of the system is no migration's.
var errOwn = errors.New("the statement is about a temporary table, or one of the system")

// claimed is what plan says of a statement on this database now.
func (d *differential) claimed(ctx context.Context, sql string, o *observer) (Statement, map[string]string, map[string]int64, error) {
	statements, err := Parse(sql)
	if err != nil || len(statements) != 1 {
		return Statement{}, nil, nil, fmt.Errorf("parse: %w", err)
	}
	migrations := []Migration{{Statements: statements}}
	in, err := d.database.scope(ctx, migrations)
	if err != nil {
		return Statement{}, nil, nil, err
	}
	resolve(migrations, in)
	known, err := d.database.catalog(ctx, migrations)
	if err != nil {
		return Statement{}, nil, nil, err
	}
	known.server = d.server
	if err := d.database.typeFacts(ctx, migrations, &known); err != nil {
		return Statement{}, nil, nil, err
	}
	review(migrations, known)
	s := migrations[0].Statements[0]
	for _, lock := range s.Locks {
		var oid int64
		if err := d.database.conn.QueryRowContext(ctx, "SELECT coalesce(to_regclass($1)::oid::bigint, 0)", lock.Table).Scan(&oid); err != nil {
			return s, nil, nil, err
		}
		if _, here := o.before[oid]; !here && oid != 0 {
			return s, nil, nil, errOwn
		}
	}
	var names []string
	for _, lock := range s.Locks {
		names = append(names, lock.Table)
	}
	oids, err := o.oids(ctx, names)
	return s, o.claimed(s, oids), oids, err
}

// compare runs a statement in a transaction of its own, and keeps what it did.
func (d *differential) compare(ctx context.Context, sql string) error {
	o, err := newObserver(ctx, d.database.conn)
	if err != nil {
		return err
	}
	s, claim, oids, err := d.claimed(ctx, sql, o)
	if errors.Is(err, errOwn) {
		_ = d.database.exec(ctx, "%s", sql)
		return nil
	}
	if err != nil {
		return fmt.Errorf("claim of %s: %w", sql, err)
	}
	if err := d.database.exec(ctx, "BEGIN"); err != nil {
		return err
	}
	if err := o.begin(ctx); err != nil {
		return err
	}
	if err := d.database.exec(ctx, "%s", sql); err != nil {
		d.failed++
		return d.database.exec(ctx, "ROLLBACK")
	}
	real, err := o.look(ctx)
	if err != nil {
		return err
	}
	if err := d.database.exec(ctx, "%s", map[bool]string{true: "ROLLBACK", false: "COMMIT"}[d.undo]); err != nil {
		d.failed++
		return d.database.exec(ctx, "ROLLBACK")
	}
	d.compared++
	if what, silent := s.against(claim, real); len(what) > 0 {
		d.differs = append(d.differs, difference{sql, s.Kind + ": " + strings.Join(what, "; "), silent})
		d.rehearsed = append(d.rehearsed, s.afterRehearsal(o, oids, real)...)
	}
	return nil
}

// afterRehearsal says how a claim still differs where a rehearsal has seen the same.
func (s Statement) afterRehearsal(o *observer, oids map[string]int64, real shows) []string {
	var seen Observed
	o.beside(&seen, s, oids, real, nil)
	s.observed(seen)
	for name := range real.locks {
		for oid, relation := range o.before {
			if relation.name == name {
				oids[name] = oid
			}
		}
	}
	what, _ := s.against(o.claimed(s, oids), real)
	return what
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
	case *pgquery.Node_ExplainStmt, *pgquery.Node_VariableShowStmt, *pgquery.Node_FetchStmt, *pgquery.Node_DeclareCursorStmt,
		*pgquery.Node_ExecuteStmt, *pgquery.Node_PrepareStmt, *pgquery.Node_CheckPointStmt,
		*pgquery.Node_CopyStmt, *pgquery.Node_LoadStmt, *pgquery.Node_NotifyStmt, *pgquery.Node_ListenStmt:
		return "skip"
	case *pgquery.Node_TransactionStmt:
		return "transaction"
	case *pgquery.Node_InsertStmt, *pgquery.Node_UpdateStmt, *pgquery.Node_DeleteStmt, *pgquery.Node_MergeStmt,
		*pgquery.Node_VariableSetStmt, *pgquery.Node_DoStmt, *pgquery.Node_CallStmt,
		*pgquery.Node_DiscardStmt, *pgquery.Node_DeallocateStmt, *pgquery.Node_CreateTableAsStmt, *pgquery.Node_RefreshMatViewStmt:
		if _, is := n.(*pgquery.Node_RefreshMatViewStmt); is {
			return "compare"
		}
		return "run"
	case *pgquery.Node_CreatedbStmt, *pgquery.Node_DropdbStmt, *pgquery.Node_AlterSystemStmt, *pgquery.Node_CreateTableSpaceStmt,
		*pgquery.Node_DropTableSpaceStmt, *pgquery.Node_AlterDatabaseStmt:
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
const leastAgreement = 99.5

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
	onVersions(t, func(t *testing.T, s *server, major int) {
		all := differential{}
		for _, file := range files {
			began := time.Now()
			d := differential{database: open(t, s.create(t)), server: major}
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
			t.Logf("%-25s %4d compared, %4d differ, %3d silent, %d failed, %s", filepath.Base(file), d.compared, len(d.differs), d.silent(),
				d.failed, time.Since(began).Round(time.Millisecond))
			all.compared, all.failed, all.differs = all.compared+d.compared, all.failed+d.failed, append(all.differs, d.differs...)
			all.rehearsed = append(all.rehearsed, d.rehearsed...)
		}
		for _, each := range all.differs {
			t.Logf("%s\n        %s", strings.Join(strings.Fields(each.sql), " "), each.what)
			assert.False(t, each.silent, "silent: %s: %s", each.sql, each.what)
		}
		t.Logf("%d statements, %.2f %% agree, %d silent", all.compared, all.agreement(), all.silent())
		assert.GreaterOrEqual(t, all.agreement(), leastAgreement)
		assert.Empty(t, all.rehearsed, "with a rehearsal all agree")
	}, versions...)
}
