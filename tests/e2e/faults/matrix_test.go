//go:build lab

package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
)

// moment is one at which a production run is stopped: a helper that runs, or an approval that is asked for.
type moment struct{ name, process string }

var moments = []moment{
	{"canary at 20 %", `^canary-weight set `},
	{"canary health", `^rollout-wait .*-canary .*--hold`},
	{"approval", ""},
	{"rollout", `^rollout-wait .*deployment/fastapi-app --image .*--mark-good`},
	{"canary to 0", `^canary-weight abort --own`},
}

// blow is one way to stop it.
type blow struct {
	name    string
	strike  func(t *testing.T, run site.Signal, helper int)
	results []string // of the build; none for one that is gone
	chosen  string   // the moment at which the default run does it
}

var blows = []blow{
	{"abort", func(_ *testing.T, run site.Signal, _ int) { run(syscall.SIGTERM) }, []string{"ABORTED"}, "rollout"},
	{"helper killed", func(t *testing.T, _ site.Signal, helper int) {
		require.NoError(t, syscall.Kill(helper, syscall.SIGKILL))
	}, []string{"FAILURE"}, "canary health"},
	{"agent's pod deleted", func(t *testing.T, _ site.Signal, _ int) {
		kubectl(t, "delete", "pods", "-n", "jenkins", "-l", "jenkins=slave", "--grace-period=0", "--force")
	}, []string{"ABORTED", "FAILURE"}, "canary at 20 %"},
	{"API away for 30 s", func(t *testing.T, _ site.Signal, _ int) { pauseAPI(t, 30*time.Second) }, []string{"SUCCESS", "FAILURE", "ABORTED"}, ""},
	{"controller gone", func(_ *testing.T, run site.Signal, _ int) { run(syscall.SIGKILL) }, nil, ""},
}

// pauseAPI stops the API server's process, and lets it go on.
func pauseAPI(t *testing.T, length time.Duration) {
	t.Helper()
	pid := whenRunning(t, `^\S*kube-apiserver `, nil)
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	time.Sleep(length) // what is tested is just this absence
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
}

// TestWhateverStopsAProductionRunItEndsWell strikes a production run on the real
// cluster; SLIPWAY_MATRIX=all does so at every moment with every blow.
func TestWhateverStopsAProductionRunItEndsWell(t *testing.T) {
	all := os.Getenv("SLIPWAY_MATRIX") == "all"
	before := stableImage(t)
	rows := map[string]string{}
	for _, moment := range moments {
		for _, blow := range blows {
			if moment.process == "" && (blow.name == "helper killed" || blow.name == "agent's pod deleted") {
				continue // nobody waits on an agent
			}
			if !all && blow.chosen != moment.name {
				continue
			}
			t.Run(moment.name+", "+blow.name, func(t *testing.T) {
				run := strike(t, moment, blow)
				how := settled(t, before)
				if blow.results != nil {
					assert.Contains(t, blow.results, run.Result(), run.Console)
					assert.Contains(t, run.Console, "slipway: production run", "the last words are ours")
					valid(t, run)
				}
				rows[moment.name+blow.name] = run.Result() + ", " + how
				t.Logf("%s, %s: %s, %s", moment.name, blow.name, run.Result(), how)
				back(t, before)
			})
		}
	}
	if all {
		keepTable(t, table(rows))
	}
}

// keepTable writes the table to its place in the documentation.
func keepTable(t *testing.T, table string) {
	t.Helper()
	const begin, end = "<!-- real cells: begin -->\n", "<!-- real cells: end -->\n"
	file := filepath.Join(prepared.Root, "docs/stop-matrix.md")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), begin)
	require.True(t, found)
	_, behind, found := strings.Cut(rest, end)
	require.True(t, found)
	require.NoError(t, os.WriteFile(file, []byte(before+begin+table+end+behind), 0o644))
}

// strike plays a run until the moment, strikes, and gives how it ended.
func strike(t *testing.T, moment moment, blow blow) site.Run {
	t.Helper()
	settings := quick("SLIPWAY_HOLD", "4s")
	if blow.results == nil {
		settings["SLIPWAY_CANARY_EXPIRES"] = "20s"
	}
	p := site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"yes"}, Settings: settings}
	if moment.process != "" {
		return meanwhile(t, p, moment.process, func(signal site.Signal, helper int) { blow.strike(t, signal, helper) })
	}
	signal, wait := atTheCanary(t, settings)
	blow.strike(t, signal, 0)
	if blow.name == "API away for 30 s" {
		signal(syscall.SIGTERM) // or the approval would wait for ever
	}
	run, err := wait()
	require.NoError(t, err)
	return run
}

// settled waits until all traffic is on one verified digest and nothing of a canary is
// left, with the reaper's help, and says on which.
func settled(t *testing.T, before string) string {
	t.Helper()
	attempt := 0
	require.Eventually(t, func() bool {
		if attempt++; attempt > 3 {
			job := fmt.Sprintf("reap-%d", time.Now().UnixNano())
			kubectl(t, "create", "job", job, "-n", "prod", "--from=cronjob/canary-reaper")
			_, _ = site.Kubectl(t.Context(), "wait", "-n", "prod", "job/"+job, "--for=condition=Complete", "--timeout=60s")
		}
		return quiet(t) == "" && len(digests(t)) == 1
	}, 4*time.Minute, 3*time.Second, "what is left: %s, on %v", quiet(t), digests(t))
	assert.Equal(t, fmt.Sprint(replicas), kubectl(t, "get", "deployment/"+site.App, "-n", "prod", "-o", "jsonpath={.spec.replicas}"))
	at, err := prepared.Migration(context.WithoutCancel(t.Context()), "prod")
	require.NoError(t, err, "the database is at a file's boundary")
	assert.Equal(t, "003", at)
	how := "reaped"
	if attempt <= 3 {
		how = "undone"
	}
	if stableImage(t) != before {
		return "new version everywhere"
	}
	return how
}

// digests are those that run behind the shared Service.
func digests(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, image := range strings.Fields(kubectl(t, "get", "pods", "-n", "prod", "-l", "app.kubernetes.io/name="+site.App, "-o", "jsonpath={.items[*].spec.containers[0].image}")) {
		found[image] = true
	}
	return found
}

func stableImage(t *testing.T) string {
	t.Helper()
	return kubectl(t, "get", "deployment/"+site.App, "-n", "prod", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
}

// back puts the version before there again, for the next cell.
func back(t *testing.T, image string) {
	t.Helper()
	kubectl(t, "set", "image", "-n", "prod", "deployment/"+site.App, "app="+image)
	kubectl(t, "rollout", "status", "-n", "prod", "deployment/"+site.App, "--timeout=3m")
}

func table(rows map[string]string) string {
	var out strings.Builder
	out.WriteString("| moment |")
	for _, blow := range blows {
		out.WriteString(" " + blow.name + " |")
	}
	out.WriteString("\n|---|" + strings.Repeat("---|", len(blows)) + "\n")
	for _, moment := range moments {
		out.WriteString("| " + moment.name + " |")
		for _, blow := range blows {
			out.WriteString(" " + rows[moment.name+blow.name] + " |")
		}
		out.WriteString("\n")
	}
	return out.String()
}
