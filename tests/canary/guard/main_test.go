//go:build lab

package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway.dev/slipway/tests/canary/plane"
)

var server *plane.Plane

// Whom requests come from. The groups are those that the API server gives to such an account.
const (
	account    = "system:serviceaccount:jenkins-prod:slipway-prod"
	reaper     = "system:serviceaccount:prod:canary-reaper"
	controller = "system:serviceaccount:kube-system:replicaset-controller"
	developer  = "ada" // may do everything in the namespace, and nothing outside of it
	rescuer    = "eve" // the same, and a member of the group that may break the glass
)

func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

const (
	repository = "10.10.70.84:30051/app"
	team       = "rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]"
)

// What is approved has the number 1, what ran before there was a guard 2, what an administrator lists 3; 9 is anything else.
func image(n int) string { return repository + ":latest-" + fmt.Sprint(n) + "@" + digest(n) }

const kinds = `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: %[1]ss.%[2]s,
  annotations: {api-approved.kubernetes.io: unapproved}}, spec: {group: %[2]s,
  names: {kind: %[3]s, listKind: %[3]sList, plural: %[1]ss, singular: %[1]s}, scope: Namespaced, versions: [{name: v1, served: true,
  storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}
---
`

func manifest(name, mode string, listed bool) string {
	text := fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %[1]s}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: all, namespace: %[1]s}, %[2]s}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: all, namespace: %[1]s},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: all}, subjects: [
  {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:authenticated"}]}
---
`, name, team)
	if listed {
		entry, _ := json.Marshal([]map[string]any{{"digest": digest(1), "repository": repository, "what": "promotion"}})
		list, _ := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": "slipway-approved", "namespace": name},
			"data": map[string]string{strings.Replace(digest(1), ":", "-", 1): string(entry),
				"others": "redis@" + digest(3) + "\n ingress/intranet \nhttproute/team-*\n"}})
		text += string(list) + "\n---\n"
	}
	object := func(kind, version, name string, spec any, annotations ...string) {
		metadata := map[string]any{"name": name, "annotations": pairs(annotations...)}
		body, _ := json.Marshal(map[string]any{"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
		text += string(body) + "\n---\n"
	}
	object("Deployment", "apps/v1", "old", template(2), "slipway.dev/good", "abc")
	object("Deployment", "apps/v1", "broken", template(2), "slipway.dev/break-glass", "fire")
	object("Service", "v1", "app", map[string]any{"selector": map[string]any{"app": "app"}, "ports": []any{map[string]any{"port": 80}}})
	object("Ingress", "networking.k8s.io/v1", "app", ingress("app"))
	object("Ingress", "networking.k8s.io/v1", "intranet", ingress("intranet"))
	object("Ingress", "networking.k8s.io/v1", "marked", ingress("app"), "slipway.dev/canary-run", "run-a")
	for _, kind := range []string{"HTTPRoute", "TraefikService", "VirtualService"} {
		object(kind, groups[kind]+"/v1", "app", map[string]any{"weight": 100})
		object(kind, groups[kind]+"/v1", "marked", map[string]any{"weight": 100}, "slipway.dev/canary-run", "run-a")
	}
	for _, kind := range []string{"GRPCRoute", "IngressRoute", "DestinationRule"} {
		object(kind, groups[kind]+"/v1", "broken", map[string]any{"weight": 100}, "slipway.dev/break-glass", "fire")
	}
	object("Pod", "v1", "running", pod(2))
	return text
}

var groups = map[string]string{
	"HTTPRoute": "gateway.networking.k8s.io", "TraefikService": "traefik.io", "VirtualService": "networking.istio.io",
	"GRPCRoute": "gateway.networking.k8s.io", "IngressRoute": "traefik.io", "DestinationRule": "networking.istio.io",
}

// audited is where the API server notes each request.
var audited string

func start(dir string) (err error) {
	audited = filepath.Join(dir, "audit.log")
	policy := filepath.Join(dir, "audit.yaml")
	rules := `{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}`
	if err := os.WriteFile(policy, []byte(rules), 0o600); err != nil {
		return err
	}
	server, err = plane.Start(context.Background(), dir, "--authorization-mode=RBAC", "--feature-gates=ImageVolume=true",
		"--audit-log-path="+audited, "--audit-policy-file="+policy)
	return err
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "guard")
		if err == nil {
			defer os.RemoveAll(dir)
			err = start(dir)
			defer server.Stop()
		}
		if err == nil {
			err = prepare(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// prepare fills the namespaces first and guards them then, as a site does.
func prepare(ctx context.Context) error {
	text := ""
	for kind, group := range groups {
		text += fmt.Sprintf(kinds, strings.ToLower(kind), group, kind)
	}
	if _, err := server.Kubectl(ctx, text, "apply", "-f", "-"); err != nil {
		return err
	}
	if _, err := server.Kubectl(ctx, "", "wait", "--for=condition=Established", "crd", "--all"); err != nil {
		return err
	}
	if _, err := server.Kubectl(ctx, "", "apply", "-k", "../../../k8s/guard"); err != nil {
		return err
	}
	for name, mode := range map[string]string{"prod": "enforce", "warned": "warn", "empty": "enforce", "free": ""} {
		if _, err := server.Kubectl(ctx, manifest(name, mode, name != "empty"), "apply", "-n", name, "-f", "-"); err != nil {
			return err
		}
		if mode == "" {
			continue
		}
		if _, err := server.Kubectl(ctx, "", "label", "namespace", name, "slipway.dev/guard="+mode); err != nil {
			return err
		}
		if err := guarded(ctx, name, mode); err != nil {
			return err
		}
	}
	return nil
}

// guarded waits until the policies hold: the API server takes a moment to compile them and to see the label.
func guarded(ctx context.Context, name, mode string) error {
	ada := server.As(developer)
	for range 600 {
		_, warning, err := send(ctx, ada, http.MethodPost, "/api/v1/namespaces/"+name+"/pods", object("Pod", "probe", pod(9)))
		_, second, other := send(ctx, ada, http.MethodDelete, "/api/v1/namespaces/"+name+"/services/app", nil)
		if mode == "warn" && strings.Contains(warning, "slipway-images") && strings.Contains(second, "slipway-traffic") ||
			mode == "enforce" && err != nil && other != nil {
			return nil
		}
	}
	return fmt.Errorf("the namespace %s is not guarded", name)
}
