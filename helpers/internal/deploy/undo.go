package deploy

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/helpers/internal/approved"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// Undo makes the Deployment what it was before the change: the images, and at least the
// replicas. With an image it undoes only the change to that one, and ends with Conflict
// where the Deployment has another. It waits for nothing; doing it twice is no fault.
func Undo(ctx context.Context, cluster *kube.Cluster, options Options) (Outcome, error) {
	outcome := Outcome{Deployment: options.Name, From: options.Image}
	admitBack(ctx, cluster, options.Name)
	var changed bool
	if err := approved.Settled(ctx, func() (err error) {
		_, changed, err = rollout.Undo(ctx, cluster, options.Name, rollout.Leaving{Image: options.Image})
		return err
	}); err != nil {
		return outcome, err
	}
	now, err := cluster.Apps().Deployments(cluster.Namespace).Get(ctx, options.Name, metav1.GetOptions{})
	if err != nil {
		return outcome, kube.Explain(err, "reading deployment/"+options.Name)
	}
	containers := now.Spec.Template.Spec.Containers
	index, err := containerIndex(containers, options.Container)
	if err != nil {
		index = 0
	}
	outcome.Undone, outcome.Changed, outcome.Replicas = true, changed, replicas(now)
	outcome.Container, outcome.To = containers[index].Name, containers[index].Image
	if now.Spec.Paused {
		return outcome, slipway.Errorf(slipway.No, "deployment/%s has its image back, and is paused: its pods change when it goes "+
			"on", options.Name).
			Next("let it go on: kubectl rollout resume -n %s deployment/%s", cluster.Namespace, options.Name)
	}
	return outcome, nil
}
