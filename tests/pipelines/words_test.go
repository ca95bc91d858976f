package pipelines

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const refusedAnswer = "promotion: the answer names no user, and approves nothing"

// answerAs answers the promotion's approval of the first build in one of the forms that Jenkins knows.
func (l *local) answerAs(t *testing.T, home, user, form string, parameters ...string) {
	t.Helper()
	arguments := []string{"--home", home, "--job", "release", "--build", "1", "--user", user, "--request", "input Promote " + form}
	for _, pair := range parameters {
		arguments = append(arguments, "--param", pair)
	}
	command := exec.CommandContext(t.Context(), filepath.Join(l.root, "tests/runner/run"), arguments...)
	command.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
}

// An answer that names nobody approves nothing, in whatever form it comes, and the approval is asked for again.
// What an approver writes beside it is kept as it is, and decides nothing.
func TestAnAnswerWithoutANameIsAskedForAgain(t *testing.T) {
	l := newLocal(t)
	home := filepath.Join(t.TempDir(), "home")
	build := l.waiting(t, home, "calls")
	build.says(t, approval)
	for i, answer := range []struct {
		user, form string
		parameters []string
	}{
		{"ada", "proceedEmpty", nil},
		{"anonymous", "proceedEmpty", nil},
		{"anonymous", "proceed", []string{"comment=ada"}},
		{"anonymous", "submit", nil},
		{"anonymous", "submit", []string{"comment=ada"}},
		{"anonymous", "wfapi-proceed", nil},
		{"anonymous", "wfapi-proceed", []string{"comment=ada"}},
		{"SYSTEM", "submit", nil},
	} {
		l.answerAs(t, home, answer.user, answer.form, answer.parameters...)
		require.Eventually(t, func() bool { return strings.Count(build.text(), refusedAnswer) == i+1 }, time.Minute, 20*time.Millisecond,
			"%v\n%s", answer, build.text())
		require.Eventually(t, func() bool { return strings.Count(build.text(), "Input requested") == i+3 }, time.Minute, 20*time.Millisecond,
			"it is asked for again after %v", answer)
	}
	oneLine := strings.NewReplacer("\n", " ", "\r", " ") // as the form's field
	comment := oneLine.Replace(strings.Join(hostile[:5], "") + "\x1b[2J\u202e\"}]")
	l.answerAs(t, home, "ada", "submit", "comment="+comment)
	p := build.ends(t)
	assert.Equal(t, "SUCCESS", p.result, p.console)
	assert.Contains(t, p.console, "promotion approved by ada\n")
	assert.NotContains(t, p.console, "\x1b", "the record's JSON has escapes instead")
	assert.NoError(t, p.validRecord())
	assert.Equal(t, comment, p.approvals(t)[1].Comment)
	assert.Equal(t, "ada", p.approvals(t)[1].By)
}

// Without values of parameters the user comes alone, and is a name.
func TestAnAnswerWithoutACommentIsItsUsers(t *testing.T) {
	l := newLocal(t)
	home := filepath.Join(t.TempDir(), "home")
	build := l.waiting(t, home, "calls")
	build.says(t, approval)
	l.answerAs(t, home, "ada", "submit")
	p := build.ends(t)
	assert.Equal(t, "SUCCESS", p.result, p.console)
	assert.Contains(t, p.console, "promotion approved by ada\n")
	assert.Empty(t, p.approvals(t)[1].Comment)
}

// lastWords are the lines of the end, from slipway's own on.
func lastWords(t *testing.T, p played) string {
	t.Helper()
	at := strings.LastIndex(p.console, "\nslipway: ")
	if error := strings.LastIndex(p.console, "\nERROR: slipway: "); error > at {
		at = error
	}
	require.GreaterOrEqual(t, at, 0, p.console)
	return p.console[at:]
}

// Every run that did not do its work ends with why, what is true now and what to do.
func TestTheLastLinesSayWhyAndWhatToDo(t *testing.T) {
	l := newLocal(t)
	steps, err := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile", nil).steps()
	require.NoError(t, err)
	built := steps[slices.IndexFunc(steps, func(s step) bool { return s.function == "sh" && s.label == "build" })].number
	for name, c := range map[string]struct {
		jenkinsfile string
		arguments   []string
		why, next   string
	}{
		"the promotion's approval times out": {"Jenkinsfile.prod", []string{"--answer", "migrate=yes", "--answer", "promote=timeout"},
			"the approval of the promotion timed out after 30 min", "run the pipeline again when somebody can approve it"},
		"the migration's approval times out": {"Jenkinsfile.prod", []string{"--answer", "migrate=timeout", "--env", "SLIPWAY_APPROVAL_TIMEOUT=7"},
			"the approval of the migration timed out after 7 min", "run the pipeline again when somebody can approve it"},
		"it is rejected": {"Jenkinsfile.prod", []string{"--answer", "migrate=yes", "--answer", "promote=no"},
			"stopped while the approval of the promotion waited", "run the pipeline again"},
		"staging is aborted": {"Jenkinsfile", []string{"--at", fmt.Sprintf("%d=abort", built)}, "stopped in Build, Scan & Push",
			"run the pipeline again"},
	} {
		p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), c.jenkinsfile, nil, c.arguments...)
		assert.Equal(t, "ABORTED", p.result, name)
		words := lastWords(t, p)
		assert.Contains(t, words, "\n  why    "+c.why, name)
		assert.Contains(t, words, "\n  now    ", name)
		assert.Contains(t, words, "\n  next   "+c.next, name)
	}
}

// Whatever the scanner found is on the console: the whole table with its header, and what to do. Nothing is deployed of it.
func TestFindingsOfTheScanAreListedWhole(t *testing.T) {
	l := newLocal(t)
	var table strings.Builder
	table.WriteString("│ Library │ Vulnerability │ Severity │ Installed Version │ Fixed Version │\n")
	for i := range 300 {
		fmt.Fprintf(&table, "│ package-%d │ CVE-2026-%d │ HIGH │ 1.0.%d │ 1.1.%d │\n", i, i, i, i)
	}
	l.trivy(t, "case \"$asked\" in *' convert --format table '*) cat '"+written(t, table.String())+"' ;; esac\n")
	found := []string{"REPLAY_FILES=" + l.recordings("findings", "staging")}
	for name, branch := range map[string]string{"what is deployed": "Staging", "another branch": "main"} {
		p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile", found, "--env", "SLIPWAY_BRANCH="+branch)
		assert.Equal(t, "FAILURE", p.result, name)
		assert.Contains(t, p.console, table.String(), name)
		words := lastWords(t, p)
		assert.Contains(t, words, "why    scan: the image has 2 findings of HIGH,CRITICAL that no waiver covers: HIGH CVE-2024-24762 of ", name)
		assert.Contains(t, words, "next   raise each package to its fixed version", name)
		assert.Contains(t, p.console, `"outcome":"findings"`, name)
		assert.NotContains(t, fmt.Sprint(keys(p)), "phase deploy", name)
	}
}

// A scanner that failed is neither clean nor findings, whatever it left; and it does not decide: all severities are asked for.
func TestAScannerThatFailedDecidesNothing(t *testing.T) {
	l := newLocal(t)
	l.trivy(t, "case \"$asked\" in *' image '*) echo 'FATAL: the database cannot be had' >&2; exit 1 ;; esac\n")
	p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile", nil)
	assert.Equal(t, "FAILURE", p.result)
	assert.Contains(t, lastWords(t, p), "why    scan: the scanner failed: Trivy could not tell (exit code 1), and nothing was pushed\n")
	assert.Contains(t, p.console, `"outcome":"failed"`)
	assert.NotContains(t, fmt.Sprint(keys(p)), "nexus-push")

	said := filepath.Join(t.TempDir(), "said")
	l.trivy(t, "echo \"$asked $(env | grep '^TRIVY_' | sort | tr '\\n' ' ')\" >> '"+said+"'\n")
	p = l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile", nil, "--env", "TRIVY_IGNOREFILE=/workspace/.trivyignore",
		"--env", "TRIVY_SEVERITY=CRITICAL", "--env", "TRIVY_SKIP_DIRS=/usr", "--env", "TRIVY_IGNORE_UNFIXED=true", "--env", "TRIVY_CONFIG=x.yaml",
		"--env", "TRIVY_DB_REPOSITORY=nexus.example/trivy-db:2")
	assert.Equal(t, "SUCCESS", p.result, p.console)
	body, err := os.ReadFile(said)
	require.NoError(t, err)
	asked := string(body)
	assert.Contains(t, asked, " image ")
	for _, name := range []string{"IGNOREFILE", "SEVERITY", "SKIP_DIRS", "IGNORE_UNFIXED", "CONFIG", "--exit-code"} {
		assert.NotContains(t, asked, name, "what was set around the call does not reach the scanner")
	}
	assert.Contains(t, asked, "TRIVY_DB_REPOSITORY=nexus.example/trivy-db:2")
}

// What a waiver covers goes on, and is told wherever somebody decides: on the console, in the records, at the approval.
func TestWaivedFindingsAreToldToWhoApproves(t *testing.T) {
	l := newLocal(t)
	const line = "HIGH CVE-2024-24762 of python_multipart is waived until 2027-02-28 by bob: not reachable"
	staging := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile", []string{"REPLAY_FILES=" + l.recordings("waived", "staging")})
	assert.Equal(t, "SUCCESS", staging.result, staging.console)
	assert.Contains(t, staging.console, "findings that are waived:\n"+line)
	assert.Contains(t, staging.console, "WARNING: the waiver of CVE-2024-53981 (slipway-waivers.yaml line 2, owner ada) ends on 2026-12-04")
	production := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod",
		[]string{"REPLAY_FILES=" + l.recordings("waived", "production")}, "--answer", "yes")
	assert.Equal(t, "SUCCESS", production.result, production.console)
	assert.Regexp(t, `Promote .* to production\?\n(.*\n)+canary: .*\nfindings of the scan that are waived:\n`+line, production.console)
	for _, p := range []played{staging, production} {
		require.NoError(t, p.validRecord())
		assert.Contains(t, p.console, `"waived":["`+line)
	}
}

// A call adds to what the site counts, and takes nothing away.
func TestACallCannotOpenTheGate(t *testing.T) {
	l := newLocal(t)
	for call, want := range map[string]string{"CRITICAL": "HIGH,CRITICAL", "UNKNOWN": "HIGH,CRITICAL,UNKNOWN",
		"LOW,HIGH": "HIGH,CRITICAL,LOW"} {
		jenkinsfile := "@Library('slipway@v1') _\nstagingPipeline(app: 'fastapi-app', image: 'fastapi-postgres-app', severity: '" + call + "')\n"
		require.NoError(t, os.WriteFile(filepath.Join(l.repository, "Jenkinsfile"), []byte(jenkinsfile), 0o600))
		run(t, l.repository, "git", "-c", "user.name=Eve", "-c", "user.email=eve@example.com", "commit", "-qam", call)
		p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile", nil)
		require.Equal(t, "SUCCESS", p.result, p.console)
		assert.Contains(t, p.console, `"severity":"`+want+`"`, call)
		assert.Contains(t, fmt.Sprint(p.calls), "--severity "+want+" ", call)
	}
}

// Evidence, and the approvals of a promotion, are signed with the key of the site; without one that is said.
func TestEvidenceAndApprovalsAreSignedWithTheSitesKey(t *testing.T) {
	l := newLocal(t)
	warnings := map[string]string{"Jenkinsfile": "WARNING: the evidence is not signed",
		"Jenkinsfile.prod": "WARNING: the approvals are recorded, and not signed"}
	for jenkinsfile, warning := range warnings {
		p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), jenkinsfile, nil, "--answer", "yes")
		require.Equal(t, "SUCCESS", p.result, p.console)
		assert.Contains(t, p.console, warning)
		p = l.mustPlay(t, filepath.Join(t.TempDir(), "home"), jenkinsfile, nil, "--answer", "yes", "--env",
			"SLIPWAY_SIGNING_CREDENTIALS_ID=absent")
		assert.Equal(t, "FAILURE", p.result, p.console)
		assert.Equal(t, "before", after(p.calls).stable, "a key that is missing is known before anything is changed")
		assert.NotContains(t, p.console, "Input requested")
	}

	site := `credentials:
  system:
    domainCredentials:
    - credentials:
      - string: {scope: GLOBAL, id: "staging-signing-key", secret: "${SIGNING_KEY}"}
      - string: {scope: GLOBAL, id: "staging-signing-password", secret: "${SIGNING_PASSWORD}"}
`
	seen := filepath.Join(t.TempDir(), "seen") // what the helpers have in their environment, and in their arguments
	real, err := filepath.Abs(filepath.Join(l.bin, "answers"))
	require.NoError(t, err)
	require.NoError(t, os.Rename(filepath.Join(l.bin, "slipway"), real))
	require.NoError(t, os.WriteFile(filepath.Join(l.bin, "slipway"), []byte("#!/bin/sh\n"+
		`echo "$1 $2 key=$SLIPWAY_SIGNING_KEY $COSIGN_PRIVATE_KEY $COSIGN_PASSWORD arguments=$*" >> '`+seen+
		"'\nexec '"+real+"' \"$@\"\n"), 0o755))
	t.Setenv("SIGNING_KEY", "a2V5LXNlY3JldA==")
	t.Setenv("SIGNING_PASSWORD", "p4ss-secret")
	var consoles string
	for jenkinsfile, warning := range warnings {
		p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), jenkinsfile, nil, "--config", written(t, site), "--answer", "yes",
			"--env", "SLIPWAY_SIGNING_CREDENTIALS_ID=staging-signing-key",
			"--env", "SLIPWAY_SIGNING_PASSWORD_CREDENTIALS_ID=staging-signing-password")
		require.Equal(t, "SUCCESS", p.result, p.console)
		require.NoError(t, p.validRecord())
		assert.NotContains(t, p.console, warning)
		consoles += p.console
	}
	body, err := os.ReadFile(seen)
	require.NoError(t, err)
	for _, line := range strings.Split(strings.TrimSpace(string(body)), "\n") {
		before, arguments, _ := strings.Cut(line, "arguments=")
		signs := strings.HasPrefix(line, "nexus-push ") || strings.HasPrefix(line, "phase deploy ") || strings.HasPrefix(line, "phase promote ")
		assert.Equal(t, signs, strings.Contains(before, "key=env://COSIGN_PRIVATE_KEY a2V5LXNlY3JldA== p4ss-secret"), line)
		assert.NotContains(t, arguments, "a2V5LXNlY3JldA==")
	}
	assert.NotContains(t, consoles, "p4ss-secret")
	assert.NotContains(t, consoles, "a2V5LXNlY3JldA==")
}

// trivy is a scanner that says this instead.
func (l *local) trivy(t *testing.T, body string) {
	t.Helper()
	script := strings.Replace(tool+body, "while [", "asked=\" $* \"\nwhile [", 1)
	require.NoError(t, os.WriteFile(filepath.Join(l.bin, "trivy"), []byte(script), 0o755))
}

func written(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// What a helper bounds itself is not cut before: an index that builds for hours, a canary that is looked at for long.
func TestAHelperEndsBeforeTheStepAroundIt(t *testing.T) {
	l := newLocal(t)
	expires := func(arguments ...string) string {
		p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod", nil, append(arguments, "--answer", "yes")...)
		require.Equal(t, "SUCCESS", p.result, p.console)
		for _, c := range p.calls {
			if c.Key == "migrate-diff apply" && c.What == "began" {
				return p.console + strings.Join(c.Arguments, " ")
			}
		}
		return ""
	}
	usual := expires()
	assert.Contains(t, usual, "Timeout set to expire in 51 min 0 sec")
	assert.Contains(t, usual, "apply --timeout 50m --statement-timeout 50m")
	long := expires("--env", "SLIPWAY_MIGRATION_TIMEOUT=3h0.5m10s", "--env", "SLIPWAY_HOLD=90m")
	assert.Contains(t, long, "apply --timeout 3h0.5m10s --statement-timeout 3h0.5m10s")
	assert.Contains(t, long, "Timeout set to expire in 3 hr 2 min", "181 minutes, and one more")
	assert.Contains(t, long, "Timeout set to expire in 6 hr 11 min", "the pod's, in which the canary is judged, too")
	assert.Contains(t, long, "Timeout set to expire in 1 hr 50 min", "the canary's judgement")
	assert.Contains(t, long, "Timeout set to expire in 3 hr 0 min", "the first pod's")
}

type approved struct{ What, By, Comment string }

// approvals are those of the last record.
func (p played) approvals(t *testing.T) []approved {
	t.Helper()
	found := recordLine.FindAllStringSubmatch(p.console, -1)
	require.NotEmpty(t, found, p.console)
	var record struct{ Approvals []approved }
	require.NoError(t, json.Unmarshal([]byte(found[len(found)-1][1]), &record))
	require.Len(t, record.Approvals, 2)
	return record.Approvals
}
