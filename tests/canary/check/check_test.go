//go:build lab

package check

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../../.."

// result is a check in the answer of slipway check -o json, as docs/check.md documents it.
type result struct {
	ID, Group, Title, State, Found, Why, Fix string
	Unknown                                  bool
}

type answer struct {
	Checks []result
	Counts map[string]int
	Code   int
	Stderr string
}

func (a answer) of(id string) result {
	for _, each := range a.Checks {
		if each.ID == id {
			return each
		}
	}
	return result{}
}

// check runs the command as a person would who has set the environment.
func check(t *testing.T, environment []string, arguments ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(root, "bin", "slipway"), append([]string{"check", "-o", "json"}, arguments...)...)
	command.Env = append(append(os.Environ(), given...), environment...)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if _, ended := err.(*exec.ExitError); !ended {
		require.NoError(t, err)
	}
	found := answer{Code: command.ProcessState.ExitCode(), Stderr: stderr.String()}
	require.NoError(t, json.Unmarshal(out, &found), "%s%s", out, stderr.String())
	return found
}

// given is what every run has in its environment.
var given []string

// shell breaks or mends by commands, as a person would; kubectl is the lab's.
func shell(script string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		run(t, "", script)
	}
}

func run(t *testing.T, stdin, script string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "bash", "-c", "set -euo pipefail\n"+script)
	command.Dir, command.Stdin = root, strings.NewReader(stdin)
	command.Env = append(os.Environ(), given...)
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s\n%s", script, out)
	return strings.TrimSpace(string(out))
}

// fault is something that is broken on purpose. mend brings the site back to what it was.
type fault struct {
	id, state   string // what turns red, and how
	breaks      func(*testing.T)
	mend        func(*testing.T)
	environment []string // instead of breaking something: what the run is given
	arguments   []string
	fixed       bool // --fix --yes mends it
}

// TestEachLackIsFoundAlone breaks one thing after the other.
func TestEachLackIsFoundAlone(t *testing.T) {
	prepare(t)
	before := check(t, nil)
	for _, each := range before.Checks {
		if each.State == "missing" || each.State == "warning" {
			t.Errorf("before anything is broken: %s: %s", each.ID, each.Found)
		}
	}
	if t.Failed() {
		return
	}
	require.Zero(t, before.Code, before.Stderr)
	found, begun := map[string]bool{}, map[string]bool{}
	for _, fault := range faults() {
		group := before.of(fault.id).Group
		if testing.Short() && begun[group] { // one of each group
			continue
		}
		begun[group] = true
		t.Run(fault.id, func(t *testing.T) {
			if fault.breaks != nil {
				fault.breaks(t)
			}
			if fault.mend != nil {
				defer fault.mend(t)
			}
			now := check(t, fault.environment, fault.arguments...)
			for _, each := range now.Checks {
				was := before.of(each.ID)
				if each.ID == fault.id {
					assert.Equal(t, fault.state, each.State, "%s: %s", each.ID, each.Found)
					assert.NotEmpty(t, each.Why)
					assert.NotEmpty(t, each.Fix)
				} else if each.State != was.State {
					assert.Contains(t, []string{"skipped", "ok"}, each.State, "also red: %s: %s", each.ID, each.Found)
				}
			}
			assert.NotEqual(t, fault.state == "missing", now.Code == 0, "exit code %d", now.Code)
			found[fault.id] = true
			if fault.fixed {
				fixed := check(t, fault.environment, append(fault.arguments, "--fix", "--yes")...)
				assert.NotEqual(t, now.of(fault.id).Found, fixed.of(fault.id).Found, fixed.Stderr)
			}
		})
	}
	if testing.Short() {
		return
	}
	var unbroken []string
	for _, each := range before.Checks {
		if !found[each.ID] && each.State != "skipped" {
			unbroken = append(unbroken, each.ID)
		}
	}
	assert.Subset(t, elsewhere, unbroken, "checks that are asked here and that nothing here breaks")
}

// elsewhere are the checks that cannot be broken here: these servers have one version and the clock of this machine. The table tests
// of helpers/internal/check break them. Where the guard is, it is the guard that asks for images by digest.
var elsewhere = []string{"cluster-version", "cluster-clock", "registry-clock", "prometheus-clock", "registry-referrers"}
