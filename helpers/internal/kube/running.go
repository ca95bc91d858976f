package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/helpers/internal/safe"
)

const (
	askingRuns = 10 * time.Second        // how long a node may take to answer
	runsChecks = 1300 * time.Millisecond // the kubelet asks the runtime each second
)

// EndedError says that a container has ended though its pod's status does not say so yet.
type EndedError struct{ Pod, Container string }

func (e *EndedError) Error() string {
	return fmt.Sprintf("the container %s of %s has ended, and the pod's status does not say so yet", e.Container, e.Pod)
}

// RunsFor is nil when one run of the container has lasted for that long from now on. An
// *EndedError says that it has ended, another error that the node could not be asked.
//
// It follows the container's log. The kubelet begins its answer when it has chosen the run
// by what it knows last, which may be a later run than the one that the API server shows;
// it stays with that run, asks the runtime at the beginning and once a second whether it
// runs, and ends the answer when it does not, however late the pod's status is. So one
// answer that goes on is one run that goes on. That the kubelet has asked for the last time
// after the end of the time is taken from another request about the same container, which
// begins then: it is waited until that one is answered, and for twice as long again.
// https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/kubelet/kubelet_pods.go (GetKubeletContainerLogs)
// https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/cri-client/pkg/logs/logs.go (waitLogs)
func RunsFor(ctx context.Context, cluster *Cluster, pod *corev1.Pod, container string, lasts time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(askingRuns, cancel)
	// No line is older than a year from now on, so that only what the kubelet itself has to say is sent.
	none, never := int64(0), metav1.NewTime(cluster.Now().AddDate(1, 0, 0))
	options := &corev1.PodLogOptions{Container: container, Follow: true, TailLines: &none, SinceTime: &never}
	stream, err := cluster.Core().Pods(pod.Namespace).GetLogs(pod.Name, options).Stream(ctx)
	if !late.Stop() {
		return fmt.Errorf("the node has not answered for %s", askingRuns)
	}
	if err != nil {
		return err
	}
	defer stream.Close()
	over := make(chan error, 1)
	go func() { over <- end(stream, pod.Name, container) }()
	if err := goesOn(ctx, over, lasts); err != nil {
		return err
	}
	begin := time.Now()
	answering, stop := context.WithTimeout(ctx, askingRuns)
	defer stop()
	if _, err := logOf(answering, cluster, pod, container, false); err != nil {
		return err
	}
	return goesOn(ctx, over, max(2*time.Since(begin), runsChecks))
}

// goesOn waits for so long, and says why what went on is over, if it is.
func goesOn(ctx context.Context, over <-chan error, lasts time.Duration) error {
	waited := time.NewTimer(lasts)
	defer waited.Stop()
	select {
	case err := <-over:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-waited.C:
	}
	select {
	case err := <-over:
		return err
	default:
		return nil
	}
}

// end reads until the answer is over. Where the kubelet had something to say, it could not
// read the log, which is no end of the container.
func end(stream io.Reader, pod, container string) error {
	said, part := []byte(nil), make([]byte, 4096)
	for {
		n, err := stream.Read(part)
		if text := bytes.TrimSpace(part[:n]); len(text) > 0 {
			said = bytes.Clone(text[:min(len(text), 300)])
		}
		switch {
		case err == io.EOF && len(said) > 0:
			return fmt.Errorf("the kubelet answers: %s", safe.Line(safe.Mask(string(said))))
		case err == io.EOF:
			return &EndedError{pod, container}
		case err != nil:
			return err
		}
	}
}
