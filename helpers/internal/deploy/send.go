package deploy

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/helpers/internal/kube"
)

// send changes the Deployment by a patch, and notes it as an Event. Where a pull secret has to be changed before, it is asked
// first whether admission takes the patch: what it refuses changes nothing.
func send(ctx context.Context, cluster *kube.Cluster, options Options, guarded bool, how types.PatchType, patch []byte,
	outcome Outcome) (Outcome, error) {
	var changed *appsv1.Deployment
	patched := func(with metav1.PatchOptions) error {
		return take(ctx, guarded, options.DryRun, func() (err error) {
			changed, err = cluster.Apps().Deployments(cluster.Namespace).Patch(ctx, options.Name, how, patch, with)
			return err
		})
	}
	writeSecret, err := pullSecret(ctx, cluster, options)
	if err != nil {
		return outcome, err
	}
	if writeSecret != nil || options.DryRun {
		if err := patched(asking); err != nil || options.DryRun {
			return outcome, err
		}
	}
	if writeSecret != nil {
		if err := writeSecret(); err != nil {
			return outcome, err
		}
	}
	if err := patched(metav1.PatchOptions{}); err != nil {
		return outcome, err
	}
	tell(ctx, cluster, changed, outcome)
	return outcome, nil
}

// sendNew creates the Deployment, and notes it as an Event.
func sendNew(ctx context.Context, cluster *kube.Cluster, options Options, guarded bool, made *appsv1.Deployment,
	outcome Outcome) (Outcome, error) {
	how := metav1.CreateOptions{}
	if options.DryRun {
		how.DryRun = []string{metav1.DryRunAll}
	}
	created := made
	err := take(ctx, guarded, options.DryRun, func() (err error) {
		created, err = cluster.Apps().Deployments(cluster.Namespace).Create(ctx, made, how)
		return err
	})
	if err != nil || options.DryRun {
		return outcome, err
	}
	tell(ctx, cluster, created, outcome)
	return outcome, nil
}
