package rollout

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/safe"
)

const eventLines = 5

// Report is what a person needs beside the cause: of one pod its events and its
// last words. Environment and Secrets are never part of it.
type Report struct {
	Events   []string `json:"events"`
	Log      []string `json:"log"`
	Previous bool     `json:"previous"` // the log is that of the container before its restart
	Try      string   `json:"try"`
}

// tries says for each code what to do next; the others are looked at with kubectl describe.
var tries = map[string]string{
	"INVALID_IMAGE_NAME": "mend the image's name in the workload",
	"IMAGE_NOT_FOUND":    "look whether it was pushed to this registry: nexus-latest-tag, image-evidence list",
	"IMAGE_PULL_DENIED":  "look at the pull secret that the pod's imagePullSecrets name, and at its login",
	"IMAGE_PULL_FAILED":  "look whether the node reaches the registry, and trusts its certificate",
	"IMAGE_NEVER_PULL":   "load the image onto the node, or allow it to be pulled",
	"IMAGE_MISMATCH":     "compare the imageID with the digest that was pushed: another manifest may have the same content",
	"CRASH_LOOP":         "read the log above; it is the container's own last word",
	"OOM_KILLED":         "raise resources.limits.memory, or find out what grew",
	"CONFIG_MISSING":     "create the Secret or ConfigMap, or the key, that is named, in this namespace",
	"CONTAINER_CONFIG":   "mend the container's securityContext and settings as the message says",
	"CONTAINER_ERROR":    "look at command, mounts and securityContext of the container",
	"SANDBOX_FAILED":     "look at the node's runtime, CNI and RuntimeClass as the message says",
	"NOT_READY":          "ask the readiness path yourself: kubectl port-forward, then curl",
	"UNSCHEDULABLE":      "lower the requests, mend selector or tolerations, or add a node that matches",
	"PVC_PENDING":        "look at the claim and its StorageClass: kubectl describe pvc",
	"QUOTA_EXCEEDED":     "raise the ResourceQuota, or lower replicas or requests",
	"LIMIT_RANGE":        "bring the requests and limits inside the LimitRange",
	"POD_SECURITY":       "mend the securityContext as the message says",
	"WEBHOOK":            "ask whoever runs the webhook that is named",
	"ADMISSION_POLICY":   "mend what the policy that is named asks for",
	"NODE_NOT_READY":     "look at the node, or take it out: kubectl describe node; kubectl delete node",
	"BROKEN_POD_BLOCKS":  "delete that pod: the controller then makes it anew, of the right revision",
	"PAUSED":             "let it go on: kubectl rollout resume",
	"ON_DELETE":          "delete the pods one by one, or set the updateStrategy RollingUpdate",
	"WRONG_IMAGE":        "somebody changed the image meanwhile: look at the workload's events",
	"TIMEOUT":            "look whether it still moves; if so, give it more --timeout",
	"NOT_STABLE":         "read the log above: it ran, and then it did not",
	"DELETED":            "find out who deleted it; nothing is left to wait for",
	"NOT_FOUND":          "look for it in the other namespaces: kubectl get -A",
}

// most is of how many distinct causes the story is told.
const most = 5

// report tells the story of each distinct cause. It has ten seconds: what cannot
// be read by then is left out, and the verdict stands.
func (f *follower) report(ctx context.Context, result *Result) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if len(result.Failures) == 0 {
		result.Failures = []Failure{{Code: result.Code, Cause: result.Cause, Pod: firstUnready(f.objects)}}
	}
	if f.objects.kindKnown() {
		for i := range result.Failures[:min(most, len(result.Failures))] {
			result.Failures[i].Report = f.tell(ctx, result.Failures[i])
		}
	}
}

func (f *follower) tell(ctx context.Context, failure Failure) *Report {
	report := &Report{Events: []string{}, Log: []string{}, Try: tries[failure.Code]}
	of := Reference{Kind: kindNames[f.objects.kind()], Name: f.objects.meta().Name, UID: string(f.objects.meta().UID)}
	var pod *corev1.Pod
	for _, candidate := range f.objects.Pods {
		if candidate.Name == failure.Pod {
			pod = candidate
			of = Reference{Kind: "Pod", Name: pod.Name, UID: string(pod.UID)}
		}
	}
	if newest := f.objects.newestSet(); pod == nil && newest != nil {
		of = Reference{Kind: "ReplicaSet", Name: newest.Name, UID: string(newest.UID)}
	}
	if report.Try == "" {
		report.Try = fmt.Sprintf("look closer: kubectl describe -n %s %s/%s", f.cluster.Namespace, strings.ToLower(of.Kind), of.Name)
	}
	events, err := eventsOf(ctx, f.cluster, of)
	if err != nil {
		report.Events = []string{"the events cannot be read: " + slipway.AsError(kube.Explain(err, "reading them")).Error()}
	} else {
		report.Events = warnings(events)
	}
	if pod != nil {
		report.Log, report.Previous = lastWords(ctx, f.cluster, pod, failure.Container)
		if len(report.Log) == 0 && strings.Contains(report.Try, "log above") {
			report.Try = fmt.Sprintf("it has written nothing: look at its command and how it ended: kubectl describe pod -n %s %s", f.cluster.Namespace, pod.Name)
		}
	}
	return report
}

// warnings tells each text once, the newest last.
func warnings(events []*corev1.Event) []string {
	counts := map[string]int32{}
	var order []string
	for _, event := range events {
		if event.Type != corev1.EventTypeWarning {
			continue
		}
		text := event.Reason + ": " + safe.Mask(strings.TrimSpace(event.Message))
		if counts[text] == 0 {
			order = append(order, text)
		}
		counts[text] += occurrences(event)
	}
	lines := []string{}
	for _, text := range order[max(0, len(order)-eventLines):] {
		if counts[text] > 1 {
			text = fmt.Sprintf("%s (%d times)", text, counts[text])
		}
		lines = append(lines, text)
	}
	return lines
}

// lastWords are those of the container in question: of the run that ended, where one
// has, for it may have been started again since it was seen.
func lastWords(ctx context.Context, cluster *kube.Cluster, pod *corev1.Pod, container string) (lines []string, previous bool) {
	ended := false
	for _, status := range containers(pod) {
		if container == "" && !status.Ready || status.Name == container {
			container, ended = status.Name, status.State.Terminated != nil || status.RestartCount > 0 && status.LastTerminationState.Terminated != nil
			break
		}
	}
	if container == "" {
		return []string{}, false
	}
	words := kube.LastWords(ctx, cluster, pod, container, ended)
	return words.Lines, words.Previous
}

func (r *Report) text(b *strings.Builder) {
	if len(r.Events) > 0 {
		fmt.Fprintln(b, "  events:")
		for _, event := range r.Events {
			fmt.Fprintf(b, "    %s\n", event)
		}
	}
	if len(r.Log) > 0 {
		which := "last lines"
		if r.Previous {
			which = "last lines before its restart"
		}
		fmt.Fprintf(b, "  %s:\n", which)
		for _, line := range r.Log {
			fmt.Fprintf(b, "    %s\n", line)
		}
	}
	fmt.Fprintf(b, "  try: %s\n", r.Try)
}

// newPodsWords are those of one of the new pods, which are all as they should be.
func (f *follower) newPodsWords(ctx context.Context) *kube.Words {
	pods := f.objects.newPods()
	if len(pods) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	words := kube.LastWords(ctx, f.cluster, pods[0], pods[0].Spec.Containers[0].Name, false)
	return &words
}

func firstUnready(o Objects) string {
	if o.kindKnown() {
		for _, pod := range o.newPods() {
			if !ready(pod) {
				return pod.Name
			}
		}
	}
	return ""
}
