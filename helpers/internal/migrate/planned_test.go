package migrate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhatThePlanMakesAndRenamesIsFollowed: what files lock as a whole is what a server locks,
// also behind names and foreign keys that the catalog does not have yet.
func TestWhatThePlanMakesAndRenamesIsFollowed(t *testing.T) {
	const ground = `CREATE TABLE users (id int PRIMARY KEY, plan text); INSERT INTO users VALUES (1), (2);
		CREATE TABLE orders (id int PRIMARY KEY, user_id int CONSTRAINT of_user REFERENCES users); INSERT INTO orders VALUES (1, 1);
		CREATE UNIQUE INDEX orders_once ON orders (user_id); CREATE VIEW planned AS SELECT plan FROM users;
		CREATE TYPE mood AS ENUM ('calm'); CREATE TABLE moods (m mood); CREATE TABLE others (id int PRIMARY KEY);
		CREATE TABLE logs (id int, at int) PARTITION BY RANGE (at); CREATE TABLE logs1 PARTITION OF logs FOR VALUES FROM (1) TO (2);
		CREATE TABLE rest PARTITION OF logs DEFAULT; CREATE SCHEMA shop; CREATE TABLE shop.items (id int REFERENCES users)`
	const keyed = "CREATE TABLE n (id int PRIMARY KEY); INSERT INTO n SELECT id FROM users; " +
		"ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (user_id) REFERENCES n; "
	onVersions(t, func(t *testing.T, s *server, _ int) {
		database := open(t, s.create(t))
		execute(t, database, "SET client_min_messages = error;"+ground)
		for _, sql := range []string{
			"ALTER TABLE users RENAME TO u; DROP TABLE u CASCADE",
			"ALTER TABLE users RENAME TO u; ALTER TABLE u RENAME TO v; TRUNCATE v CASCADE",
			"ALTER TABLE orders RENAME TO old; CREATE TABLE orders (id int); DROP TABLE old",
			"ALTER TABLE users RENAME COLUMN plan TO p; ALTER TABLE users ADD COLUMN plan text; ALTER TABLE users DROP COLUMN p CASCADE",
			"ALTER TABLE users RENAME COLUMN plan TO p; ALTER TABLE users RENAME TO u; ALTER TABLE u DROP COLUMN p CASCADE",
			"ALTER TABLE orders RENAME CONSTRAINT of_user TO f; ALTER TABLE orders DROP CONSTRAINT f",
			"ALTER INDEX orders_once RENAME TO i; DROP INDEX i",
			"ALTER TABLE logs1 RENAME TO l; DROP TABLE l",
			"ALTER TYPE mood RENAME TO m; DROP TYPE m CASCADE",
			"CREATE SCHEMA n; ALTER TABLE orders SET SCHEMA n; DROP SCHEMA n CASCADE",
			"ALTER SCHEMA shop RENAME TO store; ALTER SCHEMA store RENAME TO mall; DROP SCHEMA mall CASCADE",
			"CREATE TABLE n (id int REFERENCES users); DROP TABLE n",
			"CREATE TABLE n (id int); ALTER TABLE n RENAME TO m; ALTER TABLE m ADD FOREIGN KEY (id) REFERENCES users; DROP TABLE m",
			"CREATE TABLE n (id int, FOREIGN KEY (id) REFERENCES users); ALTER TABLE n DROP CONSTRAINT n_id_fkey",
			"ALTER TABLE orders ADD COLUMN o int REFERENCES others; ALTER TABLE orders DROP COLUMN o",
			"ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (id) REFERENCES others NOT VALID; ALTER TABLE orders DROP CONSTRAINT k",
			"ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES others NOT VALID",
			keyed + "TRUNCATE n CASCADE", keyed + "DROP TABLE n CASCADE", keyed + "ALTER TABLE n DROP CONSTRAINT n_pkey CASCADE",
			"CREATE TABLE n PARTITION OF logs FOR VALUES FROM (2) TO (3); DROP TABLE n",
			"CREATE TABLE n (LIKE logs); ALTER TABLE logs ATTACH PARTITION n FOR VALUES FROM (2) TO (3); DROP TABLE n",
			"SAVEPOINT a; ALTER TABLE users RENAME TO u; ROLLBACK TO a; CREATE TABLE u (id int); DROP TABLE u",
		} {
			plan, err := database.Plan(t.Context(), folder(t, series(sql)), Allow{})
			require.NoError(t, err, sql)
			var all Statement
			var names []string
			for _, statement := range plan.Pending[0].Statements {
				for _, lock := range statement.Locks {
					all.Locks, names = append(all.Locks, lock), append(names, lock.Table)
				}
			}
			o, err := newObserver(t.Context(), database.conn)
			require.NoError(t, err)
			oids, err := o.oids(t.Context(), names)
			require.NoError(t, err)
			execute(t, database, "BEGIN")
			require.NoError(t, o.begin(t.Context()))
			execute(t, database, sql)
			real, err := o.look(t.Context())
			require.NoError(t, err)
			execute(t, database, "ROLLBACK")
			_, silent := all.against(o.claimed(all, oids), shows{locks: real.locks})
			assert.False(t, silent, "%s: the server took %v, claimed %v", sql, real.locks, all.Locks)
		}
	}, 15, 18)
}
