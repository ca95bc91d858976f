package kube

import (
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

// objects of a kind, whose values are made by new.
func objects[T, L any, PT pointer[T], PL pointer[L]](client rest.Interface, resource, namespace string) Objects[PT, PL] {
	return Objects[PT, PL]{client, namespace, resource, func() PT { return new(T) }, func() PL { return new(L) }}
}

type pointer[T any] interface {
	*T
	runtime.Object
}

// AppsV1 are the kinds of apps/v1.
type AppsV1 struct{ client rest.Interface }

// Apps gives Deployments, ReplicaSets, StatefulSets and DaemonSets.
func (c *Cluster) Apps() AppsV1 { return AppsV1{c.group(appsv1.SchemeGroupVersion)} }

// RESTClient is the group's own, for what has no method here.
func (g AppsV1) RESTClient() rest.Interface { return g.client }

// Deployments of the namespace.
func (g AppsV1) Deployments(namespace string) Objects[*appsv1.Deployment, *appsv1.DeploymentList] {
	return objects[appsv1.Deployment, appsv1.DeploymentList](g.client, "deployments", namespace)
}

// ReplicaSets of the namespace.
func (g AppsV1) ReplicaSets(namespace string) Objects[*appsv1.ReplicaSet, *appsv1.ReplicaSetList] {
	return objects[appsv1.ReplicaSet, appsv1.ReplicaSetList](g.client, "replicasets", namespace)
}

// StatefulSets of the namespace.
func (g AppsV1) StatefulSets(namespace string) Objects[*appsv1.StatefulSet, *appsv1.StatefulSetList] {
	return objects[appsv1.StatefulSet, appsv1.StatefulSetList](g.client, "statefulsets", namespace)
}

// DaemonSets of the namespace.
func (g AppsV1) DaemonSets(namespace string) Objects[*appsv1.DaemonSet, *appsv1.DaemonSetList] {
	return objects[appsv1.DaemonSet, appsv1.DaemonSetList](g.client, "daemonsets", namespace)
}

// CoreV1 are the kinds of v1.
type CoreV1 struct{ client rest.Interface }

// Core gives Pods, Services, Events, Secrets and the like.
func (c *Cluster) Core() CoreV1 { return CoreV1{c.group(corev1.SchemeGroupVersion)} }

// RESTClient is the group's own, for what has no method here.
func (g CoreV1) RESTClient() rest.Interface { return g.client }

// PodObjects are Pods, which have a log beside what all objects have.
type PodObjects struct {
	Objects[*corev1.Pod, *corev1.PodList]
}

// Pods of the namespace.
func (g CoreV1) Pods(namespace string) PodObjects {
	return PodObjects{objects[corev1.Pod, corev1.PodList](g.client, "pods", namespace)}
}

// GetLogs asks for a container's log.
func (p PodObjects) GetLogs(name string, options *corev1.PodLogOptions) *rest.Request {
	return p.request(p.client.Get()).Name(name).SubResource("log").VersionedParams(options, Parameters)
}

// Services of the namespace.
func (g CoreV1) Services(namespace string) Objects[*corev1.Service, *corev1.ServiceList] {
	return objects[corev1.Service, corev1.ServiceList](g.client, "services", namespace)
}

// Secrets of the namespace.
func (g CoreV1) Secrets(namespace string) Objects[*corev1.Secret, *corev1.SecretList] {
	return objects[corev1.Secret, corev1.SecretList](g.client, "secrets", namespace)
}

// ConfigMaps of the namespace.
func (g CoreV1) ConfigMaps(namespace string) Objects[*corev1.ConfigMap, *corev1.ConfigMapList] {
	return objects[corev1.ConfigMap, corev1.ConfigMapList](g.client, "configmaps", namespace)
}

// ServiceAccounts of the namespace.
func (g CoreV1) ServiceAccounts(namespace string) Objects[*corev1.ServiceAccount, *corev1.ServiceAccountList] {
	return objects[corev1.ServiceAccount, corev1.ServiceAccountList](g.client, "serviceaccounts", namespace)
}

// Events of the namespace.
func (g CoreV1) Events(namespace string) Objects[*corev1.Event, *corev1.EventList] {
	return objects[corev1.Event, corev1.EventList](g.client, "events", namespace)
}

// ResourceQuotas of the namespace.
func (g CoreV1) ResourceQuotas(namespace string) Objects[*corev1.ResourceQuota, *corev1.ResourceQuotaList] {
	return objects[corev1.ResourceQuota, corev1.ResourceQuotaList](g.client, "resourcequotas", namespace)
}

// LimitRanges of the namespace.
func (g CoreV1) LimitRanges(namespace string) Objects[*corev1.LimitRange, *corev1.LimitRangeList] {
	return objects[corev1.LimitRange, corev1.LimitRangeList](g.client, "limitranges", namespace)
}

// PersistentVolumeClaims of the namespace.
func (g CoreV1) PersistentVolumeClaims(namespace string) Objects[*corev1.PersistentVolumeClaim, *corev1.PersistentVolumeClaimList] {
	return objects[corev1.PersistentVolumeClaim, corev1.PersistentVolumeClaimList](g.client, "persistentvolumeclaims", namespace)
}

// Nodes of the cluster.
func (g CoreV1) Nodes() Objects[*corev1.Node, *corev1.NodeList] {
	return objects[corev1.Node, corev1.NodeList](g.client, "nodes", "")
}

// Namespaces of the cluster.
func (g CoreV1) Namespaces() Objects[*corev1.Namespace, *corev1.NamespaceList] {
	return objects[corev1.Namespace, corev1.NamespaceList](g.client, "namespaces", "")
}

// CoordinationV1 are the kinds of coordination.k8s.io/v1.
type CoordinationV1 struct{ client rest.Interface }

// Coordination gives Leases.
func (c *Cluster) Coordination() CoordinationV1 {
	return CoordinationV1{c.group(coordinationv1.SchemeGroupVersion)}
}

// Leases of the namespace.
func (g CoordinationV1) Leases(namespace string) Objects[*coordinationv1.Lease, *coordinationv1.LeaseList] {
	return objects[coordinationv1.Lease, coordinationv1.LeaseList](g.client, "leases", namespace)
}

// DiscoveryV1 are the kinds of discovery.k8s.io/v1.
type DiscoveryV1 struct{ client rest.Interface }

// Discovery gives EndpointSlices.
func (c *Cluster) Discovery() DiscoveryV1 {
	return DiscoveryV1{c.group(discoveryv1.SchemeGroupVersion)}
}

// EndpointSlices of the namespace.
func (g DiscoveryV1) EndpointSlices(namespace string) Objects[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList] {
	return objects[discoveryv1.EndpointSlice, discoveryv1.EndpointSliceList](g.client, "endpointslices", namespace)
}
