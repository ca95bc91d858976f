package migrate

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// groundOfRehearsal is a database with a role, an extension, keys, partitions, views, and a history.
const groundOfRehearsal = `
DO $$ BEGIN CREATE ROLE keeper CREATEROLE; EXCEPTION WHEN duplicate_object THEN END $$;
CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE, code varchar(10) NOT NULL DEFAULT '', m mood, p positive, balance numeric(10, 2), at timestamptz NOT NULL DEFAULT now());
CREATE TABLE orders (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, total numeric(6, 2), note jsonb, tags text[]);
CREATE TABLE events (id int, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE VIEW seen AS SELECT id, email FROM users; CREATE TABLE odd (a int CHECK (a = 7), b int NOT NULL);
INSERT INTO users (email, p) VALUES ('secret@example.org', 3); INSERT INTO orders (user_id) VALUES (1); ANALYZE;`

func (s *server) stage(t *testing.T, major int) Stage {
	t.Helper()
	return Stage{Programs: s.Folder(), PgDump: s.dump(t, major)}
}

func rehearsed(t *testing.T, s *server, major int, url string, files map[string]string, options RehearseOptions) Plan {
	t.Helper()
	options.Stage = s.stage(t, major)
	if options.Rows == 0 {
		options.Rows = 200
	}
	plan, err := open(t, url).Rehearse(t.Context(), folder(t, files), options)
	require.NoError(t, err)
	return plan
}

// TestARehearsalShowsWhatTheServerDoes on each version: locks of relations that nobody names, rewrites, reads,
// the way back, and nothing of it in the database itself.
func TestARehearsalShowsWhatTheServerDoes(t *testing.T) {
	onVersions(t, func(t *testing.T, s *server, major int) {
		url := s.create(t)
		database := open(t, url)
		execute(t, database, groundOfRehearsal)
		before := one(t, database, "SELECT count(*) FROM pg_class") + one(t, database, "SELECT count(*) FROM pg_roles")
		files := map[string]string{
			"1_a.sql": "ALTER TABLE users ADD COLUMN token uuid DEFAULT gen_random_uuid();\nALTER TABLE users ALTER COLUMN code TYPE " +
				"varchar(20);\n" +
				"ALTER TABLE orders ALTER COLUMN total SET NOT NULL;",
			"1_a.down.sql": "ALTER TABLE users DROP COLUMN token; ALTER TABLE users ALTER code TYPE varchar(10); ALTER TABLE orders ALTER total " +
				"DROP NOT NULL;",
			"2_b.sql": "CREATE INDEX CONCURRENTLY orders_user ON orders (user_id);", "2_b.down.sql": "DROP INDEX orders_user;",
			"3_c.sql": "DROP TABLE events_2024; CREATE TABLE added (id int); ALTER TABLE added ADD COLUMN x int;\n" +
				"CREATE FUNCTION hidden() RETURNS void LANGUAGE plpgsql AS 'BEGIN ALTER TABLE orders ADD COLUMN sly int; END'; SELECT hidden();",
			"3_c.down.sql": "DROP TABLE added; DROP FUNCTION hidden(); CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM " +
				"('2024-01-01') TO ('2025-01-01'); ALTER TABLE orders DROP COLUMN sly",
		}
		plan := rehearsed(t, s, major, url, files, RehearseOptions{})
		r := plan.Rehearsal
		require.NotNil(t, r)
		require.Len(t, r.Files, 3, "%+v", r)
		assert.Empty(t, r.Failed())
		first := r.Files[0].Statements
		assert.Equal(t, []Lock{{Table: "users", Mode: accessExclusive}}, first[0].Locks)
		assert.Equal(t, []string{"users"}, first[0].Rewritten)
		assert.Empty(t, first[1].Rewritten, "%+v", first[1])
		assert.Equal(t, []string{"orders"}, first[2].Scanned)
		assert.True(t, r.Files[1].Statements[0].Sampled)
		assert.Contains(t, r.Files[1].Statements[0].Locks, Lock{Table: "orders", Mode: shareUpdateExclusive})
		third := r.Files[2].Statements
		assert.Contains(t, third[0].Locks, Lock{Table: "events", Mode: accessExclusive}, "the partitioned table is not named")
		assert.Contains(t, third[4].Locks, Lock{Table: "orders", Mode: accessExclusive}, "what a function does is seen")
		assert.True(t, third[4].Silent)
		assert.Contains(t, plan.Pending[2].Statements[4].Locks, Lock{Table: "orders", Mode: accessExclusive}, "observed wins")
		for _, file := range r.Files[:2] {
			for _, o := range file.Statements {
				assert.Empty(t, o.Differs, "%s:%d", file.Name, o.Line)
				assert.Positive(t, o.Milliseconds)
			}
		}
		require.NotNil(t, r.Back)
		assert.Equal(t, []string{"3_c.down.sql", "2_b.down.sql", "1_a.down.sql"}, r.Back.Files)
		assert.Empty(t, r.Back.Error)
		assert.Empty(t, r.Back.Leaves)
		assert.Empty(t, r.Back.Again)
		assert.Equal(t, []string{"rows of events_2024"}, beginnings(r.Missing), "no date of a row is in its bounds")
		assert.Equal(t, before, one(t, database, "SELECT count(*) FROM pg_class")+one(t, database, "SELECT count(*) FROM pg_roles"))
		text, err := json.Marshal(plan)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "secret@example.org")
		var out bytes.Buffer
		require.NoError(t, plan.Text(&out))
		assert.Contains(t, out.String(), "observed 1_a.sql:1 ACCESS EXCLUSIVE on users; rewrites users")
		assert.Contains(t, out.String(), "differs  3_c.sql:2 the server: ACCESS EXCLUSIVE on orders, claimed none")
		assert.Contains(t, out.String(), "and the files were applied again")
	})
}

func beginnings(lines []string) (found []string) {
	for _, line := range lines {
		before, _, _ := strings.Cut(line, ":")
		found = append(found, before)
	}
	return found
}

// TestThePlansIDCoversTheRehearsal: another observation is another plan, and apply takes only the one that was approved.
func TestThePlansIDCoversTheRehearsal(t *testing.T) {
	url := create(t)
	execute(t, open(t, url), groundOfRehearsal)
	files := map[string]string{"1_a.sql": "CREATE TABLE more (id int); ALTER TABLE users ADD COLUMN n int;"}
	plan := rehearsed(t, shared, debian, url, files, RehearseOptions{})
	again := rehearsed(t, shared, debian, url, files, RehearseOptions{})
	assert.Equal(t, plan.ID, again.ID, "how long it took is not a part of it")
	plain, err := open(t, url).Plan(t.Context(), folder(t, files), Allow{})
	require.NoError(t, err)
	assert.NotEqual(t, plain.ID, plan.ID)
	path := filepath.Join(t.TempDir(), "rehearsal.json")
	body, err := json.Marshal(plan.Rehearsal)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, body, 0o600))
	read, err := ReadRehearsal(path)
	require.NoError(t, err)
	with, err := plain.With(read)
	require.NoError(t, err)
	assert.Equal(t, plan.ID, with.ID)

	chosen := options
	chosen.PlanID = plan.ID
	_, err = open(t, url).Apply(t.Context(), folder(t, files), chosen)
	require.ErrorContains(t, err, "was approved, and the plan is now "+plain.ID)
	other := *read
	other.Role = "another"
	chosen.Rehearsal = &other
	_, err = open(t, url).Apply(t.Context(), folder(t, files), chosen)
	require.ErrorContains(t, err, "was approved")
	chosen.Rehearsal = read
	_, err = open(t, url).Apply(t.Context(), folder(t, map[string]string{"1_a.sql": "SELECT 1;"}), chosen)
	require.ErrorContains(t, err, "was rehearsed, and the plan is now")
	assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
	outcome, err := open(t, url).Apply(t.Context(), folder(t, files), chosen)
	require.NoError(t, err)
	assert.Equal(t, []string{"1_a.sql"}, outcome.Applied)
}

// TestWhatFailsInTheRehearsal is said with file, line and SQLSTATE, and is not applied; so is what a command does not survive.
func TestWhatFailsInTheRehearsal(t *testing.T) {
	url := create(t)
	database := open(t, url)
	execute(t, database, groundOfRehearsal)
	const ask = `PGOPTIONS=-crole=postgres psql -X -v ON_ERROR_STOP=1 -c "SELECT email FROM users LIMIT 1"`
	for name, test := range map[string]struct {
		files map[string]string
		check string
		says  string
	}{
		"a fault": {map[string]string{"1_a.sql": "CREATE TABLE n (id int);\nALTER TABLE nowhere ADD COLUMN x int;"}, "",
			"1_a.sql:2 failed: SQLSTATE 42P01"},
		"a deferred key": {map[string]string{"1_a.sql": "CREATE TABLE n (u bigint REFERENCES users DEFERRABLE INITIALLY DEFERRED); " +
			"INSERT INTO n VALUES (-5);"}, "", "SQLSTATE 23503"},
		"outside": {map[string]string{"1_a.sql": "CREATE UNIQUE INDEX CONCURRENTLY i ON nowhere (id);"}, "", "SQLSTATE 42P01"},
		"the version that runs": {map[string]string{"1_a.sql": "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN ALTER TABLE " +
			"users RENAME email TO mail; END'; SELECT f();"}, ask, "passes on the schema as it is, and fails on the new one"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := rehearsed(t, shared, debian, url, test.files, RehearseOptions{Check: test.check})
			require.True(t, plan.Rehearsal.Broken())
			assert.Contains(t, plan.Rehearsal.Why(), test.says)
			chosen := options
			chosen.Rehearsal = plan.Rehearsal
			_, err := open(t, url).Apply(t.Context(), folder(t, test.files), chosen)
			require.ErrorContains(t, err, "the rehearsal of the plan failed")
			assert.Equal(t, slipway.No, slipway.AsError(err).Code)
		})
	}
	plan := rehearsed(t, shared, debian, url, map[string]string{"1_a.sql": "ALTER TABLE users ADD COLUMN n int;"}, RehearseOptions{Check: ask})
	assert.False(t, plan.Rehearsal.Broken())
	assert.Equal(t, &Check{Command: ask}, plan.Rehearsal.Check)
}

// TestARehearsalOnAServerThatIsNamed leaves nothing there, and is refused on the database's own server.
func TestARehearsalOnAServerThatIsNamed(t *testing.T) {
	url := create(t)
	database := open(t, url)
	execute(t, database, groundOfRehearsal)
	files := folder(t, map[string]string{"1_a.sql": "ALTER TABLE users ADD COLUMN n int;"})
	on := RehearseOptions{Stage: Stage{On: address("postgres"), PgDump: shared.dump(t, debian)}, Rows: 10}
	databasesNow := func(s *Database) string {
		return one(t, s, "SELECT count(*) FROM pg_database WHERE datname LIKE 'slipway%'")
	}
	_, err := database.Rehearse(t.Context(), files, on)
	require.ErrorContains(t, err, "the server of the rehearsal is the database's own")
	assert.Equal(t, "0", databasesNow(database))
	other, err := newServer("", "fsync=off")
	require.NoError(t, err)
	defer other.Remove()
	elsewhere := open(t, other.URL("postgres"))
	on.On = other.URL("postgres")
	t.Setenv("PGHOST", "127.0.0.1")
	t.Setenv("PGPORT", "1") // of the database, and not of the rehearsal's server
	plan, err := database.Rehearse(t.Context(), files, on)
	require.NoError(t, err)
	assert.Equal(t, []Lock{{Table: "users", Mode: accessExclusive}}, plan.Rehearsal.Files[0].Statements[0].Locks)
	assert.Equal(t, "0", databasesNow(elsewhere))
	assert.Equal(t, "0", one(t, elsewhere, "SELECT count(*) FROM pg_roles WHERE rolname = 'keeper'"))
	wrong := on
	wrong.Programs, wrong.On = t.TempDir(), ""
	_, err = database.Rehearse(t.Context(), files, wrong)
	require.ErrorContains(t, err, "no server program of PostgreSQL 15 is here")
	assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = database.Rehearse(ctx, files, on)
	require.Error(t, err)
	assert.Equal(t, "0", databasesNow(elsewhere))
}
