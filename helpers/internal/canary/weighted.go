package canary

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// weighted is a router whose object lists weighted backends: gateway, traefik
// and istio differ in where those stand.
type weighted struct {
	t      *Traffic
	route  Route
	object object
	rules  func(route Route, content map[string]any) [][]backend
	shared map[int]bool // rules that other backends have a part of, since Get
}

func (r *weighted) Get(ctx context.Context) (State, error) {
	content := r.t.seen
	if r.t.seen = nil; content == nil {
		found, err := r.t.readObject(ctx, r.object)
		if err != nil {
			return State{}, err
		}
		content = found.Object
	}
	weights, shared := ruleWeights(r.rules(r.route, content))
	if len(weights) == 0 {
		return State{}, missing(r.object, r.route)
	}
	r.shared = shared
	return State{Weights: weights}, nil
}

func (r *weighted) plan(weight int, previous State, limits Limits) (State, float64) {
	weights, achieved := planWeights(weight, previous.Weights, r.shared)
	return State{Stable: previous.Stable, Canary: podsFor(weight, previous, limits), Weights: weights}, achieved
}

func (r *weighted) Set(ctx context.Context, wanted State, mark string) error {
	_, err := r.set(ctx, wanted, mark)
	return err
}

// set gives the object as it is afterwards; nothing where it is gone and undone.
func (r *weighted) set(ctx context.Context, wanted State, mark string) (*unstructured.Unstructured, error) {
	changed, err := r.t.change(ctx, r.object, mark, func(found *unstructured.Unstructured) ([]operation, error) {
		rules := r.rules(r.route, found.Object)
		if weights, _ := ruleWeights(rules); len(weights) == 0 {
			if mark == "" {
				r.t.log("%s no longer names both versions: there is no weight to take back", r.object)
				return nil, nil
			}
			return nil, missing(r.object, r.route)
		}
		return weigh(rules, wanted.Weights)
	})
	if mark == "" && apierrors.IsNotFound(err) {
		r.t.log("%s is gone: there is no weight to take back", r.object)
		return nil, nil
	}
	return changed, err
}

// Accepted has nothing to wait for: neither Traefik nor Istio writes into the
// object's status whether it has taken it.
func (r *weighted) Accepted(context.Context) error { return nil }
