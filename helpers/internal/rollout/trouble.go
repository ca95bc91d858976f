package rollout

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// inspect finds the trouble of a pod that is not ready; nil where it may just
// need its time: a pull that goes on, an init container that works, a probe that
// still has its chance.
func inspect(o Objects, pod *corev1.Pod, memory *Memory, now time.Time) *trouble {
	if pod.Spec.NodeName == "" {
		return unscheduled(o, pod)
	}
	var early *trouble // tells what another container's trouble tells better
	for _, status := range containers(pod) {
		switch found := startless(o, pod, status, memory, now); {
		case found == nil:
		case found.grace < endless:
			return found
		case early == nil:
			early = found
		}
	}
	if found := byEvents(o, pod); found != nil {
		return found
	}
	for _, status := range containers(pod) {
		if found := unready(pod, status, memory, now); found != nil {
			return found
		}
	}
	if found := gated(o, pod); found != nil {
		return found
	}
	if found := dropped(o, pod); found != nil {
		return found
	}
	if found := silent(o, pod); found != nil || early != nil {
		return cmp.Or(found, early)
	}
	return underway(o, pod, memory, now)
}

// underway is what a pod has been at for long, and may go on with: an init container that runs, a start that its probe waits for,
// an image that is pulled.
func underway(o Objects, pod *corev1.Pod, memory *Memory, now time.Time) *trouble {
	long := o.Criteria.Graces.Stuck
	say := func(container, format string, arguments ...any) *trouble {
		return newTrouble("STUCK", fmt.Sprintf(format, arguments...), pod, container, endless)
	}
	for _, status := range containers(pod) {
		container, stays := spec(pod, status.Name)
		switch {
		case container == nil || status.State.Running == nil || now.Sub(memory.Told[run(pod, status)]) < long:
		case !stays:
			return say(status.Name, "the init container %s still runs, and the next one starts when it has ended", status.Name)
		case container.StartupProbe != nil && (status.Started == nil || !*status.Started):
			return say(status.Name, "the container %s runs, and its startup probe (%s) has not succeeded yet", status.Name,
				probed(container.StartupProbe))
		}
	}
	events := o.eventsOf(pod)
	if len(events) == 0 || events[len(events)-1].Reason != "Pulling" || now.Sub(lastSeen(events[len(events)-1])) < long {
		return nil
	}
	return say("", "the node %s has been at this since %s: %s", pod.Spec.NodeName, lastSeen(events[len(events)-1]).UTC().Format(time.TimeOnly),
		events[len(events)-1].Message)
}

// everyNode is what the scheduler says where the selector or affinity of the pod
// matches none of the nodes that there are.
var everyNode = regexp.MustCompile(`^0/(\d+) nodes are available: (\d+) node\(s\) didn't match Pod's node affinity/selector\.`)

// https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/
func unscheduled(o Objects, pod *corev1.Pod) *trouble {
	graces := o.Criteria.Graces
	c := condition(pod, corev1.PodScheduled)
	for _, claim := range o.claimsOf(pod) {
		// With WaitForFirstConsumer a claim waits for its pod, and is no trouble
		// while the pod has not been given a place because of something else.
		if claim.Status.Phase == corev1.ClaimPending &&
			(c == nil || c.Status != corev1.ConditionFalse || strings.Contains(c.Message, "PersistentVolumeClaim")) {
			return newTrouble("PVC_PENDING", fmt.Sprintf("the PersistentVolumeClaim %s is not bound: %s", claim.Name,
				o.lastWarning(claim, "nothing provides it yet")), pod, "", graces.Claim).
				from(pod.CreationTimestamp.Time)
		}
	}
	warning := lastTold(o, pod)
	switch {
	case (c == nil || c.Status != corev1.ConditionFalse) && warning != "":
		return newTrouble("STUCK", warning, pod, "", graces.Stuck).from(pod.CreationTimestamp.Time)
	case c == nil || c.Status != corev1.ConditionFalse:
		return newTrouble("STUCK", fmt.Sprintf("no scheduler (%s) has looked at it", pod.Spec.SchedulerName), pod, "", graces.Stuck).
			from(pod.CreationTimestamp.Time)
	case c.Reason == corev1.PodReasonSchedulingGated:
		return newTrouble("STUCK", fmt.Sprintf("the scheduling gate %s is not lifted", pod.Spec.SchedulingGates), pod, "", graces.Stuck).
			from(pod.CreationTimestamp.Time)
	case strings.Contains(c.Message, "PersistentVolumeClaim"), strings.Contains(c.Message, "persistentvolumeclaim"):
		return newTrouble("PVC_PENDING", "no node takes it: "+c.Message, pod, "", graces.Claim).from(c.LastTransitionTime.Time)
	}
	found := newTrouble("UNSCHEDULABLE", "no node takes it: "+c.Message+placement(o, pod, c.Message), pod, "",
		graces.Unschedulable).from(c.LastTransitionTime.Time)
	found.room = true
	if parts := everyNode.FindStringSubmatch(c.Message); parts != nil && parts[1] == parts[2] {
		found.grace, found.room = 0, false
	}
	return found
}

// startless judges a container that does not run, or that only runs until it ends again.
func startless(o Objects, pod *corev1.Pod, status corev1.ContainerStatus, memory *Memory, now time.Time) *trouble {
	if found := crashing(o, pod, status, memory, now); found != nil {
		return found
	}
	state := status.State.Waiting
	if state == nil {
		return ended(pod, status, o.Criteria.Graces.Create)
	}
	graces := o.Criteria.Graces
	say := func(code string, grace time.Duration, format string, arguments ...any) *trouble {
		return newTrouble(code, fmt.Sprintf(format, arguments...), pod, status.Name, grace)
	}
	switch state.Reason {
	case "", "ContainerCreating", "PodInitializing":
		return nil // the pod's events tell what holds it up, if anything does
	case "CrashLoopBackOff", postStartError:
		return starts(status, pod, graces.Create) // fewer ends than make a loop
	case "InvalidImageName":
		return say("INVALID_IMAGE_NAME", 0, "the image's name makes no sense: %s", status.Image)
	case "ErrImageNeverPull":
		return say("IMAGE_NEVER_PULL", 0, "the image %s is not on the node, and imagePullPolicy Never forbids to pull it", status.Image)
	case "ErrImagePull", pullBackOff, "RegistryUnavailable", "SignatureValidationFailed", "ImageInspectError":
		return pulling(o, pod, status, memory)
	case "CreateContainerConfigError":
		code := "CONTAINER_CONFIG"
		if missing.MatchString(state.Message) {
			code = "CONFIG_MISSING"
		}
		return say(code, graces.Config, "the container %s cannot be made: %s", status.Name, state.Message)
	case "CreateContainerError", "RunContainerError":
		return say("CONTAINER_ERROR", graces.Create, "the container %s cannot be started: %s", status.Name, state.Message)
	}
	return say("STUCK", graces.Stuck, "the container %s waits: %s: %s", status.Name, state.Reason, state.Message)
}

// missing is how the kubelet says that a Secret, a ConfigMap or a key in one is not there:
// one object by itself where it watches them, the resource by the API server's words where
// it asks (configMapAndSecretChangeDetectionStrategy).
// https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
var missing = regexp.MustCompile(`^(secret|configmap)s? "[^"]*" not found|^couldn't find key|^references non-existent (secret|config) key`)

// spec finds a container by its name; restartable is false for an init container
// that has to end. One that may stay (a sidecar) counts as a container:
// https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
func spec(pod *corev1.Pod, name string) (container *corev1.Container, restartable bool) {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == name {
			return &pod.Spec.Containers[i], true
		}
	}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.Name == name {
			return c, c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		}
	}
	return nil, false
}

func initOnly(pod *corev1.Pod, name string) bool {
	container, restartable := spec(pod, name)
	return container != nil && !restartable
}

// unready judges a container that runs and is not ready, by its probe's own fields:
// it has had its chance after initialDelay + period × failures, twice, since it runs or was last ready. An attempt
// that takes longer than the period puts the next one off, so its time-out counts.
// https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
func unready(pod *corev1.Pod, status corev1.ContainerStatus, memory *Memory, now time.Time) *trouble {
	running := status.State.Running
	if running == nil || status.Ready {
		return nil
	}
	container, restartable := spec(pod, status.Name)
	if container == nil || !restartable || container.ReadinessProbe == nil {
		return nil
	}
	budget := 2 * chance(container.ReadinessProbe)
	if container.StartupProbe != nil {
		budget += chance(container.StartupProbe)
	}
	began := later(memory.Told[run(pod, status)], memory.Served[run(pod, status)])
	// It may have been ready before the first look. A time to come is of a node whose clock is wrong.
	if c := condition(pod, corev1.PodReady); c != nil && !c.LastTransitionTime.After(now) {
		began = later(began, c.LastTransitionTime.Time)
	}
	if now.Sub(began) < budget {
		return nil
	}
	cause := fmt.Sprintf("the container %s runs, and its readiness probe (%s) has not succeeded in %s", status.Name,
		probed(container.ReadinessProbe), budget)
	return newTrouble("NOT_READY", cause, pod, status.Name, 0)
}

func chance(probe *corev1.Probe) time.Duration {
	period, failures := max(probe.PeriodSeconds, probe.TimeoutSeconds, 1), max(probe.FailureThreshold, 1)
	return time.Duration(probe.InitialDelaySeconds+period*failures) * time.Second
}

func probed(probe *corev1.Probe) string {
	switch {
	case probe.HTTPGet != nil:
		return "GET " + probe.HTTPGet.Path + " on port " + probe.HTTPGet.Port.String()
	case probe.TCPSocket != nil:
		return "TCP on port " + probe.TCPSocket.Port.String()
	case probe.GRPC != nil:
		return fmt.Sprintf("gRPC on port %d", probe.GRPC.Port)
	}
	return "exec"
}

// gated is a pod whose containers are all ready and which still is not, because
// of a readiness gate. https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-readiness-gate
func gated(o Objects, pod *corev1.Pod) *trouble {
	all := condition(pod, corev1.ContainersReady)
	if all == nil || all.Status != corev1.ConditionTrue {
		return nil
	}
	for _, gate := range pod.Spec.ReadinessGates {
		c := condition(pod, gate.ConditionType)
		if c != nil && c.Status == corev1.ConditionTrue {
			continue
		}
		text := fmt.Sprintf("its containers are ready, and nobody has set the readiness gate %s", gate.ConditionType)
		if c != nil {
			text = fmt.Sprintf("its containers are ready, and the readiness gate %s is %s: %s", gate.ConditionType, c.Status, c.Message)
		}
		return newTrouble("STUCK", text, pod, "", o.Criteria.Graces.Stuck).from(all.LastTransitionTime.Time)
	}
	return nil
}

// isDropped says that all containers of a pod are ready by its kubelet's word, and the pod is not: its node has not reported
// for a while. https://kubernetes.io/docs/concepts/architecture/nodes/#node-status
func isDropped(pod *corev1.Pod) bool {
	all, whole := condition(pod, corev1.ContainersReady), condition(pod, corev1.PodReady)
	return all != nil && all.Status == corev1.ConditionTrue && whole != nil && whole.Status != corev1.ConditionTrue
}

func dropped(o Objects, pod *corev1.Pod) *trouble {
	if !isDropped(pod) {
		return nil
	}
	c := condition(pod, corev1.PodReady)
	said := strings.TrimSpace(c.Reason + " " + c.Message)
	code, text := o.node(pod, "its containers are ready, and its condition Ready is "+strings.TrimSpace(string(c.Status)+" "+said))
	return newTrouble(code, text, pod, "", o.Criteria.Graces.Stuck).from(c.LastTransitionTime.Time)
}

// silent is a pod that was given to a node whose kubelet has not taken it up.
func silent(o Objects, pod *corev1.Pod) *trouble {
	if pod.Status.StartTime != nil {
		return nil
	}
	code, text := o.node(pod, "the kubelet of the node "+pod.Spec.NodeName+" has not taken it up")
	return newTrouble(code, text, pod, "", o.Criteria.Graces.Stuck).from(pod.CreationTimestamp.Time)
}

// node tells what is known of the pod's node, else what is seen of the pod.
func (o Objects) node(pod *corev1.Pod, otherwise string) (code, text string) {
	code, text = "STUCK", otherwise
	for _, node := range o.Nodes {
		if node.Name != pod.Spec.NodeName {
			continue
		}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
				code, text = "NODE_NOT_READY", "its node "+node.Name+" is not ready: "+c.Message
			}
		}
		if node.Spec.Unschedulable {
			text += " (the node is cordoned)"
		}
	}
	return code, text
}
