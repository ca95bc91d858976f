//go:build lab

package canary

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/canary/stage"
)

// site is a namespace with an application in it.
type site struct {
	stage.Router
	namespace string
}

func newSite(t *testing.T, kind, namespace string) site {
	t.Helper()
	return newSiteOf(t, kind, namespace, stage.Idle)
}

func newSiteOf(t *testing.T, kind, namespace string, pods stage.Pods) site {
	t.Helper()
	r := stage.Routers[kind]
	if r.Name == "gateway" && os.Getenv("LAB_GATEWAY_URL") == "" {
		t.Skip("needs bin/lab setup traefik, and bin/lab run --with gateway")
	}
	kubectl(t, r.Manifest(namespace, pods), "apply", "-f", "-")
	t.Cleanup(func() { kubectl(t, "", "delete", "namespace", namespace, "--wait=false") })
	kubectl(t, "", "rollout", "status", "-n", namespace, "deployment/app", "--timeout=3m")
	return site{r, namespace}
}

func (s site) arguments(command string, more ...string) []string {
	return append([]string{command, "-n", s.namespace, "--app", "app", "--router", s.Name}, more...)
}

func (s site) setArguments(run string, more ...string) []string {
	return s.arguments("set", append(append([]string{s.Weight, "--run", run}, s.Set...), more...)...)
}

func (s site) deployment(t *testing.T, name string) map[string]any {
	object := read(t, "/apis/apps/v1/namespaces/"+s.namespace+"/deployments/"+name)
	require.NotNil(t, object)
	return object
}

func annotations(object map[string]any) map[string]any {
	found, _ := object["metadata"].(map[string]any)["annotations"].(map[string]any)
	return found
}

func (s site) lease(t *testing.T) map[string]any {
	return read(t, "/apis/coordination.k8s.io/v1/namespaces/"+s.namespace+"/leases/slipway-app")
}

// state is everything that a canary may change, and everything that it must not.
func (s site) state(t *testing.T) string {
	t.Helper()
	own := map[string]any{}
	for _, name := range []string{"app", "app-canary"} {
		object := s.deployment(t, name)
		kept := map[string]any{}
		for key, value := range annotations(object) {
			if !strings.HasPrefix(key, "deployment.kubernetes.io/") {
				kept[key] = value
			}
		}
		own[name] = []any{object["spec"], kept}
	}
	if s.Path != "" {
		object := read(t, "/apis/"+s.Group+"/namespaces/"+s.namespace+"/"+s.Path)
		require.NotNil(t, object)
		own["route"] = []any{object["spec"], annotations(object)}
	}
	own["lease"] = s.lease(t) != nil
	body, err := json.MarshalIndent(own, "", " ")
	require.NoError(t, err)
	return string(body)
}

// changed are the lines that differ between two states.
func changed(before, after string) []string {
	was := map[string]int{}
	for _, line := range strings.Split(before, "\n") {
		was[strings.TrimRight(line, ",")]++
	}
	var lines []string
	for _, line := range strings.Split(after, "\n") {
		line = strings.TrimRight(line, ",")
		if was[line]--; was[line] < 0 {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func (s site) mustBe(t *testing.T, before, when string) {
	t.Helper()
	assert.Equal(t, before, s.state(t), when)
}

const (
	waitFor = 2 * time.Minute
	tick    = 300 * time.Millisecond
)
