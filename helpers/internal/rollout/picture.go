package rollout

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Picture shows how old and new pods stand, of several workloads at once.
type Picture struct {
	lock  sync.Mutex
	order []string
	of    map[string][]string
}

// NewPicture is empty until something is shown.
func NewPicture(targets []Target) *Picture {
	p := &Picture{of: map[string][]string{}}
	for _, target := range targets {
		p.order = append(p.order, target.String())
	}
	return p
}

// Show takes in how one workload stands now, and shows all.
func (p *Picture) Show(progress *slipway.Progress, now time.Time, v Verdict, o Objects) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.of[v.Workload] = drawing(v, o)
	// The first line is all that a pipe gets: it tells of all workloads.
	var first, lines []string
	for _, name := range p.order {
		if drawn := p.of[name]; drawn != nil {
			first, lines = append(first, drawn[0]), append(lines, drawn...)
		}
	}
	if !progress.Terminal() {
		lines = []string{strings.Join(first, "; ")}
	}
	progress.Picture(now, lines)
}

// drawing is one line on the workload, then one on the pods of each revision, and
// one on each trouble.
func drawing(v Verdict, o Objects) []string {
	lines := []string{fmt.Sprintf("%s: %s (new %d, available %d, of %d)", v.Workload, v.Cause, v.Updated, v.Available, v.Desired)}
	if !o.kindKnown() {
		return lines
	}
	newer, older := o.split()
	for _, side := range []struct {
		name string
		pods []*corev1.Pod
	}{{"new", newer}, {"old", older}} {
		if len(side.pods) > 0 {
			lines = append(lines, "  "+side.name+"  "+strip(side.pods))
		}
	}
	for _, failure := range v.Failures {
		lines = append(lines, fmt.Sprintf("  !    %s: %s", failure.Code, strings.ReplaceAll(failure.Cause, "\n", " ")))
	}
	return lines
}

// widest is how many pods are drawn one by one.
const widest = 40

// strip draws each pod: ● ready, ◐ running, ○ not running yet, ✗ in trouble; and
// says how many are in which state.
func strip(pods []*corev1.Pod) string {
	marks, counted := "", map[string]int{}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	for i, pod := range pods {
		mark, state := stateOf(pod)
		counted[state]++
		if i < widest {
			marks += mark
		}
	}
	var states []string
	for state, count := range counted {
		states = append(states, fmt.Sprintf("%d %s", count, state))
	}
	slices.Sort(states)
	return marks + "  " + strings.Join(states, ", ")
}

func stateOf(pod *corev1.Pod) (mark, state string) {
	if ready(pod) {
		return "●", "ready"
	}
	for _, status := range containers(pod) {
		if waiting := status.State.Waiting; waiting != nil && waiting.Reason != "" && waiting.Reason != "ContainerCreating" &&
			waiting.Reason != "PodInitializing" {
			return "✗", waiting.Reason
		}
	}
	if pod.Status.Phase == corev1.PodRunning {
		return "◐", "running"
	}
	return "○", "pending"
}
