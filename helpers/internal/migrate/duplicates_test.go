package migrate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// TestTwoFilesOfOneNumberAreTakenOnlyWhereBothAreApplied: the history of the tool
// that they come from tells.
func TestTwoFilesOfOneNumberAreTakenOnlyWhereBothAreApplied(t *testing.T) {
	names := func() map[string]string {
		return map[string]string{
			"0001_a.sql": "CREATE TABLE a (n int);", "0001_b.sql": "CREATE TABLE b (n int);", "0002_c.sql": "CREATE TABLE c (n int);",
			"0010_d.sql": "CREATE TABLE d (n int);", "10_e.sql": "CREATE TABLE e (n int);", "0011_f.sql": "CREATE TABLE f (n int);",
		}
	}
	refused := func(t *testing.T, database *Database, files []Migration) {
		t.Helper()
		_, err := database.Apply(t.Context(), files, options)
		require.Error(t, err)
		assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
		assert.ErrorContains(t, err, "have the same version")
		assert.Equal(t, "true", one(t, database, "SELECT to_regclass('f') IS NULL"))
	}
	t.Run("nothing is applied", func(t *testing.T) { refused(t, open(t, create(t)), folder(t, names())) })
	t.Run("one of them is", func(t *testing.T) {
		database := open(t, create(t))
		_, err := database.Apply(t.Context(), folder(t, map[string]string{"0001_a.sql": "CREATE TABLE a (n int);"}), options)
		require.NoError(t, err)
		refused(t, database, folder(t, names()))
	})
	t.Run("another tool's names", func(t *testing.T) {
		database := open(t, create(t))
		execute(t, database, `CREATE TABLE schema_migrations (filename text PRIMARY KEY);
			INSERT INTO schema_migrations VALUES ('0001_a.sql'), ('0001_b.sql'), ('0002_c.sql'), ('0010_d.sql'), ('10_e.sql')`)
		written, err := database.Baseline(t.Context(), folder(t, names()), "", true, "from Sequel", options)
		require.NoError(t, err)
		assert.Equal(t, []string{"0001_a", "0001_b", "0002", "0010_d", "10_e"}, written.Versions)
		assert.Contains(t, written.What[0], "another file has its number")
		outcome, err := database.Apply(t.Context(), folder(t, names()), options)
		require.NoError(t, err)
		assert.Equal(t, []string{"0011_f.sql"}, outcome.Applied)
		verified, err := database.Verify(t.Context(), folder(t, names()))
		require.NoError(t, err)
		assert.Equal(t, 6, verified.Applied)
		more := names()
		more["0011_g.sql"] = "CREATE TABLE g (n int);"
		_, err = database.Plan(t.Context(), folder(t, more), Allow{})
		assert.ErrorContains(t, err, "0011_f.sql and 0011_g.sql have the same version")
	})
	t.Run("another tool has one of them", func(t *testing.T) {
		database := open(t, create(t))
		execute(t, database, "CREATE TABLE schema_migrations (filename text PRIMARY KEY); INSERT INTO schema_migrations VALUES ('0001_a.sql')")
		_, err := database.Baseline(t.Context(), folder(t, names()), "", true, "from Sequel", options)
		require.NoError(t, err)
		refused(t, database, folder(t, names()))
	})
	t.Run("by hand", func(t *testing.T) {
		database := open(t, create(t))
		_, err := database.Baseline(t.Context(), folder(t, names()), "10", false, "made in 2019", options)
		require.NoError(t, err)
		outcome, err := database.Apply(t.Context(), folder(t, names()), options)
		require.NoError(t, err)
		assert.Equal(t, []string{"0011_f.sql"}, outcome.Applied)
	})
}
