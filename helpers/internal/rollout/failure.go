package rollout

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Graces are how long each kind of trouble may last before it is a failure.
type Graces struct {
	PullTransient time.Duration // a registry that does not answer
	Config        time.Duration // a Secret or ConfigMap that is not there
	Create        time.Duration // a container that cannot be made or run
	Unschedulable time.Duration
	Quota         time.Duration // quota, LimitRange, Pod Security
	Webhook       time.Duration
	Stuck         time.Duration // nothing moves, for whatever reason
}

// DefaultGraces are the defaults of the flags.
var DefaultGraces = Graces{
	PullTransient: 2 * time.Minute, Config: 20 * time.Second, Create: time.Minute,
	Unschedulable: time.Minute, Quota: 30 * time.Second, Webhook: time.Minute, Stuck: 90 * time.Second,
}

// failure is trouble that has lasted for its grace.
type failure struct {
	code, message  string
	pod, container string
}

// signal is trouble of one pod, and how long it may last.
type signal struct {
	failure
	grace time.Duration
	since time.Time // when the object itself says that it began; zero takes the first sighting
}

// failed says what has failed for good: trouble of every new pod that is not
// ready, each for longer than its grace. Where some new pod is ready, the others
// can still make it, until nothing has moved for the stuck grace.
func failed(o Objects, memory *Memory, now time.Time) *failure {
	if found := creation(o, memory, now); found != nil {
		return found
	}
	seen := map[string]bool{}
	var first *failure
	unready, ripe, readyPods := 0, 0, 0
	for _, pod := range o.newPods() {
		if ready(pod) {
			readyPods++
			continue
		}
		unready++
		trouble := inspect(pod, o.Criteria.Graces, now)
		if trouble == nil {
			continue
		}
		key := pod.Name + " " + trouble.code
		seen[key] = true
		if _, known := memory.Seen[key]; !known {
			memory.Seen[key] = now
		}
		since := memory.Seen[key]
		if !trouble.since.IsZero() && trouble.since.Before(since) {
			since = trouble.since
		}
		if now.Sub(since) >= trouble.grace {
			ripe++
			if first == nil {
				first = &trouble.failure
			}
		}
	}
	for key := range memory.Seen {
		if !seen[key] && !strings.HasPrefix(key, "creation ") {
			delete(memory.Seen, key)
		}
	}
	stuck := now.Sub(memory.Progress) >= o.Criteria.Graces.Stuck
	switch {
	case first != nil && ripe == unready && (readyPods == 0 || stuck):
		return first
	case stuck && first != nil:
		return first
	case stuck && unready > 0 && len(seen) == 0 && !withinBudget(o, now):
		return &failure{code: "STUCK", message: fmt.Sprintf("nothing has moved for %s: %s", now.Sub(memory.Progress).Round(time.Second), newestComplaint(o)), pod: firstUnready(o)}
	case stuck && deadlineExceeded(o):
		return &failure{code: "DEADLINE_EXCEEDED", message: "the controller gave up: ProgressDeadlineExceeded"}
	}
	return nil
}

// creation is the controller's own complaint that it cannot make pods.
func creation(o Objects, memory *Memory, now time.Time) *failure {
	if o.Deployment == nil {
		return nil
	}
	for _, c := range o.Deployment.Status.Conditions {
		if c.Type != appsv1.DeploymentReplicaFailure || c.Status != corev1.ConditionTrue {
			continue
		}
		code, grace := "CREATE_FAILED", o.Criteria.Graces.Create
		switch {
		case strings.Contains(c.Message, "exceeded quota"):
			code, grace = "QUOTA_EXCEEDED", o.Criteria.Graces.Quota
		case strings.Contains(c.Message, "violates PodSecurity"):
			code, grace = "POD_SECURITY", o.Criteria.Graces.Quota
		case strings.Contains(c.Message, "maximum") || strings.Contains(c.Message, "minimum"):
			code, grace = "LIMIT_RANGE", o.Criteria.Graces.Quota
		case strings.Contains(c.Message, "admission webhook"):
			code, grace = "WEBHOOK", o.Criteria.Graces.Webhook
		}
		key := "creation " + code
		if _, known := memory.Seen[key]; !known {
			memory.Seen[key] = now
		}
		if now.Sub(memory.Seen[key]) >= grace {
			return &failure{code: code, message: "pods cannot be created: " + c.Message}
		}
		return nil
	}
	for key := range memory.Seen {
		if strings.HasPrefix(key, "creation ") {
			delete(memory.Seen, key)
		}
	}
	return nil
}

func deadlineExceeded(o Objects) bool {
	if o.Deployment == nil {
		return false
	}
	for _, c := range o.Deployment.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" && c.LastUpdateTime.After(o.Criteria.Start) {
			return true
		}
	}
	return false
}

func containers(pod *corev1.Pod) []corev1.ContainerStatus {
	return append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
}

// What a registry answers that no second try changes.
var permanentPull = regexp.MustCompile(`(?i)not found|manifest unknown|denied|unauthorized|authentication required|forbidden|insufficient_scope|invalid reference`)

// What may pass.
var transientPull = regexp.MustCompile(`(?i)timeout|timed out|429|too many requests|5\d\d |internal server error|bad gateway|service unavailable|connection refused|connection reset|no route to host|EOF|i/o`)

// inspect finds the trouble of a pod that is not ready, or nil.
func inspect(pod *corev1.Pod, graces Graces, now time.Time) *signal {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return trouble("UNSCHEDULABLE", "no node takes it: "+c.Message, pod, "", graces.Unschedulable).from(c.LastTransitionTime.Time)
		}
	}
	for _, status := range containers(pod) {
		if found := waiting(pod, status, graces); found != nil {
			return found
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return trouble("POD_FAILED", "the pod failed: "+strings.TrimSpace(pod.Status.Reason+" "+pod.Status.Message), pod, "", 0)
	}
	for _, status := range pod.Status.ContainerStatuses {
		if status.State.Running == nil || status.Ready {
			continue
		}
		if budget := probeBudget(pod, status); budget > 0 && now.Sub(status.State.Running.StartedAt.Time) > budget {
			return trouble("NOT_READY", fmt.Sprintf("the container %s has run for %s and its readiness probe has not succeeded", status.Name, now.Sub(status.State.Running.StartedAt.Time).Round(time.Second)), pod, status.Name, 0)
		}
	}
	return nil
}

func trouble(code, message string, pod *corev1.Pod, container string, grace time.Duration) *signal {
	return &signal{failure: failure{code: code, message: message, pod: pod.Name, container: container}, grace: grace}
}

func (s *signal) from(since time.Time) *signal {
	s.since = since
	return s
}

// waiting judges a container that does not run.
func waiting(pod *corev1.Pod, status corev1.ContainerStatus, graces Graces) *signal {
	state := status.State.Waiting
	if state == nil {
		return nil
	}
	say := func(code string, grace time.Duration, format string, arguments ...any) *signal {
		return trouble(code, fmt.Sprintf(format, arguments...), pod, status.Name, grace)
	}
	switch state.Reason {
	case "InvalidImageName":
		return say("INVALID_IMAGE_NAME", 0, "the image's name makes no sense: %s", state.Message)
	case "ErrImageNeverPull":
		return say("IMAGE_NEVER_PULL", 0, "the image is not on the node and may not be pulled: %s", status.Image)
	case "ErrImagePull", "ImagePullBackOff":
		switch {
		case permanentPull.MatchString(state.Message) && strings.Contains(strings.ToLower(state.Message), "not found"):
			return say("IMAGE_NOT_FOUND", second(state.Reason), "the image %s is not in the registry", status.Image)
		case permanentPull.MatchString(state.Message):
			return say("IMAGE_PULL_DENIED", second(state.Reason), "the registry refuses the image %s: %s", status.Image, state.Message)
		case transientPull.MatchString(state.Message):
			return say("IMAGE_PULL_FAILED", graces.PullTransient, "the image %s cannot be pulled: %s", status.Image, state.Message)
		}
		return say("IMAGE_PULL_FAILED", graces.Create, "the image %s cannot be pulled: %s", status.Image, state.Message)
	case "CreateContainerConfigError":
		return say("CONFIG_MISSING", graces.Config, "the container %s cannot be made: %s", status.Name, state.Message)
	case "CreateContainerError", "RunContainerError":
		return say("CONTAINER_ERROR", graces.Create, "the container %s cannot be started: %s", status.Name, state.Message)
	case "CrashLoopBackOff":
		if status.RestartCount < 2 {
			return nil
		}
		last := status.LastTerminationState.Terminated
		switch {
		case last == nil:
			return say("CRASH_LOOP", 0, "the container %s ends again and again (%d restarts)", status.Name, status.RestartCount)
		case last.Reason == "OOMKilled":
			return say("OOM_KILLED", 0, "the container %s needs more memory than its limit (%d restarts)", status.Name, status.RestartCount)
		}
		return say("CRASH_LOOP", 0, "the container %s ends with exit code %d again and again (%d restarts)", status.Name, last.ExitCode, status.RestartCount)
	}
	return nil
}

// second is no grace where the kubelet has tried twice, and a short one after
// the first try: one pull error and then fine is no failure.
func second(reason string) time.Duration {
	if reason == "ImagePullBackOff" {
		return 0
	}
	return 15 * time.Second
}

// probeBudget is the time in which the probes' own fields say that readiness
// had its chance, twice; 0 without a readiness probe.
// https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
func probeBudget(pod *corev1.Pod, status corev1.ContainerStatus) time.Duration {
	for _, container := range pod.Spec.Containers {
		if container.Name != status.Name || container.ReadinessProbe == nil {
			continue
		}
		budget := 2 * length(container.ReadinessProbe)
		if container.StartupProbe != nil && (status.Started == nil || !*status.Started) {
			budget += length(container.StartupProbe)
		}
		return budget
	}
	return 0
}

func length(probe *corev1.Probe) time.Duration {
	period, failures := max(probe.PeriodSeconds, 1), max(probe.FailureThreshold, 1)
	return time.Duration(probe.InitialDelaySeconds+period*failures+probe.TimeoutSeconds) * time.Second
}

// withinBudget says that some new pod's readiness probe still has its chance.
func withinBudget(o Objects, now time.Time) bool {
	for _, pod := range o.newPods() {
		for _, status := range pod.Status.ContainerStatuses {
			if running := status.State.Running; running != nil && !status.Ready && now.Sub(running.StartedAt.Time) <= probeBudget(pod, status) {
				return true
			}
		}
	}
	return false
}

func firstUnready(o Objects) string {
	for _, pod := range o.newPods() {
		if !ready(pod) {
			return pod.Name
		}
	}
	return ""
}

// newestComplaint is what the new pods' own conditions say.
func newestComplaint(o Objects) string {
	for _, pod := range o.newPods() {
		for _, c := range pod.Status.Conditions {
			if c.Status == corev1.ConditionFalse && c.Message != "" && c.Type != corev1.ContainersReady {
				return fmt.Sprintf("%s: %s: %s", pod.Name, c.Reason, c.Message)
			}
		}
	}
	return "the pods do not say why"
}
