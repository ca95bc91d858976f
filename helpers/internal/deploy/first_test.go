package deploy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/helpers/internal/rollout"
)

// past of a Deployment: what its status, annotations and pods say.
type world struct {
	asked, ready int32
	reason       string // of the condition Progressing
	annotations  map[string]string
	before       *rollout.Before
	setReady     int32    // of an older ReplicaSet
	pods         []string // ready, never, once, foreign
}

func (w world) history() History {
	yes := true
	owned := func(kind string, uid types.UID) []metav1.OwnerReference {
		return []metav1.OwnerReference{{Kind: kind, UID: uid, Controller: &yes}}
	}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{UID: "d", Annotations: w.annotations}}
	d.Spec.Replicas, d.Status.ReadyReplicas = &w.asked, w.ready
	if w.reason != "" {
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Reason: w.reason}}
	}
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{UID: "s", OwnerReferences: owned("Deployment", "d")}}
	set.Status.ReadyReplicas = w.setReady
	began := metav1.NewTime(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC))
	var pods []corev1.Pod
	for _, kind := range w.pods {
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: owned("ReplicaSet", "s")}}
		pod.Status.StartTime = &began
		condition := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: began}
		switch kind {
		case "ready":
			condition.Status = corev1.ConditionTrue
		case "once":
			condition.LastTransitionTime = metav1.NewTime(began.Add(time.Minute))
		case "foreign":
			condition.Status = corev1.ConditionTrue
			pod.OwnerReferences = owned("ReplicaSet", "another")
		}
		pod.Status.Conditions = []corev1.PodCondition{condition}
		pods = append(pods, pod)
	}
	return historyOf(d, w.before, []*appsv1.ReplicaSet{set}, pods)
}

func TestFirstIsDecidedByHistoryAndNotByReadinessNow(t *testing.T) {
	good := map[string]string{rollout.GoodAnnotation: "abc"}
	for name, test := range map[string]struct {
		world
		first bool
	}{
		"applied, and at 0": {
			world{reason: "NewReplicaSetAvailable"},
			true,
		},
		"applied, with an image of no site": {
			world{asked: 9, reason: "ReplicaSetUpdated", pods: []string{"never", "never"}},
			true,
		},
		"applied, and given up": {
			world{asked: 9, reason: "ProgressDeadlineExceeded", pods: []string{"never"}},
			true,
		},
		"a first release that failed, and was undone": {
			world{asked: 2, before: &rollout.Before{First: true, Undone: true}, pods: []string{"never"}},
			true,
		},
		"a first release that failed, and was not undone": {
			world{asked: 2, before: &rollout.Before{First: true}, pods: []string{"never"}},
			true,
		},
		"a pod of something else is ready": {
			world{asked: 2, pods: []string{"foreign", "never"}},
			true,
		},
		"deployed by hand": {
			world{asked: 3, ready: 3, reason: "NewReplicaSetAvailable"},
			false,
		},
		"deployed by hand, and blinking": {
			world{asked: 3, reason: "NewReplicaSetAvailable", pods: []string{"once", "once", "once"}},
			false,
		},
		"deployed by hand, without a progress deadline": {
			world{asked: 3, pods: []string{"once"}},
			false,
		},
		"deployed by hand, and its pods were just replaced": {
			world{asked: 3, reason: "NewReplicaSetAvailable", pods: []string{"never"}},
			false,
		},
		"deployed by hand, and a later change fails": {
			world{asked: 3, reason: "ProgressDeadlineExceeded", setReady: 2},
			false,
		},
		"one of three is ready": {
			world{asked: 3, ready: 1, reason: "ReplicaSetUpdated"},
			false,
		},
		"scaled to nothing, after a good release": {
			world{annotations: good},
			false,
		},
		"down, after a good release": {
			world{asked: 3, annotations: good, pods: []string{"never"}},
			false,
		},
		"a good one before the present one": {
			world{asked: 3, annotations: map[string]string{rollout.LastGoodAnnotation: `{"hash":"x"}`}},
			false,
		},
		"changed by slipway, and it had served": {
			world{asked: 3, before: &rollout.Before{Replicas: 3}, pods: []string{"never"}},
			false,
		},
		"scaled to nothing, and no revision is marked": {
			world{before: &rollout.Before{Replicas: 3}},
			true,
		},
	} {
		assert.Equal(t, test.first, First(test.history()), name)
	}
}
