package rollout

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var start = time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC)

func number(n int32) *int32 { return &n }

// world is a Deployment of three with an old and a new ReplicaSet, both sides of a rollout.
type world struct{ Objects }

func rollingOut() *world {
	owner := []metav1.OwnerReference{{UID: "d", Controller: new(bool)}}
	*owner[0].Controller = true
	set := func(name, revision string) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), OwnerReferences: owner,
			Annotations: map[string]string{revisionAnnotation: revision}, Labels: map[string]string{"pod-template-hash": name}}}
	}
	return &world{Objects{
		Deployment: &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "app", UID: "d", Generation: 2, Annotations: map[string]string{revisionAnnotation: "2"}},
			Spec:       appsv1.DeploymentSpec{Replicas: number(3), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "r/app@sha256:new"}}}}},
			Status:     appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: 3, AvailableReplicas: 3},
		},
		ReplicaSets: []*appsv1.ReplicaSet{set("old", "1"), set("new", "2")},
		Criteria:    Criteria{Start: start, Graces: DefaultGraces},
	}}
}

func (w *world) pod(set, name string, change func(*corev1.Pod)) *world {
	owner := metav1.OwnerReference{UID: types.UID(set), Controller: new(bool)}
	*owner.Controller = true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pod-template-hash": set}, OwnerReferences: []metav1.OwnerReference{owner}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", ReadinessProbe: &corev1.Probe{PeriodSeconds: 5, FailureThreshold: 3}}}},
		Status: corev1.PodStatus{
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "app", Ready: true, ImageID: "r/app@sha256:new"}},
		},
	}
	if change != nil {
		change(pod)
	}
	w.Pods = append(w.Pods, pod)
	return w
}

func (w *world) status(updated, available, total int32) *world {
	w.Deployment.Status.UpdatedReplicas, w.Deployment.Status.AvailableReplicas, w.Deployment.Status.Replicas = updated, available, total
	return w
}

func waitsFor(reason, message string, restarts int32) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Conditions[0].Status = corev1.ConditionFalse
		pod.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "app", Image: "r/app:2", RestartCount: restarts,
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}}}
	}
}

// judge asks at each of the instants and gives the last verdict.
func (w *world) judge(instants ...time.Duration) Verdict {
	var verdict Verdict
	for _, instant := range instants {
		verdict, w.Memory = Compute(w.Objects, start.Add(instant))
	}
	return verdict
}

func TestDone(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*world)
		state  State
		says   string
	}{
		"complete":                   {func(*world) {}, Done, "3 of 3 available"},
		"not observed":               {func(w *world) { w.Deployment.Generation = 3 }, Progressing, "has not seen"},
		"not all new":                {func(w *world) { w.status(2, 3, 3) }, Progressing, "2 of 3 pods are new"},
		"old pods":                   {func(w *world) { w.status(3, 3, 4) }, Progressing, "1 old pods"},
		"maxUnavailable 1 of 1":      {func(w *world) { w.Deployment.Spec.Replicas = number(1); w.status(1, 0, 1) }, Progressing, "0 of 1 new pods are available"},
		"paused":                     {func(w *world) { w.Deployment.Spec.Paused = true }, Failed, "kubectl rollout resume"},
		"scaled to zero":             {func(w *world) { w.Deployment.Spec.Replicas = number(0); w.status(0, 0, 0) }, Done, "0 of 0"},
		"an old complaint remains":   {func(w *world) { w.complain(start.Add(-time.Hour)) }, Done, ""},
		"a new complaint, and done":  {func(w *world) { w.complain(start.Add(time.Second)) }, Done, ""},
		"the image runs":             {func(w *world) { w.Criteria.Image = "sha256:new" }, Done, ""},
		"another image is asked for": {func(w *world) { w.Criteria.Image = "sha256:other" }, Failed, "no container"},
		"enough": {func(w *world) {
			w.status(2, 2, 3)
			least := intstr.FromString("60%")
			w.Criteria.MinAvailable = &least
		}, Done, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := rollingOut().pod("new", "a", nil).pod("new", "b", nil)
			test.change(w)
			verdict := w.judge(0)
			assert.Equal(t, test.state, verdict.State, verdict.Cause)
			assert.Contains(t, verdict.Cause, test.says)
		})
	}
}

func (w *world) complain(at time.Time) {
	w.Deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", LastUpdateTime: metav1.NewTime(at)}}
}

func TestTheImageIDOfEveryNewPodIsAskedFor(t *testing.T) {
	w := rollingOut().pod("new", "a", nil).pod("new", "b", func(p *corev1.Pod) { p.Status.ContainerStatuses[0].ImageID = "r/app@sha256:old" })
	w.Criteria.Image = "sha256:new"
	verdict := w.judge(0)
	assert.Equal(t, Progressing, verdict.State)
	assert.Contains(t, verdict.Cause, "b does not say yet")
}

func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		change   func(*corev1.Pod)
		still    time.Duration // no failure yet
		failed   time.Duration
		code     string
		recovers bool
	}{
		"a name that makes no sense":  {change: waitsFor("InvalidImageName", "", 0), failed: 0, code: "INVALID_IMAGE_NAME"},
		"no such image, second time":  {change: waitsFor("ImagePullBackOff", "manifest unknown: not found", 0), failed: 0, code: "IMAGE_NOT_FOUND"},
		"no such image, first time":   {change: waitsFor("ErrImagePull", "not found", 0), still: 10 * time.Second, failed: 16 * time.Second, code: "IMAGE_NOT_FOUND"},
		"no login":                    {change: waitsFor("ImagePullBackOff", "401 Unauthorized", 0), failed: 0, code: "IMAGE_PULL_DENIED"},
		"a registry that is away":     {change: waitsFor("ImagePullBackOff", "dial tcp: i/o timeout", 0), still: 119 * time.Second, failed: 121 * time.Second, code: "IMAGE_PULL_FAILED"},
		"a missing secret":            {change: waitsFor("CreateContainerConfigError", `secret "x" not found`, 0), still: 19 * time.Second, failed: 21 * time.Second, code: "CONFIG_MISSING"},
		"cannot be run":               {change: waitsFor("RunContainerError", "exec: no such file", 0), still: 59 * time.Second, failed: 61 * time.Second, code: "CONTAINER_ERROR"},
		"crashes again and again":     {change: waitsFor("CrashLoopBackOff", "", 2), failed: 0, code: "CRASH_LOOP"},
		"one crash is no loop":        {change: waitsFor("CrashLoopBackOff", "", 1), still: 80 * time.Second, recovers: true},
		"readiness inside its budget": {change: runsSince(0), still: 29 * time.Second, failed: 31 * time.Second, code: "NOT_READY"},
		"unschedulable": {change: func(p *corev1.Pod) {
			p.Status.ContainerStatuses = nil
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes", LastTransitionTime: metav1.NewTime(start)}}
		}, still: 59 * time.Second, failed: 61 * time.Second, code: "UNSCHEDULABLE"},
		"nothing that is known": {change: func(p *corev1.Pod) {
			p.Status.ContainerStatuses = nil
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ReadinessGatesNotReady", Message: "gate x is not set"}}
		}, still: 89 * time.Second, failed: 91 * time.Second, code: "STUCK"},
	} {
		t.Run(name, func(t *testing.T) {
			w := rollingOut().status(1, 3, 4).pod("new", "a", test.change)
			if test.still > 0 {
				verdict := w.judge(0, test.still)
				assert.Equal(t, Progressing, verdict.State, verdict.Cause)
			}
			if test.recovers {
				return
			}
			verdict := w.judge(0, test.failed)
			assert.Equal(t, Failed, verdict.State, verdict.Cause)
			assert.Equal(t, test.code, verdict.Code)
			assert.Equal(t, "a", verdict.Pod)
		})
	}
}

func runsSince(since time.Duration) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		started := true
		pod.Status.Conditions[0].Status = corev1.ConditionFalse
		pod.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "app", Started: &started, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(start.Add(since))}}}
	}
}

func TestOldPodsTroubleIsNotOurs(t *testing.T) {
	w := rollingOut().status(2, 2, 4).pod("old", "o", waitsFor("CrashLoopBackOff", "", 9)).pod("new", "a", nil)
	assert.Equal(t, Progressing, w.judge(0, 30*time.Second).State)
}

func TestOneOfManyDoesNotFailTheRestWhileItMoves(t *testing.T) {
	w := rollingOut().status(3, 2, 3).pod("new", "a", nil).pod("new", "b", nil).pod("new", "c", waitsFor("CrashLoopBackOff", "", 5))
	assert.Equal(t, Progressing, w.judge(0, 60*time.Second).State)
	verdict := w.judge(91 * time.Second)
	assert.Equal(t, "CRASH_LOOP", verdict.Code)
}

func TestWhatTheControllerCannotCreate(t *testing.T) {
	for message, code := range map[string]string{
		`pods "a" is forbidden: exceeded quota: q, requested: pods=1`: "QUOTA_EXCEEDED",
		`pods "a" is forbidden: violates PodSecurity "restricted"`:    "POD_SECURITY",
		`admission webhook "x" denied the request`:                    "WEBHOOK",
	} {
		w := rollingOut().status(0, 3, 3)
		w.Deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: message}}
		assert.Equal(t, Progressing, w.judge(0, 29*time.Second).State)
		verdict := w.judge(61 * time.Second)
		assert.Equal(t, code, verdict.Code)
		assert.Contains(t, verdict.Cause, message)
	}
}

func TestHold(t *testing.T) {
	w := rollingOut().pod("new", "a", nil)
	w.Criteria.Hold = 10 * time.Second
	assert.Equal(t, Progressing, w.judge(0, 9*time.Second).State)
	assert.Equal(t, Done, w.judge(10*time.Second).State)

	w = rollingOut().pod("new", "a", nil)
	w.Criteria.Hold = 10 * time.Second
	w.judge(0)
	w.Pods[0].Status.ContainerStatuses[0].RestartCount = 1
	assert.Equal(t, "NOT_STABLE", w.judge(5*time.Second).Code)

	w = rollingOut().pod("new", "a", nil)
	w.Criteria.Hold = 10 * time.Second
	w.judge(0)
	w.status(3, 2, 3)
	assert.Equal(t, "NOT_STABLE", w.judge(5*time.Second).Code)
}

func TestStatefulSet(t *testing.T) {
	set := func(change func(*appsv1.StatefulSet)) Verdict {
		s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db", Generation: 1}, Spec: appsv1.StatefulSetSpec{Replicas: number(2)},
			Status: appsv1.StatefulSetStatus{ObservedGeneration: 1, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2, UpdateRevision: "b", CurrentRevision: "b"}}
		change(s)
		verdict, _ := Compute(Objects{StatefulSet: s, Criteria: Criteria{Start: start, Graces: DefaultGraces}}, start)
		return verdict
	}
	assert.Equal(t, Done, set(func(*appsv1.StatefulSet) {}).State)
	assert.Equal(t, Progressing, set(func(s *appsv1.StatefulSet) { s.Status.AvailableReplicas = 1 }).State, "ready is not yet available: minReadySeconds")
	assert.Equal(t, Progressing, set(func(s *appsv1.StatefulSet) { s.Status.CurrentRevision, s.Status.UpdatedReplicas = "a", 1 }).State)
	assert.Equal(t, "ON_DELETE", set(func(s *appsv1.StatefulSet) { s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType }).Code)
	assert.Equal(t, Done, set(func(s *appsv1.StatefulSet) {
		s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: number(1)}
		s.Status.CurrentRevision, s.Status.UpdatedReplicas = "a", 1
	}).State)
}

func TestSecretsAreNotShownInLogs(t *testing.T) {
	assert.Equal(t, "at postgres://app:****@db/x with PASSWORD=**** and token: ****", withoutSecrets("at postgres://app:geheim@db/x with PASSWORD=geheim and token: abc"))
}
