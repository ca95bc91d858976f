package rollout

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Graces are how long each kind of trouble may last before it is a failure.
type Graces struct {
	PullRefused   time.Duration // a registry that says no, where the kubelet was not seen to try twice
	PullTransient time.Duration // a registry that does not answer
	Config        time.Duration // a Secret or ConfigMap that is not there
	Crash         time.Duration // a container that ends again and again
	Create        time.Duration // a container or its sandbox that cannot be made or run
	Unschedulable time.Duration // no node takes the pod
	Claim         time.Duration // a PersistentVolumeClaim that is not bound
	Quota         time.Duration // quota, LimitRange, Pod Security
	Webhook       time.Duration // an admission webhook or policy
	Stuck         time.Duration // nothing moves, for whatever reason
	Proof         time.Duration // not a grace: how long a container without a readiness probe has to run to count
}

// DefaultGraces are the defaults of the flags.
var DefaultGraces = Graces{
	PullRefused: 30 * time.Second, PullTransient: 2 * time.Minute, Config: 20 * time.Second, Create: time.Minute,
	Unschedulable: time.Minute, Claim: time.Minute, Quota: 30 * time.Second, Webhook: time.Minute, Stuck: 90 * time.Second,
	Proof: 6 * time.Second, // a program that finds no database has mostly ended by then
}

// trouble may become a failure when it lasts for its grace.
type trouble struct {
	Failure
	grace time.Duration
	began time.Time     // when the object itself says so; zero takes the first sighting
	times int32         // how often it was seen, where that counts; see often
	then  time.Duration // its grace from when it was seen often
	room  bool          // it may pass when the workload's pods that are on their way out leave their place
}

// endless is the grace of what is no failure, and told where the time is over before it ends.
const endless = time.Duration(math.MaxInt64)

func newTrouble(code, cause string, pod *corev1.Pod, container string, grace time.Duration) *trouble {
	return &trouble{Failure: Failure{Code: code, Cause: cause, Pod: pod.Name, Container: container, Pods: 1, uid: pod.UID}, grace: grace}
}

func (t *trouble) from(began time.Time) *trouble {
	t.began = began
	return t
}

// sightings keeps since when each trouble has been there. What was not renewed is
// forgotten: a trouble that comes back begins anew.
type sightings struct {
	before map[string]time.Time
	memory *Memory
	now    time.Time
}

func newSightings(memory *Memory, now time.Time) *sightings {
	s := &sightings{before: memory.Seen, memory: memory, now: now}
	memory.Seen = map[string]time.Time{}
	return s
}

// ripe says that the trouble has lasted for its grace, in which nothing moved.
func (s *sightings) ripe(t *trouble) bool {
	key := string(t.uid) + " " + t.Container + " " + t.Code
	since, known := s.before[key]
	if !known {
		since = s.now
	}
	s.memory.Seen[key] = since
	if !t.began.IsZero() && t.began.Before(since) {
		since = t.began
	}
	t.Since = later(since, s.memory.Progress)
	if t.room && s.memory.Left.After(since) {
		t.Since = later(t.Since, s.memory.Left)
		if t.Pod == "" { // the controller tries again after as long as it has been refused
			t.grace = max(t.grace, s.memory.Left.Sub(since))
		}
	}
	return t.grace == 0 || s.now.Sub(t.Since) >= t.grace
}

// troubles finds what is wrong, and whether that is final: where every new pod
// that is not ready has failed, and no other can still make it. Where some are
// ready, the rest get until nothing has moved for the stuck grace, except in a
// StatefulSet that waits for its pods one by one.
func troubles(o Objects, verdict Verdict, memory *Memory, now time.Time) (found []Failure, final bool) {
	if !o.seen() {
		return nothingSeen(o, memory, now)
	}
	seen := newSightings(memory, now)
	var all, ripe []*trouble
	unready, readyPods := 0, 0
	for _, pod := range o.newPods() {
		if runs(pod) && unproven(o, pod, memory, now) == "" {
			readyPods++
			continue
		}
		unready++
		if trouble := inspect(o, pod, memory, now); trouble != nil {
			all = append(all, trouble)
		}
	}
	counted(all)
	for _, trouble := range all {
		if seen.ripe(trouble) {
			ripe = append(ripe, trouble)
		}
	}
	stuck := memory.stuck(o.Criteria.Graces, now)
	if failing := rejected(o, memory, now); failing != nil {
		all = append(all, failing)
		if readyPods == 0 && !o.admitted(failing) || stuck || o.oneByOne() || o.Criteria.Any {
			return distinct(append(ripe, failing)), true
		}
	}
	refused := creation(o)
	if refused != nil {
		all = append(all, refused)
		if seen.ripe(refused) {
			return distinct(append(ripe, refused)), true
		}
	}
	if blocking := blocker(o, memory, seen); blocking != nil {
		return []Failure{blocking.Failure}, true
	}
	switch {
	case len(ripe) > 0 && o.Criteria.Any,
		len(ripe) > 0 && len(ripe) == unready && (readyPods == 0 || stuck || o.oneByOne()):
		return distinct(ripe), true
	case deadlineExceeded(o):
		return gaveUp(verdict, all), true
	case stuck && len(all) == 0 && idle(o, memory, now):
		still := now.Sub(later(memory.Begin, memory.Progress)).Round(time.Second)
		return []Failure{{Code: "STUCK", Cause: fmt.Sprintf("nothing has moved for %s: %s", still, standstill(o))}}, true
	}
	return distinct(all), false
}

// often is how often a restart that did not help, or a pull that was refused, has to be seen to be a failure at once: by all
// pods together, so that two of them need not wait for the kubelet to try again.
const often = 2

// counted gives what all pods together have seen often the grace that it has then.
func counted(all []*trouble) {
	times := map[string]int32{}
	for _, t := range all {
		times[t.like()] += t.times
	}
	for _, t := range all {
		if t.times > 0 && times[t.like()] >= often {
			t.grace = t.then
		}
	}
}

// like is the same for troubles of the same kind and cause, in whichever pod.
func (t *trouble) like() string {
	return t.Code + " " + t.Container + " " + strings.ReplaceAll(anonymous(t.Cause), anonymous(t.Pod), "")
}

// gaveUp tells the controller's own deadline, and before it what plainly stands in
// the way. What only has not moved yet is told with it, not instead of it.
func gaveUp(verdict Verdict, all []*trouble) []Failure {
	var plain []*trouble
	cause := fmt.Sprintf("the controller gave up after progressDeadlineSeconds: %d of %d pods are available", verdict.Available,
		verdict.Desired)
	for _, t := range all {
		if t.Code == "STUCK" {
			cause += "; " + t.Pod + ": " + t.Cause
		} else {
			plain = append(plain, t)
		}
	}
	return append(distinct(plain), Failure{Code: "DEADLINE_EXCEEDED", Cause: cause})
}

// nothingSeen is where the controller does not act on the change at all.
func nothingSeen(o Objects, memory *Memory, now time.Time) ([]Failure, bool) {
	if !memory.stuck(o.Criteria.Graces, now) {
		return nil, false
	}
	cause := fmt.Sprintf("no controller has taken up the change of %s for %s: is kube-controller-manager up?", o.name(),
		now.Sub(memory.Begin).Round(time.Second))
	return []Failure{{Code: "STUCK", Cause: cause}}, true
}

// idle says that every new pod that there is has been available, and none is on
// its way out within its own time: it is the controller's turn.
func idle(o Objects, memory *Memory, now time.Time) bool {
	for _, pod := range o.newPods() {
		if !sound(o, pod, memory, now) {
			return false
		}
	}
	return !o.leaving(now)
}

// leaving says that a pod of any revision is on its way out, within its own time: its
// deletionTimestamp is the end of its terminationGracePeriod.
func (o Objects) leaving(now time.Time) bool {
	return slices.ContainsFunc(o.Pods, func(pod *corev1.Pod) bool {
		return pod.DeletionTimestamp != nil && o.owns(pod) && now.Before(pod.DeletionTimestamp.Add(settle))
	})
}

// standstill tells what may be why the controller does not go on.
func standstill(o Objects) string {
	var ended *corev1.Pod
	for _, pod := range o.Pods {
		switch {
		case !o.owns(pod):
		case pod.DeletionTimestamp != nil:
			finalizers := append(pod.Finalizers, "none")[:max(1, len(pod.Finalizers))]
			return fmt.Sprintf("%s has been terminating beyond its time, on the node %s (finalizers: %s)", pod.Name, pod.Spec.NodeName,
				strings.Join(finalizers, ", "))
		case over(pod) && (ended == nil || ended.CreationTimestamp.Before(&pod.CreationTimestamp)):
			ended = pod
		}
	}
	if ended != nil {
		return fmt.Sprintf("the last pod, %s, failed: %s", ended.Name, strings.TrimSpace(ended.Status.Reason+" "+ended.Status.Message))
	}
	return "the controller makes no pod and does not say why: is kube-controller-manager up?"
}

// distinct tells each cause once, with one pod that shows it and how many there are.
func distinct(troubles []*trouble) []Failure {
	var failures []Failure
	index := map[string]int{}
	for _, t := range troubles {
		if at, known := index[t.like()]; known {
			failures[at].Pods += t.Pods
			continue
		}
		index[t.like()] = len(failures)
		failures = append(failures, t.Failure)
	}
	return failures
}

// oneByOne says that the controller goes no further before each pod is ready.
// https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#deployment-and-scaling-guarantees
func (o Objects) oneByOne() bool {
	return o.StatefulSet != nil && o.StatefulSet.Spec.PodManagementPolicy != appsv1.ParallelPodManagement
}

// blocker is a broken pod of another revision that the controller of an
// OrderedReady StatefulSet waits for in vain, also after an undo
// (https://github.com/kubernetes/kubernetes/issues/67250).
func blocker(o Objects, memory *Memory, seen *sightings) *trouble {
	if !o.oneByOne() || !o.seen() {
		return nil
	}
	_, older := o.split()
	for _, pod := range older {
		if ready(pod) {
			continue
		}
		broken := inspect(o, pod, memory, seen.now)
		if broken == nil {
			continue
		}
		broken.grace = max(broken.grace, settle/2) // the controller deletes within moments what it can
		broken.Cause = fmt.Sprintf("%s is broken and of another revision (%s: %s), and OrderedReady waits for it for ever: "+
			"kubectl delete pod -n %s %s", pod.Name, broken.Code, broken.Cause, pod.Namespace, pod.Name)
		broken.Code = "BROKEN_POD_BLOCKS"
		if seen.ripe(broken) {
			return broken
		}
	}
	return nil
}

// creation is the controller's complaint that it cannot make pods of the new revision.
func creation(o Objects) *trouble {
	complaint := ""
	switch {
	case o.Deployment != nil:
		complaint = o.deploymentComplaint()
	case int32(len(o.active())) < counts(o).Desired:
		complaint = o.createEvents()
	}
	if complaint == "" {
		return nil
	}
	code, grace := refusal(complaint, o.Criteria.Graces)
	return &trouble{Failure: Failure{Code: code, Cause: "pods cannot be created: " + complaint}, grace: grace, room: code == "QUOTA_EXCEEDED"}
}

// createEvents is what the controller of a StatefulSet or DaemonSet says by its events, as long as it has created no pod since.
func (o Objects) createEvents() string {
	complaint, at := "", time.Time{}
	for _, event := range o.eventsOf(o.meta()) {
		switch {
		case event.Reason == "FailedCreate" && current(event, o):
			complaint, at = event.Message, lastSeen(event)
		case event.Reason == "SuccessfulCreate" && lastSeen(event).After(at):
			complaint = ""
		}
	}
	return complaint
}

func (o Objects) deploymentComplaint() string {
	newest := o.NewReplicaSet()
	if newest == nil {
		for _, c := range o.Deployment.Status.Conditions {
			if c.Type == appsv1.DeploymentProgressing && c.Reason == "ReplicaSetCreateError" {
				return c.Message
			}
		}
		return ""
	}
	for _, c := range newest.Status.Conditions {
		if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
			return c.Message
		}
	}
	return ""
}

var limitRange = regexp.MustCompile(`(?i)(maximum|minimum) \S+ usage per|max limit to request ratio`)

// refusal tells which admission refused a pod, by the API server's own words.
func refusal(message string, graces Graces) (code string, grace time.Duration) {
	switch {
	case strings.Contains(message, "exceeded quota"), strings.Contains(message, "failed quota"):
		return "QUOTA_EXCEEDED", graces.Quota
	case strings.Contains(message, "violates PodSecurity"):
		return "POD_SECURITY", graces.Quota
	case limitRange.MatchString(message):
		return "LIMIT_RANGE", graces.Quota
	case strings.Contains(message, "admission webhook"), strings.Contains(message, "failed calling webhook"):
		return "WEBHOOK", graces.Webhook
	case strings.Contains(message, "ValidatingAdmissionPolicy"):
		return "ADMISSION_POLICY", graces.Webhook
	}
	return "STUCK", graces.Stuck
}

// deadlineExceeded says that the controller itself gave up after we began. What
// it said before is not believed: it stays after an undo.
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#progress-deadline-seconds
func deadlineExceeded(o Objects) bool {
	if o.Deployment == nil {
		return false
	}
	for _, c := range o.Deployment.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" && c.LastUpdateTime.After(o.Criteria.Start) {
			return true
		}
	}
	return false
}
