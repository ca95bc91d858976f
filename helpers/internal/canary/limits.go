package canary

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

var autoscalers = schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}

// limits adds to what was asked for what the cluster sets: an autoscaler that
// owns stable's replicas, and the quota's room. They count where pods give the share.
func (t *Traffic) limits(ctx context.Context, limits Limits, previous State) (Limits, error) {
	limits.Stable = int(previous.Stable)
	if limits.MinStable < 0 {
		limits.MinStable = limits.Stable
	}
	if t.route.Router != "service" {
		return limits, nil
	}
	found, err := t.cluster.Dynamic().Resource(autoscalers).Namespace(t.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return limits, kube.Explain(err, "looking for autoscalers of the two Deployments")
	}
	for _, item := range found.Items {
		spec, _ := item.Object["spec"].(map[string]any)
		target, _ := spec["scaleTargetRef"].(map[string]any)
		if text(target, "kind") != "Deployment" {
			continue
		}
		switch text(target, "name") {
		case t.names.Stable:
			limits.FixStable = true
			limits.Why += fmt.Sprintf("horizontalpodautoscaler/%s owns stable's replicas; ", item.GetName())
			t.log("horizontalpodautoscaler/%s owns stable's replicas: when it changes them, the share changes", item.GetName())
		case t.names.Canary:
			return limits, slipway.Usagef("horizontalpodautoscaler/%s owns the replicas of deployment/%s, by which the router service gives the share", item.GetName(), t.names.Canary).
				Next("remove that autoscaler, or give the share with a gateway")
		}
	}
	quotas, err := t.cluster.Core().ResourceQuotas(t.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return limits, kube.Explain(err, "reading the namespace's quota")
	}
	already := int(replicas(t.stable)+replicas(t.canary)) - limits.Stable
	for _, quota := range quotas.Items {
		if len(quota.Spec.Scopes) > 0 || quota.Spec.ScopeSelector != nil {
			continue // it may not count these pods
		}
		for name, hard := range quota.Status.Hard {
			room, counts := roomFor(name, hard, quota.Status.Used[name], t.canary.Spec.Template.Spec)
			if counts && room+already < limits.MaxExtra {
				limits.MaxExtra = max(0, room+already)
				limits.Why += fmt.Sprintf("resourcequota/%s leaves room for %d more pods by %s; ", quota.Name, room, name)
			}
		}
	}
	return limits, nil
}

// roomFor is how many more pods of the template a quota's resource allows.
// https://kubernetes.io/docs/concepts/policy/resource-quotas/
func roomFor(name corev1.ResourceName, hard, used resource.Quantity, pod corev1.PodSpec) (int, bool) {
	left := hard.MilliValue() - used.MilliValue()
	var each int64
	sum := func(of func(corev1.ResourceRequirements) corev1.ResourceList, name corev1.ResourceName) {
		for _, container := range pod.Containers {
			quantity := of(container.Resources)[name]
			each += quantity.MilliValue()
		}
	}
	requests := func(r corev1.ResourceRequirements) corev1.ResourceList { return r.Requests }
	limits := func(r corev1.ResourceRequirements) corev1.ResourceList { return r.Limits }
	switch name {
	case corev1.ResourcePods, "count/pods":
		each = 1000
	case corev1.ResourceCPU, corev1.ResourceRequestsCPU:
		sum(requests, corev1.ResourceCPU)
	case corev1.ResourceMemory, corev1.ResourceRequestsMemory:
		sum(requests, corev1.ResourceMemory)
	case corev1.ResourceLimitsCPU:
		sum(limits, corev1.ResourceCPU)
	case corev1.ResourceLimitsMemory:
		sum(limits, corev1.ResourceMemory)
	}
	if each == 0 {
		return 0, false
	}
	return int(max(0, left) / each), true
}
