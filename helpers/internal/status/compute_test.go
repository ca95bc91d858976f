package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/helpers/internal/record"
)

var now = time.Date(2026, 11, 30, 22, 10, 0, 0, time.UTC)

func at(before time.Duration) string { return now.Add(-before).Format(time.RFC3339) }

func image(n int) string { return fmt.Sprintf("r:5000/app:latest-%d@sha256:%064x", n, n) }

// deployment runs that image with three pods; pairs are its annotations.
func deployment(name string, runs string, pairs ...string) appsv1.Deployment {
	three := int32(3)
	d := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: name, Annotations: map[string]string{},
		CreationTimestamp: metav1.NewTime(now.Add(-100 * time.Hour))}}
	for i := 0; i < len(pairs); i += 2 {
		d.Annotations[pairs[i]] = pairs[i+1]
	}
	d.Spec.Replicas = &three
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "proxy", Image: "envoy:1"}, {Name: "app", Image: runs}}
	d.Status = appsv1.DeploymentStatus{UpdatedReplicas: 3, AvailableReplicas: 3, Conditions: []appsv1.DeploymentCondition{
		{Type: appsv1.DeploymentProgressing, Reason: "NewReplicaSetAvailable", LastUpdateTime: metav1.NewTime(now.Add(-3 * time.Hour))}}}
	return d
}

func before(from, to string, replicas int, more string) string {
	const form = `{"run":"build/41","at":%q,"images":{"app":%q},"to":{"app":%q},"replicas":%d%s}`
	return fmt.Sprintf(form, at(time.Hour), from, to, replicas, more)
}

func scaled(d appsv1.Deployment, replicas int32) appsv1.Deployment {
	d.Spec.Replicas, d.Status.AvailableReplicas = &replicas, replicas
	return d
}

// released is a Deployment after a release from image 1 to image 2.
func released(runs string, pairs ...string) appsv1.Deployment {
	return deployment("app", runs, append([]string{"slipway.dev/before", before(image(1), image(2), 3, ""), "slipway.dev/build", "build/41",
		"slipway.dev/approved-by", "ada, bob", "slipway.dev/commit", "abc"}, pairs...)...)
}

func journal(run string, expires time.Duration, more string) string {
	return fmt.Sprintf(`{"run":%q,"set":"x","weight":10,"startedAt":%q,"expiresAt":%q,"route":{"router":"service"},"previous":{"stable":3}%s}`,
		run, at(time.Hour), at(-expires), more)
}

func findings(s Status) (all []string) {
	for _, f := range s.Findings {
		all = append(all, string(f.Kind)+" "+f.Object+": "+f.What)
	}
	return all
}

func TestWhatIsLiveAgainstWhatWasDelivered(t *testing.T) {
	canaryOf := func(replicas int32, pairs ...string) appsv1.Deployment {
		return scaled(deployment("app-canary", image(3), pairs...), replicas)
	}
	undone := before(image(1), image(2), 3, `,"undone":true`)
	long := `{"hash":"h1","image":"` + image(1) + `"}`
	for name, test := range map[string]struct {
		all   []appsv1.Deployment
		state State
		since time.Duration
		by    string
		found []string
	}{
		"as it was delivered": {[]appsv1.Deployment{released(image(2))}, Delivered, time.Hour, "ada, bob", nil},
		"undone": {[]appsv1.Deployment{released(image(1), "slipway.dev/before", undone, "slipway.dev/approved-by", "eve")},
			Undone, 3 * time.Hour, "eve", nil},
		"undone, then changed": {[]appsv1.Deployment{released(image(9), "slipway.dev/before", undone)}, Changed, 3 * time.Hour, "",
			[]string{"drift deployment/app: the container app has the image " + image(9) + ", and Slipway put " + image(1) + " there"}},
		"rolled back by rollout-wait": {[]appsv1.Deployment{released(image(1), "slipway.dev/last-good", long, "slipway.dev/good", "h1")},
			Undone, 3 * time.Hour, "ada, bob", nil},
		"another revision is good": {[]appsv1.Deployment{released(image(1), "slipway.dev/last-good", long, "slipway.dev/good", "h2")},
			Changed, 3 * time.Hour, "",
			[]string{"drift deployment/app: the container app has the image " + image(1) + ", and Slipway put " + image(2) + " there"}},
		"kubectl set image": {[]appsv1.Deployment{released("app:latest")}, Changed, 3 * time.Hour, "",
			[]string{"drift deployment/app: the container app has the image app:latest, and Slipway put " + image(2) + " there"}},
		"the container is gone": {[]appsv1.Deployment{released(image(2), "slipway.dev/before",
			strings.ReplaceAll(before(image(1), image(2), 3, ""), `"app"`, `"web"`))}, Changed, 3 * time.Hour, "",
			[]string{"drift deployment/app: there is no container web, and Slipway put " + image(2) + " there"}},
		"scaled by hand": {[]appsv1.Deployment{scaled(released(image(2)), 5)}, Delivered, time.Hour, "ada, bob",
			[]string{"drift deployment/app: 5 replicas are asked for, and the last delivery left 3"}},
		"a first release asked for its replicas": {[]appsv1.Deployment{released(image(2), "slipway.dev/before",
			before(image(1), image(2), 0, `,"given":[3],"first":true`))}, Delivered, time.Hour, "ada, bob", nil},
		"created by deploy-image": {[]appsv1.Deployment{deployment("app", image(2), "kubernetes.io/change-cause", "deploy-image "+image(2))},
			Delivered, 3 * time.Hour, "", nil},
		"created, then changed": {[]appsv1.Deployment{deployment("app", image(2), "kubernetes.io/change-cause", "deploy-image "+image(4))},
			Changed, 3 * time.Hour, "",
			[]string{"drift deployment/app: the container proxy has the image envoy:1, and Slipway put " + image(4) + " there"}},
		"its note is broken": {[]appsv1.Deployment{released(image(2), "slipway.dev/before", "{")}, NotKnown, 3 * time.Hour, "",
			[]string{"not-readable deployment/app: the annotation slipway.dev/before of deployment/app cannot be read"}},
		"a canary within its time": {[]appsv1.Deployment{scaled(released(image(2), "slipway.dev/replicas-before-canary", "3"), 4),
			canaryOf(1, "slipway.dev/canary", journal("build/42", time.Hour, `,"given":[4]`))}, Delivered, time.Hour, "ada, bob", nil},
		"a canary, and somebody scaled stable": {[]appsv1.Deployment{scaled(released(image(2), "slipway.dev/replicas-before-canary", "3"), 7),
			canaryOf(1, "slipway.dev/canary", journal("build/42", time.Hour, `,"given":[4]`))}, Delivered, time.Hour, "ada, bob",
			[]string{"drift deployment/app: 7 replicas are asked for, and the last delivery left 3"}},
		"a canary past its time": {[]appsv1.Deployment{released(image(2)),
			canaryOf(1, "slipway.dev/canary", journal("build/42", -time.Hour, ""))}, Delivered, time.Hour, "ada, bob",
			[]string{"canary deployment/app-canary: the canary of build/42 expired at 2026-11-30 21:10Z, and " +
				"the CronJob canary-reaper has not undone it"}},
		"the reaper may still be on its way": {[]appsv1.Deployment{released(image(2)),
			canaryOf(1, "slipway.dev/canary", journal("build/42", -2*time.Minute, ""))}, Delivered, time.Hour, "ada, bob", nil},
		"a canary that nobody noted": {[]appsv1.Deployment{released(image(2)), canaryOf(1)}, Delivered, time.Hour, "ada, bob",
			[]string{"canary deployment/app-canary: 1 replicas are asked for, and no run has noted how to undo them"}},
		"a canary at rest": {[]appsv1.Deployment{released(image(2)), canaryOf(0)}, Delivered, time.Hour, "ada, bob", nil},
		"a canary of another name": {[]appsv1.Deployment{released(image(2)),
			scaled(deployment("next", image(3), "slipway.dev/canary-of", "app"), 0)}, Delivered, time.Hour, "ada, bob", nil},
		"a broken journal": {[]appsv1.Deployment{released(image(2)), canaryOf(1, "slipway.dev/canary", "{")}, Delivered, time.Hour, "ada, bob",
			[]string{"not-readable deployment/app-canary: the annotation slipway.dev/canary cannot be read, so that nobody knows what to undo"}},
		"replicas that a canary left": {[]appsv1.Deployment{scaled(released(image(2), "slipway.dev/replicas-before-canary", "3"), 4)}, Delivered,
			time.Hour, "ada, bob", []string{"drift deployment/app: a canary has changed its replicas from 3, and is gone"}},
	} {
		s := Of(Objects{Deployments: test.all}, "prod", "", now)
		require.Len(t, s.Apps, 1, name)
		assert.Equal(t, test.state, s.Apps[0].State, name)
		assert.Equal(t, now.Add(-test.since), s.Apps[0].Since, name)
		assert.Equal(t, test.by, s.Apps[0].ApprovedBy, name)
		assert.Equal(t, test.found, findings(s), name)
	}
}

func TestTheRestOfIt(t *testing.T) {
	list := fmt.Sprintf(`[{"repository":"r:5000/app","digest":"sha256:%064x","what":"running","at":%q},
{"repository":"r:5000/app","digest":"sha256:%064x","what":"promotion","approvers":["eve","ada"],"at":%q}]`,
		2, at(time.Minute), 2, at(time.Hour))
	other := deployment("other", image(7))
	other.Annotations["slipway.dev/build"] = "build/7"
	other.Status.AvailableReplicas = 1
	o := Objects{
		Deployments: []appsv1.Deployment{released(image(2), "slipway.dev/approved-by", ""), other, deployment("by-hand", "nginx")},
		Guards:      map[string]string{"prod": "enforce"},
		Lists:       map[string]map[string]string{"prod": {fmt.Sprintf("sha256-%064x", 2): list}},
		Broken:      []Broken{{"prod", "pod/debug", "payments down\x1b[31m"}, {"prod", "deployment/app", "x"}},
		Waivers: map[string]string{"jenkins-prod": "waivers:\n- {id: CVE-1-1, reason: r, owner: o, until: 2026-12-05}\n" +
			"- {id: CVE-1-2, reason: r, owner: o, until: 2027-01-31}\n- {id: CVE-1-3, reason: r, owner: o, until: 2026-11-29}\n",
			"staging": "waivers: 1"},
		Records: []record.Record{
			{App: "app", Pipeline: record.Production, Build: "build/41", Outcome: record.Done, Image: image(8), Waived: []string{"CVE"}},
			{App: "app", Pipeline: record.Production, Build: "build/42", Outcome: record.Failed, Why: "unhealthy"},
			{App: "app", Pipeline: record.Staging, Build: "build/43", Outcome: record.Done},
		},
	}
	s := Of(o, "", "", now)
	require.Len(t, s.Apps, 2)
	a := s.Apps[0]
	assert.Equal(t, "eve, ada", a.ApprovedBy, "the list says it where the annotation does not")
	assert.Equal(t, "promotion", a.ApprovedFor)
	assert.Equal(t, image(1), a.Before)
	assert.Equal(t, "build/42", a.LastRun.Build)
	assert.Equal(t, []string{"CVE"}, a.Waived)
	assert.Equal(t, 1, s.Others)
	assert.Equal(t, NotKnown, s.Apps[1].State)
	assert.Equal(t, []string{
		"break-glass deployment/app: went past the guard: x",
		"break-glass pod/debug: went past the guard: payments down\x1b[31m",
		"drift deployment/app: it has the image " + image(2) + ", and the record of build/41 says " + image(8),
		"not-approved deployment/app: the image envoy:1 is not on the list of approved images",
		"not-approved deployment/other: the image envoy:1 is not on the list of approved images",
		"not-approved deployment/other: the image " + image(7) + " is not on the list of approved images",
		"not-readable configmap/slipway-policy: the waivers cannot be taken; waivers.yaml line 1: waivers is no list",
		"pods deployment/other: 1 of 3 pods are available",
		"waiver configmap/slipway-policy: the waiver of CVE-1-1 (owner o) ends on 2026-12-05: from the day after, builds with the finding fail",
		"waiver configmap/slipway-policy: the waiver of CVE-1-3 (owner o) ended on 2026-11-29: builds with the finding fail",
	}, findings(s))
	var days []int
	for _, w := range s.Waivers {
		days = append(days, w.Days)
	}
	assert.Equal(t, []int{-1, 5, 62}, days)

	only := Of(o, "prod", "other", now)
	require.Len(t, only.Apps, 1)
	assert.Equal(t, "other", only.Apps[0].Deployment)
	o.Autoscaled = map[Name]bool{{"prod", "app"}: true}
	o.Deployments[0] = scaled(o.Deployments[0], 9)
	assert.NotContains(t, fmt.Sprint(findings(Of(o, "prod", "app", now))), "replicas", "an autoscaler owns them")
}

func TestItsThreeForms(t *testing.T) {
	hostile := released(image(2), "slipway.dev/approved-by", "<script>alert(1)</script>\x1b[31m", "slipway.dev/build",
		"https://jenkins/job/\u202e1/")
	s := Of(Objects{Deployments: []appsv1.Deployment{hostile}, Unread: []string{"pods: no"}}, "prod", "", now)
	var text, page bytes.Buffer
	require.NoError(t, s.Text(&text))
	assert.Equal(t, []string{"prod", "app", "app:latest-2", "(sha256:000000000000…)", "2026-11-30", "21:10Z", "(1h)", "delivered", "3/3",
		`<script>alert(1)</script>\x1b[31m`, `https://jenkins/job/\u202e1/`}, strings.Fields(strings.Split(text.String(), "\n")[1]))
	assert.Contains(t, text.String(), "not read: pods: no")
	require.NoError(t, s.Format("html", &page))
	assert.Contains(t, page.String(), `&lt;script&gt;alert(1)&lt;/script&gt;\x1b[31m`)
	assert.NotContains(t, page.String(), "<script")
	assert.NotContains(t, page.String(), "\u202e")
	body, err := json.Marshal(s)
	require.NoError(t, err)
	assert.NotContains(t, string(body), "null,\"findings", "lists are lists, also where they are empty")
	text.Reset()
	require.NoError(t, Of(Objects{}, "", "", now).Text(&text))
	assert.Equal(t, "Slipway has delivered nothing to this cluster\n", text.String())
}
