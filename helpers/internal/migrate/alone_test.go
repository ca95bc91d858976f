package migrate

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// TestATransactionTimeoutIsLiftedOrNamed: outside a transaction it would end every
// attempt to build an index; inside one the server's own words are shown.
func TestATransactionTimeoutIsLiftedOrNamed(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, _ int) {
		address := s.create(t)
		admin := open(t, address)
		execute(t, admin, `DO $$ BEGIN CREATE ROLE brief SUPERUSER LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
			ALTER ROLE brief SET transaction_timeout = '700ms'; CREATE TABLE t (id int);
			CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep(0.2); RETURN $1; END'; INSERT INTO t SELECT generate_series(1, 6)`)
		database := open(t, strings.Replace(address, "postgres@", "brief@", 1))
		_, err := database.Apply(t.Context(), folder(t, map[string]string{"1_x.sql": "CREATE INDEX CONCURRENTLY slow ON t (slow(id));"}), options)
		require.NoError(t, err)
		assert.Equal(t, "true", one(t, admin, "SELECT bool_and(indisvalid) FROM pg_index WHERE indexrelid = 'slow'::regclass"))
		_, err = database.Apply(t.Context(), folder(t, map[string]string{
			"1_x.sql": "CREATE INDEX CONCURRENTLY slow ON t (slow(id));", "2_y.sql": "CREATE TABLE u (n int); SELECT pg_sleep(3);"}), options)
		require.ErrorContains(t, err, "terminating connection due to transaction timeout")
		assert.ErrorContains(t, err, "25P04")
		assert.ErrorContains(t, err, "SET transaction_timeout = 0")
		assert.Equal(t, slipway.Unknown, slipway.AsError(err).Code)
		assert.Equal(t, "true", one(t, admin, "SELECT to_regclass('u') IS NULL"))
	}, 17, 18)
}

// TestAnotherServicesHistoryIsNotTakenForOnesOwn: it is found through the search_path.
func TestAnotherServicesHistoryIsNotTakenForOnesOwn(t *testing.T) {
	address := create(t)
	execute(t, open(t, address), "CREATE SCHEMA orders")
	theirs := folder(t, map[string]string{"001_init.sql": "CREATE TABLE a (id int);"})
	_, err := open(t, address).Apply(t.Context(), theirs, options)
	require.NoError(t, err)
	files := folder(t, map[string]string{"001_init.sql": "CREATE TABLE b (id int);"})
	database := open(t, address+"&search_path=orders,public")
	for _, ask := range []func() error{
		func() error { _, err := database.Plan(t.Context(), files, Allow{}); return err },
		func() error { _, err := database.Apply(t.Context(), files, options); return err },
		func() error { _, err := database.Status(t.Context(), files); return err },
		func() error { _, err := database.Verify(t.Context(), files); return err },
	} {
		err := ask()
		require.ErrorContains(t, err, "public.schema_migrations is the history of other files")
		assert.ErrorContains(t, err, "--history-schema orders")
		assert.NotContains(t, err.Error(), "accept-file")
		assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
	}
	require.NoError(t, database.UseSchema(t.Context(), "orders"))
	_, err = database.Apply(t.Context(), files, options)
	require.NoError(t, err)
	assert.Equal(t, "1 1", one(t, database, "SELECT (SELECT count(*) FROM orders.schema_migrations) || ' ' || (SELECT count(*) FROM "+
		"public.schema_migrations)"))
	// What is one's own is taken, wherever it is found.
	_, err = open(t, create(t)).Plan(t.Context(), files, Allow{})
	require.NoError(t, err)
	again := open(t, address+"&search_path=orders,public")
	plan, err := again.Plan(t.Context(), files, Allow{})
	require.NoError(t, err)
	assert.Empty(t, plan.Pending)
	require.ErrorContains(t, again.UseSchema(t.Context(), "nowhere"), "there is no schema nowhere")
}

// TestWhatIsLeftOutIsTold: a file that looks like a migration is read, or refused by name.
func TestWhatIsLeftOutIsTold(t *testing.T) {
	for name, says := range map[string]string{
		"002_b.SQL": "does not end in .sql", "002_b.Sql": "does not end in .sql", "v1/001_c.sql": "only files in",
		"v1/R__c.sql": "only files in", "v2/002_C.SQL": "only files in",
		"V1__users.sql": "Flyway's form", "V1.2__users.sql": "Flyway's form", "V2024_01_02__a b.sql": "Flyway's form",
		"U1__users.sql": "Flyway's form", "v3__x.sql": "Flyway's form",
		"B5__base.sql": "Flyway's form", "db/V1__x.sql": "only files in", "Vx__y.sql": "not of the form", "V1_users.sql": "not of the form",
		"20240101_init/migration.sql": "Prisma", "versions/1a2b_init.sql.py": "", "1a2b_init.py": "Alembic", "0001_initial.py": "Django",
		"20240101_create.rb": "Rails", "changelog.xml": "Liquibase", "gen.py": "", "v1/notes.md": "", "README.md": "",
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"001_a.sql": "CREATE TABLE a (id int);"})
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
			content := map[string]string{"Alembic": "from alembic import op\n", "Django": "from django.db import migrations\n",
				"Rails": "class A < ActiveRecord::Migration[7.0]\n", "Liquibase": "<databaseChangeLog/>"}[says]
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
			_, err := Load(dir)
			if says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, says)
			assert.ErrorContains(t, err, filepath.Base(name))
			assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
		})
	}
}

// TestOnlyRegularFilesAreRead: what a link or a device points to is not in git.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"symbolic link":   func(path string) error { return os.Symlink("/etc/hostname", path) },
		"a symbolic link": func(path string) error { return os.Symlink("/dev/zero", path) },
		"a pipe":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		dir := write(t, map[string]string{"001_a.sql": "SELECT 1;"})
		require.NoError(t, make(filepath.Join(dir, "002_b.sql")))
		_, err := Load(dir)
		require.ErrorContains(t, err, name)
		assert.ErrorContains(t, err, "002_b.sql")
		assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
	}
}

// TestNoErrorShowsThePassword: wherever a character of it ends the URL.
func TestNoErrorShowsThePassword(t *testing.T) {
	t.Setenv("PGPASSWORD", "")
	for _, password := range []string{"se\ncret", "se\tcret", `se"cret`, `se\cret`, "se#cret", "se/cret", "se?cret", "se@cret", "se%cret",
		"se%zzcret", "se cret", "se'cret", "12/34cret", "se[cret", "se:cret", "s\x00cret"} {
		for _, address := range []string{
			"postgres://u:" + password + "@127.0.0.1:1/x", "postgres://u:" + password + "@127.0.0.1:port/x", "postgresql://u:" + password + "@h",
			"postgres://" + password + "@[::1/x",
			"host=127.0.0.1 port=1 user=u password=" + password, "host=127.0.0.1 port=1 password='" + password + "' x",
			"postgres://127.0.0.1:1/x?password=" + password,
			"postgres://u:" + url.QueryEscape(password) + "@127.0.0.1:1/x",
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			_, err := Connect(ctx, address)
			cancel()
			require.Error(t, err, "%q", address)
			for _, part := range []string{"cret", "se\\", "se%"} {
				assert.NotContains(t, err.Error(), part, "%q", address)
			}
		}
	}
}

// TestHoldersAreNamed before, in the plan, and in the failure.
func TestHoldersAreNamed(t *testing.T) {
	s, err := newServer("", "fsync=off", "max_prepared_transactions=5", "wal_level=logical")
	require.NoError(t, err)
	t.Cleanup(s.Remove)
	address := s.create(t)
	database, other := open(t, address), open(t, address)
	execute(t, other, "CREATE TABLE t (id int); CREATE TABLE elsewhere (id int); SELECT pg_create_physical_replication_slot('standby', true)")
	execute(t, other, "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'forgotten'")
	alter := folder(t, map[string]string{"1_x.sql": "ALTER TABLE t ADD COLUMN n int;"})
	quick := options
	quick.LockTimeout, quick.LockAttempts = 200*time.Millisecond, 2
	says := func(text string, want ...string) {
		t.Helper()
		for _, each := range want {
			assert.Contains(t, text, each)
		}
	}
	plan, err := database.Plan(t.Context(), alter, Allow{})
	require.NoError(t, err)
	says(strings.Join(plan.Lines(), "\n"), "prepared transaction 'forgotten'", "ROLLBACK PREPARED 'forgotten'", "ACCESS EXCLUSIVE on t",
		"slot standby is not active")
	_, err = database.Apply(t.Context(), alter, quick)
	require.ErrorContains(t, err, "55P03")
	says(err.Error(), "prepared transaction 'forgotten'")
	execute(t, other, "ROLLBACK PREPARED 'forgotten'")

	execute(t, other, "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
	began := time.Now()
	plan, err = database.Plan(t.Context(), alter, Allow{})
	require.NoError(t, err)
	assert.Less(t, time.Since(began), 20*time.Second)
	pid := "pid " + one(t, other, "SELECT pg_backend_pid()")
	says(strings.Join(plan.Lines(), "\n"), pid, "idle in transaction", "holds ACCESS EXCLUSIVE")
	_, err = database.Apply(t.Context(), alter, quick)
	require.ErrorContains(t, err, "55P03")
	says(err.Error(), pid, "idle in transaction")
	execute(t, other, "ROLLBACK")

	execute(t, other, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM elsewhere; SELECT pg_sleep(1.1)")
	index := folder(t, map[string]string{"1_x.sql": "CREATE INDEX CONCURRENTLY i ON t (id);"})
	plan, err = database.Plan(t.Context(), index, Allow{})
	require.NoError(t, err)
	says(strings.Join(plan.Lines(), "\n"), pid, "older snapshot")
	quick.StatementTimeout = 500 * time.Millisecond
	_, err = database.Apply(t.Context(), index, quick)
	require.ErrorContains(t, err, "57014")
	says(err.Error(), pid, "older snapshot")

	// The time for all is bounded: the server ends the statement before, and what it leaves is dropped.
	quick.StatementTimeout = 0
	soon, cancel := context.WithTimeout(t.Context(), forClearing+time.Second)
	defer cancel()
	_, err = database.Apply(soon, index, quick)
	require.ErrorContains(t, err, "57014")
	assert.NoError(t, soon.Err())
	assert.Equal(t, "0", one(t, other, "SELECT count(*) FROM pg_class WHERE relname = 'i'"))
}

// TestWhoCONCURRENTLYWaitsForIsNamed although its own lock does not conflict with theirs.
func TestWhoCONCURRENTLYWaitsForIsNamed(t *testing.T) {
	const idle = "idle in transaction"
	for sql, test := range map[string]struct{ reader, writer bool }{
		"CREATE INDEX CONCURRENTLY i ON t (id);":                  {false, true},
		"REINDEX INDEX CONCURRENTLY t_id;":                        {true, true},
		"DROP INDEX CONCURRENTLY t_id;":                           {true, true},
		"ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;":         {false, false}, // nobody uses p
		"ALTER TABLE t ADD COLUMN n int;":                         {true, true},
		"ALTER TABLE t ADD CONSTRAINT c CHECK (id > 0) NOT VALID": {true, true},
		"ALTER TABLE t ALTER COLUMN id SET STATISTICS 5":          {false, false},
	} {
		address := create(t)
		database, other := open(t, address), open(t, address)
		execute(t, other, `CREATE TABLE t (id int); CREATE INDEX t_id ON t (id); CREATE TABLE p (id int) PARTITION BY RANGE (id);
			CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9)`)
		for use, named := range map[string]bool{"SELECT FROM t": test.reader, "INSERT INTO t VALUES (1)": test.writer} {
			execute(t, other, "BEGIN; "+use)
			plan, err := database.Plan(t.Context(), folder(t, map[string]string{"1_x.sql": sql}), Allow{})
			require.NoError(t, err)
			assert.Equal(t, named, strings.Contains(strings.Join(plan.Lines(), "\n"), idle), "%s, %s", use, sql)
			if waits := strings.Contains(sql, "CONCURRENTLY") && named; waits { // and it does wait for them
				quick := options
				quick.StatementTimeout = 300 * time.Millisecond
				_, err = database.Apply(t.Context(), folder(t, map[string]string{"1_x.sql": sql}), quick)
				require.ErrorContains(t, err, "57014", "%s, %s", use, sql)
				assert.ErrorContains(t, err, idle)
			}
			execute(t, other, "ROLLBACK")
		}
	}
}

// TestAnAutovacuumAgainstWraparoundIsNamed: it does not give way, as others do.
func TestAnAutovacuumAgainstWraparoundIsNamed(t *testing.T) {
	s, err := newServer("", "fsync=off", "autovacuum_freeze_max_age=100000", "autovacuum_naptime=1s")
	require.NoError(t, err)
	t.Cleanup(s.Remove)
	database := open(t, s.create(t))
	execute(t, database, "CREATE TEMP TABLE burnt (i int); CREATE TABLE t (id int, filler text) WITH (autovacuum_enabled = off, "+
		"autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);"+
		"INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g")
	execute(t, database, "DO 'BEGIN FOR i IN 1..100200 LOOP BEGIN INSERT INTO burnt VALUES (i); EXCEPTION WHEN division_by_zero THEN END; "+
		"END LOOP; END'")
	files := folder(t, map[string]string{"1_x.sql": "ALTER TABLE t ADD COLUMN n int;"})
	for deadline := time.Now().Add(2 * time.Minute); ; {
		plan, err := database.Plan(t.Context(), files, Allow{})
		require.NoError(t, err)
		text := strings.Join(plan.Lines(), "\n")
		if strings.Contains(text, "autovacuum to prevent wraparound, which does not give way") {
			assert.Contains(t, text, "holds SHARE UPDATE EXCLUSIVE")
			return
		}
		require.True(t, time.Now().Before(deadline), text)
		one(t, database, "SELECT pg_sleep(0.2)")
	}
}

// TestADatabaseWithAPastIsRecognised: another tool's history, or tables that the files make.
func TestADatabaseWithAPastIsRecognised(t *testing.T) {
	for _, past := range []struct{ sql, says string }{
		{"CREATE TABLE flyway_schema_history (version text, success boolean); INSERT INTO flyway_schema_history VALUES ('7', true)",
			"Flyway has migrated this database: its history is public.flyway_schema_history (1 version, the newest is 7)"},
		{"CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version VALUES ('1a2b')",
			"Alembic has migrated this database"},
		{"CREATE TABLE databasechangelog (id text, orderexecuted int); INSERT INTO databasechangelog VALUES ('x', 1)",
			"Liquibase has migrated this database"},
		{"CREATE TABLE goose_db_version (version_id bigint, is_applied boolean)", "goose has migrated this database"},
		{"CREATE TABLE django_migrations (id bigint, app text, name text); INSERT INTO django_migrations VALUES (1, 'shop', '0001_initial')",
			"the newest is shop.0001_initial"},
		{"CREATE TABLE _prisma_migrations (migration_name text, finished_at timestamptz)", "Prisma has migrated this database"},
		{"CREATE TABLE schema_migrations (version bigint, dirty boolean)", "golang-migrate"},
		{"CREATE TABLE schema_migrations (version text)", "dbmate or Rails"},
		{"CREATE TABLE users (id int); CREATE TABLE orders (id int)", "the schema public has 2 tables and no history, and the pending files " +
			"create what is there already: users"},
	} {
		database := open(t, create(t))
		execute(t, database, past.sql)
		files := folder(t, map[string]string{"1_users.sql": "CREATE TABLE users (id int);", "2_more.sql": "ALTER TABLE users ADD COLUMN n int;"})
		for name, ask := range map[string]func() error{
			"plan":  func() error { _, err := database.Plan(t.Context(), files, Allow{}); return err },
			"apply": func() error { _, err := database.Apply(t.Context(), files, options); return err },
		} {
			err := ask()
			require.ErrorContains(t, err, past.says, name)
			assert.ErrorContains(t, err, "migrate-diff baseline")
			assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
		}
	}
	database := open(t, create(t))
	execute(t, database, "CREATE TABLE alembic_version (version_num text); CREATE TABLE users (id int)")
	files := folder(t, map[string]string{"1_users.sql": "CREATE TABLE users (id int);", "2_more.sql": "ALTER TABLE users ADD COLUMN n int;"})
	_, err := database.Baseline(t.Context(), files, "1", false, "made by Alembic", options)
	require.NoError(t, err)
	outcome, err := database.Apply(t.Context(), files, options)
	require.NoError(t, err)
	assert.Equal(t, []string{"2_more.sql"}, outcome.Applied)

	database = open(t, create(t))
	execute(t, database, "CREATE TABLE elsewhere (id int)")
	plan, err := database.Plan(t.Context(), files, Allow{})
	require.NoError(t, err)
	assert.Contains(t, fmt.Sprint(plan.Lines()), "has 1 table and no history")
	_, err = database.Baseline(t.Context(), files, "0", false, "begins here", options)
	require.NoError(t, err)
	plan, err = database.Plan(t.Context(), files, Allow{})
	require.NoError(t, err)
	assert.NotContains(t, fmt.Sprint(plan.Lines()), "no history")
	assert.Len(t, plan.Pending, 2)
}
