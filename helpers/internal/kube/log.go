package kube

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"slipway.dev/slipway/helpers/internal/safe"
)

const logLines = 25

// Words are the last ones that a container has written.
type Words struct {
	Pod       string   `json:"pod"`
	Container string   `json:"container"`
	Previous  bool     `json:"previous"` // they are from before its restart
	Lines     []string `json:"lines"`
	Unread    string   `json:"unread,omitempty"` // why none could be read, where the container may have written some
}

const (
	readings     = 4 // how often both runs' logs are asked for
	betweenReads = 500 * time.Millisecond
)

// LastWords are a container's last 25 lines, without secrets: of its run before the
// last restart where previous says so, else of the present one; and of the other of the
// two where the first has written nothing or cannot be read, as the kubelet removes the
// log of a run when a later one has ended. Where the pod shows the present run ended, one that
// has begun since is none of whose words are asked for. It is never an error: the caller has a
// cause to tell already.
// https://kubernetes.io/docs/concepts/cluster-administration/logging/
func LastWords(ctx context.Context, cluster *Cluster, pod *corev1.Pod, container string, previous bool) Words {
	words := Words{Pod: pod.Name, Container: container, Previous: previous, Lines: []string{}}
	for reading := 1; ; reading++ {
		words.Unread = ""
		for _, before := range []bool{previous, !previous} {
			if before != previous && words.Unread != "" && reading < readings {
				continue // the run that is asked for may be readable in a moment; the other one has not said its last yet
			}
			body, err := logOf(ctx, cluster, pod, container, before)
			lines, said, begun := written(string(body))
			if end := endOf(pod, container); !before && !end.IsZero() && begun.After(end) {
				continue // and the run that is asked for is the previous one now
			}
			switch {
			case IsDenied(err):
				words.Unread, words.Previous = Explain(err, "reading the log").Error(), before
				return words
			case len(lines) > 0:
				words.Lines, words.Previous, words.Unread = lines, before, ""
				return words
			case said != "":
				words.Unread = "the kubelet answers: " + said
			case err != nil && !apierrors.IsBadRequest(err): // which says that there was no such run
				words.Unread = Explain(err, "reading the log").Error()
			}
		}
		if words.Unread == "" || reading == readings {
			return words
		}
		select {
		case <-ctx.Done():
			return words
		case <-time.After(betweenReads):
		}
	}
}

// written splits an answer into what the container has written, which the kubelet
// precedes with the time of each line, and what the kubelet itself says instead of a log
// that it cannot read, which has none and comes with the status 200 as well. begun is the time of the first line.
// https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/cri-client/pkg/logs/logs.go
func written(body string) (lines []string, kubelet string, begun time.Time) {
	for _, line := range strings.Split(strings.TrimRight(body, "\n"), "\n") {
		stamp, text, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			kubelet = strings.TrimSpace(line)
			continue
		}
		if begun.IsZero() {
			begun = at
		}
		lines = append(lines, strings.TrimRight(text, "\r"))
	}
	if strings.TrimSpace(strings.Join(lines, "")) == "" {
		return nil, kubelet, begun
	}
	return strings.Split(safe.Visible(safe.Mask(strings.Join(lines, "\n"))), "\n"), safe.Line(safe.Mask(kubelet)), begun
}

// endOf is when the present run of the container had ended at the latest, by its status, whose times are cut to the second;
// zero where it had not.
func endOf(pod *corev1.Pod, container string) time.Time {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if last := status.State.Terminated; status.Name == container && last != nil && !last.FinishedAt.IsZero() {
			return last.FinishedAt.Add(time.Second)
		}
	}
	return time.Time{}
}

// Title says whose words they are.
func (w Words) Title() string {
	switch {
	case len(w.Lines) == 0 && w.Unread != "":
		return fmt.Sprintf("the log of container %s of %s cannot be read: %s", w.Container, w.Pod, w.Unread)
	case len(w.Lines) == 0:
		return fmt.Sprintf("container %s of %s has written nothing", w.Container, w.Pod)
	case w.Previous:
		return fmt.Sprintf("last lines of container %s of %s, before its restart", w.Container, w.Pod)
	}
	return fmt.Sprintf("last lines of container %s of %s", w.Container, w.Pod)
}

// Text tells them to a person.
func (w Words) Text(out io.Writer) error {
	text := "  " + w.Title()
	if len(w.Lines) > 0 {
		text += ":\n    " + strings.Join(w.Lines, "\n    ")
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

func logOf(ctx context.Context, cluster *Cluster, pod *corev1.Pod, container string, previous bool) ([]byte, error) {
	tail := int64(logLines)
	answer := cluster.Core().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container, Previous: previous,
		Timestamps: true, TailLines: &tail}).Do(ctx)
	if err := answer.Error(); err != nil { // unlike Raw's, it is what the API server said
		return nil, err
	}
	return answer.Raw()
}
