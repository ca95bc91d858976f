package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// What was approved is checked again before each change: the window, the people, and that it is still the same.
func TestAChangeIsCheckedAgainBeforeItIsMade(t *testing.T) {
	const text = `approvals: {migration: {from: [dba]}, promotion: {required: 2, from: [ada, bob, eve], notAuthors: true}},
  people: {ada: [ada@b.example], bob: [bob@b.example], eve: [eve@b.example]},
  windows: [{deny: "Fri 16:00 - Mon 07:00", timezone: UTC}], override: {from: [lead], required: 1}`
	site := &Site{Hash: "policy", Production: *production(t, text)}
	subject := Subject{Image: "r/a:1@sha256:aa", Plan: "p", Verdict: "canary healthy"}
	with := func(change func(*Subject)) string {
		other := subject
		other.Policy = site.Hash
		change(&other)
		return other.Hash()
	}
	approved, release := with(func(*Subject) {}), with(func(s *Subject) { s.Verdict = "" })
	answers := func(hash string, by ...string) (found []Answer) {
		for _, id := range by {
			found = append(found, Answer{What: Promotion, By: id, Hash: hash})
		}
		return found
	}
	override := func(by, hash string) Answer {
		return Answer{What: Override, By: by, Hash: hash, Comment: "the site is down"}
	}
	const open, closed = "2026-12-02T12:00:00Z", "2026-12-05T12:00:00Z"
	for name, c := range map[string]struct {
		what, at string
		answers  []Answer
		excluded map[string]string
		code     int
		says     string
	}{
		"two people":     {Promotion, open, answers(approved, "ada", "bob"), nil, 0, ""},
		"one":            {Promotion, open, answers(approved, "ada"), nil, slipway.No, "has 1 approvals, and needs 2"},
		"the same twice": {Promotion, open, answers(approved, "ada", "Ada"), nil, slipway.No, "Ada has approved already"},
		"an author": {Promotion, open, answers(approved, "ada", "bob"), map[string]string{"bob": "is an author"},
			slipway.No, "bob is an author"},
		"another one's plan or image": {Promotion, open, answers(with(func(s *Subject) { s.Plan = "p2" }), "ada", "bob"), nil,
			slipway.Conflict, "another promotion"},
		"another policy": {Promotion, open, answers(with(func(s *Subject) { s.Policy = "older" }), "ada", "bob"), nil,
			slipway.Conflict, "another promotion"},
		"another verdict": {Promotion, open, answers(release, "ada", "bob"), nil, slipway.Conflict, "another promotion"},
		"without a hash":  {Promotion, open, answers("", "ada", "bob"), nil, slipway.Conflict, "another promotion"},
		"an unknown person": {Promotion, open, answers(approved, "ada", "root"), nil, slipway.No,
			"is not among the people of the policy"},
		"a canary": {"", open, nil, nil, 0, ""},
		"a canary in a closed window": {"", closed, nil, nil, slipway.No,
			"closed from Fri 2026-12-04 16:00 UTC until Mon 2026-12-07 07:00 UTC"},
		"a closed window": {Promotion, closed, answers(approved, "ada", "bob"), nil, slipway.No, "closed from Fri"},
		"overridden":      {Promotion, closed, append(answers(approved, "ada", "bob"), override("lead", release)), nil, 0, ""},
		"overridden for another release": {Promotion, closed, append(answers(approved, "ada", "bob"), override("lead", "other")), nil,
			slipway.No, "closed from Fri"},
		"overridden without a reason": {Promotion, closed, append(answers(approved, "ada", "bob"),
			Answer{What: Override, By: "lead", Hash: release, Comment: " "}), nil, slipway.No, "without a reason"},
		"a canary, overridden":       {"", closed, []Answer{override("lead", release)}, nil, 0, ""},
		"an override is no approval": {Promotion, open, []Answer{override("lead", release)}, nil, slipway.No, "has 0 approvals"},
		"a migration":                {Migration, open, []Answer{{What: Migration, By: "carol", Hash: approved}}, nil, 0, ""},
	} {
		_, by, err := site.Permit(Change{What: c.what, Subject: subject, Excluded: c.excluded, Answers: c.answers, At: at(t, c.at)})
		if c.code == 0 {
			assert.NoError(t, err, name)
			assert.Equal(t, c.what != "", len(by) > 0, name)
			continue
		}
		require.Error(t, err, name)
		assert.Equal(t, c.code, slipway.AsError(err).Code, name)
		assert.Contains(t, slipway.AsError(err).Error(), c.says, name)
	}
	// Without a policy one name is enough, and none is not.
	none := &Site{}
	_, by, err := none.Permit(Change{What: Promotion, Subject: subject, Answers: answers("", "ada"), At: at(t, closed)})
	require.NoError(t, err)
	assert.Equal(t, []string{"ada"}, by)
	for _, wrong := range [][]Answer{nil, answers("", ""), answers("", "anonymous"), answers("other", "ada")} {
		_, _, err = none.Permit(Change{What: Promotion, Subject: subject, Answers: wrong, At: at(t, closed)})
		assert.Error(t, err, "%v", wrong)
	}
}
