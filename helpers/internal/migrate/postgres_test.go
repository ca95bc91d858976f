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
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const programs = "/usr/lib/postgresql/15/bin/"

var (
	serverDir  string
	serverPort int
	databases  atomic.Int32
)

// TestMain runs a real PostgreSQL of Debian's package beside the tests.
func TestMain(m *testing.M) {
	code, err := withServer(m.Run)
	if err != nil {
		fmt.Fprintf(os.Stderr, "the tests need PostgreSQL 15 (apt-get install postgresql-15): %v\n", err)
		code = 1
	}
	os.Exit(code)
}

func withServer(run func() int) (int, error) {
	var err error
	if serverDir, err = os.MkdirTemp("", "migrate-test"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(serverDir)
	if err := os.Chmod(serverDir, 0o755); err != nil {
		return 1, err
	}
	var credential *syscall.Credential
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		account, err := user.Lookup("postgres")
		if err != nil {
			return 1, err
		}
		uid, _ := strconv.Atoi(account.Uid)
		gid, _ := strconv.Atoi(account.Gid)
		credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(serverDir, uid, gid); err != nil {
			return 1, err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 1, err
	}
	serverPort = listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	data := filepath.Join(serverDir, "data")
	for _, arguments := range [][]string{
		{"initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"},
		{"pg_ctl", "-D", data, "-l", filepath.Join(serverDir, "log"), "-w", "-o", fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s -c fsync=off -c max_connections=60", serverPort, serverDir), "start"},
	} {
		command := exec.Command(programs+arguments[0], arguments[1:]...)
		command.Dir, command.SysProcAttr = "/", &syscall.SysProcAttr{Credential: credential}
		if arguments[0] == "pg_ctl" {
			err = command.Run() // the server keeps the output open
		} else {
			_, err = command.CombinedOutput()
		}
		if err != nil {
			return 1, err
		}
	}
	defer func() {
		stop := exec.Command(programs+"pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
		stop.Dir, stop.SysProcAttr = "/", &syscall.SysProcAttr{Credential: credential}
		_ = stop.Run()
	}()
	os.Setenv("PGSSLMODE", "disable")
	return run(), nil
}

func address(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", serverPort, database)
}

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
	name := fmt.Sprintf("test%d", databases.Add(1))
	admin := open(t, address("postgres"))
	_, err := admin.conn.ExecContext(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	return address(name)
}

func folder(t *testing.T, files map[string]string) []Migration {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600))
	}
	migrations, err := Load(dir)
	require.NoError(t, err)
	return migrations
}
