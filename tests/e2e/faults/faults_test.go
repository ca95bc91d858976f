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

var prepared *site.Site

// TestMain prepares one site, with one release in staging, for all tests.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "slipway-faults")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		root, err := filepath.Abs("../../..")
		if err == nil {
			prepared, err = site.Prepare(context.Background(), root, dir, os.Stdout)
		}
		if err == nil {
			err = stage()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func stage() error {
	ctx := context.Background()
	if _, err := prepared.Service.Commit(ctx, "A release"); err != nil {
		return err
	}
	if err := prepared.Service.Push(ctx, "Staging"); err != nil {
		return err
	}
	run, err := prepared.Run(ctx, site.Pipeline{Jenkinsfile: "Jenkinsfile"})
	if err == nil && run.Code != 0 {
		err = fmt.Errorf("the staging run before the tests failed:\n%s", run.Console)
	}
	return err
}

func play(t *testing.T, p site.Pipeline) site.Run {
	t.Helper()
	run, err := prepared.Run(t.Context(), p)
	require.NoError(t, err)
	return run
}

func kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := site.Kubectl(t.Context(), arguments...)
	require.NoError(t, err)
	return strings.TrimSpace(out)
}

// jenkinsfile commits a file beside the service's own.
func jenkinsfile(t *testing.T, name, body string) {
	t.Helper()
	require.NoError(t, prepared.Service.Write(name, body))
	_, err := prepared.Service.Commit(t.Context(), name)
	require.NoError(t, err)
	require.NoError(t, prepared.Service.Push(t.Context(), "Staging"))
}

// quiet is empty when nothing of a canary is left.
func quiet(t *testing.T) string {
	t.Helper()
	state := kubectl(t, "get", "deployment/"+site.App+"-canary", "-n", "prod", "-o", `jsonpath={.spec.replicas} {.metadata.annotations.slipway\.dev/canary}`)
	return strings.TrimPrefix(state, "0") + kubectl(t, "get", "leases", "-n", "prod", "-o", "name")
}

func TestAllMistakesOfACallAreToldBeforeAnAgentStarts(t *testing.T) {
	jenkinsfile(t, "Jenkinsfile.wrong", "@Library('slipway@v1') _\nstagingPipeline(ap: 'x', canaryWeight: 'much', routter: 'service')\n")
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.wrong"})
	assert.Equal(t, "FAILURE", run.Result())
	for _, sentence := range []string{"there is no parameter 'ap', did you mean 'app'?", "did you mean 'router'?", "the parameter 'app' is missing", "canaryWeight 'much'"} {
		assert.Contains(t, run.Console, sentence)
	}
	assert.NotContains(t, run.Console, "[Pipeline] node")
}

func TestACredentialThatIsNotThereIsNamed(t *testing.T) {
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Settings: map[string]string{"SLIPWAY_REGISTRY_CREDENTIALS_ID": "nobody"}})
	assert.Equal(t, "FAILURE", run.Result())
	assert.Contains(t, run.Console, "ERROR: Could not find credentials entry with ID 'nobody'")
}

func TestAWrongPasswordIsSaidSo(t *testing.T) {
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Settings: map[string]string{"SLIPWAY_REGISTRY_CREDENTIALS_ID": "PROD_DB_CRED"}})
	assert.Equal(t, "FAILURE", run.Result())
	assert.Contains(t, run.Console, "refuses the login")
}

func TestAScannerThatCannotStartIsNotClean(t *testing.T) {
	before := kubectl(t, "get", "deployment/"+site.App, "-n", "staging", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile", Settings: map[string]string{"SLIPWAY_SEVERITY": "TERRIBLE"}})
	assert.Equal(t, "FAILURE", run.Result())
	assert.Contains(t, run.Console, "Trivy could not tell")
	assert.Equal(t, before, kubectl(t, "get", "deployment/"+site.App, "-n", "staging", "-o", "jsonpath={.spec.template.spec.containers[0].image}"))
}

func TestARegistryThatIsAwayStopsBeforeAnythingChanges(t *testing.T) {
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Settings: map[string]string{"SLIPWAY_REGISTRY": os.Getenv("LAB_NODE") + ":9", "SLIPWAY_AGENT_IMAGE": prepared.Registry + "/" + site.Agent}})
	assert.Equal(t, "FAILURE", run.Result())
	assert.Contains(t, run.Console, "does not answer as a registry should")
	assert.Empty(t, quiet(t))
}

func TestNoSecretIsShownAnywhere(t *testing.T) {
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile"})
	require.Equal(t, "SUCCESS", run.Result(), run.Console)
	everywhere := run.Console + kubectl(t, "get", "pods,events,deployments,jobs", "-A", "-o", "yaml")
	for _, secret := range prepared.Secrets() {
		assert.NotContains(t, everywhere, secret)
	}
}

// atTheCanary starts a production run and comes back when the approval is asked for.
func atTheCanary(t *testing.T, settings map[string]string) (signal func(syscall.Signal), wait func() (site.Run, error)) {
	t.Helper()
	asked := make(chan struct{})
	command, wait, err := prepared.Start(t.Context(), site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"migrate=yes", "promote=wait"}, Settings: settings, Out: &until{text: "Input requested", after: "Deploy Canary", found: asked}})
	require.NoError(t, err)
	select {
	case <-asked:
	case <-time.After(3 * time.Minute):
		t.Fatal("the run did not come to the approval")
	}
	require.Equal(t, "1", kubectl(t, "get", "deployment/"+site.App+"-canary", "-n", "prod", "-o", "jsonpath={.spec.replicas}"))
	return func(s syscall.Signal) { require.NoError(t, command.Process.Signal(s)) }, wait
}

// until closes found at the first line with text after a line with after.
type until struct {
	text, after string
	found       chan struct{}
	armed, done bool
}

func (u *until) Write(line []byte) (int, error) {
	u.armed = u.armed || strings.Contains(string(line), u.after)
	if u.armed && !u.done && strings.Contains(string(line), u.text) {
		u.done = true
		close(u.found)
	}
	return len(line), nil
}

func TestAnAbortAtTheCanaryTakesItBack(t *testing.T) {
	signal, wait := atTheCanary(t, map[string]string{"SLIPWAY_HOLD": "1s"})
	signal(syscall.SIGTERM)
	run, err := wait()
	require.NoError(t, err)
	assert.Equal(t, "ABORTED", run.Result(), run.Console)
	assert.Contains(t, run.Console, "was rolled back")
	assert.Empty(t, quiet(t))
}

func TestARunThatIsKilledAtTheCanaryIsCleanedUpByTheReaper(t *testing.T) {
	signal, wait := atTheCanary(t, map[string]string{"SLIPWAY_HOLD": "1s", "SLIPWAY_CANARY_EXPIRES": "15s"})
	signal(syscall.SIGKILL)
	_, _ = wait()
	assert.NotEmpty(t, quiet(t), "nobody has cleaned up yet")
	attempt := 0
	assert.Eventually(t, func() bool {
		attempt++
		job := fmt.Sprintf("reap-%d", attempt)
		kubectl(t, "create", "job", job, "-n", "prod", "--from=cronjob/canary-reaper")
		kubectl(t, "wait", "-n", "prod", "job/"+job, "--for=condition=Complete", "--timeout=60s")
		return quiet(t) == ""
	}, 2*time.Minute, 3*time.Second)
	assert.Equal(t, "9", kubectl(t, "get", "deployment/"+site.App, "-n", "prod", "-o", "jsonpath={.status.readyReplicas}"))
}
