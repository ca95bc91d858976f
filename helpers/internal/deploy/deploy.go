// Package deploy puts one image, by digest, on a Deployment, and leaves behind
// how to go back.
package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/sirupsen/logrus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/helpers/internal/approved"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
	"slipway.dev/slipway/helpers/internal/room"
)

// Options of one deployment.
type Options struct {
	Name       string   // of the Deployment
	Container  string   // empty where there is only one
	Also       []string // further containers that get the image
	Image      string   // REPOSITORY[:TAG]@sha256:...
	Replicas   *int32   // nil leaves them
	Record     map[string]string
	DryRun     bool
	PullSecret string // the name of the Secret, or empty
	Docker     []byte // Docker's config.json, for the pull secret
	Create     *appsv1.Deployment
	Like       string          // the Deployment whose pod template this one gets, as its canary
	Approval   *approved.Entry // what a guarded namespace's list says of it; nil where the caller changes no guarded one
}

// Outcome is what deploy-image answers.
type Outcome struct {
	Deployment  string   `json:"deployment"`
	Container   string   `json:"container"`
	Also        []string `json:"also,omitempty"` // the other containers that get the image
	From        string   `json:"from"`
	To          string   `json:"to"`
	Changed     bool     `json:"changed"`
	Created     bool     `json:"created"`
	Undone      bool     `json:"undone,omitempty"` // of --undo: it is what it was before; Changed says whether this call did it
	DryRun      bool     `json:"dryRun"`
	LastGood    string   `json:"lastGood"`              // the image that a rollback goes back to, or empty
	First       bool     `json:"first"`                 // nothing has ever served: see History
	Replicas    int32    `json:"replicas"`              // that are asked for; where those are 0, what a first release had asked for
	Differences []string `json:"differences,omitempty"` // of a canary's template from stable's, which were brought into line
	Notes       []string `json:"notes,omitempty"`
}

// Text tells it in one line.
func (o Outcome) Text(out io.Writer) error {
	what := "changed from " + o.From + " to " + o.To
	switch {
	case o.Undone && o.Changed:
		what = fmt.Sprintf("undone: it has %s again, and %d replicas", o.To, o.Replicas)
	case o.Undone:
		what = fmt.Sprintf("unchanged: it has %s and %d replicas, and there is nothing to undo", o.To, o.Replicas)
	case o.Created:
		what = "created with " + o.To
	case !o.Changed:
		what = "unchanged: it has " + o.To + " already"
	}
	if o.DryRun {
		what = "would be " + what
	}
	if len(o.Also) > 0 {
		what += "; so are the containers " + strings.Join(o.Also, ", ")
	}
	_, err := fmt.Fprintf(out, "deployment/%s %s\n", o.Deployment, what)
	return err
}

// Answer tells it to a pipeline.
func (o Outcome) Answer() slipway.Fields {
	return slipway.Fields{
		"from":     o.From,
		"to":       o.To,
		"changed":  o.Changed || o.Created,
		"lastGood": o.LastGood,
		"first":    o.First,
		"replicas": o.Replicas,
	}
}

var pinned = regexp.MustCompile(`^[^@\s]+@sha256:[0-9a-f]{64}$`)

// asking has the API server say what it would, and change nothing.
var asking = metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}

const conflicts = 5 // how often a change by somebody else is read again

// Deploy puts the image on the Deployment.
func Deploy(ctx context.Context, cluster *kube.Cluster, options Options) (Outcome, error) {
	if !pinned.MatchString(options.Image) {
		return Outcome{}, slipway.Usagef("--image %q names no digest: what is deployed is REPOSITORY:TAG@sha256:...", options.Image).
			Next("take it from nexus-push or nexus-latest-tag")
	}
	for attempt := 1; ; attempt++ {
		outcome, err := deploy(ctx, cluster, options)
		if err == nil || !apierrors.IsConflict(err) || attempt == conflicts {
			if err != nil {
				err = kube.Explain(err, "deploying "+options.Image+" to deployment/"+options.Name)
			}
			return outcome, err
		}
	}
}

func deploy(ctx context.Context, cluster *kube.Cluster, options Options) (Outcome, error) {
	if options.Like != "" {
		return canary(ctx, cluster, options)
	}
	deployments := cluster.Apps().Deployments(cluster.Namespace)
	current, err := deployments.Get(ctx, options.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && options.Create != nil {
		return create(ctx, cluster, options)
	}
	if apierrors.IsNotFound(err) {
		return Outcome{}, slipway.Errorf(slipway.No, "there is no deployment/%s in the namespace %s", options.Name, cluster.Namespace).
			Next("apply its manifest first, or give it: --create-from FILE.yaml")
	}
	if err != nil {
		return Outcome{}, err
	}
	pod := current.Spec.Template.Spec
	name, to, notes, err := imagesFor(pod, options)
	if err != nil {
		return Outcome{}, err
	}
	if err := checkPullSecret(ctx, cluster, pod, options.PullSecret); err != nil {
		return Outcome{}, err
	}
	now, err := stateOf(ctx, cluster, current)
	if err != nil {
		return Outcome{}, err
	}
	outcome := now.outcome(options, name, to, notes)
	for _, note := range notes {
		logrus.Warn(note)
	}
	sameImage := has(pod, to)
	if sameImage && (options.Replicas == nil || replicas(current) == *options.Replicas) {
		return outcome, keepPullSecret(ctx, cluster, options)
	}
	if current.Spec.Paused && !sameImage {
		return outcome, paused(current)
	}
	if options.DryRun {
		if err := hasRoom(ctx, cluster, current, sameImage, options.Replicas); err != nil {
			return outcome, err
		}
	}
	outcome.Changed = true
	annotations := record(options)
	if !sameImage && now.marked {
		outcome.LastGood = outcome.From
		if annotations[rollout.LastGoodAnnotation], err = encoded(rollout.LastGood{Hash: now.hash, Image: outcome.From}); err != nil {
			return Outcome{}, err
		}
	}
	if annotations[rollout.BeforeAnnotation], err = encoded(now.wayBack(options, to, annotations, cluster.Now().UTC())); err != nil {
		return Outcome{}, err
	}
	patch, err := json.Marshal(patchOf(current, to, options.Replicas, annotations))
	if err != nil {
		return Outcome{}, err
	}
	guarded, err := admit(ctx, cluster, options, &pod)
	if err == nil && guarded {
		err = leadsBack(ctx, cluster, current)
	}
	if err != nil {
		return outcome, err
	}
	return send(ctx, cluster, options, guarded, types.StrategicMergePatchType, patch, outcome)
}

func paused(deployment *appsv1.Deployment) error {
	return slipway.Errorf(slipway.No, "deployment/%s is paused: no pod would get the image", deployment.Name).
		Next("let it go on: kubectl rollout resume -n %s deployment/%s; then run this again", deployment.Namespace, deployment.Name)
}

// hasRoom counts, before anybody approves the change, whether the quotas leave room for the pods that a rollout starts beside
// those that run, as far as they may be read.
func hasRoom(ctx context.Context, cluster *kube.Cluster, current *appsv1.Deployment, sameImage bool, wanted *int32) error {
	needed, after := 0, current.DeepCopy()
	if wanted != nil {
		after.Spec.Replicas = wanted
		needed = max(0, int(*wanted-replicas(current)))
	}
	if !sameImage && replicas(current) > 0 {
		needed += room.Surge(after)
	}
	if needed == 0 {
		return nil
	}
	left, err := room.Left(ctx, cluster, current.Spec.Template.Spec)
	if kube.IsDenied(err) {
		return nil
	}
	if err != nil || left.Pods >= needed {
		return err
	}
	return slipway.Errorf(slipway.No, "the rollout of deployment/%s needs room for %d more pods (maxSurge), and "+
		"%s", current.Name, needed, left.Why).
		Next("raise that quota, or let pods be replaced one by one: spec.strategy.rollingUpdate {maxSurge: 0, maxUnavailable: 1}")
}

func encoded(value any) (string, error) {
	body, err := json.Marshal(value)
	return string(body), err
}

// patchOf is exactly what is changed: the images, the annotations, and the
// replicas only if asked. The resourceVersion makes a change by somebody else a conflict.
func patchOf(current *appsv1.Deployment, to map[string]string, replicas *int32, annotations map[string]string) map[string]any {
	pod := map[string]any{}
	was := current.Spec.Template.Spec
	for list, containers := range map[string][]corev1.Container{"containers": was.Containers, "initContainers": was.InitContainers} {
		var images []map[string]any
		for _, container := range containers {
			if image, changes := to[container.Name]; changes {
				images = append(images, map[string]any{"name": container.Name, "image": image})
			}
		}
		if len(images) > 0 {
			pod[list] = images
		}
	}
	spec := map[string]any{"template": map[string]any{"spec": pod}}
	if replicas != nil {
		spec["replicas"] = *replicas
	}
	return map[string]any{"metadata": map[string]any{"resourceVersion": current.ResourceVersion, "annotations": annotations}, "spec": spec}
}

func record(options Options) map[string]string {
	annotations := map[string]string{"kubernetes.io/change-cause": "deploy-image " + options.Image}
	for key, value := range options.Record {
		annotations["slipway.dev/"+key] = value
	}
	return annotations
}

func create(ctx context.Context, cluster *kube.Cluster, options Options) (Outcome, error) {
	deployment := options.Create.DeepCopy()
	name, to, notes, err := imagesFor(deployment.Spec.Template.Spec, options)
	if err != nil {
		return Outcome{}, err
	}
	deployment.Namespace = cluster.Namespace
	put(&deployment.Spec.Template.Spec, to)
	if options.Replicas != nil {
		deployment.Spec.Replicas = options.Replicas
	}
	if deployment.Annotations == nil {
		deployment.Annotations = map[string]string{}
	}
	for key, value := range record(options) {
		deployment.Annotations[key] = value
	}
	outcome := Outcome{Deployment: options.Name, Container: name, To: options.Image, Created: true, DryRun: options.DryRun,
		First: true, Replicas: replicas(deployment), Notes: notes}
	if err := checkPullSecret(ctx, cluster, deployment.Spec.Template.Spec, options.PullSecret); err != nil {
		return Outcome{}, err
	}
	if err := keepPullSecret(ctx, cluster, options); err != nil {
		return Outcome{}, err
	}
	guarded, err := admit(ctx, cluster, options, nil)
	if err != nil {
		return outcome, err
	}
	return sendNew(ctx, cluster, options, guarded, deployment, outcome)
}
