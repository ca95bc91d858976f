package pipelines

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/pipelines/replay"
)

// governed is a site with a policy: what the real program answers of it stands in the recorded answers.
type governed struct {
	*local
	t           *testing.T
	environment []string
	hashes      map[string]string // of what is approved, by what
}

const (
	together = `people: {ada: [x@example.org], bob: [bob@example.org], eve: [eve@example.org]}, groups: {managers: [ada, bob, eve]}, `
	twoOf    = together + `approvals: {migration: {from: [dba]}, promotion: {required: 2, from: [managers]}}`
)

// governs makes the answers of a site with this policy, at this time; the flags are policy explain's.
func (l *local) governs(t *testing.T, production, at string, flags ...string) governed {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte("production: {"+production+"}\n"), 0o600))
	image := ""
	calls, err := replay.Load(filepath.Join(root, "tests/pipelines/recorded/production-rejected.json"))
	require.NoError(t, err)
	decoded := func(call replay.Call) map[string]any {
		var answer map[string]any
		require.NoError(t, json.Unmarshal([]byte(call.Answer), &answer))
		return answer
	}
	for _, call := range calls {
		if call.Key() == "phase find" {
			image = decoded(call)["reference"].(string)
		}
	}
	if at == "" {
		at = "2026-12-02T12:00:00Z"
	}
	command := exec.CommandContext(t.Context(), filepath.Join(root, "bin/slipway"), append([]string{"policy", "explain", "--answer",
		"--policy", file, "--time", at, "--image", image, "--hold", "1s"}, flags...)...)
	out, err := command.Output()
	require.NoError(t, err)
	var needs map[string]any
	require.NoError(t, json.Unmarshal(out, &needs))
	require.EqualValues(t, 0, needs["exit"], string(out))
	g := governed{local: l, t: t, hashes: map[string]string{}}
	plan := ""
	for i, call := range calls {
		answer := decoded(call)
		switch call.Key() {
		case "phase compare":
			maps.Copy(answer, needs)
		case "phase plan":
			plan = answer["planId"].(string)
			g.hashes["migration"] = hashed(image, plan, "", needs["policy"].(string))
			answer["approval"] = g.hashes["migration"]
		case "phase judge":
			g.hashes["promotion"] = hashed(image, plan, answer["summary"].(string), needs["policy"].(string))
			answer["approval"] = g.hashes["promotion"]
		}
		body, err := json.Marshal(answer)
		require.NoError(t, err)
		calls[i].Answer = string(body) + "\n"
	}
	body, err := json.Marshal(calls)
	require.NoError(t, err)
	recording := filepath.Join(t.TempDir(), "governed.json")
	require.NoError(t, os.WriteFile(recording, body, 0o600))
	g.environment = []string{"REPLAY_FILES=" + recording + ":" + l.recordings("production-stopped", "production", "staging"),
		"REPLAY_ENVIRONMENT=SLIPWAY_APPROVALS,SLIPWAY_RULE,SLIPWAY_POLICY,SLIPWAY_VERDICT,SLIPWAY_PLAN_ID,SLIPWAY_IMAGE"}
	return g
}

// hashed is what docs/policy.md says of the hash that people approve.
func hashed(image, plan, verdict, policy string) string {
	_, digest, _ := strings.Cut(image, "@")
	body, _ := json.Marshal(struct {
		Image   string `json:"image"`
		Plan    string `json:"plan"`
		Verdict string `json:"verdict"`
		Policy  string `json:"policy"`
	}{digest, plan, verdict, policy})
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// begins starts a run whose migration was approved by the dba, and which waits for people.
func (g governed) begins(home string, arguments ...string) *running {
	g.t.Helper()
	r := &running{calls: filepath.Join(home, "calls")}
	var err error
	r.build, err = g.start(g.t.Context(), home, "calls", "Jenkinsfile.prod", g.environment, r,
		append([]string{"--answer", "wait", "--sandbox", "--untrusted"}, arguments...)...)
	require.NoError(g.t, err)
	return r
}

// press answers an approval as this user, on its page.
func (g governed) press(home, id, user, comment string) {
	g.t.Helper()
	run(g.t, g.root, filepath.Join(g.root, "tests/runner/run"), "--home", home, "--job", "release", "--build", "1", "--user", user,
		"--request", "input "+id+" submit", "--param", "comment="+comment)
}

func (r *running) asks(t *testing.T, times int) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(r.text(), "Input requested") >= times }, 2*time.Minute, 20*time.Millisecond,
		"%s", r.text())
}

// passed are the variables with which the program was called that changes production.
func (p played) passed(t *testing.T, key string) map[string]string {
	t.Helper()
	at := slices.IndexFunc(p.calls, func(c call) bool { return c.Key == key && c.What == "began" })
	require.GreaterOrEqual(t, at, 0, p.console)
	return p.calls[at].Environment
}

func (p played) record(t *testing.T) (record struct {
	Policy             string
	Approvals, Refused []struct{ What, By, As, Hash, Comment, Why string }
}) {
	t.Helper()
	require.NoError(t, p.validRecord())
	found := recordLine.FindAllStringSubmatch(p.console, -1)
	require.NoError(t, json.Unmarshal([]byte(found[len(found)-1][1]), &record))
	return record
}

// Two people have to approve: the same one twice, an author, who started it and who is not among the people are refused
// with the reason and asked again; a restart between the two keeps the first; what they approved is what is promoted.
func TestTwoPeopleApproveAndOthersAreRefused(t *testing.T) {
	l := newLocal(t)
	l.with(t, "change", "by Bob")
	run(t, l.repository, "git", "-c", "user.name=Bob", "-c", "user.email=BOB@example.org", "commit", "-q", "--amend", "--reset-author",
		"--no-edit")
	g := l.governs(t, strings.Replace(twoOf, "from: [managers]}", "from: [managers, carol], notAuthors: true, notStarter: true}", 1), "",
		"--git", l.repository, "--from", "HEAD~1", "--to", "HEAD", "--started-by", "eve")
	l.commit = strings.TrimSpace(run(t, l.repository, "git", "rev-parse", "HEAD"))
	home := filepath.Join(t.TempDir(), "home")
	build := g.begins(home, "--user", "eve")
	build.asks(t, 1)
	g.press(home, "Migrate", "dba", "")
	build.asks(t, 2)
	assert.Contains(t, build.text(),
		"2 different people of managers, carol, not an author of this release, not who started this run may approve this")
	assert.Contains(t, build.text(), "approved: "+g.hashes["promotion"])
	for i, refusal := range []struct{ user, why string }{
		{"bob", "bob is an author of this release"}, {"eve", "eve started this run"},
		{"carol", "carol is not among the people of the policy"},
	} {
		g.press(home, "Promote", refusal.user, "")
		build.says(t, "promotion: "+refusal.why)
		build.asks(t, 3+i)
	}
	g.press(home, "Promote", "Ada", "looks good")
	build.says(t, "promotion approved by Ada (1 of 2)")
	build.asks(t, 6)
	build.says(t, "promotion approved by Ada; needs 1 more")
	g.press(home, "Promote", "ada", "")
	build.says(t, "promotion: ada has approved already, and approves nothing: it is asked for again")
	build.asks(t, 7)
	l.answer(t, home, "1", "abort")
	p := build.ends(t)
	assert.Equal(t, "ABORTED", p.result, p.console)
	assert.Equal(t, "back", after(p.calls).canary)
	record := p.record(t)
	assert.Len(t, record.Refused, 4)
	assert.Equal(t, "Ada", record.Approvals[1].By)
	assert.Equal(t, "group managers", record.Approvals[1].As)
	assert.Equal(t, "dba or administrator", record.Approvals[0].As)
	assert.Equal(t, []string{g.hashes["migration"], g.hashes["promotion"]}, []string{record.Approvals[0].Hash, record.Approvals[1].Hash})
	assert.Regexp(t, `^[0-9a-f]{64}$`, record.Policy)
}

// The first of two approvals outlives the controller; the program that promotes is given both, with what they were about.
func TestARestartBetweenTwoApprovalsKeepsTheFirst(t *testing.T) {
	l := newLocal(t)
	g := l.governs(t, twoOf, "")
	home := filepath.Join(t.TempDir(), "home")
	build := g.begins(home)
	build.asks(t, 1)
	g.press(home, "Migrate", "dba", "")
	build.asks(t, 2)
	g.press(home, "Promote", "ada", "a comment")
	build.says(t, "promotion approved by ada (1 of 2)")
	build.asks(t, 3)
	build.build.Signal(syscall.SIGKILL)
	require.NoError(t, build.build.Wait())
	again := &running{calls: build.calls}
	var err error
	again.build, err = g.start(t.Context(), home, "calls", "Jenkinsfile.prod", g.environment, again, "--answer", "wait", "--resume")
	require.NoError(t, err)
	again.says(t, "Resum")
	g.press(home, "Promote", "admin", "")
	p := again.ends(t)
	assert.Equal(t, "SUCCESS", p.result, p.console)
	record := p.record(t)
	require.Len(t, record.Approvals, 3)
	assert.Equal(t, []string{"ada", "group managers"}, []string{record.Approvals[1].By, record.Approvals[1].As})
	assert.Equal(t, []string{"admin", "administrator"}, []string{record.Approvals[2].By, record.Approvals[2].As})
	given := p.passed(t, "phase promote")
	assert.Equal(t, "/etc/slipway/policy/policy.yaml", given["SLIPWAY_POLICY"])
	assert.Contains(t, given["SLIPWAY_APPROVALS"], `"by":"ada"`)
	assert.Contains(t, given["SLIPWAY_APPROVALS"], g.hashes["promotion"])
	assert.Contains(t, given["SLIPWAY_RULE"], `"required":2`)
	assert.NotEmpty(t, given["SLIPWAY_VERDICT"])
	applied := p.passed(t, "migrate-diff apply")
	assert.Contains(t, applied["SLIPWAY_APPROVALS"], g.hashes["migration"])
	assert.Equal(t, given["SLIPWAY_IMAGE"], applied["SLIPWAY_IMAGE"])
}

// With one answer of two, nothing is promoted: the time is over, and the canary is undone.
func TestASecondApprovalThatDoesNotComeUndoesTheCanary(t *testing.T) {
	l := newLocal(t)
	g := l.governs(t, twoOf, "")
	home := filepath.Join(t.TempDir(), "home")
	build := g.begins(home, "--answer", "migrate=yes")
	build.asks(t, 2)
	g.press(home, "Promote", "ada", "")
	build.asks(t, 3)
	build.build.Signal(syscall.SIGKILL)
	require.NoError(t, build.build.Wait())
	p := l.mustPlay(t, home, "Jenkinsfile.prod", g.environment, "--resume", "--answer", "promote=timeout")
	assert.Equal(t, "ABORTED", p.result, p.console)
	assert.Contains(t, p.console, "why    the approval of the promotion timed out after 30 min")
	assert.Equal(t, state{canary: "back", stable: "before", migration: "applied"}, after(p.calls))
	assert.Equal(t, "ada", p.record(t).Approvals[1].By)
}

const weekend = `windows: [{deny: "Fri 16:00 - Mon 07:00", timezone: UTC, reason: weekend}]`

func TestAClosedWindowStopsARunBeforeItTouchesAnything(t *testing.T) {
	l := newLocal(t)
	closed := l.governs(t, weekend, "2026-12-05T12:00:00Z")
	p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod", closed.environment, "--answer", "yes", "--sandbox",
		"--untrusted")
	assert.Equal(t, "FAILURE", p.result, p.console)
	assert.Contains(t, p.console, "why    production is closed from Fri 2026-12-04 16:00 UTC until Mon 2026-12-07 07:00 UTC (weekend)\n")
	assert.Contains(t, p.console, "next   run the pipeline again when it is open\n")
	assert.NotContains(t, p.console, "Input requested")
	assert.Equal(t, state{canary: "none", stable: "before", migration: "none"}, after(p.calls))

	soon := l.governs(t, weekend, "2026-12-07T06:50:00Z")
	p = l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod", soon.environment, "--answer", "yes", "--sandbox", "--untrusted")
	assert.Equal(t, "SUCCESS", p.result, p.console)
	assert.Contains(t, p.console, "until Mon 2026-12-07 07:00 UTC (weekend): this run waits until then")
	assert.NoError(t, p.validRecord())
}

// A window that closes while an approval waits: what was begun is undone, and an undoing is not stopped by it.
func TestAWindowThatClosesWhileAnApprovalWaits(t *testing.T) {
	l := newLocal(t)
	g := l.governs(t, strings.Replace(weekend, "Fri 16:00", "Mon 07:10", 1), "2026-12-07T07:00:00Z")
	home := filepath.Join(t.TempDir(), "home")
	build := g.begins(home, "--answer", "migrate=yes", "--answer", "promote=wait")
	build.says(t, approval)
	build.asks(t, 2)
	build.build.Signal(syscall.SIGKILL)
	require.NoError(t, build.build.Wait())
	later := g.begins(home, "--resume", "--away", "900", "--answer", "promote=wait")
	later.says(t, "Resuming build")
	g.press(home, "Promote", "ada", "")
	p := later.ends(t)
	assert.Equal(t, "FAILURE", p.result, p.console)
	assert.Contains(t, p.console, "production is closed from Mon 2026-12-07 07:10 UTC")
	assert.NotContains(t, keys(p), "began phase promote")
	assert.Equal(t, "back", after(p.calls).canary)
}

// Whom the policy names may open a closed window, with a reason, and the record has it.
func TestAnOverrideNeedsAReason(t *testing.T) {
	l := newLocal(t)
	g := l.governs(t, weekend+`, override: {from: [leads]}`, "2026-12-05T12:00:00Z")
	home := filepath.Join(t.TempDir(), "home")
	build := g.begins(home, "--answer", "migrate=yes", "--answer", "promote=yes")
	build.asks(t, 1)
	assert.Contains(t, build.text(), "Change production of fastapi-app although its window is closed?\nproduction is closed from Fri")
	g.press(home, "Override", "admin", " ")
	build.says(t, "override: admin gives no reason as the comment, and approves nothing")
	build.asks(t, 2)
	g.press(home, "Override", "admin", "the site is down")
	p := build.ends(t)
	assert.Equal(t, "SUCCESS", p.result, p.console)
	record := p.record(t)
	assert.Equal(t, []string{"override", "admin", "leads or administrator", "the site is down"},
		[]string{record.Approvals[0].What, record.Approvals[0].By, record.Approvals[0].As, record.Approvals[0].Comment})
	assert.Equal(t, g.hashes["migration"], record.Approvals[0].Hash, "of the release, whatever becomes of its canary")
	assert.Contains(t, p.passed(t, "phase promote")["SLIPWAY_APPROVALS"], "the site is down")
}

// What the policy asks for and the call does not is done, and named.
func TestThePolicyIsStricterThanTheCall(t *testing.T) {
	l := newLocal(t)
	g := l.governs(t, `canary: {minWeight: 25, minDuration: 2m}, approvals: {promotion: {from: [managers]}}, groups: {managers: [admin]}`, "",
		"--approvers", "mallory")
	p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod", g.environment, "--answer", "yes", "--env",
		"SLIPWAY_APPROVERS=mallory")
	assert.Equal(t, "SUCCESS", p.result, p.console)
	for _, line := range []string{"canaryWeight: 25 by the policy's canary.minWeight, not 10\n",
		"hold: 2m by the policy's canary.minDuration, not 1s\n",
		"approvers of the promotion: managers by the policy, not mallory\n", "WARNING: the policy has no production.windows"} {
		assert.Contains(t, p.console, line)
	}
	for _, c := range p.calls {
		if c.Key == "phase canary" || c.Key == "phase promote" {
			assert.Equal(t, "25", c.Arguments[len(c.Arguments)-1])
		}
		if c.Key == "phase judge" {
			assert.Contains(t, strings.Join(c.Arguments, " "), "--hold 2m0s")
		}
	}
	record := p.record(t)
	assert.Equal(t, "group managers", record.Approvals[1].As)
}

// A plan that breaks the running version may be approved where the policy lets people decide, unless the call says no.
func TestThePolicyLetsPeopleApproveWhatBreaks(t *testing.T) {
	l := newLocal(t)
	g := l.governs(t, `breaking: approve`, "")
	breaking := "REPLAY_FILES=" + l.recordings("breaking") + ":" + strings.TrimPrefix(g.environment[0], "REPLAY_FILES=")
	p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod", []string{breaking, g.environment[1]}, "--answer", "yes")
	assert.Equal(t, "SUCCESS", p.result, p.console)
	assert.Contains(t, p.console, "BREAKING, and allowed by the policy: the running version may fail")
}
