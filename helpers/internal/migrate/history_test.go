package migrate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

func TestTheHistoryOfAnotherToolIsAdoptedOnRequest(t *testing.T) {
	for _, test := range []struct{ tool, sql string }{
		{"golang-migrate", "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); INSERT INTO schema_migrations VALUES (2, false)"},
		{"dbmate or Rails", "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations VALUES ('001'), ('002')"},
		{"Ecto", "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, inserted_at timestamp); INSERT INTO schema_migrations VALUES (1, now()), (2, now())"},
	} {
		database := open(t, create(t))
		execute(t, database, test.sql+"; CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL DEFAULT '')")
		_, err := database.Plan(t.Context(), service(t), Allow{})
		require.ErrorContains(t, err, "is that of "+test.tool)
		assert.ErrorContains(t, err, "baseline --adopt")
		_, err = database.Apply(t.Context(), service(t), options)
		assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
		before := one(t, database, "SELECT json_agg(s) FROM schema_migrations s")

		written, err := database.Baseline(t.Context(), service(t), "", true, "moving to slipway", options)
		require.NoError(t, err, test.tool)
		assert.Equal(t, []string{"001", "002"}, written.Versions)
		assert.Equal(t, before, one(t, database, "SELECT json_agg(s) FROM schema_migrations_before_slipway s"))
		outcome, err := database.Apply(t.Context(), service(t), options)
		require.NoError(t, err)
		assert.Equal(t, []string{"003_index_name.sql", "004_note_with_quotes.sql"}, outcome.Applied)
	}
	database := open(t, create(t))
	execute(t, database, "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); INSERT INTO schema_migrations VALUES (2, true)")
	_, err := database.Baseline(t.Context(), service(t), "", true, "r", options)
	assert.ErrorContains(t, err, "dirty")
	execute(t, database, "DROP TABLE schema_migrations; CREATE TABLE schema_migrations (whatever int)")
	_, err = database.Apply(t.Context(), service(t), options)
	assert.ErrorContains(t, err, "another tool: its columns are whatever")
}

func TestBaselineMarksAndRunsNothing(t *testing.T) {
	database := open(t, create(t))
	_, err := database.Baseline(t.Context(), service(t), "002", false, "", options)
	assert.ErrorContains(t, err, "--reason")
	_, err = database.Baseline(t.Context(), service(t), "9", false, "r", options)
	assert.ErrorContains(t, err, "no file has the version 9")
	written, err := database.Baseline(t.Context(), service(t), "2", false, "made by hand in 2019", options)
	require.NoError(t, err)
	assert.Equal(t, []string{"001", "002"}, written.Versions)
	assert.Equal(t, "true", one(t, database, "SELECT to_regclass('users') IS NULL"))
	plan, err := database.Plan(t.Context(), service(t), Allow{})
	require.NoError(t, err)
	assert.Len(t, plan.Pending, 2)
	assert.Equal(t, "made by hand in 2019", one(t, database, "SELECT reason FROM schema_migrations_repairs"))
}

func TestDriftIsSeenAndRepaired(t *testing.T) {
	database := open(t, create(t))
	dir := write(t, map[string]string{"1_a.sql": "CREATE TABLE a (n int);", "2_b.sql": "CREATE TABLE b (n int);", "R__v.sql": "CREATE OR REPLACE VIEW v AS SELECT n FROM a;"})
	load := func() []Migration {
		files, err := Load(dir)
		require.NoError(t, err)
		return files
	}
	_, err := database.Apply(t.Context(), load(), options)
	require.NoError(t, err)
	verification, err := database.Verify(t.Context(), load())
	require.NoError(t, err)
	assert.Equal(t, Verification{Applied: 3, Drift: []Drift{}}, verification)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "1_a.sql"), []byte("CREATE TABLE a (n int); -- edited"), 0o600))
	require.NoError(t, os.Remove(filepath.Join(dir, "2_b.sql")))
	verification, err = database.Verify(t.Context(), load())
	assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
	require.Len(t, verification.Drift, 2)
	assert.Equal(t, "edited missing", verification.Drift[0].State+" "+verification.Drift[1].State)
	status, err := database.Status(t.Context(), load())
	require.NoError(t, err, "status tells of whatever is there")
	var text strings.Builder
	require.NoError(t, status.Text(&text))
	assert.Contains(t, text.String(), "edited")

	for _, repair := range []Repair{{Version: "1", AcceptFile: true}, {Version: "2", Forget: true}} {
		_, err = database.Repair(t.Context(), load(), repair, options)
		require.ErrorContains(t, err, "--reason")
		repair.Reason = "a comment only"
		_, err = database.Repair(t.Context(), load(), repair, options)
		require.NoError(t, err)
	}
	_, err = database.Verify(t.Context(), load())
	require.NoError(t, err)
	assert.Equal(t, "2", one(t, database, "SELECT count(*) FROM schema_migrations_repairs WHERE by = 'test'"))

	require.NoError(t, os.WriteFile(filepath.Join(dir, "R__v.sql"), []byte("CREATE OR REPLACE VIEW v AS SELECT n, n AS m FROM a;"), 0o600))
	for _, want := range [][]string{{"R__v.sql"}, {}} {
		outcome, err := database.Apply(t.Context(), load(), options)
		require.NoError(t, err)
		assert.Equal(t, want, outcome.Applied, "a repeatable file is applied again when it changes, and only then")
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "2_by_hand.sql"), []byte("CREATE TABLE b (n int);"), 0o600))
	_, err = database.Apply(t.Context(), load(), options)
	require.ErrorContains(t, err, "--mark-applied")
	_, err = database.Repair(t.Context(), load(), Repair{Version: "2", MarkApplied: true, Reason: "made by hand"}, options)
	require.NoError(t, err)
	plan, err := database.Plan(t.Context(), load(), Allow{})
	require.NoError(t, err)
	assert.Empty(t, plan.Pending)
}

// TestBreakingIsRefusedUnlessAllowed: canary and stable share the database.
func TestBreakingIsRefusedUnlessAllowed(t *testing.T) {
	for _, sql := range []string{
		"ALTER TABLE t DROP COLUMN a", "DROP TABLE t", "ALTER TABLE t RENAME COLUMN a TO b", "ALTER TABLE t ALTER COLUMN c TYPE varchar(5)",
		"ALTER TABLE t ADD COLUMN d int NOT NULL", "ALTER TABLE t ALTER COLUMN a SET NOT NULL", "DROP VIEW v", "ALTER TYPE e RENAME VALUE 'x' TO 'y'",
	} {
		database := open(t, create(t))
		execute(t, database, "CREATE TABLE t (a int, c varchar(20)); CREATE VIEW v AS SELECT 1 AS one; CREATE TYPE e AS ENUM ('x')")
		files := folder(t, map[string]string{"1_x.sql": sql})
		plan, err := database.Plan(t.Context(), files, Allow{})
		require.NoError(t, err)
		assert.Equal(t, []string{"1_x.sql"}, plan.Breaking(), sql)
		assert.Contains(t, strings.Join(plan.Lines(), "\n"), "BREAKING")
		outcome, err := database.Apply(t.Context(), files, options)
		require.ErrorContains(t, err, "--allow-breaking", sql)
		assert.Equal(t, slipway.No, slipway.AsError(err).Code)
		assert.Empty(t, outcome.Applied)
		allowed := options
		allowed.AllowBreaking = true
		_, err = database.Apply(t.Context(), files, allowed)
		require.NoError(t, err, sql)
	}
	for _, sql := range []string{"ALTER TABLE t ADD COLUMN d int", "ALTER TABLE t ALTER COLUMN c TYPE text", "ALTER TABLE t ALTER COLUMN a TYPE bigint", "CREATE TABLE n (a int); DROP TABLE n"} {
		database := open(t, create(t))
		execute(t, database, "CREATE TABLE t (a int, c varchar(20))")
		plan, err := database.Plan(t.Context(), folder(t, map[string]string{"1_x.sql": sql}), Allow{})
		require.NoError(t, err)
		assert.Empty(t, plan.Breaking(), sql)
	}
}

func TestAPlanFitsTheBoxInWhichJenkinsAsks(t *testing.T) {
	database := open(t, create(t))
	files := map[string]string{}
	for i, claim := range claims {
		if !strings.Contains(claim.sql, "CONCURRENTLY") && !strings.HasPrefix(claim.sql, "VACUUM") {
			files[fmt.Sprintf("%d_x.sql", i+1)] = claim.sql
		}
	}
	execute(t, database, "DO $$ BEGIN CREATE ROLE somebody; EXCEPTION WHEN duplicate_object THEN END $$;"+groundOfDatabase)
	plan, err := database.Plan(t.Context(), folder(t, files), Allow{})
	require.NoError(t, err)
	lines := plan.Lines()
	assert.Len(t, lines, maxLines)
	assert.Contains(t, lines[0], plan.ID)
	assert.Contains(t, lines[1], "BREAKING")
	assert.Contains(t, lines[maxLines-1], "migrate-diff plan --markdown")
	assert.Equal(t, strings.Join(lines, "\n"), plan.Answer()["plan"])
	assert.Contains(t, plan.Markdown(), "| line | statement | locks | findings |")
}

func TestGapsInAStartedSeries(t *testing.T) {
	at := func(versions ...string) (files []Migration) {
		for _, version := range versions {
			files = append(files, Migration{Version: version, Name: version + "_x.sql", Checksum: version})
		}
		return files
	}
	for _, test := range []struct {
		versions, applied []string
		gap               bool
	}{
		{[]string{"001", "002", "004"}, []string{"001", "002"}, true},
		{[]string{"001", "002", "004"}, nil, false}, // a new database: what is missing has long been so
		{[]string{"010", "020", "040"}, []string{"010", "020"}, false},
		{[]string{"20240101120000", "20240102120000"}, []string{"20240101120000"}, false},
		{[]string{"001", "002", "003"}, []string{"001", "002"}, false},
		{[]string{"001", "003", "004", "005"}, []string{"001", "003", "004"}, false},
	} {
		var history []Applied
		for _, version := range test.applied {
			history = append(history, Applied{Version: version, Checksum: version})
		}
		_, err := Compute(at(test.versions...), history, 15, Allow{})
		assert.Equal(t, test.gap, err != nil, "%v", test.versions)
		_, err = Compute(at(test.versions...), history, 15, Allow{Gaps: true})
		assert.NoError(t, err)
	}
}
