package migrate

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const programs = "/usr/lib/postgresql/15/bin/"

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
	defer shared.remove()
	os.Setenv("PGSSLMODE", "disable")
	return run(), nil
}

// server is a PostgreSQL in a folder of its own.
type server struct {
	dir, data  string
	port       int
	credential *syscall.Credential
	settings   []string
}

// newServer makes and starts one; dir is a folder that exists, or empty for a new one.
func newServer(dir string, settings ...string) (*server, error) {
	s := &server{dir: dir, settings: settings}
	var err error
	if dir == "" {
		if s.dir, err = os.MkdirTemp("", "migrate-test"); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		account, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(account.Uid)
		gid, _ := strconv.Atoi(account.Gid)
		s.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return nil, err
		}
	}
	s.data, s.port = filepath.Join(s.dir, "data"), freePort()
	if out, err := s.program("initdb", "-D", s.data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	return s, s.start()
}

func freePort() int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func (s *server) program(name string, arguments ...string) *exec.Cmd {
	command := exec.Command(programs+name, arguments...)
	command.Dir, command.SysProcAttr = "/", &syscall.SysProcAttr{Credential: s.credential}
	return command
}

func (s *server) start() error {
	flags := fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s -c max_connections=60 -c logging_collector=off", s.port, s.dir)
	for _, setting := range s.settings {
		flags += " -c " + setting
	}
	// The server keeps what pg_ctl inherits open: no pipe may be among it.
	if err := s.program("pg_ctl", "-D", s.data, "-l", filepath.Join(s.dir, "log"), "-w", "-t", "120", "-o", flags, "start").Run(); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return fmt.Errorf("pg_ctl start: %w: %s", err, log)
	}
	return nil
}

func (s *server) stop() { _ = s.program("pg_ctl", "-D", s.data, "-m", "immediate", "-w", "stop").Run() }

func (s *server) remove() {
	s.stop()
	_ = os.RemoveAll(s.dir)
}

// kill ends the server as a power failure does. Its other processes end by themselves.
func (s *server) kill(t *testing.T) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(s.data, "postmaster.pid"))
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.Fields(string(body))[0])
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
}

func (s *server) address(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

func address(database string) string { return shared.address(database) }

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
	admin, err := Connect(context.Background(), s.address("postgres"))
	require.NoError(t, err)
	defer admin.Close()
	execute(t, admin, "CREATE DATABASE "+name)
	return s.address(name)
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
