//go:build lab

package canary

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// permission is one verb on one kind.
type permission struct{ group, resource, verb string }

// needed are those of set and abort, by router; k8s/site/delivery/rbac.yaml and
// k8s/site/delivery/canary-reaper.yaml grant them.
var needed = map[string][]permission{
	"service": {
		{"apps", "deployments", "get"}, {"apps", "deployments", "watch"}, {"apps", "deployments", "patch"},
		{"", "pods", "list"}, {"apps", "replicasets", "list"},
		{"", "services", "list"}, {"", "resourcequotas", "list"}, {"autoscaling", "horizontalpodautoscalers", "list"},
		{"discovery.k8s.io", "endpointslices", "list"}, {"discovery.k8s.io", "endpointslices", "watch"},
		{
			"coordination.k8s.io",
			"leases",
			"get",
		}, {"coordination.k8s.io", "leases", "create"}, {"coordination.k8s.io", "leases", "update"}, {"coordination.k8s.io", "leases", "delete"},
	},
	"traefik": {
		{"apps", "deployments", "get"}, {"apps", "deployments", "watch"}, {"apps", "deployments", "patch"},
		{
			"",
			"services",
			"list",
		}, {"", "resourcequotas", "list"}, {"traefik.io", "traefikservices", "get"}, {"traefik.io", "traefikservices", "list"},
		{"traefik.io", "traefikservices", "patch"},
		{"discovery.k8s.io", "endpointslices", "list"}, {"discovery.k8s.io", "endpointslices", "watch"},
		{
			"coordination.k8s.io",
			"leases",
			"get",
		}, {"coordination.k8s.io", "leases", "create"}, {"coordination.k8s.io", "leases", "update"}, {"coordination.k8s.io", "leases", "delete"},
	},
}

func grant(t *testing.T, namespace string, permissions []permission) {
	var rules []map[string]any
	for _, p := range permissions {
		rules = append(rules, map[string]any{"apiGroups": []string{p.group}, "resources": []string{p.resource}, "verbs": []string{p.verb}})
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": []any{
		map[string]any{
			"apiVersion": "rbac.authorization.k8s.io/v1",
			"kind":       "Role",
			"metadata":   map[string]any{"name": "least", "namespace": namespace},
			"rules":      rules,
		},
		map[string]any{
			"apiVersion": "rbac.authorization.k8s.io/v1",
			"kind":       "RoleBinding",
			"metadata":   map[string]any{"name": "least", "namespace": namespace},
			"roleRef":    map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "least"},
			"subjects":   []any{map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "least-" + namespace}},
		},
	}})
	require.NoError(t, err)
	kubectl(t, string(body), "apply", "-f", "-")
}

// With these verbs everything goes; without any one of them the helper says
// which is missing, and what it began can be undone.
func TestEveryVerbIsNeededAndSaidWhenItLacks(t *testing.T) {
	for kind, permissions := range needed {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind, "rbac-"+kind)
			before := s.state(t)
			as := func(arguments ...string) answer {
				a := newAPI(t)
				a.user = "least-" + s.namespace
				return a.run(t, arguments...)
			}
			grant(t, s.namespace, permissions)
			require.Eventually(t, func() bool { return as(s.arguments("get")...).code == 0 }, waitFor, tick)
			require.Equal(t, 0, as(s.setArguments("run-a")...).code)
			require.Equal(t, 0, as(s.arguments("abort")...).code)
			s.mustBe(t, before, "with all verbs")
			for i, lacking := range permissions {
				grant(t, s.namespace, append(append([]permission{}, permissions[:i]...), permissions[i+1:]...))
				want := fmt.Sprintf("apiGroups [%q], resources [%q], verbs [%q]", lacking.group, lacking.resource, lacking.verb)
				var said answer
				require.Eventually(t, func() bool {
					if said = as(s.setArguments("run-a")...); said.code == 0 {
						said = as(s.arguments("abort")...)
					}
					return strings.Contains(said.errors, want)
				}, waitFor, tick, "%v: %s", lacking, &said)
				assert.Equal(t, 2, said.code, said)
				require.Equal(t, 0, newAPI(t).run(t, s.arguments("abort")...).code)
				s.mustBe(t, before, fmt.Sprint("without ", lacking))
			}
		})
	}
}

// The Roles that a team applies are enough: the pipelines' for set and abort,
// the reaper's for taking back what is over.
func TestTheManifestsGrantWhatIsNeeded(t *testing.T) {
	for _, kind := range []string{"service", "traefik", "istio", "ingress-nginx"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind, "granted-"+kind)
			before := s.state(t)
			for _, file := range []string{"delivery/rbac.yaml", "delivery/canary-reaper.yaml", "prod/delivery/binding.yaml"} {
				body, err := os.ReadFile("../../k8s/site/" + file)
				require.NoError(t, err)
				for _, document := range strings.Split(string(body), "\n---\n") {
					if !strings.Contains(document, "kind: CronJob") {
						kubectl(t, document, "apply", "-n", s.namespace, "-f", "-")
					}
				}
			}
			pipeline, reaper := newAPI(t), newAPI(t)
			pipeline.user, reaper.user = "system:serviceaccount:jenkins-prod:slipway-prod", "system:serviceaccount:"+s.namespace+":canary-reaper"
			var done answer
			require.Eventually(t, func() bool {
				done = pipeline.run(t, "set", s.Weight, "-n", s.namespace, "--app", "app", "--run", "run-a")
				return done.code == 0
			}, waitFor, tick, "%s", &done)
			assert.NotContains(t, done.errors, "not looked at")
			done = pipeline.run(t, s.arguments("verify", s.Weight, "--prometheus", "")...)
			assert.Equal(t, 0, done.code, done)
			require.Equal(t, 0, pipeline.run(t, s.arguments("abort", "--run", "run-a")...).code)
			done = pipeline.run(t, s.setArguments("run-b", "--expires", "1s")...)
			require.Equal(t, 0, done.code, done)
			require.Eventually(t, func() bool {
				done = reaper.run(t, "abort", "--expired", "-n", s.namespace, "--app", "app")
				return strings.Contains(done.out, "undone what run-b began")
			}, waitFor, tick, "%s", &done)
			s.mustBe(t, before, "after the reaper")
		})
	}
}
