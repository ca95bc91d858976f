package phase

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/policy"
	"slipway.dev/slipway/helpers/internal/registry"
)

// phaseAnswer runs a phase without a cluster, and gives its answer.
func phaseAnswer(t *testing.T, words ...string) (exit int, message string, answer map[string]any) {
	t.Helper()
	app := App()
	var out, complaint bytes.Buffer
	app.Writer, app.ErrWriter = &out, &complaint
	slipway.Execute(t.Context(), app, append(append([]string{"phase"}, words...), "--answer"))
	var document struct {
		Exit  int
		Error struct{ Message, Why string }
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &document), out.String())
	require.NoError(t, json.Unmarshal(out.Bytes(), &answer))
	return document.Exit, document.Error.Message + ": " + document.Error.Why, answer
}

func policyFile(t *testing.T, production string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte("production: {"+production+"}\n"), 0o600))
	return file
}

// Whatever the pipeline believes, the program that changes production looks at the policy and the approvals first:
// what is refused here never asked for a cluster.
func TestProductionIsNotChangedWithoutWhatThePolicyAsksFor(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	two := policyFile(t, `approvals: {promotion: {required: 2}}`)
	always := policyFile(t, `windows: [{deny: "2026-01-01 - 2126-01-01", timezone: UTC}]`)
	site, err := policy.Load(two)
	require.NoError(t, err)
	subject := policy.Subject{Image: newer, Plan: "p", Verdict: "canary healthy", Policy: site.Hash}
	by := func(hash string, ids ...string) string {
		var answers []policy.Answer
		for _, id := range ids {
			answers = append(answers, policy.Answer{What: policy.Promotion, By: id, Hash: hash})
		}
		body, err := json.Marshal(map[string]any{"approvals": answers})
		require.NoError(t, err)
		return string(body)
	}
	promote := []string{"promote", "--app", "app", "--run", "1", "--image", newer, "--from", older, "--plan", "p", "--verdict",
		"canary healthy"}
	const connects = "no cluster to talk to" // it was permitted, and there is no cluster
	for name, c := range map[string]struct {
		words []string
		exit  int
		says  string
	}{
		"nobody, without a policy":  {append(promote, "10"), slipway.No, "has 0 approvals, and needs 1"},
		"a name, without a policy":  {append(promote, "--approvals", by("", "ada"), "10"), slipway.Usage, connects},
		"no name, without a policy": {append(promote, "--approvals", by("", ""), "10"), slipway.No, "names no user"},
		"two": {append(promote, "--policy", two, "--approvals", by(subject.Hash(), "ada", "bob"), "10"), slipway.Usage,
			connects},
		"one of two": {append(promote, "--policy", two, "--approvals", by(subject.Hash(), "ada"), "10"), slipway.No,
			"has 1 approvals, and needs 2"},
		"an excluded one": {append(promote, "--policy", two, "--approvals", by(subject.Hash(), "ada", "bob"), "--rule",
			`{"excluded":{"bob":"started this run"}}`, "10"), slipway.No, "bob started this run"},
		"another plan": {append(promote, "--policy", two, "--approvals", by(subject.Hash(), "ada", "bob"), "--plan", "p2", "10"),
			slipway.Conflict, "approved another promotion"},
		"another image": {append(promote, "--policy", two, "--approvals", by(subject.Hash(), "ada", "bob"), "--image", older, "10"),
			slipway.Conflict, "approved another promotion"},
		"another verdict": {append(promote, "--policy", two, "--approvals", by(subject.Hash(), "ada", "bob"), "--verdict", "", "10"),
			slipway.Conflict, "approved another promotion"},
		"another policy": {append(promote, "--policy", policyFile(t, `approvals: {promotion: {required: 1}}`), "--approvals",
			by(subject.Hash(), "ada", "bob"), "10"), slipway.Conflict, "approved another promotion"},
		"a policy that is wrong":     {append(promote, "--policy", policyFile(t, `approvals: {}, x: 1`), "10"), slipway.Usage, "has one mistake"},
		"a policy that is elsewhere": {append(promote, "--policy", two+"x", "10"), slipway.Usage, "the policy cannot be read"},
		"a closed window": {append(promote, "--policy", always, "--approvals", by("", "ada"), "10"), slipway.No,
			"production is closed from"},
		"a canary, closed": {[]string{"canary", "--app", "app", "--run", "1", "--image", newer, "--policy", always, "10"}, slipway.No,
			"production is closed from"},
		"a canary that is too small": {[]string{"canary", "--app", "app", "--run", "1", "--image", newer, "--policy",
			policyFile(t, `canary: {minWeight: 5}`), "4"}, slipway.No, "at least 5 percent"},
		"a canary, large enough": {[]string{"canary", "--app", "app", "--run", "1", "--image", newer, "--policy",
			policyFile(t, `canary: {minWeight: 5}`), "5"}, slipway.Usage, connects},
		"an undoing, closed": {[]string{"undo", "--app", "app", "--run", "1", "--image", newer, "stable", "canary"}, slipway.Usage,
			connects},
	} {
		exit, message, _ := phaseAnswer(t, c.words...)
		assert.Equal(t, c.exit, exit, "%s: %s", name, message)
		assert.Contains(t, strings.ToLower(message), strings.ToLower(c.says), name)
	}
	t.Setenv("SLIPWAY_POLICY", always)
	exit, message, _ := phaseAnswer(t, "undo", "--app", "app", "--run", "1", "--image", newer, "stable", "canary")
	assert.Equal(t, slipway.Usage, exit, "no window stops an undoing: %s", message)
}

func TestThePolicyNarrowsWhatIsEvidence(t *testing.T) {
	t.Setenv("SLIPWAY_POLICY", policyFile(t, `evidence: {require: [scan, sbom], scanMaxAge: 2d, keys: [absent.pub]}`))
	exit, message, _ := phaseAnswer(t, "find", "127.0.0.1:1/app")
	assert.Equal(t, slipway.Usage, exit)
	assert.Contains(t, message, "absent.pub")
	site := &policy.Site{Production: policy.Production{Evidence: policy.Evidence{Require: []string{"scan", "sbom"}, ScanMaxAge: 3600e9}}}
	search := registry.Search{Required: []string{"scan", "staging-verified"}}
	require.NoError(t, narrow(&search, site))
	assert.Equal(t, []string{"scan", "staging-verified", "sbom"}, search.Required)
	assert.Equal(t, site.Production.Evidence.ScanMaxAge, search.MaxAge)
	search.MaxAge = 60e9
	require.NoError(t, narrow(&search, site))
	assert.EqualValues(t, 60e9, search.MaxAge, "the call may ask for more")
}

// A service without a database has an approval to ask for, too; the policy may refuse what a plan does.
func TestThePlansAnswerNamesWhatIsApproved(t *testing.T) {
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "git", "-C", dir, "init", "-q").CombinedOutput()
	require.NoError(t, err, string(out))
	t.Chdir(dir)
	file := policyFile(t, `breaking: refuse`)
	site, err := policy.Load(file)
	require.NoError(t, err)
	exit, message, answer := phaseAnswer(t, "plan", "--dir", "", "--image", newer, "--policy", file)
	assert.Equal(t, slipway.Done, exit, message)
	assert.Equal(t, policy.Subject{Image: newer, Policy: site.Hash}.Hash(), answer["approval"])
}
