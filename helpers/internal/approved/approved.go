package approved

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// Running is the What of an entry for an image that was there before: the way back leads to it.
const Running = "running"

// New is an entry for an image; nil where the image names no digest, which no list admits.
func New(image string, like Entry) *Entry {
	var pinned bool
	like.Image = image
	if like.Repository, like.Digest, pinned = Parse(image); !pinned {
		return nil
	}
	return &like
}

const attempts = 20 // how often a change by another run is read again

// Add puts entries on the list of the cluster's namespace, before anything is changed that needs them, and takes off what neither
// runs nor may be gone back to. Where there is no list, the namespace is not guarded: that is a warning, and guarded is false.
func Add(ctx context.Context, cluster *kube.Cluster, entries ...Entry) (guarded bool, err error) {
	for attempt := 1; ; attempt++ {
		guarded, err = add(ctx, cluster, entries)
		if err == nil || !apierrors.IsConflict(err) || attempt == attempts {
			break
		}
	}
	if err != nil {
		return guarded, kube.Explain(err, "adding an approval to the ConfigMap "+Name)
	}
	return guarded, nil
}

func add(ctx context.Context, cluster *kube.Cluster, entries []Entry) (guarded bool, err error) {
	objects := cluster.Core().ConfigMaps(cluster.Namespace)
	current, err := objects.Get(ctx, Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		logrus.Warnf("guard: the namespace %s is not guarded: there is no ConfigMap %s; docs/security.md says how to guard it",
			cluster.Namespace, Name)
		return false, nil
	case kube.IsDenied(err):
		logrus.Warnf("guard: whether the namespace %s is guarded is not known: %v", cluster.Namespace,
			kube.Explain(err, "reading the ConfigMap "+Name))
		return false, nil
	case err != nil:
		return false, err
	}
	before, err := parse(current.Data)
	if err != nil {
		return true, err
	}
	used, err := inUse(ctx, cluster)
	if err != nil {
		return true, err
	}
	now := cluster.Now().UTC().Truncate(time.Second)
	for i := range entries {
		entries[i].At = now
	}
	before.with(entries, used, now)
	data, err := before.data(current.Data)
	if err != nil || maps.Equal(data, current.Data) {
		return true, err
	}
	current.Data = data
	_, err = objects.Update(ctx, current, metav1.UpdateOptions{})
	return true, err
}

// inUse are the digests that run or may be gone back to: those of all workloads and their revisions, and of what deploy-image and
// rollout-wait have noted. It is nil where some may not be read: then nothing is taken off the list.
func inUse(ctx context.Context, cluster *kube.Cluster) (map[string]bool, error) {
	used := map[string]bool{}
	note := func(images []string) {
		for _, image := range images {
			if _, digest, pinned := Parse(image); pinned {
				used[digest] = true
			}
		}
	}
	for _, read := range []func() error{
		reading(ctx, cluster.Apps().Deployments(cluster.Namespace), func(l *appsv1.DeploymentList) {
			for i := range l.Items {
				note(Images(l.Items[i].Spec.Template.Spec))
				note(noted(l.Items[i].Annotations))
			}
		}),
		reading(ctx, cluster.Apps().ReplicaSets(cluster.Namespace), func(l *appsv1.ReplicaSetList) {
			for i := range l.Items {
				note(Images(l.Items[i].Spec.Template.Spec))
			}
		}),
		reading(ctx, cluster.Apps().StatefulSets(cluster.Namespace), func(l *appsv1.StatefulSetList) {
			for i := range l.Items {
				note(Images(l.Items[i].Spec.Template.Spec))
			}
		}),
		reading(ctx, cluster.Apps().DaemonSets(cluster.Namespace), func(l *appsv1.DaemonSetList) {
			for i := range l.Items {
				note(Images(l.Items[i].Spec.Template.Spec))
			}
		}),
		reading(ctx, cluster.Core().Pods(cluster.Namespace).Objects, func(l *corev1.PodList) {
			for i := range l.Items {
				note(Images(l.Items[i].Spec))
			}
		}),
	} {
		if err := read(); kube.IsDenied(err) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	return used, nil
}

func reading[T, L runtime.Object](ctx context.Context, objects kube.Objects[T, L], use func(L)) func() error {
	return func() error {
		found, err := objects.List(ctx, metav1.ListOptions{})
		if err == nil {
			use(found)
		}
		return err
	}
}

// noted are the images that the helpers' own annotations would go back to.
func noted(annotations map[string]string) []string {
	var before rollout.Before
	var last rollout.LastGood
	_ = json.Unmarshal([]byte(annotations[rollout.BeforeAnnotation]), &before) // none, or not ours: it leads nowhere
	_ = json.Unmarshal([]byte(annotations[rollout.LastGoodAnnotation]), &last)
	images := []string{last.Image}
	for _, image := range before.Images {
		images = append(images, image)
	}
	return images
}

// Images are all that a pod pulls.
func Images(pod corev1.PodSpec) []string {
	var images []string
	for _, container := range rollout.AllContainers(pod) {
		images = append(images, container.Image)
	}
	for _, container := range pod.EphemeralContainers {
		images = append(images, container.Image)
	}
	for _, volume := range pod.Volumes {
		if volume.Image != nil {
			images = append(images, volume.Image.Reference)
		}
	}
	return images
}

// Refused says whether the policy of images refused a request.
func Refused(err error) bool {
	return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'slipway-images'")
}

// Settled does what the list allows now. An API server hears of a change of the list a moment after it was written, and refuses
// until then.
func Settled(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := do()
		if !Refused(err) {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return slipway.Errorf(slipway.No, "the guard refuses it").Because(err).
				Next("see what the namespace admits: slipway guard status")
		}
	}
}
