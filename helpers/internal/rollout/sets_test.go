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

// setOf is a StatefulSet of two, both of the revision b unless changed.
func setOf(change func(*world)) *world {
	w := &world{Objects{
		StatefulSet: &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db", UID: "s", Generation: 1},
			Spec: appsv1.StatefulSetSpec{Replicas: number(2)},
			Status: appsv1.StatefulSetStatus{ObservedGeneration: 1, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2,
				UpdateRevision: "b", CurrentRevision: "b"}},
		Criteria: Criteria{Start: start, Graces: DefaultGraces},
	}}
	for i := range 2 {
		w.pod("s", fmt.Sprintf("db-%d", i), func(p *corev1.Pod) { p.Labels = map[string]string{"controller-revision-hash": "b"} })
	}
	if change != nil {
		change(w)
	}
	return w
}

func partition(n int32) appsv1.StatefulSetUpdateStrategy {
	return appsv1.StatefulSetUpdateStrategy{RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: number(n)}}
}

func TestStatefulSet(t *testing.T) {
	old := func(w *world, i int) { w.Pods[i].Labels["controller-revision-hash"] = "a" }
	for name, test := range map[string]struct {
		change func(*world)
		state  State
		code   string
	}{
		"complete":                    {nil, Done, ""},
		"ready and not yet available": {func(w *world) { w.StatefulSet.Status.AvailableReplicas = 1 }, Progressing, ""},
		"replaced, which the status does not know yet": {func(w *world) { runsSince(0, 0)(w.Pods[0]) }, Progressing, ""},
		"one is old":                       {func(w *world) { old(w, 0) }, Progressing, ""},
		"one is below the partition":       {func(w *world) { old(w, 0); w.StatefulSet.Spec.UpdateStrategy = partition(1) }, Done, ""},
		"one from the partition on is old": {func(w *world) { old(w, 1); w.StatefulSet.Spec.UpdateStrategy = partition(1) }, Progressing, ""},
		"a surplus pod":                    {func(w *world) { w.StatefulSet.Status.Replicas = 3 }, Progressing, ""},
		"not observed":                     {func(w *world) { w.StatefulSet.Generation = 2 }, Progressing, ""},
		"OnDelete": {func(w *world) { w.StatefulSet.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType },
			Failed, "ON_DELETE"},
		"ordinals from five on": {func(w *world) {
			w.StatefulSet.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 5}
			w.Pods[0].Name, w.Pods[1].Name = "db-5", "db-6"
		}, Done, ""},
		"a partition among ordinals from five on": {func(w *world) {
			w.StatefulSet.Spec.Ordinals, w.StatefulSet.Spec.UpdateStrategy = &appsv1.StatefulSetOrdinals{Start: 5}, partition(6)
			w.Pods[0].Name, w.Pods[1].Name = "db-5", "db-6"
			old(w, 0)
			w.Criteria.Image = "sha256:new"
			w.StatefulSet.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "r/app:2"}}
			w.Pods[1].Status.ContainerStatuses[0].ImageID = "" // not told yet
		}, Progressing, ""},
		"one crashes, and the next waits for it": {func(w *world) {
			w.StatefulSet.Status.AvailableReplicas = 1
			waitsFor("CrashLoopBackOff", "", 2)(w.Pods[1])
		}, Failed, "CRASH_LOOP"},
	} {
		verdict := setOf(test.change).judge(time.Second)
		assert.Equal(t, test.state, verdict.State, "%s: %s", name, verdict.Cause)
		assert.Equal(t, test.code, verdict.Code, name)
	}
}

func TestABrokenPodBlocksAnOrderedSetAlsoAfterAnUndo(t *testing.T) {
	w := setOf(func(w *world) {
		w.StatefulSet.Status.AvailableReplicas = 1
		w.Pods[1].Labels["controller-revision-hash"] = "bad"
		waitsFor("CrashLoopBackOff", "", 7)(w.Pods[1])
	})
	assert.Equal(t, Progressing, w.judge(0, 9*time.Second).State, "the controller may be about to delete it")
	verdict := w.judge(11 * time.Second)
	assert.Equal(t, "BROKEN_POD_BLOCKS", verdict.Code)
	assert.Contains(t, verdict.Cause, "kubectl delete pod")

	w.StatefulSet.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	w.Memory = nil
	assert.Equal(t, Progressing, w.judge(0, 60*time.Second).State)
}

// daemonOf is a DaemonSet on two nodes, both pods of the newest of two revisions.
func daemonOf(change func(*world)) *world {
	revision := func(hash string, number int64) *appsv1.ControllerRevision {
		return &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: hash, OwnerReferences: controlledBy("ds"),
			Labels: map[string]string{"controller-revision-hash": hash}}, Revision: number}
	}
	w := &world{Objects{
		DaemonSet: &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent", UID: "ds", Generation: 1},
			Status: appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 2, CurrentNumberScheduled: 2, UpdatedNumberScheduled: 2,
				NumberAvailable: 2}},
		Revisions: []*appsv1.ControllerRevision{revision("b", 2), revision("a", 1)},
		Criteria:  Criteria{Start: start, Graces: DefaultGraces},
	}}
	for _, name := range []string{"agent-x", "agent-y"} {
		w.pod("ds", name, func(p *corev1.Pod) { p.Labels = map[string]string{"controller-revision-hash": "b"} })
	}
	if change != nil {
		change(w)
	}
	return w
}

func TestDaemonSet(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*world)
		state  State
		code   string
	}{
		"complete":      {nil, Done, ""},
		"not available": {func(w *world) { w.DaemonSet.Status.NumberAvailable = 1 }, Progressing, ""},
		"not updated":   {func(w *world) { w.DaemonSet.Status.UpdatedNumberScheduled = 1 }, Progressing, ""},
		"OnDelete":      {func(w *world) { w.DaemonSet.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType }, Failed, "ON_DELETE"},
		"an old pod crashes": {func(w *world) {
			w.DaemonSet.Status.UpdatedNumberScheduled = 1
			w.Pods[1].Labels["controller-revision-hash"] = "a"
			waitsFor("CrashLoopBackOff", "", 9)(w.Pods[1])
		}, Progressing, ""},
	} {
		verdict := daemonOf(test.change).judge(time.Second)
		assert.Equal(t, test.state, verdict.State, "%s: %s", name, verdict.Cause)
		assert.Equal(t, test.code, verdict.Code, name)
	}
}

func TestANodeThatIsNotReadyIsToldApart(t *testing.T) {
	w := daemonOf(func(w *world) {
		w.DaemonSet.Status.NumberAvailable = 1
		w.Pods[1].Spec.NodeName = "node2"
		w.Pods[1].Status = corev1.PodStatus{}
		w.Nodes = []*corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "node2"}, Spec: corev1.NodeSpec{Unschedulable: true},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown,
				Message: "Kubelet stopped posting node status."}}}}}
	})
	assert.Equal(t, Progressing, w.judge(0, 89*time.Second).State)
	verdict := w.judge(91 * time.Second)
	assert.Equal(t, "NODE_NOT_READY", verdict.Code)
	assert.Contains(t, verdict.Cause, "Kubelet stopped posting")
	assert.Contains(t, verdict.Cause, "cordoned")
}
