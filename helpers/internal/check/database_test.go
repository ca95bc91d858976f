package check

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/lib/pq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/postgres"
)

// encrypted is a real PostgreSQL with a certificate, an archive, and a role that owns the schema of a service.
type encrypted struct {
	*postgres.Server
	t *testing.T
}

func newEncrypted(t *testing.T) encrypted {
	t.Helper()
	for _, name := range []string{"PGHOST", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLMODE", "PGSSLROOTCERT", "DATABASE_URL"} {
		t.Setenv(name, "")
		require.NoError(t, os.Unsetenv(name))
	}
	server, err := postgres.New("", "fsync=off", "archive_mode=on", "max_prepared_transactions=5")
	require.NoError(t, err, "apt-get install postgresql-15")
	t.Cleanup(server.Remove)
	e := encrypted{Server: server, t: t}
	e.certificate()
	e.exec("ALTER SYSTEM SET archive_command = '/bin/true'", "ALTER SYSTEM SET ssl = on", "CREATE ROLE migrations LOGIN",
		"CREATE DATABASE shop")
	e.exec("SELECT pg_reload_conf()")
	e.in("shop", "CREATE SCHEMA app AUTHORIZATION migrations", "ALTER ROLE migrations SET search_path = app", "SET ROLE migrations",
		"CREATE TABLE app.users (id int)", `CREATE TABLE app.schema_migrations (version text, name text, checksum text, applied_at timestamptz,
			applied_by text, duration_ms int, plan_id text, commit text)`,
		"INSERT INTO app.schema_migrations VALUES ('001', 'users', 'c', now(), 'ada', 1, 'p', 'c')")
	e.archived("last_archived_time")
	return e
}

// exec runs statements as the superuser, each alone.
func (e encrypted) exec(statements ...string) { e.in("postgres", statements...) }

func (e encrypted) in(name string, statements ...string) {
	e.t.Helper()
	database, err := sql.Open("postgres", e.URL(name))
	require.NoError(e.t, err)
	defer database.Close()
	database.SetMaxOpenConns(1)
	for _, statement := range append([]string{"SET synchronous_commit = local"}, statements...) {
		_, err := database.ExecContext(e.t.Context(), statement)
		require.NoError(e.t, err, statement)
	}
}

// archived waits until the archiver has done, or failed, after a switch of the WAL.
func (e encrypted) archived(column string) {
	e.t.Helper()
	database, err := sql.Open("postgres", e.URL("postgres"))
	require.NoError(e.t, err)
	defer database.Close()
	_, err = database.ExecContext(e.t.Context(), "CREATE TABLE IF NOT EXISTS written (n int); INSERT INTO written VALUES (1); "+
		"SELECT pg_switch_wal()")
	require.NoError(e.t, err)
	require.Eventually(e.t, func() bool {
		var is bool
		other := map[string]string{"last_archived_time": "last_failed_time", "last_failed_time": "last_archived_time"}[column]
		err := database.QueryRowContext(e.t.Context(), "SELECT "+column+" > coalesce("+other+", '-infinity') FROM pg_stat_archiver").Scan(&is)
		return err == nil && is
	}, time.Minute, 50*time.Millisecond)
}

// certificate gives the server one for 127.0.0.1.
func (e encrypted) certificate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(e.t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "postgres"},
		IPAddresses: []net.IP{{127, 0, 0, 1}}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	body, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(e.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(e.t, err)
	for name, block := range map[string]*pem.Block{"server.crt": {Type: "CERTIFICATE", Bytes: body},
		"server.key": {Type: "PRIVATE KEY", Bytes: private}} {
		file := filepath.Join(e.Data, name)
		require.NoError(e.t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
		require.NoError(e.t, e.Own(file))
	}
}

func (e encrypted) url(port int, mode string) string {
	return fmt.Sprintf("postgres://migrations@127.0.0.1:%d/shop?sslmode=%s&sslrootcert=%s", port, mode, filepath.Join(e.Data, "server.crt"))
}

func (e encrypted) restart() {
	e.t.Helper()
	require.NoError(e.t, e.Program("pg_ctl", "-D", e.Data, "-m", "fast", "-w", "stop").Run())
	require.NoError(e.t, e.Start())
}

// Each check of the database is broken on a real PostgreSQL, and turns red alone.
func TestWhatADatabaseLacksIsFoundAlone(t *testing.T) {
	e := newEncrypted(t)
	site := func() *Site {
		return &Site{HasDatabase: true, Address: e.url(e.Port, "verify-full"), Open: 5 * time.Minute}
	}
	exec := func(statements ...string) func(*testing.T, *Site) {
		return func(*testing.T, *Site) { e.exec(statements...) }
	}
	mend := func(statements ...string) func(*testing.T) { return func(*testing.T) { e.exec(statements...) } }
	in := func(statements ...string) func(*testing.T, *Site) {
		return func(*testing.T, *Site) { e.in("shop", statements...) }
	}
	mendIn := func(statements ...string) func(*testing.T) { return func(*testing.T) { e.in("shop", statements...) } }
	address := func(address string) func(*testing.T, *Site) {
		return func(_ *testing.T, s *Site) { s.Address = address }
	}
	// A transaction that is open, for as long as the test of it lasts.
	transaction := func(statements ...string) func(*testing.T, *Site) {
		return func(t *testing.T, s *Site) {
			s.Open = 0
			database, err := sql.Open("postgres", e.URL("shop"))
			require.NoError(t, err)
			t.Cleanup(func() { _ = database.Close() })
			held, err := database.Conn(t.Context())
			require.NoError(t, err)
			for _, statement := range statements {
				_, err := held.ExecContext(t.Context(), statement)
				require.NoError(t, err)
			}
		}
	}
	eachAlone(t, databaseChecks, site, []string{"database-version", "database-wraparound", "database-clock"}, []broken{
		{"database-reachable", Missing, address("postgres://migrations@127.0.0.1:1/shop"), nil},
		{"database-reachable", Missing, address(e.url(e.Port, "verify-full") + "&user=nobody"), nil},
		{"database-reachable", Missing, exec("ALTER ROLE migrations NOLOGIN"), mend("ALTER ROLE migrations LOGIN")},
		{"database-tls", Warning, address(e.url(e.Port, "require")), nil},
		{"database-tls", Missing, address(e.url(e.Port, "disable")), nil},
		{"database-tls", Missing, exec("ALTER SYSTEM SET ssl = off", "SELECT pg_reload_conf()"),
			mend("ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")},
		{"database-pooler", Missing, func(t *testing.T, s *Site) { s.Address = e.url(e.bouncer(t), "verify-full") }, nil},
		{"database-primary", Missing, func(t *testing.T, _ *Site) {
			require.NoError(t, os.WriteFile(filepath.Join(e.Data, "standby.signal"), nil, 0o600))
			require.NoError(t, e.Own(filepath.Join(e.Data, "standby.signal")))
			e.restart()
		}, func(t *testing.T) {
			require.NoError(t, os.Remove(filepath.Join(e.Data, "standby.signal")))
			e.restart()
			e.archived("last_archived_time")
		}},
		{"database-rights", Missing, in("ALTER SCHEMA app OWNER TO postgres", "GRANT USAGE ON SCHEMA app TO migrations"),
			mendIn("ALTER SCHEMA app OWNER TO migrations")},
		{"database-owner", Missing, in("ALTER TABLE app.users OWNER TO postgres"), mendIn("ALTER TABLE app.users OWNER TO migrations")},
		{"database-superuser", Warning, exec("ALTER ROLE migrations SUPERUSER"), mend("ALTER ROLE migrations NOSUPERUSER")},
		{"database-history", Missing, in("SET ROLE migrations", "CREATE TABLE app.flyway_schema_history (version text, success bool)"),
			mendIn("DROP TABLE app.flyway_schema_history")},
		{"database-history", Missing, in("SET ROLE migrations", "ALTER TABLE app.schema_migrations RENAME TO kept",
			"CREATE TABLE app.schema_migrations (version bigint, dirty bool)"),
			mendIn("DROP TABLE app.schema_migrations", "ALTER TABLE app.kept RENAME TO schema_migrations")},
		{"database-history", Warning, in("ALTER TABLE app.schema_migrations RENAME TO kept"),
			mendIn("ALTER TABLE app.kept RENAME TO schema_migrations")},
		{"database-replication", Missing, exec("ALTER SYSTEM SET synchronous_standby_names = 'away'", "SELECT pg_reload_conf()"),
			mend("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")},
		{"database-slots", Warning, exec("SELECT pg_create_physical_replication_slot('unread', true)"),
			mend("SELECT pg_drop_replication_slot('unread')")},
		{"database-archive", Missing, func(*testing.T, *Site) {
			e.exec("ALTER SYSTEM SET archive_command = '/bin/false'", "SELECT pg_reload_conf()")
			e.archived("last_failed_time")
		}, func(*testing.T) {
			e.exec("ALTER SYSTEM SET archive_command = '/bin/true'", "SELECT pg_reload_conf()")
			e.archived("last_archived_time")
		}},
		{"database-transactions", Warning, func(t *testing.T, s *Site) {
			e.exec("GRANT pg_monitor TO migrations")
			transaction("BEGIN", "SELECT 1")(t, s)
		}, mend("REVOKE pg_monitor FROM migrations")},
		{"database-prepared", Warning, transaction("BEGIN", "CREATE TABLE of_the_prepared (n int)", "PREPARE TRANSACTION 'left'"),
			mendIn("ROLLBACK PREPARED 'left'")},
		{"database-connections", Warning, func(t *testing.T, _ *Site) {
			database, err := sql.Open("postgres", e.URL("postgres"))
			require.NoError(t, err)
			t.Cleanup(func() { _ = database.Close() })
			for range 50 { // of 60
				held, err := database.Conn(t.Context())
				require.NoError(t, err)
				require.NoError(t, held.PingContext(t.Context()))
			}
		}, nil},
	})
}

// bouncer is a pooler that lends a session to each transaction, encrypted on both sides.
func (e encrypted) bouncer(t *testing.T) int {
	t.Helper()
	port, err := postgres.FreePort()
	require.NoError(t, err)
	config := filepath.Join(e.Dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(filepath.Join(e.Dir, "users"), []byte("\"migrations\" \"\"\n"), 0o644))
	require.NoError(t, os.WriteFile(config, []byte(fmt.Sprintf(`[databases]
shop = host=127.0.0.1 port=%d user=migrations
[pgbouncer]
listen_addr=127.0.0.1
listen_port=%d
unix_socket_dir=
auth_type=trust
auth_file=%s/users
pool_mode=transaction
ignore_startup_parameters=extra_float_digits
client_tls_sslmode=require
client_tls_key_file=%[4]s/server.key
client_tls_cert_file=%[4]s/server.crt
server_tls_sslmode=require
`, e.Port, port, e.Dir, e.Data)), 0o644))
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer"
	}
	command := exec.Command(path, config)
	command.SysProcAttr = e.Program("true").SysProcAttr
	require.NoError(t, command.Start(), "apt-get install pgbouncer")
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	require.Eventually(t, func() bool {
		connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = connection.Close()
		}
		return err == nil
	}, 20*time.Second, 20*time.Millisecond)
	return port
}

func TestWhatADatabaseSaysIsJudged(t *testing.T) {
	for major, state := range map[int]State{13: Missing, 14: OK, 16: OK, 18: OK, 19: Missing} {
		assert.Equal(t, state, databaseVersionOf(major).State, major)
	}
	for age, state := range map[int64]State{3: OK, 200_000_000: OK, 500_000_001: Warning, 1_200_000_001: Missing, 2_146_483_647: Missing} {
		assert.Equal(t, state, ageOf(age).State, age)
	}
	for used, state := range map[int]State{0: OK, 80: OK, 81: Warning, 100: Warning} {
		assert.Equal(t, state, connectionsOf(used, 100).State, used)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	for _, each := range []struct {
		archives         bool
		archived, failed *time.Time
		state            State
	}{
		{false, nil, nil, Warning}, {true, nil, nil, Warning}, {true, before(time.Minute), nil, OK}, {true, before(25 * time.Hour), nil, Warning},
		{true, before(time.Hour), before(time.Minute), Missing}, {true, nil, before(time.Minute), Missing},
	} {
		assert.Equal(t, each.state, archiveOf(each.archives, each.archived, each.failed, now).State, "%+v", each)
	}
}
