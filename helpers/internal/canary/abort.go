package canary

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"slipway.dev/slipway/helpers/internal/approved"
	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// AbortOptions say whose canary to undo.
type AbortOptions struct {
	Run     string        // only what this run began; empty undoes whoever's it is
	Strict  bool          // another run's canary is a conflict, not a note
	Expired bool          // only what is past its time
	Timeout time.Duration // for stable's pods to be ready, where they were fewer
}

// Abort takes all traffic back to stable and puts the replicas back. It can be
// killed and run again at any instant, and it does nothing where there is nothing to undo.
func (t *Traffic) Abort(ctx context.Context, options AbortOptions) (Outcome, error) {
	judged := ""
	for attempt := 0; ; attempt++ {
		journal, err := ReadJournal(t.canary.Annotations)
		if err != nil {
			return Outcome{}, err
		}
		outcome := t.outcome(journal, 0)
		if note, err := t.notToUndo(ctx, journal, options, judged); note != "" || err != nil {
			outcome.Note = note
			return outcome, err
		}
		judged = journal.Set
		err = t.takeBack(ctx, journal, options)
		if (apierrors.IsConflict(err) || errors.Is(err, errSuperseded)) && attempt < 10 {
			if err := t.read(ctx); err != nil { // somebody else undoes as well, or the Deployment just changed
				return outcome, err
			}
			continue
		}
		if err != nil {
			return outcome, t.explainUndo(err)
		}
		outcome = t.outcome(nil, 0)
		outcome.Undone, outcome.Note = true, fmt.Sprintf("all traffic is on stable again; undone what %s began", journal.Run)
		return outcome, nil
	}
}

// TellBroken leaves an Event on each of the two Deployments that went past the namespace's guard.
func (t *Traffic) TellBroken(ctx context.Context) {
	for _, each := range []*appsv1.Deployment{t.stable, t.canary} {
		if reason, broken := each.Annotations[approved.BreakGlass]; broken {
			approved.Tell(ctx, t.cluster, corev1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: t.cluster.Namespace,
				Name: each.Name, UID: each.UID}, reason)
		}
	}
}

// notToUndo tells why there is nothing to do; with an empty note there is.
func (t *Traffic) notToUndo(ctx context.Context, journal *Journal, options AbortOptions, judged string) (string, error) {
	switch {
	case journal == nil && judged != "":
		return "all traffic is on stable again: somebody else undid it at the same time", nil
	case journal == nil:
		return "there is nothing to undo", t.unlock(ctx, func(holder string, live bool) bool {
			return holder == options.Run || !live || options.Run == "" && !options.Expired
		})
	case judged != "" && journal.Set != judged:
		return "that canary is undone, and this one is another's, which was left alone: " + journal.Run, nil
	case options.Run != "" && journal.Run != options.Run && options.Strict:
		return "", t.heldBy(journal.Run, journal.ExpiresAt)
	case options.Run != "" && journal.Run != options.Run:
		return "the canary is another run's, and was left alone: " + journal.Run, nil
	case options.Expired && !journal.Undoing && t.cluster.Now().Before(journal.ExpiresAt):
		return fmt.Sprintf("the canary of %s may stay until %s", journal.Run, journal.ExpiresAt.Format(time.RFC3339)), nil
	}
	if options.Run == "" && !options.Expired {
		return "", nil
	}
	// A run that took the Lease of one that was over is about to undo it itself.
	held, live, err := t.holding(ctx)
	if err == nil && live && holder(held) != journal.Run {
		return "another run has taken over, and undoes it itself: " + holder(held), nil
	}
	return "", err
}

// takeBack closes the journal, so that whoever still goes by it stops; takes the
// Lease, so that nobody begins meanwhile; undoes; and lets go.
func (t *Traffic) takeBack(ctx context.Context, journal *Journal, options AbortOptions) error {
	if err := t.closeJournal(ctx, journal); err != nil {
		return err
	}
	if err := t.lock(ctx, journal.Run, time.Minute, true); err != nil {
		return err
	}
	if err := t.undo(ctx, journal, options.Timeout); err != nil {
		return err
	}
	return t.unlock(ctx, heldByRun(journal.Run))
}

func (t *Traffic) closeJournal(ctx context.Context, journal *Journal) error {
	if journal.Undoing {
		t.fence = t.canary.Annotations[JournalAnnotation]
		return nil
	}
	closed := *journal
	closed.Undoing = true
	if err := t.writeJournal(ctx, &closed); err != nil {
		if apierrors.IsConflict(err) {
			return err
		}
		return t.writingJournal(err)
	}
	journal.Undoing = true
	return nil
}

// undo puts back what the journal says, then forgets it. Stable first gets back
// what it lacks; then the canary loses its share, its pods, and stable what it was given.
func (t *Traffic) undo(ctx context.Context, journal *Journal, timeout time.Duration) error {
	if err := t.closeJournal(ctx, journal); err != nil {
		return err
	}
	var err error
	t.route = journal.Route
	if t.router, err = t.newRouter(journal.Route); err != nil {
		return err
	}
	service := journal.Route.Router == "service"
	previous := journal.Previous
	if service && len(journal.Given) > 0 && replicas(t.stable) < previous.Stable {
		if err := t.scaleStable(ctx, "", func(now int32) int32 { return max(now, previous.Stable) }); err != nil {
			return err
		}
		followed := t.endpoints(t.route.Service)
		err := followed.until(ctx, timeout, func(c Counts) bool { return c.Stable >= int(previous.Stable) })
		followed.stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			t.log("going on without waiting any longer for stable's pods: %v", err)
		}
	}
	back := previous
	back.Weights = undoneWeights(previous.Weights)
	if err := t.router.Set(ctx, back, ""); err != nil {
		return err
	}
	if err := t.router.Accepted(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.log("the weights are back, and the gateway has not said so: %v", err)
	}
	canary := previous.Canary
	if service {
		canary = 0 // a pod behind the shared Service would keep a share
	}
	if replicas(t.canary) != canary {
		if err := t.scaleCanary(ctx, canary); err != nil {
			return err
		}
	}
	if service && len(journal.Given) > 0 {
		if err := t.scaleStable(ctx, "", func(now int32) int32 { return stableBack(now, previous.Stable, journal.Given, t.log) }); err != nil {
			return err
		}
	}
	if service {
		followed := t.endpoints(t.route.Service)
		err := followed.until(ctx, timeout, func(c Counts) bool { return c.Canary == 0 })
		followed.stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			t.log("the canary is scaled to 0, and its endpoints are not gone: %v", err)
		}
	}
	return t.changeCanary(ctx, "forgetting what was undone, on deployment/"+t.names.Canary, operation{Op: "remove", Path: journalPath})
}

// stableBack are stable's replicas after the undoing: as before, unless somebody
// has asked for others meanwhile.
func stableBack(now, previous int32, given []int32, log func(string, ...any)) int32 {
	if now < previous || slices.Contains(given, now) {
		return previous
	}
	if now != previous {
		log("stable has %d replicas, which no canary asked for: left as they are (before it were %d)", now, previous)
	}
	return now
}

func (t *Traffic) explainUndo(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return slipway.Errorf(slipway.Unknown, "stopped by a signal before everything was undone").Next("run it again: %s", t.undoCommand())
	case errors.Is(err, errSuperseded), apierrors.IsConflict(err):
		return slipway.Errorf(slipway.Conflict, "deployment/%s changes faster than it can be undone", t.names.Canary).
			Because(err).
			Next("run it again: %s", t.undoCommand())
	}
	return err
}
