package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// TestAFileThatStoppedHalfWayIsNotBegunAnew: neither under another number, nor
// as a transaction, nor without what it did first; and nothing else runs before it.
func TestAFileThatStoppedHalfWayIsNotBegunAnew(t *testing.T) {
	const first = "-- slipway:no-transaction\nINSERT INTO tally VALUES (1);\nSELECT 1/0;"
	for name, files := range map[string]map[string]string{
		"as a transaction":     {"1_x.sql": "INSERT INTO tally VALUES (1);"},
		"outside one":          {"1_x.sql": "-- slipway:no-transaction\nINSERT INTO tally VALUES (1);\nSELECT 1;"},
		"under another number": {"2_x.sql": first},
		"not at all":           {"2_y.sql": "CREATE TABLE y (n int);"},
	} {
		t.Run(name, func(t *testing.T) {
			database := open(t, create(t))
			execute(t, database, "CREATE TABLE tally (n int)")
			_, err := database.Apply(t.Context(), folder(t, map[string]string{"1_x.sql": first}), options)
			require.ErrorContains(t, err, "22012")
			_, err = database.Apply(t.Context(), folder(t, files), options)
			require.Error(t, err)
			assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code, "%v", err)
			assert.ErrorContains(t, err, "before statement 2")
			assert.ErrorContains(t, err, "migrate-diff repair 1 --forget")
			assert.Equal(t, "1", one(t, database, "SELECT count(*) FROM tally"))
			assert.Equal(t, "true", one(t, database, "SELECT to_regclass('y') IS NULL"))
			status, err := database.Status(t.Context(), folder(t, files))
			require.NoError(t, err)
			assert.Equal(t, 1, status.count("interrupted"))
		})
	}
}

// TestNothingOfAFileReachesTheNext: whether two files run in one session or, after
// a stop, in two, they do the same.
func TestNothingOfAFileReachesTheNext(t *testing.T) {
	database := open(t, create(t))
	execute(t, database, "CREATE TABLE users (name text)")
	_, err := database.Apply(t.Context(), folder(t, map[string]string{
		"1_a.sql": "CREATE TEMP TABLE users (name text); PREPARE p AS SELECT 1; DECLARE c CURSOR WITH HOLD FOR SELECT 1;",
		"2_b.sql": "INSERT INTO users VALUES ('one'); PREPARE p AS SELECT 2; DECLARE c CURSOR WITH HOLD FOR SELECT 2;",
		"3_c.sql": "-- slipway:no-transaction\nCREATE TEMP TABLE users (name text);\nPREPARE p AS SELECT 3;",
		"4_d.sql": "INSERT INTO users VALUES ('two'); PREPARE p AS SELECT 4;",
	}), options)
	require.NoError(t, err)
	assert.Equal(t, "one two", one(t, database, "SELECT string_agg(name, ' ') FROM public.users"))
}

// TestTheServerReadsTheTextAsTheParserDoes: where the role says otherwise, a
// backslash would end a string elsewhere, and a COMMIT inside it would be one.
func TestTheServerReadsTheTextAsTheParserDoes(t *testing.T) {
	url := create(t)
	admin := open(t, url)
	execute(t, admin, "DO $$ BEGIN CREATE ROLE old SUPERUSER LOGIN; EXCEPTION WHEN duplicate_object THEN END $$; ALTER ROLE old SET "+
		"standard_conforming_strings = off; ALTER ROLE old SET escape_string_warning = off; ALTER ROLE old SET datestyle = 'ISO, DMY'")
	database := open(t, strings.Replace(url, "postgres@", "old@", 1))
	_, err := database.Apply(t.Context(), folder(t, map[string]string{
		"1_a.sql": `CREATE TABLE paths (path text, since date); INSERT INTO paths VALUES ('C:\', '02/01/2026'), ('; COMMIT; SELECT 1/0; -- ', NULL);`,
	}), options)
	require.NoError(t, err)
	assert.Equal(t, `C:\ 2026-01-02`, one(t, admin, "SELECT path || ' ' || since FROM paths WHERE since IS NOT NULL"),
		"and a date as the role's other sessions do")
	for sql, says := range map[string]string{
		"SET standard_conforming_strings = off; SELECT 1":     "standard_conforming_strings",
		"SET client_encoding = 'LATIN1'; SELECT 1":            "client_encoding",
		"SET NAMES 'LATIN1'; SELECT 1":                        "client_encoding",
		"SELECT pg_advisory_unlock_all()":                     "releases the advisory lock",
		"-- slipway:no-transaction\nSET client_encoding=sjis": "client_encoding",
	} {
		_, err := LintFiles(t.Context(), folder(t, map[string]string{"1_x.sql": sql}))
		require.Error(t, err, sql)
		assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
		assert.ErrorContains(t, err, says)
	}
	// What pg_dump writes at its top is right.
	_, err = LintFiles(t.Context(), folder(t, map[string]string{"1_x.sql": "SET client_encoding = 'UTF8'; SET standard_conforming_strings " +
		"= on; SET check_function_bodies = false;"}))
	require.NoError(t, err)
}

// TestWhatOnlyTheServerKnowsToRunAlone: the parser cannot tell that the table is partitioned.
func TestWhatOnlyTheServerKnowsToRunAlone(t *testing.T) {
	database := open(t, create(t))
	execute(t, database, "CREATE TABLE p (id int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9); "+
		"CREATE INDEX p_id ON p (id)")
	_, err := database.Apply(t.Context(), folder(t, map[string]string{"1_x.sql": "REINDEX TABLE p;"}), options)
	require.ErrorContains(t, err, "25001")
	assert.ErrorContains(t, err, "slipway:no-transaction")
	before := one(t, database, "SELECT relfilenode FROM pg_class WHERE relname = 'p1_id_idx'")
	_, err = database.Apply(t.Context(), folder(t, map[string]string{"1_x.sql": "-- slipway:no-transaction\nREINDEX TABLE p;\nREINDEX " +
		"INDEX p_id;"}), options)
	require.NoError(t, err)
	assert.NotEqual(t, before, one(t, database, "SELECT relfilenode FROM pg_class WHERE relname = 'p1_id_idx'"))
	assert.Equal(t, "0", one(t, database, "SELECT count(*) FROM schema_migrations_progress"))
}

// TestAnIndexThatCouldNotBeBuiltIsTakenAway: invalid, it would slow every write,
// and a unique one would go on refusing rows.
func TestAnIndexThatCouldNotBeBuiltIsTakenAway(t *testing.T) {
	for name, sql := range map[string]string{"new": "CREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id);",
		"again": "REINDEX INDEX CONCURRENTLY t_wrong;"} {
		t.Run(name, func(t *testing.T) {
			database := open(t, create(t))
			execute(t, database, "CREATE TABLE t (id int); CREATE UNIQUE INDEX t_wrong ON t (id); INSERT INTO t VALUES (1); UPDATE pg_index SET "+
				"indisready = false, indisvalid = false WHERE indexrelid = 't_wrong'::regclass")
			execute(t, database, "INSERT INTO t VALUES (1)")
			files := folder(t, map[string]string{"1_x.sql": sql})
			_, err := database.Apply(t.Context(), files, options)
			require.ErrorContains(t, err, "23505")
			assert.Equal(t, "t_wrong", one(t, database, "SELECT string_agg(indexrelid::regclass::text, ' ') FROM pg_index WHERE indrelid = "+
				"'t'::regclass"))
			execute(t, database, "DELETE FROM t")
			_, err = database.Apply(t.Context(), files, options)
			require.NoError(t, err)
		})
	}
}

// TestATableThatIsThereAlreadyIsNotNew: IF NOT EXISTS does not make it so.
func TestATableThatIsThereAlreadyIsNotNew(t *testing.T) {
	database := open(t, create(t))
	execute(t, database, "CREATE TABLE users (id int, name text)")
	plan, err := database.Plan(t.Context(), folder(t, map[string]string{"1_x.sql": "CREATE TABLE IF NOT EXISTS users (id int);\nALTER " +
		"TABLE users DROP COLUMN name;"}), Allow{})
	require.NoError(t, err)
	assert.Equal(t, []string{"1_x.sql"}, plan.Breaking())
	plan, err = database.Plan(t.Context(), folder(t, map[string]string{"1_x.sql": "CREATE TABLE IF NOT EXISTS others (id int);\nALTER " +
		"TABLE public.others DROP COLUMN id;\nCREATE INDEX i ON others ((1)); DROP TABLE others"}), Allow{})
	require.NoError(t, err)
	assert.Empty(t, plan.Worst())
}

// TestThePlanKnowsWhatItMakes: an index, a domain that an earlier file of it brings.
func TestThePlanKnowsWhatItMakes(t *testing.T) {
	database := open(t, create(t))
	execute(t, database, "CREATE TABLE users (id int, code int NOT NULL)")
	plan, err := database.Plan(t.Context(), folder(t, map[string]string{
		"1_a.sql": "CREATE UNIQUE INDEX CONCURRENTLY users_id ON users (id);",
		"2_b.sql": "ALTER TABLE users ADD CONSTRAINT users_key PRIMARY KEY USING INDEX users_id;",
		"3_c.sql": "CREATE UNIQUE INDEX CONCURRENTLY users_code ON users (code);",
		"4_d.sql": "ALTER TABLE users ADD CONSTRAINT users_other PRIMARY KEY USING INDEX users_code;",
		"5_e.sql": "CREATE DOMAIN positive AS int CHECK (VALUE > 0); ALTER TABLE users ADD COLUMN n positive;",
	}), Allow{})
	require.NoError(t, err)
	var found []string
	for _, file := range plan.Pending {
		for _, s := range file.Statements {
			if names := findingsOf(s); names != "" {
				found = append(found, file.Name+" "+names)
			}
		}
	}
	assert.Equal(t, []string{"2_b.sql set-not-null", "5_e.sql volatile-default"}, found)
}

// TestAPartitionedTableIsAsLargeAsItsPartitions: and who holds one of them is waited for.
func TestAPartitionedTableIsAsLargeAsItsPartitions(t *testing.T) {
	url := create(t)
	database, reader := open(t, url), open(t, url)
	execute(t, database, "CREATE TABLE p (id int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000); "+
		"INSERT INTO p SELECT generate_series(0, 999); ANALYZE p")
	execute(t, reader, "BEGIN; SELECT * FROM p1")
	plan, err := database.Plan(t.Context(), folder(t, map[string]string{"1_x.sql": "ALTER TABLE p ADD COLUMN n int"}), Allow{})
	require.NoError(t, err)
	require.Len(t, plan.Tables, 1)
	assert.EqualValues(t, 1000, plan.Tables[0].Rows)
	assert.Greater(t, plan.Tables[0].Bytes, int64(30000))
	require.Len(t, plan.Tables[0].Blockers, 1)
}

func TestOnlyRepeatableFilesHaveNoVersion(t *testing.T) {
	database := open(t, create(t))
	dir := write(t, map[string]string{"R__v.sql": "CREATE OR REPLACE VIEW v AS SELECT 1 AS one"})
	for _, want := range []string{"", "1"} {
		files, err := Load(dir)
		require.NoError(t, err)
		outcome, err := database.Apply(t.Context(), files, options)
		require.NoError(t, err)
		assert.Equal(t, want, outcome.Current)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "1_t.sql"), []byte("CREATE TABLE t (n int)"), 0o600))
	}
}

// TestWhatStoppedHalfWayIsSaid: where it goes on, and that nothing else can be repaired.
func TestWhatStoppedHalfWayIsSaid(t *testing.T) {
	database := open(t, create(t))
	files := folder(t, map[string]string{"1_x.sql": "-- slipway:no-transaction\nSET work_mem = '1MB';\nCREATE TABLE a (n int);\nSELECT 1/0;"})
	for _, repair := range []Repair{{Version: "1", Statement: "done"}, {Version: "9", Forget: true}} {
		repair.Reason = "none"
		_, err := database.Repair(t.Context(), files, repair, options)
		assert.Equal(t, slipway.Usage, slipway.AsError(err).Code, "%v", err)
	}
	_, err := database.Apply(t.Context(), files, options)
	require.ErrorContains(t, err, "to begin with the one after it: migrate-diff repair 1 --statement done")
	assert.NotContains(t, err.Error(), "correct the file")
	plan, err := database.Plan(t.Context(), files, Allow{})
	require.NoError(t, err)
	assert.Contains(t, plan.Lines(), "goes on  1_x.sql stopped half way in an earlier run, and goes on at statement 3 of 3")
	assert.Equal(t, "0", one(t, database, "SELECT count(*) FROM schema_migrations_repairs"))
}
