//go:build lab

package faults

import (
	"context"
	"fmt"
	"net/http"
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

// Enough for a canary of 20 %, and no more than a busy machine starts soon.
const replicas = 4

// quick are a site's settings for a test: a canary of one pod that is judged at once.
func quick(more ...string) map[string]string {
	settings := map[string]string{"SLIPWAY_HOLD": "1s", "SLIPWAY_CANARY_WEIGHT": "20"}
	for i := 0; i+1 < len(more); i += 2 {
		settings[more[i]] = more[i+1]
	}
	return settings
}

// TestMain prepares one site, with one release in staging, for all tests.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp(os.Getenv("LAB_RUN"), "faults")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		root, err := filepath.Abs("../../..")
		if err == nil {
			prepared, err = site.Prepare(context.Background(), root, dir, site.Options{Replicas: replicas, Light: true, Productions: productions()},
				os.Stdout)
		}
		if err == nil {
			defer prepared.Stop()
			err = prepared.Stage(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// play runs a pipeline to its end, and sees that its record is as it must be.
func play(t *testing.T, p site.Pipeline) site.Run {
	t.Helper()
	run, err := prepared.Run(t.Context(), p)
	require.NoError(t, err)
	if !strings.Contains(run.Console, " cannot start:") { // a call that is refused is no run
		valid(t, run)
	}
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
func quiet(t *testing.T) string { t.Helper(); return quietIn(t, "prod") }

func quietIn(t *testing.T, namespace string) string {
	t.Helper()
	state := kubectl(t, "get", "deployment/"+site.App+"-canary", "-n", namespace, "--ignore-not-found", "-o",
		`jsonpath={.spec.replicas} {.metadata.annotations.slipway\.dev/canary}`)
	return strings.TrimPrefix(state, "0") + kubectl(t, "get", "leases", "-n", namespace, "-o", "name")
}

func TestAllMistakesOfACallAreToldBeforeAnAgentStarts(t *testing.T) {
	jenkinsfile(t, "Jenkinsfile.wrong", "@Library('slipway@v1') _\nstagingPipeline(ap: 'x', canaryWeight: 'much', routter: 'service')\n")
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.wrong"})
	assert.Equal(t, "FAILURE", run.Result())
	for _, sentence := range []string{"there is no parameter 'ap', did you mean 'app'?", "did you mean 'router'?",
		"the parameter 'app' is missing", "canaryWeight 'much'"} {
		assert.Contains(t, run.Console, sentence)
	}
	assert.NotContains(t, run.Console, "[Pipeline] node")
}

func TestACredentialThatIsNotThereIsNamed(t *testing.T) {
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Settings: map[string]string{"SLIPWAY_REGISTRY_CREDENTIALS_ID": "nobody"}})
	assert.Equal(t, "FAILURE", run.Result())
	assert.Contains(t, run.Console, "why    Could not find credentials entry with ID 'nobody'")
}

func TestAWrongPasswordIsSaidSo(t *testing.T) {
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod",
		Settings: map[string]string{"SLIPWAY_REGISTRY_CREDENTIALS_ID": "PROD_DB_CRED"}})
	assert.Equal(t, "FAILURE", run.Result())
	assert.Contains(t, run.Console, "refuses the login")
}

func TestAWrongPasswordOfTheDatabaseIsSaidSo(t *testing.T) {
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Environment: []string{"PROD_DB_PASSWORD=wrong"}})
	assert.Equal(t, "FAILURE", run.Result())
	assert.Contains(t, run.Console, "password authentication failed")
	assert.Empty(t, quiet(t))
}

// A kubeconfig of a cluster that is not there.
func nowhere(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(file,
		[]byte(`{"apiVersion":"v1","kind":"Config","current-context":"x","contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}],"clusters":[{"name":"x","cluster":{"server":"https://127.0.0.1:9"}}],"users":[{"name":"x","user":{}}]}`), 0o600))
	return file
}

// It waits as Jenkins does before it gives up, and touches nothing.
func TestAClusterThatIsAwayIsSaidSo(t *testing.T) {
	t.Parallel()
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile", Job: "nowhere", Environment: []string{"KUBECONFIG=" + nowhere(t)},
		Arguments: []string{"--virtual-time"}})
	assert.Equal(t, "ABORTED", run.Result(), "as in Jenkins, where a pod that cannot be made cancels what waits for it")
	assert.Contains(t, run.Console, "Unable to create pod build jenkins-build/")
	assert.Contains(t, run.Console, "Connection refused")
	_, err := site.Command{Env: []string{"KUBECONFIG=" + nowhere(t)}}.Run(t.Context(), filepath.Join(prepared.Root, "bin/rollout-wait"), "-n",
		"prod", "deployment/"+site.App, "--timeout", "10s")
	assert.ErrorContains(t, err, "127.0.0.1:9")
	assert.ErrorContains(t, err, "exit status 3")
}

func TestAnEmptyMigrationsFolderDisagreesWithADatabaseThatHasSome(t *testing.T) {
	jenkinsfile(t, "Jenkinsfile.empty",
		"@Library('slipway@v1') _\nstagingPipeline(app: 'fastapi-app', image: 'fastapi-postgres-app', migrationsDir: 'no-migrations', tag: 'empty-1')\n")
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.empty"})
	assert.Equal(t, "FAILURE", run.Result())
	assert.Contains(t, run.Console, "no-migrations")
	assert.Contains(t, run.Console, "staging was not changed")
}

// It does not stay, so that what its pod said has to be told before it goes.
func TestAVersionThatFailsItsSmokeTestSaysWhyAndDoesNotStay(t *testing.T) {
	before := stableImage(t, "staging")
	jenkinsfile(t, "Jenkinsfile.unwell",
		"@Library('slipway@v1') _\nstagingPipeline(app: 'fastapi-app', image: 'fastapi-postgres-app', tag: 'unwell-1', smokePath: '/unwell')\n")
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.unwell"})
	assert.Equal(t, "FAILURE", run.Result(), run.Console)
	assert.Contains(t, run.Console, "/unwell does not answer as it should: it answers 500")
	assert.Regexp(t, `(?m)^  last lines of container app of fastapi-app-\S+:\n(    .*\n)*    .* whoever asks is told that this service is unwell$`, run.Console)
	assert.Equal(t, before, stableImage(t, "staging"), run.Console)
}

// neverGood makes production what it is before a first release: no pod, and no revision that was ever good.
func neverGood(t *testing.T) {
	t.Helper()
	kubectl(t, "annotate", "-n", "prod", "deployment/"+site.App, "slipway.dev/good-", "slipway.dev/last-good-", "slipway.dev/replicas-")
	kubectl(t, "scale", "-n", "prod", "deployment/"+site.App, "--replicas=0")
	require.Eventually(t, func() bool { return len(digests(t, "prod")) == 0 }, 2*time.Minute, time.Second)
}

func full(t *testing.T) {
	t.Helper()
	kubectl(t, "scale", "-n", "prod", "deployment/"+site.App, fmt.Sprintf("--replicas=%d", replicas))
	kubectl(t, "rollout", "status", "-n", "prod", "deployment/"+site.App, "--timeout=3m")
}

// Nobody is served yet: a canary would have nothing to share, and an undoing goes back to no pod.
func TestAFirstReleaseGoesThereWithoutACanary(t *testing.T) {
	before := stableImage(t, "prod")
	defer func() {
		full(t)
		back(t, "prod", before)
	}()
	neverGood(t)
	settings := quick("SLIPWAY_REPLICAS", fmt.Sprint(replicas))
	pods := func() string {
		return kubectl(t, "get", "deployment/"+site.App, "-n", "prod", "-o", "jsonpath={.spec.replicas}")
	}
	stopped := meanwhile(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"yes"}, Settings: settings}, promoting,
		func(signal site.Signal, _ int) {
			untilChanged(t, "prod", before)
			signal(syscall.SIGTERM)
		})
	assert.Equal(t, "ABORTED", stopped.Result(), stopped.Console)
	assert.Contains(t, stopped.Console, "no pod runs, as before")
	assert.Equal(t, "0", pods())
	assert.Empty(t, quiet(t))
	valid(t, stopped)

	released := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"yes"}, Settings: settings})
	require.Equal(t, "SUCCESS", released.Result(), released.Console)
	assert.Contains(t, released.Console, "no canary: this is the first release")
	assert.Contains(t, released.Console,
		fmt.Sprintf("FIRST RELEASE, without a canary: production never ran a good revision; it gets %d pods", replicas), "the approval says so")
	assert.NotContains(t, released.Console, "(canary at")
	assert.Equal(t, fmt.Sprint(replicas), pods())
	assert.NotEqual(t, before, stableImage(t, "prod"))
}

// A service that was there and was scaled to nothing is no first release.
func TestAStableWithoutPodsIsToldAndLeftAlone(t *testing.T) {
	before := stableImage(t, "prod")
	_, err := site.Command{}.Run(t.Context(), filepath.Join(prepared.Root, "bin/rollout-wait"), "-n", "prod", "deployment/"+site.App,
		"--mark-good")
	require.NoError(t, err)
	kubectl(t, "scale", "-n", "prod", "deployment/"+site.App, "--replicas=0")
	defer full(t)
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"yes"}, Settings: quick()})
	assert.Equal(t, "FAILURE", run.Result())
	assert.Contains(t, run.Console, "deployment/"+site.App+" has 0 pods")
	assert.Regexp(t, `(?m)^(ERROR: )?slipway: production run \d+ of `+site.App+` failed$`, run.Console, "there was nothing to roll back")
	assert.Contains(t, run.Console, "production runs no pod, and has the image ")
	assert.Equal(t, before, stableImage(t, "prod"))
	assert.Empty(t, quiet(t))
}

func TestAScannerThatCannotStartIsNotClean(t *testing.T) {
	before := kubectl(t, "get", "deployment/"+site.App, "-n", "staging", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	nowhere := "docker.io=" + os.Getenv("LAB_MIRROR") + ",ghcr.io=127.0.0.1:9" // where Trivy asks for its database
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile", Settings: map[string]string{"SLIPWAY_BASE_IMAGES": nowhere}})
	assert.Equal(t, "FAILURE", run.Result())
	assert.Contains(t, run.Console, "Trivy could not tell")
	assert.Equal(t, before,
		kubectl(t, "get", "deployment/"+site.App, "-n", "staging", "-o", "jsonpath={.spec.template.spec.containers[0].image}"))
}

func TestARegistryThatIsAwayStopsBeforeAnythingChanges(t *testing.T) {
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod",
		Settings: map[string]string{"SLIPWAY_REGISTRY": os.Getenv("LAB_NODE") + ":9", "SLIPWAY_AGENT_IMAGE": prepared.Registry + "/" +
			site.Agent}})
	assert.Equal(t, "FAILURE", run.Result())
	assert.Contains(t, run.Console, "does not answer as a registry should")
	assert.Empty(t, quiet(t))
}

// Nothing has changed when a build's pod is lost: another one begins anew. Where that is lost too, nothing is pushed.
func TestABuildPodThatIsLostIsTriedOnceMore(t *testing.T) {
	before := kubectl(t, "get", "deployment/"+site.App, "-n", "staging", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	lost := func() {
		kubectl(t, "delete", "pods", "-n", "jenkins-build", "-l", "jenkins=slave", "--grace-period=0", "--force")
	}
	const building = `executor .*--no-push`
	signal, wait, err := prepared.Start(t.Context(), site.Pipeline{Jenkinsfile: "Jenkinsfile"})
	require.NoError(t, err)
	over := make(chan struct{})
	var run site.Run
	go func() {
		defer close(over)
		run, err = wait()
	}()
	for range 2 {
		if pid := whenRunning(t, building, "", over); assert.NotZero(t, pid) {
			lost()
			require.Eventually(t, func() bool { return words(fmt.Sprint(pid), "cmdline") == "" }, time.Minute, 20*time.Millisecond)
		}
	}
	<-over
	signal(syscall.SIGTERM)
	require.NoError(t, err)
	assert.NotEqual(t, "SUCCESS", run.Result())
	assert.Equal(t, 2, strings.Count(run.Console, "executor --log-format"), run.Console)
	assert.Contains(t, run.Console, "nothing was pushed")
	assert.Equal(t, before,
		kubectl(t, "get", "deployment/"+site.App, "-n", "staging", "-o", "jsonpath={.spec.template.spec.containers[0].image}"))

	again := meanwhile(t, site.Pipeline{Jenkinsfile: "Jenkinsfile"}, building, func(site.Signal, int) { lost() })
	assert.Equal(t, "SUCCESS", again.Result(), again.Console)
	assert.Equal(t, 2, strings.Count(again.Console, "executor --log-format"))
}

// A kubelet that is short of time pulls without the Secret, and a registry may be
// busy: the plugin gives a pod up at the first back-off, before anything has begun.
func TestAPodWhoseImageIsNotThereAtOnceIsTriedOnceMore(t *testing.T) {
	const mediaType = "application/vnd.docker.distribution.manifest.v2+json"
	manifest := registry(t, http.MethodGet, "/v2/slipway-agent-lab/manifests/v1", mediaType, nil)
	begun := make(chan struct{})
	signal, wait, err := prepared.Start(t.Context(), site.Pipeline{
		Jenkinsfile: "Jenkinsfile", Job: "late",
		Settings: map[string]string{"SLIPWAY_AGENT_IMAGE": prepared.Registry + "/slipway-agent-lab:late"},
		Out:      &until{text: "{ (Validate Application)", found: begun},
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return strings.Contains(kubectl(t, "get", "events", "-n", "jenkins-build", "--field-selector", "reason=Failed", "-o",
			"jsonpath={.items[*].message}"), "slipway-agent-lab:late")
	}, time.Minute, 200*time.Millisecond, "the pod without an image")
	registry(t, http.MethodPut, "/v2/slipway-agent-lab/manifests/late", mediaType, manifest)
	select {
	case <-begun:
	case <-time.After(2 * time.Minute):
	}
	signal(syscall.SIGTERM)
	run, err := wait()
	require.NoError(t, err)
	assert.Contains(t, run.Console, "Unable to pull", "the first pod")
	assert.Contains(t, run.Console, "{ (Validate Application)", "the second pod")
	assert.Equal(t, "ABORTED", run.Result(), run.Console)
}

func TestTheNewestTagIsFoundThroughEachFaultOfNexus(t *testing.T) {
	repository := prepared.Registry + "/" + site.Image
	find := func() (string, error) {
		return site.Command{}.Run(t.Context(), filepath.Join(prepared.Root, "bin", "nexus-latest-tag"), repository, "--ca-file",
			os.Getenv("LAB_CA"))
	}
	want, err := find()
	require.NoError(t, err)
	_, digest, _ := strings.Cut(strings.TrimSpace(want), "@")
	tagOften(t, site.Image, digest, 1200)
	with := func(t *testing.T, fault, value string) (off func()) {
		registry(t, http.MethodPut, "/-/faults/"+fault+"?value="+value, "", nil)
		return func() { registry(t, http.MethodPut, "/-/faults/"+fault, "", nil) }
	}
	for fault, value := range map[string]string{"no-link": "true", "null-tags": "true", "no-head": "true", "busy": "0"} {
		t.Run(fault, func(t *testing.T) {
			defer with(t, fault, value)()
			got, err := find()
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
	for fault, value := range map[string]string{"truncated": "true", "broken-page": "1"} {
		t.Run(fault, func(t *testing.T) {
			defer with(t, fault, value)()
			got, err := find()
			assert.ErrorContains(t, err, "exit status 3", "a list that breaks off is no answer")
			assert.Empty(t, got)
		})
	}
}

// registry sends a request to the site's registry and gives the answer's body.
func registry(t *testing.T, method, path, mediaType string, body []byte) []byte {
	t.Helper()
	answer, err := prepared.AskRegistry(t.Context(), method, path, mediaType, body)
	require.NoError(t, err)
	return answer
}

// tagOften gives an image many more tags that are no releases.
func tagOften(t *testing.T, repository, digest string, count int) {
	t.Helper()
	const mediaType = "application/vnd.docker.distribution.manifest.v2+json"
	manifest := registry(t, http.MethodGet, "/v2/"+repository+"/manifests/"+digest, mediaType, nil)
	for i := range count {
		registry(t, http.MethodPut, fmt.Sprintf("/v2/%s/manifests/feature-%d", repository, i), mediaType, manifest)
	}
}

func TestASecondRunGivesWayAndLeavesTheFirstOnesCanaryAlone(t *testing.T) {
	signal, wait := atTheCanary(t, quick())
	second := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Home: "another-jenkins", Job: "another", Answers: []string{"yes"},
		Settings: quick()})
	assert.Equal(t, "FAILURE", second.Result())
	assert.Contains(t, second.Console, "another run holds the traffic")
	assert.Equal(t, "1", kubectl(t, "get", "deployment/"+site.App+"-canary", "-n", "prod", "-o", "jsonpath={.spec.replicas}"),
		"the first one's canary stands")
	signal(syscall.SIGTERM)
	_, err := wait()
	require.NoError(t, err)
	assert.Empty(t, quiet(t))
}

// atTheCanary starts a production run and comes back when the approval is asked for.
func atTheCanary(t *testing.T, settings map[string]string) (signal site.Signal, wait func() (site.Run, error)) {
	t.Helper()
	signal, wait = asked(t,
		site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"migrate=yes", "promote=wait"}, Settings: settings}, "Deploy Canary")
	require.Equal(t, "1", kubectl(t, "get", "deployment/"+site.App+"-canary", "-n", "prod", "-o", "jsonpath={.spec.replicas}"))
	return signal, wait
}

// asked starts a run and comes back when it asks for an approval, after a line with that text.
func asked(t *testing.T, p site.Pipeline, after string) (signal site.Signal, wait func() (site.Run, error)) {
	t.Helper()
	found := make(chan struct{})
	p.Out = &until{text: "Input requested", after: after, found: found}
	signal, wait, err := prepared.Start(t.Context(), p)
	require.NoError(t, err)
	select {
	case <-found:
	case <-time.After(3 * time.Minute):
		t.Fatal("the run did not come to the approval")
	}
	return signal, wait
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
	signal, wait := atTheCanary(t, quick())
	signal(syscall.SIGTERM)
	run, err := wait()
	require.NoError(t, err)
	assert.Equal(t, "ABORTED", run.Result(), run.Console)
	assert.Contains(t, run.Console, "was rolled back")
	assert.Empty(t, quiet(t))
}

func TestARunThatIsKilledAtTheCanaryIsCleanedUpByTheReaper(t *testing.T) {
	signal, wait := atTheCanary(t, quick("SLIPWAY_CANARY_EXPIRES", "15s"))
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
	assert.Equal(t, fmt.Sprint(replicas), kubectl(t, "get", "deployment/"+site.App, "-n", "prod", "-o", "jsonpath={.status.readyReplicas}"))
}
