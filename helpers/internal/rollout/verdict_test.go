package rollout

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var start = time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC)

func number(n int32) *int32 { return &n }

func controlledBy(uid string) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{UID: types.UID(uid), Controller: &yes}}
}

// world is a Deployment of three with an old and a new ReplicaSet, both sides of a rollout.
type world struct{ Objects }

func rollingOut() *world {
	template := func(image string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}}}
	}
	set := func(name, image string) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), OwnerReferences: controlledBy("d"),
				Labels: map[string]string{"pod-template-hash": name}},
			Spec: appsv1.ReplicaSetSpec{Template: template(image)},
		}
	}
	return &world{Objects{
		Deployment: &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "app", UID: "d", Generation: 2},
			Spec:       appsv1.DeploymentSpec{Replicas: number(3), Template: template("r/app@sha256:new")},
			Status:     appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: 3, AvailableReplicas: 3},
		},
		ReplicaSets: []*appsv1.ReplicaSet{set("old", "r/app@sha256:old"), set("new", "r/app@sha256:new")},
		Criteria:    Criteria{Start: start, Graces: DefaultGraces},
	}}
}

func (w *world) pod(set, name string, changes ...func(*corev1.Pod)) *world {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(start),
			Labels: map[string]string{"pod-template-hash": set}, OwnerReferences: controlledBy(set)},
		Spec: corev1.PodSpec{NodeName: "node1",
			Containers: []corev1.Container{{Name: "app", ReadinessProbe: &corev1.Probe{PeriodSeconds: 5, FailureThreshold: 3}}}},
		Status: corev1.PodStatus{
			StartTime: &metav1.Time{Time: start},
			Phase:     corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue,
				LastTransitionTime: metav1.NewTime(start)}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "app", Ready: true, ImageID: "r/app@sha256:new",
				State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(start)}}}},
		},
	}
	for _, change := range changes {
		change(pod)
	}
	w.Pods = append(w.Pods, pod)
	return w
}

func (w *world) status(updated, available, total int32) *world {
	w.Deployment.Status.UpdatedReplicas, w.Deployment.Status.AvailableReplicas, w.Deployment.Status.Replicas = updated, available, total
	return w
}

// of asks for so many pods, all of which the status counts.
func (w *world) of(count int32) *world {
	w.Deployment.Spec.Replicas = number(count)
	return w.status(count, count, count)
}

func unprobed(pod *corev1.Pod) { pod.Spec.Containers[0].ReadinessProbe = nil }

func deleted(pod *corev1.Pod) {
	pod.DeletionTimestamp = &metav1.Time{Time: start.Add(10 * time.Minute)}
}

// ends is a container that has just ended after its run.
func ends(restarts, exitCode int32) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Conditions[0].Status = corev1.ConditionFalse
		pod.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "app", RestartCount: restarts,
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: exitCode}}}
	}
}

func waitsFor(reason, message string, restarts int32) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Conditions[0].Status = corev1.ConditionFalse
		pod.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "app", Image: "r/app:2", RestartCount: restarts,
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}}}
	}
}

func runsSince(since time.Duration, restarts int32) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Conditions[0].Status = corev1.ConditionFalse
		pod.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "app", RestartCount: restarts,
			State:                corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(start.Add(since))}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}}}
	}
}

// slowProbe takes up to 10 s an attempt, which is longer than its period of 5 s.
func slowProbe(pod *corev1.Pod) {
	runsSince(0, 0)(pod)
	pod.Spec.Containers[0].ReadinessProbe.TimeoutSeconds = 10
}

// judge asks at each of the instants and gives the last verdict.
func (w *world) judge(instants ...time.Duration) Verdict {
	var verdict Verdict
	for _, instant := range instants {
		verdict, w.Memory = Compute(w.Objects, start.Add(instant))
	}
	return verdict
}

func (w *world) complain(at time.Time) {
	w.Deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse,
		Reason: "ProgressDeadlineExceeded", LastUpdateTime: metav1.NewTime(at)}}
}

func TestDone(t *testing.T) {
	least := intstr.FromString("60%")
	for name, test := range map[string]struct {
		change func(*world)
		state  State
		says   string
	}{
		"complete":     {func(*world) {}, Done, "3 of 3 available"},
		"not observed": {func(w *world) { w.Deployment.Generation = 3 }, Progressing, "has not seen"},
		"not all new":  {func(w *world) { w.status(2, 3, 3) }, Progressing, "2 of 3 pods are new"},
		"old pods":     {func(w *world) { w.status(3, 3, 4) }, Progressing, "1 old pods"},
		"maxUnavailable 1 of 1": {func(w *world) { w.Deployment.Spec.Replicas = number(1); w.status(1, 0, 1) }, Progressing,
			"0 of 1 new pods are available"},
		"paused": {func(w *world) { w.Deployment.Spec.Paused = true }, Failed, "is paused"},
		"scaled to zero": {func(w *world) { w.Deployment.Spec.Replicas = number(0); w.status(0, 0, 0) }, Done,
			"0 pods: spec.replicas is 0"},
		"scaled up meanwhile (HPA)":            {func(w *world) { w.Deployment.Spec.Replicas = number(5) }, Progressing, "3 of 5"},
		"the status is late to tell of an end": {func(w *world) { ends(1, 3)(w.Pods[1]) }, Progressing, "2 of 3 new pods are available"},
		"an old pod is left":                   {func(w *world) { w.pod("old", "o") }, Progressing, "1 old pods"},
		"an old pod is terminating": {func(w *world) { w.pod("old", "o", deleted) }, Done,
			"3 of 3 available; 1 pod is still terminating"},
		"by the cluster's count": {func(w *world) { w.Deployment.Status.TerminatingReplicas = number(2) }, Done,
			"2 pods are still terminating"},
		"an old complaint remains":   {func(w *world) { w.complain(start.Add(-time.Hour)) }, Done, ""},
		"a new complaint, and done":  {func(w *world) { w.complain(start.Add(time.Second)) }, Done, ""},
		"an old complaint, not done": {func(w *world) { w.status(1, 1, 4).complain(start.Add(-time.Hour)) }, Progressing, ""},
		"the image runs": {func(w *world) {
			w.Criteria.Image = "sha256:new"
		}, Done, ""},
		"another image is asked for": {func(w *world) { w.Criteria.Image = "sha256:other" }, Failed, "asks for r/app@sha256:new"},
		"another image runs": {func(w *world) {
			w.Criteria.Image = "sha256:new"
			w.Pods[1].Status.ContainerStatuses[0].ImageID = "r/app@sha256:old"
		}, Failed, "b runs r/app@sha256:old"},
		"the image is not told yet": {func(w *world) {
			w.Criteria.Image = "sha256:new"
			w.Pods[1].Status.ContainerStatuses[0].ImageID = ""
		}, Progressing, "2 of 3 pods say"},
		"enough": {func(w *world) { w.status(2, 2, 3).Criteria.MinAvailable = &least }, Done, ""},
		"restarted a moment ago": {func(w *world) { w.Pods[0].Status.ContainerStatuses[0].RestartCount = 1 }, Progressing,
			"when it has run for 10s"},
		"started a moment ago, and nothing probes it": {func(w *world) { w.Pods[0].Spec.Containers[0].ReadinessProbe = nil }, Progressing,
			"when it has run for 6s"},
	} {
		t.Run(name, func(t *testing.T) {
			w := rollingOut().pod("new", "a").pod("new", "b").pod("new", "c")
			test.change(w)
			verdict := w.judge(0)
			assert.Equal(t, test.state, verdict.State, verdict.Cause)
			assert.Contains(t, verdict.Cause, test.says)
		})
	}
}

func TestWhatHasRunForAWhileCountsFromWhenItWasTold(t *testing.T) {
	doneAt := func(first bool, told time.Duration) time.Duration {
		w := rollingOut().of(1)
		if !first {
			w.judge(0)
		}
		w.pod("new", "a", unprobed)
		for at := told; ; at += time.Second {
			if w.judge(at).State == Done {
				return at
			}
		}
	}
	second := time.Second
	assert.Equal(t, 7*second, doneAt(true, second), "it was there before, and its start is cut to the second")
	assert.Equal(t, 30*second, doneAt(true, 30*second), "it has run for long enough")
	assert.Equal(t, 7*second, doneAt(false, second), "it was told at once")
	assert.Equal(t, 14*second, doneAt(false, 8*second), "it was told late")
}

func TestANodeWhoseClockIsWrong(t *testing.T) {
	for name, wrong := range map[string]time.Duration{"an hour behind": -time.Hour, "an hour ahead": time.Hour} {
		for _, first := range []bool{true, false} {
			clock := func(p *corev1.Pod) {
				unprobed(p)
				p.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(start.Add(wrong))
				p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(start.Add(wrong))
			}
			w := rollingOut().of(1)
			if !first {
				w.judge(0)
			}
			w.pod("new", "a", clock)
			assert.Equal(t, Progressing, w.judge(time.Second, 6*time.Second).State, "%s: it may end within 6 s", name)
			assert.Equal(t, Done, w.judge(7*time.Second).State, name)
			w = rollingOut().status(1, 3, 4)
			if !first {
				w.judge(0)
			}
			w.pod("new", "a", runsSince(wrong, 0))
			assert.Equal(t, Progressing, w.judge(time.Second, 30*time.Second).State, "%s: its readiness probe has time", name)
			assert.Equal(t, "NOT_READY", w.judge(32*time.Second).Code, name)
		}
	}
}

func TestFailures(t *testing.T) {
	unscheduled := func(message string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.NodeName, p.Status = "",
				corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable",
					Message: message, LastTransitionTime: metav1.NewTime(start)}}}
		}
	}
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		still  time.Duration // no failure yet; 0 fails at once
		failed time.Duration // 0 never fails
		code   string
	}{
		"a name that makes no sense": {waitsFor("InvalidImageName", "", 0), 0, 1, "INVALID_IMAGE_NAME"},
		"no such image, once": {waitsFor("ImagePullBackOff", `Back-off pulling image "r/app:2": ErrImagePull: r/app:2: not found`,
			0), 29, 31, "IMAGE_NOT_FOUND"},
		"no login, once": {waitsFor("ErrImagePull", "401 Unauthorized", 0), 29, 31, "IMAGE_PULL_DENIED"},
		"a registry that is away": {waitsFor("ImagePullBackOff", "ErrImagePull: dial tcp: i/o timeout", 0), 119, 121,
			"IMAGE_PULL_FAILED"},
		"a missing secret":               {waitsFor("CreateContainerConfigError", `secret "x" not found`, 0), 19, 21, "CONFIG_MISSING"},
		"a missing ConfigMap, asked for": {waitsFor("CreateContainerConfigError", `configmaps "x" not found`, 0), 19, 21, "CONFIG_MISSING"},
		"a user that may not be root": {waitsFor("CreateContainerConfigError", "container has runAsNonRoot and image will run as root", 0),
			19, 21, "CONTAINER_CONFIG"},
		"cannot be run":                  {waitsFor("RunContainerError", "exec: no such file", 0), 59, 61, "CONTAINER_ERROR"},
		"crashes again and again":        {waitsFor("CrashLoopBackOff", "", 2), 0, 1, "CRASH_LOOP"},
		"one crash":                      {waitsFor("CrashLoopBackOff", "", 1), 89, 0, ""},
		"one restart, within its budget": {runsSince(0, 1), 29, 0, ""},
		"readiness inside its budget":    {runsSince(0, 0), 29, 31, "NOT_READY"},
		"readiness with a long time-out": {slowProbe, 59, 61, "NOT_READY"},
		"unschedulable":                  {unscheduled("0/2 nodes are available: 2 Insufficient cpu."), 59, 61, "UNSCHEDULABLE"},
		"no node can ever match":         {unscheduled("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. preemption: x"), 0, 1, "UNSCHEDULABLE"},
		"one node matches, and is full":  {unscheduled("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector."), 59, 61, "UNSCHEDULABLE"},
		"a claim": {unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."), 59, 61,
			"PVC_PENDING"},
		"a container that waits for a name": {waitsFor("Unheard", "of", 0), 89, 91, "STUCK"},
		"an image that takes its time":      {waitsFor("ContainerCreating", "", 0), 3600, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := rollingOut().status(1, 3, 4).pod("new", "a", test.change)
			if test.still > 0 {
				verdict := w.judge(0, test.still*time.Second)
				assert.Equal(t, Progressing, verdict.State, verdict.Cause)
			}
			if test.failed == 0 {
				return
			}
			verdict := w.judge(0, test.failed*time.Second)
			require.Equal(t, Failed, verdict.State, verdict.Cause)
			assert.Equal(t, test.code, verdict.Code)
			assert.Equal(t, "a", verdict.Failures[0].Pod)
		})
	}
}

func TestASecondSightingOfAPullErrorIsAFailureAtOnce(t *testing.T) {
	w := rollingOut().status(1, 3, 4).pod("new", "a", waitsFor("ErrImagePull", "r/app:2: not found", 0))
	assert.Equal(t, Progressing, w.judge(0, 1*time.Second).State)
	back := func(reason, message string) {
		w.Pods[0].Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
	}
	back("ImagePullBackOff", `Back-off pulling image "r/app:2"`) // as kubelets before 1.34 say it
	assert.Equal(t, Progressing, w.judge(2*time.Second).State)
	back("ErrImagePull", "r/app:2: not found")
	assert.Equal(t, "IMAGE_NOT_FOUND", w.judge(12*time.Second).Code)

	w = rollingOut().status(1, 3, 4).pod("new", "a", waitsFor("ImagePullBackOff", `Back-off pulling image "r/app:2"`, 0))
	w.Events = []*corev1.Event{{InvolvedObject: corev1.ObjectReference{Kind: "Pod", UID: "a"}, Reason: "Failed",
		Message: `Failed to pull image "r/app:2": not found`, Count: 2}}
	assert.Equal(t, "IMAGE_NOT_FOUND", w.judge(0).Code, "who comes later is told by the event")
}

func TestWhatAPullSays(t *testing.T) {
	for message, fault := range map[string]pullFault{
		`failed to resolve reference "r/denied-page:2": r/denied-page:2: not found`:                      pullNotFound,
		`failed to do request: Head "https://not-found.example/v2/": dial tcp 10.0.0.1:443: i/o timeout`: pullTransient,
		`unexpected status from HEAD request to https://r/v2/x: 503 Service Unavailable`:                 pullTransient,
		`pull access denied, repository does not exist or may require authorization`:                     pullDenied,
		`failed to fetch oauth token: unexpected status: 401 Unauthorized`:                               pullDenied,
		`tls: failed to verify certificate: x509: certificate signed by unknown authority`:               pullUnknown,
		`dial tcp: lookup nexus.example on 10.0.0.2:53: no such host`:                                    pullTransient,
		`toomanyrequests: You have reached your pull rate limit`:                                         pullTransient,
		`failed to pull and unpack image "r/geoffrey:2": failed to copy: unexpected EOF`:                 pullTransient,
		`manifest unknown`: pullNotFound,
	} {
		assert.Equal(t, fault, classify(message, "r/denied-page:2"), message)
	}
}

func TestOldPodsTroubleIsNotOurs(t *testing.T) {
	w := rollingOut().status(2, 2, 4).pod("old", "o", waitsFor("CrashLoopBackOff", "", 9)).pod("new", "a")
	assert.Equal(t, Progressing, w.judge(0, 30*time.Second).State)
	w.Deployment.Generation = 3
	assert.Equal(t, Progressing, w.judge(31*time.Second).State, "nor before the controller has seen the change")
	w = rollingOut().status(0, 3, 3).pod("old", "o", waitsFor("CrashLoopBackOff", "", 9))
	w.ReplicaSets = w.ReplicaSets[:1]
	assert.Equal(t, Progressing, w.judge(0, 30*time.Second).State, "nor while there is no new ReplicaSet")
}

func TestOneOfManyDoesNotFailTheRestWhileItMoves(t *testing.T) {
	crashing := func() *world {
		return rollingOut().status(3, 2, 3).pod("new", "a").pod("new", "b").pod("new", "c", waitsFor("CrashLoopBackOff", "", 5))
	}
	w := crashing()
	assert.Equal(t, Progressing, w.judge(0, 60*time.Second).State)
	assert.Equal(t, "CRASH_LOOP", w.judge(91*time.Second).Code)
	w = crashing()
	w.Criteria.Any = true
	assert.Equal(t, "CRASH_LOOP", w.judge(0).Code)
}

func TestWhatOnlyTheKernelKillsWantsMemory(t *testing.T) {
	killed := func(probe *corev1.Probe, limits corev1.ResourceList) string {
		w := rollingOut().status(1, 3, 4).pod("new", "a", waitsFor("CrashLoopBackOff", "", 2))
		w.Pods[0].Status.ContainerStatuses[0].LastTerminationState.Terminated.ExitCode = 137 // and not its reason
		w.Pods[0].Spec.Containers[0].LivenessProbe, w.Pods[0].Spec.Containers[0].Resources.Limits = probe, limits
		return w.judge(0, 3*telling).Code
	}
	limits := corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("24Mi")}
	assert.Equal(t, "OOM_KILLED", killed(nil, limits))
	assert.Equal(t, "CRASH_LOOP", killed(&corev1.Probe{}, limits), "or the probe killed it")
	assert.Equal(t, "CRASH_LOOP", killed(nil, nil))
}

func TestACrashLoopIsOneAlsoBetweenItsEnds(t *testing.T) {
	w := rollingOut().status(2, 1, 4).pod("new", "pod-a", waitsFor("CrashLoopBackOff", "", 0)).pod("new", "pod-b",
		waitsFor("CrashLoopBackOff", "", 2))
	assert.Equal(t, Progressing, w.judge(0).State)
	runsSince(0, 2)(w.Pods[1])
	waitsFor("CrashLoopBackOff", "", 2)(w.Pods[0])
	verdict := w.judge(time.Second)
	assert.Equal(t, "CRASH_LOOP", verdict.Code)
	require.Len(t, verdict.Failures, 1)
	assert.Equal(t, 2, verdict.Failures[0].Pods)
}

func TestWhatTheControllerCannotCreate(t *testing.T) {
	for message, test := range map[string]struct {
		code  string
		grace time.Duration
	}{
		`pods "a" is forbidden: exceeded quota: q, requested: pods=1`:            {"QUOTA_EXCEEDED", 30},
		`pods "a" is forbidden: failed quota: q: must specify limits.cpu`:        {"QUOTA_EXCEEDED", 30},
		`pods "a" is forbidden: violates PodSecurity "restricted"`:               {"POD_SECURITY", 30},
		`pods "a" is forbidden: minimum cpu usage per Container is 100m`:         {"LIMIT_RANGE", 30},
		`admission webhook "x" denied the request`:                               {"WEBHOOK", 60},
		`failed calling webhook "x": connection refused`:                         {"WEBHOOK", 60},
		`ValidatingAdmissionPolicy 'x' with binding 'y' denied request: no`:      {"ADMISSION_POLICY", 60},
		`pods "a" is forbidden: error looking up service account x/y: not found`: {"STUCK", 90},
	} {
		w := rollingOut().status(0, 3, 3)
		complaint := []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate",
			Message: message}}
		w.ReplicaSets[0].Status.Conditions = complaint
		assert.Equal(t, Progressing, w.judge(0, 80*time.Second).State, "the old one's trouble: %s", message)
		w.Memory = nil
		w.ReplicaSets[1].Status.Conditions = complaint
		assert.Equal(t, Progressing, w.judge(0, (test.grace-1)*time.Second).State)
		verdict := w.judge((test.grace + 1) * time.Second)
		assert.Equal(t, test.code, verdict.Code)
		assert.Contains(t, verdict.Cause, message)
	}
}

func TestHold(t *testing.T) {
	held := func() *world {
		w := rollingOut().of(1).pod("new", "a")
		w.Criteria.Hold = 10 * time.Second
		w.judge(0)
		return w
	}
	w := held()
	assert.Equal(t, Progressing, w.judge(9*time.Second).State)
	assert.Equal(t, Done, w.judge(10*time.Second).State)
	for name, change := range map[string]func(*world){
		"a restart":        func(w *world) { w.Pods[0].Status.ContainerStatuses[0].RestartCount = 1 },
		"not ready":        func(w *world) { w.Pods[0].Status.Conditions[0].Status = corev1.ConditionFalse },
		"evicted":          func(w *world) { w.Pods[0].Status.Phase = corev1.PodFailed },
		"another revision": func(w *world) { w.Deployment.Spec.Template = w.ReplicaSets[0].Spec.Template },
	} {
		w := held()
		change(w)
		assert.Equal(t, "NOT_STABLE", w.judge(5*time.Second).Code, name)
	}
	for name, change := range map[string]func(*world){
		"another pod of that name": func(w *world) { w.Pods[0].UID = "another"; w.Pods[0].Status.ContainerStatuses[0].RestartCount = 0 },
		"a pod that is drained":    func(w *world) { deleted(w.Pods[0]); w.pod("new", "b") },
		"an HPA's scale-up":        func(w *world) { w.of(2); w.pod("new", "b") },
	} {
		w := held()
		w.Deployment.Spec.Replicas = number(2)
		assert.Equal(t, Progressing, w.judge(5*time.Second).State, name)
		w.of(1)
		change(w)
		assert.Equal(t, Progressing, w.judge(6*time.Second, 15*time.Second).State, "%s is no instability; it is held from then on", name)
		assert.Equal(t, Done, w.judge(16*time.Second).State, name)
	}
}

func TestNothingMoves(t *testing.T) {
	w := rollingOut().status(1, 1, 3).pod("new", "a")
	assert.Equal(t, Progressing, w.judge(0, 89*time.Second).State)
	assert.Contains(t, w.judge(91*time.Second).Cause, "is kube-controller-manager up?")

	w = rollingOut().status(1, 1, 3).pod("new", "a").pod("old", "o",
		func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: start.Add(10 * time.Minute)} })
	assert.Equal(t, Progressing, w.judge(0, 9*time.Minute).State, "a pod may take its terminationGracePeriod")

	w = rollingOut()
	w.Deployment.Generation = 3
	w.judge(0)
	assert.Equal(t, "STUCK", w.judge(91*time.Second).Code)
}

func TestAfterAnOutageGracesBeginAnew(t *testing.T) {
	w := rollingOut().status(1, 3, 4).pod("new", "a", waitsFor("CreateContainerConfigError", "x", 0))
	w.judge(0)
	w.Memory = w.Memory.AfterOutage(start.Add(50 * time.Second))
	assert.Equal(t, Progressing, w.judge(51*time.Second, 69*time.Second).State)
	assert.Equal(t, Failed, w.judge(72*time.Second).State)
}

func TestADeadlineOfTheController(t *testing.T) {
	w := rollingOut().status(1, 0, 1).pod("new", "a", waitsFor("ContainerCreating", "", 0))
	w.complain(start.Add(-time.Second))
	assert.Equal(t, Progressing, w.judge(0).State, "it is from before")
	w.complain(start.Add(time.Minute))
	assert.Equal(t, "DEADLINE_EXCEEDED", w.judge(time.Minute).Code)
}
