package policy

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Approved is a promotion as it is signed: what people approved, and each approval. The texts of comments are not part of it.
type Approved struct {
	Version   int      `json:"version"`
	Build     string   `json:"build"`
	Image     string   `json:"image"`
	Plan      string   `json:"plan"`
	Verdict   string   `json:"verdict"`
	Policy    string   `json:"policy"`
	Approvals []Answer `json:"approvals"`
}

// Signed is an Approved with its signature, as a record has it: openssl verifies it over the decoded payload.
type Signed struct {
	Payload   string `json:"payload"`   // JSON, in base64
	Signature string `json:"signature"` // ECDSA over SHA-256, ASN.1, in base64
	Key       string `json:"key"`       // the fingerprint of the public key
}

// Sign signs what was approved.
func (a Approved) Sign(key interface {
	Sign([]byte) ([]byte, error)
	Fingerprint() string
}) (Signed, error) {
	a.Version, a.Approvals = 1, withoutComments(a.Approvals)
	body, err := json.Marshal(a)
	if err != nil {
		return Signed{}, err
	}
	signature, err := key.Sign(body)
	if err != nil {
		return Signed{}, fmt.Errorf("signing the approvals: %w", err)
	}
	encoding := base64.StdEncoding
	return Signed{encoding.EncodeToString(body), encoding.EncodeToString(signature), key.Fingerprint()}, nil
}

func withoutComments(answers []Answer) []Answer {
	answers = slices.Clone(answers)
	for i := range answers {
		answers[i].Comment = ""
	}
	return answers
}

// Record is what a run's record says of its approvals.
type Record struct {
	Build     string
	Image     string
	Policy    string
	Migration struct{ PlanID string }
	Canary    struct{ Verdict string }
	Approvals []Answer
	Signed    *Signed
}

// Verify says whether these approvals were signed by the key, and whether they approve what the record says was promoted.
func (r Record) Verify(key interface {
	Verify(body, signature []byte, named string) (string, error)
}) (Approved, error) {
	const next = "compare it with the build's console, and with the approvals that Jenkins logged"
	if r.Signed == nil {
		return Approved{}, slipway.Errorf(slipway.No, "the record is not signed").
			Next("set signingCredentialsId for the production pipeline; a run that promoted nothing has no signature")
	}
	body, err := base64.StdEncoding.DecodeString(r.Signed.Payload)
	if err != nil {
		return Approved{}, slipway.Errorf(slipway.No, "the signed payload is not base64").Because(err)
	}
	signature, err := base64.StdEncoding.DecodeString(r.Signed.Signature)
	if err != nil {
		return Approved{}, slipway.Errorf(slipway.No, "the signature is not base64").Because(err)
	}
	if _, err := key.Verify(body, signature, r.Signed.Key); err != nil {
		return Approved{}, slipway.Errorf(slipway.No, "the approvals are not verified").Because(err).Next(next)
	}
	var signed Approved
	if err := json.Unmarshal(body, &signed); err != nil || signed.Version != 1 {
		return Approved{}, slipway.Errorf(slipway.No, "what was signed is no approval of a promotion")
	}
	said := Approved{1, r.Build, r.Image, r.Migration.PlanID, r.Canary.Verdict, r.Policy, withoutComments(r.Approvals)}
	if different := signed.differs(said); different != "" {
		return signed, slipway.Errorf(slipway.No, "the record is not what was signed: %s", different).Next(next)
	}
	hash := Subject{Image: signed.Image, Plan: signed.Plan, Verdict: signed.Verdict, Policy: signed.Policy}.Hash()
	promotions := 0
	for _, answer := range signed.Approvals {
		if answer.What != Promotion {
			continue
		}
		promotions++
		if answer.Hash != hash {
			return signed, slipway.Errorf(slipway.No, "%s approved another promotion: hash %s, and this one has %s", answer.By,
				short(answer.Hash), short(hash)).Next(next)
		}
	}
	if promotions == 0 {
		return signed, slipway.Errorf(slipway.No, "nobody approved the promotion").Next(next)
	}
	return signed, nil
}

// differs names the first field that another one has differently; empty if they are equal.
func (a Approved) differs(b Approved) string {
	for _, field := range [][3]string{{"build", a.Build, b.Build}, {"image", a.Image, b.Image}, {"migration.planId", a.Plan, b.Plan},
		{"canary.verdict", a.Verdict, b.Verdict}, {"policy", a.Policy, b.Policy}} {
		if field[1] != field[2] {
			return fmt.Sprintf("%s is %q, and %q was signed", field[0], field[2], field[1])
		}
	}
	if !slices.Equal(a.Approvals, b.Approvals) {
		return "the approvals are other ones"
	}
	return ""
}

// By are the users who approved the promotion.
func (a Approved) By() string {
	var by []string
	for _, answer := range a.Approvals {
		if answer.What == Promotion {
			by = append(by, answer.By)
		}
	}
	return strings.Join(by, ", ")
}
