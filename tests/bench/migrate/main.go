// Command bench-migrate measures migrate-diff beside what a user would pick
// instead: the same files, the same server, the same run.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"slipway.dev/slipway/tests/postgres"
)

var (
	count  = flag.Int("migrations", 1000, "how many migrations, of a table and an index each")
	helper = flag.String("migrate-diff", "bin/migrate-diff", "the program")
	dbmate = flag.String("dbmate", "bin/dbmate/bin/dbmate", "dbmate's program")
	rounds = flag.Int("rounds", 3, "how often each is measured; the shortest time counts")
	large  = flag.Int("large", 50, "the size of the large file in MB")
)

func main() {
	flag.Parse()
	if run := peers[flag.Arg(0)]; run != nil {
		if err := run(context.Background(), flag.Arg(1), flag.Arg(2)); err != nil {
			fail(err)
		}
		return
	}
	if err := bench(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench-migrate:", err)
	os.Exit(1)
}

// entry is one way to apply the files.
type entry struct {
	name    string
	dir     string
	command func(dir, url string) *exec.Cmd
	once    bool // it takes long, and nothing is compared with it
}

type figure struct {
	seconds float64
	rss     int64 // KiB
}

var databases int

// measure runs a command on a new database. What it prints is shown only if it fails.
func measure(s *postgres.Server, e entry, port int) (figure, error) {
	databases++
	name := fmt.Sprintf("bench%d", databases)
	if err := s.Create(name); err != nil {
		return figure{}, err
	}
	return timed(e.command(e.dir, postgres.URL(port, name)), e.name)
}

// better measures once more, and keeps the shorter time.
func better(best figure, s *postgres.Server, e entry, port int) (figure, error) {
	found, err := measure(s, e, port)
	if best.seconds > 0 && best.seconds < found.seconds {
		found = best
	}
	return found, err
}

func timed(command *exec.Cmd, name string) (figure, error) {
	start := time.Now()
	out, err := command.CombinedOutput()
	if err != nil {
		return figure{}, fmt.Errorf("%s: %w: %.2000s", name, err, out)
	}
	usage, _ := command.ProcessState.SysUsage().(*syscall.Rusage)
	return figure{time.Since(start).Seconds(), usage.Maxrss}, nil
}

func bench() error {
	work, err := os.MkdirTemp("", "migrate-files")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	entries, err := prepare(work)
	if err != nil {
		return err
	}
	s, err := postgres.New("", "fsync=off")
	if err != nil {
		return err
	}
	defer s.Remove()
	interrupted, forget := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	keep := context.AfterFunc(interrupted, func() {
		s.Remove()
		os.Exit(1)
	})
	defer forget()
	defer keep()
	far, err := delayed(fmt.Sprintf("127.0.0.1:%d", s.Port), 2*time.Millisecond)
	if err != nil {
		return err
	}
	farPort := far.Addr().(*net.TCPAddr).Port
	// The rounds take turns, so that what else the machine does meets all alike.
	near, away := make([]figure, len(entries)), make([]figure, len(entries))
	for round := range *rounds {
		for i, e := range entries {
			if round > 0 && e.once {
				continue
			}
			if near[i], err = better(near[i], s, e, s.Port); err != nil {
				return err
			}
			if away[i], err = better(away[i], s, e, farPort); err != nil {
				return err
			}
		}
	}
	fmt.Printf("| %d migrations, the best of %d | local, s | to psql | RSS, MB | at 2 ms, s | to migrate-diff |\n|---|---:|---:|---:|---:|---:|\n", *count, *rounds)
	for i, e := range entries {
		fmt.Printf("| %s | %.2f | %.2f | %d | %.2f | %.2f |\n", e.name, near[i].seconds, near[i].seconds/near[0].seconds, near[i].rss/1024,
			away[i].seconds, away[i].seconds/away[1].seconds)
	}
	if err := plans(s, entries[1].dir); err != nil {
		return err
	}
	return largeFile(s, work)
}

// plans measures plan where ten more files are pending.
func plans(s *postgres.Server, dir string) error {
	if err := s.Create("plans"); err != nil {
		return err
	}
	url := s.URL("plans")
	for i := *count + 1; i <= *count+10; i++ {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d_t.sql", i)), []byte(pair(i)), 0o644); err != nil {
			return err
		}
	}
	if _, err := timed(diff("baseline", fmt.Sprintf("%04d", *count), "--reason", "bench", "--dir", dir)("", url), "baseline"); err != nil {
		return err
	}
	best := figure{seconds: 1e9}
	for range 5 {
		found, err := timed(diff("plan", "--dir", dir)("", url), "plan")
		if err != nil {
			return err
		}
		if found.seconds < best.seconds {
			best = found
		}
	}
	fmt.Printf("\n`plan` with %d applied and 10 pending: %.0f ms, %d MB (the best of 5)\n", *count, best.seconds*1000, best.rss/1024)
	return nil
}

// large measures one file of many rows, beside psql in one transaction.
func largeFile(s *postgres.Server, work string) error {
	dir := filepath.Join(work, "large")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(dir, "0001_rows.sql"))
	if err != nil {
		return err
	}
	written, _ := fmt.Fprintln(file, "CREATE TABLE rows (n int, filler text);")
	for i := 0; written < *large<<20; {
		line := "INSERT INTO rows VALUES "
		for k := range 20 {
			line += fmt.Sprintf("%s(%d, 'row %d; %s')", strings.Repeat(", ", min(k, 1)), i, i, strings.Repeat("x", 60))
			i++
		}
		n, err := fmt.Fprintln(file, line+";")
		if err != nil {
			return err
		}
		written += n
	}
	if err := file.Close(); err != nil {
		return err
	}
	psql, err := measure(s, entry{name: "psql", dir: file.Name(), command: func(path, url string) *exec.Cmd {
		return exec.Command("psql", "-qX1", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", path)
	}}, s.Port)
	if err != nil {
		return err
	}
	ours, err := measure(s,
		entry{name: "migrate-diff", dir: dir, command: func(dir, url string) *exec.Cmd { return diff("apply", "--dir", dir)("", url) }}, s.Port)
	if err != nil {
		return err
	}
	fmt.Printf("\nA file of %d MB: psql %.1f s, %d MB; migrate-diff %.1f s, %d MB\n", *large, psql.seconds, psql.rss/1024, ours.seconds,
		ours.rss/1024)
	return nil
}

func diff(arguments ...string) func(_, url string) *exec.Cmd {
	return func(_, url string) *exec.Cmd {
		command := exec.Command(*helper, arguments...)
		command.Env = append(os.Environ(), "DATABASE_URL="+url, "GIT_COMMIT=bench")
		return command
	}
}

// pair is a migration: a table and an index.
func pair(i int) string {
	return fmt.Sprintf("CREATE TABLE t%d (id bigint PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL DEFAULT now());\nCREATE INDEX t%d_name ON t%d (name);\n", i, i, i)
}

// prepare writes the files as each tool wants them.
func prepare(work string) ([]entry, error) {
	plain, gooseDir, migrateDir, ternDir, dbmateDir, all := filepath.Join(work, "plain"), filepath.Join(work, "goose"),
		filepath.Join(work, "migrate"), filepath.Join(work, "tern"), filepath.Join(work, "dbmate"), filepath.Join(work, "all.sql")
	for _, dir := range []string{plain, gooseDir, migrateDir, ternDir, dbmateDir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	var session, list strings.Builder
	for i := 1; i <= *count; i++ {
		sql := pair(i)
		session.WriteString(sql)
		for path, body := range map[string]string{
			filepath.Join(plain, fmt.Sprintf("%04d_t.sql", i)):         sql,
			filepath.Join(gooseDir, fmt.Sprintf("%05d_t.sql", i)):      "-- +goose Up\n" + sql,
			filepath.Join(migrateDir, fmt.Sprintf("%04d_t.up.sql", i)): sql,
			filepath.Join(ternDir, fmt.Sprintf("%04d_t.sql", i)):       sql,
			filepath.Join(dbmateDir, fmt.Sprintf("%04d_t.sql", i)):     "-- migrate:up\n" + sql + "\n-- migrate:down\n",
		} {
			if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(&list, "psql -qX -v ON_ERROR_STOP=1 -d \"$1\" -f %s\n", filepath.Join(plain, fmt.Sprintf("%04d_t.sql", i)))
	}
	if err := os.WriteFile(all, []byte(session.String()), 0o644); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	peer := func(name, dir string) entry {
		return entry{name, dir, func(dir, url string) *exec.Cmd { return exec.Command(self, name, dir, url) }, false}
	}
	entries := []entry{
		{"psql, one session", all, func(path, url string) *exec.Cmd {
			return exec.Command("psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", path)
		}, false},
		{"migrate-diff", plain, func(dir, url string) *exec.Cmd { return diff("apply", "--dir", dir)("", url) }, false},
		{"psql, one a file", list.String(), func(script, url string) *exec.Cmd { return exec.Command("bash", "-ec", script, "psql", url) }, true},
		peer("goose", gooseDir), peer("golang-migrate", migrateDir), peer("tern", ternDir),
		{"dbmate", dbmateDir, func(dir, url string) *exec.Cmd {
			return exec.Command(*dbmate, "--url", url, "--no-dump-schema", "--migrations-dir", dir, "up")
		}, false},
	}
	return entries, nil
}
