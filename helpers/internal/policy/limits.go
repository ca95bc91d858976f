package policy

import (
	"fmt"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Trial is how a canary is tried.
type Trial struct {
	Weight      int
	Prometheus  bool
	Hold        time.Duration // without Prometheus: how long it must stay up
	Duration    time.Duration // with Prometheus: of all looks
	MinRequests int           // with Prometheus
}

// Raise gives what is at least as strict as both, and names each value that the policy raised.
func (c Canary) Raise(asked Trial) (trial Trial, raised []string, err error) {
	trial = asked
	if trial.Weight < c.MinWeight {
		trial.Weight = c.MinWeight
		raised = append(raised, fmt.Sprintf("canaryWeight: %d by the policy's canary.minWeight, not %d", c.MinWeight, asked.Weight))
	}
	looks, name := &trial.Hold, "hold"
	if trial.Prometheus {
		looks, name = &trial.Duration, "analysisDuration"
	}
	if *looks < c.MinDuration {
		raised = append(raised, fmt.Sprintf("%s: %s by the policy's canary.minDuration, not %s", name, lasting(c.MinDuration), lasting(*looks)))
		*looks = c.MinDuration
	}
	if c.MinRequests > 0 && !trial.Prometheus {
		const uncounted = "the policy's canary.minRequests asks for %d requests to the canary, and only Prometheus counts them"
		return trial, raised, slipway.Usagef(uncounted, c.MinRequests).Next("set prometheusUrl")
	}
	if trial.Prometheus && trial.MinRequests < c.MinRequests {
		const byPolicy = "analysisMinRequests: %d by the policy's canary.minRequests, not %d"
		raised = append(raised, fmt.Sprintf(byPolicy, c.MinRequests, asked.MinRequests))
		trial.MinRequests = c.MinRequests
	}
	return trial, raised, nil
}

// Enough refuses a canary that is tried with less than the policy asks for.
func (c Canary) Enough(asked Trial) error {
	_, raised, err := c.Raise(asked)
	if err == nil && len(raised) > 0 {
		return slipway.Errorf(slipway.No, "the policy asks for more: %s", raised[0]).Next("see slipway policy explain")
	}
	return err
}
