package migrate

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const groundOfSiblings = `
CREATE DOMAIN positive int CHECK (VALUE > 0); CREATE DOMAIN nested AS positive; CREATE DOMAIN loose AS int;
CREATE FUNCTION surprise() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 4; END';
CREATE FUNCTION surprises(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 4; END';
CREATE OPERATOR #@# (leftarg = int, rightarg = int, function = surprises);
CREATE TABLE users (id int PRIMARY KEY, n int); INSERT INTO users VALUES (1, 1);
CREATE TABLE base (a int); CREATE TABLE kid (c int) INHERITS (base); CREATE TABLE grandkid () INHERITS (kid);
CREATE TABLE split (id int) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF split DEFAULT;
CREATE VIEW seen AS SELECT u.id FROM users u, base; CREATE VIEW over AS SELECT id FROM seen UNION SELECT id FROM split;
CREATE TABLE measured (p positive); CREATE TABLE deeper (n nested);`

// TestRelationsBehindWhatIsNamed: a view is locked with what it reads, PostgreSQL 18
// locks the heirs of a table for every constraint, a domain may be behind another one.
func TestRelationsBehindWhatIsNamed(t *testing.T) {
	statements := []string{
		"LOCK TABLE seen", "LOCK TABLE over", "LOCK TABLE over IN SHARE MODE", "LOCK TABLE ONLY seen", "LOCK TABLE base, split",
		"ALTER TABLE base ADD CHECK (a > 0) NO INHERIT", "ALTER TABLE base ADD UNIQUE (a)",
		"ALTER TABLE base ADD EXCLUDE (a WITH =)",
		"ALTER TABLE base ADD FOREIGN KEY (a) REFERENCES users NOT VALID", "ALTER TABLE ONLY base ADD UNIQUE (a)",
		"ALTER TABLE base ADD PRIMARY KEY (a)",
		"ALTER TABLE split ADD FOREIGN KEY (id) REFERENCES users",
		"ALTER DOMAIN positive ADD CHECK (VALUE < 9)", "ALTER DOMAIN nested ADD CHECK (VALUE < 9)",
		"ALTER DOMAIN positive SET NOT NULL", "ALTER DOMAIN loose ADD CHECK (VALUE < 9)",
		"ALTER TABLE users ADD COLUMN z nested", "ALTER TABLE users ADD COLUMN z loose", "ALTER TABLE users ADD COLUMN z loose DEFAULT 3",
		"ALTER TABLE users ADD COLUMN z int DEFAULT 1 #@# 2", "ALTER TABLE users ADD COLUMN z int DEFAULT 1 + 2",
		"ALTER TABLE users ADD COLUMN z int DEFAULT abs(1 OPERATOR(public.#@#) 2)",
	}
	onVersions(t, func(t *testing.T, s *server, major int) {
		d := differential{database: open(t, s.create(t)), server: major, undo: true}
		execute(t, d.database, "SET jit = off;"+groundOfSiblings)
		for _, sql := range statements {
			require.NoError(t, d.compare(t.Context(), sql), sql)
		}
		assert.Empty(t, d.differs)
		assert.Zero(t, d.failed)
		assert.Equal(t, len(statements), d.compared)
	}, 15, 18)
}

// TestADomainOfThePlanIsComputedForEveryRow where it has a constraint, or a default that
// is another one each time, and only there.
func TestADomainOfThePlanIsComputedForEveryRow(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, _ int) {
		database := open(t, s.create(t))
		execute(t, database, groundOfSiblings)
		for sql, rewrites := range map[string]bool{
			"CREATE DOMAIN d AS int":                                                 false,
			"CREATE DOMAIN d AS int DEFAULT 1":                                       false,
			"CREATE DOMAIN d AS int NULL":                                            false,
			"CREATE DOMAIN d AS int CHECK (VALUE > 0)":                               true,
			"CREATE DOMAIN d AS positive":                                            true,
			"CREATE DOMAIN d AS nested DEFAULT 1":                                    true,
			"CREATE DOMAIN d AS int DEFAULT surprise()":                              true,
			"CREATE DOMAIN d AS int DEFAULT (random() * 9)::int":                     true,
			"CREATE DOMAIN c AS int CHECK (VALUE > 0); CREATE DOMAIN d AS c":         true,
			"CREATE DOMAIN d AS int; ALTER DOMAIN d ADD CHECK (VALUE > 0)":           true,
			"CREATE DOMAIN d AS int; ALTER DOMAIN d ADD CHECK (VALUE > 0) NOT VALID": true,
			"CREATE DOMAIN d AS int; ALTER DOMAIN d SET DEFAULT surprise()":          true,
			"CREATE DOMAIN d AS int; ALTER DOMAIN d SET DEFAULT 1":                   false,
			"CREATE DOMAIN d AS int; ALTER DOMAIN loose SET DEFAULT surprise()":      false,
		} {
			sql += "; ALTER TABLE users ADD COLUMN z d"
			plan, err := database.Plan(t.Context(), folder(t, map[string]string{"1_x.sql": sql}), Allow{})
			require.NoError(t, err)
			last := plan.Pending[0].Statements[len(plan.Pending[0].Statements)-1]
			const node = "SELECT relfilenode FROM pg_class WHERE oid = 'users'::regclass"
			before := one(t, database, node)
			execute(t, database, "BEGIN")
			execute(t, database, sql)
			after := one(t, database, node)
			execute(t, database, "ROLLBACK")
			assert.Equal(t, rewrites, before != after, "the server: %s", sql)
			assert.Equal(t, rewrites, last.Rewrites, "the claim: %s", sql)
			assert.Equal(t, rewrites, findingsOf(last) == "volatile-default", sql)
		}
	}, 14, 18)
}

// TestWhoLosesARightIsSaid: the owner who is replaced, the reader of a table whose
// policies change; not where nothing changes.
func TestWhoLosesARightIsSaid(t *testing.T) {
	database := open(t, create(t))
	execute(t, database, `DO $$ BEGIN CREATE ROLE app; EXCEPTION WHEN duplicate_object THEN END $$;
		CREATE TABLE open (id int NOT NULL); CREATE TABLE guarded (id int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
		CREATE POLICY p ON open USING (true); CREATE POLICY p ON guarded USING (true); CREATE SEQUENCE counter; CREATE VIEW seen AS SELECT 1`)
	for sql, want := range map[string]string{
		"ALTER TABLE open OWNER TO app":                                                "access revoke*",
		"ALTER TABLE open OWNER TO postgres":                                           "access",
		"ALTER TABLE open OWNER TO app; ALTER TABLE open OWNER TO postgres":            "access revoke* access revoke*",
		"ALTER TABLE open OWNER TO CURRENT_USER":                                       "access revoke*",
		"ALTER SEQUENCE counter OWNER TO app":                                          "access revoke*",
		"ALTER VIEW seen OWNER TO app":                                                 "access revoke*",
		"CREATE TABLE n (a int); ALTER TABLE n OWNER TO app":                           "",
		"REASSIGN OWNED BY postgres TO app":                                            "revoke* privilege",
		"DROP POLICY p ON guarded":                                                     "access row-security*",
		"DROP POLICY p ON open":                                                        "access",
		"DROP POLICY IF EXISTS q ON guarded; CREATE POLICY q ON guarded USING (1 = 1)": "access access",
		"DROP POLICY IF EXISTS p ON guarded":                                           "access row-security*",
		"ALTER POLICY p ON guarded USING (false)":                                      "access row-security*",
		"ALTER POLICY p ON guarded RENAME TO q":                                        "access",
		"CREATE POLICY q ON guarded AS RESTRICTIVE USING (false)":                      "access row-security*",
		"CREATE POLICY q ON guarded USING (true)":                                      "access",
		"ALTER TABLE open ENABLE ROW LEVEL SECURITY; DROP POLICY p ON open":            "row-security* access row-security*",
		"ALTER TABLE open ALTER COLUMN id SET DEFAULT NULL::int":                       "",
		"ALTER TABLE open ADD COLUMN n int NOT NULL DEFAULT NULL::int":                 "not-null-without-default*",
	} {
		plan, err := database.Plan(t.Context(), folder(t, map[string]string{"1_x.sql": sql}), Allow{})
		require.NoError(t, err)
		assert.Equal(t, want, ofPlan(plan.Pending), sql)
	}
}

// TestSiblingsLockWhatIsClaimed: statements of every kind, on tables with partitions, heirs, keys
// both ways, views, triggers, rules, policies, domains, generated and identity columns.
func TestSiblingsLockWhatIsClaimed(t *testing.T) {
	body, err := os.ReadFile("testdata/siblings.sql")
	require.NoError(t, err)
	ground, statements, _ := strings.Cut(string(body), "\n----\n")
	onVersions(t, func(t *testing.T, s *server, major int) {
		d := differential{database: open(t, s.create(t)), server: major, undo: true}
		execute(t, d.database, "SET jit = off; SET client_min_messages = error;"+ground)
		for _, sql := range strings.Split(strings.TrimSpace(statements), "\n") {
			require.NoError(t, d.compare(t.Context(), sql), sql)
		}
		assert.Empty(t, d.differs)
		if major > 14 { // which does not know a few of them
			assert.Zero(t, d.failed)
		}
		assert.Greater(t, d.compared, 200)
	}, 14, 18)
}

// TestWhatRefersToAPartitionIsRead when the partition goes, and a key with a default is looked up for each row.
func TestWhatRefersToAPartitionIsRead(t *testing.T) {
	database := open(t, create(t))
	execute(t, database, `CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);
		CREATE TABLE r (id int REFERENCES p); INSERT INTO r VALUES (NULL);
		CREATE TABLE q (id int) PARTITION BY RANGE (id); CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (9);
		CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1)`)
	for sql, want := range map[string]string{
		"ALTER TABLE p DETACH PARTITION p1":                                                "detach detach-referenced",
		"ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY":                                   "detach-referenced",
		"ALTER TABLE q DETACH PARTITION q1":                                                "detach",
		"ALTER TABLE r ADD COLUMN u int REFERENCES users":                                  "references",
		"ALTER TABLE r ADD COLUMN u int DEFAULT NULL REFERENCES users":                     "references",
		"ALTER TABLE r ADD COLUMN u int DEFAULT 1 REFERENCES users":                        "references foreign-key",
		"ALTER TABLE r ADD COLUMN u int NOT NULL DEFAULT 1 CONSTRAINT fk REFERENCES users": "references foreign-key",
	} {
		plan, err := database.Plan(t.Context(), folder(t, map[string]string{"1_x.sql": sql}), Allow{})
		require.NoError(t, err)
		statement := plan.Pending[0].Statements[0]
		assert.Equal(t, want, findingsOf(statement), sql)
		assert.Equal(t, strings.Contains(want, "detach-referenced") || strings.Contains(want, "foreign-key"), statement.Scans, sql)
	}
}

// TestANotNullThatIsNotValidIsNoProof: SET NOT NULL over one reads the table, since PostgreSQL 18.
func TestANotNullThatIsNotValidIsNoProof(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, major int) {
		d := differential{database: open(t, s.create(t)), server: major, undo: true}
		execute(t, d.database, "CREATE TABLE t (a int); INSERT INTO t VALUES (1); ALTER TABLE t ADD CONSTRAINT later NOT NULL a NOT VALID")
		require.NoError(t, d.compare(t.Context(), "ALTER TABLE t ALTER a SET NOT NULL"))
		assert.Empty(t, d.differs)
		assert.Equal(t, 1, d.compared)
		found, err := d.database.Plan(t.Context(), folder(t, map[string]string{"1_x.sql": "ALTER TABLE t ALTER a SET NOT NULL"}), Allow{})
		require.NoError(t, err)
		assert.Contains(t, ofPlan(found.Pending), "set-not-null")
	}, 18)
}
