package canary

import "context"

// serviceRouter gives a share by the number of pods behind one Service: the
// pods are all that it changes, and their endpoints are the proof.
type serviceRouter struct {
	t     *Traffic
	route Route
}

func (r serviceRouter) plan(weight int, _ State, limits Limits) (State, float64) {
	split := Search(weight, limits)
	return State{Stable: int32(split.Stable), Canary: int32(split.Canary)}, split.Achieved
}

// Get has no weights: stable's and canary's replicas are everything.
func (r serviceRouter) Get(context.Context) (State, error) { return State{}, nil }

// Set has nothing to ask for beside the pods.
func (r serviceRouter) Set(context.Context, State, string) error { return nil }

// Accepted has been waited for with the pods' endpoints.
func (r serviceRouter) Accepted(context.Context) error { return nil }
