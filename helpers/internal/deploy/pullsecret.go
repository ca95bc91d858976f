package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// oneEntry takes the login of the image's registry out of Docker's config.json:
// the nodes need no other.
func oneEntry(docker []byte, image string) ([]byte, error) {
	host, _, _ := strings.Cut(image, "/")
	var config struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	if err := json.Unmarshal(docker, &config); err != nil {
		return nil, slipway.Usagef("the file of --docker-config is no config.json of Docker's")
	}
	for _, key := range []string{host, "https://" + host, "http://" + host} {
		if entry, found := config.Auths[key]; found {
			return json.Marshal(map[string]any{"auths": map[string]json.RawMessage{host: entry}})
		}
	}
	return nil, slipway.Usagef("the file of --docker-config has no login for %s", host)
}

// pullSecret makes or renews the Secret with which the nodes pull, only where it differs.
// https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/
func pullSecret(ctx context.Context, cluster *kube.Cluster, options Options) error {
	wanted, err := oneEntry(options.Docker, options.Image)
	if err != nil {
		return err
	}
	if options.DryRun {
		return nil
	}
	secrets := cluster.Core().Secrets(cluster.Namespace)
	doing := "keeping the pull secret " + options.PullSecret
	present, err := secrets.Get(ctx, options.PullSecret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: options.PullSecret}, Type: corev1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{corev1.DockerConfigJsonKey: wanted},
		}, metav1.CreateOptions{})
	case err != nil:
	case present.Type != corev1.SecretTypeDockerConfigJson:
		return slipway.Usagef("the secret %s is of the type %s, and no pull secret", options.PullSecret, present.Type).Next("choose another name for the pull secret")
	case bytes.Equal(present.Data[corev1.DockerConfigJsonKey], wanted):
		return nil
	default:
		patch, marshalErr := json.Marshal(map[string]any{"data": map[string][]byte{corev1.DockerConfigJsonKey: wanted}})
		if marshalErr != nil {
			return marshalErr
		}
		_, err = secrets.Patch(ctx, options.PullSecret, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		return kube.Explain(err, doing)
	}
	return nil
}

// checkPullSecret names a reference that is missing before pods fail on it.
func checkPullSecret(ctx context.Context, cluster *kube.Cluster, pod corev1.PodSpec, name string) error {
	if name == "" {
		return nil
	}
	for _, reference := range pod.ImagePullSecrets {
		if reference.Name == name {
			return nil
		}
	}
	account := pod.ServiceAccountName
	if account == "" {
		account = "default"
	}
	found, err := cluster.Core().ServiceAccounts(cluster.Namespace).Get(ctx, account, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, reference := range found.ImagePullSecrets {
		if reference.Name == name {
			return nil
		}
	}
	return slipway.Usagef("nothing uses the pull secret %s: neither the pod template's imagePullSecrets nor the ServiceAccount %s names it", name, account).
		Next("add imagePullSecrets: [{name: %s}] to the template", name)
}
