package migrate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/tests/postgres"
)

// instants is how many random instants each fault strikes at: SLIPWAY_INSTANTS,
// or a few.
func instants() int {
	if n, err := strconv.Atoi(os.Getenv("SLIPWAY_INSTANTS")); err == nil {
		return n
	}
	return 4
}

// asRunner is what this test's binary does when it is started as a runner.
func asRunner() int {
	files, err := Load(os.Getenv("SLIPWAY_TEST_RUNNER"))
	if err == nil {
		var database *Database
		if database, err = Connect(context.Background(), os.Getenv("DATABASE_URL")); err == nil {
			defer database.Close()
			_, err = database.Apply(context.Background(), files, options)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return slipway.AsError(err).Code
	}
	return 0
}

func startRunner(dir, url string) (*exec.Cmd, *strings.Builder) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "SLIPWAY_TEST_RUNNER="+dir, "DATABASE_URL="+url, "PGAPPNAME=victim")
	var stderr strings.Builder
	command.Stderr = &stderr
	return command, &stderr
}

// story are files of every kind, none of which may be applied twice: each counts
// itself in tally.
func story(t *testing.T) string {
	files := map[string]string{"001_tally.sql": "CREATE TABLE tally (n int); INSERT INTO tally VALUES (1); CREATE TABLE counter AS SELECT " +
		"0 AS n;"}
	for i := 2; i <= 24; i++ {
		name := fmt.Sprintf("%03d_step.sql", i)
		switch i % 6 {
		case 0:
			files[name] = fmt.Sprintf("CREATE INDEX CONCURRENTLY t%d_id ON t%d (id);\nCREATE INDEX CONCURRENTLY t%d_word ON t%d (word);", i-1,
				i-1, i-1, i-1)
		case 1:
			files[name] = fmt.Sprintf("-- slipway:no-transaction\nINSERT INTO tally VALUES (%d);\nUPDATE counter SET n = n + 1;\nDROP INDEX "+
				"CONCURRENTLY t%d_word;\nUPDATE counter SET n = n + 1;\nREINDEX INDEX CONCURRENTLY t%d_id;\nVACUUM t%d;\nUPDATE counter SET n = n "+
				"+ 1;", i, i-2, i-2, i-2)
		default:
			files[name] = fmt.Sprintf("CREATE TABLE t%d (id int, word text);\nINSERT INTO t%d SELECT g, md5(g::text) FROM generate_series(1, "+
				"300) g;\nALTER TABLE t%d ADD CONSTRAINT t%d_positive CHECK (id > 0);\nINSERT INTO tally VALUES (%d);", i, i, i, i, i)
		}
	}
	return write(t, files)
}

// state is everything that a run leaves: the schema as pg_dump writes it, which
// files were applied, and how often.
func state(t *testing.T, s *server, url string) string {
	t.Helper()
	dump, err := exec.Command(postgres.Programs+"pg_dump", "--schema-only", "--no-owner", "--exclude-table=schema_migrations_progress",
		"-d", url).Output()
	require.NoError(t, err)
	database, err := Connect(context.Background(), url)
	require.NoError(t, err)
	defer database.Close()
	restrict := regexp.MustCompile(`(?m)^\\(un)?restrict .*$`)
	return restrict.ReplaceAllString(string(dump), "") +
		one(t, database, "SELECT string_agg(version || checksum, ' ' ORDER BY version) FROM schema_migrations") +
		one(t, database, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM tally") + " counter " + one(t, database, "SELECT n FROM counter") +
		" invalid " + one(t, database, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") +
		" left " + one(t, database, "SELECT count(*) FROM schema_migrations_progress")
}

// strikes runs the story and strikes at random instants of it; reruns must finish
// it, and leave what an undisturbed run leaves.
func strikes(t *testing.T, s *server, strike func(t *testing.T, victim *exec.Cmd, url string), mend func(t *testing.T)) {
	dir, url := story(t), s.create(t)
	clean := func() {
		database, err := Connect(context.Background(), url)
		require.NoError(t, err)
		defer database.Close()
		execute(t, database, afresh)
	}
	clean()
	start := time.Now()
	command, stderr := startRunner(dir, url)
	require.NoError(t, command.Run(), stderr.String())
	length, want := time.Since(start), state(t, s, url)
	struck, interrupted := 0, 0
	for struck < instants() {
		clean()
		for finished := false; !finished; {
			command, stderr := startRunner(dir, url)
			require.NoError(t, command.Start())
			ended := make(chan error, 1)
			go func() { ended <- command.Wait() }()
			select {
			case <-time.After(rand.N(length)):
				strike(t, command, url)
				struck++
				if <-ended != nil {
					interrupted++
				}
				mend(t)
			case err := <-ended:
				require.NoError(t, err, stderr.String())
				finished = true
			}
			if struck >= instants() && !finished {
				command, stderr := startRunner(dir, url)
				require.NoError(t, command.Run(), stderr.String())
				finished = true
			}
		}
		if got := state(t, s, url); got != want {
			assert.Equal(t, strings.Split(want, "\n"), strings.Split(got, "\n"))
			t.FailNow()
		}
	}
	t.Logf("%d instants, of which %d interrupted a run; 0 lost, 0 twice", struck, interrupted)
}

func TestKilledRunner(t *testing.T) {
	strikes(t, shared, func(_ *testing.T, victim *exec.Cmd, _ string) { _ = victim.Process.Kill() }, func(*testing.T) {})
}

func own(t *testing.T, settings ...string) *server {
	t.Helper()
	s, err := newServer("", settings...)
	require.NoError(t, err)
	t.Cleanup(s.Remove)
	return s
}

// answers waits until the server takes connections again.
func (s *server) answers(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		database, err := Connect(context.Background(), s.URL("postgres"))
		if err == nil {
			database.Close()
		}
		return err == nil
	}, 2*time.Minute, 50*time.Millisecond)
}

func TestKilledBackend(t *testing.T) {
	s := own(t, "fsync=off")
	strikes(t, s, func(t *testing.T, _ *exec.Cmd, url string) {
		database, err := Connect(context.Background(), url)
		if err != nil {
			return // the run before has just taken the server down
		}
		defer database.Close()
		var pid int
		if database.conn.QueryRowContext(t.Context(), "SELECT min(pid) FROM pg_stat_activity WHERE application_name = "+
			"'victim'").Scan(&pid) == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			// Until the server has seen it, it still takes connections, and then ends them.
			require.Eventually(t, func() bool { return syscall.Kill(pid, 0) != nil }, time.Minute, time.Millisecond)
		}
	}, s.answers)
}

func TestKilledServer(t *testing.T) {
	s := own(t, "fsync=off")
	strikes(t, s, func(t *testing.T, _ *exec.Cmd, _ string) { require.NoError(t, s.Kill()) }, func(t *testing.T) {
		// The dead server's other processes notice by themselves; until then it cannot start again.
		require.Eventually(t, func() bool { return s.Start() == nil }, 2*time.Minute, 20*time.Millisecond)
	})
}

func TestEightRunnersAtOnce(t *testing.T) {
	url, files := create(t), map[string]string{}
	for i := range 200 {
		files[fmt.Sprintf("%03d_t.sql", i+1)] = fmt.Sprintf("CREATE TABLE t%d (id int); INSERT INTO t%d VALUES (1);", i, i)
		if i%20 == 19 {
			files[fmt.Sprintf("%03d_t.sql", i+1)] = fmt.Sprintf("CREATE INDEX CONCURRENTLY t%d_id ON t%d (id);", i-1, i-1)
		}
	}
	dir := write(t, files)
	var group sync.WaitGroup
	codes := make([]int, 8)
	for i := range codes {
		command, stderr := startRunner(dir, url)
		group.Go(func() {
			_ = command.Run()
			codes[i] = command.ProcessState.ExitCode()
			assert.Contains(t, []int{0, 4}, codes[i], stderr.String())
		})
	}
	group.Wait()
	assert.Contains(t, codes, 0)
	database := open(t, url)
	assert.Equal(t, "200", one(t, database, "SELECT count(*) FROM schema_migrations"))
	assert.Equal(t, "0", one(t, database, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"))
	t.Logf("200 files by 8 runners: exit codes %v", codes)
}
