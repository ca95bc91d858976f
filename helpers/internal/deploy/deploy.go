// Package deploy puts one image, by digest, on a Deployment, and leaves behind
// how to go back.
package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// Options of one deployment.
type Options struct {
	Name       string // of the Deployment
	Container  string // empty where there is only one
	Image      string // REPOSITORY[:TAG]@sha256:...
	Replicas   *int32 // nil leaves them
	Record     map[string]string
	DryRun     bool
	PullSecret string // the name of the Secret, or empty
	Docker     []byte // Docker's config.json, for the pull secret
	Create     *appsv1.Deployment
}

// Outcome is what deploy-image answers.
type Outcome struct {
	Deployment string `json:"deployment"`
	Container  string `json:"container"`
	From       string `json:"from"`
	To         string `json:"to"`
	Changed    bool   `json:"changed"`
	Created    bool   `json:"created"`
	DryRun     bool   `json:"dryRun"`
	LastGood   string `json:"lastGood"` // the image that a rollback goes back to, or empty
	First      bool   `json:"first"`    // no pod was ready, and no revision ever good: nobody is served yet
	Replicas   int32  `json:"replicas"` // that are asked for; where those are 0, what a first release recorded
}

// Text tells it in one line.
func (o Outcome) Text(out io.Writer) error {
	what := "changed from " + o.From + " to " + o.To
	switch {
	case o.Created:
		what = "created with " + o.To
	case !o.Changed:
		what = "unchanged: it has " + o.To + " already"
	}
	if o.DryRun {
		what = "would be " + what
	}
	_, err := fmt.Fprintf(out, "deployment/%s %s\n", o.Deployment, what)
	return err
}

// Answer tells it to a pipeline.
func (o Outcome) Answer() slipway.Fields {
	return slipway.Fields{"from": o.From, "to": o.To, "changed": o.Changed || o.Created, "lastGood": o.LastGood, "first": o.First, "replicas": o.Replicas}
}

var pinned = regexp.MustCompile(`^[^@\s]+@sha256:[0-9a-f]{64}$`)

const conflicts = 5 // how often a change by somebody else is read again

// Deploy puts the image on the Deployment.
func Deploy(ctx context.Context, cluster *kube.Cluster, options Options) (Outcome, error) {
	if !pinned.MatchString(options.Image) {
		return Outcome{}, slipway.Usagef("--image %q names no digest: what is deployed is REPOSITORY:TAG@sha256:...", options.Image).Next("take it from nexus-push or nexus-latest-tag")
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
	index, err := containerIndex(current.Spec.Template.Spec.Containers, options.Container)
	if err != nil {
		return Outcome{}, err
	}
	if err := checkPullSecret(ctx, cluster, current.Spec.Template.Spec, options.PullSecret); err != nil {
		return Outcome{}, err
	}
	container := current.Spec.Template.Spec.Containers[index]
	outcome := Outcome{Deployment: options.Name, Container: container.Name, From: container.Image, To: options.Image, DryRun: options.DryRun,
		First: first(current), Replicas: replicas(current)}
	annotations := record(options)
	sameImage := container.Image == options.Image
	sameReplicas := options.Replicas == nil || current.Spec.Replicas != nil && *current.Spec.Replicas == *options.Replicas
	if sameImage && sameReplicas {
		outcome.LastGood = lastGood(current).Image
		return outcome, pullSecret(ctx, cluster, options)
	}
	good := lastGood(current)
	if !sameImage {
		hash, err := goodRevision(ctx, cluster, current)
		if err != nil {
			return Outcome{}, err
		}
		if hash != "" {
			good = rollout.LastGood{Hash: hash, Image: container.Image}
			encoded, err := json.Marshal(good)
			if err != nil {
				return Outcome{}, err
			}
			annotations[rollout.LastGoodAnnotation] = string(encoded)
		}
	}
	outcome.Changed, outcome.LastGood = true, good.Image
	patch, err := json.Marshal(patchOf(current.ResourceVersion, container.Name, options, annotations))
	if err != nil {
		return Outcome{}, err
	}
	// Asked first whether admission takes it: what it refuses changes nothing.
	if _, err := deployments.Patch(ctx, options.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}); err != nil || options.DryRun {
		return outcome, err
	}
	if err := pullSecret(ctx, cluster, options); err != nil {
		return outcome, err
	}
	changed, err := deployments.Patch(ctx, options.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return outcome, err
	}
	tell(ctx, cluster, changed, outcome)
	return outcome, nil
}

// patchOf is exactly what is changed: the image, the annotations, and the
// replicas only if asked. The resourceVersion makes a change by somebody else a conflict.
func patchOf(resourceVersion, container string, options Options, annotations map[string]string) map[string]any {
	spec := map[string]any{"template": map[string]any{"spec": map[string]any{
		"containers": []map[string]any{{"name": container, "image": options.Image}},
	}}}
	if options.Replicas != nil {
		spec["replicas"] = *options.Replicas
	}
	return map[string]any{"metadata": map[string]any{"resourceVersion": resourceVersion, "annotations": annotations}, "spec": spec}
}

func record(options Options) map[string]string {
	annotations := map[string]string{"kubernetes.io/change-cause": "deploy-image " + options.Image}
	for key, value := range options.Record {
		annotations["slipway.dev/"+key] = value
	}
	return annotations
}

func containerIndex(containers []corev1.Container, name string) (int, error) {
	var names []string
	for i, container := range containers {
		if container.Name == name || name == "" && len(containers) == 1 {
			return i, nil
		}
		names = append(names, container.Name)
	}
	sort.Strings(names)
	if name == "" {
		return 0, slipway.Usagef("there are several containers: name one with --container: %s", strings.Join(names, ", "))
	}
	return 0, slipway.Usagef("there is no container %q; there are: %s", name, strings.Join(names, ", "))
}

func lastGood(deployment *appsv1.Deployment) rollout.LastGood {
	var last rollout.LastGood
	_ = json.Unmarshal([]byte(deployment.Annotations[rollout.LastGoodAnnotation]), &last) // none, or not ours: no last good
	return last
}

// first says whether nobody is served yet: no pod is ready, and none of a good revision ever was.
func first(deployment *appsv1.Deployment) bool {
	return deployment.Status.ReadyReplicas == 0 && deployment.Annotations[rollout.GoodAnnotation] == ""
}

// replicas are those that are asked for; a first release that was taken back to 0
// left behind how many it had.
func replicas(deployment *appsv1.Deployment) int32 {
	count := *deployment.Spec.Replicas
	if count == 0 {
		_, _ = fmt.Sscan(deployment.Annotations["slipway.dev/replicas"], &count) // none, or not a number: 0
	}
	return count
}

// goodRevision is the hash of the current revision, if it is complete and was
// marked as good; else empty: a revision that never became good is never gone back to.
func goodRevision(ctx context.Context, cluster *kube.Cluster, deployment *appsv1.Deployment) (string, error) {
	marked := deployment.Annotations[rollout.GoodAnnotation]
	if marked == "" {
		return "", nil
	}
	sets, err := cluster.Apps().ReplicaSets(cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: appsv1.DefaultDeploymentUniqueLabelKey + "=" + marked})
	if err != nil {
		return "", err
	}
	objects := rollout.Objects{Deployment: deployment}
	for i := range sets.Items {
		objects.ReplicaSets = append(objects.ReplicaSets, &sets.Items[i])
	}
	if newest := objects.NewReplicaSet(); newest == nil || newest.Labels[appsv1.DefaultDeploymentUniqueLabelKey] != marked {
		return "", nil
	}
	return marked, nil
}

func create(ctx context.Context, cluster *kube.Cluster, options Options) (Outcome, error) {
	deployment := options.Create.DeepCopy()
	index, err := containerIndex(deployment.Spec.Template.Spec.Containers, options.Container)
	if err != nil {
		return Outcome{}, err
	}
	deployment.Namespace = cluster.Namespace
	deployment.Spec.Template.Spec.Containers[index].Image = options.Image
	if options.Replicas != nil {
		deployment.Spec.Replicas = options.Replicas
	}
	if deployment.Annotations == nil {
		deployment.Annotations = map[string]string{}
	}
	for key, value := range record(options) {
		deployment.Annotations[key] = value
	}
	outcome := Outcome{Deployment: options.Name, Container: deployment.Spec.Template.Spec.Containers[index].Name, To: options.Image, Created: true, DryRun: options.DryRun}
	how := metav1.CreateOptions{}
	if options.DryRun {
		how.DryRun = []string{metav1.DryRunAll}
	}
	if err := checkPullSecret(ctx, cluster, deployment.Spec.Template.Spec, options.PullSecret); err != nil {
		return Outcome{}, err
	}
	if err := pullSecret(ctx, cluster, options); err != nil {
		return Outcome{}, err
	}
	created, err := cluster.Apps().Deployments(cluster.Namespace).Create(ctx, deployment, how)
	if err != nil || options.DryRun {
		return outcome, err
	}
	tell(ctx, cluster, created, outcome)
	return outcome, nil
}

// tell leaves an Event on the Deployment: who, what, from, to. The change is done
// by then: an Event that cannot be made is a warning, and no failure.
func tell(ctx context.Context, cluster *kube.Cluster, deployment *appsv1.Deployment, outcome Outcome) {
	now := metav1.NewTime(time.Now())
	message := "image of the container " + outcome.Container + " set to " + outcome.To
	if outcome.From != "" {
		message += ", from " + outcome.From
	}
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: deployment.Name + "-", Namespace: deployment.Namespace},
		InvolvedObject: corev1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: deployment.Namespace, Name: deployment.Name, UID: deployment.UID},
		Type:           corev1.EventTypeNormal, Reason: "ImageDeployed", Message: message + ", by " + who(deployment),
		Source: corev1.EventSource{Component: "deploy-image"}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
	if _, err := cluster.Core().Events(deployment.Namespace).Create(ctx, event, metav1.CreateOptions{}); err != nil {
		logrus.Warn(kube.Explain(err, "noting the change, which is done, as an Event of deployment/"+deployment.Name))
	}
}

// who is the build that was recorded; by hand it is the person at this machine.
func who(deployment *appsv1.Deployment) string {
	if build := deployment.Annotations["slipway.dev/build"]; build != "" {
		return build
	}
	name := "somebody"
	if person, err := user.Current(); err == nil {
		name = person.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + " on " + host
}
