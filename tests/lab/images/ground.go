package images

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"slipway.dev/slipway/tests/lab/cache"
	"slipway.dev/slipway/tests/lab/progress"
)

// The base systems: what Debian's packages give, before anything is added.
// Their names hold a version that changes with what is in them.
var systems = map[string]string{
	"python-2":   "usr-is-merged,ca-certificates,python3,python3-distutils,git,procps,busybox-static,curl",
	"postgres-2": "usr-is-merged,ca-certificates,python3,python3-distutils,git,procps,busybox-static,curl,postgresql-15",
}

const suite = "bookworm" // the Debian release that has Python 3.11 and PostgreSQL 15

// Ground makes the base systems with mmdebstrap where the cache does not have them.
func Ground(ctx context.Context, cacheDir string, log io.Writer) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(1) // the network is the limit
	for name, packages := range systems {
		dir := filepath.Join(cacheDir, "images", "systems", name)
		group.Go(func() error {
			return cache.Fill(dir, func(unfinished string) error {
				mirror, err := debianMirror()
				if err != nil {
					return err
				}
				fmt.Fprintf(log, "lab: making the base system %s from Debian's packages (usually 1 min)\n", name)
				defer progress.Report(log, "lab: making the base system "+name)()
				command := exec.CommandContext(ctx, "mmdebstrap", "--variant=minbase", "--include="+packages, suite, unfinished, mirror)
				command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
				// What it mounts and starts goes with it, also where it is killed.
				command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS,
					Pdeathsig: syscall.SIGKILL}
				if out, err := command.CombinedOutput(); err != nil {
					lines := strings.Split(strings.TrimSpace(string(out)), "\n")
					return fmt.Errorf("mmdebstrap: %w: %s", err, strings.Join(lines[max(0, len(lines)-5):], "\n"))
				}
				return nil
			})
		})
	}
	return group.Wait()
}

var mirrorInSources = regexp.MustCompile(`(?m)^(?:deb(?:\s+\[[^\]]*\])?\s+|URIs:\s*)(\S+)`)

// debianMirror is the mirror that this machine's apt is configured with.
func debianMirror() (string, error) {
	var files []string
	for _, pattern := range []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	for _, name := range files {
		body, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for _, match := range mirrorInSources.FindAllStringSubmatch(string(body), -1) {
			if url := match[1]; !strings.Contains(url, "security") && !strings.Contains(url, "apt.postgresql") {
				return url, nil
			}
		}
	}
	return "", fmt.Errorf("no Debian mirror in /etc/apt/sources.list or /etc/apt/sources.list.d")
}
