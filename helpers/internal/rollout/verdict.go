package rollout

import (
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"slipway.dev/slipway/helpers/internal/safe"
)

// State of a verdict.
type State string

// A rollout goes on until it is done or has failed.
const (
	Progressing State = "progressing"
	Done        State = "done"
	Failed      State = "failed"
)

// Criteria are what a caller asks beyond the workload's own status.
type Criteria struct {
	Start        time.Time           // a deadline that was missed before it is not believed
	Image        string              // a digest that every counted pod must run, or empty
	MinAvailable *intstr.IntOrString // done already with so many new pods available, or nil
	Hold         time.Duration       // done only if it then stays so
	Any          bool                // one pod that has failed fails the rollout
	Pods         bool                // a workload that asks for no pod at all is a failure
	Graces       Graces
}

// Failure is one distinct cause, and one pod that shows it.
type Failure struct {
	Code      string    `json:"code"`  // stable, such as CRASH_LOOP
	Cause     string    `json:"cause"` // one sentence
	Pod       string    `json:"pod,omitempty"`
	Container string    `json:"container,omitempty"`
	Pods      int       `json:"pods"`           // how many pods it has befallen; 0 where there is none yet
	Since     time.Time `json:"since,omitzero"` // from when its grace counts
	Report    *Report   `json:"report,omitempty"`
	uid       types.UID // the pod's
}

// Verdict is the judgement of one instant.
type Verdict struct {
	State       State     `json:"state"`
	Workload    string    `json:"workload"`
	Code        string    `json:"code,omitempty"` // that of the first failure
	Cause       string    `json:"cause"`          // one sentence: what is waited for, or what has failed
	Updated     int32     `json:"updated"`
	Available   int32     `json:"available"`
	Desired     int32     `json:"desired"`
	Terminating int32     `json:"terminating"` // pods of any revision that are on their way out
	Revision    string    `json:"revision,omitempty"`
	Failures    []Failure `json:"failures,omitempty"` // what has failed; while progressing, what may yet recover
}

// Memory is what Compute has to know of earlier instants.
type Memory struct {
	Revision string
	Begin    time.Time            // when this revision was first looked at
	Progress time.Time            // when it last moved; zero while it has not been seen to
	Returned time.Time            // when the API server was back after an outage; zero without one
	Most     int                  // the most new pods available so far
	Updated  int32                // the most new pods so far
	Seen     map[string]time.Time // since when a trouble has been there
	Pulls    map[string]pull      // by pod and container
	Crashed  map[string]bool      // containers that were in a crash loop and have not been ready since
	Starved  map[string]bool      // containers that were once killed for want of memory
	Told     map[string]time.Time // when each run of a container was first told of; its start, where it was before all
	Served   map[string]time.Time // when each run was last seen ready
	Left     time.Time            // when a pod of any revision was last seen on its way out, within its own time
	Fallen   map[types.UID]fallen // new pods that were over before they were of use
	Done     time.Time            // since when it is done, for Hold; zero while it is not
	Held     map[types.UID]int32  // the pods that were there when it was done, and their restarts
}

// settle is how long after an outage of the API server nothing is believed to
// have failed: the kubelets report what happened meanwhile every 10 s
// (https://kubernetes.io/docs/concepts/architecture/nodes/#node-status).
const settle = 20 * time.Second

// AfterOutage gives what is still worth remembering when the API server was away
// until now: all graces begin again, and so does what a container has to run for to count.
func (m *Memory) AfterOutage(now time.Time) *Memory {
	if m == nil {
		return nil
	}
	after := *m
	after.Seen, after.Begin, after.Progress, after.Returned = nil, now, now, now
	return &after
}

// Compute judges a workload by what the API server shows at one instant. It is
// pure: all it remembers is in the Memory that it gets and gives back.
//
// Completion comes before every complaint: a ProgressDeadlineExceeded stays
// after an undo to an old ReplicaSet (https://github.com/kubernetes/kubernetes/issues/49637).
func Compute(o Objects, now time.Time) (Verdict, *Memory) {
	verdict := counts(o)
	memory := remember(o, verdict, now)
	verdict.Revision = memory.Revision
	if broken := unstable(o, memory, now); broken != nil {
		return verdict.failed(*broken), memory
	}
	blocked, waiting := complete(o, verdict, memory, now)
	switch {
	case blocked != nil:
		return verdict.failed(*blocked), memory
	case waiting == "" && verdict.Desired == 0 && o.Criteria.Pods:
		return verdict.failed(noPods(o)), memory
	case waiting == "":
		return hold(o, verdict, memory, now), memory
	}
	memory.Done = time.Time{}
	failures, final := troubles(o, verdict, memory, now)
	if final {
		return verdict.failed(failures...), memory
	}
	verdict.State, verdict.Cause, verdict.Failures = Progressing, waiting, failures
	return verdict, memory
}

func (v Verdict) failed(failures ...Failure) Verdict {
	for i := range failures { // what a node, a scheduler or a webhook says is text from outside
		failures[i].Cause = safe.Line(safe.Mask(failures[i].Cause))
	}
	v.State, v.Failures = Failed, failures
	v.Code, v.Cause = failures[0].Code, failures[0].Cause
	return v
}

// hold says done once it has been so for as long as asked.
func hold(o Objects, verdict Verdict, memory *Memory, now time.Time) Verdict {
	if memory.Done.IsZero() {
		memory.Done, memory.Held = now, map[types.UID]int32{}
		for _, pod := range o.newPods() {
			if runs(pod) {
				memory.Held[pod.UID] = restarts(pod)
			}
		}
	}
	if left := o.Criteria.Hold - now.Sub(memory.Done); left > 0 {
		verdict.State, verdict.Cause = Progressing, fmt.Sprintf("done, and has to stay so for another %s", left.Round(time.Second))
		return verdict
	}
	verdict.State, verdict.Cause = Done, fmt.Sprintf("%d of %d available", verdict.Available, verdict.Desired)
	if verdict.Desired == 0 {
		verdict.Cause = "0 pods: " + asksForNone(o)
	}
	switch verdict.Terminating {
	case 0:
	case 1:
		verdict.Cause += "; 1 pod is still terminating"
	default:
		verdict.Cause += fmt.Sprintf("; %d pods are still terminating", verdict.Terminating)
	}
	verdict.Cause += safe.Line(safe.Mask(unasked(o)))
	return verdict
}

func asksForNone(o Objects) string {
	if o.DaemonSet != nil {
		return "no node matches it (status.desiredNumberScheduled is 0)"
	}
	return "spec.replicas is 0"
}

// noPods is the verdict where pods were expected and none is asked for.
func noPods(o Objects) Failure {
	return Failure{Code: "NO_PODS",
		Cause: fmt.Sprintf("%s has 0 pods, as %s: nothing runs that could be ready, stay so or be marked as good", o.name(), asksForNone(o))}
}

// unstable says what has happened since it was done that --hold does not allow:
// a restart, a pod that is not ready any more, another revision. A pod that was
// taken away (a drain, a scale-down) is no fault of the revision; then the hold begins anew.
func unstable(o Objects, memory *Memory, now time.Time) *Failure {
	if memory.Done.IsZero() || o.Criteria.Hold == 0 {
		return nil
	}
	after := now.Sub(memory.Done).Round(time.Second)
	if _, hash, known := o.revision(); !known || hash != memory.Revision {
		return &Failure{Code: "NOT_STABLE", Cause: fmt.Sprintf("somebody changed %s %s after it was done", o.name(), after)}
	}
	for _, pod := range o.Pods {
		before, held := memory.Held[pod.UID]
		if !held || pod.DeletionTimestamp != nil {
			continue
		}
		say := func(format string, arguments ...any) *Failure {
			return &Failure{Code: "NOT_STABLE", Cause: fmt.Sprintf(format, arguments...), Pod: pod.Name, Container: lastEnded(pod), Pods: 1,
				uid: pod.UID}
		}
		switch {
		case over(pod):
			return say("the pod %s failed %s after the rollout was done: %s", pod.Name, after, pod.Status.Reason)
		case restarts(pod) > before:
			return say("a container of %s restarted %s after the rollout was done", pod.Name, after)
		case !runs(pod):
			return say("the pod %s was not ready any more %s after the rollout was done", pod.Name, after)
		}
	}
	return nil
}

func remember(o Objects, verdict Verdict, now time.Time) *Memory {
	_, hash, _ := o.revision()
	before := o.Memory
	holding := before != nil && !before.Done.IsZero() && o.Criteria.Hold > 0
	fresh := before == nil || before.Revision != hash && !holding
	memory := &Memory{Revision: hash, Begin: now, Updated: verdict.Updated}
	switch {
	case !fresh:
		*memory = *before
	case before != nil:
		memory.Told, memory.Served, memory.Returned = before.Told, before.Served, before.Returned
	}
	if o.leaving(now) {
		memory.Left = now
	}
	memory.Seen, memory.Pulls, memory.Fallen = copied(memory.Seen), copied(memory.Pulls), copied(memory.Fallen)
	memory.Crashed, memory.Starved = copied(memory.Crashed), copied(memory.Starved)
	memory.Told, memory.Served = copied(memory.Told), copied(memory.Served)
	memory.hear(o, now)
	memory.mourn(o, before == nil, now)
	count := soundOf(o, o.newPods(), memory, now)
	switch {
	case fresh:
		memory.Most = count
	case count > memory.Most || verdict.Updated > memory.Updated:
		memory.Most, memory.Updated, memory.Progress = max(count, memory.Most), max(verdict.Updated, memory.Updated), now
	}
	return memory
}

// hear notes which containers are told to run, since when that was told, and when they were last ready.
func (m *Memory) hear(o Objects, now time.Time) {
	for _, pod := range o.active() {
		for _, status := range containers(pod) {
			if status.State.Running == nil {
				continue
			}
			m.Told[run(pod, status)] = o.Memory.told(pod, status, now)
			if status.Ready {
				m.Served[run(pod, status)] = now
			}
		}
	}
}

// told is when it was first told that this run of a container runs. Of what ran before the
// first look it is the start, whose time is cut to the second, unless the node's clock is
// seen to be wrong: it is another one than the API server's, which is ours.
func (m *Memory) told(pod *corev1.Pod, status corev1.ContainerStatus, now time.Time) time.Time {
	if m != nil {
		if at, known := m.Told[run(pod, status)]; known {
			return at
		}
		return now
	}
	if told := status.State.Running.StartedAt.Add(time.Second); !told.After(now) && !told.Before(pod.CreationTimestamp.Time) {
		return told
	}
	return now
}

func copied[K comparable, V any](from map[K]V) map[K]V {
	if from == nil {
		return map[K]V{}
	}
	return maps.Clone(from)
}

// stuck says that nothing has moved for the grace of the same name.
func (m *Memory) stuck(graces Graces, now time.Time) bool {
	return now.Sub(later(m.Begin, m.Progress)) >= graces.Stuck
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func restarts(pod *corev1.Pod) int32 {
	var sum int32
	for _, status := range containers(pod) {
		sum += status.RestartCount
	}
	return sum
}

// lastEnded is the container that ended last, or one that is not ready.
func lastEnded(pod *corev1.Pod) string {
	name, at := "", time.Time{}
	for _, status := range containers(pod) {
		if ended := status.LastTerminationState.Terminated; ended != nil && !ended.FinishedAt.Time.Before(at) {
			name, at = status.Name, ended.FinishedAt.Time
		} else if name == "" && !status.Ready {
			name = status.Name
		}
	}
	return name
}
