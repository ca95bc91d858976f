//go:build lab

package rollout

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/rollout/gate"
	"slipway.dev/slipway/tests/rollout/scenes"
)

func (s stage) deploy(image string, more ...string) Answer {
	s.Helper()
	return s.helper("deploy-image", append([]string{"-n", s.name, "deployment/app", "--image", image, "-o", "json"}, more...)...)
}

func (s stage) imageOf() string {
	return s.kubectl("get", "deployment/app", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
}

// good is an image by digest that the lab has, and bad ones that it has not.
func (s stage) good() string { return "tool:1@" + s.digest() }

func bad(n int) string { return fmt.Sprintf("tool:%d@sha256:%064d", n, n) }

func TestBackToTheLastRevisionThatWasGood(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(simple(2, "tool:1", forever, ""))
	s.done("deployment/app")
	good := s.good()
	require.Zero(t, s.deploy(good).Exit)
	marked, answer := s.wait("deployment/app", "--image", good, "--mark-good")
	require.Equal(t, "done", marked.State, "%s", answer.Stdout)

	require.Zero(t, s.deploy(bad(2)).Exit, "bad, and nobody goes back")
	verdict, _ := s.wait("deployment/app")
	require.Equal(t, "IMAGE_NOT_FOUND", verdict.Code)
	third := s.deploy(bad(3))
	require.Zero(t, third.Exit)
	assert.Contains(t, third.Stdout, `"lastGood": "`+good, "a revision that never became good is not noted")
	verdict, answer = s.wait("deployment/app", "--image", bad(3), "--rollback")
	assert.Equal(t, 1, answer.Exit)
	assert.Equal(t, "IMAGE_NOT_FOUND", verdict.Code)
	assert.Contains(t, verdict.Rollback, "done: the revision "+marked.Revision, "%s", answer.Stdout)
	assert.Equal(t, good, s.imageOf(), "not the second highest revision, which is a bad one")

	again := s.helper("rollout-wait", "-n", s.name, "deployment/app", "--undo", "-o", "json")
	assert.Zero(t, again.Exit, "%+v", again)
	assert.Equal(t, good, s.imageOf(), "twice undone is once undone")

	s.kubectl("set", "image", "deployment/app", "c="+bad(4))
	verdict, answer = s.wait("deployment/app", "--image", bad(3), "--rollback")
	assert.Equal(t, "WRONG_IMAGE", verdict.Code, "%s", answer.Stdout)
	assert.Contains(t, verdict.Rollback, "not done")
	assert.Equal(t, bad(4), s.imageOf(), "somebody else's change is not undone")
}

// None of its pods is needed to see what is undone, so it has none.
func TestOnlyWhatIsOursIsUndone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(simple(0, "tool:1", forever, ""))
	without, answer := s.wait("deployment/app")
	require.Equal(t, "done", without.State, "%s", answer.Stdout)
	s.kubectl("annotate", "deployment/app", "slipway.dev/good="+without.Revision) // as if it had had pods
	g, err := gate.Open(os.Getenv("KUBECONFIG"))
	require.NoError(t, err)
	t.Cleanup(g.Close)
	config, err := g.Kubeconfig(t.TempDir(), "")
	require.NoError(t, err)
	// Somebody's change comes between the undo's read and its own change.
	undo := func(from, meanwhile string) Answer {
		g.Fault(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPatch && meanwhile != "" {
				body := meanwhile
				meanwhile = ""
				change, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, g.Address()+r.URL.Path, strings.NewReader(body))
				if assert.NoError(t, err) {
					change.Header.Set("Content-Type", "application/strategic-merge-patch+json")
					answered, err := http.DefaultClient.Do(change)
					if assert.NoError(t, err) {
						assert.Equal(t, http.StatusOK, answered.StatusCode)
						assert.NoError(t, answered.Body.Close())
					}
				}
			}
			return false
		})
		return Helper(t.Context(), config, "rollout-wait", "-n", s.name, "deployment/app", "--undo", "--undo-from", from, "-o", "json")
	}

	require.Zero(t, s.deploy(bad(2)).Exit)
	answer = undo(bad(2), `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"`+bad(3)+`"}]}}}}`)
	assert.Equal(t, 4, answer.Exit, "%+v", answer)
	assert.Equal(t, bad(3), s.imageOf(), "what somebody deployed between the read and the change is left to them")

	s.kubectl("rollout", "pause", "deployment/app")
	answer = undo(bad(3), "")
	assert.Equal(t, 1, answer.Exit, "%+v", answer)
	assert.Contains(t, answer.Result.Error.Message, "is paused")
	assert.Equal(t, bad(3), s.imageOf())
	s.kubectl("rollout", "resume", "deployment/app")

	answer = undo(bad(3), `{"metadata":{"annotations":{"a":"b"}}}`)
	assert.Zero(t, answer.Exit, "what does not concern it is read again: %+v", answer)
	assert.Equal(t, "tool:1", s.imageOf())
	answer = undo(bad(3), "")
	assert.Zero(t, answer.Exit, "who did not hear of the end may ask again: %+v", answer)
	assert.Equal(t, "tool:1", s.imageOf())
}

func TestNothingToGoBackTo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(simple(1, "Not A Name", forever, ""))
	verdict, answer := s.wait("deployment/app", "--rollback")
	assert.Equal(t, 1, answer.Exit)
	assert.Equal(t, "INVALID_IMAGE_NAME", verdict.Code)
	assert.Contains(t, verdict.Rollback, "does not say which revision was good")
}

func TestDeployImage(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(simple(1, "tool:1", forever, `, env: [{name: A, value: "1"}]`))
	s.done("deployment/app")
	g, err := gate.Open(os.Getenv("KUBECONFIG"))
	require.NoError(t, err)
	t.Cleanup(g.Close)
	config, err := g.Kubeconfig(t.TempDir(), "")
	require.NoError(t, err)
	good := s.good()
	login := filepath.Join(t.TempDir(), "config.json")
	require.NoError(t, os.WriteFile(login,
		[]byte(`{"auths":{"nexus.lab":{"auth":"bm9ib2R5OnNlY3JldA=="},"other.lab":{"auth":"b3RoZXI6b3RoZXI="}}}`), 0o600))

	dry := s.deploy(good, "--dry-run")
	require.Zero(t, dry.Exit, "%+v", dry)
	assert.Equal(t, "tool:1", s.imageOf())

	s.kubectl("patch", "serviceaccount", "default", "-p", `{"imagePullSecrets":[{"name":"pull"}]}`)
	s.kubectl("create", "secret", "docker-registry", "pull", "--docker-server=third.lab", "--docker-username=u", "--docker-password=p")
	private := "nexus.lab/tool:1@" + s.digest()
	before := g.Requests.Load()
	changed := Helper(t.Context(), config, "deploy-image", "-n", s.name, "deployment/app", "--image", private, "--pull-secret", "pull",
		"--docker-config", login, "--record", "build=https://ci/7", "-o", "json")
	require.Zero(t, changed.Exit, "%+v", changed)
	t.Logf("%d requests: %s", g.Requests.Load()-before, strings.Join(g.Asked, "\n"))
	assert.LessOrEqual(t, g.Requests.Load()-before, int64(8),
		"5, one for the ServiceAccount that uses the Secret, two for a login that changed")
	assert.Equal(t, private, s.imageOf())
	assert.Contains(t, s.kubectl("get", "deployment/app", "-o", "yaml"), `value: "1"`, "the rest of the template stays")
	secret := s.kubectl("get", "secret", "pull", "-o", `go-template={{index .data ".dockerconfigjson" | base64decode}}`)
	assert.Contains(t, secret, "nexus.lab")
	assert.Contains(t, secret, "third.lab", "another registry's login stays")
	assert.NotContains(t, secret, "other.lab")
	event := s.kubectl("get", "events", "--field-selector=reason=ImageDeployed", "-o", "jsonpath={.items[*].message}")
	assert.Contains(t, event, "from tool:1, by https://ci/7")

	version := s.kubectl("get", "secret", "pull", "-o", "jsonpath={.metadata.resourceVersion}")
	same := s.deploy(private, "--pull-secret", "pull", "--docker-config", login)
	assert.Zero(t, same.Exit)
	assert.Contains(t, same.Stdout, `"changed": false`)
	assert.Equal(t, version, s.kubectl("get", "secret", "pull", "-o", "jsonpath={.metadata.resourceVersion}"))

	for name, test := range map[string]struct {
		arguments []string
		exit      int
		says      string
	}{
		"no image":          {[]string{"deployment/app"}, 2, "deploy-image needs --image"},
		"no digest":         {[]string{"deployment/app", "--image", "tool:1"}, 2, "names no digest"},
		"absent":            {[]string{"deployment/none", "--image", good}, 1, "--create-from"},
		"unknown container": {[]string{"deployment/app", "--image", good, "--container", "x"}, 2, "there are: c"},
		"nobody uses it": {[]string{"deployment/app", "--image", private, "--pull-secret", "unused", "--docker-config", login}, 2,
			"nothing uses the pull secret unused"},
		"no login": {[]string{"deployment/app", "--image", "none.lab/tool:1@" + s.digest(), "--pull-secret", "pull", "--docker-config",
			login}, 2, "no login for none.lab"},
	} {
		answer := s.helper("deploy-image", append([]string{"-n", s.name}, test.arguments...)...)
		assert.Equal(t, test.exit, answer.Exit, name)
		assert.Contains(t, answer.Stderr, test.says, name)
		assert.NotContains(t, answer.Stderr+answer.Stdout, "c2VjcmV0", name)
	}
}

func TestDeployImageThatAdmissionRefuses(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.apply(simple(1, "tool:1", forever, ""))
	s.done("deployment/app")
	s.apply(strings.NewReplacer("closed", s.name, "resources: [pods]", "resources: [deployments]", `apiGroups: [""]`, "apiGroups: [apps]",
		"operations: [CREATE]", "operations: [UPDATE]",
		"kubernetes.io/metadata.name: admission-policy", "kubernetes.io/metadata.name: "+s.name).Replace(scenes.Policy))
	t.Cleanup(func() {
		_, err := scenes.Kubectl(context.Background(), "", "delete", "validatingadmissionpolicybinding", s.name)
		assert.NoError(t, err)
	})
	good := s.good()
	require.Eventually(t, func() bool { return s.deploy(good, "--dry-run").Exit == 1 }, minute, second, "the policy comes into force")
	refused := s.deploy(good)
	assert.Equal(t, 1, refused.Exit, "%+v", refused)
	assert.Contains(t, refused.Stdout, "no pods today")
	assert.Equal(t, "tool:1", s.imageOf(), "nothing was changed")
}
