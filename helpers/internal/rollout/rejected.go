package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// fallen is a pod of the new revision that is over as a whole: its controller makes another
// one in its place at once, so that no container and no pod waits for long enough to be judged.
type fallen struct {
	pod, node, reason, message string
	started                    bool // a container of it ran before
	well                       bool // all of them ended with 0
	at                         time.Time
}

const (
	rejections = 3                // as many make a row: the next pod often finds another node
	rejecting  = 10 * time.Second // for so long, from the first of the row to the last
	goingOn    = 30 * time.Second // and the last one not longer ago than this
)

// mourn notes the new pods that are over as a whole.
func (m *Memory) mourn(o Objects, first bool, now time.Time) {
	isNew := o.isNew()
	for _, pod := range o.Pods {
		if _, known := m.Fallen[pod.UID]; known || !over(pod) || !isNew(pod) {
			continue
		}
		at := now
		if first {
			at = pod.CreationTimestamp.Time
		}
		started := slices.ContainsFunc(containers(pod), func(s corev1.ContainerStatus) bool { return s.ContainerID != "" })
		message := pod.Status.Message
		if message == "" {
			message = howEnded(pod)
		}
		m.Fallen[pod.UID] = fallen{pod.Name, pod.Spec.NodeName, pod.Status.Reason, message, started, pod.Status.Phase == corev1.PodSucceeded, at}
	}
}

// admitted says that a new pod was taken where others were rejected: it may make it yet.
func (o Objects) admitted(failing *trouble) bool {
	return failing.Code == "POD_REJECTED" &&
		slices.ContainsFunc(o.newPods(), func(pod *corev1.Pod) bool { return pod.Status.StartTime != nil })
}

// howEnded tells of containers that ended and were not started again, as a restartPolicy or rules of their own ask for.
func howEnded(pod *corev1.Pod) string {
	var ends []string
	for _, status := range containers(pod) {
		if last := status.State.Terminated; last != nil && !initOnly(pod, status.Name) {
			ends = append(ends, fmt.Sprintf("the container %s has ended with exit code %d", status.Name, last.ExitCode))
		}
	}
	return strings.Join(ends, ", ")
}

// rejected is the trouble that the new pods fail as a whole, one after the other.
func rejected(o Objects, memory *Memory, now time.Time) *trouble {
	rows := map[string][]types.UID{}
	for uid, one := range memory.Fallen {
		if one.at.After(memory.Progress) && now.Sub(one.at) < 4*goingOn {
			rows[one.reason] = append(rows[one.reason], uid)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(rows)) {
		row := rows[reason]
		slices.SortFunc(row, func(a, b types.UID) int { return memory.Fallen[a].at.Compare(memory.Fallen[b].at) })
		uid := row[len(row)-1]
		first, last := memory.Fallen[row[0]], memory.Fallen[uid]
		if len(row) < rejections || last.at.Sub(first.at) < rejecting || now.Sub(last.at) > goingOn {
			continue
		}
		why := strings.TrimPrefix(last.message, "Pod was rejected: ")
		if !strings.HasPrefix(why, reason) { // the kubelet often begins with it
			why = strings.Trim(reason+": "+why, ": ")
		}
		code, cause := "POD_REJECTED", fmt.Sprintf("the kubelet of the node %s rejects each new pod: %s", last.node, why)
		switch {
		case last.well:
			code, cause = "POD_FAILED", "each new pod ends as a whole, and a service must go on: "+why
		case last.started:
			code, cause = "POD_FAILED", "each new pod fails as a whole: "+why
		}
		return &trouble{Failure: Failure{Code: code, Cause: cause, Pod: last.pod, Pods: len(row), Since: first.at, uid: uid}}
	}
	return nil
}
