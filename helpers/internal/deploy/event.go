package deploy

import (
	"context"
	"os"
	"os/user"
	"time"

	"github.com/sirupsen/logrus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/safe"
)

// tell leaves an Event on the Deployment: who, what, from, to. The change is done
// by then: an Event that cannot be made is a warning, and no failure.
func tell(ctx context.Context, cluster *kube.Cluster, deployment *appsv1.Deployment, outcome Outcome) {
	now := metav1.NewTime(time.Now())
	message := "image of the container " + outcome.Container + " set to " + outcome.To
	if outcome.From != "" {
		message += ", from " + outcome.From
	}
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: deployment.Name + "-", Namespace: deployment.Namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "apps/v1",
			Kind:       "Deployment",
			Namespace:  deployment.Namespace,
			Name:       deployment.Name,
			UID:        deployment.UID,
		},
		Type: corev1.EventTypeNormal, Reason: "ImageDeployed", Message: safe.Line(message + ", by " + who(deployment)),
		Source: corev1.EventSource{Component: "deploy-image"}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
	if _, err := cluster.Core().Events(deployment.Namespace).Create(ctx, event, metav1.CreateOptions{}); err != nil {
		logrus.Warn(kube.Explain(err, "noting the change, which is done, as an Event of deployment/"+deployment.Name))
	}
}

// who is the build that was recorded; by hand it is the person at this machine.
func who(deployment *appsv1.Deployment) string {
	if build := deployment.Annotations["slipway.dev/build"]; build != "" {
		return build
	}
	name := "somebody"
	if person, err := user.Current(); err == nil {
		name = person.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + " on " + host
}
