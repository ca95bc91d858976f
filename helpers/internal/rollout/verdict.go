package rollout

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// State of a verdict.
type State string

// A rollout goes on until it is done or has failed.
const (
	Progressing State = "progressing"
	Done        State = "done"
	Failed      State = "failed"
)

// Criteria are what a caller asks beyond the workload's own status.
type Criteria struct {
	Start        time.Time           // older complaints of the controller are not believed
	Image        string              // a digest that every new pod must run, or empty
	MinAvailable *intstr.IntOrString // done already with this many, or nil
	Hold         time.Duration       // done only if it then stays so
	Graces       Graces
}

// Verdict is the judgement of one instant.
type Verdict struct {
	State     State  `json:"state"`
	Workload  string `json:"workload"`
	Code      string `json:"code,omitempty"` // stable, such as CRASH_LOOP
	Cause     string `json:"cause"`          // one sentence
	Pod       string `json:"pod,omitempty"`
	Container string `json:"container,omitempty"`
	Updated   int32  `json:"updated"`
	Available int32  `json:"available"`
	Desired   int32  `json:"desired"`
	Revision  string `json:"revision,omitempty"`
}

// Memory is what Compute has to know of earlier instants.
type Memory struct {
	Seen         map[string]time.Time // since when a signal has been there
	Most         int32                // the most available new pods so far
	Progress     time.Time            // when that last grew, or the revision changed
	Revision     string
	DoneSince    time.Time
	DoneRestarts int32
}

// Compute judges a workload by what the API server shows at one instant. It is
// pure: all it remembers is in the Memory that it gets and gives back.
//
// Completion comes before every complaint: a ProgressDeadlineExceeded stays
// after an undo to an old ReplicaSet (https://github.com/kubernetes/kubernetes/issues/49637).
func Compute(o Objects, now time.Time) (Verdict, *Memory) {
	memory := remember(o, now)
	verdict := counts(o)
	verdict.Revision = memory.Revision
	blocked, waiting := complete(o, verdict)
	switch {
	case blocked != nil:
		verdict.State, verdict.Code, verdict.Cause = Failed, blocked.code, blocked.message
		return verdict, memory
	case waiting == "":
		return hold(o, verdict, memory, now), memory
	}
	restarts := restarts(o.newPods())
	if !memory.DoneSince.IsZero() && o.Criteria.Hold > 0 {
		verdict.State, verdict.Code = Failed, "NOT_STABLE"
		verdict.Cause = fmt.Sprintf("it was done, and after %s it was not any more: %s (%d restarts)", now.Sub(memory.DoneSince).Round(time.Second), waiting, restarts-memory.DoneRestarts)
		return verdict, memory
	}
	verdict.State, verdict.Cause = Progressing, waiting
	if failure := failed(o, memory, now); failure != nil {
		verdict.State, verdict.Code, verdict.Cause = Failed, failure.code, failure.message
		verdict.Pod, verdict.Container = failure.pod, failure.container
	}
	return verdict, memory
}

func hold(o Objects, verdict Verdict, memory *Memory, now time.Time) Verdict {
	restarted := restarts(o.newPods())
	if memory.DoneSince.IsZero() {
		memory.DoneSince, memory.DoneRestarts = now, restarted
	}
	if held := now.Sub(memory.DoneSince); restarted > memory.DoneRestarts && o.Criteria.Hold > 0 {
		verdict.State, verdict.Code = Failed, "NOT_STABLE"
		verdict.Cause = fmt.Sprintf("a container restarted %s after the rollout was done", held.Round(time.Second))
	} else if held < o.Criteria.Hold {
		verdict.State, verdict.Cause = Progressing, fmt.Sprintf("done, and has to stay so for another %s", (o.Criteria.Hold-held).Round(time.Second))
	} else {
		verdict.State, verdict.Cause = Done, fmt.Sprintf("%d of %d available", verdict.Available, verdict.Desired)
	}
	return verdict
}

func remember(o Objects, now time.Time) *Memory {
	_, hash, _ := o.revision()
	before := o.Memory
	if before == nil || before.Revision != hash {
		return &Memory{Seen: map[string]time.Time{}, Most: int32(availableNew(o)), Progress: now, Revision: hash}
	}
	memory := *before
	memory.Seen = map[string]time.Time{}
	for key, since := range before.Seen {
		memory.Seen[key] = since
	}
	if available := int32(availableNew(o)); available > memory.Most {
		memory.Most, memory.Progress = available, now
	}
	return &memory
}

func restarts(pods []*corev1.Pod) int32 {
	var sum int32
	for _, pod := range pods {
		for _, status := range containers(pod) {
			sum += status.RestartCount
		}
	}
	return sum
}

func counts(o Objects) Verdict {
	verdict := Verdict{Workload: o.name()}
	switch {
	case o.Deployment != nil:
		status := o.Deployment.Status
		verdict.Updated, verdict.Available, verdict.Desired = status.UpdatedReplicas, status.AvailableReplicas, replicas(o.Deployment.Spec.Replicas)
	case o.StatefulSet != nil:
		status := o.StatefulSet.Status
		verdict.Updated, verdict.Available, verdict.Desired = status.UpdatedReplicas, status.AvailableReplicas, replicas(o.StatefulSet.Spec.Replicas)
	default:
		status := o.DaemonSet.Status
		verdict.Updated, verdict.Available, verdict.Desired = status.UpdatedNumberScheduled, status.NumberAvailable, status.DesiredNumberScheduled
	}
	return verdict
}

func replicas(spec *int32) int32 {
	if spec == nil {
		return 1
	}
	return *spec
}

// complete says what is still waited for, or nothing; blocked is what waiting
// cannot end.
func complete(o Objects, v Verdict) (blocked *failure, waiting string) {
	switch {
	case o.Deployment != nil:
		blocked, waiting = completeDeployment(o.Deployment, v)
	case o.StatefulSet != nil:
		blocked, waiting = completeStatefulSet(o.StatefulSet, v)
	default:
		blocked, waiting = completeDaemonSet(o.DaemonSet, v)
	}
	if waiting != "" && o.Criteria.MinAvailable != nil && o.seen() {
		if least, err := intstr.GetScaledValueFromIntOrPercent(o.Criteria.MinAvailable, int(v.Desired), true); err == nil && availableNew(o) >= least {
			waiting = ""
		}
	}
	if blocked != nil || o.Criteria.Image == "" {
		return blocked, waiting
	}
	wanted := false
	for _, container := range o.template().Spec.Containers {
		wanted = wanted || digest(container.Image) == o.Criteria.Image
	}
	if !wanted {
		return &failure{code: "WRONG_IMAGE", message: fmt.Sprintf("no container of %s has the image %s", o.name(), o.Criteria.Image)}, ""
	}
	if waiting != "" {
		return nil, waiting
	}
	for _, pod := range o.newPods() {
		if ready(pod) && !runs(pod, o.Criteria.Image) {
			return nil, fmt.Sprintf("%s does not say yet that it runs %s", pod.Name, o.Criteria.Image)
		}
	}
	return nil, ""
}

// seen says that the controller knows of the newest change.
func (o Objects) seen() bool {
	switch {
	case o.Deployment != nil:
		return o.Deployment.Status.ObservedGeneration >= o.Deployment.Generation
	case o.StatefulSet != nil:
		return o.StatefulSet.Status.ObservedGeneration >= o.StatefulSet.Generation
	default:
		return o.DaemonSet.Status.ObservedGeneration >= o.DaemonSet.Generation
	}
}

func availableNew(o Objects) int {
	count := 0
	for _, pod := range o.newPods() {
		if ready(pod) {
			count++
		}
	}
	return count
}

func runs(pod *corev1.Pod, want string) bool {
	for _, status := range pod.Status.ContainerStatuses {
		if digest(status.ImageID) == want {
			return true
		}
	}
	return false
}

// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#complete-deployment
func completeDeployment(d *appsv1.Deployment, v Verdict) (*failure, string) {
	if d.Spec.Paused {
		return &failure{code: "PAUSED", message: fmt.Sprintf("deployment/%s is paused, and never ends: kubectl rollout resume deployment/%s", d.Name, d.Name)}, ""
	}
	if d.Status.ObservedGeneration < d.Generation {
		return nil, "the controller has not seen the change yet"
	}
	return nil, enough(v, d.Status.Replicas)
}

func enough(v Verdict, total int32) string {
	switch {
	case v.Updated < v.Desired:
		return fmt.Sprintf("%d of %d pods are new", v.Updated, v.Desired)
	case total > v.Updated:
		return fmt.Sprintf("%d old pods are still there", total-v.Updated)
	case v.Available < v.Desired:
		return fmt.Sprintf("%d of %d new pods are available", v.Available, v.Desired)
	}
	return ""
}

// https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#update-strategies
func completeStatefulSet(s *appsv1.StatefulSet, v Verdict) (*failure, string) {
	if s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return &failure{code: "ON_DELETE", message: fmt.Sprintf("statefulset/%s is updated only when its pods are deleted by hand (OnDelete)", s.Name)}, ""
	}
	if s.Status.ObservedGeneration < s.Generation {
		return nil, "the controller has not seen the change yet"
	}
	if rolling := s.Spec.UpdateStrategy.RollingUpdate; rolling != nil && rolling.Partition != nil && *rolling.Partition > 0 {
		if wanted := v.Desired - *rolling.Partition; v.Updated < wanted {
			return nil, fmt.Sprintf("%d of %d pods from the partition on are new", v.Updated, wanted)
		}
		if v.Available < v.Desired {
			return nil, fmt.Sprintf("%d of %d pods are available", v.Available, v.Desired)
		}
		return nil, ""
	}
	if s.Status.UpdateRevision != s.Status.CurrentRevision && v.Updated < v.Desired {
		return nil, fmt.Sprintf("%d of %d pods are new", v.Updated, v.Desired)
	}
	v.Updated = v.Desired
	return nil, enough(v, s.Status.Replicas)
}

// https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/
func completeDaemonSet(d *appsv1.DaemonSet, v Verdict) (*failure, string) {
	if d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		return &failure{code: "ON_DELETE", message: fmt.Sprintf("daemonset/%s is updated only when its pods are deleted by hand (OnDelete)", d.Name)}, ""
	}
	if d.Status.ObservedGeneration < d.Generation {
		return nil, "the controller has not seen the change yet"
	}
	return nil, enough(v, v.Updated)
}
