package deploy

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/helpers/internal/kube"
)

// send changes the Deployment by a patch, after the pull secret, and notes it as an Event. It is asked first whether
// admission takes it: what it refuses changes nothing.
func send(ctx context.Context, cluster *kube.Cluster, options Options, guarded bool, how types.PatchType, patch []byte,
	outcome Outcome) (Outcome, error) {
	deployments := cluster.Apps().Deployments(cluster.Namespace)
	err := take(ctx, guarded, options.DryRun, func() error {
		_, err := deployments.Patch(ctx, options.Name, how, patch, asking)
		return err
	})
	if err != nil || options.DryRun {
		return outcome, err
	}
	if err := pullSecret(ctx, cluster, options); err != nil {
		return outcome, err
	}
	changed, err := deployments.Patch(ctx, options.Name, how, patch, metav1.PatchOptions{})
	if err != nil {
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
