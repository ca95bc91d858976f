package approved

import (
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/safe"
)

// Approve is an administrator's: it puts these images on the key others, and without any all that the namespace runs now on the
// list. Of a Deployment they become entries, which go when a release has replaced them; of other workloads they become others.
func Approve(ctx context.Context, cluster *kube.Cluster, images []string) (added []string, err error) {
	entries, others := []Entry{}, slices.Clone(images)
	if len(images) == 0 {
		survey, err := Look(ctx, cluster)
		if err != nil {
			return nil, err
		}
		for _, each := range survey.running {
			entry := New(each.image, Entry{What: Running})
			switch {
			case entry == nil: // the survey names it
			case strings.HasPrefix(each.object, "deployment/"):
				entries = append(entries, *entry)
			default:
				others = append(others, each.image)
			}
		}
	}
	for _, image := range others {
		if _, _, pinned := Parse(image); !pinned {
			return nil, slipway.Usagef("%s is not of the form REPOSITORY:TAG@sha256:...", safe.Line(image)).
				Next("name it by its digest: what a tag names can change")
		}
	}
	for attempt := 1; ; attempt++ {
		added, err = approve(ctx, cluster, entries, others)
		if err == nil || !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) || attempt == attempts {
			break
		}
	}
	if err != nil {
		return nil, kube.Explain(err, "writing the ConfigMap "+Name)
	}
	return added, nil
}

func approve(ctx context.Context, cluster *kube.Cluster, entries []Entry, others []string) (added []string, err error) {
	objects := cluster.Core().ConfigMaps(cluster.Namespace)
	current, err := objects.Get(ctx, Name, metav1.GetOptions{})
	absent := apierrors.IsNotFound(err)
	if absent {
		current = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: cluster.Namespace}}
	} else if err != nil {
		return nil, err
	}
	before, err := parse(current.Data)
	if err != nil {
		return nil, err
	}
	now := cluster.Now().UTC().Truncate(time.Second)
	for _, entry := range entries {
		if entry.At = now; !before.admits(entry.Image) {
			before.with([]Entry{entry}, nil, now)
			added = append(added, entry.Image)
		}
	}
	for _, image := range others {
		if !before.admits(image) {
			before.others = append(before.others, image)
			added = append(added, image)
		}
	}
	if current.Data, err = before.data(current.Data); err != nil {
		return nil, err
	}
	current.Data[Others] = strings.Join(before.others, "\n")
	switch {
	case absent:
		_, err = objects.Create(ctx, current, metav1.CreateOptions{})
	case len(added) > 0:
		_, err = objects.Update(ctx, current, metav1.UpdateOptions{})
	}
	return added, err
}
