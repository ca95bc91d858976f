package canary

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/helpers/internal/kube"
)

var both = Route{Stable: "app-stable", Canary: "app-canary"}

func content(t *testing.T, document string) map[string]any {
	t.Helper()
	var object map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(document), &object))
	return object
}

// Each as its documentation shows it, with back ends that are others'.
func TestWeighingChangesOnlyTheTwoWeights(t *testing.T) {
	traffic := &Traffic{cluster: &kube.Cluster{Namespace: "prod"}}
	for name, test := range map[string]struct {
		rules  rulesOf
		object string
		want   []operation
	}{
		"gateway": {httpRouteRules, `
spec:
  rules:
  - backendRefs: [{name: app-canary, port: 80}]
  - filters: [{type: RequestMirror}]
    backendRefs:
    - {name: app-stable, port: 80}
    - {name: other, port: 80, weight: 3}
    - {name: app-canary, namespace: elsewhere, port: 80}
    - {name: app-canary, kind: Bucket, group: example.org}
    - {name: app-canary, port: 80, weight: 0}`,
			[]operation{{"add", "/spec/rules/1/backendRefs/0/weight", 9}, {"add", "/spec/rules/1/backendRefs/4/weight", 1}}},
		"traefik": {traefikRules, `
spec:
  weighted:
    services:
    - {name: app-stable, port: 80, weight: 100}
    - {name: app-canary, kind: TraefikService, weight: 5}
    - {name: app-canary, port: 80, weight: 0}`,
			[]operation{{"add", "/spec/weighted/services/0/weight", 9}, {"add", "/spec/weighted/services/2/weight", 1}}},
		"istio": {traffic.istioRules, `
spec:
  http:
  - route: [{destination: {host: app-stable}}]
  - route:
    - {destination: {host: app-stable.prod.svc.cluster.local}, weight: 100}
    - {destination: {host: app-canary.elsewhere.svc.cluster.local}, weight: 0}
    - {destination: {host: app-canary.prod}, weight: 0}`,
			[]operation{{"add", "/spec/http/1/route/0/weight", 9}, {"add", "/spec/http/1/route/2/weight", 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			rules := test.rules(both, content(t, test.object))
			pairs, _ := ruleWeights(rules)
			require.Len(t, pairs, 1, "one rule has both")
			got, err := weigh(rules, []Weight{{Rule: pairs[0].Rule, Stable: 9, Canary: 1}})
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
			again, err := weigh(rules, pairs)
			require.NoError(t, err)
			assert.Empty(t, again, "what is so already is not written")
		})
	}
}

func TestPlanWeights(t *testing.T) {
	for name, test := range map[string]struct {
		weight   int
		previous Weight
		shared   bool
		want     Weight
		achieved float64
	}{
		"alone":                          {10, Weight{0, 1, 0}, false, Weight{0, 90, 10}, 10},
		"all":                            {100, Weight{0, 1, 0}, false, Weight{0, 0, 100}, 100},
		"with others, the sum stays":     {10, Weight{0, 80, 0}, true, Weight{0, 72, 8}, 10},
		"with others, as near as it can": {10, Weight{0, 5, 0}, true, Weight{0, 4, 1}, 20},
		"with others, and no room":       {10, Weight{0, 1, 0}, true, Weight{0, 1, 0}, 0},
	} {
		got, achieved := planWeights(test.weight, []Weight{test.previous}, map[int]bool{0: test.shared})
		assert.Equal(t, []Weight{test.want}, got, name)
		assert.InDelta(t, test.achieved, achieved, 1e-9, name)
	}
}

func TestUndoneWeightsLeaveNothingToTheCanary(t *testing.T) {
	assert.Equal(t, []Weight{{0, 80, 0}, {1, 100, 0}, {2, 1, 0}}, undoneWeights([]Weight{{0, 80, 0}, {1, 90, 10}, {2, 0, 0}}))
}

func TestPodsFor(t *testing.T) {
	assert.EqualValues(t, 1, podsFor(10, State{Stable: 3}, Limits{MaxExtra: 5}))
	assert.EqualValues(t, 5, podsFor(50, State{Stable: 10}, Limits{MaxExtra: 5}))
	assert.EqualValues(t, 5, podsFor(90, State{Stable: 10}, Limits{MaxExtra: 5}))
	assert.EqualValues(t, 2, podsFor(10, State{Stable: 3, Canary: 2}, Limits{MaxExtra: 0}))
}

func TestCanaryIngresses(t *testing.T) {
	ingress := func(name, service string, annotations map[string]any) unstructured.Unstructured {
		return unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"name": name, "annotations": annotations},
			"spec":     map[string]any{"defaultBackend": map[string]any{"service": map[string]any{"name": service}}},
		}}
	}
	stable, canary := ingress("app", "app-stable", nil), ingress("second", "app-canary", map[string]any{ingressCanary: "true"})
	plain := ingress("plain", "app-canary", nil)
	assert.Equal(t, []string{"second"}, canaryIngresses(nil, both, []unstructured.Unstructured{stable, canary, plain}))
	assert.Empty(t, canaryIngresses(nil, both, []unstructured.Unstructured{canary}), "there is nothing that it could share with")
	assert.Empty(t, canaryIngresses(nil, both, []unstructured.Unstructured{stable, plain}))
}

func TestStableBack(t *testing.T) {
	quiet := func(string, ...any) {}
	assert.EqualValues(t, 2, stableBack(3, 2, []int32{3}, quiet), "what the canary asked for")
	assert.EqualValues(t, 2, stableBack(3, 2, []int32{3, 6}, quiet), "what it asked for first")
	assert.EqualValues(t, 5, stableBack(5, 2, []int32{3}, quiet), "somebody scaled it meanwhile")
	assert.EqualValues(t, 2, stableBack(1, 2, []int32{3}, quiet), "never fewer than before")
	assert.EqualValues(t, 2, stableBack(2, 2, []int32{3}, quiet))
}
