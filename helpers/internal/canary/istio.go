package canary

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

var virtualServices = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1beta1", Resource: "virtualservices"}

// istioRules finds the destinations of every HTTP route of a VirtualService. Each
// version has a host of its own: its Service by its short or its full name.
// https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRouteDestination
func (t *Traffic) istioRules(route Route, content map[string]any) [][]backend {
	var rules [][]backend
	for i, rule := range items(content, "spec", "http") {
		destinations := items(rule, "route")
		var backends []backend
		for j, destination := range destinations {
			inner, _ := destination["destination"].(map[string]any)
			// One destination without a weight gets everything, several without one get nothing.
			fallback := 0
			if len(destinations) == 1 {
				fallback = 100
			}
			backends = append(
				backends,
				backend{
					route.version(t.host(text(inner, "host"))),
					number(destination, "weight", fallback),
					fmt.Sprintf("/spec/http/%d/route/%d", i, j),
					"weight",
				},
			)
		}
		rules = append(rules, backends)
	}
	return rules
}

// host is the Service of this namespace that a host names, or nothing.
func (t *Traffic) host(name string) string {
	service, domain, full := strings.Cut(name, ".")
	switch {
	case !full:
		return service
	case domain == t.cluster.Namespace, domain == t.cluster.Namespace+".svc", strings.HasPrefix(domain, t.cluster.Namespace+".svc."):
		return service
	}
	return ""
}
