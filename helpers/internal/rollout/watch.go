package rollout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// Target names a workload.
type Target struct{ Kind, Name string }

func (t Target) String() string { return t.Kind + "/" + t.Name }

// watcher follows one workload, its ReplicaSets and its pods, and nothing else.
type watcher struct {
	cluster *kube.Cluster
	target  Target
	changed chan struct{} // holds one token while something is new
	stores  []cache.Store // the workload; then, once the selector is known, pods and ReplicaSets

	lock    sync.Mutex
	trouble error     // the last error of a list or watch
	since   time.Time // since when there is trouble; zero where there is none
}

var resources = map[string]string{Deployment: "deployments", StatefulSet: "statefulsets", DaemonSet: "daemonsets"}

// fetch reads the workload once and gives its selector.
func (w *watcher) fetch(ctx context.Context) (runtime.Object, *metav1.LabelSelector, error) {
	apps, namespace := w.cluster.Apps(), w.cluster.Namespace
	switch w.target.Kind {
	case Deployment:
		found, err := apps.Deployments(namespace).Get(ctx, w.target.Name, metav1.GetOptions{})
		return found, selectorOf(found.Spec.Selector), err
	case StatefulSet:
		found, err := apps.StatefulSets(namespace).Get(ctx, w.target.Name, metav1.GetOptions{})
		return found, selectorOf(found.Spec.Selector), err
	default:
		found, err := apps.DaemonSets(namespace).Get(ctx, w.target.Name, metav1.GetOptions{})
		return found, selectorOf(found.Spec.Selector), err
	}
}

func selectorOf(selector *metav1.LabelSelector) *metav1.LabelSelector {
	if selector == nil {
		return &metav1.LabelSelector{}
	}
	return selector
}

// start begins to watch. It comes back when the first lists are there.
func (w *watcher) start(ctx context.Context, selector *metav1.LabelSelector) error {
	selected, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil || selected.Empty() {
		return slipway.Usagef("%s selects nothing", w.target)
	}
	apps, core := w.cluster.Apps().RESTClient(), w.cluster.Core().RESTClient()
	own := fields.OneTermEqualSelector("metadata.name", w.target.Name)
	switch w.target.Kind {
	case Deployment:
		w.follow(ctx, apps, "deployments", &appsv1.Deployment{}, own, labels.Everything())
	case StatefulSet:
		w.follow(ctx, apps, "statefulsets", &appsv1.StatefulSet{}, own, labels.Everything())
	default:
		w.follow(ctx, apps, "daemonsets", &appsv1.DaemonSet{}, own, labels.Everything())
	}
	w.follow(ctx, core, "pods", &corev1.Pod{}, fields.Everything(), selected)
	if w.target.Kind == Deployment {
		w.follow(ctx, apps, "replicasets", &appsv1.ReplicaSet{}, fields.Everything(), selected)
	}
	return nil
}

func (w *watcher) follow(ctx context.Context, client rest.Interface, resource string, kind runtime.Object, field fields.Selector, label labels.Selector) {
	source := cache.NewFilteredListWatchFromClient(client, resource, w.cluster.Namespace, func(options *metav1.ListOptions) {
		options.FieldSelector, options.LabelSelector = field.String(), label.String()
	})
	informer := cache.NewSharedInformer(source, kind, 0)
	_ = informer.SetTransform(func(object any) (any, error) {
		if accessor, ok := object.(metav1.Object); ok {
			accessor.SetManagedFields(nil)
		}
		return object, nil
	})
	_ = informer.SetWatchErrorHandler(func(_ *cache.Reflector, err error) { w.fail(resource, err) })
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { w.notify() }, UpdateFunc: func(any, any) { w.notify() }, DeleteFunc: func(any) { w.notify() },
	})
	w.stores = append(w.stores, informer.GetStore())
	go informer.RunWithContext(ctx)
}

func (w *watcher) notify() {
	w.lock.Lock()
	w.trouble, w.since = nil, time.Time{}
	w.lock.Unlock()
	w.wake()
}

func (w *watcher) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *watcher) fail(resource string, err error) {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || errors.Is(err, context.Canceled) {
		return // the informer lists again by itself
	}
	w.lock.Lock()
	w.trouble = fmt.Errorf("watching %s: %w", resource, err)
	if w.since.IsZero() {
		w.since = time.Now()
	}
	w.lock.Unlock()
	w.wake()
}

// unreachable is the error to give up with: at once where a verb is missing,
// else after the grace.
func (w *watcher) unreachable(now time.Time, grace time.Duration) error {
	w.lock.Lock()
	defer w.lock.Unlock()
	switch {
	case w.trouble == nil:
		return nil
	case kube.IsDenied(w.trouble):
		return kube.Explain(errors.Unwrap(w.trouble), "watching "+w.target.String())
	case now.Sub(w.since) < grace:
		return nil
	}
	return slipway.Errorf(slipway.Unknown, "the API server has not answered for %s, so that nothing is known of %s", now.Sub(w.since).Round(time.Second), w.target).
		Because(w.trouble).Next("see whether it is up, then run this again")
}

// objects gives what is known now; found is false while the workload is not there.
func (w *watcher) objects() (o Objects, found bool) {
	for _, store := range w.stores {
		for _, object := range store.List() {
			switch object := object.(type) {
			case *appsv1.Deployment:
				o.Deployment, found = object, true
			case *appsv1.StatefulSet:
				o.StatefulSet, found = object, true
			case *appsv1.DaemonSet:
				o.DaemonSet, found = object, true
			case *appsv1.ReplicaSet:
				o.ReplicaSets = append(o.ReplicaSets, object)
			case *corev1.Pod:
				o.Pods = append(o.Pods, object)
			}
		}
	}
	return o, found
}
