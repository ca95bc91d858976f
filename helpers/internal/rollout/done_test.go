package rollout

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/helpers/internal/kube"
)

// What a pod may be while its workload's status still counts it as available.
var notRunning = map[string]func(*corev1.Pod){
	"has ended":           ends(0, 3),
	"has ended with 0":    ends(2, 0),
	"waits in a back-off": waitsFor("CrashLoopBackOff", "", 1),
	"is not ready":        runsSince(0, 0),
	"is on its way out":   deleted,
	"has failed":          func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed },
	"has succeeded":       func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded },
	"says nothing yet":    func(p *corev1.Pod) { p.Status = corev1.PodStatus{Phase: corev1.PodPending} },
	"is somebody else's":  func(p *corev1.Pod) { p.OwnerReferences = controlledBy("other") },
	"is nobody's":         func(p *corev1.Pod) { p.OwnerReferences = nil },
	"is a Job's":          func(p *corev1.Pod) { p.OwnerReferences = controlledBy("job") },
	"has a second one dead": func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second"})
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: "second",
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}})
	},
	"has a second one that nobody has told of": func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second"})
	},
	"has a dead sidecar": func(p *corev1.Pod) {
		always := corev1.ContainerRestartPolicyAlways
		p.Spec.InitContainers = []corev1.Container{{Name: "proxy", RestartPolicy: &always}}
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "proxy",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
	},
}

func TestOnlyAPodThatRunsByItsOwnStatusCounts(t *testing.T) {
	hour := time.Hour // everything has proven itself
	for name, change := range notRunning {
		w := rollingOut().of(3).pod("new", "a").pod("new", "b").pod("new", "c", change)
		assert.NotEqual(t, Done, w.judge(hour).State, "a Deployment whose pod %s", name)
		w = setOf(func(w *world) { change(w.Pods[1]) })
		assert.NotEqual(t, Done, w.judge(hour).State, "a StatefulSet whose pod %s", name)
		w = daemonOf(func(w *world) { change(w.Pods[1]) })
		assert.NotEqual(t, Done, w.judge(hour).State, "a DaemonSet whose pod %s", name)
	}
	w := rollingOut().of(3).pod("new", "a").pod("new", "b").pod("new", "c", func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "prepare"}}
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "prepare",
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	}).pod("new", "evicted", func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted" })
	assert.Equal(t, Done, w.judge(hour).State, "an init container has to end, and what was evicted was replaced")
	w = setOf(func(w *world) {
		w.StatefulSet.Spec.UpdateStrategy = partition(1)
		w.Pods[0].Labels["controller-revision-hash"] = "a"
		ends(1, 1)(w.Pods[0])
	})
	assert.NotEqual(t, Done, w.judge(hour).State, "a pod below the partition runs as well")
}

func TestNames(t *testing.T) {
	w := setOf(func(w *world) {
		for i, pod := range w.Pods {
			pod.Name = fmt.Sprintf("cut-%d", 7-i)
			pod.Labels[appsv1.PodIndexLabel] = fmt.Sprint(i)
		}
	})
	assert.Equal(t, Done, w.judge(time.Second).State, "the label is the ordinal, whatever the name")
	w = rollingOut().of(1).pod("new", "app-old-2x7qs")
	w.ReplicaSets[1].Name, w.ReplicaSets[1].Labels = "cut-after-63-letters", map[string]string{"pod-template-hash": "same"}
	w.ReplicaSets[0].Labels = w.ReplicaSets[1].Labels
	assert.Equal(t, Done, w.judge(time.Second).State, "a pod is of the ReplicaSet that owns it")
	w.pod("old", "app-new-2x7qs", func(p *corev1.Pod) { p.Labels["pod-template-hash"] = "same" })
	assert.Contains(t, w.judge(time.Second).Cause, "1 old pods", "whatever its name and hash say")
}

func TestNoPodsAreNeverGood(t *testing.T) {
	for name, none := range map[string]func() *world{
		"a Deployment": func() *world { return rollingOut().of(0) },
		"a StatefulSet": func() *world {
			return setOf(func(w *world) { w.StatefulSet.Spec.Replicas, w.StatefulSet.Status.Replicas, w.Pods = number(0), 0, nil })
		},
		"a DaemonSet": func() *world {
			return daemonOf(func(w *world) { w.DaemonSet.Status, w.Pods = appsv1.DaemonSetStatus{ObservedGeneration: 1}, nil })
		},
	} {
		w := none()
		verdict := w.judge(time.Second)
		assert.Equal(t, Done, verdict.State, name)
		assert.Contains(t, verdict.Cause, "0 pods", name)
		w = none()
		w.Criteria.Pods = true
		verdict = w.judge(time.Second)
		assert.Equal(t, "NO_PODS", verdict.Code, name)
		assert.Contains(t, verdict.Cause, "has 0 pods", name)
	}
	w := rollingOut().of(1).pod("new", "a")
	w.Criteria.Hold, w.Criteria.Pods = time.Minute, true
	assert.Equal(t, Progressing, w.judge(time.Second).State)
	w.of(0)
	assert.Equal(t, "NO_PODS", w.judge(2*time.Second).Code, "scaled to 0 during the hold, and its pod still there")
	w.Pods = nil
	assert.Equal(t, "NO_PODS", w.judge(3*time.Second).Code)
	w.of(1)
	w.Deployment.Generation = 9
	assert.Equal(t, Progressing, w.judge(4*time.Second).State)
}

// A node tells the API server of what happened to a container up to lateness after it, with
// times cut to the second; its pod has no probe and ends again and again. The node itself
// knows which run is the present one, also where the status still shows the former. What
// ends within Graces.Proof is never done, and what then stays is, a bounded time later.
func TestACrashLoopWithoutProbesIsNeverDone(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		lives := time.Duration(random.IntN(6001)) * time.Millisecond
		lateness := time.Duration(random.IntN(30000)) * time.Millisecond
		begin, restarts := start.Add(time.Duration(random.IntN(1000))*time.Millisecond), int32(0)
		w := rollingOut().of(1)
		w.judge(0)
		w.pod("new", "a", unprobed)
		var last *corev1.ContainerStateTerminated
		asked := map[string]time.Time{}
		judge := func(at, ended time.Time) State {
			w.Observed = map[string]Observation{}
			for run, question := range toAsk(w.Objects, at) {
				if asked[run].IsZero() {
					asked[run] = at
				}
				until := asked[run].Add(question.lasts)
				w.Observed[run] = Observation{Proven: !at.Before(until) && !ended.Before(until)}
			}
			return w.judge(at.Sub(start)).State
		}
		for ; restarts < 4; restarts++ {
			run := corev1.ContainerStatus{Name: "app", Ready: true, RestartCount: restarts,
				State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(begin.Truncate(time.Second))}}}
			run.LastTerminationState.Terminated = last
			w.Pods[0].Status.ContainerStatuses[0] = run
			w.Pods[0].Status.Conditions[0] = corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue,
				LastTransitionTime: metav1.NewTime(begin.Truncate(time.Second))}
			ended := begin.Add(lives)
			for at := begin.Add(lateness); at.Before(ended.Add(lateness)); at = at.Add(250 * time.Millisecond) {
				require.NotEqual(t, Done, judge(at, ended), "it ends after %s, told %s late; restarts %d", lives, lateness, restarts)
			}
			last = &corev1.ContainerStateTerminated{ExitCode: 3, StartedAt: run.State.Running.StartedAt,
				FinishedAt: metav1.NewTime(ended.Truncate(time.Second))}
			ends(restarts, 3)(w.Pods[0])
			w.Pods[0].Status.ContainerStatuses[0].State.Terminated = last
			verdict := w.judge(ended.Add(lateness).Sub(start))
			if restarts >= loop {
				assert.Equal(t, "CRASH_LOOP", verdict.Code)
			}
			begin = ended.Add(lateness + 10*time.Second)
		}
		runsSince(begin.Sub(start).Truncate(time.Second), restarts)(w.Pods[0])
		w.Pods[0].Status.ContainerStatuses[0].Ready = true
		w.Pods[0].Status.Conditions[0].Status = corev1.ConditionTrue
		told, ever := begin.Add(lateness), begin.Add(time.Hour)
		require.NotEqual(t, Done, judge(told, ever))
		require.NotEqual(t, Done, judge(told.Add(proofAfterEnd-time.Second), ever))
		require.Equal(t, Done, judge(told.Add(proofAfterEnd), ever), "it stays")
	}
}

func TestTheNodeIsAskedWhereNothingButAStatusTells(t *testing.T) {
	asked := func(at time.Duration, changes ...func(*corev1.Pod)) []time.Duration {
		w := rollingOut().of(1).pod("new", "a", changes...).pod("old", "b", unprobed)
		var lasts []time.Duration
		for _, question := range toAsk(w.Objects, start.Add(at)) {
			lasts = append(lasts, question.lasts)
		}
		return lasts
	}
	proof := []time.Duration{DefaultGraces.Proof}
	restarted := func(p *corev1.Pod) { p.Status.ContainerStatuses[0].RestartCount = 1 }
	assert.Equal(t, proof, asked(0, unprobed))
	assert.Equal(t, proof, asked(9*time.Minute, unprobed))
	assert.Empty(t, asked(11*time.Minute, unprobed), "it was told to run long ago")
	assert.Empty(t, asked(10*time.Second), "its readiness probe looks at it")
	assert.Equal(t, []time.Duration{proofAfterEnd}, asked(0, restarted))
	assert.Equal(t, []time.Duration{8 * time.Second}, asked(3*time.Second, unprobed, restarted), "2 s are over")
	assert.Empty(t, asked(10*time.Second, unprobed, ends(0, 1)))
}

func TestWhatTheNodeSaysDecides(t *testing.T) {
	w := rollingOut().of(1).pod("new", "a", unprobed)
	key := run(w.Pods[0], w.Pods[0].Status.ContainerStatuses[0])
	judge := func(at time.Duration, seen Observation) Verdict {
		w.Observed = map[string]Observation{key: seen}
		return w.judge(at)
	}
	assert.Equal(t, Progressing, judge(time.Minute, Observation{}).State, "it has not answered yet")
	ended := judge(time.Minute, Observation{Said: "it has ended"})
	assert.Equal(t, Progressing, ended.State)
	assert.Contains(t, ended.Cause, "it has ended")
	assert.Equal(t, Progressing, judge(2*time.Second, Observation{Proven: true}).State, "the API server has not shown it for so long")
	done := judge(DefaultGraces.Proof+time.Second, Observation{Proven: true})
	assert.Equal(t, Done, done.State)
	assert.Equal(t, "1 of 1 available", done.Cause)
	denied := Observation{Unasked: true, Said: "nobody may ask"}
	assert.Equal(t, Progressing, judge(proofUnasked, denied).State)
	done = judge(proofUnasked+time.Second, denied)
	assert.Equal(t, Done, done.State)
	assert.Contains(t, done.Cause, "known from its status only: nobody may ask", "what was not seen is said")
	set := setOf(func(w *world) {
		w.StatefulSet.Spec.UpdateStrategy = partition(1)
		w.Pods[0].Labels["controller-revision-hash"] = "a"
		unprobed(w.Pods[0])
	})
	assert.Empty(t, toAsk(set.Objects, start), "a pod of another revision is not asked about")
}

// Attempts that did not answer are made again; a denial and two minutes are the end of that.
func TestHowLongANodeIsAsked(t *testing.T) {
	later := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	slow, ended := errors.New("the node has not answered"), &kube.EndedError{Pod: "a", Container: "app"}
	denied := apierrors.NewForbidden(corev1.Resource("pods/log"), "a",
		errors.New(`User "ci" cannot get resource "pods/log" in API group "" in the namespace "prod"`))
	for name, test := range map[string]struct {
		answers []error
		proven  bool
		unasked bool
	}{
		"it ran for as long as it has to":            {[]error{nil}, true, false},
		"it ended":                                   {[]error{ended}, false, false},
		"it ended and the next run stays":            {[]error{ended, nil}, true, false},
		"nobody may ask":                             {[]error{denied}, false, true},
		"no answer once":                             {[]error{slow}, false, false},
		"no answer for two minutes":                  {[]error{slow, slow, slow}, false, true},
		"an end between what was not answered":       {[]error{slow, ended, slow, slow}, false, false},
		"an answer after what was not answered once": {[]error{slow, nil}, true, false},
	} {
		seen := &observed{}
		for i, err := range test.answers {
			seen.answered(err, later(60*float64(i)))
		}
		assert.Equal(t, test.proven, seen.Proven, name)
		assert.Equal(t, test.unasked, seen.Unasked, name)
		assert.Equal(t, !test.proven, seen.Said != "", "%s: %s", name, seen.Said)
	}
}

func TestWhatWasRestartedHasToLiveLongerThanBefore(t *testing.T) {
	restarted := func(lived time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			status := &p.Status.ContainerStatuses[0]
			status.RestartCount = 1
			status.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, StartedAt: metav1.NewTime(start.Add(-lived)),
				FinishedAt: metav1.NewTime(start)}
		}
	}
	for lived, needed := range map[time.Duration]time.Duration{time.Second: 10 * time.Second, 30 * time.Second: 30 * time.Second,
		3 * time.Hour: 10 * time.Second} {
		w := rollingOut().of(1).pod("new", "a", restarted(lived))
		assert.Equal(t, Progressing, w.judge(0, needed-time.Second).State, lived)
		assert.Equal(t, Done, w.judge(needed).State, lived)
	}
	w := rollingOut().of(1).pod("new", "a", unprobed, func(p *corev1.Pod) {
		p.Spec.Containers[0].LivenessProbe = &corev1.Probe{PeriodSeconds: 10, FailureThreshold: 3}
	})
	assert.Equal(t, Progressing, w.judge(0, 39*time.Second).State, "the only probe has not had its time to kill")
	assert.Equal(t, Done, w.judge(40*time.Second).State)
	w.Events = []*corev1.Event{event("a", "spec.containers{app}", "Normal", "Killing", "Container app failed liveness probe", 40*time.Second)}
	assert.Equal(t, Progressing, w.judge(time.Minute).State, "it is ready until its grace period is over, and about to be killed")
	assert.NotEmpty(t, Suspicious(w.Objects, start.Add(time.Minute)), "so that its events are read")
	w.Events[0].LastTimestamp = metav1.NewTime(start)
	assert.Equal(t, Done, w.judge(time.Minute).State, "its former run was killed")
	late := rollingOut().of(1).pod("new", "a", unprobed, func(p *corev1.Pod) {
		p.Spec.Containers[0].LivenessProbe = &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 1}
	})
	status := late.Pods[0].Status
	late.Pods[0].Status = corev1.PodStatus{}
	late.judge(0)
	late.Pods[0].Status = status
	assert.Equal(t, Progressing, late.judge(4*time.Second, 20*time.Second).State, "a node that told the start 3 s late may be as late to kill")
	assert.Equal(t, Done, late.judge(21*time.Second).State)
	w = rollingOut().of(1).pod("new", "a", unprobed)
	assert.Empty(t, Suspicious(w.Objects, start.Add(time.Minute)))
	w.judge(0)
	w.Memory = w.Memory.AfterOutage(start.Add(5 * time.Second))
	assert.Equal(t, Progressing, w.judge(10*time.Second).State, "what happened during an outage may not be told yet")
	assert.Equal(t, Done, w.judge(11*time.Second).State)
}
