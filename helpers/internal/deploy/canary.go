package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/sirupsen/logrus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// CanaryOfAnnotation names stable's Deployment on a canary's that slipway has made.
const CanaryOfAnnotation = "slipway.dev/canary-of"

// canary makes the canary's Deployment, or brings it into line: stable's live template with
// the new image, so that what is tried is what is promoted.
func canary(ctx context.Context, cluster *kube.Cluster, options Options) (Outcome, error) {
	deployments := cluster.Apps().Deployments(cluster.Namespace)
	if options.Like == options.Name {
		return Outcome{}, slipway.Usagef("--like names deployment/%s itself", options.Name)
	}
	stable, err := deployments.Get(ctx, options.Like, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Outcome{}, slipway.Errorf(slipway.No, "there is no deployment/%s in the namespace %s that deployment/%s could be "+
			"like", options.Like, cluster.Namespace, options.Name).
			Next("apply stable's manifest first")
	}
	if err != nil {
		return Outcome{}, err
	}
	name, to, notes, err := imagesFor(stable.Spec.Template.Spec, options)
	if err != nil {
		return Outcome{}, err
	}
	if err := checkPullSecret(ctx, cluster, stable.Spec.Template.Spec, options.PullSecret); err != nil {
		return Outcome{}, err
	}
	outcome := Outcome{Deployment: options.Name, Container: name, To: options.Image, DryRun: options.DryRun, Notes: notes}
	current, err := deployments.Get(ctx, options.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return createCanary(ctx, cluster, options, stable, to, outcome)
	}
	if err != nil {
		return Outcome{}, err
	}
	return updateCanary(ctx, cluster, options, stable, current, to, outcome)
}

func createCanary(
	ctx context.Context,
	cluster *kube.Cluster,
	options Options,
	stable *appsv1.Deployment,
	to map[string]string,
	outcome Outcome,
) (Outcome, error) {
	services, err := cluster.Core().Services(cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return Outcome{}, err
	}
	own := identityOf(stable, options.Name, services.Items)
	if own.shared != "" {
		outcome.Notes = append(outcome.Notes, own.shared)
	}
	none := int32(0)
	if options.Replicas != nil {
		none = *options.Replicas
	}
	made := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Name:        options.Name,
			Namespace:   cluster.Namespace,
			Labels:      map[string]string{TrackLabel: "canary"},
			Annotations: record(options),
		},
		Spec: *stable.Spec.DeepCopy(),
	}
	made.Annotations[CanaryOfAnnotation] = stable.Name
	made.Spec.Replicas, made.Spec.Paused, made.Spec.Selector = &none, false, own.selector
	made.Spec.Template = templateLike(stable, own.labels, to)
	outcome.Created, outcome.Replicas = true, none
	if err := keepPullSecret(ctx, cluster, options); err != nil {
		return Outcome{}, err
	}
	guarded, err := admit(ctx, cluster, options, &stable.Spec.Template.Spec)
	if err != nil {
		return outcome, err
	}
	return sendNew(ctx, cluster, options, guarded, made, outcome)
}

func updateCanary(
	ctx context.Context,
	cluster *kube.Cluster,
	options Options,
	stable, current *appsv1.Deployment,
	to map[string]string,
	outcome Outcome,
) (Outcome, error) {
	labels := maps.Clone(stable.Spec.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	kept := current.Spec.Template.Labels // a team's own labels lead its Services to it
	if current.Annotations[CanaryOfAnnotation] != "" {
		kept = current.Spec.Selector.MatchLabels
	}
	maps.Copy(labels, kept)
	if track, marked := current.Spec.Template.Labels[TrackLabel]; marked {
		labels[TrackLabel] = track
	}
	if err := distinct(stable, current, labels); err != nil {
		return Outcome{}, err
	}
	wanted := current.DeepCopy()
	wanted.Spec.Template = templateLike(stable, labels, to)
	wanted.Spec.Strategy, wanted.Spec.MinReadySeconds = stable.Spec.Strategy, stable.Spec.MinReadySeconds
	wanted.Spec.ProgressDeadlineSeconds = stable.Spec.ProgressDeadlineSeconds
	for _, container := range current.Spec.Template.Spec.Containers {
		if container.Name == outcome.Container {
			outcome.From = container.Image
		}
	}
	outcome.Replicas = replicas(current)
	sameReplicas := options.Replicas == nil || replicas(current) == *options.Replicas
	if equality.Semantic.DeepEqual(wanted.Spec, current.Spec) && sameReplicas {
		return outcome, keepPullSecret(ctx, cluster, options)
	}
	if current.Spec.Paused {
		return outcome, paused(current)
	}
	outcome.Changed = true
	outcome.Differences = differences(&current.Spec, &wanted.Spec, to)
	for _, difference := range outcome.Differences {
		logrus.Warnf("deployment/%s differed from deployment/%s, and is like it now: %s", current.Name, stable.Name, difference)
	}
	now, err := stateOf(ctx, cluster, current)
	if err != nil {
		return Outcome{}, err
	}
	annotations := record(options)
	if annotations[rollout.BeforeAnnotation], err = encoded(now.wayBack(options, to, annotations, cluster.Now().UTC())); err != nil {
		return Outcome{}, err
	}
	patch, err := canaryPatch(current, wanted, options.Replicas, annotations)
	if err != nil {
		return Outcome{}, err
	}
	guarded, err := admit(ctx, cluster, options, &stable.Spec.Template.Spec)
	if err != nil {
		return outcome, err
	}
	return send(ctx, cluster, options, guarded, types.JSONPatchType, patch, outcome)
}

func canaryPatch(current, wanted *appsv1.Deployment, replicas *int32, annotations map[string]string) ([]byte, error) {
	all := maps.Clone(current.Annotations)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, annotations)
	patch := []map[string]any{
		{"op": "replace", "path": "/metadata/resourceVersion", "value": current.ResourceVersion},
		{"op": "add", "path": "/metadata/annotations", "value": all},
		{"op": "replace", "path": "/spec/template", "value": wanted.Spec.Template},
		{"op": "replace", "path": "/spec/strategy", "value": wanted.Spec.Strategy},
		{"op": "add", "path": "/spec/minReadySeconds", "value": wanted.Spec.MinReadySeconds},
		{"op": "add", "path": "/spec/progressDeadlineSeconds", "value": wanted.Spec.ProgressDeadlineSeconds},
	}
	if replicas != nil {
		patch = append(patch, map[string]any{"op": "replace", "path": "/spec/replicas", "value": *replicas})
	}
	return json.Marshal(patch)
}

// distinct refuses a canary whose pods cannot be told from stable's.
func distinct(stable, canary *appsv1.Deployment, labels map[string]string) error {
	if matches(canary.Spec.Selector, stable.Spec.Template.Labels) {
		return slipway.Usagef("deployment/%s selects the pods of deployment/%s, too: nobody can tell which is which", canary.Name, stable.Name).
			Next("delete deployment/%s: it is made anew, with a label of its own", canary.Name)
	}
	if !matches(canary.Spec.Selector, labels) {
		return slipway.Usagef("deployment/%s would not select pods with the labels of deployment/%s", canary.Name, stable.Name).
			Next("delete deployment/%s: it is made anew", canary.Name)
	}
	return nil
}

func matches(selector *metav1.LabelSelector, labels map[string]string) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labelSet(labels))
}

// templateLike is stable's pod template with the images and the labels of the canary.
func templateLike(stable *appsv1.Deployment, labels, to map[string]string) corev1.PodTemplateSpec {
	template := *stable.Spec.Template.DeepCopy()
	changed := map[string][2]string{}
	for key, value := range stable.Spec.Template.Labels {
		if labels[key] != value {
			changed[key] = [2]string{value, labels[key]}
		}
	}
	template.Labels = labels
	put(&template.Spec, to)
	for _, selector := range podSelectors(&template.Spec) {
		for key, value := range changed {
			if selector != nil && selector.MatchLabels[key] == value[0] && value[0] != "" {
				selector.MatchLabels[key] = value[1]
			}
		}
	}
	return template
}

// podSelectors are those by which the pods of a template are spread and kept apart.
func podSelectors(pod *corev1.PodSpec) []*metav1.LabelSelector {
	var found []*metav1.LabelSelector
	for i := range pod.TopologySpreadConstraints {
		found = append(found, pod.TopologySpreadConstraints[i].LabelSelector)
	}
	if pod.Affinity == nil {
		return found
	}
	terms := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i := range required {
			found = append(found, required[i].LabelSelector)
		}
		for i := range preferred {
			found = append(found, preferred[i].PodAffinityTerm.LabelSelector)
		}
	}
	if near := pod.Affinity.PodAffinity; near != nil {
		terms(near.RequiredDuringSchedulingIgnoredDuringExecution, near.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if apart := pod.Affinity.PodAntiAffinity; apart != nil {
		terms(apart.RequiredDuringSchedulingIgnoredDuringExecution, apart.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return found
}

// differences are the paths at which two specs differ, beside the images that are put
// there. Values are not told: an environment may hold what nobody should read.
func differences(is, wanted *appsv1.DeploymentSpec, to map[string]string) []string {
	is, wanted = is.DeepCopy(), wanted.DeepCopy()
	put(&is.Template.Spec, to)
	is.Template.Labels, wanted.Template.Labels = nil, nil
	var paths []string
	compare("", plain(is), plain(wanted), &paths)
	const most = 20
	if len(paths) > most {
		paths = append(paths[:most], fmt.Sprintf("and %d more", len(paths)-most))
	}
	return paths
}
