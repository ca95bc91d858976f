//go:build lab

package guard

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// status is what slipway status answers, as far as it is looked at here.
type status struct {
	Apps     []map[string]any
	Findings []struct{ Kind, Namespace, Object, What, Next string }
	Waivers  []map[string]any
	Unread   []string
	Error    map[string]any
}

func seen(t *testing.T, user string, arguments ...string) (exit int, s status) {
	t.Helper()
	said, exit := helper(t, user, "slipway", append([]string{"status", "--output", "json"}, arguments...)...)
	if at := strings.Index(said, "\n}\n"); at >= 0 {
		said = said[:at+2]
	}
	require.NoError(t, json.Unmarshal([]byte(said), &s), said)
	return exit, s
}

// rights are those of k8s/optional/status-reader.yaml, each of a resource: group, resource, the rest of the rule.
func rights(t *testing.T) (all [][3]string) {
	t.Helper()
	said, err := server.Kubectl(t.Context(), "", "create", "--dry-run=client", "-o", "json", "-f", "../../../k8s/optional/status-reader.yaml")
	require.NoError(t, err)
	var role struct {
		Rules []struct{ APIGroups, Resources, Verbs, ResourceNames []string }
	}
	require.NoError(t, json.Unmarshal([]byte(said), &role))
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			names := append([]string{}, rule.ResourceNames...)
			if len(names) == 0 {
				names = []string{""}
			}
			for _, name := range names {
				rest, _ := json.Marshal(map[string]any{"apiGroups": rule.APIGroups, "resources": []string{resource}, "verbs": rule.Verbs,
					"resourceNames": strings.Fields(name)})
				all = append(all, [3]string{rule.APIGroups[0], resource + " " + name, string(rest)})
			}
		}
	}
	return all
}

var granted sync.Once

// viewers are users of these rights: viewer has them all, and viewer-N lacks the one of that number.
func viewers(t *testing.T) {
	t.Helper()
	granted.Do(func() {
		all, text := rights(t), ""
		for i := -1; i < len(all); i++ {
			name, rules := "viewer", []string{}
			if i >= 0 {
				name = fmt.Sprint("viewer-", i)
			}
			for j, right := range all {
				if j != i {
					rules = append(rules, right[2])
				}
			}
			text += fmt.Sprintf(`{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": %[1]q}, "rules": [%[2]s]}
---
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": %[1]q}, "roleRef": {"name": %[1]q,
 "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}, "subjects": [{"kind": "User", "name": %[1]q,
 "apiGroup": "rbac.authorization.k8s.io"}]}
---
`, name, strings.Join(rules, ","))
		}
		_, err := server.Kubectl(t.Context(), text, "apply", "-f", "-")
		require.NoError(t, err)
	})
}

// The role has what slipway status needs, and each right of it is needed: without one, what could not be read is named.
func TestStatusNeedsExactlyItsRole(t *testing.T) {
	viewers(t)
	const waivers = `{apiVersion: v1, kind: ConfigMap, metadata: {name: slipway-policy, namespace: free}, data: {waivers.yaml:
 "waivers:\n- {id: CVE-2026-1, reason: no form is read, owner: ada, until: 2020-01-31}"}}`
	_, err := server.Kubectl(t.Context(), waivers, "apply", "-f", "-")
	require.NoError(t, err)
	exit, s := seen(t, "viewer", "-A")
	require.Zero(t, exit, s)
	assert.Empty(t, s.Unread)
	assert.Len(t, s.Waivers, 1)
	kinds := map[string]int{}
	for _, finding := range s.Findings {
		kinds[finding.Kind]++
	}
	assert.GreaterOrEqual(t, kinds["break-glass"], 4, "deployment/broken of four namespaces: %v", s.Findings)
	assert.Equal(t, 1, kinds["waiver"])

	for i, right := range rights(t) {
		exit, s := seen(t, fmt.Sprint("viewer-", i), "-A")
		resource := strings.Fields(right[1])
		if resource[0] == "deployments" {
			assert.Equal(t, 2, exit, right)
			assert.Contains(t, s.Error["message"], "may not list deployments.apps")
			continue
		}
		assert.Equal(t, 3, exit, "%v: %v", right, s.Unread)
		require.Len(t, s.Unread, 1, right)
		assert.Contains(t, s.Unread[0], resource[len(resource)-1])
	}

	said, exit := helper(t, "viewer", "slipway", "status", "-n", "absent")
	assert.Equal(t, 1, exit, said)
	said, exit = helper(t, "viewer", "slipway", "status", "-A", "--output", "html")
	assert.Zero(t, exit)
	assert.Contains(t, said, "<!doctype html>")
}
