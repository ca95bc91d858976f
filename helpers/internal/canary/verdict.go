package canary

import (
	"context"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// patience is how long pods may take to be ready before it is looked why they are not:
// those that start as they should cost no further request.
const patience = 3 * time.Second

// verdict is rollout-wait's own on the Deployments that pods are waited for of.
type verdict struct {
	said  chan saying
	timer *time.Timer
}

type saying struct {
	results rollout.Results
	err     error
}

// judge has rollout-wait look at each Deployment until the context ends, or its verdict
// is final. A nil verdict never says anything.
func (t *Traffic) judge(ctx context.Context, timeout time.Duration, names ...string) *verdict {
	left := timeout - patience - min(2*time.Second, timeout/10) // so that it is heard before the time is over
	if left <= 0 {
		return nil
	}
	v := &verdict{said: make(chan saying, len(names))}
	options := rollout.Options{Criteria: rollout.Criteria{Graces: rollout.DefaultGraces}, Timeout: left, APIGrace: time.Minute}
	v.timer = time.AfterFunc(patience, func() {
		for _, name := range names {
			go func() {
				results, err := rollout.WaitAll(ctx, t.cluster, []rollout.Target{{Kind: rollout.Deployment, Name: name}}, options)
				if err != nil && ctx.Err() == nil && len(results.Workloads) > 0 {
					v.said <- saying{results, err}
				}
			}()
		}
	})
	return v
}

func (v *verdict) failed() <-chan saying {
	if v == nil {
		return nil
	}
	return v.said
}

func (v *verdict) stop() {
	if v != nil {
		v.timer.Stop()
	}
}

// hear keeps what rollout-wait said, and says also how to undo.
func (t *Traffic) hear(said saying) error {
	t.told = &said.results
	failure := *slipway.AsError(said.err)
	failure.Hint += "; then undo: " + t.undoCommand()
	return &failure
}
