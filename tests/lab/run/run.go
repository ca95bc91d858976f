// Package run is one run of the lab, seen from outside: its folder, its
// namespaces, its end, and what an earlier run that was killed has left.
package run

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"slipway.dev/slipway/tests/lab/cache"
	"slipway.dev/slipway/tests/lab/cluster"
	"slipway.dev/slipway/tests/lab/setup"
)

// Extras can be started beside the cluster.
var Extras = []string{"registry", "git", "prometheus", "gateway", "postgres"}

// Options of one run.
type Options struct {
	Source   string // where the lab's sources are
	With     []string
	KeepLogs string // a folder, or empty
	Command  []string
}

const namespaces = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWCGROUP | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

// Run starts a cluster, runs the command on it and takes the cluster away. The
// command's own failure is an *exec.ExitError.
func Run(ctx context.Context, options Options) error {
	for _, extra := range options.With {
		if !slices.Contains(Extras, extra) {
			return fmt.Errorf("--with %s: there is no such thing; there are %s", extra, strings.Join(Extras, ", "))
		}
	}
	cacheDir, err := cache.Dir()
	if err != nil {
		return err
	}
	programs := map[string]string{}
	for _, part := range setup.Parts {
		if programs[part.Name], err = part.Path(cacheDir, options.Source); err != nil {
			return err
		}
	}
	needed := []string{"kubernetes", "etcd", "registry", "coredns", "prometheus"}
	if slices.Contains(options.With, "gateway") {
		needed = append(needed, "traefik")
	}
	for _, name := range needed {
		if _, err := os.Stat(programs[name]); err != nil {
			return fmt.Errorf("%s is not built yet: make setup, and for what is built on request only: lab setup %s", name, name)
		}
	}
	runs := filepath.Join(cacheDir, "runs")
	if err := Sweep(runs); err != nil {
		return err
	}
	name := fmt.Sprintf("slipway-lab-%d", os.Getpid())
	dir := filepath.Join(runs, name)
	unlock, err := cache.Lock(dir + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := cluster.CreateCgroup(name); err != nil {
		return err
	}
	with := map[string]bool{}
	for _, extra := range options.With {
		with[extra] = true
	}
	inside, err := json.Marshal(cluster.Options{Name: name, Dir: dir, Cache: cacheDir, Source: options.Source, Programs: programs, With: with,
		Command: options.Command})
	if err != nil {
		return err
	}
	err = enter(ctx, inside)
	if options.KeepLogs != "" {
		if copyErr := os.CopyFS(options.KeepLogs, os.DirFS(filepath.Join(dir, "logs"))); copyErr != nil {
			fmt.Fprintf(os.Stderr, "lab: the logs could not be kept: %v\n", copyErr)
		}
	}
	if removeErr := remove(runs, name); removeErr != nil && err == nil {
		err = removeErr
	}
	return err
}

// enter runs this program again as the first process of new namespaces, which
// end with it, as it ends with this one, also by kill -9.
func enter(ctx context.Context, options []byte) error {
	runtime.LockOSThread() // the parent-death signal is tied to the thread
	defer runtime.UnlockOSThread()
	init := exec.Command("/proc/self/exe", initArgument, string(options))
	init.Stdin, init.Stdout, init.Stderr = os.Stdin, os.Stdout, os.Stderr
	init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	if err := init.Start(); err != nil {
		return fmt.Errorf("making the lab's namespaces: %w", err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ctx.Done():
			_ = init.Process.Signal(syscall.SIGTERM)
			select {
			case <-time.After(30 * time.Second):
				_ = init.Process.Kill()
			case <-ended:
			}
		case <-ended:
		}
	}()
	return init.Wait()
}

// Sweep removes what runs that were killed have left.
func Sweep(runs string) error {
	locks, err := filepath.Glob(filepath.Join(runs, "*.lock"))
	if err != nil {
		return err
	}
	for _, lock := range locks {
		unlock, held, err := cache.TryLock(lock)
		if err != nil {
			return err
		}
		if !held {
			continue
		}
		err = remove(runs, strings.TrimSuffix(filepath.Base(lock), ".lock"))
		unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// remove takes away a run's folder and its cgroups. Its processes and mounts
// ended with its namespaces, whose last process may still be on its way out.
func remove(runs, name string) error {
	deadline := time.Now().Add(10 * time.Second)
	for ticker := time.NewTicker(50 * time.Millisecond); ; <-ticker.C {
		err := cluster.RemoveCgroup(name)
		if err == nil {
			err = os.RemoveAll(filepath.Join(runs, name))
		}
		if err == nil {
			return os.Remove(filepath.Join(runs, name+".lock"))
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("taking the run away: %w", err)
		}
	}
}
