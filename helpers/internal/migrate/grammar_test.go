package migrate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

const groundOf18 = `
	CREATE TABLE t (a int, b int, span int4range, CONSTRAINT t_pk PRIMARY KEY (a)); INSERT INTO t VALUES (1, 1, '[1,2)');
	CREATE TABLE r (a int CONSTRAINT r_fk REFERENCES t, span int4range, b int); INSERT INTO r VALUES (1, '[1,2)', 1);
	CREATE TABLE c () INHERITS (r); CREATE TABLE p (id int, span int4range, UNIQUE (id, span WITHOUT OVERLAPS));
	ALTER TABLE r ADD CONSTRAINT own NOT NULL b NO INHERIT; CREATE EXTENSION btree_gist`

// forms are what PostgreSQL 18 takes and 17 refuses, what the rules say of them, and
// whether a table that is there is read from end to end.
var forms = []struct {
	sql, want string
	scans     bool
}{
	{"CREATE TABLE n (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL)", "", false},
	{"CREATE TABLE n (a int, b int GENERATED ALWAYS AS (a + 1))", "", false},
	{"CREATE TABLE n (a int, b int GENERATED ALWAYS AS (abs(a)) NOT NULL, c int)", "", false},
	{"ALTER TABLE t ADD COLUMN g int GENERATED ALWAYS AS (a * 2) VIRTUAL", "", false},
	{"ALTER TABLE t ADD g int GENERATED ALWAYS AS ((a + b))", "", false},
	{"ALTER TABLE t ADD COLUMN g int GENERATED ALWAYS AS (a * 2) VIRTUAL NOT NULL", "check", true},
	{"ALTER TABLE t ADD COLUMN g int NOT NULL GENERATED ALWAYS AS (a * 2), ADD COLUMN h int", "check", true},
	{"ALTER TABLE t ADD COLUMN g int GENERATED ALWAYS AS (a) VIRTUAL, ADD COLUMN h int NOT NULL DEFAULT 1", "", false},
	{"ALTER TABLE t ADD CONSTRAINT n NOT NULL b", "set-not-null*", true},
	{"ALTER TABLE t ADD NOT NULL b", "set-not-null*", true},
	{"ALTER TABLE t ADD CONSTRAINT n NOT NULL b NO INHERIT", "set-not-null*", true},
	{"ALTER TABLE t ADD CONSTRAINT n NOT NULL b NOT VALID", "", false},
	{"ALTER TABLE IF EXISTS ONLY public.t ADD NOT NULL b NOT VALID", "", false},
	{"ALTER TABLE t ADD NOT NULL a", "", false},
	{"CREATE TABLE n (a int, b int, CONSTRAINT n NOT NULL a, NOT NULL b NO INHERIT)", "", false},
	{"CREATE TABLE n (a int NOT NULL NO INHERIT, b int CONSTRAINT x NOT NULL NO INHERIT)", "", false},
	{"CREATE TABLE n (a int CHECK (a > 0) NOT ENFORCED, CHECK (a < 9) NOT ENFORCED, b int CHECK (b > 0) ENFORCED)", "", false},
	{"CREATE TABLE n (a int REFERENCES t NOT ENFORCED)", "references", false},
	{"ALTER TABLE t ADD CONSTRAINT k CHECK (b > 0) NOT ENFORCED", "", false},
	{"ALTER TABLE t ADD CONSTRAINT k CHECK (b > 0) ENFORCED", "check", true},
	{"ALTER TABLE t ADD COLUMN g int CONSTRAINT k CHECK (g > 0) NOT ENFORCED", "", false},
	{"ALTER TABLE r ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES t NOT ENFORCED", "references", false},
	{"ALTER TABLE r ALTER CONSTRAINT r_fk NOT ENFORCED", "", false},
	{"ALTER TABLE r ALTER CONSTRAINT own INHERIT", "check", true},
	{"CREATE TABLE n (id int, span int4range, PRIMARY KEY (id, span WITHOUT OVERLAPS))", "", false},
	{"CREATE TABLE n (id int, span int4range, FOREIGN KEY (id, PERIOD span) REFERENCES p (id, PERIOD span))", "references", false},
	{"ALTER TABLE r ADD CONSTRAINT k UNIQUE (a, span WITHOUT OVERLAPS)", "unique", true},
	{"ALTER TABLE r ADD CONSTRAINT k FOREIGN KEY (a, PERIOD span) REFERENCES p (id, PERIOD span) NOT VALID", "references", false},
	{"UPDATE t SET b = 2 WHERE a = 1 RETURNING WITH (OLD AS o, NEW AS n) o.b, n.b", "", false},
	{"INSERT INTO t VALUES (7, 7) RETURNING WITH (NEW AS n) n.a", "", false},
	{"DELETE FROM t WHERE a = 77 RETURNING WITH (OLD AS o) o.*", "", false},
	{"ANALYZE ONLY t", "", false},
	{"ALTER DEFAULT PRIVILEGES GRANT SELECT ON LARGE OBJECTS TO PUBLIC", "privilege", false},
	{"MERGE INTO t USING r ON t.a = r.a WHEN MATCHED THEN UPDATE SET b = 1 RETURNING WITH (OLD AS o) o.a", "", false},
}

// TestWhatOnly18TakesIsAnalysedAndApplied: and what an older server refuses is said
// with its place before anything is applied.
func TestWhatOnly18TakesIsAnalysedAndApplied(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, major int) {
		url := s.create(t)
		for _, form := range forms {
			database := open(t, url)
			if major == 18 {
				execute(t, database, afresh+"CREATE EXTENSION IF NOT EXISTS btree_gist;"+strings.Replace(groundOf18, "; "+
					"CREATE EXTENSION btree_gist", "", 1))
			}
			files := folder(t, map[string]string{"1_first.sql": "CREATE TABLE first (a int);", "2_x.sql": "-- ä\n  " + form.sql + "; -- end"})
			plan, err := database.Plan(t.Context(), files, Allow{})
			if major < 18 {
				require.Error(t, err, form.sql)
				assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
				assert.Contains(t, err.Error(), "2_x.sql:2:", form.sql)
				assert.Contains(t, err.Error(), "says PostgreSQL", form.sql)
				continue
			}
			require.NoError(t, err, form.sql)
			assert.Equal(t, form.want, strings.TrimPrefix(ofPlan(plan.Pending), ";"), form.sql)
			last := plan.Pending[1].Statements[0]
			assert.Equal(t, form.scans, last.Scans, form.sql)
			assert.False(t, last.Rewrites, form.sql)
			execute(t, database, "BEGIN")
			const scans = "SELECT coalesce(sum(pg_stat_get_xact_numscans(oid)), 0) FROM pg_class WHERE relname IN ('t', 'r', 'c', 'p')"
			const nodes = "SELECT string_agg(relname || relfilenode, ' ' ORDER BY relname) FROM pg_class WHERE relname IN ('t', 'r', 'c', 'p')"
			before, were := one(t, database, scans), one(t, database, nodes)
			execute(t, database, form.sql)
			if !strings.HasPrefix(form.sql, "ANALYZE") && !strings.HasPrefix(form.sql, "MERGE") {
				assert.Equal(t, form.scans, before != one(t, database, scans), "%s: what the server reads", form.sql)
			}
			assert.Equal(t, were, one(t, database, nodes), "%s: what it rewrites", form.sql)
			execute(t, database, "ROLLBACK")
			allowed := options
			allowed.AllowBreaking = true
			_, err = database.Apply(t.Context(), files, allowed)
			require.NoError(t, err, form.sql)
			database.Close()
		}
	})
}

// TestNamesThatWereNoKeywordsYet: the server's version decides.
func TestNamesThatWereNoKeywordsYet(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, major int) {
		for sql, since := range map[string]int{ // the version that takes it no more
			"CREATE TABLE audit (id bigint, system_user text); ALTER TABLE audit DROP COLUMN system_user":                      16,
			"CREATE FUNCTION json_value(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT json_value(1)":                   17,
			"CREATE FUNCTION json_exists() RETURNS int LANGUAGE sql AS 'SELECT 1'":                                             17,
			"CREATE FUNCTION json_serialize() RETURNS int LANGUAGE sql AS 'SELECT 1'":                                          17,
			"CREATE FUNCTION json_table() RETURNS int LANGUAGE sql AS 'SELECT 1'":                                              17,
			"CREATE FUNCTION json_scalar() RETURNS int LANGUAGE sql AS 'SELECT 1'":                                             17,
			"CREATE FUNCTION json_array() RETURNS int LANGUAGE sql AS 'SELECT 1'":                                              16,
			"CREATE FUNCTION json_arrayagg(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1'":                              16,
			"CREATE FUNCTION merge_action() RETURNS int LANGUAGE sql AS 'SELECT 1'; COMMENT ON FUNCTION merge_action() IS 'x'": 17,
			"CREATE VIEW v AS SELECT 1 AS system_user":                                                                         99,
		} {
			database := open(t, s.create(t))
			outcome, err := database.Apply(t.Context(), folder(t, map[string]string{"1_a.sql": "CREATE TABLE a (n int);", "2_x.sql": sql}), Options{
				LockWait: options.LockWait, LockTimeout: options.LockTimeout, LockAttempts: 1, AllowBreaking: true})
			if major >= since {
				require.ErrorContains(t, err, "2_x.sql:1:", sql)
				assert.Empty(t, outcome.Applied, sql)
			} else {
				require.NoError(t, err, sql)
			}
			database.Close()
		}
	})
}

// TestAWrongStatementIsSaidBeforeAnythingRuns: by the server's own grammar, in the
// file that has it; and without a server it is a danger that can be answered for.
func TestAWrongStatementIsSaidBeforeAnythingRuns(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, major int) {
		database := open(t, s.create(t))
		for sql, at := range map[string]string{
			"CREATE TABEL x (a int);":                                 "2_x.sql:1:8",
			"SELECT 1;\r\nALTER TABLE x ADD COLUM a int 1;":           "2_x.sql:2:",
			"SELECT 'ä', 'ö';\nCREATE TABLE x (a int,);":              "2_x.sql:2:23",
			"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELEC; END": "2_x.sql:1:",
			"INSERT INTO x VALUES (1":                                 "2_x.sql:1:24",
			"SELEC 1":                                                 "2_x.sql:1:1",
			"SELECT 1; DROP TABLE a, ;":                               "2_x.sql:1:25",
			"SELECT 'open":                                            "2_x.sql:1:8",
		} {
			_, err := database.Apply(t.Context(), folder(t, map[string]string{"1_a.sql": "CREATE TABLE a (n int);", "2_x.sql": sql}), options)
			require.Error(t, err, sql)
			assert.Equal(t, slipway.Usage, slipway.AsError(err).Code, "%v", err)
			assert.ErrorContains(t, err, at, sql)
			assert.Equal(t, "true", one(t, database, "SELECT to_regclass('a') IS NULL"))
		}
	})
	files := map[string]string{"1_x.sql": "CREATE TABEL x (a int)"}
	found, err := LintFiles(t.Context(), folder(t, files))
	require.NoError(t, err)
	assert.True(t, found.Fails(Danger))
	files["1_x.sql"] = "-- slipway:ok not-analysed of a version to come\n" + files["1_x.sql"]
	found, err = LintFiles(t.Context(), folder(t, files))
	require.NoError(t, err)
	assert.False(t, found.Fails(Danger))
}

// TestOlderServersRefuseNewerWords: what the parser takes and the server does not.
func TestOlderServersRefuseNewerWords(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, major int) {
		for sql, since := range map[string]int{
			"MERGE INTO a USING a b ON a.n = b.n WHEN MATCHED THEN DO NOTHING":            15,
			"CREATE TABLE x (n int UNIQUE NULLS NOT DISTINCT)":                            15,
			"ALTER TABLE a ALTER COLUMN n SET STORAGE DEFAULT":                            16,
			"MERGE INTO a USING a b ON a.n = b.n WHEN NOT MATCHED BY SOURCE THEN DELETE":  17,
			"CREATE TABLE x (n int); CREATE UNIQUE INDEX x_n ON x (n) NULLS NOT DISTINCT": 15,
		} {
			database := open(t, s.create(t))
			_, err := database.Plan(t.Context(), folder(t, map[string]string{"1_a.sql": "CREATE TABLE a (n int);", "2_x.sql": sql}), Allow{})
			if major < since {
				assert.ErrorContains(t, err, "2_x.sql:1:", sql)
			} else {
				assert.NoError(t, err, sql)
			}
			database.Close()
		}
	})
}
