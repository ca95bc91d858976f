package rollout

import (
	"context"
	"errors"
	"sync"
	"time"

	"slipway.dev/slipway/helpers/internal/kube"
)

const (
	askedAtOnce = 40              // followed logs: an API server allows 100 requests on one connection
	unaskedFor  = 2 * time.Minute // how long it is tried to ask a node that does not answer
)

// observer has the nodes say which containers run for as long as they have to.
type observer struct {
	slots chan struct{}
	lock  sync.Mutex
	runs  map[string]*observed
}

// observed is one run, by what its pod's status says.
type observed struct {
	Observation
	question question
	cancel   context.CancelFunc // of the attempt that is being made; nil where none is
	next     time.Time          // no attempt before
	failing  time.Time          // since when the node could not be asked; zero where it could
}

func newObserver() *observer {
	return &observer{slots: make(chan struct{}, askedAtOnce), runs: map[string]*observed{}}
}

// known takes note of what is to be asked now, and gives what is known of it. What is no
// longer a question is forgotten.
func (o *observer) known(questions map[string]question) map[string]Observation {
	if o == nil {
		return nil // no node is asked
	}
	o.lock.Lock()
	defer o.lock.Unlock()
	for run, seen := range o.runs {
		if _, asked := questions[run]; !asked {
			if seen.cancel != nil {
				seen.cancel()
			}
			delete(o.runs, run)
		}
	}
	known := map[string]Observation{}
	for run, question := range questions {
		if o.runs[run] == nil {
			o.runs[run] = &observed{question: question}
		}
		known[run] = o.runs[run].Observation
	}
	return known
}

// ask begins what is still to be asked; wake is called after each answer.
func (o *observer) ask(ctx context.Context, cluster *kube.Cluster, wake func()) {
	o.lock.Lock()
	defer o.lock.Unlock()
	for _, seen := range o.runs {
		if seen.Proven || seen.Unasked || seen.cancel != nil || time.Now().Before(seen.next) {
			continue
		}
		attempt, cancel := context.WithCancel(ctx)
		seen.cancel = cancel
		go func() {
			defer cancel()
			select {
			case o.slots <- struct{}{}:
			case <-attempt.Done():
				return
			}
			err := kube.RunsFor(attempt, cluster, seen.question.pod, seen.question.container, seen.question.lasts)
			<-o.slots
			o.lock.Lock()
			seen.answered(err, time.Now())
			o.lock.Unlock()
			wake()
		}()
	}
}

// answered notes how an attempt ended. A node that does not answer is asked again for
// unaskedFor, since a busy one answers later; where nobody may ask, it is not asked again.
func (s *observed) answered(err error, now time.Time) {
	s.cancel, s.next = nil, now.Add(retry)
	var ended *kube.EndedError
	switch {
	case err == nil:
		s.Observation, s.failing = Observation{Proven: true}, time.Time{}
		return
	case errors.As(err, &ended):
		s.Said, s.failing = ended.Error(), time.Time{}
		return
	case s.failing.IsZero():
		s.failing = now
	}
	s.Said = kube.Explain(err, "asking the node whether the container runs").Error()
	s.Unasked = kube.IsDenied(err) || now.Sub(s.failing) >= unaskedFor
}
