package rollout

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// starts is a container that the runtime could not start, as its last state says.
func starts(status corev1.ContainerStatus, pod *corev1.Pod, grace time.Duration) *trouble {
	last := status.LastTerminationState.Terminated
	if last == nil || last.Reason != "StartError" && last.Reason != "ContainerCannotRun" {
		return nil
	}
	return newTrouble("CONTAINER_ERROR", fmt.Sprintf("the container %s cannot be started: %s", status.Name, last.Message), pod, status.Name,
		grace)
}

// ended is a container that has to stay, has ended and has a restartPolicy of its own that
// does not start it again.
func ended(pod *corev1.Pod, status corev1.ContainerStatus, grace time.Duration) *trouble {
	last := status.State.Terminated
	container, stays := spec(pod, status.Name)
	if last == nil || !stays || container.RestartPolicy == nil || *container.RestartPolicy == corev1.ContainerRestartPolicyAlways {
		return nil
	}
	cause := fmt.Sprintf("the container %s has ended with exit code %d and was not started again (restartPolicy %s)",
		status.Name, last.ExitCode, *container.RestartPolicy)
	return newTrouble("CONTAINER_ENDED", cause, pod, status.Name, grace).from(last.FinishedAt.Time)
}

// loop is how many restarts make a crash loop: one crash, or one restart, is none.
const loop = 2

// postStartError is the kubelet's reason where a container waits because its hook failed.
const postStartError = "PostStartHookError"

// crashing finds a container that ends again and again, also between its ends, until it
// has run for long enough to count. One that ends with 0 is no better: a service must not end.
func crashing(o Objects, pod *corev1.Pod, status corev1.ContainerStatus, memory *Memory, now time.Time) *trouble {
	key := key(pod, status.Name)
	last := status.LastTerminationState.Terminated
	waits := status.State.Waiting != nil && (status.State.Waiting.Reason == "CrashLoopBackOff" ||
		status.State.Waiting.Reason == postStartError)
	if ended := status.State.Terminated; ended != nil && (ended.ExitCode != 0 || !initOnly(pod, status.Name)) {
		last, waits = ended, true
	}
	if last != nil && last.Reason == "OOMKilled" {
		memory.Starved[key] = true // the runtime does not always see it again
	}
	stays, _ := proven(o, pod, status, memory, now)
	switch {
	case status.Ready && stays || status.RestartCount < loop:
		delete(memory.Crashed, key)
		if status.Ready || !waits {
			return nil
		}
		return early(o, pod, status, last, memory.Starved[key])
	case waits:
		memory.Crashed[key] = true
	case !memory.Crashed[key]:
		return nil
	}
	return again(o, pod, status, last, memory.Starved[key])
}

// again says why a container does not stay, and how often that was seen.
func again(o Objects, pod *corev1.Pod, status corev1.ContainerStatus, last *corev1.ContainerStateTerminated, starved bool) *trouble {
	crash := o.Criteria.Graces.Crash
	found := starts(status, pod, crash)
	if found == nil {
		found = ending(o, pod, status, last, starved)
	}
	if found.grace == crash { // and no event is waited for
		found.times, found.then = status.RestartCount, crash
	}
	return found
}

// early is a container that has been restarted and has ended again, and not often enough for a loop. Where that happens to
// several pods in the same way it is one, unless a probe or a hook may have killed what was only slow.
func early(o Objects, pod *corev1.Pod, status corev1.ContainerStatus, last *corev1.ContainerStateTerminated, starved bool) *trouble {
	if status.RestartCount == 0 || last == nil || !endedOfItself(pod, status.Name, last) {
		return nil
	}
	found := again(o, pod, status, last, starved)
	found.grace = endless
	return found
}

// endedOfItself says that the container's run was over before a probe or a hook of its own can have killed it.
func endedOfItself(pod *corev1.Pod, name string, last *corev1.ContainerStateTerminated) bool {
	container, _ := spec(pod, name)
	if container == nil || container.Lifecycle != nil && container.Lifecycle.PostStart != nil {
		return false
	}
	lived := last.FinishedAt.Sub(last.StartedAt.Time) + time.Second // both are cut to the second
	for _, probe := range []*corev1.Probe{container.LivenessProbe, container.StartupProbe} {
		if probe == nil {
			continue
		}
		soonest := probe.InitialDelaySeconds + max(probe.PeriodSeconds, 1)*(max(probe.FailureThreshold, 1)-1)
		if lived >= time.Duration(soonest)*time.Second {
			return false
		}
	}
	return true
}

// telling is how long a busy kubelet may take to send the event of what it has killed: its
// events wait in a queue of their own, and the pod's status may be there before them. Where
// none of that run has come yet, it is later still.
const telling = settle

// waitsForEvents is how long the event of a kill is waited for.
func waitsForEvents(o Objects, pod *corev1.Pod, name string, last *corev1.ContainerStateTerminated) time.Duration {
	if slices.ContainsFunc(o.eventsOf(pod), func(e *corev1.Event) bool { return of(e, name) && !lastSeen(e).Before(last.StartedAt.Time) }) {
		return telling
	}
	return 3 * telling
}

// ending says how a container ends, and why, where its events or its exit code tell. Where it may have been killed for a
// probe or a hook and no event says so, one is waited for.
func ending(o Objects, pod *corev1.Pod, status corev1.ContainerStatus, last *corev1.ContainerStateTerminated, starved bool) *trouble {
	name, crash := status.Name, o.Criteria.Graces.Crash
	say := func(code string, grace time.Duration, format string, arguments ...any) *trouble {
		return newTrouble(code, fmt.Sprintf(format, arguments...), pod, name, grace)
	}
	killer := ""
	if last == nil || last.Reason != "OOMKilled" {
		killer = killedFor(o, pod, status, last)
	}
	switch {
	case killer != "":
		return say("CRASH_LOOP", crash, "the kubelet kills the container %s again and again: %s", name, killer)
	case last == nil:
		return say("CRASH_LOOP", crash, "the container %s ends again and again", name)
	case last.Reason == "OOMKilled" || last.ExitCode == 137 && starved:
		return say("OOM_KILLED", crash, "the container %s was killed because it needs more memory than its limit (%s), again and again", name,
			memoryLimit(pod, name))
	case last.ExitCode == 137 && onlyMemoryKills(pod, name):
		return say("OOM_KILLED", crash,
			"the container %s is killed again and again (exit code 137), and it has no probe and no hook that kills, "+
				"but a limit of memory (%s)", name, memoryLimit(pod, name))
	}
	how := fmt.Sprintf("the container %s ends with exit code %d", name, last.ExitCode)
	if last.ExitCode > 128 {
		how += fmt.Sprintf(" (signal %d)", last.ExitCode-128)
	}
	how += " again and again"
	if last.ExitCode == 137 {
		how += ": by the kernel where memory ran out"
	}
	switch killers := killersOf(pod, name); {
	case (last.ExitCode == 0 || last.ExitCode > 128) && len(killers) > 0:
		return say("CRASH_LOOP", waitsForEvents(o, pod, name, last), "%s, or because of %s", how, strings.Join(killers, " or "))
	case last.ExitCode == 0:
		how += ": a service must go on"
	}
	return say("CRASH_LOOP", crash, "%s", how)
}

var failedProbe = regexp.MustCompile(`failed (liveness|startup) probe`)

// killedFor is what the kubelet's events give as the reason why it killed the container in
// its last run: a hook or a probe that failed, and the words of that failure.
func killedFor(o Objects, pod *corev1.Pod, status corev1.ContainerStatus, last *corev1.ContainerStateTerminated) string {
	said, killer := map[string]string{}, ""
	for _, event := range o.eventsOf(pod) {
		if !of(event, status.Name) {
			continue
		}
		kind, _, _ := strings.Cut(event.Message, " probe ")
		probe := failedProbe.FindStringSubmatch(event.Message)
		theLast := last == nil || !lastSeen(event).Before(last.StartedAt.Time)
		switch {
		case event.Reason == "Unhealthy":
			said[strings.ToLower(kind)] = strings.TrimRight(event.Message, ": ")
		case event.Reason == "FailedPostStartHook" && theLast:
			killer = "its postStart hook fails (FailedPostStartHook)"
			if waits := status.State.Waiting; waits != nil && waits.Reason == postStartError && waits.Message != "" {
				killer += ": " + waits.Message
			} else if event.Message != "PostStartHook failed" {
				killer += ": " + event.Message
			}
		case event.Reason == "Killing" && probe != nil && theLast:
			killer = "its " + probe[1] + " probe fails"
			if said[probe[1]] != "" {
				killer += " (" + said[probe[1]] + ")"
			}
		}
	}
	if waits := status.State.Waiting; killer == "" && waits != nil && waits.Reason == postStartError {
		killer = "its postStart hook fails: " + waits.Message
	}
	return killer
}

// of says that an event of a pod is about that container of it.
func of(event *corev1.Event, container string) bool {
	return strings.HasSuffix(event.InvolvedObject.FieldPath, "{"+container+"}")
}

// killersOf names what the container has that makes the kubelet kill it.
func killersOf(pod *corev1.Pod, name string) []string {
	container, _ := spec(pod, name)
	var killers []string
	switch {
	case container == nil:
		return nil
	case container.LivenessProbe != nil:
		killers = append(killers, "its liveness probe, where that failed")
	}
	if container.StartupProbe != nil {
		killers = append(killers, "its startup probe, where that failed")
	}
	if container.Lifecycle != nil && container.Lifecycle.PostStart != nil {
		killers = append(killers, "its postStart hook, where that failed")
	}
	return killers
}

// onlyMemoryKills says that nothing kills the container from outside but the
// kernel at its limit: a busy node's runtime does not always hear of that.
func onlyMemoryKills(pod *corev1.Pod, name string) bool {
	container, _ := spec(pod, name)
	if container == nil || len(killersOf(pod, name)) > 0 {
		return false
	}
	_, given := container.Resources.Limits[corev1.ResourceMemory]
	return given
}

func memoryLimit(pod *corev1.Pod, name string) string {
	if container, _ := spec(pod, name); container != nil {
		if limit, given := container.Resources.Limits[corev1.ResourceMemory]; given {
			return limit.String()
		}
	}
	return "none of its own: the node's or the pod's"
}
