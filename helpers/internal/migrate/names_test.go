package migrate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// series names files 1_x.sql, 2_x.sql, ... of texts.
func series(sql ...string) map[string]string {
	files := map[string]string{}
	for i, text := range sql {
		files[fmt.Sprintf("%d_x.sql", i+1)] = text
	}
	return files
}

// ofPlan gives what a plan's findings are, a file each: "drop-table* " with a star where it is breaking.
func ofPlan(files []Migration) string {
	var lines []string
	for _, file := range files {
		var names []string
		for _, s := range file.Statements {
			for _, f := range s.Findings {
				if f.Breaking {
					f.Name += "*"
				}
				names = append(names, f.Name)
			}
		}
		lines = append(lines, strings.Join(names, " "))
	}
	return strings.Join(lines, ";")
}

// TestWhatThePlanCreatesIsAnObjectAndNoName: tables of the same name in another
// schema, of the session alone, or already there.
func TestWhatThePlanCreatesIsAnObjectAndNoName(t *testing.T) {
	url := create(t)
	database := open(t, url)
	execute(t, database, `CREATE TABLE orders (id int, email text); CREATE TABLE users (id int, email text); 
		CREATE SCHEMA audit; CREATE SCHEMA app; CREATE TABLE app.users (id int, email text);
		CREATE TABLE "Mixed" (id int, email text)`)
	for _, test := range []struct {
		sql  []string
		want string
		lint string // of the last file alone, where it is another
	}{
		{[]string{"CREATE TEMP TABLE orders AS SELECT 1 AS id; DROP TABLE orders;", "DROP TABLE orders;"}, ";drop-table*", ""},
		{[]string{"CREATE TEMPORARY TABLE orders (id int); DROP TABLE public.orders;"}, "drop-table*", ""},
		{[]string{"CREATE TEMP TABLE orders (id int); DROP TABLE orders; DROP TABLE orders"}, "drop-table*", ""},
		{[]string{"CREATE TEMP TABLE orders (id int); ALTER TABLE orders DROP id; ALTER TABLE pg_temp.orders ADD n int NOT NULL"}, "", ""},
		{[]string{"CREATE TABLE pg_temp.orders (id int); DROP TABLE orders", "TRUNCATE orders"}, ";truncate", ""},
		{[]string{"SELECT 1 AS id INTO TEMP orders; DROP TABLE orders; DELETE FROM orders"}, "delete-all", ""},
		{[]string{"CREATE TEMP TABLE orders (id int); DISCARD TEMP; DROP TABLE orders"}, "drop-table*", ""},
		{[]string{"CREATE TEMP TABLE mine (id int); CREATE VIEW orders AS SELECT id FROM mine; DROP VIEW orders; " +
			"DROP TABLE orders"}, "drop-table*", ""},
		{[]string{"CREATE TEMP VIEW users AS SELECT 1 AS id", "ALTER TABLE users DROP COLUMN email"}, ";drop-column*", ""},
		{[]string{"CREATE TABLE fresh (id int); DROP TABLE fresh; " +
			"ALTER TABLE users RENAME TO fresh;", "DROP TABLE fresh"}, "rename*;drop-table*", ""},
		{[]string{"-- slipway:no-transaction\nCREATE TEMP TABLE orders (id int) ON COMMIT DROP; DROP TABLE orders"}, "drop-table*", ""},

		{[]string{"SET LOCAL search_path = audit; CREATE TABLE users (id int);", "ALTER TABLE users DROP COLUMN email;"}, ";drop-column*", ""},
		{[]string{"SET search_path = audit; CREATE TABLE users (id int); RESET search_path; " +
			"ALTER TABLE users DROP COLUMN email;"}, "drop-column*", ""},
		{[]string{"SET search_path TO audit, public; CREATE TABLE users (id int); SET search_path TO DEFAULT; " +
			"ALTER TABLE users DROP COLUMN email;"}, "drop-column*", ""},
		{[]string{"SET search_path = audit; CREATE TABLE users (id int); RESET ALL; DROP TABLE users;"}, "lock-timeout drop-table*", ""},
		{[]string{"SELECT set_config('search_path', 'audit, public', true); " +
			"CREATE TABLE users (id int)", "DROP TABLE users"}, ";drop-table*", ""},
		{[]string{"SELECT set_config('search_path', 'audit', false); CREATE TABLE users (id int); " +
			"ALTER TABLE users ADD a int NOT NULL; ALTER TABLE public.users DROP email"},
			"drop-column*", ""},
		{[]string{"SET SCHEMA 'audit'; CREATE TABLE users (id int); SET SCHEMA 'public'; DROP TABLE users"}, "drop-table*", ""},
		{[]string{"CREATE TABLE audit.users (id int); ALTER TABLE users DROP COLUMN email"}, "drop-column*", ""},
		{[]string{"CREATE TABLE audit.users (id int, email text); ALTER TABLE audit.users DROP COLUMN email"}, "", ""},
		{[]string{"SET search_path = app; ALTER TABLE users DROP COLUMN email"}, "drop-column*", ""},
		{[]string{"SET search_path = app, public; DROP TABLE orders"}, "drop-table*", ""},
		{[]string{"SAVEPOINT a; CREATE TABLE audit.users (id int); SET search_path = audit; ROLLBACK TO a; " +
			"ALTER TABLE users DROP COLUMN email"}, "drop-column*", ""},
		{[]string{"SAVEPOINT a; CREATE TEMP TABLE users (id int); ROLLBACK TO SAVEPOINT a; DROP TABLE users"}, "drop-table*", ""},
		{[]string{"CREATE SCHEMA fresh; SET search_path = fresh; CREATE TABLE users (id int, n int); ALTER TABLE users DROP COLUMN n"}, "", ""},
		{[]string{"CREATE SCHEMA fresh CREATE TABLE users (id int); ALTER TABLE users DROP COLUMN email"}, "drop-column*", ""},
		{[]string{"CREATE SCHEMA fresh CREATE TABLE users (id int); ALTER TABLE fresh.users DROP COLUMN id"}, "", ""},
		{[]string{"CREATE TABLE audit.users (id int); ALTER TABLE audit.users SET SCHEMA fresh; DROP TABLE users"}, "drop-table*", ""},
		{[]string{"CREATE TABLE fresh (id int); ALTER TABLE users RENAME TO old; ALTER TABLE fresh RENAME TO users; " +
			"ALTER TABLE users ADD CHECK (id > 0); DROP TABLE old"},
			"rename* drop-table* many-locks", ""},
		{[]string{`CREATE TABLE mixed (id int); ALTER TABLE "Mixed" DROP COLUMN email`}, "drop-column*", ""},
		{[]string{`CREATE TABLE "app.users" (id int); ALTER TABLE app.users DROP COLUMN email`}, "drop-column*", ""},

		{[]string{"CREATE TABLE IF NOT EXISTS users (id int); ALTER TABLE users DROP COLUMN email;"}, "drop-column*", "drop-column*"},
		{[]string{"CREATE TABLE IF NOT EXISTS unheard (id int); ALTER TABLE unheard DROP COLUMN id;"}, "", "drop-column*"},
		{[]string{"CREATE TABLE IF NOT EXISTS users AS SELECT 1 AS id; TRUNCATE users"}, "truncate", "truncate"},
		{[]string{"CREATE SEQUENCE IF NOT EXISTS users; DROP TABLE users"}, "drop-table*", "drop-table*"},
		{[]string{"CREATE TEMP TABLE IF NOT EXISTS users (id int); DROP TABLE users"}, "", ""},
		{[]string{"CREATE TABLE users2 (id int); CREATE TABLE IF NOT EXISTS users2 (id int); DROP TABLE users2"}, "", ""},

		{[]string{"DROP TABLE IF EXISTS unheard, users; CREATE TABLE unheard (id int)"}, "drop-table*", "drop-table* drop-table*"},
		{[]string{"DROP TABLE IF EXISTS unheard; DROP VIEW IF EXISTS unheard CASCADE"}, "", "drop-table* drop-object*"},
		{[]string{"DROP TABLE IF EXISTS unheard; CREATE TEMP TABLE users (id int); DROP TABLE IF EXISTS users; DROP TABLE IF EXISTS users"},
			"drop-table*", "drop-table* drop-table* many-locks"},
		{[]string{"CREATE SEQUENCE s; CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; DROP SEQUENCE s; DROP MATERIALIZED VIEW m"}, "", ""},

		{[]string{"CREATE INDEX ON fresh (id);", "ALTER TABLE users ADD COLUMN q int;"}, "index;", ""},
		{[]string{"CREATE INDEX CONCURRENTLY ON users (id);", "ALTER TABLE orders ADD COLUMN q int;", "ALTER " +
			"TABLE orders ADD CHECK (id > 0) NOT VALID"}, "index-name;;", ""},
		{[]string{"CREATE UNIQUE INDEX ON users (id);", "ALTER TABLE orders ADD CONSTRAINT u UNIQUE (id)"}, "index;unique", ""},
	} {
		t.Run(strings.Join(test.sql, " | "), func(t *testing.T) {
			plan, err := database.Plan(t.Context(), folder(t, series(test.sql...)), Allow{})
			require.NoError(t, err)
			assert.Equal(t, test.want, ofPlan(plan.Pending))
			found, err := LintFiles(t.Context(), folder(t, series(test.sql[len(test.sql)-1])))
			require.NoError(t, err)
			want := test.lint
			if want == "" {
				want = test.want[strings.LastIndex(test.want, ";")+1:]
			}
			assert.Equal(t, want, ofPlan(found.Files), "lint")
		})
	}
}
