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

// dockerConfig is Docker's config.json, of which only the logins matter here.
// https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/
type dockerConfig struct {
	Auths map[string]json.RawMessage `json:"auths"`
}

// login takes that of the image's registry out of Docker's config.json: the nodes need no other.
func login(docker []byte, image string) (host string, entry json.RawMessage, err error) {
	host, _, _ = strings.Cut(image, "/")
	var config dockerConfig
	if err := json.Unmarshal(docker, &config); err != nil {
		return "", nil, slipway.Usagef("the file of --docker-config is no config.json of Docker's")
	}
	for _, key := range []string{host, "https://" + host, "http://" + host} {
		if entry, found := config.Auths[key]; found {
			return host, entry, nil
		}
	}
	return "", nil, slipway.Usagef("the file of --docker-config has no login for %s", host)
}

// merge puts the login into what the Secret has, whose other logins stay;
// changed is false where it is there already.
func merge(present []byte, host string, entry json.RawMessage) (merged []byte, changed bool, err error) {
	config := dockerConfig{Auths: map[string]json.RawMessage{}}
	if len(present) > 0 {
		if err := json.Unmarshal(present, &config); err != nil {
			return nil, false, slipway.Usagef("the pull secret holds no config.json of Docker's").Next("delete the Secret: it is made anew")
		}
	}
	var before, after bytes.Buffer
	if had, found := config.Auths[host]; found && json.Compact(&before, had) == nil && json.Compact(&after, entry) == nil &&
		bytes.Equal(before.Bytes(), after.Bytes()) {
		return present, false, nil
	}
	if config.Auths == nil {
		config.Auths = map[string]json.RawMessage{}
	}
	config.Auths[host] = entry
	merged, err = json.Marshal(config)
	return merged, true, err
}

// pullSecret gives what makes or renews the Secret with which the nodes pull; nil where it has the login.
func pullSecret(ctx context.Context, cluster *kube.Cluster, options Options) (write func() error, err error) {
	if options.PullSecret == "" {
		return nil, nil
	}
	host, entry, err := login(options.Docker, options.Image)
	if err != nil || options.DryRun {
		return nil, err
	}
	write, err = kept(ctx, cluster, options.PullSecret, host, entry)
	if err != nil {
		return nil, keeping(err, options.PullSecret)
	}
	return write, nil
}

// keepPullSecret makes or renews it where nothing else is changed.
func keepPullSecret(ctx context.Context, cluster *kube.Cluster, options Options) error {
	write, err := pullSecret(ctx, cluster, options)
	if err != nil || write == nil {
		return err
	}
	return write()
}

func keeping(err error, name string) error { return kube.Explain(err, "keeping the pull secret "+name) }

func kept(ctx context.Context, cluster *kube.Cluster, name, host string, entry json.RawMessage) (write func() error, err error) {
	secrets := cluster.Core().Secrets(cluster.Namespace)
	present, err := secrets.Get(ctx, name, metav1.GetOptions{})
	absent := apierrors.IsNotFound(err)
	if err != nil && !absent {
		return nil, err
	}
	if !absent && present.Type != corev1.SecretTypeDockerConfigJson {
		return nil, slipway.Usagef("the secret %s is of the type %s, and no pull secret", name, present.Type).
			Next("choose another name for the pull secret")
	}
	merged, changed, err := merge(present.Data[corev1.DockerConfigJsonKey], host, entry)
	if err != nil || !changed {
		return nil, err
	}
	data := map[string][]byte{corev1.DockerConfigJsonKey: merged}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]string{"resourceVersion": present.ResourceVersion}, "data": data})
	if err != nil {
		return nil, err
	}
	return func() (err error) {
		if absent {
			made := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson, Data: data}
			_, err = secrets.Create(ctx, made, metav1.CreateOptions{})
		} else {
			_, err = secrets.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		}
		if err != nil {
			return keeping(err, name)
		}
		return nil
	}, nil
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
	return slipway.Usagef("nothing uses the pull secret %s: neither the pod template's imagePullSecrets nor the ServiceAccount "+
		"%s names it", name, account).
		Next("add imagePullSecrets: [{name: %s}] to the template", name)
}
