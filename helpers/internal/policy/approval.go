package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/safe"
)

// Subject is what people approve.
type Subject struct {
	Image   string `json:"image"` // its digest
	Plan    string `json:"plan"`
	Verdict string `json:"verdict"`
	Policy  string `json:"policy"` // its hash
}

// Hash names exactly this subject. Of the image's reference only the digest counts: a tag can be moved.
func (s Subject) Hash() string {
	if _, digest, pinned := strings.Cut(s.Image, "@"); pinned {
		s.Image = digest
	}
	s.Verdict = safe.Visible(s.Verdict) // as it was shown
	body, _ := json.Marshal(s)          // four texts: it cannot fail
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Answer is one approval that was given.
type Answer struct {
	What    string `json:"what"`
	By      string `json:"by"`
	At      string `json:"at"`
	Hash    string `json:"hash"`
	Comment string `json:"comment"`
	As      string `json:"as"`
}

// ReadAnswers reads the approvals of a run, as its record has them. Empty are none.
func ReadAnswers(text string) ([]Answer, error) {
	var document struct{ Approvals []Answer }
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		const form = `--approvals is not JSON of the form {"approvals":[{"what":"promotion","by":"ada","hash":"..."}]}`
		return nil, slipway.Usagef(form).Because(err)
	}
	return document.Approvals, nil
}

// Counted are the users whose answers approve this. The error says why an answer does not, or how many are missing.
func (g Gate) Counted(what, hash string, answers []Answer) (by []string, err error) {
	for _, answer := range answers {
		if answer.What != what {
			continue
		}
		if answer.Hash != hash {
			const another = "%s approved another %s: hash %s, and this one has %s"
			return by, slipway.Errorf(slipway.Conflict, another, answer.By, what, short(answer.Hash), short(hash)).
				Next("the image, the plan, the canary's verdict or the policy has changed since: run the pipeline again")
		}
		if why := g.Refusal(answer.By, by); why != "" {
			return by, slipway.Errorf(slipway.No, "an approval of the %s does not count: %s", what, why).
				Next("let somebody else approve it: slipway policy explain says who may")
		}
		if what == Override && strings.TrimSpace(answer.Comment) == "" {
			return by, slipway.Errorf(slipway.No, "%s opened the window without a reason", answer.By).Next("write it into the comment")
		}
		by = append(by, answer.By)
	}
	if len(by) < g.Required || len(by) == 0 {
		return by, slipway.Errorf(slipway.No, "the %s has %d approvals, and needs %d", what, len(by), max(g.Required, 1)).
			Next("see slipway policy explain for who may approve it")
	}
	return by, nil
}

func short(hash string) string { return hash[:min(len(hash), 12)] }
