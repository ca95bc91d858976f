// Package room counts how many more pods of a Deployment the namespace's quotas allow.
package room

import (
	"context"
	"fmt"
	"math"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"slipway.dev/slipway/helpers/internal/kube"
)

// Room is what is left. Why names the quota that leaves the least.
type Room struct {
	Pods int // math.MaxInt where nothing limits them
	Why  string
}

// Left asks the ResourceQuotas of the namespace, and, where one of them counts CPU or
// memory, the LimitRanges, by whose defaults a container without requests is counted.
func Left(ctx context.Context, cluster *kube.Cluster, pod corev1.PodSpec) (Room, error) {
	quotas, err := cluster.Core().ResourceQuotas(cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return Room{}, kube.Explain(err, "reading the namespace's quota")
	}
	var ranges []corev1.LimitRange
	if countsResources(quotas.Items) {
		found, err := cluster.Core().LimitRanges(cluster.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil && !kube.IsDenied(err) {
			return Room{}, kube.Explain(err, "reading the namespace's LimitRanges")
		}
		if err == nil {
			ranges = found.Items
		}
	}
	return in(quotas.Items, withDefaults(pod, ranges)), nil
}

func countsResources(quotas []corev1.ResourceQuota) bool {
	for _, quota := range quotas {
		for name := range quota.Status.Hard {
			if name != corev1.ResourcePods && name != "count/pods" {
				return true
			}
		}
	}
	return false
}

func in(quotas []corev1.ResourceQuota, pod corev1.PodSpec) Room {
	room := Room{Pods: math.MaxInt}
	for _, quota := range quotas {
		if !counts(quota, pod) {
			continue
		}
		for name, hard := range quota.Status.Hard {
			used := quota.Status.Used[name]
			each := need(name, pod)
			if each == 0 {
				continue
			}
			if left := int(max(0, hard.MilliValue()-used.MilliValue()) / each); left < room.Pods {
				room = Room{left, fmt.Sprintf("resourcequota/%s leaves room for %d more pods by %s", quota.Name, left, name)}
			}
		}
	}
	return room
}

// counts says whether the quota's scopes include the pod.
// https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-scopes
func counts(quota corev1.ResourceQuota, pod corev1.PodSpec) bool {
	bestEffort := need(
		corev1.ResourceRequestsCPU,
		pod,
	)+need(
		corev1.ResourceRequestsMemory,
		pod,
	)+need(
		corev1.ResourceLimitsCPU,
		pod,
	)+need(
		corev1.ResourceLimitsMemory,
		pod,
	) == 0
	included := func(scope corev1.ResourceQuotaScope, operator corev1.ScopeSelectorOperator, values []string) bool {
		switch scope {
		case corev1.ResourceQuotaScopeTerminating:
			return pod.ActiveDeadlineSeconds != nil
		case corev1.ResourceQuotaScopeNotTerminating:
			return pod.ActiveDeadlineSeconds == nil
		case corev1.ResourceQuotaScopeBestEffort:
			return bestEffort
		case corev1.ResourceQuotaScopeNotBestEffort:
			return !bestEffort
		case corev1.ResourceQuotaScopePriorityClass:
			switch operator {
			case corev1.ScopeSelectorOpIn:
				return slices.Contains(values, pod.PriorityClassName)
			case corev1.ScopeSelectorOpNotIn:
				return !slices.Contains(values, pod.PriorityClassName)
			case corev1.ScopeSelectorOpDoesNotExist:
				return pod.PriorityClassName == ""
			}
			return pod.PriorityClassName != ""
		}
		return false // one that this version does not know may not count the pod
	}
	for _, scope := range quota.Spec.Scopes {
		if !included(scope, "", nil) {
			return false
		}
	}
	if quota.Spec.ScopeSelector != nil {
		for _, expression := range quota.Spec.ScopeSelector.MatchExpressions {
			if !included(expression.ScopeName, expression.Operator, expression.Values) {
				return false
			}
		}
	}
	return true
}

// need is how much of a quota's resource one pod takes, in thousandths; 0 where it takes none.
func need(name corev1.ResourceName, pod corev1.PodSpec) int64 {
	requests := func(r corev1.ResourceRequirements) corev1.ResourceList { return r.Requests }
	limits := func(r corev1.ResourceRequirements) corev1.ResourceList { return r.Limits }
	switch name {
	case corev1.ResourcePods, "count/pods":
		return 1000
	case corev1.ResourceCPU, corev1.ResourceRequestsCPU:
		return sum(pod, requests, corev1.ResourceCPU)
	case corev1.ResourceMemory, corev1.ResourceRequestsMemory:
		return sum(pod, requests, corev1.ResourceMemory)
	case corev1.ResourceLimitsCPU:
		return sum(pod, limits, corev1.ResourceCPU)
	case corev1.ResourceLimitsMemory:
		return sum(pod, limits, corev1.ResourceMemory)
	}
	return 0
}

// sum is what the pod asks for: its containers and native sidecars together, or
// an init container that is greater than they are.
// https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
func sum(pod corev1.PodSpec, of func(corev1.ResourceRequirements) corev1.ResourceList, name corev1.ResourceName) int64 {
	var all, sidecars, greatest int64
	for _, container := range pod.Containers {
		quantity := of(container.Resources)[name]
		all += quantity.MilliValue()
	}
	for _, container := range pod.InitContainers {
		quantity := of(container.Resources)[name]
		if container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sidecars += quantity.MilliValue()
			greatest = max(greatest, sidecars)
			continue
		}
		greatest = max(greatest, sidecars+quantity.MilliValue())
	}
	return max(all+sidecars, greatest)
}

// withDefaults fills in what the LimitRanges' admission would.
// https://kubernetes.io/docs/concepts/policy/limit-range/
func withDefaults(pod corev1.PodSpec, ranges []corev1.LimitRange) corev1.PodSpec {
	pod = *pod.DeepCopy()
	for _, list := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for i := range list {
			resources := &list[i].Resources
			for name, limit := range resources.Limits { // the API server asks for as much as the limit
				fill(&resources.Requests, name, limit)
			}
			for _, limits := range ranges {
				for _, item := range limits.Spec.Limits {
					if item.Type != corev1.LimitTypeContainer {
						continue
					}
					for name, quantity := range item.DefaultRequest {
						fill(&resources.Requests, name, quantity)
					}
					for name, quantity := range item.Default {
						fill(&resources.Limits, name, quantity)
					}
				}
			}
		}
	}
	return pod
}

func fill(list *corev1.ResourceList, name corev1.ResourceName, quantity resource.Quantity) {
	if _, set := (*list)[name]; set {
		return
	}
	if *list == nil {
		*list = corev1.ResourceList{}
	}
	(*list)[name] = quantity.DeepCopy()
}

// Surge is how many pods beside its own a Deployment starts when its template changes.
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#max-surge
func Surge(deployment *appsv1.Deployment) int {
	replicas := 1
	if deployment.Spec.Replicas != nil {
		replicas = int(*deployment.Spec.Replicas)
	}
	rolling := deployment.Spec.Strategy.RollingUpdate
	if replicas == 0 || deployment.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || rolling == nil || rolling.MaxSurge == nil {
		return 0
	}
	surge, err := intstr.GetScaledValueFromIntOrPercent(rolling.MaxSurge, replicas, true)
	if err != nil {
		return 0
	}
	return surge
}
