package migrate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/postgres"
)

var (
	shared    *server
	databases atomic.Int32
)

// TestMain runs a real PostgreSQL of Debian's package beside the tests.
func TestMain(m *testing.M) {
	if os.Getenv("SLIPWAY_TEST_RUNNER") != "" {
		os.Exit(asRunner())
	}
	code, err := withServer(m.Run)
	if err != nil {
		fmt.Fprintf(os.Stderr, "the tests need PostgreSQL 15 (apt-get install postgresql-15): %v\n", err)
		code = 1
	}
	os.Exit(code)
}

func withServer(run func() int) (int, error) {
	// Whoever runs the tests may have a database of his own in the environment.
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") || name == "DATABASE_URL" {
			os.Unsetenv(name)
		}
	}
	var err error
	if shared, err = newServer("", "fsync=off"); err != nil {
		return 1, err
	}
	started[debian] = shared
	defer func() {
		for _, s := range started {
			s.Remove()
		}
	}()
	os.Setenv("PGSSLMODE", "disable")
	return run(), nil
}

const debian = 15

// started are the servers by major version; each is started by the first test that needs it.
var started = map[int]*server{}

// onVersions runs a test on a server of each major version, or of the named ones.
func onVersions(t *testing.T, test func(t *testing.T, s *server, major int), versions ...int) {
	t.Helper()
	if len(versions) == 0 {
		versions = postgres.Versions
	}
	for _, major := range versions {
		t.Run(fmt.Sprintf("PostgreSQL %d", major), func(t *testing.T) {
			if started[major] == nil {
				s, err := postgres.NewVersion(major, "", "fsync=off")
				require.NoError(t, err)
				started[major] = &server{s}
			}
			test(t, started[major], major)
		})
	}
}

type server struct{ *postgres.Server }

func newServer(dir string, settings ...string) (*server, error) {
	s, err := postgres.New(dir, settings...)
	if err != nil {
		return nil, err
	}
	return &server{s}, nil
}

func address(database string) string { return shared.URL(database) }

func open(t *testing.T, url string) *Database {
	t.Helper()
	database, err := Connect(context.Background(), url)
	require.NoError(t, err)
	t.Cleanup(database.Close)
	return database
}

// create makes an empty database and gives its address.
func create(t *testing.T) string {
	t.Helper()
	return shared.create(t)
}

func (s *server) create(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("test%d", databases.Add(1))
	admin, err := Connect(context.Background(), s.URL("postgres"))
	require.NoError(t, err)
	defer admin.Close()
	execute(t, admin, "CREATE DATABASE "+name)
	return s.URL(name)
}

func execute(t *testing.T, d *Database, sql string) {
	t.Helper()
	_, err := d.conn.ExecContext(context.Background(), sql)
	require.NoError(t, err, sql)
}

// one gives the answer of a query of one row and column, as text.
func one(t *testing.T, d *Database, query string) string {
	t.Helper()
	var answer string
	require.NoError(t, d.conn.QueryRowContext(context.Background(), "SELECT coalesce(("+query+")::text, 'NULL')").Scan(&answer), query)
	return answer
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600))
	}
	return dir
}

func folder(t *testing.T, files map[string]string) []Migration {
	t.Helper()
	migrations, err := Load(write(t, files))
	require.NoError(t, err)
	return migrations
}

// dump is the path of a pg_dump that can read the version.
func (s *server) dump(t *testing.T, major int) string {
	t.Helper()
	path, err := postgres.FetchDump(t.Context(), major)
	require.NoError(t, err)
	return path
}
