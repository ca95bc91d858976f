package migrate

// A throw-away server: of binaries of the same major version that are here, or a new
// database on a server that is named.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lib/pq"
	"github.com/sirupsen/logrus"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Stage says where a rehearsal takes place.
type Stage struct {
	On       string // the address of a server; empty: one is started here
	Programs string // the folder of initdb, pg_ctl and postgres; empty: they are looked for
	PgDump   string // the path of pg_dump; empty: it is looked for
}

// throwaway is a database that is gone after the rehearsal.
type throwaway struct {
	admin   *Database // its owner's session
	address func(role string) string
	remove  func(context.Context)
	roles   []string // that were made for it, on a server that stays
}

const rehearsalName = "slipway_rehearsal"

// programFolders are where packages put a major version's programs; %d is the version.
var programFolders = []string{"/usr/lib/postgresql/%d/bin", "/usr/pgsql-%d/bin", "/usr/local/pgsql/bin", "/usr/local/bin",
	"/opt/homebrew/opt/postgresql@%d/bin", "/usr/bin"}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// majorOf is the major version that a program of PostgreSQL says it has; 0 where it is none.
func majorOf(ctx context.Context, path string) int {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	match := versionLine.FindSubmatch(out)
	if err != nil || match == nil {
		return 0
	}
	major, _ := strconv.Atoi(string(match[1]))
	return major
}

// findPrograms gives the folder of a server's programs of a major version.
func findPrograms(ctx context.Context, given string, major int) (string, error) {
	folders := []string{given}
	if given == "" {
		folders = nil
		for _, folder := range programFolders {
			folders = append(folders, strings.ReplaceAll(folder, "%d", strconv.Itoa(major)))
		}
		folders = append(folders, filepath.SplitList(os.Getenv("PATH"))...)
	}
	for _, folder := range folders {
		if majorOf(ctx, filepath.Join(folder, "postgres")) == major {
			return folder, nil
		}
	}
	return "", slipway.Usagef("no server program of PostgreSQL %d is here, and the rehearsal needs one of the database's own version", major).
		Next("install it (Debian: postgresql-%d), name its folder with --programs, or a server with --on-file", major)
}

// findDump gives a pg_dump that can read a server of a major version.
func findDump(ctx context.Context, given, programs string, major int) (string, error) {
	paths := []string{given}
	if given == "" {
		paths, _ = filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump")
		slices.Reverse(paths)
		paths = append(paths, filepath.Join(programs, "pg_dump"))
		for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
			paths = append(paths, filepath.Join(folder, "pg_dump"))
		}
	}
	for _, path := range paths {
		if majorOf(ctx, path) >= major {
			return path, nil
		}
	}
	return "", slipway.Usagef("no pg_dump is here that can read PostgreSQL %d",
		major).Next("install one of that version or a newer one (Debian: postgresql-client-%d), or name it with --pg-dump", major)
}

// locale is what a database's texts are encoded and ordered by.
type locale struct{ encoding, collate, ctype string }

// makeThrowaway starts a server, or makes a database on the one that is named.
func (s Stage) makeThrowaway(ctx context.Context, major int, l locale) (made *throwaway, note string, err error) {
	if s.On != "" {
		return onServer(ctx, s.On, major, l)
	}
	programs, err := findPrograms(ctx, s.Programs, major)
	if err != nil {
		return nil, "", err
	}
	dir, err := os.MkdirTemp("", "rehearsal")
	if err != nil {
		return made, "", slipway.Usagef("there is no room for a temporary server").Because(err).Next("set TMPDIR to a folder that can be " +
			"written to")
	}
	server := localServer{dir: dir, programs: programs}
	if err := server.start(ctx); err != nil {
		server.remove(ctx)
		return nil, "", err
	}
	made, note, err = server.database(ctx, l)
	if err != nil {
		server.remove(ctx)
	}
	return made, note, err
}

// localServer is reached through a socket in its own folder only, which no other account can enter.
type localServer struct {
	dir, programs string
	credential    *syscall.Credential
	watcher       *exec.Cmd
	alive         *os.File
}

// watch ends the server and removes its folder when this process is gone, however it
// ended: the pipe that the watcher reads is closed then.
func (s *localServer) watch() error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	s.alive = write
	s.watcher = exec.Command("sh", "-c", `cat; "$1/pg_ctl" -D "$2/data" -m immediate -w stop; rm -rf "$2"`, "sh", s.programs, s.dir)
	s.watcher.Stdin, s.watcher.SysProcAttr = read, &syscall.SysProcAttr{Credential: s.credential, Setpgid: true}
	return s.watcher.Start()
}

func (s *localServer) command(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(s.programs, name), arguments...)
	command.Dir, command.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.credential}
	command.Env = append(withoutDatabase(os.Environ()), "LC_ALL=C")
	return command
}

func (s *localServer) start(ctx context.Context) error {
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		account, err := user.Lookup("postgres")
		if err != nil {
			return slipway.Usagef("PostgreSQL does not run as root, and there is no account postgres here").Next("run the rehearsal as another " +
				"user, or name a server with --on-file")
		}
		uid, _ := strconv.Atoi(account.Uid)
		gid, _ := strconv.Atoi(account.Gid)
		s.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return err
		}
	}
	if err := s.watch(); err != nil {
		return fmt.Errorf("the watcher of the rehearsal's server: %w", err)
	}
	data, log := filepath.Join(s.dir, "data"), filepath.Join(s.dir, "log")
	out, err := s.command(ctx, "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C").CombinedOutput()
	if err != nil {
		return slipway.Errorf(slipway.Unknown, "the rehearsal's server cannot be made: initdb failed").
			Because(errors.New(strings.TrimSpace(string(out)))).Next("look at the programs in %s", s.programs)
	}
	flags := fmt.Sprintf("-c listen_addresses= -c unix_socket_directories=%s -c dynamic_shared_memory_type=mmap -c logging_collector=off",
		s.dir)
	flags += " -c fsync=off -c full_page_writes=off -c autovacuum=off -c max_prepared_transactions=10 -c wal_level=logical"
	// The server keeps what pg_ctl inherits open: no pipe may be among it.
	if err := s.command(ctx, "pg_ctl", "-D", data, "-l", log, "-w", "-t", "60", "-o", flags, "start").Run(); err != nil {
		text, _ := os.ReadFile(log)
		return slipway.Errorf(slipway.Unknown, "the rehearsal's server did not start").Because(errors.New(strings.TrimSpace(string(text)))).
			Next("look at the programs in %s", s.programs)
	}
	return nil
}

func (s *localServer) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = s.command(ctx, "pg_ctl", "-D", filepath.Join(s.dir, "data"), "-m", "immediate", "-w", "stop").Run()
	if err := os.RemoveAll(s.dir); err != nil {
		logrus.Warnf("the rehearsal's folder %s is left: %v", s.dir, err)
	}
	if s.watcher != nil {
		_ = s.watcher.Process.Kill()
		_ = s.watcher.Wait()
		_ = s.alive.Close()
	}
}

func (s *localServer) address(database, role string) string {
	return fmt.Sprintf("host=%s port=5432 user=postgres dbname=%s sslmode=disable%s", s.dir, database, asRole(role))
}

// asRole makes a session that of a role, also behind RESET ROLE.
func asRole(role string) string {
	if role == "" {
		return ""
	}
	return fmt.Sprintf(" role='%s'", strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(role))
}

func (s *localServer) database(ctx context.Context, l locale) (made *throwaway, note string, err error) {
	first, err := connectAlone(ctx, s.address("postgres", ""))
	if err != nil {
		return nil, "", err
	}
	defer first.Close()
	if note, err = first.createRehearsal(ctx, rehearsalName, l); err != nil {
		return nil, "", err
	}
	made = &throwaway{address: func(role string) string { return s.address(rehearsalName, role) }, remove: s.remove}
	made.admin, err = connectAlone(ctx, made.address(""))
	return made, note, err
}

// createRehearsal makes a database with the same encoding and order of texts, or says that they are not here.
func (d *Database) createRehearsal(ctx context.Context, name string, l locale) (note string, err error) {
	create := fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0 ENCODING %s", pq.QuoteIdentifier(name), pq.QuoteLiteral(l.encoding))
	err = d.exec(ctx, "%s LC_COLLATE %s LC_CTYPE %s", create, pq.QuoteLiteral(l.collate), pq.QuoteLiteral(l.ctype))
	if err != nil {
		note = fmt.Sprintf("the order of texts (%s): the rehearsal's server does not know it, and used its own", l.collate)
		err = d.exec(ctx, "%s", create)
	}
	var answer *pq.Error
	if errors.As(err, &answer) && answer.Code == "42501" {
		return "", slipway.Usagef("%s may not create a database on the server of the rehearsal",
			d.user).Because(err).Next("ALTER ROLE ... CREATEDB")
	}
	return note, d.explain(err)
}

// onServer makes a database of its own on a server that is named.
func onServer(ctx context.Context, address string, major int, l locale) (made *throwaway, note string, err error) {
	first, err := connectAlone(ctx, address)
	if err != nil {
		return nil, "", err
	}
	server, err := first.Server(ctx)
	if err == nil && server != major {
		err = slipway.Usagef("the server of the rehearsal is PostgreSQL %d, and the database is on %d", server,
			major).Next("name one of the same major version")
	}
	name := fmt.Sprintf("%s_%d", rehearsalName, rand.Uint32())
	if err == nil {
		note, err = first.createRehearsal(ctx, name, l)
	}
	if err != nil {
		first.Close()
		return nil, "", err
	}
	parameters, _ := readAddress(address)
	var kept strings.Builder
	for _, p := range parameters {
		if p.name != "dbname" {
			fmt.Fprintf(&kept, "%s='%s' ", p.name, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(p.value))
		}
	}
	made = &throwaway{address: func(role string) string { return kept.String() + "dbname=" + name + asRole(role) }}
	made.remove = func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := first.exec(ctx, "DROP DATABASE %s WITH (FORCE)", name); err != nil {
			logrus.Warnf("the rehearsal's database %s is left: %v", name, first.explain(err))
		}
		for _, role := range slices.Backward(made.roles) {
			if err := first.exec(ctx, "DROP ROLE %s", pq.QuoteIdentifier(role)); err != nil {
				logrus.Warnf("the role %s of the rehearsal is left: %v", role, first.explain(err))
			}
		}
		first.Close()
	}
	if made.admin, err = connectAlone(ctx, made.address("")); err != nil {
		made.remove(ctx)
	}
	return made, note, err
}

// withoutDatabase leaves out the variables that name a database.
func withoutDatabase(environment []string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(variable string) bool {
		return strings.HasPrefix(variable, "PG") || strings.HasPrefix(variable, "DATABASE_URL=")
	})
}

// connectAlone connects by an address alone: the environment names the other database,
// and none of it may lead there.
func connectAlone(ctx context.Context, address string) (*Database, error) {
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") {
			os.Unsetenv(name)
			defer os.Setenv(name, value)
		}
	}
	return Connect(ctx, address)
}
