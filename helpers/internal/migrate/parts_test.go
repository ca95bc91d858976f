package migrate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhatThePlanAddsMayGo: nobody uses it yet, and what IF EXISTS does not find is not
// dropped; never what was there before.
func TestWhatThePlanAddsMayGo(t *testing.T) {
	database := open(t, create(t))
	execute(t, database, `CREATE SCHEMA audit; CREATE TYPE mood AS ENUM ('a'); CREATE TABLE other (tmp int, email text);
		CREATE TABLE users (id int, email text, must int NOT NULL DEFAULT 1);
		CREATE FUNCTION used() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION audit.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
		CREATE FUNCTION fickle() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'`)
	const f = "CREATE FUNCTION f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; "
	const tmp = "ALTER TABLE users ADD COLUMN tmp int; "
	const elsewhere = "SELECT set_config('search_path', 'aud' || 'it', true); "
	for _, test := range []struct{ sql, want string }{
		{tmp + "ALTER TABLE users DROP COLUMN tmp", ""},
		{tmp + "ALTER TABLE users DROP COLUMN tmp, DROP COLUMN email", "drop-column*"},
		{tmp + "ALTER TABLE users DROP COLUMN tmp; ALTER TABLE users DROP COLUMN email", "drop-column*"},
		{tmp + "ALTER TABLE other DROP COLUMN tmp", "drop-column* many-locks"},
		{tmp + "ALTER TABLE users RENAME COLUMN tmp TO tmp2; ALTER TABLE users DROP COLUMN tmp2", ""},
		{tmp + "ALTER TABLE users RENAME tmp TO x; ALTER TABLE users RENAME email TO tmp; ALTER TABLE users DROP tmp", "rename* drop-column*"},
		{tmp + "ALTER TABLE users RENAME TO old; ALTER TABLE other RENAME TO users; ALTER TABLE users DROP COLUMN tmp",
			"rename* rename* many-locks drop-column*"},
		{tmp + elsewhere + "ALTER TABLE users DROP COLUMN tmp", "drop-column*"},
		{"CREATE TABLE IF NOT EXISTS users (id int, email text); ALTER TABLE users DROP COLUMN email", "drop-column*"},
		{"ALTER TABLE users ADD COLUMN IF NOT EXISTS email text; ALTER TABLE users DROP COLUMN email", "drop-column*"},
		{"ALTER TABLE users ADD COLUMN IF NOT EXISTS tmp text; ALTER TABLE users DROP COLUMN tmp", ""},
		{"ALTER TABLE users DROP COLUMN IF EXISTS nothere", ""},
		{"ALTER TABLE users DROP COLUMN IF EXISTS nothere, DROP COLUMN IF EXISTS email", "drop-column*"},
		{"ALTER TABLE users RENAME COLUMN email TO mail; ALTER TABLE users DROP COLUMN IF EXISTS mail", "rename* drop-column*"},
		{"ALTER TABLE users RENAME TO old; ALTER TABLE other RENAME TO users; ALTER TABLE users DROP COLUMN IF EXISTS tmp",
			"rename* rename* many-locks drop-column*"},
		{"ALTER TABLE users DROP CONSTRAINT IF EXISTS nothere", ""},
		{"ALTER TABLE IF EXISTS nothere DROP COLUMN x", ""},
		{"ALTER TABLE IF EXISTS nothere RENAME TO y", ""},
		{"ALTER TABLE IF EXISTS users RENAME TO y", "rename*"},
		{elsewhere + "ALTER TABLE IF EXISTS users DROP COLUMN email", "drop-column*"},
		{"ALTER TABLE users ADD COLUMN IF NOT EXISTS must int NOT NULL DEFAULT fickle()", ""},
		{"ALTER TABLE users ADD COLUMN IF NOT EXISTS must serial, ADD COLUMN IF NOT EXISTS email text UNIQUE", ""},
		{"ALTER TABLE users ADD COLUMN IF NOT EXISTS must serial, ADD COLUMN IF NOT EXISTS more serial", "serial"},
		{"ALTER TABLE users ADD COLUMN IF NOT EXISTS must int, ALTER COLUMN must DROP DEFAULT", "drop-default*"},
		{f + "DROP FUNCTION f()", ""},
		{"CREATE FUNCTION f(int, OUT x text) LANGUAGE sql AS 'SELECT version()'; DROP FUNCTION f(integer)", ""},
		{"CREATE FUNCTION used(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION used()", "drop-object*"},
		{"CREATE OR REPLACE FUNCTION used() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION used()", "drop-object*"},
		{f + "SET search_path = audit, public; DROP FUNCTION f()", "drop-object*"},
		{f + "DROP FUNCTION f() CASCADE", "drop-object*"},
		{f + elsewhere + "DROP FUNCTION f()", "drop-object*"},
		{"DROP FUNCTION IF EXISTS nothere(int)", ""},
		{"DROP FUNCTION IF EXISTS nothere(int, no_such_type)", ""},
		{"DROP FUNCTION IF EXISTS used(no_such_type)", "drop-object*"},
		{"DROP FUNCTION IF EXISTS nothere(int), used()", "drop-object*"},
		{"DROP FUNCTION IF EXISTS audit.f(); DROP TYPE IF EXISTS nothere; DROP SCHEMA IF EXISTS nothere CASCADE", "drop-object*"},
		{"DROP AGGREGATE IF EXISTS nothere(int); DROP PROCEDURE IF EXISTS nothere; DROP DOMAIN IF EXISTS nothere", ""},
		{"CREATE TYPE t AS ENUM ('x'); DROP TYPE t", ""},
		{"CREATE TYPE t AS ENUM ('x'); DROP TYPE t, mood", "drop-object*"},
		{"CREATE DOMAIN d AS int; DROP DOMAIN d", ""},
		{"CREATE DOMAIN d AS text; ALTER TABLE users ALTER email TYPE d; DROP DOMAIN d CASCADE", "alter-type* drop-object*"},
		{"CREATE SCHEMA s; DROP SCHEMA s", ""},
		{"CREATE SCHEMA s; CREATE DOMAIN s.d AS text; ALTER TABLE users ALTER email TYPE s.d; DROP SCHEMA s CASCADE", "alter-type* drop-object*"},
		{"CREATE SCHEMA IF NOT EXISTS audit; DROP SCHEMA audit", "drop-object*"},
		{"SAVEPOINT a; CREATE TYPE audit.mood AS ENUM ('x'); ROLLBACK TO a; DROP TYPE audit.mood", "drop-object*"},
	} {
		plan, err := database.Plan(t.Context(), folder(t, map[string]string{"1_x.sql": test.sql}), Allow{})
		require.NoError(t, err, test.sql)
		assert.Equal(t, test.want, ofPlan(plan.Pending), test.sql)
	}
	// What a DO block may have put elsewhere is not taken for what was there.
	_, err := database.Baseline(t.Context(), nil, "0", false, "begins here", options)
	require.NoError(t, err)
	plan, err := database.Plan(t.Context(), folder(t, map[string]string{"1_x.sql": "DO $$ BEGIN " +
		"PERFORM set_config('search_path', 'audit', true); END $$; CREATE TABLE users (id int); SET search_path = public; ALTER TABLE users " +
		"DROP COLUMN email"}), Allow{})
	require.NoError(t, err)
	assert.Equal(t, "unseen drop-column*", ofPlan(plan.Pending))
}

// TestTheLimitOfLocksIsNotLifted: a file that lifts it waits with everybody behind it.
func TestTheLimitOfLocksIsNotLifted(t *testing.T) {
	for sql, want := range map[string]string{
		"SET lock_timeout = 0":          "lock-timeout",
		"SET LOCAL lock_timeout TO '0'": "lock-timeout", "SET lock_timeout = '0s'": "lock-timeout",
		"SET lock_timeout TO DEFAULT": "lock-timeout", "RESET lock_timeout": "lock-timeout", "RESET ALL": "lock-timeout",
		`SET "lock_timeout" = 0`:                       "lock-timeout",
		"SELECT set_config('lock_timeout', '0', true)": "lock-timeout", "SELECT set_config('lock_timeout', '0ms', false)": "lock-timeout",
		"SET lock_timeout = '2s'": "", "SET lock_timeout = 500": "", "RESET search_path": "",
		"-- slipway:no-transaction\nSET lock_timeout = 0":                "",
		"SET statement_timeout = 0":                                      "statement-timeout",
		"SET LOCAL statement_timeout = '0 ms'":                           "statement-timeout",
		"SET transaction_timeout TO 0":                                   "statement-timeout",
		"SELECT set_config('statement_timeout', '0', true)":              "statement-timeout",
		"SET statement_timeout = '1h'":                                   "",
		"SET LOCAL statement_timeout = 5000":                             "",
		"RESET statement_timeout":                                        "", // the file has the session's own all the time
		"SET idle_in_transaction_session_timeout = 0":                    "",
		"-- slipway:no-transaction\nSET statement_timeout = '1h'":        "statement-timeout",
		"-- slipway:no-transaction\nRESET statement_timeout":             "statement-timeout",
		"-- slipway:no-transaction\nRESET ALL":                           "statement-timeout",
		"-- slipway:no-transaction\nSET LOCAL statement_timeout = 0":     "",
		"-- slipway:no-transaction\nRESET search_path":                   "",
		"-- slipway:no-transaction\nSET statement_timeout = 0; SELECT 1": "statement-timeout",
	} {
		found, err := LintFiles(t.Context(), folder(t, map[string]string{"1_x.sql": sql}))
		require.NoError(t, err)
		assert.Equal(t, want, ofPlan(found.Files), sql)
	}
}
