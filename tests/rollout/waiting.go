// Package rollout holds the tests of rollout-wait and deploy-image on a real cluster.
package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Answer is what a helper said.
type Answer struct {
	Exit    int
	Seconds float64
	Stdout  string
	Stderr  string
	Result  Result
}

// Result is rollout-wait's JSON.
type Result struct {
	Workloads []Workload `json:"workloads"`
	Error     struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Why     string `json:"why"`
		Hint    string `json:"hint"`
	} `json:"error"`
}

// Workload is the verdict on one.
type Workload struct {
	Workload string `json:"workload"`
	State    string `json:"state"`
	Code     string `json:"code"`
	Cause    string `json:"cause"`
	Revision string `json:"revision"`
	Rollback string `json:"rollback"`
	Failures []struct {
		Code   string `json:"code"`
		Pod    string `json:"pod"`
		Pods   int    `json:"pods"`
		Report *struct {
			Events   []string `json:"events"`
			Log      []string `json:"log"`
			Previous bool     `json:"previous"`
			Unread   string   `json:"unread"`
			Try      string   `json:"try"`
		} `json:"report"`
	} `json:"failures"`
}

// Root is the repository, somewhere inside of which this runs; how it was built does not tell.
func Root() string {
	for dir, err := os.Getwd(); err == nil && dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "Jenkinsfile.prod")); err == nil {
			return dir
		}
	}
	return ""
}

// Helper runs one of bin/ with the kubeconfig, or the lab's own where it is empty.
func Helper(ctx context.Context, kubeconfig, name string, arguments ...string) Answer {
	return HelperAnd(ctx, kubeconfig, "", nil, name, arguments...)
}

// HelperAnd does something beside it, as soon as its progress says this.
func HelperAnd(ctx context.Context, kubeconfig, says string, do func(), name string, arguments ...string) Answer {
	command := exec.CommandContext(ctx, filepath.Join(Root(), "bin", name), arguments...)
	command.Env = os.Environ()
	if kubeconfig != "" {
		command.Env = append(command.Env, "KUBECONFIG="+kubeconfig)
	}
	var stdout, stderr bytes.Buffer
	said := &listener{heard: &stderr, says: says, do: do}
	command.Stdout, command.Stderr = &stdout, said
	begin := time.Now()
	err := command.Run()
	said.busy.Wait()
	answer := Answer{Seconds: time.Since(begin).Seconds(), Stdout: stdout.String(), Stderr: stderr.String()}
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		answer.Exit = ended.ExitCode()
	case err != nil:
		answer.Exit, answer.Stderr = -1, answer.Stderr+err.Error()
	}
	_ = json.Unmarshal(stdout.Bytes(), &answer.Result) // text and env are no JSON; the tests look at Stdout then
	return answer
}

// listener hears what a program says, and acts once on some words.
type listener struct {
	heard *bytes.Buffer
	says  string
	do    func() // nil when it was done, and where there is nothing to do
	busy  sync.WaitGroup
}

func (l *listener) Write(text []byte) (int, error) {
	n, err := l.heard.Write(text)
	if l.do != nil && strings.Contains(l.heard.String(), l.says) {
		l.busy.Go(l.do)
		l.do = nil
	}
	return n, err
}
