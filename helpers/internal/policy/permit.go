package policy

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Flags are those of a command that changes production, beside Flag.
var Flags = []cli.Flag{
	Flag,
	&cli.StringFlag{Name: "approvals", EnvVars: []string{"SLIPWAY_APPROVALS"},
		Usage: "the run's approvals, `JSON` as in its record: {\"approvals\":[{\"what\":\"promotion\",\"by\":\"ada\",\"hash\":\"...\"}]}"},
	&cli.StringFlag{Name: "rule", EnvVars: []string{"SLIPWAY_RULE"},
		Usage: "whom the run excluded, `JSON` as phase compare answers it: {\"excluded\":{\"ada\":\"started this run\"}}"},
}

// Change is a change of production that somebody approved.
type Change struct {
	What     string  // Migration, Promotion, or empty: a canary is no approval's
	Subject  Subject // without the policy's hash
	Excluded map[string]string
	Answers  []Answer
	At       time.Time
}

// Asked is the change that the flags describe.
func Asked(c *cli.Context, what string, subject Subject) (Change, error) {
	change := Change{What: what, Subject: subject, At: time.Now()}
	var rule struct{ Excluded map[string]string }
	if text := c.String("rule"); text != "" {
		if err := json.Unmarshal([]byte(text), &rule); err != nil {
			return change, slipway.Usagef("--rule is not JSON as phase compare answers it").Because(err)
		}
	}
	change.Excluded = rule.Excluded
	var err error
	change.Answers, err = ReadAnswers(c.String("approvals"))
	return change, err
}

// Permit refuses a change that the policy does not allow now, and gives the hash that was approved and by whom.
// An undoing is no such change: nothing stops it.
func (s *Site) Permit(change Change) (hash string, by []string, err error) {
	change.Subject.Policy = s.Hash
	hash = change.Subject.Hash()
	release := change.Subject
	release.Verdict = "" // a window is opened for the release, whatever becomes of its canary
	if closing := s.Production.At(change.At); closing.Holds(change.At) {
		gate, _ := s.Production.Gate(Override, Run{})
		if _, err := gate.Counted(Override, release.Hash(), change.Answers); err != nil {
			refusal := slipway.Errorf(slipway.No, "production is %s", closing)
			if gate.Required > 0 {
				return hash, nil, refusal.Because(err).Next("run the pipeline again when it is open; it can be overridden by %s", gate.Who)
			}
			return hash, nil, refusal.Next("run the pipeline again when it is open")
		}
	}
	if change.What == "" {
		return hash, nil, nil
	}
	gate, _ := s.Production.Gate(change.What, Run{})
	for id, why := range change.Excluded {
		gate.Excluded[id] = why
	}
	answers := change.Answers
	if s.Hash == "" { // at a terminal, without a policy, nobody knows a hash
		answers = nil
		for _, answer := range change.Answers {
			if answer.Hash == "" {
				answer.Hash = hash
			}
			answers = append(answers, answer)
		}
	}
	by, err = gate.Counted(change.What, hash, answers)
	return hash, by, err
}

// Refused says what the policy does not let a plan do, whoever approves it.
func (s *Site) Refused(breaking, privileged []string) error {
	switch {
	case s.Production.Breaking == Refuse && len(breaking) > 0:
		const why = "the policy refuses migrations that break the running version (breaking: refuse): %s"
		return slipway.Errorf(slipway.No, why, strings.Join(breaking, ", ")).Next("split it into steps that both versions can live with")
	case s.Production.PrivilegedSQL == Refuse && len(privileged) > 0:
		const why = "the policy refuses privileged statements (privilegedSql: refuse): %s"
		return slipway.Errorf(slipway.No, why, strings.Join(privileged, ", ")).Next("let an administrator do it outside the migrations")
	}
	return nil
}
