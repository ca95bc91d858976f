package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"slipway.dev/slipway/tests/lab/cluster"
)

// The program calls itself by these; nobody else does.
const (
	initArgument    = "-init"
	clusterArgument = "-cluster"
)

// Inside does the work of the process inside the namespaces, where argument
// says that this is one.
func Inside(argument string) bool {
	switch argument {
	case initArgument:
		os.Exit(reap())
	case clusterArgument:
		os.Exit(serve(os.Args[2]))
	}
	return false
}

// reap is the first process: it collects the orphans of the whole lab, and
// ends as the one that it started does.
func reap() int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	child, err := os.StartProcess("/proc/self/exe", []string{"lab", clusterArgument, os.Args[2]}, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Env:   os.Environ(),
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: starting inside the namespaces: %v\n", err)
		return 2
	}
	go func() {
		for s := range signals {
			_ = child.Signal(s)
		}
	}()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 2
		}
		if pid == child.Pid {
			if status.Signaled() {
				return 128 + int(status.Signal())
			}
			return status.ExitStatus()
		}
	}
}

// serve starts the cluster, runs the command and gives its exit code.
func serve(encoded string) int {
	var options cluster.Options
	if err := json.Unmarshal([]byte(encoded), &options); err != nil {
		fmt.Fprintf(os.Stderr, "lab: reading the run's options: %v\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	start := time.Now()
	c, err := cluster.Start(ctx, options)
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		return 2
	}
	defer c.Stop()
	fmt.Fprintf(os.Stderr, "lab: the cluster is ready after %.1f s\n", time.Since(start).Seconds())
	command := exec.CommandContext(ctx, options.Command[0], options.Command[1:]...)
	if path, err := lookPath(options.Command[0], c); err == nil {
		command.Path, command.Err = path, nil
	}
	command.Env = append(os.Environ(), c.Environment()...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 20 * time.Second
	err = command.Run()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended) && ended.ExitCode() >= 0:
		return ended.ExitCode()
	case errors.As(err, &ended):
		return 128 + int(ended.Sys().(syscall.WaitStatus).Signal())
	default:
		fmt.Fprintf(os.Stderr, "lab: running %s: %v\n", options.Command[0], err)
		return 127
	}
}

// lookPath finds the command also in the cluster's own folder of programs.
func lookPath(name string, c *cluster.Cluster) (string, error) {
	own := c.Program(name)
	if _, err := os.Stat(own); err == nil {
		return own, nil
	}
	return exec.LookPath(name)
}
