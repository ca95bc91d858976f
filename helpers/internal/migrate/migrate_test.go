package migrate

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

var options = Options{LockWait: 20 * time.Second, LockTimeout: time.Second, AppliedBy: "test", Commit: "c0ffee"}

func service(t *testing.T) []Migration {
	return folder(t, map[string]string{
		"001_create_users.sql":     "CREATE TABLE users (id bigint PRIMARY KEY);\nINSERT INTO users VALUES (1);\n",
		"002_add_name.sql":         "ALTER TABLE users ADD COLUMN name text NOT NULL DEFAULT '';\n",
		"003_index_name.sql":       "CREATE INDEX CONCURRENTLY users_name ON users (name);\n",
		"003_index_name.down.sql":  "DROP INDEX users_name;\n",
		"010_note_with_quotes.sql": "-- it's a note; with a semicolon\nCOMMENT ON TABLE users IS 'it''s; quoted';\n",
	})
}

func TestFilesAreAppliedOnceAndRecorded(t *testing.T) {
	url, files := create(t), service(t)
	database := open(t, url)
	plan, err := database.Plan(t.Context(), files, false)
	require.NoError(t, err)
	require.Len(t, plan.Pending, 4)

	approved := options
	approved.PlanID = plan.ID
	outcome, err := database.Apply(t.Context(), files, approved)
	require.NoError(t, err)
	assert.Equal(t, []string{"001_create_users.sql", "002_add_name.sql", "003_index_name.sql", "010_note_with_quotes.sql"}, outcome.Applied)
	assert.Equal(t, "010", outcome.Current)

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
	require.NoError(t, database.conn.QueryRowContext(t.Context(), "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname IN ('a','b','c','d')").Scan(&tables))
	assert.Equal(t, "a", tables)
}

func TestManyRunnersAtOnceApplyEachFileOnce(t *testing.T) {
	url := create(t)
	sql := map[string]string{}
	for i := range 40 {
		sql[fmt.Sprintf("%03d_t.sql", i+1)] = fmt.Sprintf("CREATE TABLE t%d (id int);", i)
	}
	sql["900_index.sql"] = "CREATE INDEX CONCURRENTLY t0_id ON t0 (id);"
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
	require.NoError(t, database.conn.QueryRowContext(t.Context(), "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_id'::regclass").Scan(&valid))
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
	assert.ErrorContains(t, err, "pg_stat_activity")
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
	assert.ErrorContains(t, err, "version dirty")
}

func TestKilledAtAnyInstantARerunFinishes(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "migrate-diff")
	out, err := exec.Command("go", "build", "-o", binary, "slipway.dev/slipway/helpers/migrate-diff").CombinedOutput()
	require.NoError(t, err, string(out))
	dir := t.TempDir()
	for i := range 30 {
		body := fmt.Sprintf("CREATE TABLE t%d (id int); INSERT INTO t%d SELECT generate_series(1, 500);", i, i)
		if i%5 == 4 {
			body = fmt.Sprintf("CREATE INDEX CONCURRENTLY t%d_id ON t%d (id);", i-1, i-1)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d_m.sql", i+1)), []byte(body), 0o600))
	}
	for instant := range 12 {
		url := create(t)
		for attempt := 0; ; attempt++ {
			command := exec.Command(binary, "apply", "--dir", dir)
			command.Env = append(os.Environ(), "DATABASE_URL="+url)
			var stderr strings.Builder
			command.Stderr = &stderr
			require.NoError(t, command.Start())
			ended := make(chan error, 1)
			go func() { ended <- command.Wait() }()
			if attempt < 3 {
				select {
				case <-time.After(time.Duration(15+instant*9) * time.Millisecond):
					_ = command.Process.Kill()
					<-ended
				case <-ended:
				}
				continue
			}
			require.NoError(t, <-ended, stderr.String())
			break
		}
		database := open(t, url)
		var files, rows, invalid int
		require.NoError(t, database.conn.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM schema_migrations), (SELECT count(*) FROM t0), (SELECT count(*) FROM pg_index WHERE NOT indisvalid)").Scan(&files, &rows, &invalid))
		assert.Equal(t, []int{30, 500, 0}, []int{files, rows, invalid})
	}
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
		{name: "an edited file", files: []Migration{file("001", "b")}, history: []Applied{row("001", "a")}, fails: "was changed after it was applied"},
		{name: "a missing file", history: []Applied{row("001", "a")}, fails: "its file is not here"},
		{name: "out of order", files: []Migration{file("001", "a"), file("002", "b")}, history: []Applied{row("002", "b")}, fails: "comes before 002"},
		{name: "out of order, allowed", files: []Migration{file("001", "a"), file("002", "b")}, history: []Applied{row("002", "b")}, outOfOrder: true, pending: 1},
		{name: "by number, not by letter", files: []Migration{file("9", "a"), file("10", "b")}, history: []Applied{row("9", "a")}, pending: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := Compute(test.files, test.history, 15, test.outOfOrder)
			if test.fails != "" {
				assert.ErrorContains(t, err, test.fails)
				assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
				return
			}
			require.NoError(t, err)
			assert.Len(t, plan.Pending, test.pending)
		})
	}
	one, err := Compute([]Migration{file("1", "a")}, nil, 15, false)
	require.NoError(t, err)
	for name, other := range map[string]func() (Plan, error){
		"another file":   func() (Plan, error) { return Compute([]Migration{file("1", "b")}, nil, 15, false) },
		"another server": func() (Plan, error) { return Compute([]Migration{file("1", "a")}, nil, 16, false) },
		"history":        func() (Plan, error) { return Compute([]Migration{file("1", "a")}, []Applied{row("1", "a")}, 15, false) },
	} {
		plan, err := other()
		require.NoError(t, err)
		assert.NotEqual(t, one.ID, plan.ID, name)
	}
}

func TestFilesThatCannotBeRightAreRefusedBeforeAnythingRuns(t *testing.T) {
	for _, test := range []struct{ name, file, body, says string }{
		{"empty", "001_x.sql", "-- nothing\n", "holds no statement"},
		{"no number", "x.sql", "SELECT 1", "not of the form"},
		{"syntax", "001_x.sql", "SELECT 1;\nSELEC 2;", "line 2, column 1"},
		{"psql", "001_x.sql", "SELECT 1;\n\\i other.sql\n", "001_x.sql:2: psql's own commands"},
		{"commit", "001_x.sql", "SELECT 1;\nCOMMIT;", "001_x.sql:2: COMMIT"},
		{"copy", "001_x.sql", "COPY t FROM STDIN;", "COPY ... FROM STDIN"},
		{"not alone", "001_x.sql", "CREATE TABLE t (i int);\nCREATE INDEX CONCURRENTLY i ON t (i);", "001_x.sql:1: CREATE TABLE stands beside"},
		{"not UTF-8", "001_x.sql", "SELECT '\xff'", "is not UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, test.file), []byte(test.body), 0o600))
			_, err := Load(dir)
			require.ErrorContains(t, err, test.says)
			assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
		})
	}
	dir := t.TempDir()
	for _, name := range []string{"1_a.sql", "01_b.sql"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("SELECT 1"), 0o600))
	}
	_, err := Load(dir)
	assert.ErrorContains(t, err, "have the same version")
}

func TestAnEmptyFolderHasNothingPending(t *testing.T) {
	files, err := Load(t.TempDir())
	require.NoError(t, err)
	database := open(t, create(t))
	plan, err := database.Plan(t.Context(), files, false)
	require.NoError(t, err)
	assert.Equal(t, "nothing is pending: the database is at nothing", plan.Summary())
	_, err = Load(filepath.Join(t.TempDir(), "none"))
	assert.ErrorContains(t, err, "cannot be read")
}

func TestRules(t *testing.T) {
	for sql, want := range map[string]string{
		"CREATE INDEX i ON t (a)":                                                   "index/danger ShareLock",
		"CREATE INDEX CONCURRENTLY i ON t (a)":                                      "ShareUpdateExclusiveLock",
		"ALTER TABLE t ADD COLUMN c int NOT NULL":                                   "not-null-without-default/danger AccessExclusiveLock",
		"ALTER TABLE t ADD COLUMN c int NOT NULL DEFAULT 0":                         "AccessExclusiveLock",
		"ALTER TABLE t ADD COLUMN c uuid DEFAULT gen_random_uuid()":                 "volatile-default/danger AccessExclusiveLock",
		"ALTER TABLE t ALTER COLUMN c TYPE bigint":                                  "alter-type/danger AccessExclusiveLock",
		"ALTER TABLE t ALTER COLUMN c SET NOT NULL":                                 "set-not-null/danger AccessExclusiveLock",
		"ALTER TABLE t DROP COLUMN c":                                               "drop-column/danger AccessExclusiveLock",
		"ALTER TABLE t RENAME COLUMN c TO d":                                        "rename/danger AccessExclusiveLock",
		"ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u (id)":          "foreign-key/danger ShareRowExclusiveLock",
		"ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u NOT VALID":     "ShareRowExclusiveLock",
		"ALTER TABLE t VALIDATE CONSTRAINT f":                                       "ShareUpdateExclusiveLock",
		"DROP TABLE t":                                                              "drop-table/danger AccessExclusiveLock",
		"TRUNCATE t":                                                                "truncate/danger AccessExclusiveLock",
		"UPDATE t SET a = 1":                                                        "update-all/warning RowExclusiveLock",
		"UPDATE t SET a = 1 WHERE b":                                                "RowExclusiveLock",
		"VACUUM FULL t":                                                             "vacuum-full/danger AccessExclusiveLock",
		"-- slipway:ok index built at night, ten rows\nCREATE INDEX i ON t (a)":     "ShareLock",
		"CREATE TABLE n (a int); CREATE INDEX i ON n (a)":                           "AccessExclusiveLock; ShareLock",
		"ALTER TABLE t ADD CONSTRAINT u UNIQUE (a); CREATE UNIQUE INDEX i ON t (a)": "unique/danger AccessExclusiveLock; index/danger ShareLock",
	} {
		statements, err := Parse(sql)
		require.NoError(t, err, sql)
		var got []string
		for _, statement := range statements {
			var words []string
			for _, finding := range statement.Findings {
				words = append(words, finding.Rule+"/"+finding.Level)
			}
			got = append(got, strings.Join(append(words, statement.Lock), " "))
		}
		assert.Equal(t, want, strings.Join(got, "; "), sql)
	}
}

func TestTheClaimedLockIsTheOneThatPostgreSQLTakes(t *testing.T) {
	for _, sql := range []string{
		"CREATE INDEX i ON t (a)", "ALTER TABLE t ADD COLUMN c int", "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
		"ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u (id) NOT VALID", "UPDATE t SET a = 1", "DELETE FROM t WHERE a = 1",
		"ALTER TABLE t RENAME COLUMN a TO b", "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)",
	} {
		database := open(t, create(t))
		_, err := database.conn.ExecContext(t.Context(), "CREATE TABLE u (id int PRIMARY KEY); CREATE TABLE t (a int); BEGIN; "+sql)
		require.NoError(t, err, sql)
		statements, err := Parse(sql)
		require.NoError(t, err)
		var held bool
		require.NoError(t, database.conn.QueryRowContext(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 't'::regclass AND mode = $1 AND pid = pg_backend_pid())", statements[0].Lock).Scan(&held))
		assert.True(t, held, "%s: %s", sql, statements[0].Lock)
	}
}

func TestDiffGit(t *testing.T) {
	root := t.TempDir()
	run := func(arguments ...string) string {
		command := exec.Command("git", append([]string{"-C", root, "-c", "user.name=t", "-c", "user.email=t@example.com"}, arguments...)...)
		out, err := command.CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	write := func(name, body string) {
		require.NoError(t, os.MkdirAll(filepath.Join(root, "migrations"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, "migrations", name), []byte(body), 0o600))
	}
	run("init", "-q")
	write("1_a.sql", "a")
	write("2 ü\"b.sql", "b")
	run("add", "-A")
	run("commit", "-q", "-m", "one")
	base := run("rev-parse", "HEAD")
	write("1_a.sql", "edited")
	write("3_c.sql", "c")
	require.NoError(t, os.Remove(filepath.Join(root, "migrations", "2 ü\"b.sql")))
	run("add", "-A")
	run("commit", "-q", "-m", "two")

	diff, err := DiffGit(t.Context(), root, "migrations", base)
	require.NoError(t, err)
	assert.Equal(t, []Change{{"edited", "migrations/1_a.sql"}, {"deleted", "migrations/2 ü\"b.sql"}, {"added", "migrations/3_c.sql"}}, diff.Changes)
	first, err := DiffGit(t.Context(), root, "migrations", "")
	require.NoError(t, err)
	assert.Len(t, first.Changes, 2)
	gone, err := DiffGit(t.Context(), root, "migrations", strings.Repeat("0", 40))
	require.NoError(t, err)
	assert.Contains(t, gone.Note, "is not in this clone")
}

func TestNoPasswordInAnError(t *testing.T) {
	t.Setenv("PGPASSWORD", "s3cret-w0rd")
	_, err := Connect(t.Context(), fmt.Sprintf("postgres://nobody:s3cret-w0rd@127.0.0.1:%d/none?sslmode=disable", serverPort))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "s3cret")
	_, err = Connect(t.Context(), "postgres://u:s3cret-w0rd@127.0.0.1:1/x?sslmode=disable")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "s3cret")
}
