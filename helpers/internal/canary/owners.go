package canary

import (
	"context"
	"fmt"
	"strings"

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

// learn reads the ReplicaSets and the pods of both Deployments, of each its metadata only.
func (t *Traffic) learn(ctx context.Context) (owners, error) {
	known := owners{}
	client := t.cluster.Metadata()
	sets, err := client.Resource(appsv1.SchemeGroupVersion.WithResource("replicasets")).
		Namespace(t.cluster.Namespace).
		List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, kube.Explain(err, "looking whose the pods are")
	}
	bySet := map[types.UID]string{}
	var hashes []string
	for i := range sets.Items {
		set := &sets.Items[i]
		switch {
		case metav1.IsControlledBy(set, t.stable):
			bySet[set.UID] = ofStable
		case metav1.IsControlledBy(set, t.canary):
			bySet[set.UID] = ofCanary
		default:
			continue
		}
		hashes = append(hashes, set.Labels[appsv1.DefaultDeploymentUniqueLabelKey])
	}
	if len(hashes) == 0 {
		return known, nil
	}
	selector := fmt.Sprintf("%s in (%s)", appsv1.DefaultDeploymentUniqueLabelKey, strings.Join(hashes, ","))
	pods, err := client.Resource(corev1.SchemeGroupVersion.WithResource("pods")).
		Namespace(t.cluster.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, kube.Explain(err, "looking whose the pods are")
	}
	for i := range pods.Items {
		if owner := metav1.GetControllerOf(&pods.Items[i]); owner != nil {
			known[pods.Items[i].UID] = bySet[owner.UID]
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
