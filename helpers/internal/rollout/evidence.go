package rollout

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/helpers/internal/kube"
)

// Reference names an object about which more is to be read.
type Reference struct {
	Kind, Name string
	UID        types.UID
}

// allNodes asks for the labels of the nodes, to tell which one comes nearest.
const allNodes = "Nodes"

var kindNames = map[string]string{Deployment: "Deployment", StatefulSet: "StatefulSet", DaemonSet: "DaemonSet"}

const (
	patience  = 5 * time.Second // what is younger explains itself
	curiosity = 3               // pods that are looked at more closely; the others are much the same
)

// Suspicious says whose events, claims and nodes are worth reading: those of some
// new pods that wait without saying why, and of a workload that lacks pods.
func Suspicious(o Objects, now time.Time) []Reference {
	var list []Reference
	held := o.Memory != nil && !o.Memory.Done.IsZero() && o.Criteria.Hold > 0
	if held || !o.seen() {
		return nil
	}
	if o.Deployment == nil && int32(len(o.active())) < counts(o).Desired {
		list = append(list, Reference{kindNames[o.kind()], o.meta().Name, o.meta().UID})
	}
	newer, older := o.split()
	if o.oneByOne() {
		newer = append(newer, older...)
	}
	pods := 0
	for _, pod := range newer {
		telling := killable(pod, now) || !ready(pod) && (mute(pod) || loops(pod) || isDropped(pod))
		if !telling || now.Sub(pod.CreationTimestamp.Time) < patience || pods == curiosity {
			continue
		}
		pods++
		list = append(list, Reference{"Pod", pod.Name, pod.UID})
		if pod.Spec.NodeName == "" {
			if c := condition(pod, corev1.PodScheduled); c != nil && strings.Contains(c.Message, byLabels) && pods == 1 {
				list = append(list, Reference{Kind: allNodes})
			}
			for _, volume := range pod.Spec.Volumes {
				if volume.PersistentVolumeClaim != nil {
					list = append(list, Reference{Kind: "PersistentVolumeClaim", Name: volume.PersistentVolumeClaim.ClaimName})
				}
			}
		} else if pod.Status.StartTime == nil || isDropped(pod) {
			list = append(list, Reference{Kind: "Node", Name: pod.Spec.NodeName})
		}
	}
	return list
}

// mute says that the pod's status does not tell why it waits, or not all of it.
func mute(pod *corev1.Pod) bool {
	if pod.Spec.NodeName == "" || pod.Status.StartTime == nil {
		return true
	}
	for _, status := range containers(pod) {
		waits := status.State.Waiting
		if waits == nil {
			continue
		}
		switch waits.Reason {
		case "", "ContainerCreating", "PodInitializing", "ErrImagePull", "ImagePullBackOff":
			return true
		}
	}
	return false
}

// loops says that a container ends again and again; its events tell what kills it, if anything does.
func loops(pod *corev1.Pod) bool {
	return slices.ContainsFunc(containers(pod), func(s corev1.ContainerStatus) bool { return s.RestartCount >= loop })
}

// gather reads what is suspicious. Nodes that may not be read are done without: the
// verdict then says less, and is not another one.
func gather(ctx context.Context, cluster *kube.Cluster, suspects []Reference) (Evidence, error) {
	var found Evidence
	for _, suspect := range suspects {
		err := found.add(ctx, cluster, suspect)
		ofNodes := suspect.Kind == "Node" || suspect.Kind == allNodes
		if err != nil && !apierrors.IsNotFound(err) && !(ofNodes && kube.IsDenied(err)) {
			return found, kube.Explain(err, "reading about "+suspect.Name)
		}
	}
	return found, nil
}

func (e *Evidence) add(ctx context.Context, cluster *kube.Cluster, suspect Reference) error {
	switch suspect.Kind {
	case "Node":
		node, err := cluster.Core().Nodes().Get(ctx, suspect.Name, metav1.GetOptions{})
		if err == nil {
			e.Nodes = append(e.Nodes, node)
		}
		return err
	case allNodes:
		nodes, err := labelsOfNodes(ctx, cluster)
		e.Labels = nodes
		return err
	}
	events, err := eventsOf(ctx, cluster, suspect)
	if err != nil {
		return err
	}
	e.Events = append(e.Events, events...)
	if suspect.Kind != "PersistentVolumeClaim" {
		return nil
	}
	claim, err := cluster.Core().PersistentVolumeClaims(cluster.Namespace).Get(ctx, suspect.Name, metav1.GetOptions{})
	if err == nil {
		e.Claims = append(e.Claims, claim)
	}
	return err
}

// eventsOf lists the events of one object, the newest last.
func eventsOf(ctx context.Context, cluster *kube.Cluster, of Reference) ([]*corev1.Event, error) {
	selector := fields.Set{"involvedObject.kind": of.Kind, "involvedObject.name": of.Name}
	if of.UID != "" {
		selector["involvedObject.uid"] = string(of.UID)
	}
	list, err := cluster.Core().Events(cluster.Namespace).List(ctx, metav1.ListOptions{FieldSelector: selector.String()})
	if err != nil {
		return nil, err
	}
	events := make([]*corev1.Event, 0, len(list.Items))
	for i := range list.Items {
		list.Items[i].ManagedFields = nil
		events = append(events, &list.Items[i])
	}
	sortEvents(events)
	return events, nil
}

// sortEvents puts the newest last.
func sortEvents(events []*corev1.Event) {
	slices.SortStableFunc(events, func(a, b *corev1.Event) int { return lastSeen(a).Compare(lastSeen(b)) })
}

// eventsOf are those of one pod or workload, not those of a former one of its name.
func (e Evidence) eventsOf(object metav1.Object) []*corev1.Event {
	var events []*corev1.Event
	for _, event := range e.Events {
		if event.InvolvedObject.UID == object.GetUID() {
			events = append(events, event)
		}
	}
	return events
}

func (e Evidence) claimsOf(pod *corev1.Pod) []*corev1.PersistentVolumeClaim {
	var claims []*corev1.PersistentVolumeClaim
	for _, volume := range pod.Spec.Volumes {
		for _, claim := range e.Claims {
			if volume.PersistentVolumeClaim != nil && volume.PersistentVolumeClaim.ClaimName == claim.Name {
				claims = append(claims, claim)
			}
		}
	}
	return claims
}

func (e Evidence) lastWarning(object metav1.Object, otherwise string) string {
	for _, event := range e.eventsOf(object) {
		if event.Type == corev1.EventTypeWarning || event.Reason == "ExternalProvisioning" {
			otherwise = event.Message
		}
	}
	return otherwise
}

// An event is counted by its count, or by its series where it was made by the newer interface.
func occurrences(event *corev1.Event) int32 {
	if event.Series != nil {
		return event.Series.Count
	}
	return max(event.Count, 1)
}

func firstSeen(event *corev1.Event) time.Time {
	if !event.FirstTimestamp.IsZero() {
		return event.FirstTimestamp.Time
	}
	return event.EventTime.Time
}

func lastSeen(event *corev1.Event) time.Time {
	switch {
	case event.Series != nil:
		return event.Series.LastObservedTime.Time
	case !event.LastTimestamp.IsZero():
		return event.LastTimestamp.Time
	}
	return firstSeen(event)
}

// current says that a controller's complaint is of now: its next try comes after
// 1000 s at the latest (client-go's workqueue.DefaultTypedControllerRateLimiter).
func current(event *corev1.Event, o Objects) bool {
	return lastSeen(event).After(o.Criteria.Start.Add(-1000 * time.Second))
}

// Events that only repeat what a pod's status says better, or that belong to its
// normal course.
var repeated = regexp.MustCompile(`^(Unhealthy|BackOff|Failed|FailedScheduling|ProbeWarning|DNSConfigForming|InspectFailed)$`)

// byEvents finds what holds up a pod whose containers do not say: a sandbox or a
// mount that does not come about, and any other Warning that repeats itself.
func byEvents(o Objects, pod *corev1.Pod) *trouble {
	var newest *corev1.Event
	times, first := map[string]int32{}, map[string]time.Time{} // by reason: the message may name another sandbox each time
	for _, event := range o.eventsOf(pod) {
		if event.Type == corev1.EventTypeNormal { // it went on after that: an image that is being pulled may take its time
			newest, times = nil, map[string]int32{}
			continue
		}
		if times[event.Reason] == 0 {
			first[event.Reason] = firstSeen(event)
		}
		if times[event.Reason] += occurrences(event); times[event.Reason] >= 2 && !repeated.MatchString(event.Reason) {
			newest = event
		}
	}
	switch {
	case newest == nil || !mute(pod):
		return nil
	case newest.Reason == "FailedCreatePodSandBox":
		return newTrouble("SANDBOX_FAILED", "the pod's sandbox cannot be made: "+newest.Message, pod, "", o.Criteria.Graces.Create).
			from(first[newest.Reason])
	}
	found := newTrouble("STUCK", newest.Reason+": "+newest.Message, pod, "", o.Criteria.Graces.Stuck).from(first[newest.Reason])
	found.room = true
	return found
}

// lastTold is the newest warning about a pod that says more than its status does.
func lastTold(o Objects, pod *corev1.Pod) string {
	told := ""
	for _, event := range o.eventsOf(pod) {
		if event.Type == corev1.EventTypeWarning && !repeated.MatchString(event.Reason) {
			told = event.Reason + ": " + event.Message
		}
	}
	return told
}
