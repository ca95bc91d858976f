package canary

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

var httpRoutes = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}

// gatewayRouter gives a share by the weights of an HTTPRoute's two backends.
// https://gateway-api.sigs.k8s.io/guides/traffic-splitting/
type gatewayRouter struct {
	t *Traffic
	weighted
	generation int64 // that Set made
}

// httpRouteRules finds the backends of every rule. Only a core Service of the
// route's own namespace can be one of the two.
func httpRouteRules(route Route, content map[string]any) [][]backend {
	var rules [][]backend
	for i, rule := range items(content, "spec", "rules") {
		var backends []backend
		for j, ref := range items(rule, "backendRefs") {
			version := ""
			if text(ref, "namespace") == "" && text(ref, "group") == "" && (text(ref, "kind") == "" || text(ref, "kind") == "Service") {
				version = route.version(text(ref, "name"))
			}
			backends = append(backends, backend{version, number(ref, "weight", 1), fmt.Sprintf("/spec/rules/%d/backendRefs/%d", i, j), "weight"})
		}
		rules = append(rules, backends)
	}
	return rules
}

func (r *gatewayRouter) Set(ctx context.Context, wanted State, mark string) error {
	changed, err := r.set(ctx, wanted, mark)
	if changed != nil {
		r.generation = changed.GetGeneration()
	}
	return err
}

// Accepted waits until every parent says, of this generation, that it has taken the route.
// https://gateway-api.sigs.k8s.io/geps/gep-1364/
func (r *gatewayRouter) Accepted(ctx context.Context) error {
	if r.generation == 0 {
		return nil // it is gone
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client := r.t.cluster.Dynamic().Resource(httpRoutes).Namespace(r.t.cluster.Namespace)
	waiting := "no gateway has taken it"
	for limited.Err() == nil {
		// Without a version the first event is the object as it is.
		watching, err := client.Watch(
			limited,
			metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", r.object.name).String()},
		)
		if err != nil {
			if limited.Err() != nil {
				break
			}
			return kube.Explain(err, "watching "+r.object.String())
		}
		for event := range watching.ResultChan() {
			found, ok := event.Object.(*unstructured.Unstructured)
			if !ok {
				break
			}
			var route gatewayv1.HTTPRoute
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, &route); err != nil {
				watching.Stop()
				return fmt.Errorf("reading %s: %w", r.object, err)
			}
			if waiting = unaccepted(&route, r.generation); waiting == "" {
				watching.Stop()
				return nil
			}
		}
		watching.Stop()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return slipway.Errorf(slipway.No, "%s is not in effect after a minute: %s", r.object, waiting).
		Next("look at its status: kubectl describe httproute %s -n %s", r.object.name, r.t.cluster.Namespace)
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
				return fmt.Sprintf("gateway %s has not said %s of generation %d", parent.ParentRef.Name, kind, generation)
			}
		}
	}
	return ""
}
