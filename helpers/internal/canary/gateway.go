package canary

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

var routes = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}

// gatewayRouter gives a share by the weights of an HTTPRoute's two backends.
// https://gateway-api.sigs.k8s.io/guides/traffic-splitting/
type gatewayRouter struct {
	*Traffic
	route          string
	stableService  string
	canaryService  string
	canaryReplicas int32 // what set starts the canary with
}

func newGatewayRouter(ctx context.Context, t *Traffic) (*gatewayRouter, error) {
	services, err := t.cluster.Core().Services(t.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, kube.Explain(err, "looking for the Services of the two versions")
	}
	r := &gatewayRouter{Traffic: t, canaryReplicas: 1}
	for _, service := range services.Items {
		if len(service.Spec.Selector) == 0 {
			continue
		}
		selector := labels.SelectorFromSet(service.Spec.Selector)
		stable, canary := selector.Matches(labels.Set(t.stable.Spec.Template.Labels)), selector.Matches(labels.Set(t.canary.Spec.Template.Labels))
		switch {
		case stable && !canary:
			r.stableService = service.Name
		case canary && !stable:
			r.canaryService = service.Name
		}
	}
	found, err := t.cluster.Dynamic().Resource(routes).Namespace(t.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, kube.Explain(err, "looking for the HTTPRoute")
	}
	var names []string
	for _, item := range found.Items {
		var route gatewayv1.HTTPRoute
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &route); err != nil {
			return nil, fmt.Errorf("reading httproute/%s: %w", item.GetName(), err)
		}
		if (t.names.Route == "" || route.Name == t.names.Route) && len(r.pairs(&route)) > 0 {
			names = append(names, route.Name)
		}
	}
	sort.Strings(names)
	if len(names) != 1 {
		return nil, slipway.Usagef("%d HTTPRoutes name both service/%s and service/%s (%s)", len(names), r.stableService, r.canaryService, strings.Join(names, ", ")).
			Next("name the one with --route")
	}
	r.route = names[0]
	return r, nil
}

// pair is where a rule weighs the two versions against one another.
type pair struct{ rule, stable, canary int }

func (r *gatewayRouter) pairs(route *gatewayv1.HTTPRoute) []pair {
	var found []pair
	for i, rule := range route.Spec.Rules {
		p := pair{rule: i, stable: -1, canary: -1}
		for j, backend := range rule.BackendRefs {
			switch string(backend.Name) {
			case r.stableService:
				p.stable = j
			case r.canaryService:
				p.canary = j
			}
		}
		if p.stable >= 0 && p.canary >= 0 {
			found = append(found, p)
		}
	}
	return found
}

func (r *gatewayRouter) name() string { return "gateway" }

func (r *gatewayRouter) plan(weight int, previous State, _ Limits) (State, float64) {
	return State{Stable: previous.Stable, Canary: max(previous.Canary, r.canaryReplicas), Weights: []int{100 - weight, weight}}, float64(weight)
}

func (r *gatewayRouter) read(ctx context.Context) (*gatewayv1.HTTPRoute, error) {
	item, err := r.cluster.Dynamic().Resource(routes).Namespace(r.cluster.Namespace).Get(ctx, r.route, metav1.GetOptions{})
	if err != nil {
		return nil, kube.Explain(err, "reading httproute/"+r.route)
	}
	var route gatewayv1.HTTPRoute
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &route); err != nil {
		return nil, fmt.Errorf("reading httproute/%s: %w", r.route, err)
	}
	if len(r.pairs(&route)) == 0 {
		return nil, slipway.Errorf(slipway.Conflict, "httproute/%s no longer names service/%s and service/%s", r.route, r.stableService, r.canaryService)
	}
	return &route, nil
}

func weightOf(backend gatewayv1.HTTPBackendRef) int {
	if backend.Weight == nil {
		return 1 // the API's default
	}
	return int(*backend.Weight)
}

func (r *gatewayRouter) state(ctx context.Context) (State, error) {
	route, err := r.read(ctx)
	if err != nil {
		return State{}, err
	}
	p := r.pairs(route)[0]
	backends := route.Spec.Rules[p.rule].BackendRefs
	return State{Stable: replicas(r.stable), Canary: replicas(r.canary), Weights: []int{weightOf(backends[p.stable]), weightOf(backends[p.canary])}}, nil
}

// put starts the canary before it weighs, and stops it after.
func (r *gatewayRouter) put(ctx context.Context, wanted State) error {
	pods := &serviceRouter{Traffic: r.Traffic, service: r.canaryService}
	if wanted.Canary > replicas(r.canary) {
		if err := r.scale(ctx, r.names.Canary, wanted.Canary); err != nil {
			return err
		}
		if err := pods.until(ctx, counts{stable: unchanged, canary: wanted.Canary}); err != nil {
			return err
		}
	}
	if err := r.weigh(ctx, wanted.Weights); err != nil {
		return err
	}
	if wanted.Canary < replicas(r.canary) {
		if err := r.scale(ctx, r.names.Canary, wanted.Canary); err != nil {
			return err
		}
	}
	r.canary.Spec.Replicas = &wanted.Canary
	return nil
}

// weigh patches the two weights of every rule that has both, and nothing else,
// and waits until the gateway says that it has taken them.
func (r *gatewayRouter) weigh(ctx context.Context, weights []int) error {
	for attempt := 0; ; attempt++ {
		route, err := r.read(ctx)
		if err != nil {
			return err
		}
		patch := []map[string]any{{"op": "test", "path": "/metadata/resourceVersion", "value": route.ResourceVersion}}
		for _, p := range r.pairs(route) {
			for _, change := range []struct{ backend, weight int }{{p.stable, weights[0]}, {p.canary, weights[1]}} {
				patch = append(patch, map[string]any{"op": "add", "path": fmt.Sprintf("/spec/rules/%d/backendRefs/%d/weight", p.rule, change.backend), "value": change.weight})
			}
		}
		body, err := json.Marshal(patch)
		if err != nil {
			return err
		}
		changed, err := r.cluster.Dynamic().Resource(routes).Namespace(r.cluster.Namespace).Patch(ctx, r.route, types.JSONPatchType, body, metav1.PatchOptions{})
		if err == nil {
			return r.accepted(ctx, changed.GetGeneration())
		}
		if attempt >= 4 {
			return kube.Explain(err, "weighing httproute/"+r.route)
		}
	}
}

// accepted waits until every parent says, of this generation, that it has taken the route.
// https://gateway-api.sigs.k8s.io/geps/gep-1364/
func (r *gatewayRouter) accepted(ctx context.Context, generation int64) error {
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	clock := time.NewTicker(200 * time.Millisecond)
	defer clock.Stop()
	for {
		route, err := r.read(limited)
		if err != nil {
			return err
		}
		waiting := unaccepted(route, generation)
		if waiting == "" {
			return nil
		}
		select {
		case <-limited.Done():
			return slipway.Errorf(slipway.No, "httproute/%s: %s", r.route, waiting).Next("look at its status: kubectl describe httproute %s -n %s", r.route, r.cluster.Namespace)
		case <-clock.C:
		}
	}
}

func unaccepted(route *gatewayv1.HTTPRoute, generation int64) string {
	if len(route.Status.Parents) == 0 {
		return "no gateway has taken it"
	}
	for _, parent := range route.Status.Parents {
		for _, kind := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
			found := false
			for _, c := range parent.Conditions {
				if c.Type == string(kind) && c.ObservedGeneration >= generation {
					if found = c.Status == metav1.ConditionTrue; !found {
						return fmt.Sprintf("%s is %s: %s", c.Type, c.Status, c.Message)
					}
				}
			}
			if !found {
				return fmt.Sprintf("gateway %s has not said %s", parent.ParentRef.Name, kind)
			}
		}
	}
	return ""
}

func (r *gatewayRouter) measured(ctx context.Context) (float64, error) {
	state, err := r.state(ctx)
	if err != nil {
		return 0, err
	}
	return share(state.Weights[0], state.Weights[1]), nil
}
