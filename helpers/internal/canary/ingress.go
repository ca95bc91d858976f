package canary

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

var ingresses = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}

// The annotations of a canary Ingress, of which header goes before cookie before weight.
// https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#canary
const (
	ingressCanary = "nginx.ingress.kubernetes.io/canary"
	ingressWeight = ingressCanary + "-weight"
	ingressTotal  = ingressCanary + "-weight-total"
)

// ingressRouter gives a share by the annotations of a second Ingress, whose
// backend is the canary's Service.
type ingressRouter struct {
	t      *Traffic
	route  Route
	object object
}

func (r ingressRouter) Get(ctx context.Context) (State, error) {
	found, err := r.t.readObject(ctx, r.object)
	if err != nil {
		return State{}, err
	}
	annotations := found.GetAnnotations()
	if total := annotations[ingressTotal]; total != "" && total != "100" {
		return State{}, slipway.Usagef("%s has %s: %s, which some controllers ignore, so that nobody knows what a weight would "+
			"give", r.object, ingressTotal, total).
			Next("remove that annotation: weights are in percent then")
	}
	for name := range annotations {
		if strings.HasPrefix(name, ingressCanary+"-by-") {
			r.t.log("%s has %s, which goes before the weight: the share is one of the other requests", r.object, name)
		}
	}
	state := State{Annotations: map[string]string{}}
	for _, name := range []string{ingressCanary, ingressWeight} {
		if value, there := annotations[name]; there {
			state.Annotations[name] = value
		}
	}
	weight := 0
	if state.Annotations[ingressCanary] == "true" && state.Annotations[ingressWeight] != "" {
		if weight, err = strconv.Atoi(state.Annotations[ingressWeight]); err != nil {
			return State{}, slipway.Usagef("%s has the weight %q, which is no whole number", r.object, state.Annotations[ingressWeight])
		}
	}
	state.Weights = []Weight{{Stable: 100 - weight, Canary: weight}}
	return state, nil
}

func (r ingressRouter) plan(weight int, previous State, limits Limits) (State, float64) {
	return State{Stable: previous.Stable, Canary: podsFor(weight, previous, limits), Weights: []Weight{{Stable: 100 - weight, Canary: weight}},
		Annotations: map[string]string{ingressCanary: "true", ingressWeight: fmt.Sprint(weight)}}, float64(weight)
}

// Set writes the two annotations. Undoing puts back what was there, except that
// no weight is left to the canary.
func (r ingressRouter) Set(ctx context.Context, wanted State, mark string) error {
	annotations := wanted.Annotations
	if weight, there := annotations[ingressWeight]; mark == "" && there && weight != "0" {
		annotations = map[string]string{ingressCanary: annotations[ingressCanary], ingressWeight: "0"}
	}
	_, err := r.t.change(ctx, r.object, mark, func(found *unstructured.Unstructured) ([]operation, error) {
		var operations []operation
		now := found.GetAnnotations()
		for _, name := range []string{ingressCanary, ingressWeight} {
			path := "/metadata/annotations/" + strings.ReplaceAll(name, "/", "~1")
			is, there := now[name]
			to, wanted := annotations[name]
			switch {
			case wanted && is != to:
				operations = append(operations, operation{"add", path, to})
			case !wanted && there:
				operations = append(operations, operation{Op: "remove", Path: path})
			}
		}
		return operations, nil
	})
	if mark == "" && apierrors.IsNotFound(err) {
		r.t.log("%s is gone: there is no weight to take back", r.object)
		return nil
	}
	return err
}

// Accepted has nothing to wait for: ingress-nginx does not say that it has taken an annotation.
func (r ingressRouter) Accepted(context.Context) error { return nil }

// canaryIngresses finds the canary's Ingress: it has the annotation and the
// canary's Service, and another Ingress has stable's.
func canaryIngresses(_ *Traffic, route Route, all []unstructured.Unstructured) []string {
	var names []string
	stable := false
	for _, item := range all {
		_, marked := item.GetAnnotations()[ingressCanary]
		versions := map[string]bool{}
		for _, service := range ingressServices(item.Object) {
			versions[route.version(service)] = true
		}
		switch {
		case marked && versions["canary"] && !versions["stable"]:
			names = append(names, item.GetName())
		case !marked && versions["stable"]:
			stable = true
		}
	}
	if !stable {
		return nil
	}
	return names
}

func ingressServices(content map[string]any) []string {
	var names []string
	add := func(backend map[string]any) {
		service, _ := backend["service"].(map[string]any)
		names = append(names, text(service, "name"))
	}
	spec, _ := content["spec"].(map[string]any)
	if fallback, there := spec["defaultBackend"].(map[string]any); there {
		add(fallback)
	}
	for _, rule := range items(content, "spec", "rules") {
		for _, path := range items(rule, "http", "paths") {
			backend, _ := path["backend"].(map[string]any)
			add(backend)
		}
	}
	return names
}
