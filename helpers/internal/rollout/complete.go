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
		verdict.Updated, verdict.Available = status.UpdatedReplicas, status.AvailableReplicas
		verdict.Desired = replicas(o.Deployment.Spec.Replicas)
	case o.StatefulSet != nil:
		status := o.StatefulSet.Status
		verdict.Updated, verdict.Available = status.UpdatedReplicas, status.AvailableReplicas
		verdict.Desired = replicas(o.StatefulSet.Spec.Replicas)
	default:
		status := o.DaemonSet.Status
		verdict.Updated, verdict.Available, verdict.Desired = status.UpdatedNumberScheduled, status.NumberAvailable, status.DesiredNumberScheduled
	}
	// The status may still count a pod that has ended.
	var running int32
	for _, pod := range o.active() {
		if runs(pod) {
			running++
		}
	}
	verdict.Available, verdict.Terminating = min(verdict.Available, running), o.terminating()
	return verdict
}

func replicas(spec *int32) int32 {
	if spec == nil {
		return 1
	}
	return *spec
}

// complete says what is still waited for, or nothing; blocked is what waiting cannot end.
// The workload's status is not enough: it is later than its pods' to tell of an end.
func complete(o Objects, v Verdict, memory *Memory, now time.Time) (blocked *Failure, waiting string) {
	if blocked = never(o); blocked != nil {
		return blocked, ""
	}
	if !o.seen() {
		return nil, "the controller has not seen the change yet"
	}
	needed := int(v.Desired)
	switch {
	case o.Deployment != nil:
		waiting = enough(v, o.Deployment.Status.Replicas)
	case o.StatefulSet != nil:
		waiting = completeStatefulSet(o, v, memory, now)
	default:
		waiting = enough(v, v.Updated)
	}
	if _, older := o.split(); waiting == "" && o.StatefulSet == nil && len(older) > 0 {
		waiting = fmt.Sprintf("%d old pods are still there", len(older))
	}
	if least, given := o.Criteria.least(v.Desired); given && waiting != "" {
		needed = least
		waiting = enoughPods(o, needed, memory, now)
	} else if waiting == "" && o.StatefulSet == nil {
		waiting = enoughPods(o, needed, memory, now)
	}
	if waiting != "" || o.Criteria.Image == "" {
		return nil, waiting
	}
	return proveImage(o, needed)
}

// enoughPods counts the new pods that are sound by their own status.
func enoughPods(o Objects, needed int, memory *Memory, now time.Time) string {
	newer := o.newPods()
	count := soundOf(o, newer, memory, now)
	if count >= needed {
		return ""
	}
	for _, pod := range newer {
		if why := unproven(o, pod, memory, now); why != "" && available(pod, o.minReady(), now) {
			return why
		}
	}
	return fmt.Sprintf("%d of %d new pods are running and available by their own status", count, needed)
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
	case o.meta().DeletionTimestamp != nil: // it stays until what holds it has gone, as with --cascade=foreground
		return &Failure{Code: "DELETED", Cause: o.name() + " is being deleted"}
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
	for _, container := range append(images[:len(images):len(images)], o.template().Spec.InitContainers...) {
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
	case v.Updated > v.Desired:
		return fmt.Sprintf("%d pods too many are still there", v.Updated-v.Desired)
	case v.Available < v.Desired:
		return fmt.Sprintf("%d of %d new pods are available", v.Available, v.Desired)
	}
	return ""
}

// completeStatefulSet asks for the update revision in every ordinal from the
// partition on, and that all are available, which unlike kubectl counts minReadySeconds:
// by its status, and by its pods, of which the status may still know the former ones.
// https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#rolling-updates
func completeStatefulSet(o Objects, v Verdict, memory *Memory, now time.Time) string {
	set := o.StatefulSet
	first, from := ordinals(set)
	counted, updated := int32(0), int32(0)
	why, isNew := "", o.isNew()
	for _, pod := range o.active() {
		at, known := ordinal(pod)
		if !known || at < first || at >= first+v.Desired {
			continue
		}
		if !sound(o, pod, memory, now) {
			why = unproven(o, pod, memory, now)
			continue
		}
		counted++
		if at >= from && isNew(pod) {
			updated++
		}
	}
	wanted := max(0, first+v.Desired-from)
	switch {
	case updated < wanted && why != "":
		return why
	case updated < wanted:
		return fmt.Sprintf("%d of %d pods are new and available", updated, wanted)
	case counted < v.Desired:
		return fmt.Sprintf("%d of %d pods are running and available by their own status", counted, v.Desired)
	case set.Status.Replicas > v.Desired:
		return fmt.Sprintf("%d pods too many are still there", set.Status.Replicas-v.Desired)
	case v.Available < v.Desired:
		return fmt.Sprintf("%d of %d pods are available", v.Available, v.Desired)
	}
	return ""
}

// ordinals are the number of the first pod, and that from which on pods get the new revision.
func ordinals(set *appsv1.StatefulSet) (first, from int32) {
	if set.Spec.Ordinals != nil {
		first = set.Spec.Ordinals.Start
	}
	from = first
	if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil && rolling.Partition != nil {
		from = max(first, *rolling.Partition)
	}
	return first, from
}

// ordinal is a StatefulSet's pod's own number: its label, or, where an older controller
// made it, the end of its name, which is its identity.
// https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#pod-identity
func ordinal(pod *corev1.Pod) (number int32, known bool) {
	text, labelled := pod.Labels[appsv1.PodIndexLabel]
	if !labelled {
		text = pod.Name[strings.LastIndex(pod.Name, "-")+1:]
	}
	parsed, err := strconv.ParseInt(text, 10, 32)
	return int32(parsed), err == nil
}

// proveImage asks every counted pod's imageID for the digest: what was scanned is what runs.
func proveImage(o Objects, needed int) (*Failure, string) {
	if o.StatefulSet != nil {
		first, from := ordinals(o.StatefulSet)
		needed = max(0, needed-int(from-first))
	}
	proven := 0
	for _, pod := range o.newPods() {
		if !runs(pod) {
			continue
		}
		images, told := running(pod)
		switch {
		case slices.ContainsFunc(images, func(image string) bool { return digest(image) == o.Criteria.Image }):
			proven++
		case told:
			cause := fmt.Sprintf("%s runs %s, and not %s", pod.Name, strings.Join(images, ", "), o.Criteria.Image)
			return &Failure{Code: "IMAGE_MISMATCH", Cause: cause, Pod: pod.Name, Pods: 1}, ""
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
			images = append(images, provenBy(pod, status))
		}
	}
	return images, told && len(images) > 0
}

// provenBy is the imageID. A node that has the image from a file tells only the digest of its
// configuration, which no registry knows; it has found it by the digest of the pod's own reference, where that has one.
func provenBy(pod *corev1.Pod, status corev1.ContainerStatus) string {
	if container, _ := spec(pod, status.Name); digest(status.ImageID) == "" && container != nil && digest(container.Image) != "" {
		return container.Image
	}
	return status.ImageID
}
