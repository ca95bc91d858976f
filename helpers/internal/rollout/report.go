package rollout

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"slipway.dev/slipway/helpers/internal/kube"
)

const logLines = 25

// Report is what a person needs beside the cause: of one pod its events and its
// last words. Environment and Secrets are never part of it.
type Report struct {
	Pod      string   `json:"pod,omitempty"`
	Events   []string `json:"events"`
	Log      []string `json:"log"`
	Previous bool     `json:"previous"` // the log is that of the container before its restart
	Try      string   `json:"try"`
}

// tries says for each code what to do next.
var tries = map[string]string{
	"INVALID_IMAGE_NAME": "mend the image's name in the workload",
	"IMAGE_NOT_FOUND":    "look whether the digest was pushed to this registry: nexus-latest-tag, image-evidence list",
	"IMAGE_PULL_DENIED":  "look at the pull secret that the pod's imagePullSecrets name, and at its login",
	"IMAGE_PULL_FAILED":  "look whether the node reaches the registry",
	"IMAGE_NEVER_PULL":   "load the image onto the node, or allow it to be pulled",
	"CRASH_LOOP":         "read the log above; it is the container's own last word",
	"OOM_KILLED":         "raise resources.limits.memory, or find out what grew",
	"CONFIG_MISSING":     "create the Secret or ConfigMap that is named, in this namespace",
	"CONTAINER_ERROR":    "look at command, mounts and securityContext of the container",
	"NOT_READY":          "ask the readiness path yourself: kubectl port-forward, then curl",
	"UNSCHEDULABLE":      "lower the requests, or add a node that matches",
	"QUOTA_EXCEEDED":     "raise the ResourceQuota, or lower replicas or requests",
	"LIMIT_RANGE":        "bring the requests and limits inside the LimitRange",
	"POD_SECURITY":       "mend the securityContext as the message says",
	"WEBHOOK":            "ask whoever runs the webhook that is named",
	"WRONG_IMAGE":        "somebody changed the image meanwhile: look at the Deployment's events",
	"TIMEOUT":            "look whether it still moves; if so, give it more --timeout",
	"NOT_STABLE":         "read the log above: it ran, and then it did not",
}

func newReport(ctx context.Context, cluster *kube.Cluster, o Objects, verdict Verdict) *Report {
	report := &Report{Pod: verdict.Pod, Events: []string{}, Log: []string{}, Try: tries[verdict.Code]}
	if report.Pod == "" {
		report.Pod = firstUnready(o)
	}
	if report.Try == "" {
		report.Try = "look closer: kubectl describe -n " + cluster.Namespace + " " + verdict.Workload
	}
	var pod *corev1.Pod
	for _, candidate := range o.Pods {
		if candidate.Name == report.Pod {
			pod = candidate
		}
	}
	involved := report.Pod
	if pod == nil {
		if newest := newestOwner(o); newest != "" {
			involved = newest
		}
	}
	report.Events = events(ctx, cluster, involved)
	if pod != nil {
		report.Log, report.Previous = lastWords(ctx, cluster, pod, verdict.Container)
	}
	return report
}

func newestOwner(o Objects) string {
	switch {
	case o.Deployment != nil:
		if newest := o.NewReplicaSet(); newest != nil {
			return newest.Name
		}
		return o.Deployment.Name
	case o.StatefulSet != nil:
		return o.StatefulSet.Name
	case o.DaemonSet != nil:
		return o.DaemonSet.Name
	}
	return ""
}

// events lists those of one object, each text once, the newest last.
func events(ctx context.Context, cluster *kube.Cluster, name string) []string {
	found, err := cluster.Core().Events(cluster.Namespace).List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("involvedObject.name", name).String(), Limit: 200})
	if err != nil {
		return []string{"the events cannot be read: " + err.Error()}
	}
	sort.SliceStable(found.Items, func(i, j int) bool { return found.Items[i].LastTimestamp.Before(&found.Items[j].LastTimestamp) })
	counts := map[string]int32{}
	var order []string
	for _, event := range found.Items {
		if event.Type != corev1.EventTypeWarning {
			continue
		}
		text := event.Reason + ": " + strings.TrimSpace(event.Message)
		if counts[text] == 0 {
			order = append(order, text)
		}
		counts[text] += max(event.Count, 1)
	}
	lines := []string{}
	for _, text := range order[max(0, len(order)-5):] {
		if counts[text] > 1 {
			text = fmt.Sprintf("%s (%d times)", text, counts[text])
		}
		lines = append(lines, text)
	}
	return lines
}

// lastWords are the last lines of the container in question, of the one before
// its restart where it restarted.
func lastWords(ctx context.Context, cluster *kube.Cluster, pod *corev1.Pod, container string) (lines []string, previous bool) {
	for _, status := range containers(pod) {
		if container == "" && !status.Ready || status.Name == container {
			container, previous = status.Name, status.RestartCount > 0 && status.LastTerminationState.Terminated != nil
			break
		}
	}
	if container == "" {
		return []string{}, false
	}
	tail := int64(logLines)
	body, err := cluster.Core().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container, Previous: previous, TailLines: &tail}).DoRaw(ctx)
	if err != nil || len(body) == 0 {
		return []string{}, previous
	}
	return strings.Split(strings.TrimRight(withoutSecrets(string(body)), "\n"), "\n"), previous
}

// What a program may print of an address or a header, and nobody else should read.
var (
	passwordInURL = regexp.MustCompile(`([a-z][a-z0-9+.-]*://[^/\s:@]*):[^@\s/]+@`)
	passwordNamed = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|authorization)["']?\s*[=:]\s*)("[^"]*"|'[^']*'|\S+)`)
)

func withoutSecrets(text string) string {
	return passwordNamed.ReplaceAllString(passwordInURL.ReplaceAllString(text, "$1:****@"), "$1****")
}

func (r *Report) text(out io.Writer) error {
	var b strings.Builder
	if len(r.Events) > 0 {
		fmt.Fprintf(&b, "  events of %s:\n", r.Pod)
		for _, event := range r.Events {
			fmt.Fprintf(&b, "    %s\n", event)
		}
	}
	if len(r.Log) > 0 {
		which := "last lines"
		if r.Previous {
			which = "last lines before its restart"
		}
		fmt.Fprintf(&b, "  %s, %s:\n", r.Pod, which)
		for _, line := range r.Log {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	fmt.Fprintf(&b, "  try: %s\n", r.Try)
	_, err := io.WriteString(out, b.String())
	return err
}
