package site

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// Answer is what a program said, and what it cost.
type Answer struct {
	Code           int // -1 where it was stopped
	Stdout, Stderr string
	Took           time.Duration
	Memory         int64 // the most that it held, in kB
}

// Run runs a program to its end, or the context's, with nothing but the given environment.
func Run(ctx context.Context, env []string, program string, arguments ...string) (Answer, error) {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = env
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	begin := time.Now()
	if err := command.Start(); err != nil {
		return Answer{}, err
	}
	memory := watchMemory(command.Process.Pid)
	err := command.Wait()
	took := time.Since(begin)
	most := memory()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
		return Answer{}, err
	}
	return Answer{command.ProcessState.ExitCode(), stdout.String(), stderr.String(), took, most}, nil
}

// watchMemory reads the most memory that a process held, in kB, until it ends. (What
// the system tells of a child holds what its parent had when it began.)
func watchMemory(pid int) func() int64 {
	var most int64
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		often := time.NewTicker(2 * time.Millisecond)
		defer often.Stop()
		for {
			select {
			case <-done:
				return
			case <-often.C:
			}
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
			var now int64
			if _, err := fmt.Sscan(string(after), &now); err == nil {
				most = max(most, now)
			}
		}
	}()
	return func() int64 { close(done); <-stopped; return most }
}
