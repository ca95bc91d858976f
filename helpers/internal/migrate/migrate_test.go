package migrate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

var options = Options{LockWait: 20 * time.Second, LockTimeout: time.Second, LockAttempts: 3, AppliedBy: "test", Commit: "c0ffee"}

func service(t *testing.T) []Migration {
	return folder(t, map[string]string{
		"001_create_users.sql":     "CREATE TABLE users (id bigint PRIMARY KEY);\nINSERT INTO users VALUES (1);\n",
		"002_add_name.sql":         "ALTER TABLE users ADD COLUMN name text NOT NULL DEFAULT '';\n",
		"003_index_name.sql":       "CREATE INDEX CONCURRENTLY users_name ON users (name);\n",
		"003_index_name.down.sql":  "DROP INDEX users_name;\n",
		"004_note_with_quotes.sql": "-- it's a note; with a semicolon\nCOMMENT ON TABLE users IS 'it''s; quoted';\n",
	})
}

func TestFilesAreAppliedOnceAndRecorded(t *testing.T) {
	url, files := create(t), service(t)
	database := open(t, url)
	plan, err := database.Plan(t.Context(), files, Allow{})
	require.NoError(t, err)
	require.Len(t, plan.Pending, 4)

	approved := options
	approved.PlanID = plan.ID
	outcome, err := database.Apply(t.Context(), files, approved)
	require.NoError(t, err)
	assert.Equal(t, []string{"001_create_users.sql", "002_add_name.sql", "003_index_name.sql", "004_note_with_quotes.sql"}, outcome.Applied)
	assert.Equal(t, "004", outcome.Current)

	again, err := database.Apply(t.Context(), files, options)
	require.NoError(t, err)
	assert.Empty(t, again.Applied)
	history, err := database.History(t.Context())
	require.NoError(t, err)
	require.Len(t, history, 4)
	assert.Equal(t, plan.ID, history[0].PlanID)
	assert.Equal(t, "c0ffee", history[0].Commit)

	_, err = database.Apply(t.Context(), files, approved)
	assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code, "an approved plan is good for once")
}

func TestAFailureLeavesTheDatabaseAtAFilesBoundary(t *testing.T) {
	url := create(t)
	database := open(t, url)
	files := folder(t, map[string]string{
		"1_a.sql": "CREATE TABLE a (id int);",
		"2_b.sql": "CREATE TABLE b (id int);\nINSERT INTO b\n  VALUES ('x');\nCREATE TABLE c (id int);",
		"3_c.sql": "CREATE TABLE d (id int);",
	})
	outcome, err := database.Apply(t.Context(), files, options)
	require.Error(t, err)
	assert.Equal(t, []string{"1_a.sql"}, outcome.Applied)
	failure := slipway.AsError(err)
	assert.Equal(t, slipway.No, failure.Code)
	assert.Contains(t, failure.Message, "2_b.sql:3:11 failed: SQLSTATE 22P02")
	var tables string
	require.NoError(t, database.conn.QueryRowContext(t.Context(), "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE "+
		"relname IN ('a','b','c','d')").Scan(&tables))
	assert.Equal(t, "a", tables)
}

func TestManyRunnersAtOnceApplyEachFileOnce(t *testing.T) {
	url := create(t)
	sql := map[string]string{}
	for i := range 40 {
		sql[fmt.Sprintf("%03d_t.sql", i+1)] = fmt.Sprintf("CREATE TABLE t%d (id int);", i)
	}
	sql["041_index.sql"] = "CREATE INDEX CONCURRENTLY t0_id ON t0 (id);"
	files := folder(t, sql)
	var group sync.WaitGroup
	var lock sync.Mutex
	applied := 0
	for range 8 {
		group.Go(func() {
			database, err := Connect(context.Background(), url)
			if !assert.NoError(t, err) {
				return
			}
			defer database.Close()
			outcome, err := database.Apply(context.Background(), files, options)
			assert.NoError(t, err)
			lock.Lock()
			applied += len(outcome.Applied)
			lock.Unlock()
		})
	}
	group.Wait()
	assert.Equal(t, 41, applied)
}

func TestAnInterruptedIndexIsBuiltAgain(t *testing.T) {
	url := create(t)
	database := open(t, url)
	files := folder(t, map[string]string{
		"1_t.sql": "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (1);",
		"2_i.sql": "CREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id);",
	})
	_, err := database.Apply(t.Context(), files, options)
	require.ErrorContains(t, err, "23505", "the duplicate leaves an INVALID index behind")
	_, err = database.conn.ExecContext(t.Context(), "DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)")
	require.NoError(t, err)
	outcome, err := database.Apply(t.Context(), files, options)
	require.NoError(t, err)
	assert.Equal(t, []string{"2_i.sql"}, outcome.Applied)
	var valid bool
	require.NoError(t, database.conn.QueryRowContext(t.Context(), "SELECT indisvalid FROM pg_index WHERE indexrelid = "+
		"'t_id'::regclass").Scan(&valid))
	assert.True(t, valid)
}

func TestALockThatIsHeldIsWaitedForOnlyShortlyAndThenAgain(t *testing.T) {
	url := create(t)
	database, other := open(t, url), open(t, url)
	_, err := database.Apply(t.Context(), folder(t, map[string]string{"1_t.sql": "CREATE TABLE t (id int);"}), options)
	require.NoError(t, err)
	_, err = other.conn.ExecContext(t.Context(), "BEGIN; SELECT * FROM t")
	require.NoError(t, err)
	quick := options
	quick.LockTimeout = 20 * time.Millisecond
	files := folder(t, map[string]string{"1_t.sql": "CREATE TABLE t (id int);", "2_c.sql": "ALTER TABLE t ADD COLUMN c int;"})
	_, err = database.Apply(t.Context(), files, quick)
	assert.ErrorContains(t, err, "55P03")
	assert.ErrorContains(t, err, "another session holds the table")
	_, err = other.conn.ExecContext(t.Context(), "COMMIT")
	require.NoError(t, err)
	_, err = database.Apply(t.Context(), files, quick)
	require.NoError(t, err)
}

func TestAnotherToolsTableIsLeftAlone(t *testing.T) {
	database := open(t, create(t))
	_, err := database.conn.ExecContext(t.Context(), "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean)")
	require.NoError(t, err)
	_, err = database.Apply(t.Context(), service(t), options)
	assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
	assert.ErrorContains(t, err, "is that of golang-migrate")
}

func TestComputeRefusesWhatDoesNotBelongTogether(t *testing.T) {
	file := func(version, checksum string) Migration {
		return Migration{Version: version, Name: version + "_x.sql", Checksum: checksum}
	}
	row := func(version, checksum string) Applied {
		return Applied{Version: version, Name: version + "_x.sql", Checksum: checksum}
	}
	for _, test := range []struct {
		name       string
		files      []Migration
		history    []Applied
		outOfOrder bool
		pending    int
		fails      string
	}{
		{name: "first run", files: []Migration{file("001", "a")}, pending: 1},
		{name: "nothing", files: []Migration{file("001", "a")}, history: []Applied{row("001", "a")}},
		{name: "an edited file", files: []Migration{file("001", "b")}, history: []Applied{row("001", "a")},
			fails: "was changed after it was applied"},
		{name: "a missing file", history: []Applied{row("001", "a")}, fails: "its file is not here"},
		{name: "out of order", files: []Migration{file("001", "a"), file("002", "b")}, history: []Applied{row("002", "b")},
			fails: "comes before 002"},
		{name: "out of order, allowed", files: []Migration{file("001", "a"), file("002", "b")}, history: []Applied{row("002", "b")},
			outOfOrder: true, pending: 1},
		{name: "by number, not by letter", files: []Migration{file("9", "a"), file("10", "b")}, history: []Applied{row("9", "a")}, pending: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := Compute(test.files, test.history, 15, Allow{OutOfOrder: test.outOfOrder})
			if test.fails != "" {
				assert.ErrorContains(t, err, test.fails)
				assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
				return
			}
			require.NoError(t, err)
			assert.Len(t, plan.Pending, test.pending)
		})
	}
	one, err := Compute([]Migration{file("1", "a")}, nil, 15, Allow{})
	require.NoError(t, err)
	for name, other := range map[string]func() (Plan, error){
		"another file":   func() (Plan, error) { return Compute([]Migration{file("1", "b")}, nil, 15, Allow{}) },
		"another server": func() (Plan, error) { return Compute([]Migration{file("1", "a")}, nil, 16, Allow{}) },
		"history": func() (Plan, error) {
			return Compute([]Migration{file("1", "a")}, []Applied{row("1", "a")}, 15, Allow{})
		},
	} {
		plan, err := other()
		require.NoError(t, err)
		assert.NotEqual(t, one.ID, plan.ID, name)
	}
}

func TestFilesThatCannotBeRightAreRefusedBeforeAnythingRuns(t *testing.T) {
	for _, test := range []struct{ name, file, body, says string }{
		{"no number", "x.sql", "SELECT 1", "not of the form"},
		{"syntax", "001_x.sql", "SELECT 1;\nSELEC 2;", "001_x.sql:2:1"},
		{"psql", "001_x.sql", "SELECT 1;\n\\i other.sql\n", "001_x.sql:2:1: psql's own commands"},
		{"commit", "001_x.sql", "SELECT 1;\nCOMMIT;", "001_x.sql:2: COMMIT"},
		{"copy", "001_x.sql", "COPY t FROM STDIN;", "COPY needs a client"},
		{"not alone", "001_x.sql", "CREATE TABLE t (i int);\nCREATE INDEX CONCURRENTLY i ON t (i);", "001_x.sql:1: CREATE TABLE stands beside"},
		{"not UTF-8", "001_x.sql", "SELECT '\xff'", "is not UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, test.file), []byte(test.body), 0o600))
			files, err := Load(dir)
			for i := range files {
				err = files[i].Parse()
			}
			require.ErrorContains(t, err, test.says)
			assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
		})
	}
}

func TestAnEmptyFolderHasNothingPending(t *testing.T) {
	files, err := Load(t.TempDir())
	require.NoError(t, err)
	database := open(t, create(t))
	plan, err := database.Plan(t.Context(), files, Allow{})
	require.NoError(t, err)
	assert.Equal(t, "nothing is pending: the database is at nothing", plan.Summary())
	_, err = Load(filepath.Join(t.TempDir(), "none"))
	assert.ErrorContains(t, err, "cannot be read")
}

func TestNoPasswordInAnError(t *testing.T) {
	t.Setenv("PGPASSWORD", "s3cret-w0rd")
	_, err := Connect(t.Context(), fmt.Sprintf("postgres://nobody:s3cret-w0rd@127.0.0.1:%d/none?sslmode=disable", shared.Port))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "s3cret")
	_, err = Connect(t.Context(), "postgres://u:s3cret-w0rd@127.0.0.1:1/x?sslmode=disable")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "s3cret")
}
