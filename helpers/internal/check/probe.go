package check

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	repository "slipway.dev/slipway"
	"slipway.dev/slipway/helpers/internal/kube"
)

// AGENT_IMAGE is the place of the agents' image in the pod templates.
const agentPlace = "AGENT_IMAGE"

// agent is the agents' image: the one that was given, or the reaper's.
func (s *Site) agent(ctx context.Context) (string, error) {
	if s.AgentImage != "" {
		return s.AgentImage, nil
	}
	for _, namespace := range s.services() {
		found, err := s.get(ctx, cronJobs, namespace, "canary-reaper")
		if err != nil {
			return "", err
		}
		if found != nil {
			containers, _, _ := unstructured.NestedSlice(found.Object, "spec", "jobTemplate", "spec", "template", "spec", "containers")
			if len(containers) > 0 {
				if image, named := containers[0].(map[string]any)["image"].(string); named {
					return image, nil
				}
			}
		}
	}
	return "", nil
}

// probePod is a pod as the level restricted admits it, which is deleted again.
func probePod(name, namespace string, containers ...corev1.Container) *corev1.Pod {
	no, yes, user, grace := false, true, int64(1000), int64(0)
	for i := range containers {
		containers[i].SecurityContext = &corev1.SecurityContext{AllowPrivilegeEscalation: &no,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
		containers[i].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "slipway-check-" + name + "-", Namespace: namespace,
			Labels: map[string]string{"app.kubernetes.io/name": "slipway-check"}},
		Spec: corev1.PodSpec{AutomountServiceAccountToken: &no, RestartPolicy: corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: &grace, ImagePullSecrets: []corev1.LocalObjectReference{{Name: pullSecretName}},
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: containers},
	}
}

// start makes the pod, and gives a function that deletes it.
func (s *Site) start(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, func(), error) {
	if _, err := s.api(ctx); err != nil {
		return nil, nil, err
	}
	pods := s.Cluster.Core().Pods(pod.Namespace)
	made, err := pods.Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return nil, nil, kube.Explain(err, "starting a pod in "+pod.Namespace)
	}
	return made, func() {
		deleting, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		now := int64(0)
		_ = pods.Delete(deleting, made.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	}, nil
}

// until reads the pod again and again until it is as wanted.
func (s *Site) until(ctx context.Context, pod *corev1.Pod, wanted func(*corev1.Pod) bool) (*corev1.Pod, error) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		found, err := s.Cluster.Core().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil && ctx.Err() == nil {
			return nil, kube.Explain(err, "reading the pod "+pod.Name)
		}
		if err == nil && wanted(found) {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return found, fmt.Errorf("the pod %s of %s did not get so far in time: %s", pod.Name, pod.Namespace, waiting(found))
		case <-tick.C:
		}
	}
}

// waiting says what the pod's containers wait for.
func waiting(pod *corev1.Pod) string {
	if pod == nil {
		return "it cannot be read"
	}
	var said []string
	for _, status := range pod.Status.ContainerStatuses {
		if status.State.Waiting != nil {
			said = append(said, strings.TrimSpace(status.State.Waiting.Reason+" "+status.State.Waiting.Message))
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status != corev1.ConditionTrue {
			said = append(said, condition.Message)
		}
	}
	return strings.Join(append(said, "phase "+string(pod.Status.Phase)), "; ")
}

const probePort = "8199"

// networkEnforced starts a pod that listens and one that dials it, in a namespace that denies both: neither direction is allowed.
func networkEnforced(ctx context.Context, s *Site) Finding {
	if !s.ProbeNetwork {
		return skipped("it starts two pods, and deletes them again: give --probe-network")
	}
	image, err := s.agent(ctx)
	if err != nil {
		return unanswered(err)
	}
	if image == "" {
		return skipped("no image for the pods is known: --agent-image IMAGE")
	}
	namespace := s.agents()[0]
	listener, stop, err := s.start(ctx, probePod("listens", namespace,
		corev1.Container{Name: "listens", Image: image, Command: []string{"slipway", "check", "--listen", probePort}}))
	if err != nil {
		return unanswered(err)
	}
	defer stop()
	listener, err = s.until(ctx, listener, func(pod *corev1.Pod) bool {
		return pod.Status.PodIP != "" && pod.Status.Phase == corev1.PodRunning
	})
	if err != nil {
		return silent(err)
	}
	dialer, end, err := s.start(ctx, probePod("dials", namespace,
		corev1.Container{Name: "dials", Image: image, Command: []string{"slipway", "check", "--dial", listener.Status.PodIP + ":" + probePort}}))
	if err != nil {
		return unanswered(err)
	}
	defer end()
	dialer, err = s.until(ctx, dialer, func(pod *corev1.Pod) bool {
		return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	})
	if err != nil {
		return silent(err)
	}
	listener, err = s.until(ctx, listener, func(*corev1.Pod) bool { return true })
	if err != nil || listener.Status.Phase != corev1.PodRunning {
		return silent(fmt.Errorf("the pod that listened ended before it was dialled"))
	}
	return dialled(dialer, namespace)
}

// dialled judges by the exit code of slipway check dial: 0 it was connected, 1 it was not, within its time.
func dialled(pod *corev1.Pod, namespace string) Finding {
	for _, status := range pod.Status.ContainerStatuses {
		switch ended := status.State.Terminated; {
		case ended == nil:
		case ended.ExitCode == 0:
			return missing("a pod of %s reached another one, which the NetworkPolicy default-deny forbids", namespace).
				with("use a network plug-in that enforces NetworkPolicies, such as Calico or Cilium")
		case ended.ExitCode == 1:
			return ok("a pod of %s could not reach another one", namespace)
		default:
			return silent(fmt.Errorf("the pod that dialled ended with exit code %d: %s", ended.ExitCode, ended.Message))
		}
	}
	return silent(fmt.Errorf("the pod that dialled has no status"))
}

// templateImages are the images of the pod templates, each once, with the agents' image in its place.
func templateImages(agent string) ([]string, error) {
	files, err := fs.Glob(repository.Files, "resources/slipway/*.yaml")
	if err != nil {
		return nil, err
	}
	var images []string
	for _, file := range files {
		body, err := fs.ReadFile(repository.Files, file)
		if err != nil {
			return nil, err
		}
		var pod corev1.Pod
		if err := yaml.Unmarshal(body, &pod); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, container := range pod.Spec.Containers {
			images = append(images, strings.Replace(container.Image, agentPlace, agent, 1))
		}
	}
	slices.Sort(images)
	return slices.DeleteFunc(slices.Compact(images), func(image string) bool { return image == "" }), nil
}

// imagesPulled starts a pod of all images with a command that none of them has: a node pulls each one, and runs nothing of it.
func imagesPulled(ctx context.Context, s *Site) Finding {
	if !s.ProbeImages {
		return skipped("it starts a pod, and deletes it again: give --probe-images")
	}
	agent, err := s.agent(ctx)
	if err != nil {
		return unanswered(err)
	}
	images, err := templateImages(agent)
	if err != nil {
		return silent(err)
	}
	var containers []corev1.Container
	for i, image := range images {
		containers = append(containers, corev1.Container{Name: fmt.Sprint("image-", i), Image: image,
			Command: []string{"/slipway-check-runs-nothing"}})
	}
	pod, stop, err := s.start(ctx, probePod("images", s.agents()[0], containers...))
	if err != nil {
		return unanswered(err)
	}
	defer stop()
	pod, err = s.until(ctx, pod, func(pod *corev1.Pod) bool {
		return len(pod.Status.ContainerStatuses) == len(images) && !slices.ContainsFunc(pod.Status.ContainerStatuses, undecided)
	})
	refused := refusedImages(pod)
	switch {
	case len(refused) > 0:
		return missing("no node could pull %s", all(refused)).
			with("push it to your registry, or name your mirror of it; the Secret %s must let nodes pull it", pullSecretName)
	case err != nil:
		return silent(err)
	}
	return ok("%d images", len(images))
}

// failures are the kubelet's words for an image that cannot be had.
var failures = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}

// undecided says whether an image may still be on its way.
func undecided(status corev1.ContainerStatus) bool {
	state := status.State.Waiting
	return state != nil && (state.Reason == "" || state.Reason == "ContainerCreating" || state.Reason == "PodInitializing")
}

func refusedImages(pod *corev1.Pod) (refused []string) {
	if pod == nil {
		return nil
	}
	for _, status := range pod.Status.ContainerStatuses {
		if state := status.State.Waiting; state != nil && slices.Contains(failures, state.Reason) {
			refused = append(refused, fmt.Sprintf("%s (%s)", status.Image, strings.TrimSpace(state.Reason+" "+state.Message)))
		}
	}
	return refused
}
