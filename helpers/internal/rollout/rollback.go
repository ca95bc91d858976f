package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// The annotations of a Deployment that say which revisions became good.
const (
	// GoodAnnotation holds the pod-template-hash of the revision that rollout-wait last saw done.
	GoodAnnotation = "slipway.dev/good"
	// GoodRevisionAnnotation holds that hash, and after a slash the number that the controller had given to the revision, by
	// which it is known again without a look at the ReplicaSets.
	GoodRevisionAnnotation = "slipway.dev/good-revision"
	// LastGoodAnnotation holds, as JSON of LastGood, the good revision before the current change.
	LastGoodAnnotation = "slipway.dev/last-good"
)

// LastGood is what deploy-image writes before it changes a good revision.
type LastGood struct {
	Hash  string `json:"hash"`  // pod-template-hash
	Image string `json:"image"` // for people
}

// markGood notes that this revision became good, where it does not say so yet.
func markGood(ctx context.Context, cluster *kube.Cluster, deployment *appsv1.Deployment, hash string) error {
	numbered := hash + "/" + deployment.Annotations[revisionAnnotation]
	if deployment.Annotations[GoodAnnotation] == hash && deployment.Annotations[GoodRevisionAnnotation] == numbered {
		return nil
	}
	marks := map[string]string{GoodAnnotation: hash, GoodRevisionAnnotation: numbered}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": marks}})
	if err != nil {
		return err
	}
	if _, err := cluster.Apps().Deployments(cluster.Namespace).Patch(ctx, deployment.Name, types.MergePatchType, patch,
		metav1.PatchOptions{}); err != nil {
		return kube.Explain(err, "marking deployment/"+deployment.Name+" as good")
	}
	return nil
}

// The controller's own number of the present revision; it never falls while the ReplicaSets of before are there.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#deployment-kubernetes-io-revision
const revisionAnnotation = "deployment.kubernetes.io/revision"

// IsMarked says that the present revision is the one that was marked as good, as far as the Deployment alone tells. While it is
// paused the controller does not count a change as a revision.
func IsMarked(d *appsv1.Deployment) bool {
	good, number := d.Annotations[GoodAnnotation], d.Annotations[revisionAnnotation]
	return good != "" && number != "" && d.Annotations[GoodRevisionAnnotation] == good+"/"+number &&
		d.Status.ObservedGeneration >= d.Generation && !d.Spec.Paused
}

// untouched are verdicts that say nothing against the revision: somebody else's
// change, or what was never begun, is not undone.
var untouched = map[string]bool{"PAUSED": true, "WRONG_IMAGE": true, "DELETED": true, "NOT_FOUND": true, "ON_DELETE": true, "NO_PODS": true}

// rollBack goes back to the last good revision and waits for it; it tells how
// that ended, and whether anything was changed.
func rollBack(ctx context.Context, cluster *kube.Cluster, target Target, options Options, failed Result) (story string, changed bool) {
	switch {
	case target.Kind != Deployment:
		return "not possible: only a Deployment notes its last good revision", false
	case untouched[failed.Code]:
		return "not done: " + failed.Code + " says nothing against the revision", false
	}
	hash, changed, err := Undo(ctx, cluster, target.Name, Leaving{Revision: failed.Revision})
	switch {
	case err != nil:
		return "failed: " + slipway.AsError(err).Error(), false
	case !changed:
		return fmt.Sprintf("nothing to do: the revision %s, which was good before, is the one that fails now", hash), false
	}
	back := options
	back.Rollback, back.MarkGood, back.WaitForCreate = false, false, 0
	back.Criteria = Criteria{Graces: options.Graces}
	results, err := WaitAll(ctx, cluster, []Target{target}, back)
	if len(results.Workloads) == 1 && results.Workloads[0].State == Done {
		return fmt.Sprintf("done: the revision %s runs again (%s)", hash, results.Workloads[0].Cause), true
	}
	return fmt.Sprintf("the revision %s is asked for again and does not become good either: %s", hash, slipway.AsError(err).Error()), true
}

const undoes = 5 // how often a change by somebody else is read again

// Leaving says what is to be undone, and nothing else: somebody else's change is
// left to them. The zero value undoes whatever is there.
type Leaving struct {
	Revision string // the hash of the revision that failed
	Image    string // what one of the containers has to have
}

// Undo puts the pod template of the last good revision back, and gives its hash;
// changed is false where it has it already. It goes by the annotations, not by
// the second highest revision number, which may be another bad one.
func Undo(ctx context.Context, cluster *kube.Cluster, name string, leaving Leaving) (hash string, changed bool, err error) {
	// Once begun it is brought to its end, also when the caller's time is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		hash, changed, err = undo(ctx, cluster, name, leaving)
		if err == nil || !apierrors.IsConflict(err) || attempt == undoes {
			break
		}
	}
	if err != nil {
		return "", false, kube.Explain(err, "rolling deployment/"+name+" back")
	}
	return hash, changed, nil
}

func undo(ctx context.Context, cluster *kube.Cluster, name string, leaving Leaving) (hash string, changed bool, err error) {
	deployments := cluster.Apps().Deployments(cluster.Namespace)
	deployment, err := deployments.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", false, err
	}
	sets, err := cluster.Apps().ReplicaSets(cluster.Namespace).List(ctx,
		metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(deployment.Spec.Selector)})
	if err != nil {
		return "", false, err
	}
	o := Objects{Deployment: deployment}
	for i := range sets.Items {
		o.ReplicaSets = append(o.ReplicaSets, &sets.Items[i])
	}
	before, err := ReadBefore(deployment)
	if err != nil {
		return "", false, err
	}
	if name, patch, decided, err := byRecord(o, before, leaving); decided || err != nil {
		if patch == nil || err != nil {
			return name, false, err
		}
		_, err = deployments.Patch(ctx, deployment.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		return name, err == nil, err
	}
	good, present, err := wayBack(o, leaving)
	if err != nil || good == nil {
		return present, false, err
	}
	hash = good.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	template := good.Spec.Template.DeepCopy()
	delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	// The resourceVersion makes a change by somebody else meanwhile a conflict.
	patch, err := json.Marshal([]map[string]any{
		{"op": "replace", "path": "/metadata/resourceVersion", "value": deployment.ResourceVersion},
		{"op": "add", "path": "/metadata/annotations/slipway.dev~1good", "value": hash},
		{"op": "replace", "path": "/spec/template", "value": template},
	})
	if err != nil {
		return "", false, err
	}
	_, err = deployments.Patch(ctx, name, types.JSONPatchType, patch, metav1.PatchOptions{})
	return hash, err == nil, err
}

// byRecord goes by what deploy-image noted before its change: it needs no ReplicaSet and
// no mark, so that it also leads back to what was deployed by hand. Where the change is
// not there any more it decides nothing. A nil patch says that there is nothing to do.
func byRecord(o Objects, before *Before, leaving Leaving) (name string, patch []byte, decided bool, err error) {
	deployment := o.Deployment
	pod := deployment.Spec.Template.Spec
	given := before != nil && (leaving.Image == "" || slices.Contains(slices.Collect(maps.Values(before.To)), leaving.Image))
	switch {
	case given && leaving.Revision == "" && before.isBack(pod):
		return before.name(), nil, true, nil
	case !given || !before.Stands(pod):
		return "", nil, false, nil
	case leaving.Revision != "" && (leaving.Revision != o.presentHash() || deployment.Annotations[GoodAnnotation] == leaving.Revision):
		return "", nil, false, nil
	}
	patch, err = before.back(deployment)
	return before.name(), patch, true, err
}

// presentHash is the pod-template-hash of the present revision, if it has one yet.
func (o Objects) presentHash() string {
	if newest := o.NewReplicaSet(); newest != nil {
		return newest.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	}
	return ""
}

// wayBack finds the ReplicaSet to go back to; nil where it is there already, or
// where the revision that fails now is the one that was good before.
func wayBack(o Objects, leaving Leaving) (good *appsv1.ReplicaSet, present string, err error) {
	deployment := o.Deployment
	name := deployment.Name
	byHash := map[string]*appsv1.ReplicaSet{}
	for _, set := range o.ReplicaSets {
		if metav1.IsControlledBy(set, deployment) {
			byHash[set.Labels[appsv1.DefaultDeploymentUniqueLabelKey]] = set
		}
	}
	present = o.presentHash()
	back, err := lastGood(deployment, present)
	switch {
	case leaving.Image != "" && !has(deployment, leaving.Image):
		if err == nil && back.Hash == present {
			return nil, present, nil // the one before it is back already
		}
		return nil, "", slipway.Errorf(slipway.Conflict, "deployment/%s does not have %s, and is left alone", name, leaving.Image).
			Next("see who changed it: kubectl describe -n %s deployment/%s", deployment.Namespace, name)
	case leaving.Revision != "" && leaving.Revision != present:
		return nil, "", slipway.Errorf(slipway.Conflict,
			"deployment/%s was changed by another client since it was read, and is left as it is", name)
	case leaving.Revision != "" && deployment.Annotations[GoodAnnotation] == leaving.Revision:
		return nil, present, nil
	case err != nil:
		return nil, "", err
	case back.Hash == present:
		return nil, present, nil
	case deployment.Spec.Paused:
		return nil, "", slipway.Errorf(slipway.No, "deployment/%s is paused, and would not go back", name).
			Next("let it go on: kubectl rollout resume -n %s deployment/%s; then run this again", deployment.Namespace, name)
	case byHash[back.Hash] == nil:
		image := back.Image
		if image == "" {
			image = "REPOSITORY:TAG@sha256:..."
		}
		return nil, "", slipway.Errorf(slipway.No, "the ReplicaSet of the good revision %s is gone",
			back.Hash).Next("deploy its image again: deploy-image deployment/%s --image %s", name, image)
	}
	return byHash[back.Hash], present, nil
}

func has(deployment *appsv1.Deployment, image string) bool {
	return slices.ContainsFunc(deployment.Spec.Template.Spec.Containers, func(c corev1.Container) bool { return c.Image == image })
}

// lastGood is the revision that was marked good last; where that is the present
// one, the good one before it.
func lastGood(deployment *appsv1.Deployment, present string) (LastGood, error) {
	var last LastGood
	err := json.Unmarshal([]byte(deployment.Annotations[LastGoodAnnotation]), &last)
	if marked := deployment.Annotations[GoodAnnotation]; marked != "" && marked != present {
		if last.Hash != marked {
			last = LastGood{Hash: marked}
		}
		return last, nil
	}
	if err != nil || last.Hash == "" {
		return last, slipway.Errorf(slipway.No, "deployment/%s does not say which revision was good", deployment.Name).
			Next("go back by hand: kubectl rollout undo -n %s deployment/%s --to-revision=N", deployment.Namespace, deployment.Name)
	}
	return last, nil
}
