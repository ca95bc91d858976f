package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// measured is one run of one tool.
type measured struct {
	time   time.Duration
	memory int64 // kB
}

// tool runs for the n-th time, through the front that counts or past it.
type tool struct {
	name string
	run  func(n int, count bool) (measured, error)
}

type tools struct{ bin, home, host, counted string }

func (t *tools) address(count bool) string {
	if count {
		return t.counted
	}
	return t.host
}

func (t *tools) listing(repository string) []tool {
	return []tool{
		{"nexus-latest-tag", func(_ int, count bool) (measured, error) {
			return t.run("nexus-latest-tag", "--plain-http", "--allow-unverified", t.address(count)+"/"+repository)
		}},
		{"crane ls", func(_ int, count bool) (measured, error) {
			return t.run("crane", "ls", "--insecure", t.address(count)+"/"+repository)
		}},
		{"regctl tag ls", func(_ int, count bool) (measured, error) {
			return t.run("regctl", "--host", "reg="+t.address(count)+",tls=disabled", "tag", "ls", t.address(count)+"/"+repository)
		}},
		{"skopeo list-tags", func(_ int, count bool) (measured, error) {
			return t.run("skopeo", "list-tags", "--tls-verify=false", "docker://"+t.address(count)+"/"+repository)
		}},
	}
}

func (t *tools) pushing(tar, state string) []tool {
	// Cold is a repository of its own for each run; otherwise it is a tag of its own
	// in the one that has all layers.
	reference := func(tool string, n int, count bool) string {
		if state == "cold" {
			return fmt.Sprintf("%s/push/%s-%d-%t:latest-1", t.address(count), tool, n, count)
		}
		return fmt.Sprintf("%s/push/%s-0-false:latest-%d-%t", t.address(count), tool, n, count)
	}
	return []tool{
		{"nexus-push", func(n int, count bool) (measured, error) {
			return t.run("nexus-push", "--plain-http", "--tar", tar, reference("slipway", n, count))
		}},
		{"crane push", func(n int, count bool) (measured, error) {
			return t.run("crane", "push", "--insecure", tar, reference("crane", n, count))
		}},
		{"skopeo copy", func(n int, count bool) (measured, error) {
			return t.run("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "docker-archive:"+tar, "docker://"+reference("skopeo", n, count))
		}},
	}
}

func (t *tools) run(program string, arguments ...string) (measured, error) {
	path := filepath.Join(t.bin, program)
	if program == "skopeo" {
		path = program
	}
	command := exec.Command(path, arguments...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.home}
	var stderr bytes.Buffer
	command.Stderr = &stderr
	begin := time.Now()
	if err := command.Start(); err != nil {
		return measured{}, err
	}
	memory := watchMemory(command.Process.Pid)
	err := command.Wait()
	took := time.Since(begin)
	most := memory()
	if err != nil {
		return measured{}, fmt.Errorf("%s %v: %w\n%s", program, arguments, err, stderr.String())
	}
	return measured{took, most}, nil
}

// watchMemory reads the most memory that a process held, in kB, until it ends.
// (What the system tells of a child holds what its parent had when it began.)
func watchMemory(pid int) func() int64 {
	var most int64
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
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
