package rollout

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func counts(o Objects) Verdict {
	verdict := Verdict{Workload: o.name()}
	switch {
	case o.Deployment != nil:
		status := o.Deployment.Status
		verdict.Updated, verdict.Available, verdict.Desired = status.UpdatedReplicas, status.AvailableReplicas, replicas(o.Deployment.Spec.Replicas)
	case o.StatefulSet != nil:
		status := o.StatefulSet.Status
		verdict.Updated, verdict.Available, verdict.Desired = status.UpdatedReplicas, status.AvailableReplicas, replicas(o.StatefulSet.Spec.Replicas)
	default:
		status := o.DaemonSet.Status
		verdict.Updated, verdict.Available, verdict.Desired = status.UpdatedNumberScheduled, status.NumberAvailable, status.DesiredNumberScheduled
	}
	return verdict
}

func replicas(spec *int32) int32 {
	if spec == nil {
		return 1
	}
	return *spec
}

// complete says what is still waited for, or nothing; blocked is what waiting cannot end.
func complete(o Objects, v Verdict, memory *Memory, now time.Time) (blocked *Failure, waiting string) {
	if blocked = never(o); blocked != nil {
		return blocked, ""
	}
	if !o.seen() {
		return nil, "the controller has not seen the change yet"
	}
	switch {
	case o.Deployment != nil:
		waiting = enough(v, o.Deployment.Status.Replicas)
	case o.StatefulSet != nil:
		waiting = completeStatefulSet(o, v, now)
	default:
		waiting = enough(v, v.Updated)
	}
	needed := int(v.Desired)
	if least, given := o.Criteria.least(v.Desired); given && waiting != "" {
		count := 0
		for _, pod := range o.newPods() {
			if available(pod, o.minReady(), now) {
				count++
			}
		}
		if needed = least; count >= least {
			waiting = ""
		}
	}
	if waiting == "" {
		waiting = unproven(o, memory, now)
	}
	if waiting != "" || o.Criteria.Image == "" {
		return nil, waiting
	}
	return proveImage(o, needed)
}

// How long a container has to run before its pod counts. One that has ended once:
// between two ends of a crash loop a pod without a readiness probe is ready for a
// moment; this is the kubelet's first back-off. One that nothing probes: it is
// ready as soon as it is started, also when it is about to end. A node that was
// slow to tell of the start may be as slow to tell of the end, so that it gets a
// multiple of that, until the kubelet's regular report is over as well (settle).
const (
	proofAfterEnd  = 10 * time.Second
	proofUnprobed  = 5 * time.Second
	proofNotNeeded = 0
	proofSlowness  = 4
)

// unproven names a container of the new revision that has not run for long enough to count.
func unproven(o Objects, memory *Memory, now time.Time) string {
	for _, pod := range o.newPods() {
		for _, status := range containers(pod) {
			running := status.State.Running
			if running == nil {
				continue
			}
			needed := proof(o, pod, status)
			if needed != proofNotNeeded {
				slowness := memory.Told[run(pod, status)].Sub(running.StartedAt.Time)
				needed = max(needed, min(proofSlowness*slowness, settle))
			}
			if now.Sub(running.StartedAt.Time) < needed {
				return fmt.Sprintf("the container %s of %s was started a moment ago, and has to run for %s to count", status.Name, pod.Name, needed.Round(time.Second))
			}
		}
	}
	return ""
}

func proof(o Objects, pod *corev1.Pod, status corev1.ContainerStatus) time.Duration {
	container, restartable := spec(pod, status.Name)
	switch {
	case container == nil || !restartable:
		return proofNotNeeded
	case status.RestartCount > 0:
		return proofAfterEnd
	case container.ReadinessProbe == nil && o.minReady() == 0:
		return proofUnprobed
	}
	return proofNotNeeded
}

// run names one run of a container, from its start to its end.
func run(pod *corev1.Pod, status corev1.ContainerStatus) string {
	return fmt.Sprint(pod.Name, " ", status.Name, " ", status.State.Running.StartedAt.Unix())
}

// least is how many pods --min-available asks for; given is false without it.
func (c Criteria) least(desired int32) (least int, given bool) {
	if c.MinAvailable == nil {
		return 0, false
	}
	least, err := intstr.GetScaledValueFromIntOrPercent(c.MinAvailable, int(desired), true)
	return least, err == nil
}

// never names what would be waited for in vain.
func never(o Objects) *Failure {
	switch {
	case o.Deployment != nil && o.Deployment.Spec.Paused:
		return &Failure{Code: "PAUSED", Cause: o.name() + " is paused, and never ends"}
	case o.StatefulSet != nil && o.StatefulSet.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
		o.DaemonSet != nil && o.DaemonSet.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType:
		return &Failure{Code: "ON_DELETE", Cause: o.name() + " is updated only when its pods are deleted by hand (OnDelete)"}
	}
	if o.Criteria.Image == "" {
		return nil
	}
	images := o.template().Spec.Containers
	for _, container := range append(images, o.template().Spec.InitContainers...) {
		if found := digest(container.Image); found == o.Criteria.Image || found == "" {
			return nil // by tag only: the pods will tell
		}
	}
	return &Failure{Code: "WRONG_IMAGE", Cause: fmt.Sprintf("%s asks for %s, not for %s", o.name(), images[0].Image, o.Criteria.Image)}
}

// enough is the rule of https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#complete-deployment
// and of https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/.
func enough(v Verdict, total int32) string {
	switch {
	case v.Updated < v.Desired:
		return fmt.Sprintf("%d of %d pods are new", v.Updated, v.Desired)
	case total > v.Updated:
		return fmt.Sprintf("%d old pods are still there", total-v.Updated)
	case v.Available < v.Desired:
		return fmt.Sprintf("%d of %d new pods are available", v.Available, v.Desired)
	}
	return ""
}

// completeStatefulSet asks for the update revision in every ordinal from the
// partition on, and that all are available, which unlike kubectl counts minReadySeconds:
// by its status, and by its pods, of which the status may still know the former ones.
// https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#rolling-updates
func completeStatefulSet(o Objects, v Verdict, now time.Time) string {
	set := o.StatefulSet
	first := int32(0)
	if set.Spec.Ordinals != nil {
		first = set.Spec.Ordinals.Start
	}
	from := first
	if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil && rolling.Partition != nil {
		from = max(first, *rolling.Partition)
	}
	updated := map[string]bool{}
	for _, pod := range o.newPods() {
		updated[pod.Name] = available(pod, o.minReady(), now)
	}
	wanted, found := int32(0), int32(0)
	for ordinal := from; ordinal < first+v.Desired; ordinal++ {
		wanted++
		if updated[set.Name+"-"+strconv.Itoa(int(ordinal))] {
			found++
		}
	}
	switch {
	case found < wanted:
		return fmt.Sprintf("%d of %d pods are new and available", found, wanted)
	case set.Status.Replicas > v.Desired:
		return fmt.Sprintf("%d pods too many are still there", set.Status.Replicas-v.Desired)
	case v.Available < v.Desired:
		return fmt.Sprintf("%d of %d pods are available", v.Available, v.Desired)
	}
	return ""
}

// proveImage asks every counted pod's imageID for the digest: what was scanned is what runs.
func proveImage(o Objects, needed int) (*Failure, string) {
	if o.StatefulSet != nil {
		if rolling := o.StatefulSet.Spec.UpdateStrategy.RollingUpdate; rolling != nil && rolling.Partition != nil {
			needed = max(0, needed-int(*rolling.Partition))
		}
	}
	proven := 0
	for _, pod := range o.newPods() {
		if !ready(pod) {
			continue
		}
		images, told := running(pod)
		switch {
		case slices.ContainsFunc(images, func(image string) bool { return digest(image) == o.Criteria.Image }):
			proven++
		case told:
			return &Failure{Code: "IMAGE_MISMATCH", Cause: fmt.Sprintf("%s runs %s, and not %s", pod.Name, strings.Join(images, ", "), o.Criteria.Image), Pod: pod.Name, Pods: 1}, ""
		}
	}
	if proven < needed {
		return nil, fmt.Sprintf("%d of %d pods say that they run %s", proven, needed, o.Criteria.Image)
	}
	return nil, ""
}

// running gives the imageIDs of the containers that run; told is false while one has none yet.
func running(pod *corev1.Pod) (images []string, told bool) {
	told = true
	for _, status := range containers(pod) {
		switch {
		case status.State.Running == nil:
		case status.ImageID == "":
			told = false
		default:
			images = append(images, status.ImageID)
		}
	}
	return images, told && len(images) > 0
}
