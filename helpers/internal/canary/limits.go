package canary

import (
	"context"
	"fmt"
	"math"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/room"
)

var autoscalers = schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}

// limits adds to what was asked for what the cluster sets: an autoscaler that
// owns stable's replicas where pods give the share, and the quota's room.
func (t *Traffic) limits(ctx context.Context, limits Limits, previous State) (Limits, error) {
	limits.Stable = int(previous.Stable)
	if limits.MinStable < 0 {
		limits.MinStable = limits.Stable
	}
	var err error
	if t.route.Router == "service" {
		if limits, err = t.autoscaled(ctx, limits); err != nil {
			return limits, err
		}
	}
	return t.quota(ctx, limits)
}

// autoscaled asks which autoscalers own the replicas by which the share is given.
func (t *Traffic) autoscaled(ctx context.Context, limits Limits) (Limits, error) {
	found, err := t.cluster.Dynamic().Resource(autoscalers).Namespace(t.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return limits, kube.Explain(err, "looking for autoscalers of the two Deployments")
	}
	for _, item := range found.Items {
		spec, _ := item.Object["spec"].(map[string]any)
		target, _ := spec["scaleTargetRef"].(map[string]any)
		if text(target, "kind") != "Deployment" {
			continue
		}
		switch text(target, "name") {
		case t.names.Stable:
			limits.FixStable = true
			limits.Why += fmt.Sprintf("horizontalpodautoscaler/%s owns stable's replicas; ", item.GetName())
			t.log("horizontalpodautoscaler/%s owns stable's replicas: when it changes them, the share changes", item.GetName())
		case t.names.Canary:
			return limits, slipway.Usagef("horizontalpodautoscaler/%s owns the replicas of deployment/%s, by which the router service "+
				"gives the share", item.GetName(), t.names.Canary).
				Next("remove that autoscaler, or give the share with a gateway")
		}
	}
	return limits, nil
}

// quota leaves out what the namespace has no room for. The promotion comes while the canary
// still runs: the pods that it starts beside stable's must fit in as well.
func (t *Traffic) quota(ctx context.Context, limits Limits) (Limits, error) {
	left, err := room.Left(ctx, t.cluster, t.stable.Spec.Template.Spec)
	if err != nil || left.Pods == math.MaxInt {
		return limits, err
	}
	after := t.stable.DeepCopy()
	stable := int32(limits.Stable)
	after.Spec.Replicas = &stable
	surge := room.Surge(after)
	already := int(replicas(t.stable)+replicas(t.canary)) - limits.Stable
	if left.Pods += already - surge; left.Pods < limits.MaxExtra {
		limits.MaxExtra = max(0, left.Pods)
		limits.Why += left.Why + "; "
		if surge > 0 {
			limits.Why += fmt.Sprintf("the promotion of deployment/%s needs %d of them (maxSurge); ", t.names.Stable, surge)
		}
	}
	if left.Pods < 0 {
		return limits, slipway.Errorf(slipway.No, "the promotion would fail: it needs %d pods beside those of deployment/%s "+
			"(maxSurge), and %s", surge, t.names.Stable, left.Why).
			Next("raise that quota, or let pods be replaced one by one: spec.strategy.rollingUpdate {maxSurge: 0, maxUnavailable: 1}")
	}
	return limits, nil
}
