package rollout

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// BeforeAnnotation holds, as JSON of Before, what a Deployment was before deploy-image changed it.
const BeforeAnnotation = "slipway.dev/before"

// CanaryReplicasAnnotation is on stable's Deployment while a canary has changed its replicas: how many there were before.
const CanaryReplicasAnnotation = "slipway.dev/replicas-before-canary"

// Before is how to undo a change by deploy-image. It is written in the same request as
// the change, so that there is no instant at which a change cannot be undone.
type Before struct {
	Run         string             `json:"run,omitempty"` // who made the change
	At          time.Time          `json:"at"`
	Images      map[string]string  `json:"images"` // of each container that was changed, init containers too
	To          map[string]string  `json:"to"`     // what they were changed to
	Replicas    int32              `json:"replicas"`
	Given       []int32            `json:"given,omitempty"`       // replicas that were asked for by the change
	Revision    string             `json:"revision,omitempty"`    // its pod-template-hash, where it had one
	First       bool               `json:"first,omitempty"`       // no pod had ever served
	Annotations map[string]*string `json:"annotations,omitempty"` // that the change has set; null where there was none
	Undone      bool               `json:"undone,omitempty"`      // stays as an answer to whoever asks for the same undo again
}

// ReadBefore gives what the Deployment says; nil where it says nothing.
func ReadBefore(deployment *appsv1.Deployment) (*Before, error) {
	body, found := deployment.Annotations[BeforeAnnotation]
	if !found {
		return nil, nil
	}
	var before Before
	if err := json.Unmarshal([]byte(body), &before); err != nil {
		return nil, slipway.Errorf(slipway.Conflict, "the annotation %s of deployment/%s cannot be read", BeforeAnnotation, deployment.Name).
			Because(err).
			Next("set image and replicas by hand, then remove it: kubectl annotate -n %s deployment/%s "+
				"%s-", deployment.Namespace, deployment.Name, BeforeAnnotation)
	}
	return &before, nil
}

// Stands says whether the change is still there: a container has the image that it was given.
func (b *Before) Stands(pod corev1.PodSpec) bool {
	return b != nil && !b.Undone && slices.ContainsFunc(AllContainers(pod), b.gave)
}

// isBack says whether the change was undone, and nobody has changed the images since.
func (b *Before) isBack(pod corev1.PodSpec) bool {
	return b != nil && b.Undone && !slices.ContainsFunc(AllContainers(pod), func(container corev1.Container) bool {
		image, changed := b.Images[container.Name]
		return changed && container.Image != image
	})
}

// name says in one word what is gone back to.
func (b *Before) name() string {
	if b.Revision != "" {
		return b.Revision
	}
	return strings.Join(slices.Compact(slices.Sorted(maps.Values(b.Images))), ", ")
}

func (b *Before) gave(container corev1.Container) bool {
	to, changed := b.To[container.Name]
	return changed && container.Image == to && b.Images[container.Name] != ""
}

// AllContainers are a pod's containers, init containers first.
func AllContainers(pod corev1.PodSpec) []corev1.Container {
	return append(slices.Clone(pod.InitContainers), pod.Containers...)
}

// back is the strategic merge patch that makes the Deployment what it was. Images and
// annotations that somebody else has set in the meantime are left to them. The replicas
// are never fewer than before; more stay where somebody else has asked for them.
func (b *Before) back(deployment *appsv1.Deployment) ([]byte, error) {
	undone := *b
	undone.Undone = true
	record, err := json.Marshal(undone)
	if err != nil {
		return nil, err
	}
	pod := map[string]any{}
	for list, containers := range map[string][]corev1.Container{
		"containers": deployment.Spec.Template.Spec.Containers, "initContainers": deployment.Spec.Template.Spec.InitContainers,
	} {
		var images []map[string]any
		for _, container := range containers {
			if b.gave(container) {
				images = append(images, map[string]any{"name": container.Name, "image": b.Images[container.Name]})
			}
		}
		if len(images) > 0 {
			pod[list] = images
		}
	}
	spec := map[string]any{"template": map[string]any{"spec": pod}}
	if now := replicas(deployment.Spec.Replicas); now < b.Replicas || slices.Contains(b.Given, now) {
		spec["replicas"] = b.Replicas
	}
	annotations := map[string]any{BeforeAnnotation: string(record)}
	for key, value := range b.Annotations {
		annotations[key] = value
	}
	return json.Marshal(
		map[string]any{"metadata": map[string]any{"resourceVersion": deployment.ResourceVersion, "annotations": annotations}, "spec": spec},
	)
}
