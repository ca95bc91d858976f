//go:build lab

package faults

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
)

// Every container's processes are seen from here: the lab is their parent's namespace.
func commandLines() string {
	var all strings.Builder
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if body, err := os.ReadFile(file); err == nil { // else it has just ended
			all.Write(bytes.ReplaceAll(body, []byte{0}, []byte{' '}))
			all.WriteByte('\n')
		}
	}
	return all.String()
}

// watch looks for the secrets again and again until it is stopped, and gives where it saw one.
func watch(ctx context.Context, secrets []string) (stop func() (seen []string, looks int)) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	var seen []string
	looks := 0
	group.Go(func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			text := commandLines()
			looks++
			for _, secret := range secrets {
				if at := strings.Index(text, secret); at >= 0 {
					line, _, _ := strings.Cut(text[strings.LastIndex(text[:at], "\n")+1:], "\n")
					seen = append(seen, line)
				}
			}
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
	})
	return func() ([]string, int) {
		cancel()
		group.Wait()
		return seen, looks
	}
}

func TestNoSecretIsShownAnywhere(t *testing.T) {
	secrets := prepared.Secrets()
	stop := watch(t.Context(), secrets)
	var consoles strings.Builder
	var objects strings.Builder
	for _, p := range []site.Pipeline{
		{Jenkinsfile: "Jenkinsfile"},
		{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"migrate=yes", "promote=no"}, Settings: quick()},
	} {
		run := meanwhile(t, p, `^slipway phase (judge|deploy) `, func(site.Signal, int) {
			objects.WriteString(kubectl(t, "get", "pods,deployments,replicasets,jobs,configmaps,leases", "-A", "-o", "yaml"))
		})
		valid(t, run)
		consoles.WriteString(run.Console)
	}
	seen, looks := stop()
	assert.Empty(t, seen, "on the command line of a process")
	assert.Greater(t, looks, 50)
	objects.WriteString(kubectl(t, "get", "events", "-A", "-o", "yaml"))
	files := 0
	require.NoError(t, filepath.WalkDir(prepared.Home(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for _, secret := range secrets {
			assert.False(t, bytes.Contains(body, []byte(secret)), "%s holds a secret", path)
		}
		return nil
	}))
	assert.Greater(t, files, 2)
	for _, secret := range secrets {
		assert.NotContains(t, consoles.String(), secret, "on the console")
		assert.NotContains(t, objects.String(), secret, "in the cluster's objects")
	}
}
