package migrate

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// scissors is a proxy that understands enough of PostgreSQL's protocol to cut a
// connection at the nth query that holds COMMIT: before the server has it, or
// after the server has answered and before the client hears of it.
// https://www.postgresql.org/docs/15/protocol-message-formats.html
type scissors struct {
	port    int
	commits atomic.Int32
	at      int32
	after   bool
}

func newScissors(t *testing.T, server int, at int, after bool) *scissors {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	s := &scissors{port: listener.Addr().(*net.TCPAddr).Port, at: int32(at), after: after}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(client, server)
		}
	}()
	return s
}

func (s *scissors) serve(client net.Conn, port int) {
	defer client.Close()
	server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return
	}
	defer server.Close()
	var deaf atomic.Bool
	go func() {
		defer client.Close()
		buffer := make([]byte, 32<<10)
		for {
			n, err := server.Read(buffer)
			if err != nil {
				return
			}
			if deaf.Load() {
				if strings.Contains(string(buffer[:n]), "COMMIT\x00Z") {
					return // the server has committed, and the client never hears of it
				}
				continue
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	for startup := true; ; startup = false {
		message, err := readMessage(client, startup)
		if err != nil {
			return
		}
		if message[0] == 'Q' && strings.Contains(string(message), "COMMIT") && s.commits.Add(1) == s.at {
			if !s.after {
				return
			}
			deaf.Store(true)
		}
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

func readMessage(in io.Reader, startup bool) ([]byte, error) {
	head := make([]byte, 5)
	if startup {
		head = head[:4]
	}
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(head[len(head)-4:])-4)
	_, err := io.ReadFull(in, rest)
	return append(head, rest...), err
}

// TestConnectionCutAroundCommit cuts at every COMMIT of the story, on either side of it.
func TestConnectionCutAroundCommit(t *testing.T) {
	dir, url := story(t), create(t)
	files, err := Load(dir)
	require.NoError(t, err)
	apply := func(url string) error {
		database, err := Connect(context.Background(), url)
		if err != nil {
			return err
		}
		defer database.Close()
		_, err = database.Apply(context.Background(), files, options)
		return err
	}
	clean := func() {
		database, err := Connect(context.Background(), url)
		require.NoError(t, err)
		execute(t, database, afresh)
		database.Close()
	}
	clean()
	counted := newScissors(t, shared.Port, -1, false)
	through := func(s *scissors) string { return strings.Replace(url, fmt.Sprint(shared.Port), fmt.Sprint(s.port), 1) }
	require.NoError(t, apply(through(counted)))
	want, commits := state(t, shared, url), int(counted.commits.Load())
	step := max(1, commits/instants()/2)
	cuts := 0
	for at := 1; at <= commits; at += step {
		for _, after := range []bool{false, true} {
			clean()
			err := apply(through(newScissors(t, shared.Port, at, after)))
			require.Error(t, err)
			assert.Equal(t, slipway.Unknown, slipway.AsError(err).Code, "%v", err)
			assert.ErrorContains(t, err, "not applied twice")
			require.NoError(t, apply(url), "COMMIT %d, after: %t", at, after)
			if got := state(t, shared, url); got != want {
				assert.Equal(t, strings.Split(want, "\n"), strings.Split(got, "\n"), "COMMIT %d, after: %t", at, after)
				t.FailNow()
			}
			cuts++
		}
	}
	t.Logf("%d cuts around %d COMMITs; 0 lost, 0 twice", cuts, commits)
}

func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir, err := os.MkdirTemp("", "migrate-small")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=110m"))
	s, err := newServer(dir, "fsync=off", "min_wal_size=32MB", "max_wal_size=32MB")
	t.Cleanup(func() {
		if s != nil {
			s.Stop()
		}
		_ = syscall.Unmount(dir, syscall.MNT_DETACH)
	})
	require.NoError(t, err)
	url := s.create(t)
	files := folder(t, map[string]string{
		"001_a.sql": "CREATE TABLE a (id int); INSERT INTO a VALUES (1);",
		"002_b.sql": "CREATE TABLE b (id int, filler text); INSERT INTO a VALUES (2);\nINSERT INTO b SELECT g, repeat(md5(g::text), 30) FROM " +
			"generate_series(1, 90000) g;",
		"003_c.sql": "CREATE TABLE c (id int); INSERT INTO a VALUES (3);",
	})
	apply := func() error {
		database, err := Connect(context.Background(), url)
		if err != nil {
			return err
		}
		defer database.Close()
		_, err = database.Apply(context.Background(), files, options)
		return err
	}
	err = apply()
	require.Error(t, err)
	t.Logf("full: %v", err)
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=600m"))
	if s.Start() != nil { // where the log was full, the server has ended itself
		s.answers(t)
	}
	require.Eventually(t, func() bool { err = apply(); return err == nil }, time.Minute, 100*time.Millisecond, "%v", err)
	database := open(t, url)
	assert.Equal(t, "1 2 3", one(t, database, "SELECT string_agg(id::text, ' ' ORDER BY id) FROM a"))
	assert.Equal(t, "90000", one(t, database, "SELECT count(*) FROM b"))
	assert.Equal(t, "3", one(t, database, "SELECT count(*) FROM schema_migrations"))
	database.Close()
}

// TestALongReaderIsShownAndOutlived: who holds the table is in the plan, with
// what that means; the file is tried until the reader is gone.
func TestALongReaderIsShownAndOutlived(t *testing.T) {
	url := create(t)
	database, reader := open(t, url), open(t, url)
	execute(t, database, "CREATE TABLE users (id int); INSERT INTO users SELECT generate_series(1, 1000); ANALYZE users")
	execute(t, reader, "BEGIN; SELECT * FROM users")
	files := folder(t, map[string]string{"1_c.sql": "ALTER TABLE users ADD COLUMN c int;"})
	plan, err := database.Plan(t.Context(), files, Allow{})
	require.NoError(t, err)
	text := strings.Join(plan.Lines(), "\n")
	assert.Contains(t, text, "idle in transaction")
	assert.Contains(t, text, "everybody who reads the table queues behind it")
	assert.Contains(t, text, "about 1 k rows")

	patient := options
	patient.LockTimeout, patient.LockAttempts = 50*time.Millisecond, 1000
	ended := make(chan error, 1)
	go func() { _, err := database.Apply(context.Background(), files, patient); ended <- err }()
	other := open(t, url)
	require.Eventually(t, func() bool { return one(t, other, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted") == "true" },
		20*time.Second, time.Millisecond)
	// Whoever reads meanwhile waits no longer than the lock_timeout, and is served.
	assert.Equal(t, "1000", one(t, other, "SELECT count(*) FROM users"))
	execute(t, reader, "COMMIT")
	require.NoError(t, <-ended)
}
