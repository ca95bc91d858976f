package rollout

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func event(pod, field, kind, reason, message string, at time.Duration) *corev1.Event {
	return &corev1.Event{Type: kind, Reason: reason, Message: message, Count: 3, FirstTimestamp: metav1.NewTime(start),
		LastTimestamp:  metav1.NewTime(start.Add(at)),
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", UID: types.UID(pod), FieldPath: field}}
}

func TestWhatTheKubeletKilledIsToldByItsEvents(t *testing.T) {
	probe, hook := &corev1.Probe{}, &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{}}
	killing := func(message string) []*corev1.Event {
		return []*corev1.Event{
			event("a", "spec.containers{app}", "Warning", "Unhealthy", "Liveness probe failed: connection refused", time.Minute),
			event("a", "spec.containers{app}", "Warning", "Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 500", time.Minute),
			event("a", "spec.containers{app}", "Normal", "Killing", message, time.Minute),
		}
	}
	for name, test := range map[string]struct {
		container corev1.Container
		exit      int32
		reason    string
		events    []*corev1.Event
		code      string
		says      string
		late      bool // an event may still come
	}{
		"a startup probe": {corev1.Container{StartupProbe: probe}, 137, "Error",
			killing("Container app failed startup probe, will be restarted"), "CRASH_LOOP",
			"its startup probe fails (Startup probe failed: HTTP probe failed with statuscode: 500)", false},
		"of a sidecar": {corev1.Container{StartupProbe: probe}, 137, "Error", killing("Init container app failed startup probe"),
			"CRASH_LOOP", "its startup probe fails", false},
		"a liveness probe": {corev1.Container{LivenessProbe: probe}, 0, "Completed",
			killing("Container app failed liveness probe, will be restarted"), "CRASH_LOOP",
			"its liveness probe fails (Liveness probe failed: connection refused)", false},
		"a hook": {corev1.Container{Lifecycle: hook}, 137, "Error", []*corev1.Event{event("a", "spec.containers{app}", "Warning",
			"FailedPostStartHook", "PostStartHook failed", time.Minute)},
			"CRASH_LOOP", "its postStart hook fails (FailedPostStartHook)", false},
		"another container's event": {corev1.Container{LivenessProbe: probe}, 7, "Error", []*corev1.Event{event("a", "spec.containers{other}",
			"Normal", "Killing", "Container other failed liveness probe", time.Minute)},
			"CRASH_LOOP", "ends with exit code 7 again and again", false},
		"an event from before that run": {corev1.Container{LivenessProbe: probe}, 7, "Error",
			[]*corev1.Event{event("a", "spec.containers{app}", "Normal", "Killing", "Container app failed liveness probe", -time.Hour)},
			"CRASH_LOOP", "ends with exit code 7 again and again", false},
		"another pod's event": {corev1.Container{LivenessProbe: probe}, 7, "Error", []*corev1.Event{event("b", "spec.containers{app}",
			"Normal", "Killing", "Container app failed liveness probe", time.Minute)},
			"CRASH_LOOP", "ends with exit code 7 again and again", false},
		"memory, whatever its probe": {corev1.Container{LivenessProbe: probe}, 137, "OOMKilled",
			killing("Container app failed liveness probe"), "OOM_KILLED", "needs more memory", false},
		"no event, and a probe": {corev1.Container{LivenessProbe: probe}, 137, "Error", nil, "CRASH_LOOP",
			"where memory ran out, or because of its liveness probe, where that failed", true},
		"no event, probe, and 0": {corev1.Container{LivenessProbe: probe}, 0, "Completed", nil, "CRASH_LOOP",
			"exit code 0 again and again, or because of its liveness probe", true},
		"no event, and a hook": {corev1.Container{Lifecycle: hook}, 137, "Error", nil, "CRASH_LOOP", "its postStart hook", true},
		"none of these, and 0": {corev1.Container{}, 0, "Completed", nil, "CRASH_LOOP",
			"exit code 0 again and again: a service must go on", false},
		"none of these, and SIGTERM": {corev1.Container{}, 143, "Error", nil, "CRASH_LOOP", "exit code 143 (signal 15)", false},
		"an event from before, and a signal": {corev1.Container{LivenessProbe: probe}, 143, "Error",
			[]*corev1.Event{event("a", "spec.containers{app}", "Normal", "Killing", "Container app failed liveness probe", -time.Hour)},
			"CRASH_LOOP", "or because of its liveness probe", true},
	} {
		w := rollingOut().status(1, 3, 4).pod("new", "a", waitsFor("CrashLoopBackOff", "", 2))
		test.container.Name = "app"
		w.Pods[0].Spec.Containers[0] = test.container
		*w.Pods[0].Status.ContainerStatuses[0].LastTerminationState.Terminated = corev1.ContainerStateTerminated{ExitCode: test.exit,
			Reason: test.reason, StartedAt: metav1.NewTime(start)}
		w.Events = test.events
		verdict := w.judge(time.Minute)
		if test.late {
			assert.Equal(t, Progressing, verdict.State, name)
			verdict = w.judge(time.Minute+telling, time.Minute+3*telling)
		}
		assert.Equal(t, test.code, verdict.Code, name)
		assert.Contains(t, verdict.Cause, test.says, name)
	}

	w := rollingOut().status(1, 3, 4).pod("new", "a", waitsFor("CrashLoopBackOff", "", 2))
	w.Pods[0].Spec.Containers[0].LivenessProbe = probe
	*w.Pods[0].Status.ContainerStatuses[0].LastTerminationState.Terminated = corev1.ContainerStateTerminated{ExitCode: 137,
		StartedAt: metav1.NewTime(start)}
	w.Events = []*corev1.Event{event("a", "spec.containers{app}", "Normal", "Started", "Started container app", -time.Second)}
	assert.Equal(t, Progressing, w.judge(time.Minute, time.Minute+3*telling-time.Second).State, "no event of that run has come")
	w.Events[0].LastTimestamp, w.Memory = metav1.NewTime(start), nil
	assert.Equal(t, Progressing, w.judge(time.Minute, time.Minute+telling-time.Second).State, "its start has been told")
	assert.Equal(t, "CRASH_LOOP", w.judge(time.Minute+telling).Code)
	w.Events, w.Memory = nil, nil
	assert.Equal(t, Progressing, w.judge(time.Minute, time.Minute+telling-time.Second).State, "its event is late")
	w.Events = killing("Container app failed liveness probe, will be restarted")
	assert.Contains(t, w.judge(time.Minute+telling-time.Second).Cause, "the kubelet kills the container app again and again")

	w = rollingOut().status(1, 3, 4).pod("new", "a", waitsFor(postStartError, "Exec lifecycle hook failed: exited with 1", 2))
	verdict := w.judge(0)
	assert.Equal(t, "CRASH_LOOP", verdict.Code)
	assert.Contains(t, verdict.Cause, "its postStart hook fails: Exec lifecycle hook failed: exited with 1")
}

func TestAContainerThatIsNotStartedAgain(t *testing.T) {
	never := corev1.ContainerRestartPolicy("Never")
	w := rollingOut().status(1, 3, 4).pod("new", "a", ends(0, 0), func(p *corev1.Pod) { p.Spec.Containers[0].RestartPolicy = &never })
	w.Pods[0].Status.ContainerStatuses[0].State.Terminated.FinishedAt = metav1.NewTime(start)
	assert.Equal(t, Progressing, w.judge(0, 59*time.Second).State)
	verdict := w.judge(61 * time.Second)
	assert.Equal(t, "CONTAINER_ENDED", verdict.Code)
	assert.Contains(t, verdict.Cause, "exit code 0 and was not started again (restartPolicy Never)")

	w = rollingOut().status(1, 3, 4).pod("new", "a", runsSince(0, 0), func(p *corev1.Pod) {
		p.Spec.Containers[0].ReadinessProbe = nil
		p.Spec.InitContainers = []corev1.Container{{Name: "prepare"}}
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "prepare",
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	})
	assert.Equal(t, Progressing, w.judge(0, 80*time.Second).State, "an init container has to end")
}

func TestPodsThatTheKubeletRejects(t *testing.T) {
	fallen := func(w *world, i int, reason, message string, started bool) {
		at := time.Duration(i) * 2 * time.Second
		w.pod("new", fmt.Sprintf("dead-%d", i), func(p *corev1.Pod) {
			p.CreationTimestamp = metav1.NewTime(start.Add(at))
			p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: reason, Message: message}
			if started {
				p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", ContainerID: "containerd://1"}}
			}
		})
		w.judge(at)
	}
	for name, test := range map[string]struct {
		reason, message string
		started         bool
		code, says      string
	}{
		"no processor left": {"OutOfcpu",
			"Pod was rejected: Node didn't have enough resource: cpu, requested: 2000, used: 1, capacity: 2", false, "POD_REJECTED",
			"node1 rejects each new pod: OutOfcpu: Node didn't have enough resource: cpu"},
		"a device": {"UnexpectedAdmissionError", "Pod was rejected: Allocate failed due to no healthy devices", false,
			"POD_REJECTED", "UnexpectedAdmissionError: Allocate failed"},
		"another system": {"PodOSNotSupported", "Pod was rejected: Failed to admit pod as the OS field doesn't match node OS", false,
			"POD_REJECTED", "PodOSNotSupported"},
		"groups": {"SupplementalGroupsPolicyNotSupported",
			"Pod was rejected: SupplementalGroupsPolicy=Strict is not supported in this node", false, "POD_REJECTED", "Strict is not supported"},
		"no message": {"Reason", "", false, "POD_REJECTED", "each new pod: Reason"},
		"a disk that runs full": {"Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi.", true,
			"POD_FAILED", "fails as a whole: Evicted: Pod ephemeral"},
		"of a node that is full": {"Evicted", "Pod was rejected: The node had condition: [DiskPressure].", false, "POD_REJECTED", "DiskPressure"},
	} {
		w := rollingOut().status(3, 0, 3)
		for i := range 5 {
			fallen(w, i, test.reason, test.message, test.started)
		}
		verdict := w.judge(9 * time.Second)
		assert.Equal(t, Progressing, verdict.State, "%s: %s", name, verdict.Cause)
		fallen(w, 5, test.reason, test.message, test.started)
		verdict = w.judge(11 * time.Second)
		require.Equal(t, test.code, verdict.Code, "%s: %s", name, verdict.Cause)
		assert.Contains(t, verdict.Cause, test.says, name)
		assert.Equal(t, 6, verdict.Failures[0].Pods, name)
		assert.NotEmpty(t, verdict.Failures[0].uid, name)
	}

	w := rollingOut().status(3, 0, 3)
	for i := range 2 {
		fallen(w, i*10, "OutOfcpu", "", false)
	}
	assert.Equal(t, Progressing, w.judge(25*time.Second).State, "two are no row")
	w = rollingOut().status(3, 0, 3)
	for i := range 12 {
		fallen(w, i, "OutOfcpu", "", false)
	}
	w.pod("new", "other-node", runsSince(11*time.Second, 0))
	assert.Equal(t, Progressing, w.judge(12*time.Second).State, "another node has taken one, which is not ready yet")
	w = rollingOut().status(3, 0, 3)
	for i := range 8 {
		fallen(w, i, "OutOfcpu", "", false)
	}
	w.Memory = nil
	assert.Equal(t, Progressing, w.judge(50*time.Second).State, "it was long ago")
	for _, pod := range w.Pods {
		pod.OwnerReferences = controlledBy("old")
	}
	w.Memory = nil
	assert.Equal(t, Progressing, w.judge(15*time.Second).State, "the old revision's are no fault of this one")

	set := setOf(func(w *world) { w.StatefulSet.Status.AvailableReplicas, w.Pods = 0, nil })
	for i := range 7 {
		set.Pods = nil // its controller deletes the failed pod, and the next one has the same name
		set.pod("s", "db-0", func(p *corev1.Pod) {
			p.UID, p.Labels = types.UID(fmt.Sprint(i)), map[string]string{"controller-revision-hash": "b"}
			p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfcpu"}
		})
		set.judge(time.Duration(i) * 2 * time.Second)
	}
	assert.Equal(t, "POD_REJECTED", set.judge(13*time.Second).Code)
}

func TestWhatNoNodeMatches(t *testing.T) {
	const selector = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
	nodes := []metav1.ObjectMeta{
		{Name: "n1", Labels: map[string]string{"disk": "hdd", "zone": "a"}},
		{Name: "n2", Labels: map[string]string{"zone": "b", "cores": "8"}},
	}
	in := func(key string, values ...string) corev1.NodeSelectorRequirement {
		return corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}
	}
	node := func(terms ...corev1.NodeSelectorTerm) *corev1.Affinity {
		return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms}}}
	}
	other := []corev1.PodAffinityTerm{{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}},
		TopologyKey: "kubernetes.io/hostname"}}
	for name, test := range map[string]struct {
		spec    corev1.PodSpec
		message string
		says    string
		nearest string
	}{
		"a selector": {corev1.PodSpec{NodeSelector: map[string]string{"disk": "ssd"}}, selector, "nodeSelector disk=ssd",
			"n1 lacks disk=ssd (it has disk=hdd); n2 lacks disk=ssd"},
		"the nearest": {corev1.PodSpec{NodeSelector: map[string]string{"disk": "ssd", "zone": "b"}}, selector,
			"nodeSelector disk=ssd and nodeSelector zone=b", "nearest: n2 lacks disk=ssd"},
		"one of two terms": {corev1.PodSpec{Affinity: node(corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{in("zone",
			"c", "d"), in("disk", "ssd")}},
			corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "cores", Operator: corev1.NodeSelectorOpGt,
				Values: []string{"8"}}}})}, selector,
			"nodeAffinity zone In (c, d) and nodeAffinity disk=ssd, or nodeAffinity cores Gt (8)",
			"n1 lacks cores Gt (8); n2 lacks cores Gt (8) (it has cores=8)"},
		"a name": {corev1.PodSpec{Affinity: node(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{in("metadata.name",
			"n3")}})}, selector, "metadata.name=n3", "n1 lacks metadata.name=n3"},
		"exists": {corev1.PodSpec{Affinity: node(corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "gpu",
			Operator: corev1.NodeSelectorOpExists}}})}, selector, "gpu Exists", "n1 lacks gpu Exists"},
		"pods":    {corev1.PodSpec{Affinity: &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: other}}}, "0/2 nodes are available: 2 node(s) didn't match pod affinity rules.", "podAffinity: pods with app=x in its kubernetes.io/hostname", ""},
		"no pods": {corev1.PodSpec{Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: other}}}, "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.", "podAntiAffinity: no pods with app=x", ""},
		"a spread": {corev1.PodSpec{TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "zone",
			WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: other[0].LabelSelector}}},
			"0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints.", "at most 1 more pods with app=x in one zone", ""},
		"a port": {corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{HostPort: 8443}}}}},
			"0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.", "hostPort 8443", ""},
		"no room": {corev1.PodSpec{NodeSelector: map[string]string{"zone": "a"}}, "0/2 nodes are available: 2 Insufficient cpu.",
			"Insufficient cpu.", ""},
	} {
		for _, readable := range [][]metav1.ObjectMeta{nodes, nil} {
			w := rollingOut().status(1, 3, 4).pod("new", "a", func(p *corev1.Pod) {
				p.Spec = test.spec
				p.Status = corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
					Reason: "Unschedulable", Message: test.message}}}
			})
			w.Labels = readable
			verdict := w.judge(0, 61*time.Second)
			assert.Equal(t, "UNSCHEDULABLE", verdict.Code, name)
			assert.Contains(t, verdict.Cause, test.says, name)
			if readable != nil {
				assert.Contains(t, verdict.Cause, test.nearest, name)
			} else {
				assert.NotContains(t, verdict.Cause, "nearest", name)
			}
		}
	}
}

func TestAPodThatTheSchedulerHasNotLookedAtIsToldByItsEvents(t *testing.T) {
	pending := func() *world {
		return rollingOut().status(1, 3, 4).pod("new", "a", func(p *corev1.Pod) { p.Spec.NodeName, p.Status = "", corev1.PodStatus{} })
	}
	w := pending()
	w.Events = []*corev1.Event{event("a", "", "Warning", "FailedResourceClaimCreation",
		`PodResourceClaim gpu: resourceclaimtemplate "none" not found`, time.Second)}
	verdict := w.judge(0, 91*time.Second)
	assert.Equal(t, "STUCK", verdict.Code)
	assert.Contains(t, verdict.Cause, `FailedResourceClaimCreation: PodResourceClaim gpu: resourceclaimtemplate "none" not found`)
	assert.Contains(t, pending().judge(0, 91*time.Second).Cause, "no scheduler")
}

func TestOneCauseOfManyPodsIsToldOnce(t *testing.T) {
	w := rollingOut().status(3, 0, 3)
	for _, name := range []string{"app-new-2x7qs", "app-new-b4kcm", "app-new-zz9h5"} {
		w.pod("new", name, waitsFor("CreateContainerError", `failed to reserve name of `+name+`_prod: is reserved for app-new-2x7qs`, 0))
	}
	verdict := w.judge(0, 61*time.Second)
	assert.Equal(t, "CONTAINER_ERROR", verdict.Code)
	require.Len(t, verdict.Failures, 1)
	assert.Equal(t, 3, verdict.Failures[0].Pods)
}

func TestAPullSecretThatIsMissingIsNamed(t *testing.T) {
	w := rollingOut().status(1, 3, 4).pod("new", "a", waitsFor("ImagePullBackOff", "ErrImagePull: 401 Unauthorized", 0))
	w.Events = []*corev1.Event{event("a", "", "Warning", "FailedToRetrieveImagePullSecret",
		"Unable to retrieve some image pull secrets (nexus-pull); attempting to pull the image may not succeed.", time.Second)}
	verdict := w.judge(0, 31*time.Second)
	assert.Equal(t, "IMAGE_PULL_DENIED", verdict.Code)
	assert.Contains(t, verdict.Cause, "the Secret nexus-pull, which its imagePullSecrets name, is not there")
}

func TestOneWarningForManyPodsIsToldOnce(t *testing.T) {
	denied := func(pod string) *corev1.Event {
		return &corev1.Event{Type: "Warning", Reason: "FailedCreate", Message: `Error creating: pods "app-7d9c-` + pod +
			`" is forbidden: exceeded quota: few`, Count: 1}
	}
	events := []*corev1.Event{denied("2x7qs"), denied("b4kcm"), denied("zz9h5"), denied("zz9h5"),
		{Type: "Warning", Reason: "BackOff", Message: "again", Count: 4}, {Type: "Normal", Reason: "Pulled", Message: "x"}}
	assert.Equal(t, []string{`FailedCreate: Error creating: pods "app-7d9c-zz9h5" is forbidden: exceeded quota: few (4 times, for 3 pods)`,
		"BackOff: again (4 times)"}, warnings(events))
	events = []*corev1.Event{denied("2x7qs"), {Type: "Warning", Reason: "FailedCreate",
		Message: `pods "app-7d9c-2x7qs" is forbidden: violates PodSecurity`, Count: 1}}
	assert.Len(t, warnings(events), 2, "two causes are two warnings")
}

func TestTheMostTellingWarningIsTheReason(t *testing.T) {
	secret, pull := "FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (x)",
		`Failed: Failed to pull image "r/app:2": 401 Unauthorized (3 times)`
	for want, events := range map[string][]string{
		secret:                        {secret, pull, "Failed: Error: ErrImagePull", "Failed: Error: ImagePullBackOff"},
		pull:                          {pull, "Failed: Error: ErrImagePull", "BackOff: Back-off pulling image"},
		"Failed: Error: ErrImagePull": {"Failed: Error: ErrImagePull"},
		"Unhealthy: second":           {"Unhealthy: first", "Unhealthy: second", "BackOff: Back-off restarting"},
		"":                            nil,
	} {
		assert.Equal(t, want, mostTelling(events))
	}
}

func TestNoHintDestroysAnything(t *testing.T) {
	destructive := regexp.MustCompile(`delete (node|namespace|pvc|deployment|statefulset)|drain|--force|rm -`)
	for code, try := range tries {
		assert.NotRegexp(t, destructive, try, code)
	}
}
