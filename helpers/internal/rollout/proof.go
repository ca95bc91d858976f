package rollout

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A container without a readiness probe is ready as soon as it is started, also when it is
// about to end. It counts when it has run for Graces.Proof since its start was told. After an
// end it has to run for longer than before that end, where it then ended within a minute,
// and for longer than the kubelet's first back-off in any case. A busy node is late to tell
// an end, and the status may still show a run that is over: so its node has to say as well
// that it ran without an end for as long, see toAsk and kube.RunsFor.
const (
	proofAfterEnd = 10 * time.Second
	proofShortRun = time.Minute
	proofKilled   = 10 * time.Second // for a node to make the last attempt of a probe, to kill, and to tell
	proofLatest   = 20 * time.Second // a start that is told later than this says more about the node's clock than about its load
	proofUnasked  = settle           // instead, where the node cannot be asked: its regular report is over
	askedFor      = 10 * time.Minute // what was told to run longer ago is not asked about
)

// Observation is what a node has said of one run of a container.
type Observation struct {
	Proven  bool   // it ran without an end for as long as it has to
	Said    string // why it has not been proven by the last attempt
	Unasked bool   // no further attempt is made, because of what Said says
}

// sound says that the pod counts: it is available by its own status, and each of its
// containers has proven that it stays.
func sound(o Objects, pod *corev1.Pod, memory *Memory, now time.Time) bool {
	return available(pod, o.minReady(), now) && unproven(o, pod, memory, now) == ""
}

// soundOf counts the pods that are sound.
func soundOf(o Objects, pods []*corev1.Pod, memory *Memory, now time.Time) int {
	count := 0
	for _, pod := range pods {
		if sound(o, pod, memory, now) {
			count++
		}
	}
	return count
}

// unproven names a container that has not run for long enough to count.
func unproven(o Objects, pod *corev1.Pod, memory *Memory, now time.Time) string {
	for _, status := range containers(pod) {
		if proven, needed := proven(o, pod, status, memory, now); !proven {
			why := fmt.Sprintf("the container %s of %s has just been started, and counts when it has run for %s", status.Name, pod.Name,
				needed.Round(time.Second))
			if said := o.Observed[run(pod, status)].Said; said != "" {
				why += ": " + said
			}
			return why
		}
	}
	return ""
}

// proven says whether a container has run for as long as it needs to count.
func proven(o Objects, pod *corev1.Pod, status corev1.ContainerStatus, memory *Memory, now time.Time) (bool, time.Duration) {
	container, stays := spec(pod, status.Name)
	if container == nil || !stays || status.State.Running == nil {
		return true, 0 // whether it has to run is another question
	}
	began, needed := memory.Told[run(pod, status)], o.needs(pod, container, status, memory)
	if container.ReadinessProbe == nil && container.LivenessProbe != nil { // which begins to judge when it is ready
		began = later(began, readySince(pod))
	}
	seen, asked := o.Observed[run(pod, status)]
	if seen.Unasked {
		needed = max(needed, proofUnasked)
	}
	switch {
	case beingKilled(o, pod, status), asked && !seen.Proven && !seen.Unasked:
		return false, needed
	case needed == 0:
		return true, 0
	}
	return now.Sub(later(began, memory.Returned)) >= needed, needed
}

// needs is how long a container has to run to count. Where only a liveness probe judges it, a busy node is as late to
// probe and to kill as it was to tell the start.
func (o Objects) needs(pod *corev1.Pod, container *corev1.Container, status corev1.ContainerStatus, memory *Memory) time.Duration {
	needed := time.Duration(0)
	if container.ReadinessProbe == nil {
		needed = o.Criteria.Graces.Proof
		if container.LivenessProbe != nil { // it kills what it judges, after its own time
			killed := proofKilled + 2*memory.late(pod, status)
			needed = max(needed, min(chance(container.LivenessProbe)+killed, proofShortRun))
		}
	}
	if status.RestartCount > 0 {
		needed = max(needed, proofAfterEnd)
		if last := status.LastTerminationState.Terminated; last != nil && !last.StartedAt.IsZero() {
			if lived := last.FinishedAt.Sub(last.StartedAt.Time); lived <= proofShortRun {
				needed = max(needed, lived)
			}
		}
	}
	return needed
}

// late is how long after its start it was told that this run of a container runs.
func (m *Memory) late(pod *corev1.Pod, status corev1.ContainerStatus) time.Duration {
	if m == nil {
		return 0
	}
	told, known := m.Told[run(pod, status)]
	if !known {
		return 0
	}
	return min(max(0, told.Sub(status.State.Running.StartedAt.Add(time.Second))), proofLatest) // a start is told by the second
}

// question is about a container that is told to run: whether it does so for that long.
type question struct {
	pod       *corev1.Pod
	container string
	lasts     time.Duration
}

// toAsk are the questions, by run, about the containers of the new pods that nothing but
// their status tells to run, and that not for long: no readiness probe looks at them, or
// they have ended before. What has run for a while at the first look is asked about for
// the rest of its time, and for Graces.Proof at least.
func toAsk(o Objects, now time.Time) map[string]question {
	questions := map[string]question{}
	for _, pod := range o.newPods() {
		for _, status := range containers(pod) {
			container, stays := spec(pod, status.Name)
			if !stays || status.State.Running == nil || container.ReadinessProbe != nil && status.RestartCount == 0 {
				continue
			}
			if ran := now.Sub(o.Memory.told(pod, status, now)); ran < askedFor {
				lasts := max(o.needs(pod, container, status, o.Memory)-ran, o.Criteria.Graces.Proof)
				questions[run(pod, status)] = question{pod, status.Name, lasts}
			}
		}
	}
	return questions
}

// unasked says of what only its status tells that it runs, as no node could be asked.
func unasked(o Objects) string {
	for _, pod := range o.newPods() {
		for _, status := range containers(pod) {
			if status.State.Running == nil {
				continue
			}
			if seen := o.Observed[run(pod, status)]; seen.Unasked {
				return fmt.Sprintf("; that the container %s of %s still runs is known from its status only: %s", status.Name, pod.Name, seen.Said)
			}
		}
	}
	return ""
}

// killable says that the kubelet may be about to kill what it calls ready: a container
// whose only probe is a liveness probe stays ready until its grace period is over, and only
// an event tells. One that was started long ago has been judged often enough.
func killable(pod *corev1.Pod, now time.Time) bool {
	return slices.ContainsFunc(containers(pod), func(s corev1.ContainerStatus) bool {
		container, stays := spec(pod, s.Name)
		return stays && container.LivenessProbe != nil && container.ReadinessProbe == nil &&
			s.State.Running != nil && now.Sub(s.State.Running.StartedAt.Time) < 2*proofShortRun
	})
}

// beingKilled says that the kubelet has begun to kill this run of the container.
func beingKilled(o Objects, pod *corev1.Pod, status corev1.ContainerStatus) bool {
	return slices.ContainsFunc(o.eventsOf(pod), func(event *corev1.Event) bool {
		return event.Reason == "Killing" && of(event, status.Name) && lastSeen(event).After(status.State.Running.StartedAt.Time)
	})
}

func readySince(pod *corev1.Pod) time.Time {
	if c := condition(pod, corev1.PodReady); c != nil && c.Status == corev1.ConditionTrue {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

// run names one run of a container, from its start to its end.
func run(pod *corev1.Pod, status corev1.ContainerStatus) string {
	return fmt.Sprint(key(pod, status.Name), " ", status.RestartCount, " ", status.State.Running.StartedAt.Unix())
}

// key names a container of one pod; the pod of a StatefulSet may have the name of its predecessor.
func key(pod *corev1.Pod, container string) string { return string(pod.UID) + " " + container }
