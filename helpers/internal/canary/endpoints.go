package canary

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
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

// readyPods are the pods that get traffic, by UID, from EndpointSlices. A pod that has several
// addresses counts once; an endpoint that is no pod goes by its addresses.
// https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
func readyPods(slices map[string]discoveryv1.EndpointSlice) map[types.UID]bool {
	pods := map[types.UID]bool{}
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			gone := endpoint.Conditions.Terminating != nil && *endpoint.Conditions.Terminating
			ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
			if !ready || gone {
				continue
			}
			id := types.UID(strings.Join(endpoint.Addresses, ","))
			if endpoint.TargetRef != nil && endpoint.TargetRef.UID != "" {
				id = endpoint.TargetRef.UID
			}
			pods[id] = true
		}
	}
	return pods
}

// count tells the pods apart; unknown are those that were not there when it was learnt whose they are.
func count(pods map[types.UID]bool, known owners) (c Counts, unknown int) {
	for pod := range pods {
		switch version, learnt := known[pod]; {
		case version == ofStable:
			c.Stable++
		case version == ofCanary:
			c.Canary++
		case learnt:
			c.Other++
		default:
			unknown++
		}
	}
	return c, unknown
}

// endpoints follows those of one Service: one list, one watch, however often it is waited for.
type endpoints struct {
	t       *Traffic
	service string
	known   map[string]discoveryv1.EndpointSlice
	watch   watch.Interface
	journal watch.Interface // of the canary's Deployment
	pods    map[types.UID]bool
	owners  owners
	now     Counts
	// available are the canary's pods that have been ready for minReadySeconds, in
	// which whoever balances hears of them.
	available int32
	verdict   *verdict // on the rollout that is waited for, where one is
}

func (t *Traffic) endpoints(service string) *endpoints {
	return &endpoints{t: t, service: service, available: available(t.canary)}
}

// available are at most those of the present template.
func available(canary *appsv1.Deployment) int32 {
	if canary.Status.ObservedGeneration < canary.Generation {
		return 0
	}
	return min(canary.Status.AvailableReplicas, canary.Status.UpdatedReplicas)
}

func (e *endpoints) options() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + e.service}
}

// are says whether the endpoints are as wanted. Whose a new pod is gets asked only where
// that decides.
func (e *endpoints) are(ctx context.Context, wanted func(Counts) bool) (bool, error) {
	var unknown int
	e.now, unknown = count(e.pods, e.owners)
	most := Counts{Stable: e.now.Stable + unknown, Canary: e.now.Canary + unknown, Other: e.now.Other}
	if unknown == 0 || !wanted(most) && !wanted(e.now) {
		return unknown == 0 && wanted(e.now), nil
	}
	if err := e.learn(ctx); err != nil {
		return false, err
	}
	return wanted(e.now), nil
}

// learn asks whose the pods are. One that is of neither version, or was gone again, is another's.
func (e *endpoints) learn(ctx context.Context) error {
	var err error
	if e.owners, err = e.t.learn(ctx, e.pods); err != nil {
		return err
	}
	for pod := range e.pods {
		if _, learnt := e.owners[pod]; !learnt {
			e.owners[pod] = ""
		}
	}
	e.now, _ = count(e.pods, e.owners)
	return nil
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
	e.pods = readyPods(e.known)
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
	if err != nil {
		return false, err
	}
	if done, err := e.are(ctx, wanted); done || err != nil {
		return done, err
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
		if done, err := e.are(limited, wanted); done || err != nil {
			return e.ended(ctx, limited, timeout, err)
		}
		select {
		case <-limited.Done():
			return e.ended(ctx, limited, timeout, limited.Err())
		case said := <-e.verdict.failed():
			return e.t.hear(said)
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
			if canary.Annotations[JournalAnnotation] != e.t.fence {
				return errSuperseded
			}
			e.available = available(canary)
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
			e.pods = readyPods(e.known)
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
		return slipway.Errorf(slipway.No, "the pods are not as asked after %s: there are %s, and %d of the canary's pods are "+
			"available", timeout, e.now, e.available).
			Next("see why: rollout-wait -n %s deployment/%s deployment/%s", e.t.cluster.Namespace, e.t.names.Canary, e.t.names.Stable)
	}
	return err
}
