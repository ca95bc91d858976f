package canary

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// serviceRouter gives a share by the number of pods behind one Service.
type serviceRouter struct {
	*Traffic
	service string
}

func newServiceRouter(ctx context.Context, t *Traffic) (*serviceRouter, error) {
	found, err := t.cluster.Core().Services(t.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, kube.Explain(err, "looking for the Service in front of both Deployments")
	}
	var shared []string
	for _, service := range found.Items {
		if len(service.Spec.Selector) == 0 || t.names.Service != "" && service.Name != t.names.Service {
			continue
		}
		selector := labels.SelectorFromSet(service.Spec.Selector)
		if selector.Matches(labels.Set(t.stable.Spec.Template.Labels)) && selector.Matches(labels.Set(t.canary.Spec.Template.Labels)) {
			shared = append(shared, service.Name)
			if service.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
				t.log("service/%s keeps each client on its pod (sessionAffinity): the share is one of clients, not of requests", service.Name)
			}
		}
	}
	sort.Strings(shared)
	if len(shared) != 1 {
		what := "no Service selects"
		if len(shared) > 1 {
			what = "several Services select (" + strings.Join(shared, ", ") + ")"
		}
		return nil, slipway.Usagef("%s the pods of both deployment/%s and deployment/%s", what, t.names.Stable, t.names.Canary).
			Next("name the one that users call with --service, and give both pod templates the labels that it selects by")
	}
	return &serviceRouter{Traffic: t, service: shared[0]}, nil
}

func (r *serviceRouter) name() string { return "service" }

func (r *serviceRouter) plan(weight int, _ State, limits Limits) (State, float64) {
	split := Search(weight, limits)
	return State{Stable: int32(split.Stable), Canary: int32(split.Canary)}, split.Achieved
}

func (r *serviceRouter) state(context.Context) (State, error) {
	return State{Stable: replicas(r.stable), Canary: replicas(r.canary)}, nil
}

// put changes the replicas: what grows grows first, and is waited for, then the
// other shrinks, so that there is never less than before.
func (r *serviceRouter) put(ctx context.Context, wanted State) error {
	type step struct {
		name   string
		from   int32
		to     int32
		canary bool
	}
	steps := []step{{r.names.Stable, replicas(r.stable), wanted.Stable, false}, {r.names.Canary, replicas(r.canary), wanted.Canary, true}}
	sort.SliceStable(steps, func(i, j int) bool { return steps[i].to-steps[i].from > steps[j].to-steps[j].from })
	for _, s := range steps {
		if s.from == s.to {
			continue
		}
		if err := r.scale(ctx, s.name, s.to); err != nil {
			return err
		}
		want := counts{stable: unchanged, canary: unchanged}
		if s.canary {
			want.canary, r.canary.Spec.Replicas = s.to, &s.to
		} else {
			want.stable, r.stable.Spec.Replicas = s.to, &s.to
		}
		if err := r.until(ctx, want); err != nil {
			return err
		}
	}
	return nil
}

// counts are endpoints that get traffic: ready, and not on their way out.
type counts struct{ stable, canary int32 }

// unchanged is a count that is not waited for: a Deployment that was not scaled
// may be in the middle of a rollout, and has more or fewer than it will have.
const unchanged = -1

func (c counts) satisfies(wanted counts) bool {
	return (wanted.stable == unchanged || c.stable == wanted.stable) && (wanted.canary == unchanged || c.canary == wanted.canary)
}

// endpoints reads what is true from the EndpointSlices.
// https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
func (r *serviceRouter) endpoints(slices []discoveryv1.EndpointSlice) counts {
	var c counts
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready != nil && !*endpoint.Conditions.Ready || endpoint.TargetRef == nil {
				continue
			}
			// A pod's name is its ReplicaSet's and five letters, and a ReplicaSet's is its Deployment's and a hash.
			switch owner(endpoint.TargetRef.Name) {
			case r.names.Stable:
				c.stable++
			case r.names.Canary:
				c.canary++
			}
		}
	}
	return c
}

func owner(pod string) string {
	parts := strings.Split(pod, "-")
	if len(parts) < 3 {
		return pod
	}
	return strings.Join(parts[:len(parts)-2], "-")
}

func (r *serviceRouter) list(ctx context.Context) (*discoveryv1.EndpointSliceList, error) {
	slices, err := r.cluster.Discovery().EndpointSlices(r.cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + r.service})
	if err != nil {
		return nil, kube.Explain(err, "reading the endpoints of service/"+r.service)
	}
	return slices, nil
}

func (r *serviceRouter) measured(ctx context.Context) (float64, error) {
	slices, err := r.list(ctx)
	if err != nil {
		return 0, err
	}
	c := r.endpoints(slices.Items)
	return share(int(c.stable), int(c.canary)), nil
}

// until watches the endpoints until they are as wanted.
func (r *serviceRouter) until(ctx context.Context, wanted counts) error {
	limited, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		slices, err := r.list(limited)
		if err != nil {
			return err
		}
		known := map[string]discoveryv1.EndpointSlice{}
		for _, slice := range slices.Items {
			known[slice.Name] = slice
		}
		now := r.endpoints(slices.Items)
		if now.satisfies(wanted) {
			return nil
		}
		watching, err := r.cluster.Discovery().EndpointSlices(r.cluster.Namespace).Watch(limited, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + r.service, ResourceVersion: slices.ResourceVersion})
		if err != nil {
			return kube.Explain(err, "watching the endpoints of service/"+r.service)
		}
		reached := r.follow(watching, known, wanted, &now)
		watching.Stop()
		switch {
		case reached:
			return nil
		case ctx.Err() != nil:
			return slipway.Errorf(slipway.Unknown, "stopped at %s", now).Next("undo it: canary-weight abort")
		case limited.Err() != nil:
			return slipway.Errorf(slipway.No, "the pods are not as asked after 5 minutes: there are %s", now).
				Next("see why: rollout-wait deployment/%s deployment/%s", r.names.Canary, r.names.Stable)
		}
	}
}

func (c counts) String() string {
	return fmt.Sprintf("%d stable and %d canary endpoints", c.stable, c.canary)
}

// follow is true when the endpoints are as wanted, false when the watch ended before.
func (r *serviceRouter) follow(watching watch.Interface, known map[string]discoveryv1.EndpointSlice, wanted counts, now *counts) bool {
	for event := range watching.ResultChan() {
		slice, ok := event.Object.(*discoveryv1.EndpointSlice)
		if !ok {
			return false
		}
		if event.Type == watch.Deleted {
			delete(known, slice.Name)
		} else {
			known[slice.Name] = *slice
		}
		all := make([]discoveryv1.EndpointSlice, 0, len(known))
		for _, each := range known {
			all = append(all, each)
		}
		if *now = r.endpoints(all); now.satisfies(wanted) {
			return true
		}
	}
	return false
}
