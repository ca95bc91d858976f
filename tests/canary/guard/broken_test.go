//go:build lab

package guard

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Who goes past the guard becomes an Event: the reaper, with the rights that its manifest grants, and guard status make it, one for
// each reason.
func TestTheBrokenGlassBecomesAnEvent(t *testing.T) {
	kubectl := func(stdin string, arguments ...string) string {
		t.Helper()
		out, err := server.Kubectl(t.Context(), stdin, arguments...)
		require.NoError(t, err)
		return out
	}
	kubectl("", "create", "namespace", "glass")
	kubectl("", "apply", "-n", "glass", "-f", "../../../k8s/site/delivery/canary-reaper.yaml")
	deployment, _ := json.Marshal(with(object("Deployment", "shop", template(9)), "apiVersion", "apps/v1"))
	kubectl(string(deployment), "apply", "-n", "glass", "-f", "-")
	events := func() []string {
		t.Helper()
		return strings.Fields(kubectl("", "get", "events", "-n", "glass", "--field-selector", "reason=BreakGlass",
			"-o", `jsonpath={range .items[*]}{.type}/{.involvedObject.kind}/{.involvedObject.name}/{.involvedObject.uid}{"\n"}{end}`))
	}
	reap := func() {
		t.Helper()
		said, exit := helper(t, "system:serviceaccount:glass:canary-reaper", "canary-weight", "abort", "--expired", "-n", "glass",
			"--app", "shop", "--stable", "shop", "--canary", "shop-canary")
		require.Zero(t, exit, said)
		assert.NotContains(t, said, "Event")
	}
	reap()
	assert.Empty(t, events())
	kubectl("", "annotate", "-n", "glass", "deployment/shop", "slipway.dev/break-glass=a fire in hall 3")
	reap()
	reap()
	one := "Warning/Deployment/shop/" + kubectl("", "get", "deployment/shop", "-n", "glass", "-o", "jsonpath={.metadata.uid}")
	assert.Equal(t, []string{one}, events())
	assert.Contains(t, kubectl("", "get", "events", "-n", "glass", "-o", "jsonpath={.items[*].message}"),
		"deployment/shop went past the guard: a fire in hall 3. An administrator acknowledges it: kubectl annotate -n glass "+
			"deployment/shop slipway.dev/break-glass-")
	said, exit := helper(t, "", "guard", "status", "-n", "glass")
	require.Equal(t, 1, exit, said)
	assert.Equal(t, []string{one}, events(), "the same reason")
	kubectl("", "annotate", "--overwrite", "-n", "glass", "deployment/shop", "slipway.dev/break-glass=another fire")
	_, _ = helper(t, "", "guard", "status", "-n", "glass")
	assert.Equal(t, []string{one, one}, events())
	// Who may look and may not write Events is warned, and sees the rest.
	kubectl("", "create", "clusterrole", "auditors", "--verb=get,list", "--resource=*.*")
	kubectl("", "create", "clusterrolebinding", "auditors", "--clusterrole=auditors", "--user=olga")
	kubectl("", "annotate", "--overwrite", "-n", "glass", "deployment/shop", "slipway.dev/break-glass=a third one")
	said, exit = helper(t, "olga", "guard", "status", "-n", "glass")
	assert.Equal(t, 1, exit, said)
	assert.Contains(t, said, "noting as an Event that deployment/shop went past the guard")
	assert.Regexp(t, `BREAK GLASS +deployment/shop +a third one`, said)
	assert.Len(t, events(), 2)
}
