package migrate

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/tests/postgres"
)

// begun notes a statement as begun, as a run that was killed there has left it.
func begun(t *testing.T, d *Database, file Migration, statement int) {
	t.Helper()
	require.NoError(t, d.createHistory(t.Context()))
	execute(t, d, (runner{Database: d, file: file}).note(statement, true))
}

// TestWhatWasLeftHalfDoneIsFinished leaves each kind of statement in each state
// in which a kill can leave it.
func TestWhatWasLeftHalfDoneIsFinished(t *testing.T) {
	const ground = "CREATE TABLE t (id int); CREATE INDEX t_old ON t (id); CREATE TABLE p (id int) PARTITION BY RANGE (id); CREATE TABLE " +
		"p1 PARTITION OF p FOR VALUES FROM (0) TO (9)"
	invalid := func(name string) string {
		return "; UPDATE pg_index SET indisvalid = false WHERE indexrelid = '" + name + "'::regclass"
	}
	for _, test := range []struct{ name, sql, left, check, want string }{
		{"index not begun to be built", "CREATE INDEX CONCURRENTLY t_id ON t (id)", "",
			"SELECT indisvalid FROM pg_index WHERE indexrelid = 't_id'::regclass", "true"},
		{"index left invalid", "CREATE INDEX CONCURRENTLY t_id ON t (id)", "CREATE INDEX t_id ON t (id)" + invalid("t_id"),
			"SELECT indisvalid FROM pg_index WHERE indexrelid = 't_id'::regclass", "true"},
		{"index left invalid, IF NOT EXISTS", "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_id ON t (id)", "CREATE INDEX t_id ON t (id)" +
			invalid("t_id"), "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_id'::regclass", "true"},
		{"index built", "CREATE INDEX CONCURRENTLY t_id ON t (id)", "CREATE INDEX t_id ON t (id)",
			"SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass", "2"},
		{"index in another schema", "CREATE INDEX CONCURRENTLY i ON s.u (id)",
			"CREATE SCHEMA s; CREATE TABLE s.u (id int); CREATE INDEX i ON s.u (id)",
			"SELECT count(*) FROM pg_index WHERE indrelid = 's.u'::regclass", "1"},
		{"index dropped", "DROP INDEX CONCURRENTLY t_old", "DROP INDEX t_old", "SELECT to_regclass('t_old') IS NULL", "true"},
		{"index half dropped", "DROP INDEX CONCURRENTLY t_old", "SELECT 1" + invalid("t_old"), "SELECT to_regclass('t_old') IS NULL", "true"},
		{"reindex half done", "REINDEX INDEX CONCURRENTLY t_old", "CREATE INDEX t_old_ccnew ON t (id)" + invalid("t_old_ccnew"),
			"SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass", "1"},
		{"partition detached", "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY", "ALTER TABLE p DETACH PARTITION p1",
			"SELECT count(*) FROM pg_inherits", "0"},
		{"partition half detached", "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY",
			"UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'p1'::regclass", "SELECT count(*) FROM pg_inherits", "0"},
		{"database made", "CREATE DATABASE half", "", "SELECT count(*) FROM pg_database WHERE datname = 'half'", "1"},
		{"vacuum", "VACUUM t", "", "SELECT 1", "1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := create(t)
			database := open(t, url)
			execute(t, database, ground)
			if test.left != "" {
				execute(t, database, test.left)
			}
			if strings.HasPrefix(test.sql, "CREATE DATABASE") {
				execute(t, database, test.sql)
				t.Cleanup(func() { execute(t, open(t, address("postgres")), "DROP DATABASE half") })
			}
			files := folder(t, map[string]string{"1_x.sql": test.sql})
			require.NoError(t, files[0].Parse())
			begun(t, database, files[0], 0)
			outcome, err := database.Apply(t.Context(), files, options)
			require.NoError(t, err)
			assert.Equal(t, []string{"1_x.sql"}, outcome.Applied)
			assert.Equal(t, test.want, one(t, database, test.check))
			assert.Equal(t, "0", one(t, database, "SELECT count(*) FROM schema_migrations_progress"))
		})
	}
}

// TestAnIndexOfSomebodyElseIsNotTakenForOurs: the same name, made by hand, is an error.
func TestAnIndexOfSomebodyElseIsNotTakenForOurs(t *testing.T) {
	database := open(t, create(t))
	execute(t, database, "CREATE TABLE t (id int, a int); CREATE INDEX t_id ON t (a)")
	files := folder(t, map[string]string{"1_x.sql": "CREATE INDEX CONCURRENTLY t_id ON t (id);"})
	for range 2 {
		_, err := database.Apply(t.Context(), files, options)
		require.ErrorContains(t, err, "42P07")
		assert.ErrorContains(t, err, "repair 1 --mark-applied")
	}
}

// TestAProcedureThatWasCutOffIsAQuestionForAPerson: it may have committed half of its work.
func TestAProcedureThatWasCutOffIsAQuestionForAPerson(t *testing.T) {
	for answer, want := range map[string]string{"done": "0", "again": "2"} {
		database := open(t, create(t))
		execute(t, database, "CREATE TABLE t (n int); CREATE PROCEDURE fill() LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (1); COMMIT; "+
			"INSERT INTO t VALUES (2); END'")
		dir := map[string]string{"1_x.sql": "-- slipway:no-transaction\nCALL fill();\nCREATE TABLE behind (n int);"}
		files := folder(t, dir)
		require.NoError(t, files[0].Parse())
		begun(t, database, files[0], 0)
		_, err := database.Apply(t.Context(), files, options)
		assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
		assert.ErrorContains(t, err, "--statement done (or again)")
		verification, err := database.Verify(t.Context(), files)
		assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
		assert.Equal(t, "interrupted", verification.Drift[0].State)
		_, err = database.Repair(t.Context(), files, Repair{Version: "1", Statement: answer, Reason: "looked"}, options)
		require.NoError(t, err)
		_, err = database.Apply(t.Context(), files, options)
		require.NoError(t, err)
		assert.Equal(t, want, one(t, database, "SELECT count(*) FROM t"), answer)
		assert.Equal(t, "looked", one(t, database, "SELECT reason FROM schema_migrations_repairs"))
	}
}

// TestAFileLeavesTheSessionAsItFoundIt: what one file sets does not reach the
// next one, nor the history.
func TestAFileLeavesTheSessionAsItFoundIt(t *testing.T) {
	database := open(t, create(t))
	execute(t, database, "DO $$ BEGIN CREATE ROLE poor; EXCEPTION WHEN duplicate_object THEN END $$")
	files := folder(t, map[string]string{
		"1_a.sql": "SELECT pg_catalog.set_config('search_path', '', false); SET work_mem = '1MB'; CREATE TABLE public.a (n int); SET ROLE poor;",
		"2_b.sql": "CREATE TABLE b (setting text); INSERT INTO b SELECT current_setting('search_path') || current_setting('work_mem') || " +
			"current_user;",
	})
	_, err := database.Apply(t.Context(), files, options)
	require.NoError(t, err)
	assert.Equal(t, `"$user", public4MBpostgres`, one(t, database, "SELECT setting FROM b"))
	assert.Equal(t, "2", one(t, database, "SELECT count(*) FROM public.schema_migrations"))
}

func TestAnErrorNamesItsStatement(t *testing.T) {
	for _, test := range []struct{ name, sql, want string }{
		{"with a position", "SELECT 1;\n-- ä\nSELECT 'ü', x FROM nowhere;", "1_x.sql:3:20 failed: SQLSTATE 42P01"},
		{"without one", "CREATE TABLE t (n int UNIQUE);\nINSERT INTO t VALUES (1);\n\nINSERT INTO t\n VALUES (1);",
			"1_x.sql:4 failed: SQLSTATE 23505; duplicate key value"},
		{"of the first", "ALTER TABLE gone ADD n int;\nSELECT 1;", "1_x.sql:1 failed: SQLSTATE 42P01"},
		{"that only COMMIT finds", "CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO t VALUES (1), (1);",
			"1_x.sql: its COMMIT or history row failed: SQLSTATE 23505"},
		{"alone", "-- slipway:no-transaction\nSELECT 1;\n\nSELECT\n  x;", "1_x.sql:5:3 failed: SQLSTATE 42703"},
	} {
		t.Run(test.name, func(t *testing.T) {
			database := open(t, create(t))
			_, err := database.Apply(t.Context(), folder(t, map[string]string{"1_x.sql": test.sql}), options)
			require.ErrorContains(t, err, test.want)
			assert.Equal(t, slipway.No, slipway.AsError(err).Code)
			assert.Equal(t, "0", one(t, database, "SELECT count(*) FROM schema_migrations"))
			assert.Equal(t, "idle", one(t, open(t, address("postgres")), fmt.Sprintf("SELECT state FROM pg_stat_activity WHERE pid = %s", one(t,
				database, "SELECT pg_backend_pid()")))[:4])
		})
	}
}

// TestALargeFileStreams: it is more than one chunk, in one transaction, and its
// strings hold what looks like the end of a statement.
func TestALargeFileStreams(t *testing.T) {
	var body strings.Builder
	body.WriteString("CREATE TABLE t (n int, s text);\r\n")
	for i := range 40000 {
		fmt.Fprintf(&body, "INSERT INTO t VALUES (%d, 'a;\r\n-- b; %d'); -- c;\r\n", i, i)
	}
	database := open(t, create(t))
	dir := write(t, map[string]string{"1_rows.sql": body.String()})
	files, err := Load(dir)
	require.NoError(t, err)
	plan, err := database.Plan(t.Context(), files, Allow{})
	require.NoError(t, err)
	assert.Greater(t, len(plan.Pending[0].chunks), 3)
	assert.Equal(t, "40000", fmt.Sprint(plan.Pending[0].Statements[len(plan.Pending[0].Statements)-1].Count+len(plan.Pending[0].Statements)-2))
	_, err = database.Apply(t.Context(), files, options)
	require.NoError(t, err)
	assert.Equal(t, "40000 799980000", one(t, database, "SELECT count(*) || ' ' || sum(n) FROM t WHERE s LIKE E'a;\\r\\n-- b; %'"))

	require.NoError(t, os.WriteFile(filepath.Join(dir, "2_bad.sql"), []byte(strings.Replace(body.String(), "VALUES (39000,",
		"VALUES ('x',", 1)[33:]), 0o600))
	files, err = Load(dir)
	require.NoError(t, err)
	_, err = database.Apply(t.Context(), files, options)
	require.ErrorContains(t, err, "22P02")
	assert.Equal(t, "40000", one(t, database, "SELECT count(*) FROM t"), "all of the file or nothing")
}

func TestAFileThatChangesBehindThePlanIsNotApplied(t *testing.T) {
	database := open(t, create(t))
	dir := write(t, map[string]string{"1_a.sql": "CREATE TABLE a (n int);"})
	files, err := Load(dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "1_a.sql"), []byte("CREATE TABLE b (n int);"), 0o600))
	_, err = database.Apply(t.Context(), files, options)
	assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
	assert.Equal(t, "true", one(t, database, "SELECT to_regclass('a') IS NULL AND to_regclass('b') IS NULL"))
}

// TestATransactionPoolerIsRefused runs Debian's PgBouncer in front of the server.
func TestATransactionPoolerIsRefused(t *testing.T) {
	url := create(t)
	name := url[strings.LastIndex(url, "/")+1 : strings.Index(url, "?")]
	for _, test := range []struct{ mode, refused string }{
		{"transaction", "does not keep one session"},
		{"statement", "does not keep one session"},
		{"session", ""},
	} {
		t.Run(test.mode, func(t *testing.T) {
			port := startBouncer(t, test.mode)
			through := fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", port, name)
			apply := func() error {
				database, err := Connect(context.Background(), through)
				if err != nil {
					return err
				}
				defer database.Close()
				_, err = database.Apply(context.Background(), service(t), options)
				return err
			}
			err := apply()
			if test.refused == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.refused)
			assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
			assert.Equal(t, "true", one(t, open(t, url), "SELECT to_regclass('users') IS NULL"))
		})
	}
}

func startBouncer(t *testing.T, mode string) (port int) {
	t.Helper()
	port, err := postgres.FreePort()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "migrate-pool")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "users"), []byte("\"postgres\" \"\"\n"), 0o644))
	require.NoError(t, os.WriteFile(config, []byte(fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d "+
		"user=postgres\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%d\nunix_socket_dir=\nauth_type=trust\nauth_file=%s/users\npool_mode=%s\nignore_startup_parameters=extra_float_digits\n", shared.Port, port, dir, mode)), 0o644))
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer"
	}
	command := exec.Command(path, config)
	command.SysProcAttr = shared.Program("true").SysProcAttr
	require.NoError(t, command.Start(), "apt-get install pgbouncer")
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	require.Eventually(t, func() bool {
		database, err := Connect(context.Background(), fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port))
		if err == nil {
			database.Close()
		}
		return err == nil || strings.Contains(err.Error(), "pooler")
	}, 20*time.Second, 50*time.Millisecond)
	return port
}
