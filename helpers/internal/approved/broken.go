package approved

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/safe"
)

// BreakGlass is the annotation with the reason of who went past the guard.
const BreakGlass = "slipway.dev/break-glass"

// Broken are the objects of the cluster's namespace that went past the guard and that no administrator has acknowledged yet. Each
// has an Event then. Kinds that may not be listed are left out.
func Broken(ctx context.Context, cluster *kube.Cluster) (findings []Finding, err error) {
	for _, kind := range kinds {
		found, err := own(ctx, cluster, kind)
		if err != nil && !kube.IsDenied(err) {
			return nil, kube.Explain(err, "listing "+kind.Resource)
		}
		for _, object := range found {
			if finding := broken(object); finding != nil {
				findings = append(findings, *finding)
				tell(ctx, cluster, object, finding.Why)
			}
		}
	}
	return findings, nil
}

func broken(object *unstructured.Unstructured) *Finding {
	reason, there := object.GetAnnotations()[BreakGlass]
	if !there {
		return nil
	}
	return &Finding{Object: nameOf(object), Why: reason}
}

func tell(ctx context.Context, cluster *kube.Cluster, object *unstructured.Unstructured, reason string) {
	Tell(ctx, cluster, corev1.ObjectReference{APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Namespace: cluster.Namespace,
		Name: object.GetName(), UID: object.GetUID()}, reason)
}

// Tell leaves an Event on an object that went past the guard, which a policy cannot do: one for each reason, until the API server
// forgets it. An Event that cannot be made is a warning: the annotation and the audit log have the reason, too.
func Tell(ctx context.Context, cluster *kube.Cluster, object corev1.ObjectReference, reason string) {
	name := strings.ToLower(object.Kind) + "/" + object.Name
	now := metav1.NewTime(cluster.Now())
	message := fmt.Sprintf("%s went past the guard: %s. An administrator acknowledges it: kubectl annotate -n %s %s %s-", name,
		strings.ToValidUTF8(reason[:min(len(reason), longest)], ""), object.Namespace, name, BreakGlass)
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: object.Namespace,
			Name: fmt.Sprintf("%s.%x", object.Name, sha256.Sum256([]byte(string(object.UID)+" "+reason)))},
		InvolvedObject: object, Type: corev1.EventTypeWarning, Reason: "BreakGlass", Message: safe.Line(message),
		Source: corev1.EventSource{Component: "slipway"}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
	_, err := cluster.Core().Events(object.Namespace).Create(ctx, event, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		logrus.Warn(kube.Explain(err, "noting as an Event that "+name+" went past the guard"))
	}
}
