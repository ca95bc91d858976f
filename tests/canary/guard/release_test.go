//go:build lab

package guard

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/canary/plane"
)

// A release goes through the phases of the production pipeline in a namespace that is guarded; what was approved, and by whom, is on
// the list; the reaper and the pipeline's account can undo it.
func TestAReleaseGoesThroughTheGuard(t *testing.T) {
	server.Kubelet(t.Context(), func(plane.Pod) bool { return true })
	world(t, "release", "enforce", image(4))
	said, exit := helper(t, "", "guard", "approve", "-n", "release")
	require.Zero(t, exit, said)
	_, err := server.Kubectl(t.Context(), "", "patch", "deployment/app-1", "-n", "release", "-p", `{"spec":{"replicas":2,"template":{"spec":{
		"containers":[{"name":"app","readinessProbe":{"httpGet":{"path":"/","port":80}}}]}}}}`)
	require.NoError(t, err)
	for _, other := range []string{"old", "broken"} { // whose pods the Service would select as well
		_, err = server.Kubectl(t.Context(), "", "delete", "deployment/"+other, "pod/running", "-n", "release", "--ignore-not-found")
		require.NoError(t, err)
	}
	const build = "https://jenkins/job/shop/7/"
	names := []string{"-n", "release", "--app", "app-1", "--run", build, "--image", image(5), "--router", "service", "--stable", "app-1"}
	phase := func(exit int, user string, words ...string) map[string]any {
		t.Helper()
		said, _ := helper(t, user, "phase", append([]string{"--answer", words[0]}, append(names, words[1:]...)...)...)
		var answer map[string]any
		lines := strings.Split(said, "\n")
		at := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "{") })
		require.GreaterOrEqual(t, at, 0, said)
		require.NoError(t, json.Unmarshal([]byte(lines[at]), &answer), said)
		require.EqualValues(t, exit, answer["exit"], said)
		return answer
	}
	phase(0, account, "canary", "--record", "build="+build, "--pull-secret", "", "--tolerance", "20", "33")
	assert.Contains(t, list(t, "release")[key(5)], `"what":"canary"`)
	viewers(t)
	runs := func() (app map[string]any) {
		t.Helper()
		_, s := seen(t, "viewer", "-n", "release", "--app", "app-1")
		assert.Empty(t, s.Findings)
		require.Len(t, s.Apps, 1)
		return s.Apps[0]
	}
	assert.Subset(t, runs()["canary"], map[string]any{"run": build, "weight": 33.0, "image": image(5), "overdue": false, "router": "service"})
	judged := phase(0, account, "judge", "--hold", "1s")
	answers, err := json.Marshal(map[string]any{"approvals": []any{
		map[string]any{"what": "promotion", "by": "ada", "hash": judged["approval"]}}})
	require.NoError(t, err)
	promote := []string{"promote", "--from", image(4), "--record", "build=" + build, "--pull-secret", "", "--tolerance", "20",
		"--verdict", fmt.Sprint(judged["summary"]), "33"}
	t.Setenv("SLIPWAY_APPROVALS", string(answers))
	phase(0, account, promote...)
	entry := list(t, "release")[key(5)]
	hash := fmt.Sprintf(`"hash":%q`, judged["approval"])
	for _, text := range []string{`"what":"promotion"`, `"approvers":["ada"]`, hash, `"build":"` + build} {
		assert.Contains(t, entry, text)
	}
	assert.Equal(t, image(5), imageOf(t, "release", "app-1"))
	assert.Subset(t, runs(), map[string]any{"image": image(5), "state": "delivered", "approvedBy": "ada", "approvedFor": "promotion",
		"build": build, "guard": "enforce", "before": image(4)})
	said, exit = helper(t, "system:serviceaccount:release:canary-reaper", "canary-weight", "abort", "-n", "release", "--app", "app-1",
		"--router", "service")
	require.Zero(t, exit, said)
	phase(0, account, "undo", "stable", "canary")
	assert.Equal(t, image(4), imageOf(t, "release", "app-1"))
	assert.Subset(t, runs(), map[string]any{"image": image(4), "state": "rolled back", "canary": nil, "approvedBy": ""})
}
