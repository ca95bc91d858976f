package phase

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/policy"
	"slipway.dev/slipway/helpers/internal/registry"
)

var (
	planID  = &cli.StringFlag{Name: "plan", EnvVars: []string{"SLIPWAY_PLAN_ID"}, Usage: "the `ID` of the plan that belongs to the release"}
	verdict = &cli.StringFlag{Name: "verdict", EnvVars: []string{"SLIPWAY_VERDICT"},
		Usage: "the canary's verdict that the approval named: the `SUMMARY` that phase judge answers"}
	// permission are the flags of a phase that changes production.
	permission = join(policy.Flags, planID, verdict)
)

// approvalOf is the hash of what people are asked to approve now.
func approvalOf(c *cli.Context, site *policy.Site, plan, verdict string) string {
	return policy.Subject{Image: c.String("image"), Plan: plan, Verdict: verdict, Policy: site.Hash}.Hash()
}

// permitted refuses what the policy does not allow now. A canary is nobody's to approve: its what is empty.
func permitted(c *cli.Context, what string) (*policy.Site, error) {
	site, err := policy.Of(c)
	if err != nil {
		return nil, err
	}
	change, err := policy.Asked(c, what, policy.Subject{Image: c.String("image"), Plan: c.String("plan"), Verdict: c.String("verdict")})
	if err == nil {
		_, _, err = site.Permit(change)
	}
	return site, err
}

// approvedBy is what was approved and by whom.
func approvedBy(c *cli.Context) (hash string, by []string, err error) {
	answers, err := policy.ReadAnswers(c.String("approvals"))
	for _, answer := range answers {
		if answer.What == policy.Promotion {
			hash, by = answer.Hash, append(by, answer.By)
		}
	}
	return hash, by, err
}

// bySite narrows a search to what the site's policy takes as evidence.
func bySite(c *cli.Context, search *registry.Search) error {
	site, err := policy.Of(c)
	if err != nil {
		return err
	}
	return narrow(search, site)
}

func narrow(search *registry.Search, site *policy.Site) (err error) {
	evidence := site.Production.Evidence
	for _, kind := range evidence.Require {
		if !slices.Contains(search.Required, kind) {
			search.Required = append(search.Required, kind)
		}
	}
	if age := evidence.ScanMaxAge; age > 0 && (search.MaxAge == 0 || age < search.MaxAge) {
		search.MaxAge = age
	}
	if len(evidence.Keys) > 0 {
		search.Key, err = registry.ReadPublicKey(site.Keys()...)
	}
	return err
}

// started is who started a run, as the pipeline knows it.
type started struct {
	IDs     []string `json:"ids"`
	Unknown string   `json:"unknown"` // what started it, where its user is not known
}

// needsOf says what the policy asks of the release: of the commits that are not in what production runs, of who started the run.
func needsOf(c *cli.Context, previous string) (policy.Needs, error) {
	site, err := policy.Of(c)
	if err != nil {
		return policy.Needs{}, err
	}
	var by started
	if text := c.String("started-by"); text != "" {
		if err := json.Unmarshal([]byte(text), &by); err != nil {
			return policy.Needs{}, slipway.Usagef(`--started-by is not JSON of the form {"ids":["ada"],"unknown":""}`).Because(err)
		}
	}
	if site.Production.AsksForStarter() && by.Unknown != "" {
		const excluded = "the policy excludes the user who started the run (notStarter), and Jenkins does not name one: %s"
		return policy.Needs{}, slipway.Errorf(slipway.No, excluded, by.Unknown).Next("start the run by hand")
	}
	run := policy.Run{Approvers: c.String("approvers"), Starters: by.IDs}
	if site.Production.AsksForAuthors() {
		if run.Authors, err = policy.Authors(c.Context, ".", previous, c.String("commit")); err != nil {
			return policy.Needs{}, err
		}
	}
	needs := site.Needs(run, trial(c), c.String("image"), time.Now())
	return needs, needs.Err()
}

// trial is how the flags ask for a canary.
func trial(c *cli.Context) policy.Trial {
	return policy.Trial{Weight: c.Int("weight"), Prometheus: c.String("prometheus") != "", Hold: c.Duration("hold"),
		Duration: c.Duration("duration"), MinRequests: int(c.Float64("min-requests"))}
}

// enough refuses a canary that is tried with less than the policy asks for.
func enough(c *cli.Context, asked policy.Trial) (*policy.Site, error) {
	site, err := policy.Of(c)
	if err == nil {
		err = site.Production.Canary.Enough(asked)
	}
	return site, err
}

// and adds fields to a result's answer.
type and struct {
	slipway.Result
	more slipway.Fields
}

func (a and) Answer() slipway.Fields {
	fields := slipway.Fields{}
	maps.Copy(fields, a.Result.Answer())
	maps.Copy(fields, a.more)
	return fields
}

func (a and) MarshalJSON() ([]byte, error) { return json.Marshal(a.Result) }

// Story is the result's own, where it has one.
func (a and) Story(out io.Writer) error {
	if story, ok := a.Result.(slipway.Story); ok {
		return story.Story(out)
	}
	return nil
}
