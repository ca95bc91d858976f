package kube

import (
	"context"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"slipway.dev/slipway/helpers/internal/safe"
)

const logLines = 25

// Words are the last ones that a container has written.
type Words struct {
	Pod       string   `json:"pod"`
	Container string   `json:"container"`
	Previous  bool     `json:"previous"` // they are from before its restart
	Lines     []string `json:"lines"`
}

// LastWords are a container's last 25 lines, without secrets: of its run before the
// last restart where previous says so, else of the one that goes on; and of the other
// of the two where that has written nothing. That a log may not be read is a line of
// its own, and never an error: whoever asks has a cause to tell already.
// https://kubernetes.io/docs/concepts/cluster-administration/logging/
func LastWords(ctx context.Context, cluster *Cluster, pod *corev1.Pod, container string, previous bool) Words {
	words := Words{Pod: pod.Name, Container: container, Previous: previous, Lines: []string{}}
	for _, before := range []bool{previous, !previous} {
		body, err := logOf(ctx, cluster, pod, container, before)
		switch {
		case IsDenied(err):
			words.Lines, words.Previous = []string{"the log cannot be read: " + Explain(err, "reading it").Error()}, before
			return words
		case err == nil && len(body) > 0: // else there is none, or none any more
			words.Lines, words.Previous = strings.Split(strings.TrimRight(safe.Visible(safe.Mask(string(body))), "\n"), "\n"), before
			return words
		}
	}
	return words
}

// Title says whose words they are.
func (w Words) Title() string {
	switch {
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
	answer := cluster.Core().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container, Previous: previous, TailLines: &tail}).Do(ctx)
	if err := answer.Error(); err != nil { // unlike Raw's, it is what the API server said
		return nil, err
	}
	return answer.Raw()
}
