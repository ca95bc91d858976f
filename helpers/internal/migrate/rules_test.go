package migrate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// what each statement is said to do to the table "here", of which there is a
// "partitioned" one and an "other": findings, then the lock on each table.
// TestPostgreSQLDoesWhatTheRulesSay runs every one of them.
var claims = []struct {
	sql      string
	findings string
	locks    string
	rewrites string // the table that is written anew, or nothing
	scans    string // the tables that are read from end to end, which who writes anew does as well
}{
	{"CREATE INDEX i ON here (a)", "index", "here ShareLock", "", "here"},
	{"CREATE INDEX CONCURRENTLY i ON here (a)", "", "here ShareUpdateExclusiveLock", "", "here"},
	{"CREATE INDEX CONCURRENTLY ON here (a)", "index-name", "here ShareUpdateExclusiveLock", "", "here"},
	{"DROP INDEX here_b", "drop-index", "here AccessExclusiveLock", "", ""},
	{"DROP INDEX CONCURRENTLY here_b", "", "here ShareUpdateExclusiveLock", "", ""},
	{"REINDEX INDEX here_b", "reindex", "here ShareLock, here_b AccessExclusiveLock", "", "here"},
	{"REINDEX TABLE here", "reindex", "here ShareLock, here_a AccessExclusiveLock, here_b AccessExclusiveLock, here_h AccessExclusiveLock",
		"", "here"},
	{"REINDEX INDEX CONCURRENTLY here_b", "", "here ShareUpdateExclusiveLock", "", "here"},
	{"REINDEX TABLE CONCURRENTLY here", "", "here ShareUpdateExclusiveLock", "", "here"},
	{"ALTER INDEX here_b RENAME TO here_bb", "", "", "", ""},

	{"ALTER TABLE here ADD COLUMN n int", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ADD COLUMN n int DEFAULT 7 NOT NULL", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ADD COLUMN n timestamptz DEFAULT now()", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ADD COLUMN n uuid DEFAULT gen_random_uuid()", "volatile-default", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ADD COLUMN n timestamptz DEFAULT clock_timestamp()", "volatile-default", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ADD COLUMN n int DEFAULT surprise()", "unseen volatile-default", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ADD COLUMN n int DEFAULT fixed()", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ADD COLUMN n serial", "serial", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY", "generated-column", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ADD COLUMN n int GENERATED ALWAYS AS (a + 1) STORED", "generated-column", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ADD COLUMN n int CHECK (n > 0)", "check", "here AccessExclusiveLock", "", "here"},
	{"ALTER TABLE here ADD COLUMN n int UNIQUE", "unique", "here AccessExclusiveLock", "", "here"},
	{"ALTER TABLE here ADD COLUMN n int REFERENCES other", "references", "here AccessExclusiveLock, other ShareRowExclusiveLock", "", ""},
	{"ALTER TABLE here ADD COLUMN n int NOT NULL", "not-null-without-default", "here AccessExclusiveLock", "", "here"},
	{"ALTER TABLE here DROP COLUMN b", "drop-column", "here AccessExclusiveLock", "", ""},

	{"ALTER TABLE here ALTER COLUMN a TYPE bigint", "alter-type", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ALTER COLUMN c TYPE varchar(30)", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ALTER COLUMN c TYPE varchar", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ALTER COLUMN c TYPE text", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ALTER COLUMN c TYPE varchar(10)", "alter-type", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ALTER COLUMN b TYPE varchar(10)", "alter-type", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ALTER COLUMN b TYPE varchar", "check", "here AccessExclusiveLock", "", "here"},
	{"ALTER TABLE here ALTER COLUMN d TYPE numeric(12,2)", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ALTER COLUMN d TYPE numeric", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ALTER COLUMN d TYPE numeric(12,4)", "alter-type", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ALTER COLUMN d TYPE numeric(8,2)", "alter-type", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ALTER COLUMN e TYPE timestamp(6)", "timestamp", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ALTER COLUMN e TYPE timestamp", "timestamp", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ALTER COLUMN e TYPE timestamp(0)", "timestamp alter-type", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ALTER COLUMN f TYPE inet", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ALTER COLUMN g TYPE text", "alter-type", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ALTER COLUMN a TYPE int", "", "here AccessExclusiveLock", "", ""},

	{"ALTER TABLE here ALTER COLUMN a SET NOT NULL", "set-not-null", "here AccessExclusiveLock", "", "here"},
	{"ALTER TABLE here ALTER COLUMN b SET NOT NULL", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ALTER COLUMN a DROP NOT NULL", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ALTER COLUMN a SET DEFAULT 1", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ALTER COLUMN a SET STATISTICS 200", "", "here ShareUpdateExclusiveLock", "", ""},
	{"ALTER TABLE here SET (fillfactor = 70)", "", "here ShareUpdateExclusiveLock", "", ""},
	{"ALTER TABLE here SET (autovacuum_enabled = off)", "", "here ShareUpdateExclusiveLock", "", ""},
	{"ALTER TABLE here SET (user_catalog_table = true)", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here SET UNLOGGED", "rewrite", "here AccessExclusiveLock", "here", "here"},

	{"ALTER TABLE here ADD CONSTRAINT k CHECK (a > 0)", "check", "here AccessExclusiveLock", "", "here"},
	{"ALTER TABLE here ADD CONSTRAINT k CHECK (a > 0) NOT VALID", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES other", "foreign-key",
		"here ShareRowExclusiveLock, other ShareRowExclusiveLock", "", "here"},
	{"ALTER TABLE here ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES other NOT VALID", "references",
		"here ShareRowExclusiveLock, other ShareRowExclusiveLock", "", ""},
	{"ALTER TABLE here VALIDATE CONSTRAINT positive", "", "here ShareUpdateExclusiveLock", "", "here"},
	{"ALTER TABLE here ADD CONSTRAINT k UNIQUE (a)", "unique", "here AccessExclusiveLock", "", "here"},
	{"ALTER TABLE here ADD PRIMARY KEY (a)", "unique", "here AccessExclusiveLock", "", "here"},
	{"ALTER TABLE here ADD CONSTRAINT k UNIQUE USING INDEX here_a", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ADD CONSTRAINT k EXCLUDE USING gist (f inet_ops WITH &&)", "exclude", "here AccessExclusiveLock", "", "here"},
	{"ALTER TABLE here DROP CONSTRAINT proven", "drop-constraint", "here AccessExclusiveLock", "", ""},

	{"DROP TABLE here", "drop-table", "here AccessExclusiveLock", "", ""},
	{"DROP VIEW seen", "drop-object", "seen AccessExclusiveLock", "", ""},
	{"ALTER TABLE here RENAME TO there", "rename", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here RENAME COLUMN a TO aa", "rename", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here RENAME CONSTRAINT proven TO known", "access", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here SET SCHEMA elsewhere", "rename", "here AccessExclusiveLock", "", ""},
	{"TRUNCATE here", "truncate", "here AccessExclusiveLock", "here", "here"},
	{"CLUSTER here USING here_b", "cluster", "here AccessExclusiveLock", "here", "here"},
	{"VACUUM FULL here", "vacuum-full", "here AccessExclusiveLock", "here", "here"},
	{"VACUUM (FULL off) here", "", "here ShareUpdateExclusiveLock", "", ""},
	{"ANALYZE here", "", "here ShareUpdateExclusiveLock", "", ""},

	{"ALTER TABLE partitioned DETACH PARTITION part", "detach", "partitioned AccessExclusiveLock, part AccessExclusiveLock", "", ""},
	{"ALTER TABLE partitioned DETACH PARTITION part CONCURRENTLY", "", "partitioned ShareUpdateExclusiveLock, part AccessExclusiveLock",
		"", ""},
	{"ALTER TABLE partitioned ATTACH PARTITION lone FOR VALUES FROM (10) TO (20)", "attach",
		"partitioned ShareUpdateExclusiveLock, lone AccessExclusiveLock", "", "lone"},
	{"CREATE TABLE more PARTITION OF partitioned FOR VALUES FROM (20) TO (30)", "partition-of", "partitioned AccessExclusiveLock", "", ""},
	{"CREATE TABLE child () INHERITS (other)", "", "other ShareUpdateExclusiveLock", "", ""},
	{"CREATE TABLE child (id bigint REFERENCES other)", "references", "other ShareRowExclusiveLock", "", ""},
	{"REFRESH MATERIALIZED VIEW kept", "refresh", "kept AccessExclusiveLock", "kept", "kept"},
	{"REFRESH MATERIALIZED VIEW CONCURRENTLY kept", "", "kept ExclusiveLock", "", "kept"},

	{"CREATE TRIGGER t BEFORE INSERT ON here FOR EACH ROW EXECUTE FUNCTION nothing()", "trigger", "here ShareRowExclusiveLock", "", ""},
	{"ALTER TABLE here DISABLE TRIGGER ALL", "triggers-off", "here ShareRowExclusiveLock", "", ""},
	{"ALTER TABLE here ENABLE ROW LEVEL SECURITY", "row-security", "here AccessExclusiveLock", "", ""},
	{"CREATE POLICY p ON here USING (true)", "access", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here OWNER TO somebody", "access revoke", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here REPLICA IDENTITY FULL", "access", "here AccessExclusiveLock", "", ""},
	{"LOCK TABLE here IN SHARE MODE", "lock-table", "here ShareLock", "", ""},
	{"LOCK TABLE here IN ROW SHARE MODE", "", "here RowShareLock", "", ""},

	{"UPDATE here SET a = a + 1", "update-all", "here RowExclusiveLock", "", "here"},
	{"UPDATE here SET a = 2 WHERE a = 1", "", "here RowExclusiveLock", "", ""},
	{"DELETE FROM here", "delete-all", "here RowExclusiveLock", "", "here"},
	{"DELETE FROM here WHERE a = 1", "", "here RowExclusiveLock", "", ""},
	{"INSERT INTO here (a, b) VALUES (5, '')", "", "here RowExclusiveLock", "", ""},
	{"CREATE VIEW v AS SELECT a FROM here", "", "", "", ""},
	{"COMMENT ON COLUMN here.a IS 'x'", "", "here ShareUpdateExclusiveLock", "", ""},
	{"CREATE TABLE free (id bigint PRIMARY KEY)", "", "", "", ""},

	{"ALTER TABLE here ADD CONSTRAINT k PRIMARY KEY USING INDEX here_a", "set-not-null", "here AccessExclusiveLock", "", "here"},
	{"ALTER TABLE other ADD CONSTRAINT k UNIQUE USING INDEX other_twice", "", "other AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ALTER COLUMN h TYPE text", "", "here AccessExclusiveLock", "", ""},
	{"ALTER TABLE here ALTER COLUMN h TYPE text COLLATE \"C\"", "collation", "here AccessExclusiveLock", "", "here"},
	{"ALTER TABLE here ADD COLUMN n positive", "volatile-default", "here AccessExclusiveLock", "here", "here"},
	{"ALTER TABLE here ADD COLUMN n loose", "", "here AccessExclusiveLock", "", ""},
	{"ALTER DOMAIN positive ADD CONSTRAINT more CHECK (VALUE > 1)", "domain", "measured ShareLock", "", "measured"},
	{"ALTER DOMAIN positive ADD CONSTRAINT more CHECK (VALUE > 1) NOT VALID", "", "", "", ""},
	{"ALTER TABLE linked DROP CONSTRAINT linked_other", "drop-constraint", "linked AccessExclusiveLock, other AccessExclusiveLock", "", ""},
	{"ALTER TABLE linked DROP COLUMN other_id", "drop-column", "linked AccessExclusiveLock, other AccessExclusiveLock", "", ""},
	{"DROP TABLE linked", "drop-table", "linked AccessExclusiveLock, other AccessExclusiveLock", "", ""},
	{"DROP TABLE other CASCADE", "drop-table", "other AccessExclusiveLock, linked AccessExclusiveLock", "", ""},
	{"ALTER TABLE partitioned ADD COLUMN n int", "", "partitioned AccessExclusiveLock, part AccessExclusiveLock", "", ""},
	{"CREATE INDEX i ON partitioned (id)", "index", "partitioned ShareLock, part ShareLock", "", "part"},
	{"CREATE INDEX i ON ONLY partitioned (id)", "", "partitioned ShareLock", "", ""},
	{"CREATE TABLE more PARTITION OF split FOR VALUES FROM (20) TO (30)", "partition-of attach",
		"split AccessExclusiveLock, rest AccessExclusiveLock", "", "rest"},
	{"ALTER TABLE split ATTACH PARTITION lone FOR VALUES FROM (10) TO (20)", "attach attach",
		"split ShareUpdateExclusiveLock, lone AccessExclusiveLock, rest AccessExclusiveLock", "", "lone rest"},
	{"CREATE OR REPLACE VIEW seen AS SELECT 2 AS one", "", "seen AccessExclusiveLock", "", ""},
	{"CREATE STATISTICS st ON a, b FROM here", "", "here ShareUpdateExclusiveLock", "", ""},
	{"CREATE TABLE child (LIKE here INCLUDING ALL)", "", "", "", ""},
	{"GRANT SELECT ON here TO somebody", "privilege", "", "", ""},
	{"WITH gone AS (DELETE FROM here RETURNING a) INSERT INTO other SELECT a FROM gone", "delete-all",
		"other RowExclusiveLock, here RowExclusiveLock", "", "here"},
	{"WITH gone AS (UPDATE here SET a = 1 WHERE a = 2 RETURNING a) SELECT a FROM gone", "", "here RowExclusiveLock", "", ""},
	{"DO 'BEGIN PERFORM 1; END'", "unseen", "", "", ""},
	{"ALTER INDEX here_b SET (fillfactor = 50)", "", "", "", ""},
	{"ALTER INDEX partitioned_id ATTACH PARTITION part_id", "index-lock", "part_id AccessExclusiveLock", "", ""},
}

const groundOfDatabase = `
CREATE FUNCTION surprise() RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN 4; END';
CREATE FUNCTION fixed() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 4';
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
DROP SCHEMA IF EXISTS elsewhere CASCADE;
CREATE SCHEMA elsewhere;
CREATE TABLE other (id bigint PRIMARY KEY);
CREATE TABLE here (a int, b text, c varchar(20), d numeric(10,2), e timestamp(3), f cidr, g char(5), h varchar(9));
CREATE INDEX here_h ON here (h);
ALTER TABLE here ADD CONSTRAINT proven CHECK (b IS NOT NULL);
ALTER TABLE here ADD CONSTRAINT positive CHECK (a > 0) NOT VALID;
CREATE INDEX here_b ON here (b);
CREATE UNIQUE INDEX here_a ON here (a);
CREATE VIEW seen AS SELECT 1 AS one;
CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one;
CREATE UNIQUE INDEX kept_one ON kept (one);
CREATE TABLE partitioned (id int) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF partitioned FOR VALUES FROM (0) TO (10);
CREATE INDEX part_id ON part ((id + 1));
CREATE INDEX partitioned_id ON ONLY partitioned ((id + 1));
CREATE TABLE lone (id int);
CREATE TABLE split (id int) PARTITION BY RANGE (id);
CREATE TABLE rest PARTITION OF split DEFAULT;
CREATE UNIQUE INDEX other_twice ON other (id);
CREATE TABLE linked (other_id bigint CONSTRAINT linked_other REFERENCES other);
DROP DOMAIN IF EXISTS positive, loose;
CREATE DOMAIN positive int CHECK (VALUE > 0);
CREATE DOMAIN loose int;
CREATE TABLE measured (n positive);
`

func findingsOf(s Statement) string {
	var names []string
	for _, finding := range s.Findings {
		names = append(names, finding.Name)
	}
	return strings.Join(names, " ")
}

func locksOf(s Statement) string {
	var locks []string
	for _, lock := range s.Locks {
		locks = append(locks, lock.Table+" "+lock.Mode)
	}
	return strings.Join(locks, ", ")
}

// TestPostgreSQLDoesWhatTheRulesSay runs each statement on a real server: the
// strongest lock on every table that was there, and which table is written anew,
// must be what was said; not less, and not more.
func TestPostgreSQLDoesWhatTheRulesSay(t *testing.T) {
	url := create(t)
	database := open(t, url)
	execute(t, database, "DO $$ BEGIN CREATE ROLE somebody; EXCEPTION WHEN duplicate_object THEN END $$")
	layGround(t, database)
	for _, claim := range claims {
		t.Run(claim.sql, func(t *testing.T) {
			files := folder(t, map[string]string{"1_x.sql": claim.sql})
			plan, err := database.Plan(t.Context(), files, Allow{})
			require.NoError(t, err)
			require.Len(t, plan.Pending[0].Statements, 1)
			statement := plan.Pending[0].Statements[0]
			assert.Equal(t, claim.findings, findingsOf(statement))
			assert.Equal(t, claim.locks, locksOf(statement))
			assert.Equal(t, claim.rewrites != "", statement.Rewrites || strings.HasPrefix(claim.sql, "TRUNCATE"))

			locks, rewritten, scanned := observe(t, database, url, claim.sql, statement.Alone)
			assert.ElementsMatch(t, withoutPartitions(splitList(claim.locks)), locks, "what pg_locks shows")
			assert.Equal(t, claim.rewrites, rewritten, "what has another relfilenode")
			if !strings.HasPrefix(claim.sql, "TRUNCATE") { // which builds the indexes of what is empty by then
				assert.Equal(t, claim.scans != "", statement.Scans || statement.Rewrites)
			}
			assert.Equal(t, claim.scans, scanned, "what was read from end to end")
		})
	}
}

func splitList(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ", ")
}
