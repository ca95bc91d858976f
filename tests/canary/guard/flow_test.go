//go:build lab

package guard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/canary/plane"
)

// helper runs a built helper as this user, and gives what it said and its exit code.
func helper(t *testing.T, user, name string, arguments ...string) (string, int) {
	t.Helper()
	as := `"user": {` // the administrator
	if user != "" {
		as = fmt.Sprintf(`"user": {"as": %q, "as-groups": ["system:authenticated"], `, user)
	}
	config := strings.Replace(plane.Config(server.Server), `"user": {`, as, 1)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	command := exec.CommandContext(t.Context(), filepath.Join("../../../bin", name), arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+file)
	out, err := command.CombinedOutput()
	if _, ended := err.(*exec.ExitError); !ended {
		require.NoError(t, err)
	}
	return string(out), command.ProcessState.ExitCode()
}

// world is a namespace with one Deployment for each image, which are named app-1 and so on.
func world(t *testing.T, name, mode string, images ...string) {
	t.Helper()
	text := manifest(name, mode, true)
	for i, image := range images {
		body, _ := json.Marshal(map[string]any{"apiVersion": "apps/v1", "kind": "Deployment",
			"metadata": map[string]any{"name": fmt.Sprint("app-", i+1)}, "spec": templateOf(running(image))})
		text += "\n---\n" + string(body)
	}
	_, err := server.Kubectl(t.Context(), text, "apply", "-n", name, "-f", "-")
	require.NoError(t, err)
	_, err = server.Kubectl(t.Context(), "", "label", "namespace", name, "slipway.dev/guard="+mode)
	require.NoError(t, err)
	require.NoError(t, guarded(t.Context(), name, mode))
}

func imageOf(t *testing.T, namespace, name string) string {
	t.Helper()
	out, err := server.Kubectl(t.Context(), "", "get", "deployment/"+name, "-n", namespace,
		"-o", "jsonpath={.spec.template.spec.containers[0].image}")
	require.NoError(t, err)
	return out
}

func list(t *testing.T, namespace string) map[string]string {
	t.Helper()
	found, err := server.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/"+namespace+"/configmaps/slipway-approved", nil)
	require.NoError(t, err)
	data := map[string]string{}
	for key, value := range found["data"].(map[string]any) {
		data[key] = value.(string)
	}
	return data
}

func key(n int) string { return strings.Replace(digest(n), ":", "-", 1) }

// What is deployed is on the list before it runs, what ran stays on it, and both lead back.
func TestADeploymentIsListedAndUndone(t *testing.T) {
	world(t, "flow", "enforce", image(4))
	run := func(arguments ...string) (string, int) {
		return helper(t, account, "deploy-image", append([]string{"-n", "flow"}, arguments...)...)
	}
	said, exit := run("deployment/app-1", "--image", image(5), "--dry-run")
	require.Zero(t, exit, said)
	assert.NotContains(t, list(t, "flow"), key(5), "a dry run approves nothing")
	said, exit = run("deployment/app-1-canary", "--like", "app-1", "--image", image(5), "--record", "build=https://jenkins/1")
	require.Zero(t, exit, said)
	said, exit = run("deployment/app-1", "--image", image(6), "--record", "build=https://jenkins/2")
	require.Zero(t, exit, said)
	data := list(t, "flow")
	for _, n := range []int{4, 5, 6} {
		require.Contains(t, data, key(n))
	}
	assert.Contains(t, data[key(5)], `"build":"https://jenkins/1"`)
	assert.Contains(t, data["others"], "redis@")
	said, exit = run("deployment/app-1", "--undo", "--image", image(6))
	require.Zero(t, exit, said)
	assert.Equal(t, image(4), imageOf(t, "flow", "app-1"))
	// What the controllers make of it is admitted.
	require.Eventually(t, func() bool {
		pods, err := server.Kubectl(t.Context(), "", "get", "pods", "-n", "flow", "-l", "app=app",
			"-o", "jsonpath={.items[*].spec.containers[0].image}")
		return err == nil && strings.Contains(pods, image(4))
	}, minute, second)
}

// Before a change that could not be undone nothing is changed.
func TestWhatCouldNotBeMadeAgainIsNotReplaced(t *testing.T) {
	world(t, "tagged", "enforce", repository+":latest")
	said, exit := helper(t, account, "deploy-image", "-n", "tagged", "deployment/app-1", "--image", image(5))
	assert.Equal(t, 1, exit)
	assert.Contains(t, said, "could not go back to what it runs now")
	assert.Contains(t, said, untold)
	assert.Equal(t, repository+":latest", imageOf(t, "tagged", "app-1"))
}

// Many runs write the list at the same time, and none takes another's approval off.
func TestRunsAtTheSameTimeAreAllListed(t *testing.T) {
	const runs = 8
	var images []string
	for n := range runs {
		images = append(images, image(20+n))
	}
	world(t, "race", "enforce", images...)
	var group sync.WaitGroup
	for n := range runs {
		group.Go(func() {
			said, exit := helper(t, account, "deploy-image", "-n", "race", fmt.Sprint("deployment/app-", n+1), "--image", image(40+n))
			assert.Zero(t, exit, said)
		})
	}
	group.Wait()
	data := list(t, "race")
	for n := range runs {
		assert.Contains(t, data, key(20+n))
		assert.Contains(t, data, key(40+n))
	}
}

// The policies' cost is limited: the longest list that the helpers write, and a pod of many containers, stay below the limit.
func TestAListThatIsFullIsStillRead(t *testing.T) {
	world(t, "full", "enforce")
	data := map[string]any{}
	for n := range 450 {
		data[key(n)] = fmt.Sprintf(`[{"repository":%q,"what":"promotion","build":%q}]`, repository, strings.Repeat("b", 2000))
	}
	var others []string
	for n := range 500 {
		others = append(others, fmt.Sprintf("10.10.70.84:30051/team/tool-%d@%s", n, digest(1000+n)))
	}
	data["others"] = strings.Join(others, "\n")
	_, err := server.Do(t.Context(), http.MethodPatch, "/api/v1/namespaces/full/configmaps/slipway-approved", map[string]any{"data": data})
	require.NoError(t, err)
	many := func(last string) map[string]any {
		var containers []any
		for n := range 19 {
			containers = append(containers, map[string]any{"name": fmt.Sprint("c", n), "image": image(n)})
		}
		return map[string]any{"containers": append(containers, map[string]any{"name": "last", "image": last})}
	}
	pods := "/api/v1/namespaces/full/pods"
	require.Eventually(t, func() bool {
		_, _, err = send(t.Context(), as(developer), post, pods, object("Pod", "new", many(others[499])))
		return err == nil
	}, minute, second)
	for last, refused := range map[string]string{image(449): "", image(999): unlisted, repository + ":7": untold} {
		_, _, err := send(t.Context(), as(developer), post, pods, object("Pod", "new", many(last)))
		if refused == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, refused)
		}
	}
}

// A developer, and staging's account, change neither the list nor the Deployment by the helpers either.
func TestTheHelpersOpenNoOtherWay(t *testing.T) {
	world(t, "others", "enforce", image(4))
	before := list(t, "others")
	for _, user := range []string{developer, "system:serviceaccount:jenkins-staging:slipway-staging"} {
		said, exit := helper(t, user, "deploy-image", "-n", "others", "deployment/app-1", "--image", image(9))
		assert.Equal(t, 1, exit, said)
		assert.Contains(t, said, writes)
	}
	assert.Equal(t, before, list(t, "others"))
	assert.Equal(t, image(4), imageOf(t, "others", "app-1"))
}

// Where a namespace is warned or not guarded, the helpers go on.
func TestTheHelpersGoOnWhereNothingIsEnforced(t *testing.T) {
	world(t, "dry", "warn", image(4), repository+":latest")
	for _, name := range []string{"app-1", "app-2"} {
		said, exit := helper(t, account, "deploy-image", "-n", "dry", "deployment/"+name, "--image", image(5))
		require.Zero(t, exit, said)
	}
	assert.Contains(t, list(t, "dry"), key(5))
	_, err := server.Kubectl(t.Context(), "", "delete", "configmap/slipway-approved", "-n", "dry")
	require.NoError(t, err)
	said, exit := helper(t, account, "deploy-image", "-n", "dry", "deployment/app-1", "--image", image(6))
	require.Zero(t, exit, said)
	assert.Contains(t, said, "the namespace dry is not guarded")
}

// What an administrator does who adopts the guard: see what would be refused, and approve what runs.
func TestAnAdministratorAdoptsTheGuard(t *testing.T) {
	world(t, "adopt", "warn", image(4), repository+":latest")
	_, err := server.Kubectl(t.Context(), "", "delete", "configmap/slipway-approved", "-n", "adopt")
	require.NoError(t, err)
	text, _ := json.Marshal(with(object("CronJob", "nightly", cron(7)), "apiVersion", "batch/v1"))
	_, err = server.Kubectl(t.Context(), string(text), "apply", "-n", "adopt", "-f", "-")
	require.NoError(t, err)
	said, exit := helper(t, "", "guard", "status", "-n", "adopt")
	require.Equal(t, 1, exit, said)
	for _, line := range []string{
		"there is no ConfigMap slipway-approved", `BREAK GLASS +deployment/broken +fire`,
		`BREAK GLASS +grpcroute/broken +fire`, `BREAK GLASS +destinationrule/broken +fire`,
		`REFUSED +deployment/app-1 .*it is not on the list`, `REFUSED +deployment/app-2 .*it is not named by its digest`,
		`REFUSED +cronjob/nightly .*it is not on the list`, `REFUSED +pod/running`,
	} {
		assert.Regexp(t, line, said)
	}
	said, exit = helper(t, "", "guard", "approve", "-n", "adopt")
	require.Zero(t, exit, said)
	data := list(t, "adopt")
	assert.Contains(t, data, key(4))
	assert.Contains(t, data["others"], image(7))
	said, exit = helper(t, "", "guard", "approve", "-n", "adopt", "redis:7@"+digest(3))
	require.Zero(t, exit, said)
	assert.Contains(t, list(t, "adopt")["others"], "redis:7@"+digest(3))
	said, exit = helper(t, "", "guard", "approve", "-n", "adopt", "redis:7")
	assert.Equal(t, 2, exit, said)
	said, exit = helper(t, "", "guard", "status", "-n", "adopt", "-o", "json")
	require.Equal(t, 1, exit, said)
	assert.Equal(t, 1, strings.Count(said, "it is not named by its digest"))
	assert.NotContains(t, said, "it is not on the list")
	said, exit = helper(t, developer, "guard", "approve", "-n", "adopt", "evil@"+digest(9))
	assert.Zero(t, exit, said) // warned of, and not refused
	_, err = server.Kubectl(t.Context(), "", "label", "--overwrite", "namespace", "adopt", "slipway.dev/guard=enforce")
	require.NoError(t, err)
	require.NoError(t, guarded(t.Context(), "adopt", "enforce"))
	said, exit = helper(t, developer, "guard", "approve", "-n", "adopt", "evil@"+digest(8))
	assert.Equal(t, 1, exit, said)
	assert.Contains(t, said, writes)
}
