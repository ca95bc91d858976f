package migrate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSetNotNullReadsTheTableOnlyWithoutAProof asks servers of every version which
// constraints they take for a proof: the table is read, or it is not.
func TestSetNotNullReadsTheTableOnlyWithoutAProof(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, major int) {
		database := open(t, s.create(t))
		for _, test := range []struct {
			check  string
			proven bool
		}{
			{"a IS NOT NULL", true},
			{"a IS NOT NULL AND b IS NOT NULL", true},
			{"b > 0 AND (a IS NOT NULL AND b < 9)", true},
			{"(a, b) IS NOT NULL", true},
			{"NOT a IS NULL", true},
			{"NOT (a IS NULL OR b IS NULL)", true},
			{"NOT (b IS NOT NULL AND a IS NULL)", false},
			{"a IS NOT NULL OR b IS NOT NULL", false},
			{"a > 0", false},
			{"b IS NOT NULL", false},
			{"num_nonnulls(a, b) = 2", false},
			{"(a IS NULL) IS FALSE", false},
			{"NOT ((a, b) IS NULL)", false},
		} {
			execute(t, database, "DROP TABLE IF EXISTS t, u; CREATE TABLE t AS SELECT 1 AS a, 1 AS b; CREATE TABLE u AS SELECT 1 AS a, 1 AS b")
			for name, files := range map[string]map[string]string{
				"t": series("ALTER TABLE t ADD CONSTRAINT c CHECK ("+test.check+") NOT VALID", "ALTER TABLE t VALIDATE CONSTRAINT c",
					"ALTER TABLE t ALTER a SET NOT NULL"),
				"u": series("ALTER TABLE u ALTER a SET NOT NULL"), // the constraint is there before
			} {
				if name == "u" {
					execute(t, database, "ALTER TABLE u ADD CHECK ("+test.check+")")
				}
				plan, err := database.Plan(t.Context(), folder(t, files), Allow{})
				require.NoError(t, err)
				last := plan.Pending[len(plan.Pending)-1].Statements[0]
				assert.Equal(t, !test.proven, last.Scans, "%s, %s", test.check, name)
				assert.Equal(t, !test.proven, findingsOf(last) == "set-not-null", "%s, %s", test.check, name)
				for _, file := range plan.Pending[:len(plan.Pending)-1] {
					execute(t, database, file.Statements[0].SQL)
				}
				execute(t, database, "BEGIN")
				before := one(t, database, "SELECT pg_stat_get_xact_numscans('"+name+"'::regclass)")
				execute(t, database, last.SQL)
				read := before != one(t, database, "SELECT pg_stat_get_xact_numscans('"+name+"'::regclass)")
				execute(t, database, "ROLLBACK")
				assert.Equal(t, last.Scans, read, "%s, %s: what the server does", test.check, name)
			}
		}
	})
}

// TestAProofIsGoneWithItsConstraint: what the plan drops or renames proves nothing
// any more, and NOT NULL that it drops is not there.
func TestAProofIsGoneWithItsConstraint(t *testing.T) {
	database := open(t, create(t))
	execute(t, database, "CREATE TABLE t (a int, b int NOT NULL, CONSTRAINT c CHECK (a IS NOT NULL))")
	const again = "ALTER TABLE t ALTER b DROP NOT NULL; ALTER TABLE t ALTER b SET NOT NULL"
	for sql, scans := range map[string]bool{
		"ALTER TABLE t ALTER a SET NOT NULL":                                                           false,
		"ALTER TABLE t DROP CONSTRAINT c; ALTER TABLE t ALTER a SET NOT NULL":                          true,
		"ALTER TABLE t RENAME a TO z; ALTER TABLE t RENAME b TO a; ALTER TABLE t ALTER z SET NOT NULL": true,
		again:                                true,
		"ALTER TABLE t ALTER b SET NOT NULL": false,
		"ALTER TABLE t DROP COLUMN a; ALTER TABLE t ADD COLUMN a int; ALTER TABLE t ALTER a SET NOT NULL":          true,
		"ALTER TABLE t ADD CHECK (b IS NOT NULL) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT t_b_check;" + again:  false,
		"ALTER TABLE t DROP CONSTRAINT c, ADD CHECK (b > 0 AND a IS NOT NULL); ALTER TABLE t ALTER a SET NOT NULL": false,
	} {
		plan, err := database.Plan(t.Context(), folder(t, series(sql)), Allow{})
		require.NoError(t, err)
		statements := plan.Pending[0].Statements
		assert.Equal(t, scans, statements[len(statements)-1].Scans, sql)
	}
}
