package canary

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// SetOptions say how much, and under whose name.
type SetOptions struct {
	Weight        int // 0 to 100
	Run           string
	Expires       time.Duration
	Tolerance     float64       // points
	Timeout       time.Duration // for pods to be ready
	Limits        Limits        // what is known from the cluster is filled in
	AbortOnSignal bool
}

// Set gives the canary its share: first the journal, then the change. It
// returns when the share is in effect, or with what stands in the way.
func (t *Traffic) Set(ctx context.Context, options SetOptions) (Outcome, error) {
	if options.Weight == 0 {
		return t.Abort(ctx, AbortOptions{Run: options.Run, Strict: true, Timeout: options.Timeout})
	}
	outcome, err := t.set(ctx, options)
	switch {
	case errors.Is(err, errSuperseded):
		err = slipway.Errorf(slipway.Conflict, "somebody undid or took over the canary of %s while this was at work", t.names.App).Because(err).
			Next("see who: %s", t.getCommand())
	case ctx.Err() != nil && options.AbortOnSignal:
		undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 9*time.Second)
		defer cancel()
		if outcome, err = t.Abort(undoing, AbortOptions{Run: options.Run, Timeout: options.Timeout}); err == nil {
			err = slipway.Errorf(slipway.Unknown, "stopped by a signal, and undone: all traffic is on stable")
		}
	case ctx.Err() != nil:
		err = slipway.Errorf(slipway.Unknown, "stopped by a signal; the canary has %d pods asked for, and what was begun is written "+
			"down", replicas(t.canary)).
			Next("undo it: %s", t.undoCommand())
	}
	return outcome, err
}

func (t *Traffic) set(ctx context.Context, options SetOptions) (Outcome, error) {
	if t.absent {
		return Outcome{}, t.noCanary()
	}
	for _, version := range []*appsv1.Deployment{t.canary, t.stable} {
		if version.Spec.Paused {
			return Outcome{}, slipway.Errorf(slipway.No, "deployment/%s is paused: what is tried could not be promoted", version.Name).
				Next("let it go on: kubectl rollout resume -n %s deployment/%s", t.cluster.Namespace, version.Name)
		}
	}
	if replicas(t.stable) == 0 {
		return Outcome{}, slipway.Errorf(slipway.No, "deployment/%s runs no pod: there is nothing that a canary could share the "+
			"traffic with", t.names.Stable).
			Next("a first release goes there by itself: deploy-image -n %s deployment/%s --image REPOSITORY:TAG@DIGEST --replicas "+
				"N", t.cluster.Namespace, t.names.Stable)
	}
	if err := t.choose(ctx); err != nil {
		return Outcome{}, err
	}
	if err := t.lock(ctx, options.Run, options.Expires, false); err != nil {
		return Outcome{}, err
	}
	for attempt := 0; ; attempt++ {
		outcome, err := t.setLocked(ctx, options)
		if !apierrors.IsConflict(err) || attempt >= 8 {
			return outcome, err
		}
		// The canary's Deployment changed between reading it and writing the journal.
		if err := t.read(ctx); err != nil {
			return Outcome{}, err
		}
	}
}

func (t *Traffic) setLocked(ctx context.Context, options SetOptions) (Outcome, error) {
	journal, err := t.leftBehind(ctx, options)
	if err != nil {
		return Outcome{}, err
	}
	now := t.cluster.Now().UTC().Truncate(time.Second)
	first := journal == nil
	state, err := t.router.Get(ctx)
	if err != nil {
		return Outcome{}, t.withoutChange(ctx, options.Run, first, err)
	}
	if first {
		state.Stable, state.Canary = replicas(t.stable), replicas(t.canary)
		journal = &Journal{Run: options.Run, StartedAt: now, Route: t.route, Previous: state}
		if state.Canary > 0 && t.route.Router == "service" {
			t.log("deployment/%s runs %d pods already, of which no journal tells: abort will take it to 0", t.names.Canary, state.Canary)
		}
	}
	limits, err := t.limits(ctx, options.Limits, journal.Previous)
	if err != nil {
		return Outcome{}, t.withoutChange(ctx, options.Run, first, err)
	}
	wanted, achievable := t.router.plan(options.Weight, journal.Previous, limits)
	if grows := wanted.Canary > journal.Previous.Canary; wanted.Canary == 0 ||
		grows && int(wanted.Stable+wanted.Canary) > limits.Stable+limits.MaxExtra {
		return Outcome{}, t.withoutChange(ctx, options.Run, first, t.noRoom(limits))
	}
	if distance := math.Abs(achievable - float64(options.Weight)); distance > options.Tolerance {
		return Outcome{}, t.withoutChange(ctx, options.Run, first, t.unachievable(options, wanted, achievable, limits))
	}
	journal.Set, journal.Weight, journal.ExpiresAt = rand.Text(), options.Weight, now.Add(options.Expires)
	if t.route.Router == "service" && wanted.Stable != journal.Previous.Stable {
		journal.Given = append(journal.Given, wanted.Stable)
	}
	if err := t.writeJournal(ctx, journal); err != nil {
		if apierrors.IsConflict(err) {
			return Outcome{}, err
		}
		return Outcome{}, t.withoutChange(ctx, options.Run, first, t.writingJournal(err))
	}
	counts, err := t.give(ctx, wanted, fmt.Sprintf("%s (%s)", journal.Run, journal.Set), options.Timeout)
	achieved := achievable
	if t.route.Router == "service" {
		achieved = counts.Share()
	}
	outcome := t.outcome(journal, achieved)
	outcome.Achievable, outcome.Error, outcome.Endpoints = achievable, math.Abs(achievable-float64(options.Weight)), counts
	if err == nil && math.Abs(achieved-float64(options.Weight)) > options.Tolerance {
		err = slipway.Errorf(slipway.No, "asked for %d %%, and %.1f %% is what is true: %s", options.Weight, achieved, counts).
			Next("see which pods are not ready: rollout-wait -n %s deployment/%s deployment/%s", t.cluster.Namespace, t.names.Stable, t.names.Canary)
	}
	return outcome, err
}

// leftBehind gives this run's own journal, or nothing after what another run's
// says has been undone. One that is still in its time is left alone.
func (t *Traffic) leftBehind(ctx context.Context, options SetOptions) (*Journal, error) {
	journal, err := ReadJournal(t.canary.Annotations)
	if err != nil || journal == nil {
		return nil, err
	}
	if journal.Run == options.Run && !journal.Undoing {
		if journal.Route != t.route {
			return nil, slipway.Errorf(slipway.Conflict, "this run began with the router %s (%s), and cannot go on with "+
				"%s", journal.Route.Router, journal.Route.Name, t.route.Router).
				Next("undo first: %s", t.undoCommand())
		}
		return journal, nil
	}
	if !journal.Undoing && t.cluster.Now().Before(journal.ExpiresAt) {
		if err := t.unlock(ctx, heldByRun(options.Run)); err != nil {
			return nil, err
		}
		return nil, t.heldBy(journal.Run, journal.ExpiresAt)
	}
	t.log("the run %s left a canary behind: undoing it first", journal.Run)
	chosen, router := t.route, t.router
	if err := t.undo(ctx, journal, options.Timeout); err != nil {
		return nil, err
	}
	t.route, t.router = chosen, router
	return nil, t.read(ctx)
}

func (t *Traffic) noRoom(limits Limits) error {
	return slipway.Errorf(slipway.No, "there is no room for a pod of the canary beside the %d of deployment/%s: %sat most %d "+
		"more are allowed", limits.Stable, t.names.Stable, limits.Why, limits.MaxExtra).
		Next("raise the quota, allow more pods (--max-extra %d) or fewer of stable (--min-stable %d)", limits.MaxExtra, limits.MinStable)
}

func (t *Traffic) unachievable(options SetOptions, wanted State, achievable float64, limits Limits) error {
	err := slipway.Errorf(
		slipway.No,
		"%d %% cannot be had: achievable %.1f %% (%d stable and %d canary pods), error %.1f points",
		options.Weight,
		achievable,
		wanted.Stable,
		wanted.Canary,
		math.Abs(achievable-float64(options.Weight)),
	)
	if len(wanted.Weights) > 0 {
		return err.Next("give the two back ends of the route weights whose sum is 100 or more: what other back ends get is left alone")
	}
	return err.Next(
		"%sallow more pods (--max-extra %d) or fewer of stable (--min-stable %d), a greater --tolerance (%g), or give the share with a gateway",
		limits.Why,
		limits.MaxExtra,
		limits.MinStable,
		options.Tolerance,
	)
}

// withoutChange lets go of what set took before it changed anything.
func (t *Traffic) withoutChange(ctx context.Context, run string, first bool, cause error) error {
	if first { // nothing of this run stands
		if err := t.unlock(ctx, heldByRun(run)); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return cause
}
