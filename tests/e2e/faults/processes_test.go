//go:build lab

package faults

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
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

// whenRunning waits for a new process of the pattern that works on the namespace (any
// without one), or gives zero when the run is over before. A helper may live for a tenth of a second:
// only young processes are looked at, so that this can be often.
func whenRunning(t *testing.T, pattern, namespace string, over <-chan struct{}) int {
	t.Helper()
	wanted := regexp.MustCompile(pattern)
	first := map[string]time.Time{}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		for _, pid := range processes() {
			if first[pid].IsZero() {
				first[pid] = time.Now()
			}
			if time.Since(first[pid]) < time.Second && wanted.MatchString(words(pid, "cmdline")) && worksOn(words(pid, "environ"), namespace) {
				number, _ := strconv.Atoi(pid)
				return number
			}
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

func processes() []string {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(-1)
	return slices.DeleteFunc(names, func(name string) bool { return name[0] < '1' || name[0] > '9' })
}

// words is empty where the process has just ended.
func words(pid, file string) string {
	body, _ := os.ReadFile(filepath.Join("/proc", pid, file))
	return string(bytes.ReplaceAll(body, []byte{0}, []byte{' '}))
}

func worksOn(environment, namespace string) bool {
	return namespace == "" || strings.Contains(environment, "NAMESPACE="+namespace+" ") ||
		strings.Contains(environment, ".postgres."+namespace+".")
}

// promoting is the process that puts the new image on stable and waits for it.
const promoting = `^slipway phase promote `

// untilChanged comes back when stable is asked to run another image than before.
func untilChanged(t *testing.T, namespace, before string) {
	t.Helper()
	require.Eventually(t, func() bool { return stableImage(t, namespace) != before }, time.Minute, 50*time.Millisecond,
		"stable is not changed")
}

// meanwhile plays a run, and does something when a process of the pattern runs.
func meanwhile(t *testing.T, p site.Pipeline, pattern string, do func(signal site.Signal, pid int)) site.Run {
	t.Helper()
	run, came := struck(t, p, pattern, do)
	require.True(t, came, "the moment never came:\n%s", run.Console)
	return run
}

// struck is the same where the moment may be missed.
func struck(t *testing.T, p site.Pipeline, pattern string, do func(signal site.Signal, pid int)) (run site.Run, came bool) {
	t.Helper()
	signal, wait, err := prepared.Start(t.Context(), p)
	require.NoError(t, err)
	over := make(chan struct{})
	go func() {
		defer close(over)
		run, err = wait()
	}()
	pid := whenRunning(t, pattern, p.Namespace, over)
	if pid != 0 {
		do(signal, pid)
	}
	<-over
	require.NoError(t, err)
	return run, pid != 0
}
