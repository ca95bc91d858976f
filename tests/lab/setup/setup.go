// Package setup makes a machine ready for the lab: Debian's packages, the
// programs that are built from Go modules, and the images.
package setup

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"slipway.dev/slipway/tests/lab/cache"
	"slipway.dev/slipway/tests/lab/images"
	"slipway.dev/slipway/tests/lab/progress"
)

// Needs names what the machine lacks and nothing here can install.
func Needs() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the lab needs Linux, and this is %s: run it on a Linux machine or in a virtual one", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("the lab needs root for its namespaces: sudo -E make %s", "demo")
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("the lab needs a Debian system: apt-get is not here")
	}
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("the lab needs Go 1.26 or later in the PATH")
	}
	return nil
}

// packages by a program or file that only they bring.
var packages = map[string]string{
	"containerd": "containerd", "runc": "runc", "/usr/lib/cni/bridge": "containernetworking-plugins",
	"mmdebstrap": "mmdebstrap", "nft": "nftables", "iptables": "iptables", "conntrack": "conntrack",
	"ip": "iproute2", "git": "git", "shellcheck": "shellcheck", "curl": "curl",
	"/usr/lib/postgresql/15/bin/postgres": "postgresql-15", "pgbouncer": "pgbouncer",
	"buildah": "buildah", "skopeo": "skopeo", "zstd": "zstd", "chromium": "chromium",
	"kmod": "kmod", "setpriv": "util-linux", "gcc": "gcc", "/usr/include/stdio.h": "libc6-dev",
}

// Packages installs Debian's packages that are not here. A service that a
// package would start is kept from starting.
func Packages(ctx context.Context, log io.Writer) error {
	var missing []string
	for program, name := range packages {
		if _, err := exec.LookPath(program); err != nil {
			if _, err := os.Stat(program); err != nil || !filepath.IsAbs(program) {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	fmt.Fprintf(log, "lab: installing %s\n", strings.Join(missing, " "))
	defer progress.Report(log, "lab: installing Debian's packages")()
	const policy = "/usr/sbin/policy-rc.d"
	if _, err := os.Stat(policy); os.IsNotExist(err) {
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
			return err
		}
		defer os.Remove(policy)
	}
	for _, arguments := range [][]string{{"update", "-q"}, append([]string{"install", "-q", "-y", "--no-install-recommends"}, missing...)} {
		command := exec.CommandContext(ctx, "apt-get", arguments...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(arguments, " "), err, lastLines(string(out), 20))
		}
	}
	return nil
}

// scratch makes an empty folder for temporary files, one setup at a time, so
// that what a killed one left is gone with the next.
func scratch(parent string) (forget func(), err error) {
	unlock, err := cache.Lock(filepath.Join(parent, "setup.lock"))
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(parent, "setup")
	if err = os.RemoveAll(dir); err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return func() { os.RemoveAll(dir); unlock() }, nil
}

// Everything installs and builds what is named, or everything that is not on
// request only. The images need what is built, so they come last.
func Everything(ctx context.Context, source string, names []string, log io.Writer) error {
	cacheDir, err := cache.Dir()
	if err != nil {
		return err
	}
	forget, err := scratch(filepath.Join(cacheDir, "tmp"))
	if err != nil {
		return err
	}
	defer forget()
	if err := Packages(ctx, log); err != nil {
		return err
	}
	chosen := names
	if len(chosen) == 0 {
		for _, part := range Parts {
			if !part.onRequest {
				chosen = append(chosen, part.Name)
			}
		}
	}
	parts := make([]Part, 0, len(chosen))
	paths := map[string]string{}
	for _, name := range chosen {
		part, err := PartNamed(name)
		if err != nil {
			return err
		}
		if paths[name], err = part.Path(cacheDir, source); err != nil {
			return err
		}
		parts = append(parts, part)
	}
	// What waits for the network goes on beside what needs the processors.
	base := make(chan error, 1)
	go func() { base <- images.Ground(ctx, cacheDir, log) }()
	group, groupCtx := errgroup.WithContext(ctx)
	var fetching sync.WaitGroup
	fetching.Go(func() {
		for _, part := range parts {
			part.fetch(groupCtx, cacheDir, source)
		}
	})
	defer fetching.Wait()
	group.SetLimit(max(1, runtime.NumCPU()/2))
	for _, part := range parts {
		group.Go(func() error {
			_, err := part.Build(groupCtx, cacheDir, source, log)
			return err
		})
	}
	err = group.Wait()
	if baseErr := <-base; err == nil {
		err = baseErr
	}
	if err != nil || len(names) > 0 {
		return err
	}
	return images.Ensure(ctx, images.Input{Cache: cacheDir, Source: source, Programs: paths}, log)
}
