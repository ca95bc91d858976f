// Package rollout judges a rollout by what the API server shows of it, waits
// until the judgement is final, and undoes what did not become good.
package rollout

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kinds that can be waited for.
const (
	Deployment  = "deployment"
	StatefulSet = "statefulset"
	DaemonSet   = "daemonset"
)

// Objects is what is known at one instant: exactly one of the three workloads,
// its ReplicaSets (of a Deployment) and its pods.
type Objects struct {
	Deployment  *appsv1.Deployment
	StatefulSet *appsv1.StatefulSet
	DaemonSet   *appsv1.DaemonSet
	ReplicaSets []*appsv1.ReplicaSet
	Pods        []*corev1.Pod
	// Memory is what Compute gave back the time before; nil the first time.
	Memory *Memory
	// Criteria are what the caller asks for.
	Criteria Criteria
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
		return appsv1.ControllerRevisionHashLabelKey, o.StatefulSet.Status.UpdateRevision, o.StatefulSet.Status.UpdateRevision != ""
	default:
		// A DaemonSet does not name its newest revision; its youngest pod does.
		var youngest *corev1.Pod
		for _, pod := range o.Pods {
			if metav1.IsControlledBy(pod, o.DaemonSet) && (youngest == nil || youngest.CreationTimestamp.Before(&pod.CreationTimestamp)) {
				youngest = pod
			}
		}
		if youngest == nil {
			return "", "", false
		}
		return appsv1.ControllerRevisionHashLabelKey, youngest.Labels[appsv1.ControllerRevisionHashLabelKey], true
	}
}

const revisionAnnotation = "deployment.kubernetes.io/revision"

// NewReplicaSet is the one of the Deployment's current revision, or nil while the controller has not made it.
func (o Objects) NewReplicaSet() *appsv1.ReplicaSet {
	for _, set := range o.ReplicaSets {
		if metav1.IsControlledBy(set, o.Deployment) && set.Annotations[revisionAnnotation] == o.Deployment.Annotations[revisionAnnotation] && set.Annotations[revisionAnnotation] != "" {
			return set
		}
	}
	return nil
}

// newPods are those of the new revision that are not on their way out. The
// trouble of older ones is not this rollout's.
func (o Objects) newPods() []*corev1.Pod {
	label, hash, known := o.revision()
	if !known {
		return nil
	}
	var owner metav1.Object
	switch {
	case o.Deployment != nil:
		owner = o.NewReplicaSet()
	case o.StatefulSet != nil:
		owner = o.StatefulSet
	default:
		owner = o.DaemonSet
	}
	var pods []*corev1.Pod
	for _, pod := range o.Pods {
		if pod.DeletionTimestamp == nil && pod.Labels[label] == hash && metav1.IsControlledBy(pod, owner) {
			pods = append(pods, pod)
		}
	}
	return pods
}

func (o Objects) name() string {
	switch {
	case o.Deployment != nil:
		return Deployment + "/" + o.Deployment.Name
	case o.StatefulSet != nil:
		return StatefulSet + "/" + o.StatefulSet.Name
	default:
		return DaemonSet + "/" + o.DaemonSet.Name
	}
}

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

func ready(pod *corev1.Pod) bool { return condition(pod, corev1.PodReady) == corev1.ConditionTrue }

func condition(pod *corev1.Pod, kind corev1.PodConditionType) corev1.ConditionStatus {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return corev1.ConditionUnknown
}

// digest is what follows the @ of an image's reference or of an imageID.
func digest(reference string) string {
	if at := strings.LastIndex(reference, "@"); at >= 0 {
		return reference[at+1:]
	}
	return ""
}
