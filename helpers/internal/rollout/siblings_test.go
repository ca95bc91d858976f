package rollout

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// leaves is a pod that is on its way out until then.
func leaves(until time.Duration) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: start.Add(until)} }
}

func unplaced(message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.NodeName, pod.Status = "", corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled,
			Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: message, LastTransitionTime: metav1.NewTime(start)}}}
	}
}

func refusedBy(message string) []appsv1.ReplicaSetCondition {
	return []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue,
		Reason: "FailedCreate", Message: message}}
}

func TestWhatOldPodsThatLeaveMayCure(t *testing.T) {
	second := time.Second
	for name, test := range map[string]struct {
		world  func(until time.Duration) *world
		code   string
		failed time.Duration // after the last old pod has left, at the latest
	}{
		"quota": {func(until time.Duration) *world {
			w := rollingOut().status(0, 2, 2).pod("old", "o", leaves(until))
			w.ReplicaSets[1].Status.Conditions = refusedBy("exceeded quota: q")
			return w
		}, "QUOTA_EXCEEDED", 5 * time.Minute}, // the controller tries again after as long as it has been refused
		"a node that is full": {func(until time.Duration) *world {
			return rollingOut().status(1, 2, 3).pod("old", "o", leaves(until)).
				pod("new", "a", unplaced("0/1 nodes are available: 1 Insufficient cpu."))
		}, "UNSCHEDULABLE", 61 * second},
		"a volume of one node": {func(until time.Duration) *world {
			w := rollingOut().status(1, 2, 3).pod("old", "o", leaves(until)).pod("new", "a", waitsFor("ContainerCreating", "", 0))
			w.Events = []*corev1.Event{event("a", "", "Warning", "FailedAttachVolume", "Multi-Attach error for volume: used by pod(s) o", 0)}
			return w
		}, "STUCK", 91 * second},
	} {
		w := test.world(4 * time.Minute)
		for at := time.Duration(0); at < 4*time.Minute; at += 5 * second {
			assert.Equal(t, Progressing, w.judge(at).State, "%s: the old pod leaves by %s", name, at)
		}
		w.Pods = w.Pods[1:]
		assert.Equal(t, test.code, w.judge(4*time.Minute, 4*time.Minute+test.failed).Code, "%s: it is gone", name)
		w = test.world(0)
		assert.Equal(t, test.code, w.judge(settle, settle+92*second).Code, "%s: an old pod beyond its time is none that leaves", name)
	}
	w := rollingOut().status(1, 2, 3).pod("old", "o", deleted).
		pod("new", "a", unplaced("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."))
	assert.Equal(t, "UNSCHEDULABLE", w.judge(0).Code, "no node will ever match")
}

func TestWhatAControllerRefusedBeforeItCreatedPodsIsOver(t *testing.T) {
	events := func(w *world, created time.Duration) *world {
		say := func(reason, message string, at time.Duration) *corev1.Event {
			return &corev1.Event{InvolvedObject: corev1.ObjectReference{UID: w.meta().UID}, Reason: reason, Message: message,
				LastTimestamp: metav1.NewTime(start.Add(at))}
		}
		w.Events = []*corev1.Event{say("FailedCreate", "exceeded quota: q", -10*time.Minute), say("SuccessfulCreate", "created", created)}
		sortEvents(w.Events)
		return w
	}
	for kind, made := range map[string]func() *world{
		"statefulset": func() *world {
			return setOf(func(w *world) { w.StatefulSet.Status.UpdatedReplicas = 1; deleted(w.Pods[1]) })
		},
		"daemonset": func() *world { return daemonOf(func(w *world) { deleted(w.Pods[1]) }) },
	} {
		assert.Equal(t, Progressing, events(made(), -9*time.Minute).judge(0, time.Minute).State, kind)
		w := events(made(), -11*time.Minute)
		w.Pods = w.Pods[:1]
		assert.Equal(t, "QUOTA_EXCEEDED", w.judge(0, time.Minute).Code, kind)
	}
}

func TestWhatIsStillThere(t *testing.T) {
	w := rollingOut().pod("new", "a").pod("new", "b").pod("new", "c")
	w.Deployment.Spec.Replicas = number(2)
	verdict := w.judge(time.Hour)
	assert.Equal(t, Progressing, verdict.State)
	assert.Contains(t, verdict.Cause, "1 pods too many", "scaled down in the same change")
	for kind, w := range map[string]*world{"deployment": rollingOut().of(2).pod("new", "a").pod("new", "b"), "statefulset": setOf(nil),
		"daemonset": daemonOf(nil)} {
		w.meta().DeletionTimestamp = &metav1.Time{Time: start}
		verdict := w.judge(time.Hour)
		assert.Equal(t, "DELETED", verdict.Code, "%s: its pods run until what holds it has gone", kind)
		assert.True(t, untouched[verdict.Code])
	}
}

// A node that has an image from a file knows no registry's digest of it.
func TestAnImageThatTheNodeHasFromAFile(t *testing.T) {
	w := rollingOut().of(1).pod("new", "a")
	w.Criteria.Image = "sha256:new"
	status, container := &w.Pods[0].Status.ContainerStatuses[0], &w.Pods[0].Spec.Containers[0]
	status.ImageID, container.Image = "sha256:configuration", "r/app:2@sha256:new"
	assert.Equal(t, Done, w.judge(time.Minute).State, "it was found by the digest that is asked for")
	container.Image = "r/app:2@sha256:other"
	assert.Equal(t, "IMAGE_MISMATCH", w.judge(time.Minute).Code)
	container.Image = "r/app:2"
	assert.Equal(t, "IMAGE_MISMATCH", w.judge(time.Minute).Code, "nothing tells which one it is")
	container.Image, status.ImageID = "r/app:2@sha256:new", "r/app@sha256:old"
	assert.Equal(t, "IMAGE_MISMATCH", w.judge(time.Minute).Code, "what the node says comes first")
}

func TestPodsThatEndAsAWhole(t *testing.T) {
	for phase, says := range map[corev1.PodPhase]string{
		corev1.PodSucceeded: "each new pod ends as a whole, and a service must go on: the container app has ended with exit code 0",
		corev1.PodFailed:    "each new pod fails as a whole: the container app has ended with exit code 7",
	} {
		w := rollingOut().status(1, 3, 4)
		var verdict Verdict
		for i := range 4 {
			w.pod("new", fmt.Sprint("p", i), func(p *corev1.Pod) {
				exit := map[corev1.PodPhase]int32{corev1.PodFailed: 7}[phase]
				p.Status.Phase = phase
				p.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "app", ContainerID: "containerd://1",
					State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: exit}}}
			})
			verdict = w.judge(time.Duration(i) * 5 * time.Second)
		}
		assert.Equal(t, "POD_FAILED", verdict.Code, phase)
		assert.Equal(t, says, verdict.Cause, phase)
	}
}

func TestWhatThePullOfAnImageSaysOtherwise(t *testing.T) {
	for message, says := range map[string]string{
		`failed to pull and unpack image "r/app:2": no match for platform in manifest: not found`: "for other platforms than the node's",
		`no matching manifest for linux/arm64/v8 in the manifest list entries`:                    "for other platforms than the node's",
	} {
		w := rollingOut().status(1, 3, 4).pod("new", "a", waitsFor("ErrImagePull", message, 0))
		verdict := w.judge(0, DefaultGraces.PullRefused)
		assert.Equal(t, "IMAGE_NOT_FOUND", verdict.Code, message)
		assert.Contains(t, verdict.Cause, says)
	}
	// The kubelet says these in place of ErrImagePull, and between them that it backs off.
	for reason, grace := range map[string]time.Duration{"RegistryUnavailable": DefaultGraces.PullTransient,
		"SignatureValidationFailed": DefaultGraces.Create, "ImageInspectError": DefaultGraces.Create} {
		said := "image pull failed for r/app:2 because of this"
		if reason == "RegistryUnavailable" {
			said = "image pull failed for r/app:2 because the registry is unavailable: x"
		}
		w := rollingOut().status(1, 3, 4).pod("new", "a", waitsFor(reason, said, 0))
		w.judge(0)
		for at := time.Second; at < grace; at += time.Second {
			back := fmt.Sprintf("%s %q: %s: %s", backOff, "r/app:2", reason, said)
			waiting := &corev1.ContainerStateWaiting{Reason: pullBackOff, Message: back}
			if at%(10*time.Second) == 0 {
				waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: said}
			}
			w.Pods[0].Status.ContainerStatuses[0].State.Waiting = waiting
			assert.Equal(t, Progressing, w.judge(at).State, "%s after %s", reason, at)
		}
		verdict := w.judge(grace)
		assert.Equal(t, "IMAGE_PULL_FAILED", verdict.Code, reason)
		assert.Contains(t, verdict.Cause, "image pull failed for r/app:2 because", reason)
	}
}

// Each attempt makes another sandbox, whose name is in the message.
func TestASandboxThatFailsInOtherWordsEachTime(t *testing.T) {
	w := rollingOut().status(1, 3, 4).pod("new", "a", waitsFor("ContainerCreating", "", 0))
	say := func(at time.Duration) *corev1.Event {
		e := event("a", "", "Warning", "FailedCreatePodSandBox", fmt.Sprintf("failed to setup network for sandbox %q", at), at)
		e.Count, e.FirstTimestamp = 1, e.LastTimestamp
		return e
	}
	w.Events = []*corev1.Event{say(0)}
	assert.Equal(t, Progressing, w.judge(0, 65*time.Second).State, "once is nothing")
	w.Events = append(w.Events, say(13*time.Second), say(26*time.Second))
	assert.Equal(t, "SANDBOX_FAILED", w.judge(66*time.Second).Code)
	w.Events = append(w.Events, event("a", "spec.containers{app}", "Normal", "Pulling", "", 70*time.Second))
	assert.Equal(t, Progressing, w.judge(71*time.Second).State, "it went on")
}

func TestAReadinessThatBlinksHasItsTimeAgain(t *testing.T) {
	minReady := func(changes ...func(*corev1.Pod)) *world {
		w := rollingOut().of(1).pod("new", "a", changes...)
		w.Deployment.Spec.MinReadySeconds, w.Deployment.Status.AvailableReplicas = 120, 0
		return w
	}
	blink := func(at time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].Ready = false
			p.Status.Conditions[0].Status, p.Status.Conditions[0].LastTransitionTime = corev1.ConditionFalse, metav1.NewTime(start.Add(at))
		}
	}
	w := minReady()
	w.judge(0, 80*time.Second)
	blink(81 * time.Second)(w.Pods[0])
	assert.Equal(t, Progressing, w.judge(81*time.Second, 109*time.Second).State)
	assert.Equal(t, "NOT_READY", w.judge(112*time.Second).Code, "and does not come back")
	w = minReady(blink(81 * time.Second))
	assert.Equal(t, Progressing, w.judge(82*time.Second).State, "before the first look")
	// One container of two was ready, and the pod never was.
	w = minReady(func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "slow", ReadinessProbe: &corev1.Probe{InitialDelaySeconds: 600}})
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: "slow",
			State: p.Status.ContainerStatuses[0].State})
		p.Status.Conditions[0].Status = corev1.ConditionFalse
	})
	w.judge(0, 80*time.Second)
	w.Pods[0].Status.ContainerStatuses[0].Ready = false
	assert.Equal(t, Progressing, w.judge(81*time.Second).State)
}

// What may take its time is no failure, and is told where the time is over before it ends.
func TestWhatIsUnderwayForLong(t *testing.T) {
	no := false
	for says, change := range map[string]func(*world){
		"the init container prepare still runs": func(w *world) {
			w.Pods[0].Spec.InitContainers = []corev1.Container{{Name: "prepare"}}
			w.Pods[0].Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "prepare",
				State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(start)}}}}
		},
		"its startup probe (exec) has not succeeded yet": func(w *world) {
			w.Pods[0].Spec.Containers[0] = corev1.Container{Name: "app", StartupProbe: &corev1.Probe{PeriodSeconds: 10, FailureThreshold: 90}}
			runsSince(0, 0)(w.Pods[0])
			w.Pods[0].Status.ContainerStatuses[0].Started = &no
		},
		`the node node1 has been at this since 23:00:00: Pulling image "r/app:2"`: func(w *world) {
			w.Events = []*corev1.Event{event("a", "spec.containers{app}", "Normal", "Pulling", `Pulling image "r/app:2"`, 0)}
		},
	} {
		w := rollingOut().status(1, 3, 4).pod("new", "a", waitsFor("PodInitializing", "", 0))
		change(w)
		assert.Empty(t, w.judge(0, time.Minute).Failures, says)
		verdict := w.judge(91*time.Second, time.Hour)
		assert.Equal(t, Progressing, verdict.State, says)
		if assert.Len(t, verdict.Failures, 1, says) {
			assert.Contains(t, verdict.Failures[0].Cause, says)
		}
		w.complain(start.Add(time.Minute))
		assert.Contains(t, w.judge(time.Hour).Cause, says, "the controller gave up")
	}
}

// What happens to several pods in the same way need not happen to one of them often.
func TestSeveralPodsThatFailInTheSameWay(t *testing.T) {
	once, twice, again := waitsFor("CrashLoopBackOff", "", 0), waitsFor("CrashLoopBackOff", "", 1), runsSince(0, 1)
	otherwise := func(p *corev1.Pod) {
		twice(p)
		p.Status.ContainerStatuses[0].LastTerminationState.Terminated.ExitCode = 4
	}
	probed := func(delay int32) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			twice(p)
			p.Spec.Containers[0].LivenessProbe = &corev1.Probe{InitialDelaySeconds: delay, FailureThreshold: 1}
		}
	}
	missing := func(p *corev1.Pod) {
		twice(p)
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second"})
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: "second",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError",
				Message: `secret "x" not found`}}})
	}
	absent := waitsFor("ErrImagePull", "r/app:2: not found", 0)
	for name, test := range map[string]struct {
		a, b func(*corev1.Pod)
		code string // after a second
	}{
		"each has ended twice":                     {twice, twice, "CRASH_LOOP"},
		"each has ended once":                      {once, once, ""},
		"one runs again":                           {twice, again, ""},
		"one has ended once":                       {twice, once, ""},
		"in other ways":                            {twice, otherwise, ""},
		"a probe may have killed one":              {twice, probed(0), ""},
		"before a probe can have killed it":        {twice, probed(30), "CRASH_LOOP"},
		"both lack something else":                 {missing, missing, ""},
		"the registry has refused each":            {absent, absent, "IMAGE_NOT_FOUND"},
		"the registry has refused one of the two":  {absent, runsSince(0, 0), ""},
		"the registry refuses them in other words": {absent, waitsFor("ErrImagePull", "401 Unauthorized", 0), ""},
	} {
		w := rollingOut().status(2, 3, 5).pod("new", "pod-a", test.a).pod("new", "pod-b", test.b)
		assert.Equal(t, test.code, w.judge(0, time.Second).Code, name)
	}
	w := rollingOut().status(2, 3, 5).pod("new", "pod-a", missing).pod("new", "pod-b", missing)
	assert.Equal(t, "CONFIG_MISSING", w.judge(0, 21*time.Second).Code, "what tells more comes first")
	w = rollingOut().status(2, 3, 5).pod("new", "pod-a", twice).pod("new", "pod-b", twice)
	w.Criteria.Graces.Crash = 30 * time.Second
	assert.Equal(t, Progressing, w.judge(0, 29*time.Second).State, "more time is asked for")
	assert.Equal(t, "CRASH_LOOP", w.judge(30*time.Second).Code)
	w.Memory = nil
	w.judge(0, 20*time.Second)
	again(w.Pods[0])
	again(w.Pods[1])
	assert.Equal(t, Progressing, w.judge(40*time.Second).State, "and it goes well")
}
