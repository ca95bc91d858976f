// Package rollout judges a rollout by what the API server shows of it, waits
// until the judgement is final, and undoes what did not become good.
package rollout

import (
	"maps"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kinds that can be waited for.
const (
	Deployment  = "deployment"
	StatefulSet = "statefulset"
	DaemonSet   = "daemonset"
)

// Objects is what is known at one instant: exactly one of the three workloads,
// its revisions and its pods, and what was read about those that look suspicious.
type Objects struct {
	Deployment  *appsv1.Deployment
	StatefulSet *appsv1.StatefulSet
	DaemonSet   *appsv1.DaemonSet
	ReplicaSets []*appsv1.ReplicaSet         // of a Deployment
	Revisions   []*appsv1.ControllerRevision // of a DaemonSet
	Pods        []*corev1.Pod
	// Evidence is only there for what is suspicious; see Suspicious.
	Evidence
	// Observed is what the nodes have said of the runs that are in toAsk.
	Observed map[string]Observation
	// Memory is what Compute gave back the time before; nil the first time.
	Memory *Memory
	// Criteria are what the caller asks for.
	Criteria Criteria
}

// Evidence is read on suspicion only.
type Evidence struct {
	Events []*corev1.Event
	Claims []*corev1.PersistentVolumeClaim
	Nodes  []*corev1.Node
	Labels []metav1.ObjectMeta // of all nodes, where a pod's selector or affinity matches none
}

// revision gives the hash that the new revision's pods carry, in which label,
// and whether it is known yet.
func (o Objects) revision() (label, hash string, known bool) {
	switch {
	case o.Deployment != nil:
		newest := o.NewReplicaSet()
		if newest == nil {
			return "", "", false
		}
		return appsv1.DefaultDeploymentUniqueLabelKey, newest.Labels[appsv1.DefaultDeploymentUniqueLabelKey], true
	case o.StatefulSet != nil:
		return appsv1.ControllerRevisionHashLabelKey, o.StatefulSet.Status.UpdateRevision, o.StatefulSet.Status.UpdateRevision != "" && o.seen()
	default:
		// A DaemonSet does not name its newest revision; its highest ControllerRevision does.
		var newest *appsv1.ControllerRevision
		for _, revision := range o.Revisions {
			if metav1.IsControlledBy(revision, o.DaemonSet) && (newest == nil || revision.Revision > newest.Revision) {
				newest = revision
			}
		}
		if newest == nil || !o.seen() {
			return "", "", false
		}
		return appsv1.ControllerRevisionHashLabelKey, newest.Labels[appsv1.ControllerRevisionHashLabelKey], true
	}
}

// NewReplicaSet is the one whose pod template is the Deployment's own, or nil
// while the controller has not made it. It is found as the controller finds it,
// not by the revision's number, which is noted later than the change.
// https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/controller/deployment/util/deployment_util.go (FindNewReplicaSet)
func (o Objects) NewReplicaSet() *appsv1.ReplicaSet {
	var oldest *appsv1.ReplicaSet
	for _, set := range o.ReplicaSets {
		if !metav1.IsControlledBy(set, o.Deployment) || !sameTemplate(&set.Spec.Template, &o.Deployment.Spec.Template) {
			continue
		}
		if oldest == nil || set.CreationTimestamp.Before(&oldest.CreationTimestamp) {
			oldest = set
		}
	}
	return oldest
}

func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	return equality.Semantic.DeepEqual(withoutHash(a), withoutHash(b))
}

func withoutHash(template *corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	bare := *template
	bare.Labels = maps.Clone(template.Labels)
	delete(bare.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return bare
}

// split gives the new revision's pods and the older ones, without those that are
// on their way out or over: what has failed for good is replaced by another pod.
func (o Objects) split() (newer, older []*corev1.Pod) {
	isNew := o.isNew()
	for _, pod := range o.active() {
		if isNew(pod) {
			newer = append(newer, pod)
		} else {
			older = append(older, pod)
		}
	}
	return newer, older
}

// isNew says of a pod whether it is of the new revision: a Deployment's by the ReplicaSet
// that owns it, the others' by the hash that their controller labels its pods with.
func (o Objects) isNew() func(*corev1.Pod) bool {
	if o.Deployment != nil {
		newest := o.NewReplicaSet()
		return func(pod *corev1.Pod) bool { return newest != nil && metav1.IsControlledBy(pod, newest) }
	}
	label, hash, known := o.revision()
	return func(pod *corev1.Pod) bool { return known && o.owns(pod) && pod.Labels[label] == hash }
}

// newPods are those of the new revision. The trouble of older ones is not this rollout's.
func (o Objects) newPods() []*corev1.Pod {
	newer, _ := o.split()
	return newer
}

// active are the workload's own pods that are neither over nor on their way out.
func (o Objects) active() []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range o.Pods {
		if pod.DeletionTimestamp == nil && !over(pod) && o.owns(pod) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// terminating are the workload's pods of any revision that are on their way out: by its
// status, where the cluster has it there, else by the pods.
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#terminating-pods
func (o Objects) terminating() int32 {
	if o.Deployment != nil && o.Deployment.Status.TerminatingReplicas != nil {
		return *o.Deployment.Status.TerminatingReplicas
	}
	var count int32
	for _, pod := range o.Pods {
		if pod.DeletionTimestamp != nil && o.owns(pod) {
			count++
		}
	}
	return count
}

func over(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}

func (o Objects) owns(pod *corev1.Pod) bool {
	switch {
	case o.Deployment != nil:
		for _, set := range o.ReplicaSets {
			if metav1.IsControlledBy(set, o.Deployment) && metav1.IsControlledBy(pod, set) {
				return true
			}
		}
		return false
	case o.StatefulSet != nil:
		return metav1.IsControlledBy(pod, o.StatefulSet)
	default:
		return metav1.IsControlledBy(pod, o.DaemonSet)
	}
}

func (o Objects) kindKnown() bool {
	return o.Deployment != nil || o.StatefulSet != nil || o.DaemonSet != nil
}

// newestSet is NewReplicaSet, or nil for what has none.
func (o Objects) newestSet() *appsv1.ReplicaSet {
	if o.Deployment == nil {
		return nil
	}
	return o.NewReplicaSet()
}

func (o Objects) meta() *metav1.ObjectMeta {
	switch {
	case o.Deployment != nil:
		return &o.Deployment.ObjectMeta
	case o.StatefulSet != nil:
		return &o.StatefulSet.ObjectMeta
	default:
		return &o.DaemonSet.ObjectMeta
	}
}

func (o Objects) kind() string {
	switch {
	case o.Deployment != nil:
		return Deployment
	case o.StatefulSet != nil:
		return StatefulSet
	default:
		return DaemonSet
	}
}

func (o Objects) name() string { return o.kind() + "/" + o.meta().Name }

func (o Objects) template() *corev1.PodTemplateSpec {
	switch {
	case o.Deployment != nil:
		return &o.Deployment.Spec.Template
	case o.StatefulSet != nil:
		return &o.StatefulSet.Spec.Template
	default:
		return &o.DaemonSet.Spec.Template
	}
}

func (o Objects) selector() *metav1.LabelSelector {
	switch {
	case o.Deployment != nil:
		return o.Deployment.Spec.Selector
	case o.StatefulSet != nil:
		return o.StatefulSet.Spec.Selector
	default:
		return o.DaemonSet.Spec.Selector
	}
}

func (o Objects) minReady() time.Duration {
	switch {
	case o.Deployment != nil:
		return time.Duration(o.Deployment.Spec.MinReadySeconds) * time.Second
	case o.StatefulSet != nil:
		return time.Duration(o.StatefulSet.Spec.MinReadySeconds) * time.Second
	default:
		return time.Duration(o.DaemonSet.Spec.MinReadySeconds) * time.Second
	}
}

// seen says that the controller knows of the newest change.
func (o Objects) seen() bool {
	switch {
	case o.Deployment != nil:
		return o.Deployment.Status.ObservedGeneration >= o.Deployment.Generation
	case o.StatefulSet != nil:
		return o.StatefulSet.Status.ObservedGeneration >= o.StatefulSet.Generation
	default:
		return o.DaemonSet.Status.ObservedGeneration >= o.DaemonSet.Generation
	}
}

func ready(pod *corev1.Pod) bool {
	c := condition(pod, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// runs says that the pod is running and ready by its own status: every container that has
// to stay is running and ready itself. Its workload's status is later to tell of an end.
func runs(pod *corev1.Pod) bool {
	if !ready(pod) || over(pod) || pod.DeletionTimestamp != nil {
		return false
	}
	staying := map[string]bool{}
	for _, status := range containers(pod) {
		if _, stays := spec(pod, status.Name); stays {
			staying[status.Name] = status.State.Running != nil && status.Ready
		}
	}
	for _, container := range AllContainers(pod.Spec) {
		if _, stays := spec(pod, container.Name); stays && !staying[container.Name] {
			return false
		}
	}
	return true
}

// available is running and ready for as long as minReadySeconds asks.
func available(pod *corev1.Pod, minReady time.Duration, now time.Time) bool {
	return runs(pod) && (minReady == 0 || !now.Before(condition(pod, corev1.PodReady).LastTransitionTime.Add(minReady)))
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// containers gives all that the pod's status names, init containers first.
func containers(pod *corev1.Pod) []corev1.ContainerStatus {
	return append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
}

// digest is what follows the @ of an image's reference or of an imageID.
func digest(reference string) string {
	if at := strings.LastIndex(reference, "@"); at >= 0 {
		return reference[at+1:]
	}
	return ""
}
