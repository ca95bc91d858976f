package kube

import (
	"context"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	askingRuns     = 10 * time.Second // how long a node may take to answer
	answersAtLeast = 300 * time.Millisecond
)

// EndedError says that a container has ended though its pod's status does not say so yet.
type EndedError struct{ Pod, Container string }

func (e *EndedError) Error() string {
	return fmt.Sprintf("the container %s of %s has ended, and the pod's status does not say so yet", e.Container, e.Pod)
}

// StillRuns asks the node whether the container runs; an *EndedError says that it does not,
// another error that the node could not be asked. The kubelet begins its answer to a log that
// is followed before it asks the runtime, and ends it when the runtime says that the container
// has ended, however late the pod's status is. That it runs is taken from an answer that has
// begun and does not end: not while the kubelet answers another request about the same
// container, and not for twice as long after that.
// https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/kubelet/kubelet_pods.go (GetKubeletContainerLogs)
func StillRuns(ctx context.Context, cluster *Cluster, pod *corev1.Pod, container string) error {
	ctx, cancel := context.WithTimeout(ctx, askingRuns)
	defer cancel()
	none := int64(0)
	options := &corev1.PodLogOptions{Container: container, Follow: true, TailLines: &none}
	stream, err := cluster.Core().Pods(pod.Namespace).GetLogs(pod.Name, options).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, stream)
		ended <- err
	}()
	begin := time.Now()
	if _, err := logOf(ctx, cluster, pod, container, false); err != nil {
		return err
	}
	waited := time.NewTimer(max(2*time.Since(begin), answersAtLeast))
	defer waited.Stop()
	select {
	case err := <-ended:
		if err == nil {
			return &EndedError{pod.Name, container}
		}
		return err
	case <-waited.C:
		return nil
	}
}
