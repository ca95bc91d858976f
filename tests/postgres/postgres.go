// Package postgres runs a PostgreSQL server in a folder of its own, for tests and
// benches.
package postgres

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
	"syscall"
)

// Programs is where Debian keeps what belongs to the server.
const Programs = "/usr/lib/postgresql/15/bin/"

// Server takes every login of this machine.
type Server struct {
	Dir, Data  string
	Port       int
	programs   string
	credential *syscall.Credential
	settings   []string
	watcher    *exec.Cmd
}

// New makes and starts one of Debian's version; dir is a folder that exists, or
// empty for a new one, which is gone again where this fails.
func New(dir string, settings ...string) (*Server, error) {
	return NewVersion(debian, dir, settings...)
}

// NewVersion makes and starts one of a major version.
func NewVersion(major int, dir string, settings ...string) (server *Server, err error) {
	programs, err := Fetch(context.Background(), major)
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, settings: settings, programs: programs}
	if dir == "" {
		if s.Dir, err = os.MkdirTemp("", "postgres"); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil && dir == "" {
			_ = os.RemoveAll(s.Dir)
		}
	}()
	if err := os.Chmod(s.Dir, 0o755); err != nil {
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
	}
	if err := s.Own(s.Dir); err != nil {
		return nil, err
	}
	s.Data = filepath.Join(s.Dir, "data")
	if s.Port, err = FreePort(); err != nil {
		return nil, err
	}
	if out, err := s.Program("initdb", "-D", s.Data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8",
		"--locale=C.UTF-8").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := s.watch(dir == ""); err != nil {
		return nil, err
	}
	return s, s.Start()
}

// watch ends the server, and takes a folder away that is its own, when this process is
// gone, however it ended: the pipe that the watcher reads is closed then, by nothing else.
func (s *Server) watch(own bool) error {
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		return err
	}
	read := os.NewFile(uintptr(pipe[0]), "alive")
	defer read.Close()
	folder := s.Data
	if own {
		folder = s.Dir
	}
	s.watcher = exec.Command("sh", "-c", `cat; "$1" -D "$2" -m immediate -w stop; rm -rf "$3"`, "sh", s.programs+"pg_ctl", s.Data, folder)
	s.watcher.Stdin, s.watcher.SysProcAttr = read, &syscall.SysProcAttr{Credential: s.credential, Setpgid: true}
	return s.watcher.Start()
}

// FreePort is one of the loopback interface that nobody listens on.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// Program is one of the server's own, or a client of Debian's, run as its user.
func (s *Server) Program(name string, arguments ...string) *exec.Cmd {
	path := s.programs + name
	if _, err := os.Stat(path); err != nil {
		path = Programs + name
	}
	command := exec.Command(path, arguments...)
	command.Dir, command.SysProcAttr = "/", &syscall.SysProcAttr{Credential: s.credential}
	return command
}

// Own gives it a file.
func (s *Server) Own(name string) error {
	if s.credential == nil {
		return nil
	}
	return os.Chown(name, int(s.credential.Uid), int(s.credential.Gid))
}

// Start starts it again.
func (s *Server) Start() error {
	// Its shared memory is in its folder, or one that is killed would leave it in /dev/shm.
	flags := fmt.Sprintf("-c dynamic_shared_memory_type=mmap -p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s -c "+
		"max_connections=60 -c logging_collector=off", s.Port, s.Dir)
	for _, setting := range s.settings {
		flags += " -c " + setting
	}
	log := filepath.Join(s.Dir, "log")
	// The server keeps what pg_ctl inherits open: no pipe may be among it.
	if err := s.Program("pg_ctl", "-D", s.Data, "-l", log, "-w", "-t", "120", "-o", flags, "start").Run(); err != nil {
		text, _ := os.ReadFile(log)
		return fmt.Errorf("pg_ctl start: %w: %s", err, text)
	}
	return nil
}

// Stop ends it at once, as a crash does.
func (s *Server) Stop() {
	_ = s.Program("pg_ctl", "-D", s.Data, "-m", "immediate", "-w", "stop").Run()
}

// Remove ends it and takes its folder away.
func (s *Server) Remove() {
	s.Stop()
	_ = os.RemoveAll(s.Dir)
	_ = s.watcher.Process.Kill()
	_ = s.watcher.Wait()
}

// Kill ends it as a power failure does. Its other processes end by themselves.
func (s *Server) Kill() error {
	body, err := os.ReadFile(filepath.Join(s.Data, "postmaster.pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.Fields(string(body))[0])
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// Create makes an empty database.
func (s *Server) Create(name string) error {
	if out, err := s.Program("createdb", "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port), "-U", "postgres", name).CombinedOutput(); err != nil {
		return fmt.Errorf("createdb: %w: %s", err, out)
	}
	return nil
}

// URL is a database's address.
func (s *Server) URL(database string) string { return URL(s.Port, database) }

// URL is a database's address behind a port of the loopback interface.
func URL(port int, database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", port, database)
}

// Folder is where its programs are.
func (s *Server) Folder() string { return s.programs }
