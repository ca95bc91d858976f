package canary

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/helpers/internal/kube"
)

// podSignals is what the canary's pods do while they are analysed.
type podSignals struct {
	t        *Traffic
	restarts map[string]int32 // by pod and container, at the beginning
	notReady int              // looks in a row
	notes    []string
	suspect  suspect
}

// suspect is the container of which a person wants to know what it said: one that was
// started again, else one that is not ready, else the first.
type suspect struct {
	pod       corev1.Pod
	container string
	restarted bool
}

// lastWords are there as long as the pods are: whoever undoes the canary loses them.
func (p *podSignals) lastWords(ctx context.Context) *kube.Words {
	if p.suspect.container == "" {
		return nil
	}
	words := kube.LastWords(ctx, p.t.cluster, &p.suspect.pod, p.suspect.container, p.suspect.restarted)
	return &words
}

func (t *Traffic) watchPods(ctx context.Context) (*podSignals, error) {
	pods, err := t.canaryPods(ctx)
	if err != nil {
		return nil, err
	}
	p := &podSignals{t: t, restarts: map[string]int32{}}
	for _, pod := range pods {
		for _, status := range pod.Status.ContainerStatuses {
			p.restarts[pod.Name+"/"+status.Name] = status.RestartCount
		}
	}
	return p, nil
}

func (t *Traffic) canaryPods(ctx context.Context) ([]corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(t.canary.Spec.Selector)
	if err != nil {
		return nil, err
	}
	pods, err := t.cluster.Core().Pods(t.cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, kube.Explain(err, "looking at the canary's pods")
	}
	return pods.Items, nil
}

// look tells what makes the canary unhealthy by its pods alone, or nothing. A
// pod that is not ready once may be on its way; twice in a row, or at the last
// look, it is not.
func (p *podSignals) look(ctx context.Context, last bool) (string, error) {
	pods, err := p.t.canaryPods(ctx)
	if err != nil {
		return "", err
	}
	p.notes, p.suspect = nil, suspect{}
	trouble, unready := "", 0
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		if p.suspect.container == "" || !ready(pod) && !p.suspect.restarted {
			p.suspect = suspect{pod: pod, container: unreadyContainer(pod)}
		}
		for _, status := range pod.Status.ContainerStatuses {
			if more := status.RestartCount - p.restarts[pod.Name+"/"+status.Name]; more > 0 {
				what := fmt.Sprintf("container %s of %s restarted %d times", status.Name, pod.Name, more)
				if end := status.LastTerminationState.Terminated; end != nil {
					what += fmt.Sprintf(" (%s, exit code %d)", end.Reason, end.ExitCode)
				}
				p.notes = append(p.notes, what)
				trouble = what
				p.suspect = suspect{pod: pod, container: status.Name, restarted: true}
			}
			if end := status.State.Terminated; end != nil && end.Reason == "OOMKilled" {
				trouble = fmt.Sprintf("container %s of %s was killed for its memory (OOMKilled)", status.Name, pod.Name)
				p.notes = append(p.notes, trouble)
				p.suspect = suspect{pod: pod, container: status.Name}
			}
		}
		if !ready(pod) {
			unready++
			p.notes = append(p.notes, pod.Name+" is not ready")
		}
	}
	if unready == 0 {
		p.notReady = 0
	} else if p.notReady++; trouble == "" && (p.notReady > 1 || last) {
		trouble = fmt.Sprintf("%d of its %d pods are not ready", unready, len(pods))
	}
	return trouble, nil
}

// unreadyContainer is one that is not ready, else the first.
func unreadyContainer(pod corev1.Pod) string {
	for _, status := range pod.Status.ContainerStatuses {
		if !status.Ready {
			return status.Name
		}
	}
	return pod.Spec.Containers[0].Name
}

func ready(pod corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func images(d *appsv1.Deployment) []string {
	var names []string
	for _, container := range d.Spec.Template.Spec.Containers {
		names = append(names, container.Image)
	}
	return names
}
