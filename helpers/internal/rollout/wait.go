package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// Target names a workload.
type Target struct{ Kind, Name string }

func (t Target) String() string { return t.Kind + "/" + t.Name }

// Options of a wait.
type Options struct {
	Criteria
	Timeout       time.Duration
	WaitForCreate time.Duration // 0: an absent workload is an answer at once
	APIGrace      time.Duration // how long the API server may be away
	Rollback      bool
	Logs          bool // tell what one of the new pods has written last, too
	MarkGood      bool // note on the Deployment that this revision became good
	Show          func(now time.Time, verdict Verdict, objects Objects)
}

const (
	tick      = 250 * time.Millisecond // the clock asks again: graces run out without an event
	attention = 5 * time.Second        // how often what is suspicious is looked at
	present   = "the present state"    // what is read beside the watches
)

// follower follows one workload, its revisions and its pods, and nothing else.
type follower struct {
	cluster *kube.Cluster
	target  Target
	options Options
	health  *health
	sources []*source

	verdict  Verdict
	uid      types.UID // of the workload that is waited for: another one may get its name
	objects  Objects
	memory   *Memory
	observer *observer
	evidence Evidence
	looked   time.Time // when evidence was last read
	settled  time.Time // before it nothing is believed to have failed
	asked    time.Time // when the final verdict was last asked for by a fresh read
	slow     bool      // that read had to wait, as for an API server that hung
	troubled atomic.Bool
}

// isTroubled says that it goes on, and something has gone wrong that may yet recover.
func (f *follower) isTroubled() bool { return f.troubled.Load() }

func newFollower(cluster *kube.Cluster, target Target, options Options) *follower {
	// What is to stay up, to run an image or to be marked as good has to have pods.
	options.Pods = options.Pods || options.MarkGood || options.Hold > 0 || options.Image != "" || options.MinAvailable != nil
	return &follower{cluster: cluster, target: target, options: options, health: newHealth(), observer: newObserver(),
		verdict: Verdict{State: Progressing, Workload: target.String()}}
}

// absentError says that the workload is not there.
type absentError struct{ told *slipway.Error }

func (e *absentError) Error() string { return e.told.Error() }
func (e *absentError) Unwrap() error { return e.told }

// open finds the workload, waits for it where that was asked for, and begins to watch.
func (f *follower) open(ctx context.Context) error {
	own := ownSource(f.cluster, f.target)
	create := time.Now().Add(f.options.WaitForCreate)
	for {
		found, _, err := own.list(ctx)
		switch {
		case err != nil:
			f.health.fail(own.resource, err, false)
		case len(found) == 0:
			f.health.good(own.resource)
			if !time.Now().Before(create) {
				return f.absent(ctx)
			}
		default:
			f.health.good(own.resource)
			return f.start(ctx, own, found)
		}
		if _, _, err := f.health.state(f.target.String(), f.options.APIGrace); err != nil {
			return err
		}
		if pause(ctx, err); ctx.Err() != nil {
			return f.cutShort(ctx)
		}
	}
}

func (f *follower) absent(ctx context.Context) error {
	namespace := f.cluster.Namespace
	_, err := f.cluster.Core().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if err != nil && kube.Explain(err, "").Code == slipway.No {
		return slipway.Usagef("there is no namespace %s", namespace).Next("list them: kubectl get namespaces")
	}
	return &absentError{slipway.Errorf(slipway.No, "there is no %s in the namespace %s", f.target, namespace).
		Next("look for it: kubectl get %s -A; or wait for it: --wait-for-create 1m", resources[f.target.Kind])}
}

func (f *follower) start(ctx context.Context, own *source, found map[types.UID]runtime.Object) error {
	objects := make([]runtime.Object, 0, 1)
	for _, object := range found {
		objects = append(objects, object)
	}
	o, _ := assemble(objects)
	f.uid = o.meta().UID
	selector, err := metav1.LabelSelectorAsSelector(o.selector())
	if err != nil || selector.Empty() {
		return slipway.Usagef("%s selects nothing, so that no pod is its own", f.target)
	}
	if f.options.Criteria.Start.IsZero() {
		f.options.Criteria.Start = f.cluster.Now()
	}
	f.sources = append([]*source{own}, partSources(f.cluster, f.target, selector.String())...)
	for _, source := range f.sources {
		go source.follow(ctx, f.health)
	}
	return nil
}

// wait follows the workload until its verdict is final.
func (f *follower) wait(ctx context.Context) error {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for {
		final, err := f.step(ctx)
		if err != nil || final {
			return err
		}
		select {
		case <-ctx.Done():
			return f.cutShort(ctx)
		case <-f.health.changed:
		case <-clock.C:
		}
	}
}

// cutShort is the end by a time-out or a signal; while the API server is away
// nothing is known, and that is no time-out of the rollout.
func (f *follower) cutShort(ctx context.Context) error {
	if _, _, err := f.health.state(f.target.String(), 0); err != nil {
		return err
	}
	return ctx.Err()
}

// step judges what is known now. A final verdict is given only when a fresh read
// of the API server comes to the same: a watch that hangs tells old things.
func (f *follower) step(ctx context.Context) (final bool, err error) {
	away, back, err := f.health.state(f.target.String(), f.options.APIGrace)
	if err != nil {
		return false, err
	}
	now := f.cluster.Now()
	if back {
		f.memory, f.settled = f.memory.AfterOutage(now), now.Add(settle)
	}
	if away {
		f.verdict.State, f.verdict.Cause = Progressing, fmt.Sprintf("the API server has not answered for %s", f.health.since().Round(time.Second))
		f.show(now)
		return false, f.probe(ctx)
	}
	objects, complete := f.snapshot()
	if !complete {
		return false, nil
	}
	if now.Sub(f.looked) >= attention && !f.look(ctx, objects, now) {
		return false, nil
	}
	f.judge(objects, now)
	f.observer.ask(ctx, f.cluster, f.health.wake)
	f.show(now)
	if !f.final(now) {
		return false, nil
	}
	return f.confirm(ctx)
}

// judge asks Compute, or says that the workload is gone.
func (f *follower) judge(objects []runtime.Object, now time.Time) {
	o, found := assemble(objects)
	if !found || f.uid != "" && o.meta().UID != f.uid {
		cause := f.target.String() + " was deleted while it was waited for"
		if found {
			cause += ", and made anew: wait for that one"
		}
		f.verdict = Verdict{Workload: f.target.String()}.failed(Failure{Code: "DELETED", Cause: cause})
		return
	}
	o.Memory, o.Criteria, o.Evidence = f.memory, f.options.Criteria, f.evidence
	o.Observed = f.observer.known(toAsk(o, now))
	f.objects = o
	f.verdict, f.memory = Compute(o, now)
	f.troubled.Store(f.verdict.State == Progressing && len(f.verdict.Failures) > 0)
}

func (f *follower) final(now time.Time) bool {
	switch {
	case f.verdict.State == Progressing:
		return false
	case f.verdict.State == Failed || f.options.Hold > 0:
		return !now.Before(f.settled)
	}
	return true
}

func (f *follower) show(now time.Time) {
	if f.options.Show != nil {
		f.options.Show(now, f.verdict, f.objects)
	}
}

// hung is how long a read takes of an API server that did nothing meanwhile.
const hung = time.Second

// confirm judges once more, by a fresh read. What is read from an API server that hung is
// not believed at once: the read may be the first that it answers, before the kubelet could
// tell what had happened since. Where it is slow again, it is slow.
func (f *follower) confirm(ctx context.Context) (bool, error) {
	if time.Since(f.asked) < retry {
		return false, nil
	}
	f.asked = time.Now()
	before := f.verdict
	objects, err := f.read(ctx)
	if err != nil {
		f.health.fail(present, err, true)
		f.verdict = before
		f.verdict.State = Progressing
		return false, nil
	}
	again := f.slow
	if f.slow = time.Since(f.asked) > hung; f.slow && !again {
		f.health.returned()
		f.verdict.State = Progressing
		return false, nil
	}
	now := f.cluster.Now()
	if !f.look(ctx, objects, now.Add(patience)) {
		f.verdict = before
		f.verdict.State = Progressing
		return false, nil
	}
	f.judge(objects, now)
	return f.verdict.State == before.State && f.verdict.Code == before.Code, nil
}

// probe asks an API server that did not answer a confirmation whether it is back.
func (f *follower) probe(ctx context.Context) error {
	if time.Since(f.asked) < retry {
		return nil
	}
	f.asked = time.Now()
	if _, err := f.read(ctx); err == nil {
		f.health.good(present)
	}
	return nil
}

// read reads the workload, then its parts, so that these are not older than what
// its status says of them.
func (f *follower) read(ctx context.Context) ([]runtime.Object, error) {
	lists, errs := make([]map[types.UID]runtime.Object, len(f.sources)), make([]error, len(f.sources))
	read := func(i int) { lists[i], _, errs[i] = f.sources[i].list(ctx) }
	read(0)
	var parts sync.WaitGroup
	for i := 1; i < len(f.sources); i++ {
		parts.Go(func() { read(i) })
	}
	parts.Wait()
	var objects []runtime.Object
	for _, list := range lists {
		objects = slices.AppendSeq(objects, maps.Values(list))
	}
	return objects, errors.Join(errs...)
}

// snapshot is what the watches know; complete is false before all have begun.
func (f *follower) snapshot() (objects []runtime.Object, complete bool) {
	for _, source := range f.sources {
		known, begun := source.snapshot()
		if !begun {
			return nil, false
		}
		objects = append(objects, known...)
	}
	return objects, true
}

// look reads about what is suspicious, now and then; it is false where that was not to be had.
func (f *follower) look(ctx context.Context, objects []runtime.Object, now time.Time) bool {
	o, found := assemble(objects)
	if !found {
		return true
	}
	o.Memory, o.Criteria = f.memory, f.options.Criteria
	suspects := Suspicious(o, now)
	if len(suspects) == 0 {
		f.evidence = Evidence{}
		return true
	}
	f.looked = f.cluster.Now()
	evidence, err := gather(ctx, f.cluster, suspects)
	if err != nil {
		f.health.fail(present, err, false)
		return false
	}
	f.evidence = evidence
	return true
}
