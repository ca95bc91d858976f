package deploy

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// History is what the cluster still knows of a Deployment's past.
type History struct {
	Recorded  bool  // slipway noted a good revision, or a change of what had served
	Asked     int32 // replicas that are asked for now
	Ready     int32 // pods of any revision that are ready now
	WereReady int   // pods that are there and were ready once
	Complete  bool  // the controller has seen the present revision complete
}

// First says whether a release is the first one: nothing has ever served. It goes by the
// past, and not by whether a pod is ready at this moment.
func First(h History) bool {
	return !h.Recorded && h.Ready == 0 && h.WereReady == 0 && !(h.Complete && h.Asked > 0)
}

// historyOf reads the past from the Deployment, its ReplicaSets and its pods.
func historyOf(deployment *appsv1.Deployment, before *rollout.Before, sets []*appsv1.ReplicaSet, pods []corev1.Pod) History {
	h := History{Asked: replicas(deployment), Ready: deployment.Status.ReadyReplicas}
	for _, key := range []string{rollout.GoodAnnotation, rollout.LastGoodAnnotation} {
		h.Recorded = h.Recorded || deployment.Annotations[key] != ""
	}
	// Without a mark, at 0 replicas there is nobody who could be harmed.
	h.Recorded = h.Recorded || before != nil && !before.First && h.Asked > 0
	own := map[string]bool{}
	for _, set := range sets {
		if metav1.IsControlledBy(set, deployment) {
			own[string(set.UID)] = true
			h.Ready = max(h.Ready, set.Status.ReadyReplicas)
		}
	}
	for _, condition := range deployment.Status.Conditions {
		// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#complete-deployment
		h.Complete = h.Complete || condition.Type == appsv1.DeploymentProgressing && condition.Reason == "NewReplicaSetAvailable"
	}
	for _, pod := range pods {
		if owner := metav1.GetControllerOf(&pod); owner != nil && own[string(owner.UID)] && wasReady(pod) {
			h.WereReady++
		}
	}
	return h
}

// wasReady says whether a pod is ready, or was once: the condition is written when the
// kubelet takes the pod up, and has changed since only if the pod was ready in between.
func wasReady(pod corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue ||
				pod.Status.StartTime != nil && condition.LastTransitionTime.Sub(pod.Status.StartTime.Time) > time.Second
		}
	}
	return false
}

// past reads what First needs; the pods only where nothing else has decided.
func past(
	ctx context.Context,
	cluster *kube.Cluster,
	deployment *appsv1.Deployment,
	before *rollout.Before,
	sets []*appsv1.ReplicaSet,
) (History, error) {
	h := historyOf(deployment, before, sets, nil)
	if !First(h) || deployment.Status.Replicas == 0 {
		return h, nil
	}
	pods, err := cluster.Core().
		Pods(cluster.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(deployment.Spec.Selector)})
	if err != nil {
		return h, err
	}
	return historyOf(deployment, before, sets, pods.Items), nil
}

// replicas are those that are asked for.
func replicas(deployment *appsv1.Deployment) int32 {
	if deployment.Spec.Replicas == nil {
		return 1
	}
	return *deployment.Spec.Replicas
}
