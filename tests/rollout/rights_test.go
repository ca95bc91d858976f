//go:build lab

package rollout

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/tests/rollout/gate"
	"slipway.dev/slipway/tests/rollout/scenes"
)

const (
	minute = time.Minute
	second = time.Second
)

type rule struct {
	APIGroups     []string `json:"apiGroups"`
	Resources     []string `json:"resources"`
	Verbs         []string `json:"verbs"`
	ResourceNames []string `json:"resourceNames,omitempty"`
}

// rights reads the rules of k8s/site/delivery/rbac.yaml.
func rights(t *testing.T) []rule {
	body, err := os.ReadFile(filepath.Join(Root(), "k8s/site/delivery/rbac.yaml"))
	require.NoError(t, err)
	var role struct {
		Kind  string `json:"kind"`
		Rules []rule `json:"rules"`
	}
	document, _, _ := strings.Cut(string(body), "\n---")
	require.NoError(t, yaml.Unmarshal([]byte(document), &role))
	require.Equal(t, "Role", role.Kind)
	return role.Rules
}

// errand is what one of the two helpers does, and every verb that it needs.
type errand struct {
	name    string
	helper  string
	prepare func(stage)
	run     []string
	exit    int
	needs   []string // VERB RESOURCE
}

const pullSecret = "nexus-pull"

func errands(t *testing.T) []errand {
	file := filepath.Join(t.TempDir(), "app.yaml")
	pulling := strings.Replace(simple(1, "tool:1", forever, ""), "spec: {terminationGracePeriodSeconds",
		"spec: {imagePullSecrets: [{name: nexus-pull}], terminationGracePeriodSeconds", 1)
	require.NoError(t, os.WriteFile(file, []byte(pulling), 0o600))
	login := filepath.Join(t.TempDir(), "config.json")
	require.NoError(t, os.WriteFile(login, []byte(`{"auths":{"nexus.lab":{"auth":"bm9ib2R5OnNlY3JldA=="}}}`), 0o600))
	image := fmt.Sprintf("nexus.lab/tool:9@sha256:%064d", 9)
	secret := []string{"--image", image, "--pull-secret", pullSecret, "--docker-config", login}
	applied := func(manifest string) func(stage) { return func(s stage) { s.apply(manifest) } }
	all := append(slices.Clone(scenes.Failing), scenes.Fine...)
	sceneOf := func(name string) string {
		return all[slices.IndexFunc(all, func(s scenes.Scene) bool { return s.Name == name })].Manifest
	}
	return []errand{
		{name: "create", helper: "deploy-image", run: append([]string{"deployment/app", "--create-from", file}, secret...),
			needs: []string{"get deployments", "create deployments", "get secrets", "create secrets", "create events"}},
		{name: "change", helper: "deploy-image", run: append([]string{"deployment/app"}, secret...),
			prepare: func(s stage) {
				s.apply(simple(1, "tool:1", forever, ""))
				s.kubectl("create", "secret", "docker-registry", pullSecret, "--docker-server=third.lab", "--docker-username=u", "--docker-password=p")
				s.kubectl("patch", "serviceaccount", "default", "-p", `{"imagePullSecrets":[{"name":"nexus-pull"}]}`)
				verdict, answer := s.wait("deployment/app", "--mark-good")
				require.Equal(s, "done", verdict.State, "%s", answer.Stdout)
			},
			needs: []string{"get deployments", "get serviceaccounts", "patch deployments", "get secrets", "patch secrets", "create events"}},
		{name: "wait", helper: "rollout-wait", run: []string{"deployment/app", "--mark-good"}, prepare: applied(simple(1, "tool:1", forever, "")),
			needs: []string{"list deployments", "watch deployments", "list replicasets", "watch replicasets", "list pods", "watch pods",
				"patch deployments"}},
		{name: "crash", helper: "rollout-wait", run: []string{"deployment/app"}, prepare: applied(sceneOf("crash-loop")), exit: 1,
			needs: []string{"list events", "get pods/log"}},
		{name: "claim", helper: "rollout-wait", run: []string{"deployment/app", "--grace-claim", "15s"},
			prepare: applied(sceneOf("claim-pending")), exit: 1,
			needs: []string{"get persistentvolumeclaims"}},
		{name: "stateful", helper: "rollout-wait", run: []string{"statefulset/app"}, prepare: applied(sceneOf("stateful-min-ready")),
			needs: []string{"list statefulsets", "watch statefulsets"}},
		{name: "daemon", helper: "rollout-wait", run: []string{"daemonset/app"}, prepare: applied(sceneOf("daemon-good")),
			needs: []string{"list daemonsets", "watch daemonsets", "list controllerrevisions", "watch controllerrevisions"}},
	}
}

// ours are the resources of which no other helper needs more than these two:
// what the Role grants on them, an errand has to need. The rest, and the scale of
// a Deployment, is canary-weight's, whose own tests ask for it.
var ours = []string{"deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions", "pods", "pods/log", "events",
	"persistentvolumeclaims", "serviceaccounts", "secrets"}

// TestTheRoleIsEnoughAndLeast plays each errand with the whole Role, then with
// each verb taken away that it needs, and sees that this one is missed by name.
// What no errand needs of ours may not be in the Role.
func TestTheRoleIsEnoughAndLeast(t *testing.T) {
	t.Parallel()
	list := errands(t)
	needed := map[string]bool{}
	for _, e := range list {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			whole := e.play(t, rights(t))
			require.Equal(t, e.exit, whole.Exit, "%+v", whole)
			assert.NotContains(t, whole.Stdout+whole.Stderr, " may not ")
		})
		for _, need := range e.needs {
			if needed[need] {
				continue // seen to be missed by another errand
			}
			needed[need] = true
			t.Run(e.name+" without "+need, func(t *testing.T) {
				t.Parallel()
				lacking := e.play(t, without(rights(t), need))
				verb, resource, _ := strings.Cut(need, " ")
				assert.Regexp(t, " may not "+verb+" "+resource+`\b`, lacking.Stdout+lacking.Stderr)
			})
		}
	}
	for _, granted := range flat(rights(t)) {
		_, resource, _ := strings.Cut(granted, " ")
		assert.True(t, needed[granted] || !slices.Contains(ours, resource), "the Role grants %q, and nobody needs it", granted)
	}
}

func (e errand) play(t *testing.T, rules []rule) Answer {
	s := newStage(t)
	if e.prepare != nil {
		e.prepare(s)
	}
	return Helper(t.Context(), s.agent(rules), e.helper, append([]string{"-n", s.name}, e.run...)...)
}

// agent gives the kubeconfig of somebody who has these rights here, and no others.
func (s stage) agent(rules []rule) string {
	role, err := yaml.Marshal(map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
		"metadata": map[string]string{"name": "slipway"}, "rules": rules})
	require.NoError(s, err)
	s.apply(string(role) +
		"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: slipway}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: slipway}\nsubjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: " + s.user() + "}]\n")
	g, err := gate.Open(os.Getenv("KUBECONFIG"))
	require.NoError(s, err)
	s.Cleanup(g.Close)
	config, err := g.Kubeconfig(s.TempDir(), s.user())
	require.NoError(s, err)
	require.Eventually(s, func() bool {
		_, err := scenes.Kubectl(s.Context(), "", "--kubeconfig", config, "-n", s.name, "auth", "can-i", "list", "pods")
		_, other := scenes.Kubectl(s.Context(), "", "--kubeconfig", config, "-n", s.name, "auth", "can-i", "get", "deployments")
		return err == nil || other == nil
	}, minute, second, "the authorizer hears of the Role")
	return config
}

func (s stage) user() string { return "agent-" + s.name }

func flat(rules []rule) []string {
	var all []string
	for _, r := range rules {
		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				all = append(all, verb+" "+resource)
			}
		}
	}
	return all
}

// without takes one verb on one resource out of all rules.
func without(rules []rule, need string) []rule {
	verb, resource, _ := strings.Cut(need, " ")
	var left []rule
	for _, r := range rules {
		for _, one := range r.Resources {
			kept := rule{r.APIGroups, []string{one}, slices.Clone(r.Verbs), r.ResourceNames}
			if one == resource {
				kept.Verbs = slices.DeleteFunc(kept.Verbs, func(v string) bool { return v == verb })
			}
			if len(kept.Verbs) > 0 {
				left = append(left, kept)
			}
		}
	}
	return left
}
