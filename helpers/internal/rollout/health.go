package rollout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// health knows whether the API server answers, each source by itself.
type health struct {
	changed chan struct{} // holds one token while something is new
	lock    sync.Mutex
	faults  map[string]fault // by what was being read
	back    bool             // all answer again after a fault, and nobody has asked yet
}

type fault struct {
	err   error
	since time.Time
	known bool // the same was answered before: a refusal now may be the API server's start
}

func newHealth() *health {
	return &health{changed: make(chan struct{}, 1), faults: map[string]fault{}}
}

func (h *health) wake() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

func (h *health) good(what string) {
	h.lock.Lock()
	defer h.lock.Unlock()
	if _, faulty := h.faults[what]; faulty {
		delete(h.faults, what)
		h.back = len(h.faults) == 0
	}
}

// returned notes an outage that nobody noticed before it was over.
func (h *health) returned() {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.back = true
}

func (h *health) fail(what string, err error, known bool) {
	if errors.Is(err, context.Canceled) {
		return
	}
	h.lock.Lock()
	since := time.Now()
	if before, faulty := h.faults[what]; faulty {
		since = before.since
	}
	h.faults[what] = fault{err, since, known}
	h.lock.Unlock()
	h.wake()
}

// state says whether the API server is away, whether it is back since this was
// asked last, and the error to give up with: at once where it refuses what it
// never granted, else after the grace.
func (h *health) state(target string, grace time.Duration) (away, back bool, err error) {
	h.lock.Lock()
	defer h.lock.Unlock()
	back, h.back = h.back, false
	for what, f := range h.faults {
		lasted, doing := time.Since(f.since), fmt.Sprintf("watching %s of %s", what, target)
		switch passing := kube.IsPassing(f.err); {
		case !passing && (!f.known || lasted > settle):
			return true, false, kube.Explain(f.err, doing)
		case passing && lasted >= grace:
			return true, false, slipway.Errorf(slipway.Unknown, "the API server has not answered for %s, so that nothing is known of %s",
				lasted.Round(time.Second), target).
				Because(fmt.Errorf("%s: %w", doing, f.err)).Next("see whether it is up, then run this again")
		}
	}
	return len(h.faults) > 0, back, nil
}

// since tells how long the API server has been away; 0 where it is not.
func (h *health) since() time.Duration {
	h.lock.Lock()
	defer h.lock.Unlock()
	longest := time.Duration(0)
	for _, f := range h.faults {
		longest = max(longest, time.Since(f.since))
	}
	return longest
}
