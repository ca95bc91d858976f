package canary

import (
	"context"
	"fmt"
	"math"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// VerifyOptions say what should be true, and whom to ask beside the cluster.
type VerifyOptions struct {
	Weight     int
	Tolerance  float64 // points
	Prometheus *Source // nil asks only the cluster
	Window     time.Duration
}

// Measured is the share of requests that Prometheus saw, with its 95 % interval by Wilson's score.
type Measured struct {
	Canary float64 `json:"canary"` // requests
	Stable float64 `json:"stable"` // requests
	Share  float64 `json:"share"`  // percent
	Low    float64 `json:"low"`    // percent
	High   float64 `json:"high"`   // percent
	Window string  `json:"window"`
}

func (m Measured) String() string {
	return fmt.Sprintf(
		"%.0f of %.0f requests in %s went to the canary: %.2f %% (95 %%: %.2f to %.2f)",
		m.Canary,
		m.Canary+m.Stable,
		m.Window,
		m.Share,
		m.Low,
		m.High,
	)
}

func measured(canary, stable float64, window time.Duration) Measured {
	low, high := Wilson(canary, canary+stable, 0.95)
	m := Measured{Canary: canary, Stable: stable, Low: 100 * low, High: 100 * high, Window: window.String()}
	if canary+stable > 0 {
		m.Share = 100 * canary / (canary + stable)
	}
	return m
}

// judge is nil where the share is the weight within the tolerance, No where the
// whole interval lies outside of it, and Unknown between the two.
func (m Measured) judge(weight int, tolerance float64) error {
	from, to := float64(weight)-tolerance, float64(weight)+tolerance
	switch {
	case m.Canary+m.Stable == 0:
		return slipway.Errorf(slipway.Unknown, "prometheus saw no request in %s, so that nobody knows the share", m.Window).
			Next("wait for traffic, or take a longer --window")
	case m.High < from || m.Low > to:
		return slipway.Errorf(slipway.No, "asked for %d %%, and %s", weight, m).
			Next("see whether clients keep their connections, and which pods are ready: canary-weight get")
	case m.Share < from || m.Share > to:
		return slipway.Errorf(slipway.Unknown, "asked for %d %%; %s, which is too few to tell", weight, m).Next("take a longer --window")
	}
	return nil
}

// Verify says what is true, not what was asked for.
func (t *Traffic) Verify(ctx context.Context, options VerifyOptions) (Outcome, error) {
	outcome, err := t.Get(ctx)
	if err != nil {
		return outcome, err
	}
	if math.Abs(outcome.Achieved-float64(options.Weight)) > options.Tolerance {
		return outcome, slipway.Errorf(slipway.No, "%.1f %% is true, and not %d %%: %s", outcome.Achieved, options.Weight, outcome.Endpoints).
			Next("see who runs: %s", t.getCommand())
	}
	if options.Prometheus == nil {
		return outcome, nil
	}
	now := time.Now()
	canary, err := options.Prometheus.requests(ctx, t.versions().Canary, now, options.Window)
	if err != nil {
		return outcome, err
	}
	stable, err := options.Prometheus.requests(ctx, t.versions().Stable, now, options.Window)
	if err != nil {
		return outcome, err
	}
	seen := measured(canary, stable, options.Window)
	outcome.Requests = &seen
	return outcome, seen.judge(options.Weight, options.Tolerance)
}
