package rollout

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// Options of a wait.
type Options struct {
	Criteria
	Timeout       time.Duration
	WaitForCreate time.Duration // 0: an absent workload is an answer at once
	APIGrace      time.Duration
	Rollback      bool
	MarkGood      bool // note on the Deployment that this revision became good
	Show          func(now time.Time, verdict Verdict)
}

// Result is what rollout-wait answers of one workload.
type Result struct {
	Verdict
	Seconds  float64 `json:"seconds"`
	Report   *Report `json:"report,omitempty"`
	Rollback string  `json:"rollback,omitempty"` // what was undone, and how that ended
}

// Results are those of all the workloads that were asked for.
type Results []Result

// Text tells one line a workload, and the story of each failure.
func (r Results) Text(out io.Writer) error {
	for _, result := range r {
		line := fmt.Sprintf("%s: %s: %s (%.1f s)", result.Workload, result.State, result.Cause, result.Seconds)
		if result.Code != "" {
			line = fmt.Sprintf("%s: %s: %s: %s (%.1f s)", result.Workload, result.State, result.Code, result.Cause, result.Seconds)
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
		if result.Report != nil {
			if err := result.Report.text(out); err != nil {
				return err
			}
		}
		if result.Rollback != "" {
			if _, err := fmt.Fprintln(out, "  rollback: "+result.Rollback); err != nil {
				return err
			}
		}
	}
	return nil
}

// Env tells the first failure, or that all is done.
func (r Results) Env() []slipway.Pair {
	worst := Result{Verdict: Verdict{State: Done}}
	var names []string
	for _, result := range r {
		names = append(names, result.Workload)
		if result.State != Done && worst.State == Done {
			worst = result
		}
	}
	return []slipway.Pair{
		{Key: "STATE", Value: string(worst.State)}, {Key: "WORKLOADS", Value: strings.Join(names, " ")}, {Key: "WORKLOAD", Value: worst.Workload},
		{Key: "CODE", Value: worst.Code}, {Key: "CAUSE", Value: worst.Cause}, {Key: "ROLLBACK", Value: worst.Rollback},
	}
}

// Wait waits for one workload until its verdict is final. An error means that no
// verdict could be had; a rollout that failed is a verdict, and no error.
func Wait(ctx context.Context, cluster *kube.Cluster, target Target, options Options) (Result, error) {
	begin := time.Now()
	if options.Criteria.Start.IsZero() {
		options.Criteria.Start = begin
	}
	limited, cancel := context.WithTimeout(ctx, options.Timeout)
	defer cancel()
	w := &watcher{cluster: cluster, target: target, changed: make(chan struct{}, 1)}
	verdict, objects, err := w.wait(limited, options)
	result := Result{Verdict: verdict, Seconds: time.Since(begin).Seconds()}
	switch {
	case err != nil && ctx.Err() != nil:
		return result, slipway.Errorf(slipway.Unknown, "stopped while %s was at: %s", target, orUnknown(verdict.Cause)).Next("nothing was changed; the rollout goes on without this program")
	case err == context.DeadlineExceeded: // by identity: a request that ran out of time is no verdict
		result.State, result.Code = Failed, "TIMEOUT"
		result.Workload = target.String()
		result.Cause = fmt.Sprintf("not done after %s: %s", options.Timeout, orUnknown(verdict.Cause))
	case err != nil:
		return result, err
	}
	result.Seconds = time.Since(begin).Seconds()
	if result.State == Failed {
		result.Report = newReport(ctx, cluster, objects, result.Verdict)
		if options.Rollback {
			result.Rollback = rollBack(ctx, cluster, target, options)
		}
	} else if options.MarkGood && target.Kind == Deployment {
		if err := markGood(ctx, cluster, objects.Deployment, result.Revision); err != nil {
			return result, err
		}
	}
	return result, nil
}

func orUnknown(cause string) string {
	if cause == "" {
		return "nothing was seen of it"
	}
	return cause
}

// wait follows the workload until Compute says that it is done or has failed.
func (w *watcher) wait(ctx context.Context, options Options) (Verdict, Objects, error) {
	verdict := Verdict{State: Progressing, Workload: w.target.String()}
	if err := w.open(ctx, options); err != nil {
		return verdict, Objects{}, err
	}
	// Graces run out without an event; the clock asks again.
	clock := time.NewTicker(250 * time.Millisecond)
	defer clock.Stop()
	var memory *Memory
	var objects Objects
	appeared := false
	for {
		now := time.Now()
		if err := w.unreachable(now, options.APIGrace); err != nil {
			return verdict, objects, err
		}
		if seen, found := w.objects(); found {
			appeared = true
			objects = seen
			objects.Memory, objects.Criteria = memory, options.Criteria
			verdict, memory = Compute(objects, now)
			if options.Show != nil {
				options.Show(now, verdict)
			}
			if verdict.State != Progressing {
				return verdict, objects, nil
			}
		} else if appeared {
			return verdict, objects, slipway.Errorf(slipway.No, "%s was deleted while it was waited for", w.target)
		}
		select {
		case <-ctx.Done():
			if err := w.unreachable(time.Now(), 0); err != nil {
				return verdict, objects, err
			}
			return verdict, objects, ctx.Err()
		case <-w.changed:
		case <-clock.C:
		}
	}
}

// open reads the workload's selector and starts the watches.
func (w *watcher) open(ctx context.Context, options Options) error {
	deadline := time.Now().Add(max(options.WaitForCreate, 0))
	patience := time.Now().Add(options.APIGrace)
	clock := time.NewTicker(500 * time.Millisecond)
	defer clock.Stop()
	var last error
	for {
		_, selector, err := w.fetch(ctx)
		if err != nil && ctx.Err() == nil {
			last = err
		}
		switch {
		case err == nil:
			return w.start(ctx, selector)
		case apierrors.IsNotFound(err) && time.Now().After(deadline):
			return slipway.Errorf(slipway.No, "there is no %s in the namespace %s", w.target, w.cluster.Namespace).Next("look for it: kubectl get %s -A", resources[w.target.Kind])
		case !apierrors.IsNotFound(err) && (!kube.IsPassing(err) || time.Now().After(patience)):
			return kube.Explain(err, "reading "+w.target.String())
		}
		select {
		case <-ctx.Done():
			if last != nil && !apierrors.IsNotFound(last) {
				return kube.Explain(last, "reading "+w.target.String())
			}
			return ctx.Err()
		case <-clock.C:
		}
	}
}

// WaitAll waits for several workloads at once. All failures are told; the error
// is that of the first workload, in the order given, that did not get there.
func WaitAll(ctx context.Context, cluster *kube.Cluster, targets []Target, options Options) (Results, error) {
	results, errs := make(Results, len(targets)), make([]error, len(targets))
	var group sync.WaitGroup
	for i, target := range targets {
		group.Go(func() { results[i], errs[i] = Wait(ctx, cluster, target, options) })
	}
	group.Wait()
	for i, err := range errs {
		if err != nil {
			return results, err
		}
		if result := results[i]; result.State != Done {
			return results, slipway.Errorf(slipway.No, "%s: %s: %s", result.Workload, result.Code, result.Cause).Next("%s", next(result))
		}
	}
	return results, nil
}

func next(result Result) string {
	if result.Report == nil {
		return "look closer: kubectl describe " + result.Workload
	}
	return result.Report.Try
}
