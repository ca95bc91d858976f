package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

func production(t *testing.T, text string) *Production {
	t.Helper()
	found, err := Parse([]byte("production: {" + text + "}"))
	require.NoError(t, err)
	return &found.Production
}

func TestWhoMayApprove(t *testing.T) {
	const people = `people: {ada: [ada@example.org, "ada+git@example.org"], bob: [bob@example.org], eve: [eve@example.org]}, groups: {managers: [Ada, bob]}, `
	p := production(t, people+`approvals: {promotion: {required: 2, from: [managers, eve], notAuthors: true, notStarter: true}}`)
	gate, raised := p.Gate(Promotion, Run{Authors: map[string]string{"BOB@example.org": "1a2b3c4"}, Starters: []string{"Eve"}})
	assert.Empty(t, raised)
	assert.Equal(t, "ada,bob,eve", gate.From)
	assert.Equal(t, "2 different people of managers, eve, not an author of this release, not who started this run", gate.Who)
	assert.Equal(t, map[string]string{"ada": "group managers", "bob": "group managers", "eve": "user"}, gate.Members)
	assert.Equal(t, "administrator", gate.Others)
	for _, c := range []struct {
		by     string
		before []string
		why    string
	}{
		{"ada", nil, ""}, {"Ada", nil, ""}, {"ada", []string{"bob"}, ""},
		{"ada", []string{"ada"}, "ada has approved already"}, {"ADA", []string{"ada"}, "ADA has approved already"},
		{"bob", nil, "bob is an author of this release (1a2b3c4)"}, {"eve", nil, "eve started this run"},
		{"root", nil, "root is not among the people of the policy: which commits are theirs is not known"},
		{"", nil, "the answer names no user"}, {" ", nil, "the answer names no user"}, {"anonymous", nil, "the answer names no user"},
		{"SYSTEM", nil, "the answer names no user"}, {"unknown", nil, "the answer names no user"},
	} {
		assert.Equal(t, c.why, gate.Refusal(c.by, c.before), "%q after %q", c.by, c.before)
	}
}

func TestAuthorsByAddress(t *testing.T) {
	p := production(t, `people: {ada: [ada@example.org]}, approvals: {promotion: {notAuthors: true}}`)
	for author, excluded := range map[string]bool{
		"ada@example.org": true, "Ada@Example.ORG": true, "ada+git@example.org": false, "xada@example.org": false, "ada@example.org.evil": false,
		"": false,
	} {
		authors := map[string]string{author: "1a2b3c4"}
		gate, _ := p.Gate(Promotion, Run{Authors: authors})
		assert.Equal(t, excluded, gate.Excluded["ada"] != "", author)
		assert.Equal(t, !excluded, len(p.Unmapped(authors)) == 1, author)
	}
}

func TestACallIsNeverLooserThanThePolicy(t *testing.T) {
	const groups = `groups: {managers: [ada, bob]}, `
	for _, c := range []struct{ policy, call, from, others, raised string }{
		{``, ``, "", "may build", ""},
		{``, `ada, dba`, "ada,dba", "ada, dba or administrator", ""},
		{groups + `approvals: {promotion: {from: [managers]}}`, ``, "ada,bob", "administrator", ""},
		{groups + `approvals: {promotion: {from: [managers]}}`, `Bob`, "bob", "administrator", ""},
		{groups + `approvals: {promotion: {from: [managers]}}`, `managers`, "ada,bob", "administrator", ""},
		{groups + `approvals: {promotion: {from: [managers]}}`, `mallory`, "ada,bob", "administrator",
			"approvers of the promotion: managers by the policy, not mallory"},
		{groups + `approvals: {promotion: {from: [managers]}}`, `ada,mallory`, "ada", "administrator",
			"approvers of the promotion: ada by the policy, not ada, mallory"},
		{groups + `approvals: {promotion: {required: 2, from: [managers]}}`, `ada`, "ada,bob", "administrator",
			"approvers of the promotion: managers by the policy, not ada"},
		{`approvals: {promotion: {from: [release]}}`, `ada`, "release", "release or administrator",
			"approvers of the promotion: release by the policy, not ada"},
		{`approvals: {promotion: {from: [release, ops]}}`, `OPS`, "OPS", "OPS or administrator", ""},
	} {
		p := &Production{}
		if c.policy != "" {
			p = production(t, c.policy)
		}
		gate, raised := p.Gate(Promotion, Run{Approvers: c.call})
		assert.Equal(t, []string{c.from, c.others, c.raised}, []string{gate.From, gate.Others, raised}, "%v", c)
	}
}

func TestAnOverrideIsOnlyForWhomThePolicyNames(t *testing.T) {
	gate, _ := (&Production{}).Gate(Override, Run{})
	assert.Zero(t, gate.Required)
	assert.NotEmpty(t, gate.Refusal("ada", nil))
	p := production(t, `windows: [{deny: "Fri 16:00 - Mon 07:00", timezone: UTC}], override: {from: [leads]}`)
	gate, raised := p.Gate(Override, Run{Approvers: "mallory"})
	assert.Empty(t, raised)
	assert.Equal(t, []string{"leads", "leads or administrator"}, []string{gate.From, gate.Others})
}

func TestOneHashNamesWhatIsApproved(t *testing.T) {
	subject := Subject{Image: "r/a:latest-1@sha256:aa", Plan: "p", Verdict: "v", Policy: "q"}
	moved := subject
	moved.Image = "r/a:latest-2@sha256:aa"
	assert.Equal(t, subject.Hash(), moved.Hash(), "a tag is no part of it")
	for _, other := range []Subject{
		{"r/a:latest-1@sha256:ab", "p", "v", "q"}, {subject.Image, "p2", "v", "q"}, {subject.Image, "p", "v2", "q"},
		{subject.Image, "p", "v", "q2"},
		{subject.Image, "", "pv", "q"}, {subject.Image, `p","verdict":"v`, "", "q"},
	} {
		assert.NotEqual(t, subject.Hash(), other.Hash(), "%v", other)
	}
	shown, hidden := subject, subject
	shown.Verdict, hidden.Verdict = `a\x1bb`, "a\x1bb"
	assert.Equal(t, shown.Hash(), hidden.Hash(), "as people saw it")
}

func TestApprovalsAreCounted(t *testing.T) {
	p := production(t, `approvals: {promotion: {required: 2, from: [ada, bob]}}, groups: {g: [ada, bob]}`)
	gate, _ := p.Gate(Promotion, Run{})
	ada, bob := Answer{What: Promotion, By: "ada", Hash: "h"}, Answer{What: Promotion, By: "bob", Hash: "h"}
	by, err := gate.Counted(Promotion, "h", []Answer{{What: Migration, By: "eve", Hash: "other"}, ada, bob})
	require.NoError(t, err)
	assert.Equal(t, []string{"ada", "bob"}, by)
	for name, c := range map[string]struct {
		answers []Answer
		code    int
		says    string
	}{
		"nobody":          {nil, slipway.No, "has 0 approvals, and needs 2"},
		"one":             {[]Answer{ada}, slipway.No, "has 1 approvals, and needs 2"},
		"the same twice":  {[]Answer{ada, ada}, slipway.No, "ada has approved already"},
		"another hash":    {[]Answer{ada, {What: Promotion, By: "bob", Hash: "h2"}}, slipway.Conflict, "bob approved another promotion"},
		"no hash":         {[]Answer{ada, {What: Promotion, By: "bob"}}, slipway.Conflict, "bob approved another promotion"},
		"without a name":  {[]Answer{ada, {What: Promotion, Hash: "h"}}, slipway.No, "names no user"},
		"for another one": {[]Answer{ada, {What: Migration, By: "bob", Hash: "h"}}, slipway.No, "has 1 approvals"},
	} {
		_, err := gate.Counted(Promotion, "h", c.answers)
		require.Error(t, err, name)
		assert.Equal(t, c.code, slipway.AsError(err).Code, name)
		assert.Contains(t, err.Error(), c.says, name)
	}
	none, _ := (&Production{}).Gate(Promotion, Run{})
	_, err = none.Counted(Promotion, "h", nil)
	assert.Error(t, err, "without a policy production needs a name, too")
}
