package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is one program of the lab. It is started again only when asked to.
type process struct {
	name      string
	path      string
	arguments []string
	env       []string
	user      uint32 // 0 is root
	logs      string

	lock    sync.Mutex
	command *exec.Cmd
	ended   chan struct{}
}

func (p *process) start() error {
	p.lock.Lock()
	defer p.lock.Unlock()
	log, err := os.OpenFile(filepath.Join(p.logs, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	p.command = &exec.Cmd{Path: p.path, Args: append([]string{p.path}, p.arguments...), Stdout: log, Stderr: log, Dir: "/"}
	p.command.Env = append(os.Environ(), p.env...)
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.user != 0 {
		p.command.SysProcAttr.Credential = &syscall.Credential{Uid: p.user, Gid: p.user}
	}
	if err := p.command.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	command, ended := p.command, make(chan struct{})
	p.ended = ended
	go func() {
		_ = command.Wait() // how it ended is in its log; that it ended is what the lab asks
		close(ended)
	}()
	return nil
}

func (p *process) signal(signal unix.Signal) error {
	p.lock.Lock()
	defer p.lock.Unlock()
	return unix.Kill(p.command.Process.Pid, signal)
}

// lastWords are the last lines of the program's log.
func (p *process) lastWords() string {
	body, err := os.ReadFile(filepath.Join(p.logs, p.name+".log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(body)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// until asks ready again and again, until it is so, the program has ended, or
// a minute is over.
func (p *process) until(ctx context.Context, ready func(context.Context) error) error {
	deadline, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	for {
		attempt, done := context.WithTimeout(deadline, 5*time.Second)
		err := ready(attempt)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended before it was ready; its last lines:\n%s", p.name, p.lastWords())
		case <-deadline.Done():
			return fmt.Errorf("%s is not ready: %w; its last lines:\n%s", p.name, err, p.lastWords())
		case <-ticker.C:
		}
	}
}

func answers(url string, client *http.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode >= 500 {
			return fmt.Errorf("%s answers %s", url, response.Status)
		}
		return nil
	}
}

func listens(network, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		connection, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return err
		}
		return connection.Close()
	}
}
