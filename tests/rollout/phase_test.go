//go:build lab

package rollout

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// phase runs one, and gives its answer, which has to state that exit code.
func (s stage) phase(exit int, words ...string) map[string]any {
	s.Helper()
	answer := s.helper("slipway", append([]string{"phase", "--answer", words[0], "-n", s.name, "--stable", "app"}, words[1:]...)...)
	require.Zero(s, answer.Exit, "%+v", answer)
	var document map[string]any
	require.NoError(s, json.Unmarshal([]byte(answer.Stdout), &document), "%+v", answer)
	require.EqualValues(s, exit, document["exit"], "%s\n%s", answer.Stdout, answer.Stderr)
	return document
}

func said(document map[string]any) string {
	body, _ := json.Marshal(document["error"])
	return string(body)
}

const nowhere = "127.0.0.1:9/tool" // no registry: it only explains

// service is one as somebody deployed it by hand, behind a Service of its own.
func service(replicas int, image string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: app}
spec: {selector: {app: app}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: %d
  selector: {matchLabels: {app: app, track: stable}}
  template:
    metadata: {labels: {app: app, track: stable}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: %q, command: %s}]}
`, replicas, image, forever)
}

// approved is what a promotion needs where there is no policy: a name.
const approved = `{"approvals":[{"what":"promotion","by":"ada"}]}`

func TestThePhasesOfAProductionRun(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(service(3, "tool:1"))
	s.done("deployment/app")
	older := s.good()
	newer := "docker.io/library/" + older
	s.apply(service(3, older))
	s.done("deployment/app")
	of := func(run, image string, more ...string) []string {
		return append([]string{"--app", "app", "--run", run, "--image", image}, more...)
	}
	phase := func(exit int, name string, words ...string) map[string]any {
		t.Helper()
		return s.phase(exit, append([]string{name}, words...)...)
	}
	canaryPods := func() string { return s.kubectl("get", "deployment/app-canary", "-o", "jsonpath={.spec.replicas}") }

	now := phase(0, "compare", "--image", newer, "--commit", "0123abc", "--plain-http", "--timeout", "5s", nowhere)
	assert.Equal(t, []any{older, true, false, 3.0}, []any{now["from"], now["changes"], now["first"], now["replicas"]})
	assert.Contains(t, now["commits"], "the commits between are not known")

	begun := phase(0, "canary", of("run-1", newer, "--record", "build=run-1, of ada", "25")...)
	assert.Equal(t, "25.0", begun["achieved"])
	assert.Contains(t, phase(0, "judge", of("run-1", newer, "--hold", "2s", "--expires", "10m")...)["summary"], "stayed up for 2s")
	assert.Contains(t, said(phase(4, "canary", of("run-2", newer, "25")...)), "another run holds the traffic of app: run-1")
	assert.Contains(t, said(phase(4, "judge", of("run-2", newer, "--hold", "2s")...)), "not this run's")
	assert.Contains(t, said(phase(4, "promote", of("run-1", newer, "--approvals", approved, "--from", newer, "25")...)),
		"was changed while the approval waited")
	assert.Contains(t, phase(0, "undo", of("run-1", newer, "stable")...)["stable"], "stable was left alone", "nothing was promoted")
	assert.Equal(t, older, s.imageOf())

	assert.Contains(t, said(phase(1, "promote", of("run-1", newer, "--from", older, "25")...)), "has 0 approvals, and needs 1")
	promoted := phase(0, "promote", of("run-1", newer, "--approvals", approved, "--from", older, "--record", "approved-by=ada, bob", "25")...)
	assert.Equal(t, newer, promoted["to"])
	assert.Equal(t, newer, s.imageOf())
	assert.Equal(t, "ada, bob", s.kubectl("get", "deployment/app", "-o", `jsonpath={.metadata.annotations.slipway\.dev/approved-by}`))
	assert.Contains(t, phase(0, "undo", of("run-2", newer, "canary")...)["canary"], "another run's")
	assert.Equal(t, "1", canaryPods())
	assert.Contains(t, phase(0, "undo", of("run-1", newer, "canary")...)["canary"], "all traffic is on stable again")
	assert.Equal(t, "0", canaryPods())
	assert.Equal(t, false, phase(0, "compare", "--image", newer, "--plain-http", "--timeout", "5s", nowhere)["changes"])

	// A release that fails, half way promoted, goes back to image and replicas of before.
	assert.Contains(t, said(phase(4, "promote",
		of("run-3", bad(3), "--approvals", approved, "--from", newer, "--first", "--replicas", "1", "25")...)), "it has run")
	require.Zero(t, s.deploy(bad(3)).Exit)
	back := phase(0, "undo", of("run-3", bad(3), "stable", "canary")...)
	assert.Contains(t, back["stable"], "with 3 replicas")
	assert.Contains(t, back["canary"], "there is nothing to undo")
	assert.Equal(t, newer, s.imageOf())
	assert.Equal(t, "3", s.kubectl("get", "deployment/app", "-o", "jsonpath={.spec.replicas}"))
	assert.Contains(t, phase(0, "undo", of("run-3", bad(3), "stable")...)["stable"], "stable", "twice is once")
}

// Before it nothing served, and after it, whatever stopped it, nothing serves.
func TestAFirstReleaseThatFailsLeavesNoPod(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(service(0, "tool:1"))
	now := s.phase(0, "compare", "--image", bad(2), "--plain-http", "--timeout", "5s", nowhere)
	assert.Equal(t, []any{true, true, 2.0}, []any{now["first"], now["changes"], now["replicas"]})
	assert.Contains(t, now["says"], "first release")
	failed := s.phase(1, "promote", "--app", "app", "--run", "run-1", "--image", bad(2), "--approvals", approved, "--from", "tool:1",
		"--first", "--replicas", "2", "10")
	assert.Contains(t, said(failed), "IMAGE_NOT_FOUND")
	back := s.phase(0, "undo", "--app", "app", "--run", "run-1", "--image", bad(2), "stable", "canary")
	assert.Contains(t, back["stable"], "no pod runs, as before")
	assert.Equal(t, "tool:1", s.imageOf())
	assert.Equal(t, "0", s.kubectl("get", "deployment/app", "-o", "jsonpath={.spec.replicas}"))
}
