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
	built := steps[slices.IndexFunc(steps, func(s step) bool { return s.label == "build" })].number
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
		"staging is aborted": {"Jenkinsfile", []string{"--at", fmt.Sprintf("%d=abort", built)}, "stopped in Build, Scan & Push", "run the pipeline again"},
	} {
		p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), c.jenkinsfile, nil, c.arguments...)
		assert.Equal(t, "ABORTED", p.result, name)
		words := lastWords(t, p)
		assert.Contains(t, words, "\n  why    "+c.why, name)
		assert.Contains(t, words, "\n  now    ", name)
		assert.Contains(t, words, "\n  next   "+c.next, name)
	}
}

// Whatever the scanner found is on the console: the whole table with its header, and what to do.
func TestFindingsOfTheScanAreListedWhole(t *testing.T) {
	l := newLocal(t)
	var table strings.Builder
	table.WriteString("│ Library │ Vulnerability │ Severity │ Installed Version │ Fixed Version │\n")
	for i := range 300 {
		fmt.Fprintf(&table, "│ package-%d │ CVE-2026-%d │ HIGH │ 1.0.%d │ 1.1.%d │\n", i, i, i, i)
	}
	file := filepath.Join(t.TempDir(), "table")
	require.NoError(t, os.WriteFile(file, []byte(table.String()), 0o600))
	trivy := tool + "case \"$asked\" in *' convert '*) cat '" + file + "' ;; *' image '*) exit 7 ;; esac\n"
	trivy = strings.Replace(trivy, "while [", "asked=\" $* \"\nwhile [", 1)
	require.NoError(t, os.WriteFile(filepath.Join(l.bin, "trivy"), []byte(trivy), 0o755))
	p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile", nil)
	assert.Equal(t, "FAILURE", p.result)
	assert.Contains(t, p.console, table.String())
	words := lastWords(t, p)
	assert.Contains(t, words, "why    scan: the image has findings of HIGH,CRITICAL, and nothing was pushed\n")
	assert.Contains(t, words, "next   raise each package of the table above to its fixed version")
	assert.Contains(t, words, "the parameter severity says which findings stop a build\n")
	assert.NotContains(t, fmt.Sprint(keys(p)), "nexus-push")
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
	assert.Contains(t, long, "Timeout set to expire in 3 hr 11 min", "the pod's")
	assert.Contains(t, long, "Timeout set to expire in 1 hr 50 min", "the canary's judgement")
	assert.Contains(t, long, "Timeout set to expire in 2 hr 30 min", "its pod's")
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
