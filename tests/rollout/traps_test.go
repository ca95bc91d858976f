//go:build lab

package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/rollout/scenes"
)

// stage is a namespace of a test's own.
type stage struct {
	*testing.T
	name string
}

func newStage(t *testing.T) stage {
	name := "trap-" + strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(t.Name(), "/", "-"), "Test"))
	name = strings.ReplaceAll(name[:min(len(name), 55)], "_", "-")
	s := stage{t, strings.Trim(name, "-")}
	_, err := scenes.Kubectl(t.Context(), "", "create", "namespace", s.name)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := scenes.Kubectl(context.Background(), "", "delete", "namespace", s.name, "--wait=false")
		assert.NoError(t, err)
	})
	return s
}

func (s stage) apply(manifest string) {
	s.Helper()
	_, err := scenes.Kubectl(s.Context(), manifest, "apply", "-n", s.name, "-f", "-")
	require.NoError(s, err)
}

func (s stage) kubectl(arguments ...string) string {
	s.Helper()
	out, err := scenes.Kubectl(s.Context(), "", append([]string{"-n", s.name}, arguments...)...)
	require.NoError(s, err)
	return strings.TrimSpace(out)
}

// wait runs rollout-wait and gives the first workload's verdict.
func (s stage) wait(arguments ...string) (Workload, Answer) {
	s.Helper()
	answer := s.helper("rollout-wait", append([]string{"-n", s.name, "--timeout", "3m", "-o", "json"}, arguments...)...)
	require.NotEmpty(s, answer.Result.Workloads, "%+v", answer)
	return answer.Result.Workloads[0], answer
}

// done is a wait that has to end well.
func (s stage) done(arguments ...string) Workload {
	s.Helper()
	verdict, answer := s.wait(arguments...)
	require.Equal(s, "done", verdict.State, "%s", answer.Stdout)
	return verdict
}

// waitAnd does something beside it, as soon as its progress says this.
func (s stage) waitAnd(says string, do func(), arguments ...string) (Workload, Answer) {
	s.Helper()
	answer := HelperAnd(s.Context(), "", says, do, "rollout-wait", append([]string{"-n", s.name, "--timeout", "3m", "-o", "json"},
		arguments...)...)
	require.NotEmpty(s, answer.Result.Workloads, "%+v", answer)
	return answer.Result.Workloads[0], answer
}

func (s stage) helper(name string, arguments ...string) Answer {
	return Helper(s.Context(), "", name, arguments...)
}

func named(name, manifest string) string {
	return strings.NewReplacer("name: app}", "name: "+name+"}", "app: app", "app: "+name).Replace(manifest)
}

// impatient has a deadline of its own.
func impatient(manifest string) string {
	return strings.Replace(manifest, "  selector:", "  progressDeadlineSeconds: 5\n  selector:", 1)
}

func simple(replicas int, image, command, more string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: %d
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: %q, command: %s%s}]}
`, replicas, image, command, more)
}

const forever = `[sleep, "100000"]`

func TestOldPodsTroubleIsNotOurs(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(simple(2, "tool:1", `["false"]`, ", readinessProbe: {exec: {command: ['false']}, failureThreshold: 60}"))
	before, answer := s.wait("deployment/app")
	require.Equal(t, "CRASH_LOOP", before.Code, "%s", answer.Stdout)
	s.apply(simple(2, "tool:1", forever, ""))
	after, answer := s.wait("deployment/app")
	assert.Equal(t, "done", after.State, "%s", answer.Stdout)
}

func TestAnOldDeadlineIsNotBelievedAfterAnUndo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(simple(1, "tool:1", forever, ""))
	first, answer := s.wait("deployment/app")
	require.Equal(t, "done", first.State, "%s", answer.Stdout)
	s.apply(impatient(simple(1, "tool:none", forever, "")))
	s.kubectl("wait", "deployment/app", "--for=jsonpath={.status.conditions[?(@.type==\"Progressing\")].reason}=ProgressDeadlineExceeded",
		"--timeout=60s")
	s.kubectl("rollout", "undo", "deployment/app")
	back, answer := s.wait("deployment/app")
	assert.Equal(t, "done", back.State, "%s", answer.Stdout)
	assert.Equal(t, first.Revision, back.Revision)
}

func TestAScaleUpThatNeverMeetsTheDeadline(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: one}\nspec: {hard: {pods: \"1\"}}\n")
	s.apply(simple(1, "tool:1", forever, ""))
	s.done("deployment/app")
	s.kubectl("patch", "deployment/app", "--type=merge", "-p", `{"spec":{"progressDeadlineSeconds":5}}`)
	s.kubectl("scale", "deployment/app", "--replicas=2")
	verdict, answer := s.wait("deployment/app", "--grace-quota", "10s")
	assert.Equal(t, "QUOTA_EXCEEDED", verdict.Code, "%s", answer.Stdout)
}

func TestTheControllersDeadlineIsBelieved(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(impatient(simple(1, "tool:1", forever, ", readinessProbe: {exec: {command: ['false']}, periodSeconds: 60}")))
	verdict, answer := s.wait("deployment/app")
	assert.Equal(t, "DEADLINE_EXCEEDED", verdict.Code, "%s", answer.Stdout)
}

func TestNoneUnavailableOfOne(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	one := simple(1, "tool:1", `[sh, -c, "sleep 6; touch /tmp/ready; exec sleep 100000"]`,
		", readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 2, failureThreshold: 20}")
	s.apply(strings.Replace(one, "  selector:", "  strategy: {rollingUpdate: {maxUnavailable: 1}}\n  selector:", 1))
	verdict, answer := s.wait("deployment/app")
	assert.Equal(t, "done", verdict.State, "%s", answer.Stdout)
	assert.Equal(t, "True", s.kubectl("get", "pods", "-o", `jsonpath={.items[0].status.conditions[?(@.type=="Ready")].status}`),
		"it has to be available, though none may be")
}

func TestAStatefulSetThatStaysStuckAfterAnUndo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	set := func(command, more string) string {
		return fmt.Sprintf(`{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: app}, spec: {serviceName: app, replicas: 2, %s selector: {matchLabels: {app: app}}, template: {metadata: {labels: {app: app}}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: "tool:1", command: %s, readinessProbe: {exec: {command: ["true"]}, initialDelaySeconds: 2, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 30}}]}}}}`, more, command)
	}
	s.apply(set(forever, ""))
	good, answer := s.wait("statefulset/app")
	require.Equal(t, "done", good.State, "%s", answer.Stdout)
	s.apply(set(`["false"]`, ""))
	bad, answer := s.wait("statefulset/app")
	require.Equal(t, "CRASH_LOOP", bad.Code, "%s", answer.Stdout)
	s.apply(set(forever, ""))
	stuck, answer := s.wait("statefulset/app")
	t.Logf("after the undo: %s %s: %s", stuck.State, stuck.Code, stuck.Cause)
	require.Equal(t, "BROKEN_POD_BLOCKS", stuck.Code, "%s", answer.Stdout)
	assert.Contains(t, stuck.Cause, "kubectl delete pod -n "+s.name+" app-1")
	s.kubectl("delete", "pod", "app-1")
	freed, answer := s.wait("statefulset/app")
	require.Equal(t, "done", freed.State, "%s", answer.Stdout)

	s.apply(set(`[sleep, "200000"]`, "updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}},"))
	partition, answer := s.wait("statefulset/app")
	assert.Equal(t, "done", partition.State, "%s", answer.Stdout)
	assert.Equal(t, partition.Revision, s.kubectl("get", "pod", "app-1", "-o", `jsonpath={.metadata.labels.controller-revision-hash}`))
	assert.NotEqual(t, partition.Revision, s.kubectl("get", "pod", "app-0", "-o", `jsonpath={.metadata.labels.controller-revision-hash}`))
}

// registry serves the lab's images, after it has answered the first manifests with this status.
func registry(t *testing.T, host string, status int, times int32) {
	mirror := &url.URL{Scheme: "http", Host: os.Getenv("LAB_MIRROR")}
	var refused atomic.Int32
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") && refused.Add(1) <= times {
			http.Error(w, http.StatusText(status), status)
			return
		}
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(mirror)
			p.Out.URL.Path = strings.Replace(p.Out.URL.Path, "/v2/tool/", "/v2/library/tool/", 1)
		}}).ServeHTTP(w, r)
	})}
	listener := listen(t)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	dir := filepath.Join(os.Getenv("LAB_RUN"), "hosts.d", host)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	address := "http://" + listener.Addr().String()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hosts.toml"), fmt.Appendf(nil, "server = %q\n[host.%q]\n", address, address), 0o644))
}

func TestAPullErrorThatPasses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status int
		times  int32
	}{{503, 4}, {404, 1}, {429, 4}} {
		t.Run(fmt.Sprint(test.status), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			host := fmt.Sprintf("passing-%d.lab:5999", test.status)
			registry(t, host, test.status, test.times)
			s.apply(simple(1, host+"/tool:1", forever, ""))
			verdict, answer := s.wait("deployment/app", "--grace-pull-refused", "90s")
			assert.Equal(t, "done", verdict.State, "%s", answer.Stdout)
		})
	}
}

// digest is what the cluster runs where the tag is asked for.
func (s stage) digest() string {
	pods := s.kubectl("get", "pods", "-o",
		"jsonpath={range .items[*]}{.metadata.name} {.status.phase} {.status.reason} {.status.containerStatuses[0].imageID}; {end}")
	_, digest, found := strings.Cut(pods, "@")
	require.True(s, found, "%s", pods)
	digest, _, _ = strings.Cut(digest, ";")
	return digest
}

func TestTheImageIsProven(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	other := "tool@sha256:" + strings.Repeat("1", 64)
	s.apply(simple(2, "tool:1", forever, ""))
	s.done("deployment/app")
	proven, answer := s.wait("deployment/app", "--image", "tool@"+s.digest())
	assert.Equal(t, "done", proven.State, "%s", answer.Stdout)
	mismatch, answer := s.wait("deployment/app", "--image", other)
	assert.Equal(t, "IMAGE_MISMATCH", mismatch.Code, "%s", answer.Stdout)
	s.apply(simple(2, "tool:1@"+s.digest(), forever, ""))
	wrong, answer := s.wait("deployment/app", "--image", other)
	assert.Equal(t, "WRONG_IMAGE", wrong.Code, "%s", answer.Stdout)
	proven, answer = s.wait("deployment/app", "--image", "tool:1@"+s.digest())
	assert.Equal(t, "done", proven.State, "%s", answer.Stdout)
}

func TestHoldOnTheCluster(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(simple(1, "tool:1", `[sh, -c, "until test -e /tmp/end; do sleep 1; done; echo the end; exit 5"]`, ""))
	verdict, answer := s.waitAnd("has to stay so", func() {
		_, err := scenes.Kubectl(t.Context(), "", "exec", "-n", s.name, "deployment/app", "--", "touch", "/tmp/end")
		assert.NoError(t, err)
	}, "deployment/app", "--hold", "60s")
	assert.Equal(t, "NOT_STABLE", verdict.Code, "%s", answer.Stdout)
	assert.Contains(t, answer.Stdout, "the end")
	s.apply(simple(1, "tool:1", forever, ""))
	verdict, answer = s.wait("deployment/app", "--hold", "5s")
	assert.Equal(t, "done", verdict.State, "%s", answer.Stdout)
	assert.GreaterOrEqual(t, answer.Seconds, 5.0)
}

func TestEnoughAvailable(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: two}\nspec: {hard: {pods: \"2\"}}\n")
	s.apply(simple(3, "tool:1", forever, ""))
	verdict, answer := s.wait("deployment/app", "--min-available", "60%")
	assert.Equal(t, "done", verdict.State, "%s", answer.Stdout)
}

func TestSeveralWorkloads(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(simple(1, "tool:1", forever, ""))
	s.apply(named("other", simple(1, "tool:none", forever, "")))
	s.apply(named("third", simple(1, "Not A Name", forever, "")))
	_, answer := s.wait("deployment/app", "deployment/other", "deployment/third")
	assert.Equal(t, 1, answer.Exit)
	require.Len(t, answer.Result.Workloads, 3)
	assert.Equal(t, "done", answer.Result.Workloads[0].State)
	assert.Equal(t, "IMAGE_NOT_FOUND", answer.Result.Workloads[1].Code, "%s", answer.Stdout)
	assert.Equal(t, "INVALID_IMAGE_NAME", answer.Result.Workloads[2].Code)

	_, answer = s.wait("deployment/app", "deployment/absent", "statefulset/none")
	assert.Equal(t, 1, answer.Exit)
	require.Len(t, answer.Result.Workloads, 3)
	assert.Equal(t, "done", answer.Result.Workloads[0].State)
	assert.Equal(t, "NOT_FOUND", answer.Result.Workloads[1].Code)
	assert.Equal(t, "NOT_FOUND", answer.Result.Workloads[2].Code)
}

func TestWhatIsNotThereYet(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	made := make(chan error, 1)
	time.AfterFunc(4*time.Second, func() {
		_, err := scenes.Kubectl(t.Context(), simple(1, "tool:1", forever, ""), "apply", "-n", s.name, "-f", "-")
		made <- err
	})
	verdict, answer := s.wait("deployment/app", "--wait-for-create", "60s")
	require.NoError(t, <-made)
	assert.Equal(t, "done", verdict.State, "%s", answer.Stdout)
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arguments []string
		says      string
	}{
		"no workload":       {nil, "needs a workload"},
		"unknown kind":      {[]string{"-n", "default", "job/x"}, "has no rollout"},
		"no kind":           {[]string{"-n", "default", "x"}, "not of the form"},
		"no such name":      {[]string{"-n", "default", "deployment/A_B"}, "cannot be the name"},
		"unknown namespace": {[]string{"-n", "nowhere", "deployment/app"}, "there is no namespace nowhere"},
		"no time":           {[]string{"-n", "default", "deployment/app", "--timeout", "0"}, "leaves no time"},
		"negative grace":    {[]string{"-n", "default", "deployment/app", "--grace-stuck", "-1s"}, "less than no time"},
		"no digest":         {[]string{"-n", "default", "deployment/app", "--image", "tool:1"}, "names no digest"},
		"no number":         {[]string{"-n", "default", "deployment/app", "--min-available", "many"}, "neither a number"},
		"undo of a set":     {[]string{"-n", "default", "statefulset/app", "--undo"}, "Deployments only"},
	} {
		answer := Helper(t.Context(), "", "rollout-wait", test.arguments...)
		assert.Equal(t, 2, answer.Exit, name)
		assert.Contains(t, answer.Stderr, test.says, name)
		assert.Empty(t, answer.Stdout, name)
	}
}

func TestANodeThatIsNotReadyIsToldApart(t *testing.T) {
	s := newStage(t)
	_, err := scenes.Kubectl(t.Context(),
		`{apiVersion: v1, kind: Node, metadata: {name: node2}, spec: {unschedulable: true, taints: [{key: lab, effect: NoSchedule}]}}`, "create",
		"-f", "-")
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := scenes.Kubectl(context.Background(), "", "delete", "node", "node2")
		assert.NoError(t, err)
	})
	status, err := json.Marshal(map[string]any{"status": map[string]any{
		"capacity": map[string]string{"cpu": "1", "memory": "1Gi", "pods": "10"}, "allocatable": map[string]string{"cpu": "1", "memory": "1Gi",
			"pods": "10"},
		"conditions": []map[string]string{{"type": "Ready", "status": "False", "reason": "KubeletNotReady",
			"message": "the kubelet was never started"}},
	}})
	require.NoError(t, err)
	s.kubectl("patch", "node", "node2", "--subresource=status", "--type=merge", "-p", string(status))
	s.apply(`{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: app}, spec: {selector: {matchLabels: {app: app}}, template: {metadata: {labels: {app: app}}, spec: {terminationGracePeriodSeconds: 1, tolerations: [{operator: Exists}], containers: [{name: c, image: "tool:1", command: [sleep, "100000"]}]}}}}`)
	s.kubectl("wait", "daemonset/app", "--for=jsonpath={.status.desiredNumberScheduled}=2", "--timeout=60s")
	judged := func(config string) (Workload, Answer) {
		answer := Helper(t.Context(), config, "rollout-wait", "-n", s.name, "daemonset/app", "--grace-stuck", "15s", "-o", "json")
		require.Len(t, answer.Result.Workloads, 1, "%+v", answer)
		return answer.Result.Workloads[0], answer
	}
	config := s.agent(rights(t))
	verdict, answer := judged(config)
	assert.Equal(t, "STUCK", verdict.Code, "the Role does not reach to nodes: %s", answer.Stdout)
	s.apply(s.nodeReader())
	t.Cleanup(func() {
		_, err := scenes.Kubectl(context.Background(), s.nodeReader(), "delete", "-f", "-")
		assert.NoError(t, err)
	})
	require.Eventually(t, func() bool {
		_, err := scenes.Kubectl(t.Context(), "", "--kubeconfig", config, "auth", "can-i", "get", "nodes")
		return err == nil
	}, minute, second, "the authorizer hears of the ClusterRole")
	verdict, answer = judged(config)
	t.Logf("%s: %s", verdict.Code, verdict.Cause)
	assert.Equal(t, "NODE_NOT_READY", verdict.Code, "%s", answer.Stdout)
	assert.Contains(t, verdict.Cause, "node2")
	assert.Contains(t, verdict.Cause, "cordoned")
	enough, answer := s.wait("daemonset/app", "--min-available", "1")
	assert.Equal(t, "done", enough.State, "%s", answer.Stdout)
}

// What gets the name of what was deleted is another one, of which nobody has asked.
func TestADeploymentThatIsMadeAnewIsAnotherOne(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	never := ", readinessProbe: {exec: {command: [test, -e, /tmp/never]}, periodSeconds: 1, failureThreshold: 60}"
	s.apply(simple(1, "tool:1", forever, never))
	verdict, answer := s.waitAnd("available", func() {
		_, err := scenes.Kubectl(t.Context(), simple(1, "tool:1", forever, ""), "replace", "--force", "-n", s.name, "-f", "-")
		assert.NoError(t, err)
	}, "deployment/app", "--mark-good")
	assert.Equal(t, "DELETED", verdict.Code, "%s", answer.Stdout)
	s.done("deployment/app")
}

// nodeReader is k8s/optional/node-reader.yaml, for this stage's agent.
func (s stage) nodeReader() string {
	body, err := os.ReadFile(filepath.Join(Root(), "k8s/optional/node-reader.yaml"))
	require.NoError(s, err)
	mine := strings.Replace(string(body), "{kind: ServiceAccount, name: slipway-prod, namespace: jenkins-prod}",
		"{apiGroup: rbac.authorization.k8s.io, kind: User, name: "+s.user()+"}", 1)
	require.NotEqual(s, string(body), mine)
	return mine
}
