//go:build lab

package faults

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
)

// process finds one whose command line matches: every container's are seen from
// here, because the lab is their parent's namespace. Zero is none.
func process(pattern *regexp.Regexp) int {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		if pattern.Match(bytes.ReplaceAll(body, []byte{0}, []byte{' '})) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err == nil && pid != os.Getpid() {
				return pid
			}
		}
	}
	return 0
}

// whenRunning waits for such a process, or gives zero when the run is over before.
func whenRunning(t *testing.T, pattern string, over <-chan struct{}) int {
	t.Helper()
	wanted := regexp.MustCompile(pattern)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if pid := process(wanted); pid != 0 {
			return pid
		}
		select {
		case <-ticker.C:
		case <-over:
			return 0
		case <-t.Context().Done():
			return 0
		}
	}
}

// meanwhile plays a run, and does something when a process of the pattern runs.
func meanwhile(t *testing.T, p site.Pipeline, pattern string, do func(signal site.Signal, pid int)) site.Run {
	t.Helper()
	signal, wait, err := prepared.Start(t.Context(), p)
	require.NoError(t, err)
	over := make(chan struct{})
	var run site.Run
	go func() {
		defer close(over)
		run, err = wait()
	}()
	pid := whenRunning(t, pattern, over)
	if pid != 0 {
		do(signal, pid)
	}
	<-over
	require.NoError(t, err)
	require.NotZero(t, pid, "the moment never came:\n%s", run.Console)
	return run
}
