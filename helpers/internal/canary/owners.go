package canary

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

// learn reads the pods' metadata. A pod's owner is its ReplicaSet, and that one's its Deployment, each by its UID:
// one of the same name that was deleted and made anew is another one.
// A route's endpoints are those of the canary's own Service, which selects no other pods.
func (t *Traffic) learn(ctx context.Context, ready map[types.UID]bool) (owners, error) {
	known := owners{}
	if t.route.Router != "service" {
		for pod := range ready {
			known[pod] = ofCanary
		}
		return known, nil
	}
	pods, err := t.metadata(ctx, corev1.SchemeGroupVersion.WithResource("pods"))
	if err != nil {
		return nil, kube.Explain(err, "looking whose the pods are")
	}
	if err := t.learnSets(ctx, pods); err != nil {
		return nil, kube.Explain(err, "looking whose the pods' ReplicaSets are")
	}
	for i := range pods {
		owner := metav1.GetControllerOf(&pods[i])
		if owner == nil {
			continue
		}
		switch deployment, owned := t.sets[owner.UID]; {
		case owned && deployment == t.stable.UID:
			known[pods[i].UID] = ofStable
		case owned && deployment == t.canary.UID:
			known[pods[i].UID] = ofCanary
		}
	}
	return known, nil
}

// learnSets reads whose the ReplicaSets are, where a pod is owned by one that was not seen before.
func (t *Traffic) learnSets(ctx context.Context, pods []metav1.PartialObjectMetadata) error {
	if !slices.ContainsFunc(pods, func(pod metav1.PartialObjectMetadata) bool {
		owner := metav1.GetControllerOf(&pod)
		return owner != nil && owner.Kind == "ReplicaSet" && t.sets[owner.UID] == ""
	}) {
		return nil
	}
	sets, err := t.metadata(ctx, appsv1.SchemeGroupVersion.WithResource("replicasets"))
	if err != nil {
		return err
	}
	t.sets = map[types.UID]types.UID{}
	for i := range sets {
		if owner := metav1.GetControllerOf(&sets[i]); owner != nil {
			t.sets[sets[i].UID] = owner.UID
		}
	}
	return nil
}

// metadata lists that of what Deployments have made.
func (t *Traffic) metadata(ctx context.Context, resource schema.GroupVersionResource) ([]metav1.PartialObjectMetadata, error) {
	list, err := t.cluster.Metadata().Resource(resource).Namespace(t.cluster.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: appsv1.DefaultDeploymentUniqueLabelKey})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
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
