package deploy

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// state is what a Deployment is before it is changed.
type state struct {
	deployment *appsv1.Deployment
	before     *rollout.Before // the record of the change before this one, or nil
	hash       string          // pod-template-hash of the present revision, where it has one
	marked     bool            // that revision was marked good
	first      bool
}

func stateOf(ctx context.Context, cluster *kube.Cluster, deployment *appsv1.Deployment) (state, error) {
	s := state{deployment: deployment}
	var err error
	if s.before, err = rollout.ReadBefore(deployment); err != nil {
		return s, err
	}
	switch good := deployment.Annotations[rollout.GoodAnnotation]; {
	case rollout.IsMarked(deployment):
		s.hash, s.marked = good, true
		return s, nil
	case good == "" && !First(historyOf(deployment, s.before, nil, nil)):
		return s, nil // its ReplicaSets would tell nothing more
	}
	found, err := cluster.Apps().
		ReplicaSets(cluster.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(deployment.Spec.Selector)})
	if err != nil {
		return s, err
	}
	objects := rollout.Objects{Deployment: deployment}
	for i := range found.Items {
		objects.ReplicaSets = append(objects.ReplicaSets, &found.Items[i])
	}
	if newest := objects.NewReplicaSet(); newest != nil {
		s.hash = newest.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	}
	s.marked = s.hash != "" && deployment.Annotations[rollout.GoodAnnotation] == s.hash
	history, err := past(ctx, cluster, deployment, s.before, objects.ReplicaSets)
	s.first = First(history)
	return s, err
}

func (s state) outcome(options Options, name string, to map[string]string, notes []string) Outcome {
	o := Outcome{
		Deployment: options.Name,
		Container:  name,
		To:         options.Image,
		DryRun:     options.DryRun,
		First:      s.first,
		Replicas:   replicas(s.deployment),
		Notes:      notes,
	}
	for _, container := range rollout.AllContainers(s.deployment.Spec.Template.Spec) {
		if _, changes := to[container.Name]; container.Name == name {
			o.From = container.Image
		} else if changes {
			o.Also = append(o.Also, container.Name)
		}
	}
	var last rollout.LastGood
	_ = json.Unmarshal([]byte(s.deployment.Annotations[rollout.LastGoodAnnotation]), &last) // none, or not ours: no last good
	o.LastGood = last.Image
	if o.Replicas == 0 && s.first && s.before != nil && len(s.before.Given) > 0 {
		o.Replicas = slices.Max(s.before.Given)
	}
	return o
}

// wayBack is how to undo the change that is about to be made. What was put there by a
// change that never became good is nothing to go back to: the way back is that change's.
func (s state) wayBack(options Options, to, annotations map[string]string, at time.Time) rollout.Before {
	back := rollout.Before{
		Run:         options.Record["build"],
		At:          at.Truncate(time.Second),
		To:          maps.Clone(to),
		Images:      map[string]string{},
		Annotations: map[string]*string{},
		Replicas:    replicas(s.deployment),
		Revision:    s.hash,
		First:       s.first,
	}
	for _, container := range rollout.AllContainers(s.deployment.Spec.Template.Spec) {
		if _, changes := to[container.Name]; changes {
			back.Images[container.Name] = container.Image
		}
	}
	for key := range annotations {
		if key == rollout.BeforeAnnotation || key == rollout.LastGoodAnnotation {
			continue
		}
		back.Annotations[key] = nil
		if value, set := s.deployment.Annotations[key]; set {
			back.Annotations[key] = &value
		}
	}
	if count, err := strconv.ParseInt(s.deployment.Annotations[rollout.CanaryReplicasAnnotation], 10, 32); err == nil {
		back.Replicas = int32(count)
	}
	if origin := s.before; origin.Stands(s.deployment.Spec.Template.Spec) && !s.becameGood() {
		back.First, back.Revision, back.Given = origin.First, origin.Revision, origin.Given
		for name, image := range origin.Images {
			if back.Images[name] = image; back.To[name] == "" {
				back.To[name] = origin.To[name]
			}
		}
		for key, value := range origin.Annotations {
			back.Annotations[key] = value
		}
		if slices.Contains(origin.Given, back.Replicas) {
			back.Replicas = origin.Replicas
		}
		back.Replicas = max(back.Replicas, origin.Replicas)
	}
	if options.Replicas != nil && !slices.Contains(back.Given, *options.Replicas) {
		back.Given = append(slices.Clone(back.Given), *options.Replicas)
	}
	return back
}

// becameGood says whether the present revision was marked good, or is complete now.
func (s state) becameGood() bool {
	status, wanted := s.deployment.Status, replicas(s.deployment)
	complete := status.ObservedGeneration >= s.deployment.Generation && status.UpdatedReplicas >= wanted &&
		status.AvailableReplicas >= wanted &&
		status.Replicas == status.UpdatedReplicas
	return s.marked || complete && wanted > 0
}
