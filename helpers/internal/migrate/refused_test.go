package migrate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhatAServerRefusesIsSaid: on each version the plan says so where the server
// does, and only there; and what it advises instead is taken.
func TestWhatAServerRefusesIsSaid(t *testing.T) {
	const ground = `CREATE TABLE k (id int PRIMARY KEY); CREATE TABLE p (id int, v int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);
		CREATE TABLE q (id int) PARTITION BY RANGE (id); CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (9); CREATE TABLE q0 PARTITION OF q DEFAULT;
		CREATE INDEX p_v ON p (v); CREATE UNIQUE INDEX p_id ON p (id); CREATE TABLE plain (id int, v int); CREATE INDEX plain_v ON plain (v); CREATE UNIQUE INDEX plain_id ON plain (id)`
	statements := []string{
		"CREATE INDEX CONCURRENTLY i ON p (v)", "CREATE INDEX CONCURRENTLY i ON plain (v)", "DROP INDEX CONCURRENTLY p_v",
		"DROP INDEX CONCURRENTLY plain_v",
		"ALTER TABLE q DETACH PARTITION q1 CONCURRENTLY", "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY",
		"ALTER TABLE p ADD CONSTRAINT f FOREIGN KEY (v) REFERENCES k NOT VALID",
		"ALTER TABLE plain ADD CONSTRAINT f FOREIGN KEY (v) REFERENCES k NOT VALID", "ALTER TABLE p ADD CONSTRAINT u UNIQUE USING INDEX p_id",
		"ALTER TABLE plain ADD CONSTRAINT u UNIQUE USING INDEX plain_id",
	}
	onVersions(t, func(t *testing.T, s *server, _ int) {
		for _, sql := range statements {
			database := open(t, s.create(t))
			execute(t, database, ground)
			plan, err := database.Plan(t.Context(), folder(t, map[string]string{"1_x.sql": sql}), Allow{})
			require.NoError(t, err)
			_, refusal := database.conn.ExecContext(t.Context(), sql)
			assert.Equal(t, refusal != nil, strings.Contains(findingsOf(plan.Pending[0].Statements[0]), "refused"), "%s: %v", sql, refusal)
		}
	})
	for _, advice := range []string{
		"ALTER TABLE ONLY p ADD CONSTRAINT u UNIQUE (id); CREATE UNIQUE INDEX p1_u ON p1 (id); ALTER TABLE p1 ADD CONSTRAINT p1_u UNIQUE " +
			"USING INDEX p1_u; ALTER INDEX u ATTACH PARTITION p1_u",
		"ALTER TABLE p1 ADD CONSTRAINT f FOREIGN KEY (v) REFERENCES k NOT VALID; ALTER TABLE p1 VALIDATE CONSTRAINT f; ALTER TABLE p ADD " +
			"CONSTRAINT f FOREIGN KEY (v) REFERENCES k",
		"CREATE INDEX i ON ONLY p (v); CREATE INDEX p1_i ON p1 (v); ALTER INDEX i ATTACH PARTITION p1_i",
	} {
		database := open(t, create(t))
		execute(t, database, ground)
		execute(t, database, advice)
	}
}

// TestValidatingInTheSameTransaction reads the table while the lock of ADD CONSTRAINT is held.
func TestValidatingInTheSameTransaction(t *testing.T) {
	for sql, want := range map[string]string{
		"ALTER TABLE t ADD CONSTRAINT k CHECK (n > 0) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT k": "check",
		"ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (n) REFERENCES o NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT " +
			"f": "references foreign-key",
		"ALTER TABLE t ALTER COLUMN n SET DEFAULT 1; ALTER TABLE t VALIDATE CONSTRAINT old": "check",
		"LOCK TABLE t IN SHARE MODE; ALTER TABLE t VALIDATE CONSTRAINT " +
			"old": "lock-table foreign-key",
		"ALTER TABLE o ADD COLUMN n int; ALTER TABLE t VALIDATE CONSTRAINT old":                                                  "",
		"-- slipway:no-transaction\nALTER TABLE t ADD CONSTRAINT k CHECK (n > 0) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT k": "",
	} {
		database := open(t, create(t))
		execute(t, database, "CREATE TABLE o (id int PRIMARY KEY); CREATE TABLE t (n int); ALTER TABLE t ADD CONSTRAINT old CHECK (n < 9) "+
			"NOT VALID")
		plan, err := database.Plan(t.Context(), folder(t, map[string]string{"1_x.sql": sql}), Allow{})
		require.NoError(t, err)
		var found []string
		for _, s := range plan.Pending[0].Statements {
			found = append(found, strings.Fields(findingsOf(s))...)
		}
		assert.Equal(t, want, strings.Join(found, " "), sql)
	}
}
