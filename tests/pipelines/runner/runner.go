// Package runner plays builds in processes of tests/runner, each of which plays one
// after the other, as a Jenkins does: only a process' first build loads the engine.
package runner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Processes are those of one program.
type Processes struct {
	Program string
	lock    sync.Mutex
	idle    map[string][]*process // by their environment
}

type process struct {
	command *exec.Cmd
	in      io.WriteCloser
	answers *bufio.Reader
	errors  bytes.Buffer
}

// Build is one that runs, in a process that plays no other meanwhile.
type Build struct {
	lock    sync.Mutex
	process *process // until it is free for another build
	begun   bool     // else it waits for its turn, and no signal is its own
	aborted bool     // before it had begun
	ended   chan struct{}
	err     error
	release func() bool // of the context
}

// Start begins a build with these options of the runner, in a process with this
// environment; its console is written line by line. Nobody can be asked at a
// terminal. A context that ends is the abort button, and a minute later the process' end.
func (p *Processes) Start(ctx context.Context, environment, options []string, console io.Writer) (*Build, error) {
	key := strings.Join(environment, "\x00")
	found, err := p.take(key, environment)
	if err != nil {
		return nil, err
	}
	const told = "console"
	if _, err := fmt.Fprintln(found.in, strings.Join(append(options, "--tell", told), "\t")); err != nil {
		return nil, found.broken(err)
	}
	b := &Build{process: found, ended: make(chan struct{})}
	b.release = context.AfterFunc(ctx, func() {
		b.Signal(syscall.SIGTERM)
		select {
		case <-b.ended:
		case <-time.After(time.Minute):
			b.Signal(syscall.SIGKILL)
		}
	})
	go func() {
		defer close(b.ended)
		var usable bool
		usable, b.err = found.follow(told+" ", console, b.begin)
		b.lock.Lock()
		b.process = nil
		b.lock.Unlock()
		if usable {
			p.giveBack(key, found)
		}
	}()
	return b, nil
}

// Signal sends one to the build's process: SIGTERM is the abort button, SIGKILL the controller's end.
// A build that has ended gets none, and one that waits for its turn is aborted when it begins.
func (b *Build) Signal(what syscall.Signal) {
	b.lock.Lock()
	defer b.lock.Unlock()
	switch {
	case b.process == nil:
	case what == syscall.SIGTERM && !b.begun:
		b.aborted = true
	default:
		_ = b.process.command.Process.Signal(what) // else it has just ended
	}
}

func (b *Build) begin() {
	b.lock.Lock()
	b.begun = true
	aborted := b.aborted
	b.lock.Unlock()
	if aborted {
		b.Signal(syscall.SIGTERM)
	}
}

// Wait waits for the build's end. A process that was killed is no error: what its
// console says is all that there is.
func (b *Build) Wait() error {
	<-b.ended
	b.release()
	return b.err
}

// Stop ends the processes that play nothing.
func (p *Processes) Stop() {
	p.lock.Lock()
	defer p.lock.Unlock()
	for _, processes := range p.idle {
		for _, each := range processes {
			each.in.Close()
			_ = each.command.Wait()
		}
	}
	p.idle = nil
}

func (p *Processes) take(key string, environment []string) (*process, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if idle := p.idle[key]; len(idle) > 0 {
		last := len(idle) - 1
		p.idle[key] = idle[:last]
		return idle[last], nil
	}
	started := &process{command: exec.Command(p.Program, "--controller")} // it ends with its input, so with whoever started it
	started.command.Env = environment
	started.command.Stderr = &started.errors
	var err error
	if started.in, err = started.command.StdinPipe(); err != nil {
		return nil, fmt.Errorf("starting the runner: %w", err)
	}
	out, err := started.command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the runner: %w", err)
	}
	started.answers = bufio.NewReader(out)
	if err := started.command.Start(); err != nil {
		return nil, fmt.Errorf("starting the runner: %w", err)
	}
	return started, nil
}

func (p *Processes) giveBack(key string, idle *process) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.idle == nil {
		p.idle = map[string][]*process{}
	}
	p.idle[key] = append(p.idle[key], idle)
}

// follow passes the console on until the build ends; whether the process can play another one.
func (p *process) follow(console string, out io.Writer, begun func()) (bool, error) {
	for {
		line, err := p.answers.ReadString('\n')
		if err != nil {
			err = p.broken(err)
			if state, ok := p.command.ProcessState.Sys().(syscall.WaitStatus); ok && state.Signal() == syscall.SIGKILL {
				err = nil
			}
			return false, err
		}
		switch {
		case strings.HasPrefix(line, console):
			if _, err := io.WriteString(out, line[len(console):]); err != nil {
				return false, fmt.Errorf("passing the console on: %w", err)
			}
		case strings.HasPrefix(line, "began "):
			begun()
		case strings.HasPrefix(line, "ended "):
			return true, nil
		case strings.HasPrefix(line, "failed "):
			return true, errors.New("running the pipeline: " + strings.TrimSpace(line[len("failed "):]))
		}
	}
}

func (p *process) broken(err error) error {
	_ = p.command.Wait()
	return fmt.Errorf("the runner's process is gone (%s): %w\n%s", p.command.ProcessState, err, p.errors.String())
}
