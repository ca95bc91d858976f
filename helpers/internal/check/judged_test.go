package check

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/helpers/internal/room"
)

func TestVersionsAndClocks(t *testing.T) {
	for _, each := range []struct {
		major, minor string
		state        State
	}{{"1", "29", Warning}, {"1", "30", OK}, {"1", "31+", OK}, {"2", "0", OK}, {"1", "", Skipped}, {"", "30", Skipped}} {
		assert.Equal(t, each.state, versionOf(each.major, each.minor).State, "%+v", each)
	}
	for ahead, state := range map[time.Duration]State{0: OK, 4 * time.Second: OK, -4 * time.Second: OK, 6 * time.Second: Warning,
		-50 * time.Second: Warning, 61 * time.Second: Missing, -time.Hour: Missing} {
		assert.Equal(t, state, clockOf(ahead, "it", "there").State, ahead)
	}
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for expires, state := range map[time.Time]State{{}: Missing, now.AddDate(0, 0, 29): Warning, now.AddDate(0, 0, 31): OK,
		now.AddDate(0, 0, -1): Warning} {
		assert.Equal(t, state, certificateOf(expires, now).State, expires)
	}
	for every, state := range map[time.Duration]State{0: Skipped, time.Second: OK, 15 * time.Second: OK, 16 * time.Second: Missing,
		time.Minute: Missing} {
		assert.Equal(t, state, intervalOf(every, 30*time.Second).State, every)
	}
}

// The kubelet's own rules: https://kubernetes.io/docs/concepts/containers/images/#config-json
func TestALoginCoversARegistry(t *testing.T) {
	for entry, covered := range map[string]bool{"nexus.example:8083": true, "https://nexus.example:8083": true,
		"http://nexus.example:8083/v2/": true,
		"*.example:8083":                true, "nexus.example": false, "nexus.example:8084": false, "*.other:8083": false, "example:8083": false,
		"*": false} {
		var config dockerConfig
		body, err := json.Marshal(map[string]any{"auths": map[string]any{entry: map[string]string{"auth": "bm9kZXM6cHc6dw=="}}})
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(body, &config))
		assert.Equal(t, covered, covers(config, "nexus.example:8083"), entry)
		user, password := config.login("nexus.example:8083")
		assert.Equal(t, map[bool]string{true: "nodes pw:w", false: " "}[covered], user+" "+password, entry)
	}
}

// The manifests of each part give every account what the helpers need, and are in the site's own namespaces.
func TestRightsAreReadFromTheManifests(t *testing.T) {
	objects, err := Manifests("site/prod", map[string]string{"prod": "shop", "jenkins-prod": "ci-prod"}, "nexus.example:8083")
	require.NoError(t, err)
	given := grants(objects)
	deliverer, reaper := "system:serviceaccount:ci-prod:slipway-prod", "system:serviceaccount:shop:canary-reaper"
	for _, wanted := range []grant{
		{deliverer, "shop", "patch", "apps", "deployments", "", ""},
		{deliverer, "shop", "get", "", "pods", "log", ""},
		{deliverer, "shop", "patch", "", "secrets", "", "nexus-pull"},
		{reaper, "shop", "delete", "coordination.k8s.io", "leases", "", ""},
		{"system:serviceaccount:ci-prod:jenkins", "ci-prod", "create", "", "pods", "exec", ""},
	} {
		assert.Contains(t, given, wanted)
	}
	for _, each := range given {
		assert.NotContains(t, []string{"prod", "jenkins-prod"}, each.namespace)
	}
	for _, object := range objects {
		if object.GetKind() == "CronJob" {
			body, _ := json.Marshal(object.Object)
			assert.Contains(t, string(body), "nexus.example:8083/slipway-agent:v1")
			assert.NotContains(t, string(body), fieldRegistry)
		}
	}
}

func deployment(t *testing.T, spec string) *appsv1.Deployment {
	t.Helper()
	var d appsv1.Deployment
	require.NoError(t, yaml.UnmarshalStrict([]byte(spec), &d.Spec))
	d.Name, d.Namespace = "shop", "prod"
	return &d
}

// siblings of what the real servers are asked: other ways to write the same field.
func TestADeploymentIsJudged(t *testing.T) {
	pod := func(container string) string {
		return "replicas: 3\nselector: {matchLabels: {app: shop}}\ntemplate: {metadata: {labels: {app: shop}}, " +
			"spec: {containers: [{name: app, " + container + "}]}}"
	}
	ten := func(d *appsv1.Deployment) Finding { return preStopOf(d, 10) }
	for _, each := range []struct {
		spec  string
		judge func(*appsv1.Deployment) Finding
		state State
	}{
		{pod(`lifecycle: {preStop: {exec: {command: [sh, -c, "sleep 10"]}}}`), ten, OK},
		{pod(`lifecycle: {preStop: {exec: {command: [sh, -c, "sleep 9"]}}}`), ten, Warning},
		{pod(`lifecycle: {preStop: {httpGet: {port: 80}}}`), ten, OK},
		{pod(`lifecycle: {preStop: {sleep: {seconds: 30}}}`), graceOf, Missing},
		{pod(`lifecycle: {preStop: {sleep: {seconds: 29}}}`), graceOf, OK},
		{pod(`image: "registry:5000/shop:1"`), imagesByDigest, Warning},
		{pod(`image: "registry:5000/shop:1@sha256:0000"`), imagesByDigest, OK},
		{pod(`resources: {limits: {cpu: 1, memory: 1Gi}}`), requestsOf, OK},
		{"strategy: {rollingUpdate: {maxUnavailable: 100%}}\n" + pod("image: a"), unavailableOf, Missing},
		{"strategy: {rollingUpdate: {maxUnavailable: 3}}\n" + pod("image: a"), unavailableOf, Missing},
		{"strategy: {rollingUpdate: {maxUnavailable: 25%}}\n" + pod("image: a"), unavailableOf, OK},
	} {
		assert.Equal(t, each.state, each.judge(deployment(t, each.spec)).State, each.spec)
	}
	for budget, state := range map[string]State{"maxUnavailable: 0": Missing, "maxUnavailable: 0%": Missing, "minAvailable: 3": Missing,
		"minAvailable: 100%": Missing, "minAvailable: 2": OK, "maxUnavailable: 1%": OK} {
		var object unstructured.Unstructured
		manifest := "metadata: {name: shop}\nspec: {selector: {matchLabels: {app: shop}}, " + budget + "}"
		require.NoError(t, yaml.Unmarshal([]byte(manifest), &object.Object))
		assert.Equal(t, state, budgetOf(deployment(t, pod("image: a")), []unstructured.Unstructured{object}).State, budget)
	}
	for _, mark := range []string{"argocd.argoproj.io/tracking-id", "kustomize.toolkit.fluxcd.io/name", "objectset.rio.cattle.io/id"} {
		d := deployment(t, pod("image: a"))
		d.Labels = map[string]string{mark: "x"}
		assert.Equal(t, Warning, gitOpsOf(d).State, mark)
	}
	assert.Equal(t, Missing, roomOf(room.Room{Pods: 2, Why: "quota"}, 3, "prod").State)
	assert.Equal(t, OK, roomOf(room.Room{Pods: 3}, 3, "prod").State)
}

func TestWhatAProbesPodSays(t *testing.T) {
	ended := func(code int32) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}}}}}
	}
	for code, state := range map[int32]State{0: Missing, 1: OK, 2: Skipped, 127: Skipped} {
		assert.Equal(t, state, dialled(ended(code), "jenkins-prod").State, code)
	}
	assert.Equal(t, Skipped, dialled(&corev1.Pod{}, "jenkins-prod").State)
	images, err := templateImages("nexus.example:8083/slipway-agent:v1")
	require.NoError(t, err)
	assert.Contains(t, images, "nexus.example:8083/slipway-agent:v1")
	assert.GreaterOrEqual(t, len(images), 5)
}
