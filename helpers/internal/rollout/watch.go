package rollout

import (
	"context"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/helpers/internal/kube"
)

// source is one selected list of objects, kept current by a watch.
type source struct {
	client    rest.Interface
	namespace string
	resource  string
	kind      func() runtime.Object // an empty list
	options   metav1.ListOptions    // the selectors

	lock    sync.Mutex
	objects map[types.UID]runtime.Object // nil before the first list
	watched bool                         // a watch has been granted once
}

// retry is the pause between two attempts to reach the API server, unless it
// names another one; a request's own time-out is how long one attempt may hang.
const (
	retry          = time.Second
	requestTimeout = 10 * time.Second
)

// list reads all the objects from the store behind the API server, so that what
// it gives is never older than what the caller has just changed.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list
func (s *source) list(ctx context.Context) (map[types.UID]runtime.Object, string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list := s.kind()
	err := s.client.Get().Namespace(s.namespace).Resource(s.resource).VersionedParams(&s.options, kube.Parameters).Do(ctx).Into(list)
	if err != nil {
		return nil, "", err
	}
	found := map[types.UID]runtime.Object{}
	err = meta.EachListItem(list, func(object runtime.Object) error {
		return keep(found, object)
	})
	if err != nil {
		return nil, "", err
	}
	accessor, err := meta.ListAccessor(list)
	if err != nil {
		return nil, "", err
	}
	return found, accessor.GetResourceVersion(), nil
}

func keep(objects map[types.UID]runtime.Object, object runtime.Object) error {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	accessor.SetManagedFields(nil)
	objects[accessor.GetUID()] = object
	return nil
}

// follow keeps the objects current until the context ends: list, watch, and list
// again where the watch cannot be taken up.
func (s *source) follow(ctx context.Context, health *health) {
	version := ""
	for ctx.Err() == nil {
		if version == "" {
			found, listed, err := s.list(ctx)
			if err != nil {
				health.fail(s.resource, err, s.objects != nil)
				pause(ctx, err)
				continue
			}
			s.lock.Lock()
			s.objects = found
			s.lock.Unlock()
			version = listed
			health.good(s.resource)
			health.wake()
		}
		var err error
		if version, err = s.watch(ctx, version, health); err != nil && ctx.Err() == nil {
			if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
				continue // history is gone: version is empty, and the list is read again
			}
			health.fail(s.resource, err, s.watched)
			pause(ctx, err)
		}
	}
}

// watch applies changes until the server ends the watch, and gives the version
// from which it can be taken up; an empty one asks for a new list.
func (s *source) watch(ctx context.Context, version string, health *health) (string, error) {
	options := s.options
	options.Watch, options.ResourceVersion, options.AllowWatchBookmarks = true, version, true
	stream, err := s.client.Get().Namespace(s.namespace).Resource(s.resource).VersionedParams(&options, kube.Parameters).Watch(ctx)
	if err != nil {
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			return "", err
		}
		return version, err
	}
	defer stream.Stop()
	s.watched = true
	health.good(s.resource)
	for event := range stream.ResultChan() {
		if event.Type == watch.Error {
			return "", apierrors.FromObject(event.Object)
		}
		accessor, err := meta.Accessor(event.Object)
		if err != nil {
			return "", err
		}
		version = accessor.GetResourceVersion()
		s.lock.Lock()
		switch event.Type {
		case watch.Added, watch.Modified:
			err = keep(s.objects, event.Object)
		case watch.Deleted:
			delete(s.objects, accessor.GetUID())
		}
		s.lock.Unlock()
		if err != nil {
			return "", err
		}
		health.good(s.resource)
		if event.Type != watch.Bookmark {
			health.wake()
		}
	}
	return version, nil
}

func pause(ctx context.Context, err error) {
	wait := retry
	if seconds, told := apierrors.SuggestsClientDelay(err); told {
		wait = max(wait, time.Duration(seconds)*time.Second)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// snapshot gives what is known; begun is false before the first list.
func (s *source) snapshot() (known []runtime.Object, begun bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	objects := make([]runtime.Object, 0, len(s.objects))
	for _, object := range s.objects {
		objects = append(objects, object)
	}
	return objects, s.objects != nil
}

// ownSource and partSources are those of one workload: itself, and, once its
// selector is known, its pods and revisions. Nothing else in the namespace is asked for.
func ownSource(cluster *kube.Cluster, target Target) *source {
	own := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", target.Name).String()}
	return &source{client: cluster.Apps().RESTClient(), namespace: cluster.Namespace, resource: resources[target.Kind],
		kind: lists[target.Kind], options: own}
}

func partSources(cluster *kube.Cluster, target Target, selector string) []*source {
	selected := metav1.ListOptions{LabelSelector: selector}
	part := func(client rest.Interface, resource string, kind func() runtime.Object) *source {
		return &source{client: client, namespace: cluster.Namespace, resource: resource, kind: kind, options: selected}
	}
	parts := []*source{part(cluster.Core().RESTClient(), "pods", func() runtime.Object { return &corev1.PodList{} })}
	apps := cluster.Apps().RESTClient()
	switch target.Kind {
	case Deployment:
		parts = append(parts, part(apps, "replicasets", func() runtime.Object { return &appsv1.ReplicaSetList{} }))
	case DaemonSet:
		parts = append(parts, part(apps, "controllerrevisions", func() runtime.Object { return &appsv1.ControllerRevisionList{} }))
	}
	return parts
}

var (
	resources = map[string]string{Deployment: "deployments", StatefulSet: "statefulsets", DaemonSet: "daemonsets"}
	lists     = map[string]func() runtime.Object{
		Deployment:  func() runtime.Object { return &appsv1.DeploymentList{} },
		StatefulSet: func() runtime.Object { return &appsv1.StatefulSetList{} },
		DaemonSet:   func() runtime.Object { return &appsv1.DaemonSetList{} },
	}
)

// assemble sorts objects into Objects; found is false while the workload is not among them.
func assemble(objects []runtime.Object) (o Objects, found bool) {
	for _, object := range objects {
		switch object := object.(type) {
		case *appsv1.Deployment:
			o.Deployment, found = object, true
		case *appsv1.StatefulSet:
			o.StatefulSet, found = object, true
		case *appsv1.DaemonSet:
			o.DaemonSet, found = object, true
		case *appsv1.ReplicaSet:
			o.ReplicaSets = append(o.ReplicaSets, object)
		case *appsv1.ControllerRevision:
			o.Revisions = append(o.Revisions, object)
		case *corev1.Pod:
			o.Pods = append(o.Pods, object)
		}
	}
	return o, found
}
