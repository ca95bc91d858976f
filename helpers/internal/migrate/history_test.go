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
		{"golang-migrate", "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); INSERT INTO " +
			"schema_migrations VALUES (2, false)"},
		{"dbmate or Rails", "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations VALUES ('001'), " +
			"('002')"},
		{"Ecto", "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, inserted_at timestamp); INSERT INTO schema_migrations VALUES " +
			"(1, now()), (2, now())"},
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
	execute(t, database, "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); INSERT INTO "+
		"schema_migrations VALUES (2, true)")
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
	dir := write(t, map[string]string{"1_a.sql": "CREATE TABLE a (n int);", "2_b.sql": "CREATE TABLE b (n int);",
		"R__v.sql": "CREATE OR REPLACE VIEW v AS SELECT n FROM a;"})
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
		"ALTER TABLE t ADD COLUMN d int NOT NULL", "ALTER TABLE t ALTER COLUMN a SET NOT NULL", "DROP VIEW v",
		"ALTER TYPE e RENAME VALUE 'x' TO 'y'",
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
	for _, sql := range []string{"ALTER TABLE t ADD COLUMN d int", "ALTER TABLE t ALTER COLUMN c TYPE text",
		"ALTER TABLE t ALTER COLUMN a TYPE bigint", "CREATE TABLE n (a int); DROP TABLE n"} {
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

// TestAHistoryInATableOfItsOwnNameIsAdopted, file by file; its table stays. tests/histories has
// histories that the tools themselves have written.
func TestAHistoryInATableOfItsOwnNameIsAdopted(t *testing.T) {
	const flyway = "CREATE TABLE flyway_schema_history (installed_rank int, version varchar, description varchar, type varchar, script " +
		"varchar, success boolean); "
	const goose = "CREATE TABLE goose_db_version (id serial, version_id bigint, is_applied boolean); INSERT INTO goose_db_version " +
		"(version_id, is_applied) VALUES (0, true), "
	const alembic = "CREATE TABLE alembic_version (version_num varchar); "
	const liquibase = "CREATE TABLE databasechangelog (id varchar, author varchar, filename varchar, orderexecuted int, exectype varchar); "
	const django = "CREATE TABLE django_migrations (id serial, app varchar, name varchar); INSERT INTO django_migrations (app, name) VALUES "
	const prisma = "CREATE TABLE _prisma_migrations (migration_name varchar, started_at timestamptz DEFAULT now(), finished_at " +
		"timestamptz, rolled_back_at timestamptz); "
	numbered := []string{"001_users.sql", "002_add_email.sql", "003_later.sql"}
	for name, test := range map[string]struct {
		sql   string
		files []string
		want  string // the versions, or the error
	}{
		"Flyway": {flyway + "INSERT INTO flyway_schema_history VALUES (1, '1', '', 'SQL', 'V1__users.sql', true), (2, '2', " +
			"'', 'SQL', 'V2__add_email.sql', true)", numbered, "001 002"},
		"Flyway, parted": {flyway + "INSERT INTO flyway_schema_history VALUES (1, '1', '', 'SQL', 'V1__users.sql', true), (2, '1.1', " +
			"'', 'SQL', 'V1_1__add_email.sql', true)", numbered, "001 002"},
		"Flyway, repeatable": {flyway + "INSERT INTO flyway_schema_history VALUES (1, '1', '', 'SQL', 'V1__users.sql', true), (2, NULL, " +
			"'', 'SQL', 'R__views.sql', true)", append([]string{"R__views.sql"}, numbered...), "001 R__views"},
		"Flyway, baseline": {flyway + "INSERT INTO flyway_schema_history VALUES (1, '2', '', 'BASELINE', '<< Flyway Baseline >>', true)",
			numbered, "001 002"},
		"Flyway, undone": {flyway + "INSERT INTO flyway_schema_history VALUES (1, '1', '', 'SQL', 'V1__users.sql', true), (2, '2', " +
			"'', 'SQL', 'V2__add_email.sql', true), (3, '2', '', 'UNDO_SQL', 'U2__add_email.sql', true)", numbered, "001"},
		"Flyway, failed": {flyway + "INSERT INTO flyway_schema_history VALUES (1, '1', '', 'SQL', 'V1__users.sql', false)", numbered,
			"half applied"},
		"Flyway, missing": {flyway + "INSERT INTO flyway_schema_history VALUES (1, '7', '', 'SQL', 'V7__other.sql', true)", numbered,
			"Flyway has applied 7 V7__other.sql, and no file here is it"},
		"goose":       {goose + "(1, true), (2, true)", numbered, "001 002"},
		"goose, down": {goose + "(1, true), (2, true), (2, false)", numbered, "001"},
		"Alembic": {alembic + "INSERT INTO alembic_version VALUES ('ae1027a6acf')", []string{"001_1975ea83b712_users.sql",
			"002_ae1027a6acf_email.sql", "003_x.sql"}, "001 002"},
		"Alembic, unnamed": {alembic + "INSERT INTO alembic_version VALUES ('ae1027a6acf')", numbered, "no file here is it"},
		"Liquibase": {liquibase + "INSERT INTO databasechangelog VALUES ('1', 'a', 'db/001_users.sql', 1, 'EXECUTED'), ('1', " +
			"'a', 'db/002_add_email.sql', 2, 'EXECUTED')", numbered, "001 002"},
		"Liquibase, XML": {liquibase + "INSERT INTO databasechangelog VALUES ('1', 'a', 'changelog.xml', 1, 'EXECUTED'), ('2', 'a', " +
			"'changelog.xml', 2, 'MARK_RAN')", numbered, "001 002"},
		"Django": {django + "('auth', '0001_initial'), ('auth', '0002_alter'), ('shop', '0001_initial')",
			[]string{"0001_initial.sql", "0002_price.sql"}, "0001"},
		"Django, no app of it": {django + "('auth', '0001_other')", []string{"0001_initial.sql"}, "no file here is it"},
		"Prisma": {prisma + "INSERT INTO _prisma_migrations VALUES ('20240101000000_init', now(), now())",
			[]string{"20240101000000_init.sql", "20240201000000_more.sql"}, "20240101000000"},
		"Prisma, failed": {prisma + "INSERT INTO _prisma_migrations VALUES ('20240101000000_init', now(), NULL)",
			[]string{"20240101000000_init.sql"}, "half applied"},
		"Prisma, rolled back": {prisma + "INSERT INTO _prisma_migrations VALUES ('20240101000000_init', now(), NULL, now())",
			[]string{"20240101000000_init.sql"}, ""},
		"Knex, not taken over": {"CREATE TABLE knex_migrations (name varchar); INSERT INTO knex_migrations VALUES ('1_x.js')", numbered,
			"there is no history of another tool"},
		"another tool's beside": {alembic + "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations " +
			"VALUES ('001')", numbered, "001"},
	} {
		t.Run(name, func(t *testing.T) {
			database := open(t, create(t))
			execute(t, database, test.sql)
			files := map[string]string{}
			for _, file := range test.files {
				files[file] = "SELECT 1;"
			}
			_, err := database.Plan(t.Context(), folder(t, files), Allow{})
			require.Error(t, err)
			written, err := database.Baseline(t.Context(), folder(t, files), "", true, "moving", options)
			if err != nil {
				require.ErrorContains(t, err, test.want)
				require.NotEmpty(t, test.want)
				return
			}
			assert.Equal(t, test.want, strings.Join(written.Versions, " "))
			plan, err := database.Plan(t.Context(), folder(t, files), Allow{})
			require.NoError(t, err)
			assert.Len(t, plan.Pending, len(files)-len(written.Versions))
		})
	}
}
