package canary

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// services are those in front of the two versions.
type services struct{ both, stable, canary []corev1.Service }

func (t *Traffic) services(ctx context.Context) (services, error) {
	found, err := t.cluster.Core().Services(t.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return services{}, kube.Explain(err, "looking for the Services in front of the two Deployments")
	}
	var s services
	for _, service := range found.Items {
		if len(service.Spec.Selector) == 0 {
			continue
		}
		selector := labels.SelectorFromSet(service.Spec.Selector)
		stable, canary := selector.Matches(labels.Set(t.stable.Spec.Template.Labels)), selector.Matches(labels.Set(t.canary.Spec.Template.Labels))
		switch {
		case stable && canary:
			s.both = append(s.both, service)
		case stable:
			s.stable = append(s.stable, service)
		case canary:
			s.canary = append(s.canary, service)
		}
	}
	return s, nil
}

// choose finds the route: the journal's, if there is one, so that what was begun
// with one router is ended with it; else the named router's; else that of the one
// kind that refers to both versions; else the Service that selects both.
func (t *Traffic) choose(ctx context.Context) error {
	journal, err := ReadJournal(t.canary.Annotations)
	if err != nil {
		return err
	}
	if t.names.Router != "" && !slices.Contains(Routers, t.names.Router) {
		return slipway.Usagef("--router %q is none of %s", t.names.Router, strings.Join(Routers, ", "))
	}
	if journal != nil && (t.names.Router == "" || t.names.Router == journal.Route.Router) {
		t.route = journal.Route
		t.router, err = t.newRouter(t.route)
		return err
	}
	s, err := t.services(ctx)
	if err != nil {
		return err
	}
	switch t.names.Router {
	case "service":
		t.route, err = t.sharedService(s)
	case "":
		t.route, err = t.detect(ctx, s)
	default:
		t.route, err = t.onlyRoute(ctx, s, t.names.Router)
	}
	if err != nil {
		return err
	}
	t.router, err = t.newRouter(t.route)
	return err
}

func (t *Traffic) detect(ctx context.Context, s services) (Route, error) {
	groups, err := t.groups(ctx)
	if err != nil {
		return Route{}, err
	}
	var found []Route
	for _, kind := range routeKinds {
		if !groups[kind.resource.Group] {
			continue
		}
		routes, err := t.routes(ctx, s, kind)
		if kube.IsDenied(err) {
			t.log("%s are not looked at: %v", kind.resource.Resource, err)
			continue
		}
		if err != nil {
			return Route{}, err
		}
		found = append(found, routes...)
	}
	switch {
	case len(found) == 1:
		t.log("router %s: %s refers to service/%s and service/%s", found[0].Router, found[0].Name, found[0].Stable, found[0].Canary)
		return found[0], nil
	case len(found) > 1:
		var names []string
		for _, each := range found {
			names = append(names, each.Router+" "+each.Name)
		}
		return Route{}, slipway.Usagef("several routes refer to both versions: %s", strings.Join(names, ", ")).
			Next("name the one that users come by with --router and --route")
	}
	route, err := t.sharedService(s)
	if err == nil {
		t.log("router service: service/%s selects both versions, and no route refers to their own Services", route.Service)
	}
	return route, err
}

// groups are the API groups that the server has.
func (t *Traffic) groups(ctx context.Context) (map[string]bool, error) {
	body, err := t.cluster.Core().RESTClient().Get().AbsPath("/apis").Do(ctx).Raw()
	if err != nil {
		return nil, kube.Explain(err, "asking which kinds of routes the cluster has")
	}
	var list metav1.APIGroupList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("asking which kinds of routes the cluster has: %w", err)
	}
	groups := map[string]bool{}
	for _, group := range list.Groups {
		groups[group.Name] = true
	}
	return groups, nil
}

// sharedService is the one Service that selects both versions.
func (t *Traffic) sharedService(s services) (Route, error) {
	var names []string
	for _, service := range s.both {
		if t.names.Service != "" && service.Name != t.names.Service {
			continue
		}
		names = append(names, service.Name)
		if service.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
			t.log("service/%s keeps each client on its pod (sessionAffinity): the share is one of clients, not of requests", service.Name)
		}
		for _, key := range []string{"service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"} {
			if value := service.Annotations[key]; value != "" && !strings.EqualFold(value, "disabled") {
				t.log("service/%s prefers endpoints that are near (%s): the share differs from zone to zone", service.Name, key)
			}
		}
		if service.Spec.TrafficDistribution != nil {
			t.log("service/%s prefers endpoints that are near (trafficDistribution): the share differs from zone to zone", service.Name)
		}
		for _, port := range service.Spec.Ports {
			if port.AppProtocol != nil && (strings.Contains(*port.AppProtocol, "h2c") || strings.Contains(*port.AppProtocol, "grpc")) {
				t.log(
					"service/%s speaks %s: a client's connection stays on its pod, so that the share is one of connections, not of requests",
					service.Name,
					*port.AppProtocol,
				)
			}
		}
	}
	sort.Strings(names)
	if len(names) == 1 {
		return Route{Router: "service", Service: names[0]}, nil
	}
	if len(names) > 1 {
		return Route{}, slipway.Usagef("several Services select the pods of both deployment/%s and deployment/%s: "+
			"%s", t.names.Stable, t.names.Canary, strings.Join(names, ", ")).
			Next("name the one that users call with --service")
	}
	what := "no Service selects"
	if t.names.Service != "" {
		what = "service/" + t.names.Service + " does not select"
	}
	return Route{}, slipway.Usagef("%s the pods of both deployment/%s and deployment/%s", what, t.names.Stable, t.names.Canary).
		Next("give both pod templates the labels that the users' Service selects by, or a route that weighs a Service of each")
}

// routes are the routes of a kind that weigh the two versions.
func (t *Traffic) routes(ctx context.Context, s services, kind routeKind) ([]Route, error) {
	all, err := t.cluster.Dynamic().Resource(kind.resource).Namespace(t.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, kube.Explain(err, "looking for "+kind.resource.Resource)
	}
	var found []Route
	for _, stable := range s.stable {
		for _, canary := range s.canary {
			route := Route{Router: kind.router, Service: canary.Name, Stable: stable.Name, Canary: canary.Name}
			for _, name := range kind.weighing(t, route, all.Items) {
				if t.names.Route == "" || t.names.Route == name {
					route.Name = name
					found = append(found, route)
					for _, item := range all.Items {
						if item.GetName() == name {
							t.seen = item.Object
						}
					}
				}
			}
		}
	}
	return found, nil
}

// onlyRoute is the one route of the named router.
func (t *Traffic) onlyRoute(ctx context.Context, s services, router string) (Route, error) {
	kind := routeKinds[slices.IndexFunc(routeKinds, func(k routeKind) bool { return k.router == router })]
	if len(s.stable) == 0 || len(s.canary) == 0 {
		which, name := "stable", t.names.Stable
		if len(s.stable) > 0 {
			which, name = "canary", t.names.Canary
		}
		return Route{}, slipway.Usagef("no Service selects the pods of deployment/%s and not the other version's, so that a route "+
			"has nothing to weigh for %s", name, which).
			Next("make one Service for each version, whose selector has a label that only that version has")
	}
	found, err := t.routes(ctx, s, kind)
	if err != nil {
		return Route{}, err
	}
	if len(found) == 1 {
		return found[0], nil
	}
	var names []string
	for _, each := range found {
		names = append(names, each.Name)
	}
	if len(names) > 1 {
		return Route{}, slipway.Usagef("several %s refer to both versions: %s", kind.resource.Resource, strings.Join(names, ", ")).
			Next("name the one that users come by with --route")
	}
	what := "no object of " + kind.resource.Resource
	if t.names.Route != "" {
		what = kind.resource.Resource + "/" + t.names.Route + " does not exist, or does not"
		return Route{}, slipway.Usagef("%s refer to both service/%s and service/%s", what, s.stable[0].Name, s.canary[0].Name).
			Next("%s", kind.form)
	}
	return Route{}, slipway.Usagef("%s refers to both service/%s and service/%s", what, s.stable[0].Name, s.canary[0].Name).
		Next("%s", kind.form)
}

// routeKind is a kind of object that weighs the two versions.
type routeKind struct {
	router   string
	resource schema.GroupVersionResource
	form     string // what it has to look like, in one sentence
	weighing func(t *Traffic, route Route, all []unstructured.Unstructured) []string
}

var routeKinds = []routeKind{
	{
		"gateway",
		httpRoutes,
		"list both Services as backendRefs of one rule of an HTTPRoute, the canary's with weight 0",
		byRules(func(*Traffic) rulesOf { return httpRouteRules }),
	},
	{
		"traefik",
		traefikServices,
		"list both Services under spec.weighted.services of a TraefikService, the canary's with weight 0",
		byRules(func(*Traffic) rulesOf { return traefikRules }),
	},
	{
		"istio",
		virtualServices,
		"list both Services as destinations of one http route of a VirtualService, the canary's with weight 0",
		byRules(func(t *Traffic) rulesOf { return t.istioRules }),
	},
	{
		"ingress-nginx",
		ingresses,
		`give the canary's Service an Ingress of its own with the annotation nginx.ingress.kubernetes.io/canary: "true"`,
		canaryIngresses,
	},
}

type rulesOf func(route Route, content map[string]any) [][]backend

// byRules finds the objects of which a rule has both versions.
func byRules(of func(*Traffic) rulesOf) func(*Traffic, Route, []unstructured.Unstructured) []string {
	return func(t *Traffic, route Route, all []unstructured.Unstructured) []string {
		var names []string
		for _, item := range all {
			if weights, _ := ruleWeights(of(t)(route, item.Object)); len(weights) > 0 {
				names = append(names, item.GetName())
			}
		}
		return names
	}
}
