package canary

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// Counts are endpoints that get traffic: ready, and not on their way out.
type Counts struct {
	Stable int `json:"stable"`
	Canary int `json:"canary"`
	Other  int `json:"other,omitempty"` // behind the same Service, and of neither
}

// Share is the canary's, in percent, of what comes to the Service.
func (c Counts) Share() float64 { return share(c.Stable+c.Other, c.Canary) }

func (c Counts) String() string {
	text := fmt.Sprintf("%d stable and %d canary endpoints", c.Stable, c.Canary)
	if c.Other > 0 {
		text += fmt.Sprintf(" and %d of neither", c.Other)
	}
	return text
}

// count reads what is true from EndpointSlices. A pod that has several addresses counts once.
// https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
func count(slices []discoveryv1.EndpointSlice, stable, canary string) Counts {
	pods := map[string]bool{}
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			gone := endpoint.Conditions.Terminating != nil && *endpoint.Conditions.Terminating
			ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
			if !ready || gone {
				continue
			}
			name := strings.Join(endpoint.Addresses, ",")
			if endpoint.TargetRef != nil {
				name = endpoint.TargetRef.Name
			}
			pods[name] = true
		}
	}
	var c Counts
	for pod := range pods {
		switch owner(pod) {
		case stable:
			c.Stable++
		case canary:
			c.Canary++
		default:
			c.Other++
		}
	}
	return c
}

// owner is a pod's Deployment: a pod's name is its ReplicaSet's and five
// letters, and a ReplicaSet's is its Deployment's and a hash.
func owner(pod string) string {
	parts := strings.Split(pod, "-")
	if len(parts) < 3 {
		return pod
	}
	return strings.Join(parts[:len(parts)-2], "-")
}

// endpoints follows those of one Service: one list, one watch, however often it is waited for.
type endpoints struct {
	t       *Traffic
	service string
	known   map[string]discoveryv1.EndpointSlice
	watch   watch.Interface
	journal watch.Interface // of the canary's Deployment
	now     Counts
	// available are the canary's pods that have been ready for minReadySeconds, in
	// which whoever balances hears of them.
	available int32
}

func (t *Traffic) endpoints(service string) *endpoints {
	return &endpoints{t: t, service: service, available: t.canary.Status.AvailableReplicas}
}

func (e *endpoints) options() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + e.service}
}

func (e *endpoints) recount() {
	all := make([]discoveryv1.EndpointSlice, 0, len(e.known))
	for _, slice := range e.known {
		all = append(all, slice)
	}
	e.now = count(all, e.t.names.Stable, e.t.names.Canary)
}

func (e *endpoints) list(ctx context.Context) (string, error) {
	slices, err := e.t.cluster.Discovery().EndpointSlices(e.t.cluster.Namespace).List(ctx, e.options())
	if err != nil {
		return "", kube.Explain(err, "reading the endpoints of service/"+e.service)
	}
	e.known = map[string]discoveryv1.EndpointSlice{}
	for _, slice := range slices.Items {
		e.known[slice.Name] = slice
	}
	e.recount()
	return slices.ResourceVersion, nil
}

func (e *endpoints) stop() {
	for _, each := range []watch.Interface{e.watch, e.journal} {
		if each != nil {
			each.Stop()
		}
	}
}

// start lists, and watches from there. Both watches outlive one wait; they end with stop.
func (e *endpoints) start(ctx context.Context, wanted func(Counts) bool) (done bool, err error) {
	version, err := e.list(ctx)
	if err != nil || wanted(e.now) {
		return err == nil, err
	}
	options := e.options()
	options.ResourceVersion = version
	if e.watch, err = e.t.cluster.Discovery().EndpointSlices(e.t.cluster.Namespace).Watch(context.WithoutCancel(ctx), options); err != nil {
		return false, kube.Explain(err, "watching the endpoints of service/"+e.service)
	}
	if e.journal != nil {
		return false, nil
	}
	e.journal, err = e.t.cluster.Apps().Deployments(e.t.cluster.Namespace).Watch(context.WithoutCancel(ctx), metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", e.t.names.Canary).String(), ResourceVersion: e.t.canary.ResourceVersion})
	if err != nil {
		return false, kube.Explain(err, "watching deployment/"+e.t.names.Canary)
	}
	return false, nil
}

// hopeless tells by the canary's Deployment why it is no use to wait any longer.
func (e *endpoints) hopeless(canary *appsv1.Deployment) error {
	if canary.Annotations[JournalAnnotation] != e.t.fence {
		return errSuperseded
	}
	for _, condition := range canary.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue && canary.Status.ObservedGeneration >= canary.Generation {
			return slipway.Errorf(slipway.No, "the canary's pods are refused: %s", condition.Message).Next("ask for fewer (--max-extra), or make room; then undo: %s", e.t.undoCommand())
		}
	}
	return nil
}

// until waits until the endpoints are as wanted, or the time is over.
func (e *endpoints) until(ctx context.Context, timeout time.Duration, wanted func(Counts) bool) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		if e.watch == nil {
			if done, err := e.start(limited, wanted); done || err != nil {
				return e.ended(ctx, limited, timeout, err)
			}
		}
		if wanted(e.now) {
			return nil
		}
		select {
		case <-limited.Done():
			return e.ended(ctx, limited, timeout, limited.Err())
		case event := <-e.journal.ResultChan():
			canary, ok := event.Object.(*appsv1.Deployment)
			if !ok { // the API server ended it: begin anew
				e.stop()
				e.watch, e.journal = nil, nil
				if err := e.t.guard(ctx); err != nil {
					return err
				}
				continue
			}
			if err := e.hopeless(canary); err != nil {
				return err
			}
			e.available = canary.Status.AvailableReplicas
		case event, open := <-e.watch.ResultChan():
			slice, ok := event.Object.(*discoveryv1.EndpointSlice)
			if !open || !ok {
				e.watch.Stop()
				e.watch = nil // the API server ended it: list again
				continue
			}
			if event.Type == watch.Deleted {
				delete(e.known, slice.Name)
			} else {
				e.known[slice.Name] = *slice
			}
			e.recount()
		}
	}
}

func (e *endpoints) ended(ctx, limited context.Context, timeout time.Duration, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return slipway.Errorf(slipway.No, "the pods are not as asked after %s: there are %s, and %d of the canary's pods are available", timeout, e.now, e.available).
			Next("see why: rollout-wait -n %s deployment/%s deployment/%s", e.t.cluster.Namespace, e.t.names.Canary, e.t.names.Stable)
	}
	return err
}
