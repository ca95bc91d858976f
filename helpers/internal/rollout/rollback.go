package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// The annotations of a Deployment that say which revisions became good.
const (
	// GoodAnnotation holds the pod-template-hash of the revision that rollout-wait last saw done.
	GoodAnnotation = "slipway.dev/good"
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
	if deployment.Annotations[GoodAnnotation] == hash {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{GoodAnnotation: hash}}})
	if err != nil {
		return err
	}
	if _, err := cluster.Apps().Deployments(cluster.Namespace).Patch(ctx, deployment.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return kube.Explain(err, "marking deployment/"+deployment.Name+" as good")
	}
	return nil
}

// rollBack goes back to the last good revision and waits for it; it tells how
// that ended. It also runs when the caller's own time is over.
func rollBack(ctx context.Context, cluster *kube.Cluster, target Target, options Options) string {
	if target.Kind != Deployment {
		return "not possible: only a Deployment notes its last good revision"
	}
	ctx = context.WithoutCancel(ctx)
	hash, err := Undo(ctx, cluster, target.Name)
	if err != nil {
		return "failed: " + slipway.AsError(err).Error()
	}
	back := options
	back.Rollback, back.MarkGood, back.Criteria.Hold, back.Criteria.Image, back.Criteria.Start = false, false, 0, "", time.Time{}
	result, err := Wait(ctx, cluster, target, back)
	switch {
	case err != nil:
		return fmt.Sprintf("the revision %s is asked for again, and could not be waited for: %s", hash, slipway.AsError(err).Error())
	case result.State == Done:
		return fmt.Sprintf("done: the revision %s runs again (%s)", hash, result.Cause)
	default:
		return fmt.Sprintf("the revision %s is asked for again and does not become good either: %s", hash, result.Cause)
	}
}

// Undo puts the pod template of the last good revision back, and gives its
// hash. It goes by the annotations, not by the second highest revision number:
// that may be another bad one.
func Undo(ctx context.Context, cluster *kube.Cluster, name string) (string, error) {
	doing := "rolling deployment/" + name + " back"
	deployments := cluster.Apps().Deployments(cluster.Namespace)
	for attempt := 0; ; attempt++ {
		deployment, err := deployments.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return "", kube.Explain(err, doing)
		}
		var last LastGood
		if err := json.Unmarshal([]byte(deployment.Annotations[LastGoodAnnotation]), &last); err != nil || last.Hash == "" {
			return "", slipway.Errorf(slipway.No, "%s: it does not say which revision was good", doing).Next("go back by hand: kubectl rollout undo deployment/%s -n %s --to-revision=N", name, cluster.Namespace)
		}
		sets, err := cluster.Apps().ReplicaSets(cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: appsv1.DefaultDeploymentUniqueLabelKey + "=" + last.Hash})
		if err != nil {
			return "", kube.Explain(err, doing)
		}
		var good *appsv1.ReplicaSet
		for i := range sets.Items {
			if metav1.IsControlledBy(&sets.Items[i], deployment) {
				good = &sets.Items[i]
			}
		}
		if good == nil {
			return "", slipway.Errorf(slipway.No, "%s: the ReplicaSet of the good revision %s is gone", doing, last.Hash).Next("deploy its image again: deploy-image --image %s", last.Image)
		}
		template := good.Spec.Template.DeepCopy()
		delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
		patch, err := json.Marshal([]map[string]any{
			{"op": "test", "path": "/metadata/resourceVersion", "value": deployment.ResourceVersion},
			{"op": "replace", "path": "/spec/template", "value": template},
		})
		if err != nil {
			return "", err
		}
		_, err = deployments.Patch(ctx, name, types.JSONPatchType, patch, metav1.PatchOptions{})
		if err == nil {
			return last.Hash, nil
		}
		if attempt >= 4 {
			return "", kube.Explain(err, doing)
		}
	}
}
