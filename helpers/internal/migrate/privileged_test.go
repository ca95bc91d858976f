package migrate

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPrivilegedStatements(t *testing.T) {
	for sql, want := range map[string]string{
		"CREATE ROLE mallory SUPERUSER LOGIN":                       "privilege",
		"ALTER ROLE app SUPERUSER":                                  "privilege",
		"COPY t FROM PROGRAM 'id'":                                  "program",
		"COPY t TO '/tmp/x'":                                        "server",
		"ALTER SYSTEM SET log_statement = 'all'":                    "server",
		"CREATE EXTENSION dblink":                                   "server",
		"LOAD 'x'":                                                  "program",
		"GRANT ALL ON t TO PUBLIC":                                  "privilege",
		"SET session_replication_role = replica":                    "triggers-off",
		"SET ROLE postgres":                                         "privilege",
		"-- slipway:ok privilege it has to be\nCREATE ROLE mallory": "privilege",
		"DO $$ BEGIN CREATE ROLE mallory; END $$":                   "unseen",
		"DO $$ BEGIN EXECUTE 'CREATE ' || 'ROLE mallory'; END $$":   "unseen",
		"-- slipway:ok unseen nothing\nDO $$ BEGIN EXECUTE 'CREATE ' || 'ROLE m'; END $$": "unseen",
		"GRANT SELECT ON t TO reader":          "",
		"CREATE TABLE t (a int)":               "",
		"CREATE INDEX CONCURRENTLY i ON t (a)": "",
		"ALTER TABLE t DROP COLUMN a":          "",
	} {
		folder := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(folder, "001_x.sql"), []byte(sql+";\n"), 0o600))
		pending, err := Load(folder)
		require.NoError(t, err)
		require.NoError(t, pending[0].Parse(), sql)
		found := Plan{Pending: pending}.Privileged()
		if want == "" {
			assert.Empty(t, found, sql)
			continue
		}
		if assert.Len(t, found, 1, sql) {
			assert.Contains(t, found[0], "001_x.sql:", sql)
			assert.Contains(t, found[0], "("+want+")", sql)
		}
	}
}
