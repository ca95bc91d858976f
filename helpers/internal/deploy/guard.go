package deploy

import (
	"context"

	"github.com/sirupsen/logrus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/helpers/internal/approved"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// admit puts the image on the list of a guarded namespace before it is deployed, and beside it what runs in the pods whose template
// it is put into: that is gone back to, and a canary has the same sidecars.
func admit(ctx context.Context, cluster *kube.Cluster, options Options, running *corev1.PodSpec) (guarded bool, err error) {
	if options.Approval == nil || options.DryRun {
		return false, nil
	}
	entry := approved.New(options.Image, *options.Approval)
	if entry == nil {
		return false, slipway.Usagef("--image %q is not of the form REPOSITORY:TAG@sha256:...", options.Image)
	}
	entries := []approved.Entry{*entry}
	if running != nil {
		entries = append(entries, ran(approved.Images(*running), options.Approval.Build)...)
	}
	return approved.Add(ctx, cluster, entries...)
}

func ran(images []string, build string) []approved.Entry {
	var entries []approved.Entry
	for _, image := range images {
		if entry := approved.New(image, approved.Entry{What: approved.Running, Build: build}); entry != nil {
			entries = append(entries, *entry)
		}
	}
	return entries
}

// leadsBack says, before a guarded Deployment is changed, whether its present pods could be made again: an image that the list
// does not admit would end there, and the change could not be undone.
func leadsBack(ctx context.Context, cluster *kube.Cluster, current *appsv1.Deployment) error {
	probe := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "slipway-way-back-", Namespace: cluster.Namespace},
		Spec:       *current.Spec.DeepCopy(),
	}
	err := approved.Settled(ctx, func() error {
		_, err := cluster.Apps().Deployments(cluster.Namespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
	if !approved.Refused(err) {
		return nil // what else may be said of the probe says nothing of the way back
	}
	return slipway.Errorf(slipway.No, "deployment/%s could not go back to what it runs now: the guard does not admit it", current.Name).
		Because(err).
		Next("let an administrator name its images by digest and approve them: slipway guard approve -n %s", cluster.Namespace)
}

// take asks the API server for a change. In a guarded namespace it may take a moment until the list is known there; a dry run is
// made before anything is approved, and is no reason to refuse.
func take(ctx context.Context, guarded, dryRun bool, change func() error) error {
	if guarded {
		return approved.Settled(ctx, change)
	}
	if err := change(); !dryRun || !approved.Refused(err) {
		return err
	}
	return nil
}

// admitBack puts what an undoing goes back to on the list. It was put there before the change; what prevents it now is told, and
// does not keep the undoing from being tried.
func admitBack(ctx context.Context, cluster *kube.Cluster, name string) {
	deployment, err := cluster.Apps().Deployments(cluster.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return // the undoing says it
	}
	before, err := rollout.ReadBefore(deployment)
	if err != nil || before == nil {
		return
	}
	var images []string
	for _, image := range before.Images {
		images = append(images, image)
	}
	if _, err := approved.Add(ctx, cluster, ran(images, before.Run)...); err != nil {
		logrus.Warnf("guard: %v", err)
	}
}
