package rollout

import (
	"context"
	"fmt"
	"regexp"
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
	Previous bool     `json:"previous"`         // the log is that of the container before its restart
	Unread   string   `json:"unread,omitempty"` // why there is no log to show, where that is not because nothing was written
	Try      string   `json:"try"`
}

// tries says for each code what to do next; the others are looked at with kubectl describe.
var tries = map[string]string{
	"INVALID_IMAGE_NAME": "correct the name of the image in the workload",
	"IMAGE_NOT_FOUND":    "check that it was pushed to this registry: nexus-latest-tag, image-evidence list",
	"IMAGE_PULL_DENIED":  "check that the Secret that imagePullSecrets names exists in this namespace, and that its login may pull",
	"IMAGE_PULL_FAILED":  "check that the node reaches the registry and trusts its certificate",
	"IMAGE_NEVER_PULL":   "load the image onto the node, or allow it to be pulled",
	"IMAGE_MISMATCH":     "compare the imageID with the digest that was pushed: another manifest may have the same content",
	"CRASH_LOOP":         "read the log above: it is what the container wrote last",
	"CONTAINER_ENDED":    "read the log above: a service must go on; check its restartPolicy",
	"OOM_KILLED":         "raise resources.limits.memory, or find out what grew",
	"CONFIG_MISSING":     "create the Secret or ConfigMap, or the key, that is named, in this namespace",
	"CONTAINER_CONFIG":   "correct the container's securityContext and settings as the message says",
	"CONTAINER_ERROR":    "check the command, the mounts and the securityContext of the container",
	"SANDBOX_FAILED":     "check the node's container runtime, CNI and RuntimeClass as the message says",
	"NOT_READY":          "request the readiness path yourself: kubectl port-forward, then curl",
	"UNSCHEDULABLE":      "correct the selector, the affinity, the tolerations or the requests, or label or add a node that matches",
	"PVC_PENDING":        "check the claim and its StorageClass: kubectl describe pvc",
	"QUOTA_EXCEEDED":     "raise the ResourceQuota, or lower replicas or requests",
	"LIMIT_RANGE":        "bring the requests and limits inside the LimitRange",
	"POD_SECURITY":       "correct the securityContext as the message says",
	"WEBHOOK":            "ask the team that runs the webhook that is named",
	"ADMISSION_POLICY":   "change the pod as the policy that is named requires",
	"NODE_NOT_READY":     "look at the node: kubectl describe node; the pod starts when its kubelet answers again",
	"BROKEN_POD_BLOCKS":  "delete that pod: its controller then creates it again from the current revision",
	"PAUSED":             "resume it: kubectl rollout resume",
	"ON_DELETE":          "delete the pods one by one, or set the updateStrategy RollingUpdate",
	"WRONG_IMAGE":        "another change replaced the image: see the events of the workload",
	"TIMEOUT":            "check whether it still progresses; if so, raise --timeout",
	"NOT_STABLE":         "read the log above: it became ready and then did not stay so",
	"DELETED":            "find out who deleted it: there is nothing left to wait for",
	"POD_REJECTED":       "change what the pod asks for as the message says, or run it on a node that admits it",
	"POD_FAILED":         "see why the pods fail as a whole: kubectl describe pod",
	"NO_PODS":            "scale it up; where 0 pods are intended, wait without --image, --hold, --min-available and --mark-good",
	"NOT_FOUND":          "look for it in the other namespaces: kubectl get -A",
}

// most is of how many distinct causes the story is told.
const most = 5

// reporting is how long the story may take: an API server that is busy answers later. What
// cannot be read by then is left out, and the verdict stands.
const reporting = 3 * requestTimeout

// report tells the story of each distinct cause.
func (f *follower) report(ctx context.Context, result *Result) {
	ctx, cancel := context.WithTimeout(ctx, reporting)
	defer cancel()
	if len(result.Failures) == 0 {
		result.Failures = []Failure{unreadyOf(f.objects, Failure{Code: result.Code, Cause: result.Cause})}
	}
	if f.objects.kindKnown() {
		for i := range result.Failures[:min(most, len(result.Failures))] {
			result.Failures[i].Report = f.tell(ctx, result.Failures[i])
		}
	}
}

func (f *follower) tell(ctx context.Context, failure Failure) *Report {
	report := &Report{Events: []string{}, Log: []string{}, Try: tries[failure.Code]}
	of := Reference{Kind: kindNames[f.objects.kind()], Name: f.objects.meta().Name, UID: f.objects.meta().UID}
	var pod *corev1.Pod
	for _, candidate := range f.objects.Pods {
		if candidate.UID == failure.uid {
			pod = candidate
			of = Reference{Kind: "Pod", Name: pod.Name, UID: pod.UID}
		}
	}
	if newest := f.objects.newestSet(); pod == nil && newest != nil {
		of = Reference{Kind: "ReplicaSet", Name: newest.Name, UID: newest.UID}
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
		words := lastWords(ctx, f.cluster, pod, failure.Container)
		report.Log, report.Previous, report.Unread = words.Lines, words.Previous, words.Unread
		if len(report.Log) == 0 && strings.Contains(report.Try, "log above") {
			report.Try = fmt.Sprintf("look at its command and how it ended: kubectl describe pod -n %s %s", f.cluster.Namespace, pod.Name)
			if report.Unread == "" {
				report.Try = "it has written nothing: " + report.Try
			}
		}
	}
	return report
}

// warnings tells each text once, the newest last.
func warnings(events []*corev1.Event) []string {
	type told struct {
		text  string // the newest
		names int    // how many texts differ in the pod's name only
		count int32
	}
	known := map[string]*told{}
	var order []*told
	for _, event := range events {
		if event.Type != corev1.EventTypeWarning {
			continue
		}
		text := event.Reason + ": " + safe.Line(safe.Mask(strings.TrimSpace(event.Message)))
		like := anonymous(text)
		if known[like] == nil {
			known[like] = &told{}
			order = append(order, known[like])
		}
		if one := known[like]; one.text != text {
			one.text, one.names = text, one.names+1
		}
		known[like].count += occurrences(event)
	}
	lines := []string{}
	for _, one := range order[max(0, len(order)-eventLines):] {
		switch {
		case one.names > 1:
			one.text = fmt.Sprintf("%s (%d times, for %d pods)", one.text, one.count, one.names)
		case one.count > 1:
			one.text = fmt.Sprintf("%s (%d times)", one.text, one.count)
		}
		lines = append(lines, one.text)
	}
	return lines
}

// generated are the five letters that a controller puts at the end of a pod's name
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/), and a UID.
var generated = regexp.MustCompile(`-[bcdfghjklmnpqrstvwxz2456789]{5}(\b|_)|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`)

// anonymous is a text without what differs from pod to pod of the same kind.
func anonymous(text string) string { return generated.ReplaceAllString(text, "-*$1") }

// emptiest are warnings that only repeat that a try failed.
var emptiest = regexp.MustCompile(`^(Failed: Error: |BackOff: |the events cannot be read: )`)

// mostTelling is the newest of the warnings that say most: what the kubelet could not
// read comes before what failed for want of it, and that before the bare failure.
func mostTelling(events []string) string {
	best, rank := "", -1
	for _, event := range events {
		of := 1
		switch {
		case strings.HasPrefix(event, "FailedToRetrieveImagePullSecret: "):
			of = 2
		case emptiest.MatchString(event):
			of = 0
		}
		if of >= rank {
			best, rank = event, of
		}
	}
	return best
}

// lastWords are those of the container in question, of the last run that has ended.
func lastWords(ctx context.Context, cluster *kube.Cluster, pod *corev1.Pod, container string) kube.Words {
	if container == "" {
		for _, status := range containers(pod) {
			if !status.Ready {
				container = status.Name
				break
			}
		}
	}
	if container == "" {
		return kube.Words{Lines: []string{}}
	}
	return kube.LastWords(ctx, cluster, pod, container, restarted(pod, container))
}

// restarted says that the container runs or waits again after an end: its last words are
// those of the run before. Where it has just ended they are those of the present run.
func restarted(pod *corev1.Pod, container string) bool {
	for _, status := range containers(pod) {
		if status.Name == container {
			return status.State.Terminated == nil && status.LastTerminationState.Terminated != nil
		}
	}
	return false
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
	if r.Unread != "" {
		fmt.Fprintf(b, "  the log cannot be read: %s\n", r.Unread)
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

// unreadyOf names a new pod that is not ready, where there is one.
func unreadyOf(o Objects, failure Failure) Failure {
	if o.kindKnown() {
		for _, pod := range o.newPods() {
			if !runs(pod) {
				failure.Pod, failure.uid = pod.Name, pod.UID
				break
			}
		}
	}
	return failure
}
