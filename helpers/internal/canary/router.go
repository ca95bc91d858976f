package canary

import (
	"context"
	"fmt"
	"math"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// router is how a share of the traffic is given. Pods are started and stopped
// around it: before a version gets more, and after it gets less.
type router interface {
	// Get reads the share that is asked of the route now; nothing where only pods count.
	Get(ctx context.Context) (State, error)
	// Set asks the route for this share, and changes nothing else of it. mark is
	// the run's, or empty for undoing.
	Set(ctx context.Context, wanted State, mark string) error
	// Accepted waits until the route is in effect, as far as the router's API tells.
	Accepted(ctx context.Context) error
	// plan says what to change for the weight (1 to 100), and the share that this gives, in percent.
	plan(weight int, previous State, limits Limits) (State, float64)
}

// Routers are the names that --router takes.
var Routers = []string{"service", "gateway", "ingress-nginx", "traefik", "istio"}

// router of a route that is already chosen.
func (t *Traffic) newRouter(route Route) (router, error) {
	switch route.Router {
	case "service":
		return serviceRouter{t, route}, nil
	case "gateway":
		return &gatewayRouter{t, weighted{t: t, route: route, object: object{httpRoutes, "httproute", route.Name}, rules: httpRouteRules}, 0}, nil
	case "traefik":
		return &weighted{t: t, route: route, object: object{traefikServices, "traefikservice", route.Name}, rules: traefikRules}, nil
	case "istio":
		return &weighted{t: t, route: route, object: object{virtualServices, "virtualservice", route.Name}, rules: t.istioRules}, nil
	case "ingress-nginx":
		return ingressRouter{t, route, object{ingresses, "ingress", route.Name}}, nil
	}
	return nil, slipway.Errorf(slipway.Conflict, "the canary was begun with the router %q, which this version does not know", route.Router)
}

var deploymentResource = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

func replicas(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// podsFor are the canary's replicas where a route gives the share: as much of
// stable's capacity as it gets of its traffic.
func podsFor(weight int, previous State, limits Limits) int32 {
	wanted := int32(math.Ceil(float64(previous.Stable) * float64(weight) / 100))
	return max(1, previous.Canary, min(wanted, int32(limits.MaxExtra)))
}

// undoneWeights give all of a rule's share back to stable.
func undoneWeights(previous []Weight) []Weight {
	undone := make([]Weight, 0, len(previous))
	for _, w := range previous {
		undone = append(undone, Weight{Rule: w.Rule, Stable: max(1, w.Stable+w.Canary)})
	}
	return undone
}

// backend is one weighted destination of a rule.
type backend struct {
	version string // "stable", "canary" or neither
	weight  int
	path    string // a JSON pointer to it in the object
	field   string // of the weight, in it
}

// ruleWeights are the pairs among the rules' backends, and whether others share a rule with one.
func ruleWeights(rules [][]backend) (weights []Weight, shared map[int]bool) {
	shared = map[int]bool{}
	for i, rule := range rules {
		w, found := Weight{Rule: i}, map[string]int{}
		for _, b := range rule {
			found[b.version]++
			switch b.version {
			case "stable":
				w.Stable = b.weight
			case "canary":
				w.Canary = b.weight
			default:
				shared[i] = true
			}
		}
		if found["stable"] == 1 && found["canary"] == 1 {
			weights = append(weights, w)
		}
	}
	return weights, shared
}

// planWeights gives each rule's pair the weight. Where other backends have a part
// of the rule, the sum of the pair stays, so that theirs stays as well.
func planWeights(weight int, previous []Weight, shared map[int]bool) ([]Weight, float64) {
	var planned []Weight
	worst := float64(weight)
	for _, w := range previous {
		p := Weight{Rule: w.Rule, Stable: 100 - weight, Canary: weight}
		if shared[w.Rule] {
			sum := w.Stable + w.Canary
			p.Canary = int(math.Round(float64(sum*weight) / 100))
			p.Stable = sum - p.Canary
		}
		planned = append(planned, p)
		if achieved := share(p.Stable, p.Canary); math.Abs(achieved-float64(weight)) > math.Abs(worst-float64(weight)) {
			worst = achieved
		}
	}
	return planned, worst
}

// shareOf is the greatest share that any rule gives to the canary.
func shareOf(weights []Weight) float64 {
	greatest := 0.0
	for _, w := range weights {
		greatest = max(greatest, share(w.Stable, w.Canary))
	}
	return greatest
}

// missing says that a route does not do what it was chosen for.
func missing(o object, route Route) error {
	return slipway.Errorf(slipway.Conflict, "%s no longer weighs service/%s and service/%s against one "+
		"another", o, route.Stable, route.Canary).
		Next("put both back into it, or give the share with another --router")
}

// weigh is the patch for one rule's pair, tested against what was read.
func weigh(rules [][]backend, wanted []Weight) ([]operation, error) {
	pairs, _ := ruleWeights(rules)
	if len(pairs) == 0 {
		return nil, fmt.Errorf("no rule has both versions")
	}
	var operations []operation
	for _, pair := range pairs {
		w := wanted[0]
		for _, each := range wanted {
			if each.Rule == pair.Rule {
				w = each
			}
		}
		for _, b := range rules[pair.Rule] {
			to := w.Stable
			if b.version == "canary" {
				to = w.Canary
			}
			if b.version != "" && b.weight != to {
				operations = append(operations, operation{"add", b.path + "/" + b.field, to})
			}
		}
	}
	return operations, nil
}
