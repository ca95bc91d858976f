package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// company is how long the other workloads are still waited for when one has
// failed: what has the same cause fails at about the same time. One that shows a
// trouble by then is waited for as long again.
const company = 15 * time.Second

// errCompany ends the wait for the others.
var errCompany = errors.New("another workload failed")

// WaitAll waits for several workloads at once. All failures are told; the error
// is that of the first workload, in the order given, that did not get there.
//
// An error without results means that no verdict could be had; a rollout that
// failed is a verdict, and its error has the exit code No. One that is not over
// when the time is has Unknown.
func WaitAll(ctx context.Context, cluster *kube.Cluster, targets []Target, options Options) (Results, error) {
	limited, cancel := context.WithTimeout(ctx, options.Timeout)
	defer cancel()
	limited, part := context.WithCancelCause(limited)
	defer part(nil)

	begin := time.Now()
	followers := make([]*follower, len(targets))
	results, errs := make([]Result, len(targets)), make([]error, len(targets))
	for i, target := range targets {
		followers[i] = newFollower(cluster, target, options)
	}
	each(followers, func(i int, f *follower) { errs[i] = f.open(limited) })
	if anyAbsent(errs) {
		each(followers, func(i int, f *follower) { results[i] = f.glance(limited, errs[i]) })
		return Results{results}, outcome(results, errs)
	}
	each(followers, func(i int, f *follower) {
		err := errs[i]
		if err == nil {
			err = f.wait(limited)
		}
		results[i], errs[i] = f.result(ctx, context.Cause(limited), err, begin)
		if errs[i] != nil || results[i].State == Failed {
			time.AfterFunc(company, func() {
				if !slices.ContainsFunc(followers, (*follower).isTroubled) {
					part(errCompany)
				}
			})
			time.AfterFunc(2*company, func() { part(errCompany) })
		}
		if errs[i] == nil {
			errs[i] = f.finish(ctx, &results[i])
		}
	})
	if !slices.Contains(errs, nil) {
		return Results{}, outcome(results, errs)
	}
	return Results{results}, outcome(results, errs)
}

func each(followers []*follower, do func(int, *follower)) {
	var group sync.WaitGroup
	for i, f := range followers {
		group.Go(func() { do(i, f) })
	}
	group.Wait()
}

func anyAbsent(errs []error) bool {
	var absent *absentError
	for _, err := range errs {
		if errors.As(err, &absent) {
			return true
		}
	}
	return false
}

// glance tells how a workload is now by its status alone, beside another that is not there at all.
func (f *follower) glance(ctx context.Context, err error) Result {
	var absent *absentError
	if errors.As(err, &absent) {
		return Result{Verdict: Verdict{Workload: f.target.String()}.failed(Failure{Code: "NOT_FOUND", Cause: absent.told.Message})}
	}
	if f.observer = nil; err == nil {
		if objects, readErr := f.read(ctx); readErr == nil {
			f.judge(objects, f.cluster.Now())
		}
	}
	return Result{Verdict: f.verdict}
}

// result is the answer of one wait. ended is why the common time was over, if it was.
func (f *follower) result(ctx context.Context, ended, err error, begin time.Time) (Result, error) {
	result := Result{Verdict: f.verdict, Seconds: time.Since(begin).Seconds()}
	switch {
	case err == nil:
		return result, nil
	case ctx.Err() != nil:
		return result, slipway.Errorf(slipway.Unknown, "stopped while %s was at: %s", f.target, orUnknown(f.verdict.Cause)).
			Next("nothing was changed; the rollout goes on without this program")
	case errors.Is(ended, errCompany) && errors.Is(err, context.Canceled):
		return result, nil
	case err == context.DeadlineExceeded: // by identity: a request that ran out of time is no verdict
		result.State, result.Code = Progressing, "TIMEOUT"
		result.Cause = fmt.Sprintf("not done after %s: %s", f.options.Timeout, orUnknown(f.verdict.Cause))
		return result, nil
	}
	return result, err
}

func orUnknown(cause string) string {
	if cause == "" {
		return "nothing was seen of it"
	}
	return cause
}

// finish does what follows from a verdict: the story of a failure, the way back,
// or the note that this revision became good.
func (f *follower) finish(ctx context.Context, result *Result) error {
	if result.State == Done {
		if f.options.Logs {
			result.LastWords = f.newPodsWords(ctx)
		}
		if f.options.MarkGood && f.target.Kind == Deployment {
			return markGood(ctx, f.cluster, f.objects.Deployment, result.Revision)
		}
		return nil
	}
	if result.Code == "" {
		return nil // it went on when another workload failed
	}
	f.report(ctx, result)
	if f.options.Rollback {
		result.Rollback, result.rolledBack = rollBack(ctx, f.cluster, f.target, f.options, *result)
	}
	return nil
}

// outcome is the error of the first workload that did not get there.
func outcome(results []Result, errs []error) error {
	for i, err := range errs {
		if err != nil {
			return err
		}
		result := results[i]
		if result.State == Done || result.Code == "" {
			continue
		}
		code := slipway.No
		if result.Code == "TIMEOUT" && !result.rolledBack {
			code = slipway.Unknown
		}
		failure := slipway.Errorf(code, "%s: %s: %s", result.Workload, result.Code, result.Cause)
		failure.Why = result.lastWord()
		return failure.Next("%s", result.try())
	}
	return nil
}
