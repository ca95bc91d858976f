//go:build lab

package rollout

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/rollout/scenes"
)

var (
	crashes = flag.Int("crashes", 24, "how many crash loops without a readiness probe are waited for")
	passing = flag.Int("passing", 8, "how many rollouts whose containers fail once are waited for")
	atOnce  = flag.Int("at-once", 24, "how many of either at the same time")
)

// several does it for each number below count, so many at once.
func several(count int, do func(i int)) {
	free := make(chan struct{}, *atOnce)
	var group sync.WaitGroup
	for i := range count {
		free <- struct{}{}
		group.Go(func() {
			defer func() { <-free }()
			do(i)
		})
	}
	group.Wait()
}

// TestWhatFailsOnceThenStaysIsDone has rollouts of two pods, each of whose containers ends once after 0 to 5 s.
func TestWhatFailsOnceThenStaysIsDone(t *testing.T) {
	s := newStage(t)
	several(*passing, func(i int) {
		name := fmt.Sprintf("app%d", i)
		command := fmt.Sprintf(`[sh, -c, "test -e /data/a && exec sleep 100000; touch /data/a; sleep %.2f; exit %d"]`,
			5*float64(i)/float64(max(1, *passing-1)), i%3)
		manifest := strings.Replace(named(name, simple(2, "tool:1", command, ", volumeMounts: [{name: data, mountPath: /data}]")),
			"spec: {terminationGracePeriodSeconds", "spec: {volumes: [{name: data, emptyDir: {}}], terminationGracePeriodSeconds", 1)
		if _, err := scenes.Kubectl(t.Context(), manifest, "apply", "-n", s.name, "-f", "-"); !assert.NoError(t, err) {
			return
		}
		answer := s.helper("rollout-wait", "-n", s.name, "deployment/"+name, "--timeout", "10m", "--grace-stuck", "10m", "-o", "json")
		assert.Zero(t, answer.Exit, "%s", answer.Stdout)
		counted := s.kubectl("get", "pods", "-l", "app="+name, "-o", "jsonpath={.items[*].status.containerStatuses[0].restartCount}")
		assert.Equal(t, "1 1", counted, name)
		_, err := scenes.Kubectl(t.Context(), "", "delete", "-n", s.name, "deployment/"+name, "--wait=false")
		assert.NoError(t, err)
	})
}

// TestCrashLoopsWithoutProbesAreNeverDone has containers that end after 0 to 6 s, of
// themselves or because a liveness probe kills them. None may be called done or marked as
// good, and each one's last line has to be told, or why it cannot be read.
func TestCrashLoopsWithoutProbesAreNeverDone(t *testing.T) {
	s := newStage(t)
	var lock sync.Mutex
	codes := map[string]int{}
	several(*crashes, func(i int) {
		name, lives := fmt.Sprintf("app%d", i), 6*float64(i)/float64(max(1, *crashes-1))
		command, more := fmt.Sprintf(`[sh, -c, "echo line; sleep %.2f; echo end of %s; exit %d"]`, lives, name, i%3), ""
		if i%8 == 7 {
			command = fmt.Sprintf(`[sh, -c, "echo end of %s; exec sleep 100000"]`, name)
			more = fmt.Sprintf(", livenessProbe: {exec: {command: ['false']}, initialDelaySeconds: %d, periodSeconds: 1, failureThreshold: 1}",
				int(lives))
		}
		manifest := named(name, simple(1, "tool:1", command, more))
		if _, err := scenes.Kubectl(t.Context(), manifest, "apply", "-n", s.name, "-f", "-"); !assert.NoError(t, err) {
			return
		}
		// A node that is busy with 24 of them may take longer than 90 s to start a pod, which is STUCK by default: here it is
		// waited for, since what is asked is the verdict on a container that was started.
		answer := s.helper("rollout-wait", "-n", s.name, "deployment/"+name, "--mark-good", "--timeout", "10m", "--grace-stuck", "10m",
			"-o", "json")
		_, err := scenes.Kubectl(t.Context(), "", "delete", "-n", s.name, "deployment/"+name, "--wait=false")
		assert.NoError(t, err)
		if !assert.Len(t, answer.Result.Workloads, 1, "%+v", answer) {
			return
		}
		found := answer.Result.Workloads[0]
		assert.Equal(t, 1, answer.Exit, "ends after %.2f s: %s", lives, answer.Stdout)
		unread := ""
		if assert.Equal(t, "CRASH_LOOP", found.Code, "ends after %.2f s: %s", lives, answer.Stdout) {
			if unread = found.Failures[0].Report.Unread; unread == "" {
				assert.Equal(t, "end of "+name, lastLine(found), "%s", answer.Stdout)
			} else {
				unread = ", and its log could not be read, as it says: the API server was too busy"
				assert.Empty(t, lastLine(found), "%s", answer.Stdout)
			}
		}
		lock.Lock()
		codes[found.State+" "+found.Code+unread]++
		lock.Unlock()
	})
	t.Logf("of %d: %v", *crashes, codes)
	assert.Empty(t, s.kubectl("get", "deployments", "-o", `jsonpath={.items[*].metadata.annotations.slipway\.dev/good}`))
}

func TestNoPodsAreNeverGood(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(simple(0, "tool:1", forever, ""))
	plain, answer := s.wait("deployment/app")
	assert.Equal(t, "done", plain.State, "%s", answer.Stdout)
	assert.Equal(t, "0 pods: spec.replicas is 0", plain.Cause)
	digest := "tool@sha256:" + strings.Repeat("1", 64)
	for _, expects := range [][]string{{"--hold", "2s"}, {"--mark-good"}, {"--mark-good", "--rollback"}, {"--image", digest},
		{"--min-available", "1"}} {
		verdict, answer := s.wait(append([]string{"deployment/app"}, expects...)...)
		assert.Equal(t, 1, answer.Exit, "%v: %s", expects, answer.Stdout)
		assert.Equal(t, "NO_PODS", verdict.Code, "%v: %s", expects, answer.Stdout)
	}
	assert.NotContains(t, s.kubectl("get", "deployment/app", "-o", "yaml"), "slipway.dev/good")

	s.kubectl("scale", "deployment/app", "--replicas=1")
	verdict, answer := s.waitAnd("has to stay so", func() {
		_, err := scenes.Kubectl(t.Context(), "", "scale", "-n", s.name, "deployment/app", "--replicas=0")
		assert.NoError(t, err)
	}, "deployment/app", "--hold", "60s", "--mark-good")
	assert.Equal(t, "NO_PODS", verdict.Code, "%s", answer.Stdout)
	assert.NotContains(t, s.kubectl("get", "deployment/app", "-o", "yaml"), "slipway.dev/good")
}

func TestAPodThatIsDeletedDuringTheHold(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(simple(2, "tool:1", forever, ""))
	var deleted time.Time
	verdict, answer := s.waitAnd("has to stay so", func() {
		pod, err := scenes.Kubectl(t.Context(), "", "get", "pods", "-n", s.name, "-o", "jsonpath={.items[0].metadata.name}")
		assert.NoError(t, err)
		_, err = scenes.Kubectl(t.Context(), "", "delete", "pod", "-n", s.name, pod)
		assert.NoError(t, err)
		deleted = time.Now()
	}, "deployment/app", "--hold", "20s")
	assert.Equal(t, "done", verdict.State, "%s", answer.Stdout)
	assert.GreaterOrEqual(t, time.Since(deleted), 20*time.Second, "it is held from when the other pod was there")
}

func TestOldPodsThatAreStillTerminating(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	slow := func(command string) string {
		return strings.Replace(simple(1, "tool:1", command, ""), "terminationGracePeriodSeconds: 1,", "terminationGracePeriodSeconds: 60,", 1)
	}
	s.apply(slow(`[sh, -c, "trap '' TERM; while :; do sleep 1; done"]`))
	first := s.done("deployment/app")
	assert.Equal(t, "1 of 1 available", first.Cause)
	s.apply(slow(forever))
	second := s.done("deployment/app")
	assert.Equal(t, "1 of 1 available; 1 pod is still terminating", second.Cause)
	assert.NotEmpty(t, s.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.deletionTimestamp}"))
}

// TestPodsOfOthers has pods of a Job and of another ReplicaSet with all of the labels.
func TestPodsOfOthers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(simple(2, "tool:1", forever, ""))
	first := s.done("deployment/app")
	labels := fmt.Sprintf("{app: app, pod-template-hash: %q}", first.Revision)
	s.apply(fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata: {name: app}
spec:
  backoffLimit: 50
  template:
    metadata: {labels: %[1]s}
    spec: {restartPolicy: OnFailure, containers: [{name: c, image: "tool:1", command: ["false"]}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: app-%[2]s-other}
spec:
  replicas: 1
  selector: {matchLabels: {other: other}}
  template:
    metadata: {labels: {app: app, other: other, pod-template-hash: %[2]q}}
    spec: {containers: [{name: c, image: "tool:none", command: ["false"]}]}
`, labels, first.Revision))
	s.kubectl("wait", "pod", "-l", "app=app,other=other", "--for=jsonpath={.status.phase}=Pending", "--timeout=60s")
	verdict, answer := s.wait("deployment/app", "--hold", "15s")
	require.Equal(t, "done", verdict.State, "%s", answer.Stdout)
	assert.Equal(t, "2 of 2 available", verdict.Cause)
}

func TestAMissingPullSecretIsTheReason(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(strings.Replace(simple(1, "tool:none", forever, ""), "spec: {terminationGracePeriodSeconds",
		"spec: {imagePullSecrets: [{name: nobody}], terminationGracePeriodSeconds", 1))
	verdict, answer := s.wait("deployment/app")
	assert.Equal(t, "IMAGE_NOT_FOUND", verdict.Code, "%s", answer.Stdout)
	assert.Contains(t, verdict.Cause, "the Secret nobody, which its imagePullSecrets name, is not there")
	assert.Contains(t, answer.Result.Error.Why, "FailedToRetrieveImagePullSecret")
	t.Log(answer.Result.Error.Why)
}
