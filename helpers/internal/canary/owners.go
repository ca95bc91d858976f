package canary

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// owners tell by ownerReferences which version a pod is of: a pod's name says nothing, for
// it is cut where it is too long. A pod of neither is known, and empty.
type owners map[types.UID]string

const (
	ofStable = "stable"
	ofCanary = "canary"
)

// learn reads the pods' metadata in one request. A pod's owner is its ReplicaSet, whose name,
// which unlike a pod's is never cut, is its Deployment's and the pod's own pod-template-hash.
// A route's endpoints are those of the canary's own Service, which selects no other pods.
func (t *Traffic) learn(ctx context.Context, ready map[types.UID]bool) (owners, error) {
	known := owners{}
	if t.route.Router != "service" {
		for pod := range ready {
			known[pod] = ofCanary
		}
		return known, nil
	}
	pods, err := t.cluster.Metadata().Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(t.cluster.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: appsv1.DefaultDeploymentUniqueLabelKey})
	if err != nil {
		return nil, kube.Explain(err, "looking whose the pods are")
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		owner := metav1.GetControllerOf(pod)
		if owner == nil || owner.Kind != "ReplicaSet" {
			continue
		}
		switch owner.Name {
		case t.names.Stable + "-" + pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]:
			known[pod.UID] = ofStable
		case t.names.Canary + "-" + pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]:
			known[pod.UID] = ofCanary
		}
	}
	return known, nil
}

// canaryPods are those of the canary's present revision that are neither over nor on
// their way out, by ownerReferences.
func (t *Traffic) canaryPods(ctx context.Context) ([]corev1.Pod, error) {
	selected := metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(t.canary.Spec.Selector)}
	sets, err := t.cluster.Apps().ReplicaSets(t.cluster.Namespace).List(ctx, selected)
	if err != nil {
		return nil, kube.Explain(err, "looking at the canary's ReplicaSets")
	}
	objects := rollout.Objects{Deployment: t.canary}
	for i := range sets.Items {
		objects.ReplicaSets = append(objects.ReplicaSets, &sets.Items[i])
	}
	newest := objects.NewReplicaSet()
	if newest == nil {
		return nil, nil
	}
	pods, err := t.cluster.Core().Pods(t.cluster.Namespace).List(ctx, selected)
	if err != nil {
		return nil, kube.Explain(err, "looking at the canary's pods")
	}
	var own []corev1.Pod
	for _, pod := range pods.Items {
		over := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
		if pod.DeletionTimestamp == nil && !over && metav1.IsControlledBy(&pod, newest) {
			own = append(own, pod)
		}
	}
	return own, nil
}
