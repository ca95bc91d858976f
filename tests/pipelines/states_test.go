package pipelines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// with commits a file of the service's repository.
func (l *local) with(t *testing.T, name, body string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(l.repository, name), []byte(body), 0o644))
	run(t, l.repository, "git", "add", "-A")
	run(t, l.repository, "git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "-m", name)
	l.commit = strings.TrimSpace(run(t, l.repository, "git", "rev-parse", "HEAD"))
}

func (l *local) mustPlay(t *testing.T, home, jenkinsfile string, environment []string, arguments ...string) played {
	t.Helper()
	p, err := l.play(t.Context(), home, jenkinsfile, environment, arguments...)
	require.NoError(t, err)
	return p
}

func count(t *testing.T, p played, function string) int {
	t.Helper()
	steps, err := p.steps()
	require.NoError(t, err)
	found := 0
	for _, s := range steps {
		if s.function == function {
			found++
		}
	}
	return found
}

// Whatever a site has set up, and whatever is pending: a run asks the shell at most eight times, and a production run has at most three
// pods.
func TestAWholeRunTakesAtMostEightShells(t *testing.T) {
	l := newLocal(t)
	prometheus := []string{"--env", "SLIPWAY_PROMETHEUS_URL=http://prometheus.example"}
	pending := "REPLAY_FILES=" + l.recordings("production-rejected", "production-stopped", "production", "staging")
	nothing := "REPLAY_FILES=" + l.recordings("production", "staging")
	for name, c := range map[string]struct {
		play func(t *testing.T) played
		pods int
	}{
		"staging":                      {func(t *testing.T) played { return l.whole(t, "Jenkinsfile", pending) }, 2},
		"staging, quarantine":          {func(t *testing.T) played { return l.quarantined(t, nil) }, 2},
		"staging, Buildah, quarantine": {func(t *testing.T) played { return l.quarantined(t, nil, "--env", "SLIPWAY_BUILDER=buildah") }, 2},
		"staging, a branch": {func(t *testing.T) played { return l.whole(t, "Jenkinsfile", pending, "--env", "SLIPWAY_BRANCH=main") },
			2},
		"production": {func(t *testing.T) played { return l.whole(t, "Jenkinsfile.prod", pending, "--answer", "yes") }, 3},
		"production, Prometheus": {func(t *testing.T) played {
			return l.whole(t, "Jenkinsfile.prod", pending, append(prometheus, "--answer", "yes")...)
		}, 3},
		"production, no migration": {func(t *testing.T) played { return l.whole(t, "Jenkinsfile.prod", nothing, "--answer", "yes") }, 2},
		"production, back to a release": {func(t *testing.T) played {
			return l.whole(t, "Jenkinsfile.prod", pending, "--env", "SLIPWAY_IMAGE_TAG=latest-2", "--answer", "yes")
		}, 2},
		"production, rejected": {func(t *testing.T) played {
			return l.whole(t, "Jenkinsfile.prod", pending, "--answer", "migrate=yes", "--answer", "promote=no")
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := c.play(t)
			assert.LessOrEqual(t, count(t, p, "sh"), 8)
			assert.Equal(t, c.pods, count(t, p, "node"), p.console)
			assert.Zero(t, count(t, p, "properties"), "the job's own properties are its own")
		})
	}
}

// whole is a run that has come to its end, as its people wanted.
func (l *local) whole(t *testing.T, jenkinsfile, recordings string, arguments ...string) played {
	t.Helper()
	p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), jenkinsfile, []string{recordings}, arguments...)
	require.Contains(t, []string{"SUCCESS", "ABORTED"}, p.result, p.console)
	return p
}

// Two calls in one Jenkinsfile are two records.
func TestEachCallHasARecordOfItsOwn(t *testing.T) {
	l := newLocal(t)
	l.with(t, "Jenkinsfile.two", "@Library('slipway@v1') _\n"+
		"stagingPipeline(app: 'fastapi-app', image: 'fastapi-postgres-app')\nstagingPipeline(app: 'another', image: 'fastapi-postgres-app', tag: 'another-1')\n")
	home := filepath.Join(t.TempDir(), "home")
	p := l.mustPlay(t, home, "Jenkinsfile.two", nil)
	require.Equal(t, "SUCCESS", p.result, p.console)
	for file, app := range map[string]string{"slipway-record.json": "fastapi-app", "slipway-record-2.json": "another"} {
		body, err := os.ReadFile(filepath.Join(home, "jobs/release/1/archive", file))
		require.NoError(t, err)
		assert.Contains(t, string(body), fmt.Sprintf(`"app": %q`, app))
	}
}

// Beside each other, too: each has a stash of its own, or one would deliver the other's image.
func TestTwoCallsBesideEachOtherDoNotMixTheirImages(t *testing.T) {
	l := newLocal(t)
	l.with(t, "Jenkinsfile.beside", "@Library('slipway@v1') _\nparallel one: { stagingPipeline(app: 'one', image: 'one') }, "+
		"two: { stagingPipeline(app: 'two', image: 'two') }\n")
	home := filepath.Join(t.TempDir(), "home")
	p := l.mustPlay(t, home, "Jenkinsfile.beside", nil)
	require.Equal(t, "SUCCESS", p.result, p.console)
	steps, err := p.steps()
	require.NoError(t, err)
	stashes := map[string]int{}
	for _, s := range steps {
		if s.function == "stash" || s.function == "unstash" {
			stashes[s.function+" "+s.label]++
		}
	}
	assert.Equal(t, map[string]int{"stash image": 1, "unstash image": 1, "stash image-2": 1, "unstash image-2": 1}, stashes)
	for _, file := range []string{"slipway-record.json", "slipway-record-2.json"} {
		_, err := os.Stat(filepath.Join(home, "jobs/release/1/archive", file))
		assert.NoError(t, err)
	}
}

func TestAJobWithoutABranchIsToldSo(t *testing.T) {
	l := newLocal(t)
	l.with(t, "Jenkinsfile.plain",
		"@Library('slipway@v1') _\nwithEnv(['BRANCH_NAME=']) { stagingPipeline(app: 'fastapi-app', image: 'fastapi-postgres-app') }\n")
	p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile.plain", nil)
	assert.Equal(t, "SUCCESS", p.result, p.console)
	assert.Contains(t, p.console, "this job has no branch, as only a multibranch job has one, and what is deployed is the branch Staging")
	assert.NotContains(t, p.console, "null")
	assert.Contains(t, p.console, "nothing was pushed or deployed: this job has no branch", "the last lines say it too")
	assert.NotContains(t, fmt.Sprint(keys(p)), "phase deploy")
	assert.Zero(t, count(t, p, "lock"), "what only looks waits for nobody")
}

// What is delivered is the branch: not a tag that is called the same, and no pull request.
func TestWhatIsNotTheBranchIsNotDelivered(t *testing.T) {
	l := newLocal(t)
	for variable, says := range map[string]string{
		"TAG_NAME=Staging":  "the tag Staging is not the branch Staging: validate, build and scan, and nothing more",
		"CHANGE_ID=7":       "pull request 7 is not the branch Staging: validate",
		"CHANGE_ID=7\u202e": `pull request 7\u202e is not the branch Staging`,
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile", nil, "--env", variable)
			assert.Equal(t, "SUCCESS", p.result, p.console)
			assert.Contains(t, p.console, says)
			assert.Equal(t, []string{"began phase gate", "ended phase gate"}, keys(p), "nothing but the scan's gate")
			assert.Zero(t, count(t, p, "lock"))
		})
	}
}

// Of a migration that was cut off, what is applied is not known: the last lines say so, and what tells it.
func TestAMigrationThatIsCutOffIsSaidToBe(t *testing.T) {
	l := newLocal(t)
	for name, c := range map[string]struct {
		jenkinsfile string
		environment []string
		arguments   []string
	}{
		"staging, killed":    {"Jenkinsfile", []string{"REPLAY_DIES=phase migrate"}, nil},
		"production, killed": {"Jenkinsfile.prod", []string{"REPLAY_DIES=migrate-diff apply"}, []string{"--answer", "yes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), c.jenkinsfile, c.environment, c.arguments...)
			assert.Equal(t, "FAILURE", p.result, p.console)
			assert.Regexp(t, `(?m)^  now .*the migration was interrupted: slipway migrate-diff status says what is applied`, p.console)
			assert.NoError(t, p.validRecord())
		})
	}
}

// Going back to an image takes no commit; a release does, and says which one is gone.
func TestAnImageWhoseCommitIsGone(t *testing.T) {
	l := newLocal(t)
	gone := []string{"REPLAY_COMMIT=" + strings.Repeat("0123", 10)}
	back := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod", gone, "--env", "SLIPWAY_IMAGE_TAG=latest-2", "--answer",
		"yes")
	assert.Equal(t, "SUCCESS", back.result, back.console)
	assert.Contains(t, back.console, "the database is left as it is")
	assert.Equal(t, "good", after(back.calls).stable)

	release := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod", gone, "--answer", "yes")
	assert.Equal(t, "FAILURE", release.result, release.console)
	assert.Contains(t, release.console, "why    checkout: the commit "+strings.Repeat("0123", 10)+", of which ")
	assert.Contains(t, release.console,
		"next   build and verify a commit that the repository has; or go back to an image by its tag: imageTag")
}

func TestWhatStoppedAnApprovalIsNamedWhereItIsKnown(t *testing.T) {
	l := newLocal(t)
	late := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod", nil, "--answer", "migrate=yes", "--answer",
		"promote=timeout")
	assert.Equal(t, "ABORTED", late.result)
	assert.Contains(t, late.console, "why    the approval of the promotion timed out after 30 min\n")
	assert.Contains(t, late.console, "next   run the pipeline again when somebody can approve it")
	assert.Contains(t, late.console, `"why":"the approval of the promotion timed out after 30 min"`)
	rejected := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod", nil, "--answer", "migrate=no")
	assert.Contains(t, rejected.console,
		"why    stopped while the approval of the migration waited: the lines above say whether it was rejected or aborted, and by whom\n")
}

// The controller goes while the undoing waits for its pod: what waits in Jenkins then waits for ever, and one more pod is asked for.
func TestAnUndoingWhosePodIsLostAtARestartIsTriedOnceMore(t *testing.T) {
	l := newLocal(t)
	rejected := []string{"--answer", "migrate=yes", "--answer", "promote=no"}
	first := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod", nil, rejected...)
	steps, err := first.steps()
	require.NoError(t, err)
	at := 0 // the undoing's node: the first one after the rejected approval
	for i, s := range steps {
		if s.function == "input" && s.stage == "Promote to Production" {
			for _, later := range steps[i:] {
				if later.function == "node" && at == 0 {
					at = later.number
				}
			}
		}
	}
	require.NotZero(t, at)
	home := filepath.Join(t.TempDir(), "home")
	killed := l.mustPlay(t, home, "Jenkinsfile.prod", nil, append(rejected, "--at", fmt.Sprintf("%d=kill", at))...)
	require.Empty(t, killed.result, killed.console)
	p := l.mustPlay(t, home, "Jenkinsfile.prod", nil, "--resume")
	assert.Equal(t, "ABORTED", p.result, p.console)
	assert.Contains(t, p.console, "no pod came for the undoing: one more is asked for")
	assert.Equal(t, "back", after(p.calls).canary, p.console)
	assert.Contains(t, p.console, "canary: all traffic is on stable again")
}

func TestAWorkspaceWithABlankIsBuiltByBoth(t *testing.T) {
	l := newLocal(t)
	for _, builder := range []string{"kaniko", "buildah"} {
		p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile", nil, "--job", "a release", "--env", "SLIPWAY_BUILDER="+builder,
			"--env", "SLIPWAY_BASE_IMAGES=docker.io=10.1.2.3:8083,ghcr.io=mirror.example")
		assert.Equal(t, "SUCCESS", p.result, p.console)
	}
}

// Every form of an input's answer, and who it names.
func TestWhoAnsweredAnApproval(t *testing.T) {
	script := filepath.Join(t.TempDir(), "answers.groovy")
	require.NoError(t, os.WriteFile(script, []byte(`
import slipway.Text
[[[approver: 'ada', comment: 'fine'], 'ada', 'fine'], [[approver: 'ada'], 'ada', ''], ['ada', 'ada', ''], [null, '', ''], [[:], '', ''],
 [[comment: 'ada'], '', 'ada'], [[approver: null, comment: 'x'], '', 'x'], [[approver: ''], '', ''], ['', '', ''], ['  ', '', ''], [true, '', ''], [7, '', ''],
 [[approver: 'anonymous', comment: 'x'], '', 'x'], ['anonymous', '', ''], ['SYSTEM', '', ''], [[approver: "${'ada'}"], 'ada', '']].each { List row ->
    assert Text.approver(row[0], 'approver') == row[1] : row
    assert Text.comment(row[0], 'comment') == row[2] : row
}
assert Text.visible('a\n\r\t\u001b[2J\u202e\u200b\u2028 ä €') == 'a\\u000a\\u000d\\u0009\\u001b[2J\\u202e\\u200b\\u2028 ä €'
assert Text.answer('') == [exit: -1] && Text.answer('x') == [exit: -1] && Text.answer('[1]') == [exit: -1] && Text.answer('null') == [exit: -1]
Map answer = Text.answer('{"exit":3,"first":false,"text":"a\\nfirst=true","error":{"message":"m","why":null}}')
assert answer == [exit: 3, first: false, text: 'a\nfirst=true', error: [message: 'm', why: '']]
ByteArrayOutputStream bytes = new ByteArrayOutputStream()
new ObjectOutputStream(bytes).writeObject(answer)
println 'as it must be'
`), 0o600))
	groovy(t, script)
}

// groovy runs a script with the library's classes, as plain Groovy.
func groovy(t *testing.T, script string) {
	t.Helper()
	jars := filepath.Join(root, "tests/runner/target/lib")
	command := exec.CommandContext(t.Context(), "java", "-Dfile.encoding=UTF-8", "--add-opens", "java.base/java.lang=ALL-UNNAMED",
		"--add-opens", "java.base/java.util=ALL-UNNAMED",
		"-cp", filepath.Join(jars, "*")+":"+filepath.Join(root, "src"), "groovy.ui.GroovyMain", "-c", "UTF-8", script)
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "as it must be")
}
