package pipelines

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/pipelines/replay"
)

func (l *local) quarantined(t *testing.T, environment []string, arguments ...string) played {
	t.Helper()
	digest := strings.Repeat("ab", 32)
	body, err := json.Marshal([]replay.Call{{Helper: "phase", Arguments: []string{"fetch"}, Answer: `{"exit":0,"digest":"sha256:` + digest +
		`"}`}})
	require.NoError(t, err)
	fetched := filepath.Join(t.TempDir(), "fetch.json")
	require.NoError(t, os.WriteFile(fetched, body, 0o600))
	files := "REPLAY_FILES=" + fetched + ":" + l.recordings("staging")
	return l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile", append([]string{files}, environment...), append([]string{
		"--env", "SLIPWAY_QUARANTINE=10.10.70.84:30051/quarantine", "--env", "SLIPWAY_QUARANTINE_CREDENTIALS_ID=QUARANTINE"}, arguments...)...)
}

// With a quarantine repository nothing crosses through Jenkins but a digest; the layers are mounted from there.
func TestAnImageCrossesByItsDigestWhereThereIsAQuarantine(t *testing.T) {
	l := newLocal(t)
	p := l.quarantined(t, nil)
	require.Equal(t, "SUCCESS", p.result, p.console)
	assert.Zero(t, count(t, p, "stash"))
	assert.Zero(t, count(t, p, "unstash"))
	var pushes, fetches []string
	for _, c := range p.calls {
		if c.What == "began" && c.Key == "nexus-push" {
			pushes = append(pushes, strings.Join(c.Arguments, " "))
		} else if c.What == "began" && c.Key == "phase fetch" {
			fetches = append(fetches, strings.Join(c.Arguments, " "))
		}
	}
	require.Len(t, pushes, 2)
	assert.Contains(t, pushes[0], "--force 10.10.70.84:30051/quarantine/fastapi-postgres-app:latest-1")
	assert.NotContains(t, pushes[0], "--evidence")
	assert.Contains(t, pushes[1],
		"--require-revision "+l.commit+" --mount-from 10.10.70.84:30051/quarantine/fastapi-postgres-app 10.10.70.84:30051/fastapi-postgres-app:latest-1")
	require.Len(t, fetches, 1)
	assert.Contains(t, fetches[0], "@sha256:", "by its digest")

	again := l.quarantined(t, []string{"REPLAY_DIES=phase fetch"})
	assert.Equal(t, "SUCCESS", again.result, "what only reads is asked once more")
	branch := l.quarantined(t, nil, "--env", "SLIPWAY_BRANCH=main")
	assert.Equal(t, "SUCCESS", branch.result, branch.console)
	assert.Equal(t, []string{"began phase gate", "ended phase gate"}, keys(branch), "what is not delivered is judged, and has no login")
	assert.Equal(t, 1, count(t, branch, "stash"))
}

func TestAQuarantineNeedsALogin(t *testing.T) {
	l := newLocal(t)
	p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile", nil, "--env", "SLIPWAY_QUARANTINE=registry.example/quarantine")
	assert.Equal(t, "FAILURE", p.result)
	assert.Contains(t, p.console, "quarantine has no login: set quarantineCredentialsId")
}

// The repository's code runs in one pod, everything else in another, which has its sources from the repository.
func TestTheRepositorysCodeRunsInAPodOfItsOwn(t *testing.T) {
	l := newLocal(t)
	for name, c := range map[string]struct {
		arguments []string
		pods      int
	}{
		"delivered":     {nil, 2},
		"not delivered": {[]string{"--env", "SLIPWAY_BRANCH=main"}, 2},
	} {
		p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile", nil, c.arguments...)
		require.Equal(t, "SUCCESS", p.result, p.console)
		steps, err := p.steps()
		require.NoError(t, err)
		pod, in := 0, map[string]int{}
		for _, s := range steps {
			if s.function == "node" {
				pod++
			}
			in[s.function+" "+s.label] = pod
		}
		assert.Equal(t, c.pods, pod, name)
		for _, step := range []string{"sh compile, install and test", "sh build", "stash image"} {
			assert.Equal(t, 1, in[step], "%s: %s", name, step)
		}
		assert.Equal(t, 2, in["sh scan"], name)
		if c.arguments == nil {
			for _, step := range []string{"checkout GitSCM", "sh push", "sh migrate", "sh deploy"} {
				assert.Equal(t, 2, in[step], "%s: %s", name, step)
			}
		}
	}
}

// A site that has set up nothing keeps working, and is told what is missing.
func TestWhatIsNotSetUpIsNamed(t *testing.T) {
	l := newLocal(t)
	bare := filepath.Join(t.TempDir(), "jenkins.yaml")
	require.NoError(t, os.WriteFile(bare, []byte(`jenkins: {clouds: [{kubernetes: {name: kubernetes, namespace: jenkins}}]}`), 0o600))
	none := []string{"--config", bare}
	for _, name := range []string{"BUILD_CLOUD", "STAGING_CLOUD", "PRODUCTION_CLOUD", "STAGING_SERVICE_ACCOUNT",
		"PRODUCTION_SERVICE_ACCOUNT"} {
		none = append(none, "--env", "SLIPWAY_"+name+"=")
	}
	for jenkinsfile, missing := range map[string][]string{"Jenkinsfile": {"buildCloud", "serviceAccount"},
		"Jenkinsfile.prod": {"serviceAccount"}} {
		set := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), jenkinsfile, nil, "--answer", "yes")
		assert.NotContains(t, set.console, "buildCloud is not set", jenkinsfile)
		assert.NotContains(t, set.console, "serviceAccount is not set", jenkinsfile)
		p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), jenkinsfile, nil, append(none, "--answer", "yes")...)
		assert.Equal(t, "SUCCESS", p.result, p.console)
		assert.Equal(t, len(missing), strings.Count(p.console, " is not set: every pipeline")+strings.Count(p.console, " is not set: the code"),
			p.console)
		for _, name := range missing {
			assert.Regexp(t, `(?m)^.*WARNING: `+name+` is not set: .* \(deprecated, works until \d{4}-\d\d-\d\d\)$`, p.console)
			date := regexp.MustCompile(name + ` is not set: .* works until (\S+)\)`).FindStringSubmatch(p.console)
			require.NotNil(t, date)
			assert.Regexp(t, `(?m)^\|.*`+"`"+name+"`"+`.*\| `+date[1]+` \|`, read(t, "docs/upgrade.md"), "the guide has the same date")
		}
	}
}

// Production's script is the site's own, and says where the service's repository is.
func TestASitesOwnScriptDeliversTheServicesRepository(t *testing.T) {
	l := newLocal(t)
	script := func(url string) string {
		file := filepath.Join(t.TempDir(), "Jenkinsfile.prod")
		body := "@Library('slipway') _\nprodCanaryPipeline(app: 'fastapi-app', image: 'fastapi-postgres-app', sourceUrl: '" + url + "')\n"
		require.NoError(t, os.WriteFile(file, []byte(body), 0o600))
		return file
	}
	p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), script("file://"+l.repository), nil, "--answer", "yes")
	assert.Equal(t, "SUCCESS", p.result, p.console)
	assert.Equal(t, "good", after(p.calls).stable)
	assert.Equal(t, 2, strings.Count(p.console, "Cloning repository file://"+l.repository), "the branch, and the commit of the image")
	for _, url := range []string{"https://ada:s3cret@gitee.example/team/app.git", "https://:s3cret@gitee.example/team/app.git", "a b s3cret"} {
		wrong := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), script(url), nil)
		assert.Equal(t, "FAILURE", wrong.result)
		assert.Contains(t, wrong.console, "is not the URL of a Git repository, without a password")
		assert.Equal(t, strings.Contains(url, "@"), !strings.Contains(wrong.console, "s3cret"), wrong.console)
	}
	for _, url := range []string{"git@gitee.example:team/app.git", "ssh://git@gitee.example:2222/team/app.git",
		"https://ada@gitee.example/~ada/app.git"} {
		assert.NotContains(t, l.mustPlay(t, filepath.Join(t.TempDir(), "home"), script(url), nil, "--at", "1=fail").console, "cannot start", url)
	}
}

// A run that did not come to its last pod archives its record from one of its own: of the cloud that it may use.
func TestARecordIsArchivedFromAPodOfItsOwn(t *testing.T) {
	l := newLocal(t)
	for name, c := range map[string]struct {
		jenkinsfile string
		environment []string
		arguments   []string
	}{
		"staging":                 {"Jenkinsfile", []string{"REPLAY_DIES=nexus-push"}, nil},
		"production":              {"Jenkinsfile.prod", nil, []string{"--answer", "migrate=no"}},
		"a branch":                {"Jenkinsfile", nil, []string{"--folder", "build", "--env", "SLIPWAY_BRANCH=main", "--at", "12=fail"}},
		"another folder's":        {"Jenkinsfile.prod", nil, []string{"--folder", "staging"}},
		"staging, its migrations": {"Jenkinsfile", []string{"REPLAY_DIES=phase migrate"}, nil},
	} {
		home := filepath.Join(t.TempDir(), "home")
		p := l.mustPlay(t, home, c.jenkinsfile, c.environment, c.arguments...)
		assert.NotEqual(t, "SUCCESS", p.result, name)
		assert.NotContains(t, p.console, "No signature of method", name)
		_, err := os.Stat(filepath.Join(home, "jobs/release/1/archive/slipway-record.json"))
		if name == "another folder's" {
			assert.Contains(t, p.console, "Not authorized to use Kubernetes cloud: production", name)
			assert.Error(t, err, name)
			continue
		}
		assert.NoError(t, err, "%s\n%s", name, p.console)
	}
}
