package rollout

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// CheckImage is a Conflict where no container of the Deployment has the image:
// somebody else has put another one there meanwhile, and it is not to be undone.
func CheckImage(ctx context.Context, cluster *kube.Cluster, name, image string) error {
	doing := "rolling deployment/" + name + " back"
	deployment, err := cluster.Apps().Deployments(cluster.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return kube.Explain(err, doing)
	}
	for _, container := range deployment.Spec.Template.Spec.Containers {
		if container.Image == image {
			return nil
		}
	}
	return slipway.Errorf(slipway.Conflict, "%s: it does not have %s, and is left alone", doing, image).
		Next("see who changed it: kubectl describe -n %s deployment/%s", cluster.Namespace, name)
}
