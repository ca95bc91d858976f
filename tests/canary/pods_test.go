//go:build lab

package canary

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/canary/stage"
)

// Pods' names are cut at 63 characters; whose they are is told by their owners.
func TestAnApplicationWithALongName(t *testing.T) {
	t.Parallel()
	for _, length := range []int{41, 50, 63} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			t.Parallel()
			name, namespace := strings.Repeat("a", length-3)+"-bc", fmt.Sprint("long-", length)
			s := newSiteOf(t, "service", namespace, stage.Idle)
			pod := `{terminationGracePeriodSeconds: 0, containers: [{name: c, image: "registry.k8s.io/pause:3.10"}]}`
			for _, each := range []string{name, name + "-canary"} {
				manifest := fmt.Sprintf(
					`{apiVersion: apps/v1, kind: Deployment, metadata: {name: %[1]s}, spec: {replicas: 0, selector: {matchLabels: {v: %[3]q}},
template: {metadata: {labels: {v: %[3]q, long: users}}, spec: %[2]s}}}`,
					each,
					pod,
					fmt.Sprint(strings.HasSuffix(each, "canary")),
				)
				kubectl(t, manifest, "apply", "-n", namespace, "-f", "-")
			}
			kubectl(
				t,
				`{apiVersion: v1, kind: Service, metadata: {name: long}, spec: {selector: {long: users}, ports: [{port: 80}]}}`,
				"apply",
				"-n",
				namespace,
				"-f",
				"-",
			)
			// Of neither, though it has all the labels: a pod that somebody started by hand.
			kubectl(
				t,
				fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: by-hand, labels: {v: "true", long: users}}, spec: %s}`, pod),
				"apply",
				"-n",
				namespace,
				"-f",
				"-",
			)
			kubectl(t, "", "scale", "-n", namespace, "deployment/"+name, "--replicas=2")
			kubectl(t, "", "rollout", "status", "-n", namespace, "deployment/"+name, "--timeout=3m")
			kubectl(t, "", "wait", "-n", namespace, "pod/by-hand", "--for=condition=Ready", "--timeout=3m")
			arguments := func(command string, more ...string) []string {
				return append([]string{command, "-n", s.namespace, "--app", name, "--router", "service"}, more...)
			}
			done := newAPI(t).run(t, arguments("set", "33", "--max-extra", "1", "--tolerance", "9")...)
			require.Equal(t, 0, done.code, done)
			assert.Contains(t, done.out, "ready: 2 stable and 1 canary endpoints and 1 of neither")
			back := newAPI(t).run(t, arguments("abort")...)
			assert.Equal(t, 0, back.code, back)
		})
	}
}

// A canary whose pods cannot start ends set with rollout-wait's own verdict, long before the time-out.
func TestSetSaysWhyPodsDoNotStart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ patch, code, word string }{
		"crash": {`{"containers":[{"name":"c","command":["/program/canary-server"],"env":[{"name":"EXIT","value":"3"}]}]}`, "CRASH_LOOP",
			"ending at once, as I was told to"},
		"config": {`{"containers":[{"name":"c","envFrom":[{"secretRef":{"name":"absent"}}]}]}`, "CONFIG_MISSING", "absent"},
		"image":  {`{"containers":[{"name":"c","image":"registry.k8s.io/none:1"}]}`, "IMAGE_", "none:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSiteOf(t, "service", "why-"+name, stage.Serving(nil, nil))
			kubectl(t, "", "patch", "-n", s.namespace, "deployment/app-canary", "-p", `{"spec":{"template":{"spec":`+test.patch+`}}}`)
			began := time.Now()
			said := newAPI(t).run(t, s.setArguments("run-a")...)
			t.Logf("after %.0f s: %s", time.Since(began).Seconds(), said)
			assert.Equal(t, 1, said.code, said)
			assert.Less(t, time.Since(began), 2*time.Minute)
			assert.Contains(t, said.errors, "deployment/app-canary: "+test.code)
			assert.Contains(t, said.errors+said.out, test.word)
			assert.Contains(t, said.errors, "then undo: canary-weight abort -n "+s.namespace+" --app app")
			require.Equal(t, 0, newAPI(t).run(t, s.arguments("abort")...).code)
		})
	}
}

// No pod is never well.
func TestACanaryWithoutPodsIsNotHealthy(t *testing.T) {
	t.Parallel()
	s, users := judging(t, "no-pods", map[string]string{}, map[string]string{})
	timer := time.AfterFunc(5*time.Second, func() { kubectl(t, "", "scale", "-n", s.namespace, "deployment/app-canary", "--replicas=0") })
	defer timer.Stop()
	said, result := s.analyze(t, "--min-requests", "1")
	assert.Equal(t, 3, said.code, "%s, of %d requests", said, users.All())
	assert.Equal(t, "inconclusive", result.Verdict)
	assert.Contains(t, said.out, "deployment/app-canary is scaled to 0")
	said, result = s.analyze(t, "--min-requests", "1")
	assert.Equal(t, 3, said.code, said)
	assert.Empty(t, result.Looks, "there is nothing to look at")
}

// Before there is a canary's Deployment there is nothing to undo, and set says how to make one.
func TestThereIsNoCanaryYet(t *testing.T) {
	t.Parallel()
	s := newSite(t, "service", "no-canary")
	kubectl(t, "", "delete", "-n", s.namespace, "deployment/app-canary")
	for _, command := range []string{"get", "abort"} {
		said := newAPI(t).run(t, s.arguments(command)...)
		assert.Equal(t, 0, said.code, said)
	}
	said := newAPI(t).run(t, s.setArguments("run-a")...)
	assert.Equal(t, 1, said.code, said)
	assert.Contains(t, said.errors, "deploy-image -n no-canary deployment/app-canary --like app")
	assert.Nil(t, s.lease(t))
}
