package canary

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"slipway.dev/slipway/helpers/internal/kube"
)

// podSignals is what the canary's pods do while they are analysed.
type podSignals struct {
	t        *Traffic
	restarts map[string]int32 // by pod and container, at the beginning
	notReady int              // looks in a row
	empty    int              // looks in a row at which there was no pod
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
		for _, status := range statuses(pod) {
			p.restarts[pod.Name+"/"+status.Name] = status.RestartCount
		}
	}
	return p, nil
}

// gone says why the canary cannot be judged any more: it is asked to have no pod, or its
// image was changed. It reads the Deployment anew.
func (p *podSignals) gone(ctx context.Context) (string, error) {
	before := images(p.t.canary)
	if err := p.t.readCanary(ctx); err != nil {
		return "", err
	}
	switch {
	case replicas(p.t.canary) == 0:
		return fmt.Sprintf("deployment/%s is scaled to 0: there is no pod to judge", p.t.names.Canary), nil
	case !slices.Equal(before, images(p.t.canary)):
		return fmt.Sprintf("the image of deployment/%s was changed while it was judged", p.t.names.Canary), nil
	}
	return "", nil
}

// see is look, and says also why there is nothing to judge.
func (p *podSignals) see(ctx context.Context, last bool) (trouble, gone string, err error) {
	if gone, err = p.gone(ctx); gone != "" || err != nil {
		return "", gone, err
	}
	if trouble, err = p.look(ctx, last); err == nil && (p.empty > 1 || p.empty > 0 && last) {
		gone = fmt.Sprintf("deployment/%s has no pod", p.t.names.Canary)
	}
	return trouble, gone, err
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
		if p.suspect.container == "" || !ready(pod) && !p.suspect.restarted {
			p.suspect = suspect{pod: pod, container: unreadyContainer(pod)}
		}
		for _, status := range statuses(pod) {
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
	if p.empty++; len(pods) > 0 {
		p.empty = 0
	}
	if unready == 0 {
		p.notReady = 0
	} else if p.notReady++; trouble == "" && (p.notReady > 1 || last) {
		trouble = fmt.Sprintf("%d of its %d pods are not ready", unready, len(pods))
	}
	return trouble, nil
}

// statuses are those of containers and of native sidecars, which run beside them.
func statuses(pod corev1.Pod) []corev1.ContainerStatus {
	all := slices.Clone(pod.Status.ContainerStatuses)
	for _, container := range pod.Spec.InitContainers {
		if container.RestartPolicy == nil || *container.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			continue
		}
		for _, status := range pod.Status.InitContainerStatuses {
			if status.Name == container.Name {
				all = append(all, status)
			}
		}
	}
	return all
}

// unreadyContainer is one that is not ready, else the first.
func unreadyContainer(pod corev1.Pod) string {
	for _, status := range statuses(pod) {
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
