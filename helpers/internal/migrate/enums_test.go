package migrate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestANewEnumValueIsFoundWhereItIsUsedAsOne: the server refuses what the plan finds
// (55P04), and takes the rest, on every version.
func TestANewEnumValueIsFoundWhereItIsUsedAsOne(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, major int) {
		database := open(t, s.create(t))
		execute(t, database, "CREATE TYPE st AS ENUM ('on'); CREATE TABLE note (body text); CREATE TABLE job (id int, state st); INSERT INTO "+
			"job VALUES (1, 'on')")
		const add = "ALTER TYPE st ADD VALUE 'paused'; "
		for _, test := range []struct {
			sql  string
			used bool
		}{
			{add + "INSERT INTO note VALUES ('paused')", false},
			{add + "UPDATE note SET body = 'paused' WHERE body = 'paused'", false},
			{add + "SELECT 'paused'", false},
			{add + "COMMENT ON TABLE job IS 'paused'", false},
			{add + "CREATE TABLE log (body text DEFAULT 'paused'); INSERT INTO log VALUES ('paused')", false},
			{add + "ALTER TABLE note ALTER body SET DEFAULT 'paused'", false},
			{add + "INSERT INTO note SELECT 'paused' FROM note", false},
			{add + "INSERT INTO job VALUES (2, 'paused')", true},
			{add + "UPDATE job SET state = 'paused' WHERE id = 1", true},
			{add + "SELECT 'paused'::st", true},
			{add + "SELECT CAST('paused' AS public.st)", true},
			{add + "DELETE FROM job WHERE state = 'paused'", true},
			{add + "INSERT INTO note SELECT 'x' FROM job WHERE state = 'paused'", true},
			{add + "ALTER TABLE job ALTER state SET DEFAULT 'paused'", true},
			{add + "CREATE TABLE log (state st DEFAULT 'paused')", true},
			{add + "CREATE TABLE log (state st); INSERT INTO log VALUES ('paused')", true},
			{"CREATE TYPE mood AS ENUM ('a'); ALTER TYPE mood ADD VALUE 'b'; CREATE TABLE log (m mood); INSERT INTO log VALUES ('b')", major < 17},
			{"CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE log (m mood); INSERT INTO log VALUES ('b')", false},
			{"ALTER TYPE st ADD VALUE 'it''s'; INSERT INTO note VALUES ('it''s')", false},
			{"ALTER TYPE st ADD VALUE 'it''s'; INSERT INTO job VALUES (1, 'it''s')", true},
		} {
			plan, err := database.Plan(t.Context(), folder(t, series(test.sql)), Allow{})
			require.NoError(t, err)
			found := false
			for _, statement := range plan.Pending[0].Statements {
				found = found || statement.has("enum-used")
			}
			assert.Equal(t, test.used, found, test.sql)
			execute(t, database, "BEGIN")
			_, err = database.conn.ExecContext(t.Context(), test.sql)
			execute(t, database, "ROLLBACK")
			if test.used {
				assert.ErrorContains(t, err, "unsafe use", test.sql)
			} else {
				assert.NoError(t, err, test.sql)
			}
		}
	})
	// Without a database nobody knows the column's type: a warning.
	found, err := LintFiles(t.Context(), folder(t, series("ALTER TYPE st ADD VALUE 'paused'; INSERT INTO note VALUES ('paused')")))
	require.NoError(t, err)
	assert.False(t, found.Fails(Danger))
	found, err = LintFiles(t.Context(), folder(t, series("CREATE TABLE note (a text); ALTER TYPE st ADD VALUE 'paused'; INSERT INTO note "+
		"VALUES ('paused')")))
	require.NoError(t, err)
	assert.False(t, found.Fails(Note))
}
