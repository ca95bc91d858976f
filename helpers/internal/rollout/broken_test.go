package rollout

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// left is a pod whose node has not reported for a while: the kubelet's own conditions stay as they were.
func left(pod *corev1.Pod) {
	pod.Status.Conditions[0].Status = corev1.ConditionFalse
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue})
}

func TestAPodWhoseNodeIsGoneIsToldAsThat(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node1"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
		{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Message: "Kubelet stopped posting node status."}}}}
	for name, test := range map[string]struct {
		world      func() *world
		nodes      []*corev1.Node
		code, says string
	}{
		"a Deployment": {func() *world { return rollingOut().of(1).pod("new", "a", left) }, []*corev1.Node{node},
			"NODE_NOT_READY", "its node node1 is not ready: Kubelet stopped posting node status."},
		"where nodes may not be read": {func() *world { return rollingOut().of(1).pod("new", "a", left) }, nil,
			"STUCK", "its containers are ready, and its condition Ready is False"},
		"a StatefulSet": {func() *world { return setOf(func(w *world) { left(w.Pods[1]) }) }, []*corev1.Node{node},
			"NODE_NOT_READY", "node1"},
		"a DaemonSet": {func() *world { return daemonOf(func(w *world) { left(w.Pods[1]) }) }, []*corev1.Node{node},
			"NODE_NOT_READY", "node1"},
	} {
		w := test.world()
		w.Nodes = test.nodes
		assert.Equal(t, Progressing, w.judge(0, 89*time.Second).State, name)
		assert.Contains(t, Suspicious(w.Objects, start.Add(time.Minute)), Reference{Kind: "Node", Name: "node1"}, name)
		verdict := w.judge(91 * time.Second)
		assert.Equal(t, test.code, verdict.Code, "%s: %s", name, verdict.Cause)
		assert.Contains(t, verdict.Cause, test.says, name)
	}

	w := rollingOut().of(1).pod("new", "a", left)
	w.judge(0, time.Minute)
	w.Pods[0].Status.Conditions[0].Status = corev1.ConditionTrue
	assert.Equal(t, Done, w.judge(70*time.Second).State, "the node is back")
}

func (w *world) objects() []runtime.Object {
	list := []runtime.Object{w.Deployment}
	for _, set := range w.ReplicaSets {
		list = append(list, set)
	}
	for _, pod := range w.Pods {
		list = append(list, pod)
	}
	return list
}

// Beside a workload that is absent the others are looked at once, and no node is asked.
func TestAGlanceGoesByTheStatus(t *testing.T) {
	f := newFollower(nil, Target{Deployment, "app"}, Options{Criteria: Criteria{Graces: DefaultGraces}})
	f.uid, f.observer = "d", nil
	w := rollingOut().of(1).pod("new", "a", unprobed)
	f.judge(w.objects(), start.Add(2*time.Second))
	assert.Equal(t, Progressing, f.verdict.State)
	f.judge(w.objects(), start.Add(time.Minute))
	assert.Equal(t, Done, f.verdict.State)
}

// What has the name of what was deleted is another one: its pods say nothing about what is waited for.
func TestAWorkloadThatIsMadeAnewIsAnotherOne(t *testing.T) {
	f := newFollower(nil, Target{Deployment, "app"}, Options{Criteria: Criteria{Graces: DefaultGraces}})
	f.uid = "d"
	w := rollingOut().of(1).pod("new", "a")
	f.judge(w.objects(), start.Add(time.Second))
	assert.Equal(t, Done, f.verdict.State)
	w.Deployment.UID = "another"
	for _, set := range w.ReplicaSets {
		set.OwnerReferences[0].UID = "another"
	}
	f.judge(w.objects(), start.Add(2*time.Second))
	assert.Equal(t, "DELETED", f.verdict.Code)
	assert.Contains(t, f.verdict.Cause, "deployment/app was deleted while it was waited for, and made anew")
	f.judge(nil, start.Add(3*time.Second))
	assert.Equal(t, "DELETED", f.verdict.Code)
	assert.NotContains(t, f.verdict.Cause, "anew")
}

// What nobody listed, for each kind of workload, and never a done that is none.
func TestWhatIsNotDone(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	sidecar := func(status corev1.ContainerStatus) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Spec.InitContainers = []corev1.Container{{Name: "proxy", RestartPolicy: &always, StartupProbe: &corev1.Probe{}}}
			status.Name = "proxy"
			pod.Status.InitContainerStatuses = []corev1.ContainerStatus{status}
		}
	}
	for name, change := range map[string]func(*corev1.Pod){
		"a sidecar that has ended": sidecar(corev1.ContainerStatus{State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{}}}),
		"a sidecar that is not ready":  sidecar(corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}),
		"a sidecar without a status":   func(pod *corev1.Pod) { sidecar(corev1.ContainerStatus{})(pod); pod.Status.InitContainerStatuses = nil },
		"a pod that was evicted":       func(pod *corev1.Pod) { pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "Evicted" },
		"a pod that was preempted":     func(pod *corev1.Pod) { pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "Preempting" },
		"a pod that has ended well":    func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodSucceeded },
		"a pod that is being deleted":  deleted,
		"a pod on a node that is gone": left,
		"a pod without a Ready":        func(pod *corev1.Pod) { pod.Status.Conditions = nil },
		"a pod without a status":       func(pod *corev1.Pod) { pod.Status = corev1.PodStatus{} },
		"a pod whose phase is unknown": func(pod *corev1.Pod) {
			pod.Status.Phase = corev1.PodUnknown
			pod.Status.Conditions[0].Status = "Unknown"
		},
		"a container without a status":  func(pod *corev1.Pod) { pod.Status.ContainerStatuses = nil },
		"one container of two":          func(pod *corev1.Pod) { pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "b"}) },
		"a pod that another owns":       func(pod *corev1.Pod) { pod.OwnerReferences = controlledBy("somebody") },
		"a pod that nobody owns":        func(pod *corev1.Pod) { pod.OwnerReferences = nil },
		"a pod of a former name's UID":  func(pod *corev1.Pod) { pod.OwnerReferences[0].UID += "-former" },
		"a container that is not ready": func(pod *corev1.Pod) { pod.Status.ContainerStatuses[0].Ready = false },
	} {
		for kind, w := range map[string]*world{
			"deployment":  rollingOut().of(2).pod("new", "a").pod("new", "b"),
			"statefulset": setOf(nil),
			"daemonset":   daemonOf(nil),
		} {
			change(w.Pods[1])
			for _, at := range []time.Duration{time.Second, 20 * time.Second, 5 * time.Minute} {
				verdict := w.judge(at)
				assert.NotEqual(t, Done, verdict.State, "%s of a %s after %s: %s", name, kind, at, verdict.Cause)
			}
		}
	}
	// The same for minReadySeconds, a scale-up, another revision, a rollout that is paused in the middle.
	for name, change := range map[string]func(*appsv1.Deployment){
		"not yet available by minReadySeconds": func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = 600 },
		"an autoscaler asks for one more":      func(d *appsv1.Deployment) { d.Spec.Replicas, d.Status.Replicas = number(3), 3 },
		"a change that nobody has seen":        func(d *appsv1.Deployment) { d.Generation++ },
		"paused in the middle":                 func(d *appsv1.Deployment) { d.Spec.Paused = true },
		"another template": func(d *appsv1.Deployment) {
			d.Spec.Template = *d.Spec.Template.DeepCopy()
			d.Spec.Template.Spec.Containers[0].Image = "third"
		},
		"an old pod by the status": func(d *appsv1.Deployment) { d.Status.Replicas = 3 },
	} {
		w := rollingOut().of(2).pod("new", "a").pod("new", "b")
		change(w.Deployment)
		verdict := w.judge(time.Second)
		assert.NotEqual(t, Done, verdict.State, "%s: %s", name, verdict.Cause)
	}
}
