package phase

import (
	"encoding/json"
	"os"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/helpers/internal/canary"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/deploy"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/policy"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// traffic are the flags that name an application's traffic, as canary-weight has them.
var traffic = append(append([]cli.Flag{}, canary.NameFlags...), runFlag)

var tolerance = &cli.Float64Flag{Name: "tolerance", Value: 2, EnvVars: []string{"SLIPWAY_TOLERANCE"},
	Usage: "how many `POINTS` the share may be off"}

func namesOf(c *cli.Context) (canary.Names, error) { return canary.NamesOf(c), needs(c, "app", "run") }

func open(c *cli.Context, cluster *kube.Cluster) (*canary.Traffic, error) {
	names, err := namesOf(c)
	if err != nil {
		return nil, err
	}
	return canary.Open(c.Context, cluster, names, func(format string, arguments ...any) { tell(c, format, arguments...) })
}

func weight(c *cli.Context) (int, error) {
	word, err := argument(c, "WEIGHT from 1 to 99")
	if err != nil {
		return 0, err
	}
	number, err := strconv.Atoi(word)
	if err != nil || number < 1 || number > 99 {
		return 0, slipway.Usagef("the weight %q is no whole number from 1 to 99", word)
	}
	return number, nil
}

// beginCanary never touches another run's canary; what a dead run left behind is taken back first.
func beginCanary(c *cli.Context) error {
	number, err := weight(c)
	if err == nil {
		err = needs(c, "image")
	}
	if err != nil {
		return err
	}
	site, err := permitted(c, "")
	if err == nil && number < site.Production.Canary.MinWeight {
		const less = "the policy's canary.minWeight asks for at least %d percent of the requests, not %d"
		err = slipway.Errorf(slipway.No, less, site.Production.Canary.MinWeight, number)
	}
	if err != nil {
		return err
	}
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	names, err := namesOf(c)
	if err != nil {
		return err
	}
	options, err := putting(c, names.Canary, "canary")
	if err != nil {
		return err
	}
	options.Like = names.Stable // what is tried is what is promoted
	if err := free(c, cluster); err != nil {
		return slipway.Finish(c, nil, err)
	}
	// What the canary shares the traffic with has to be good itself.
	if err := wait(c.Context, c, cluster, names.Stable, rollout.Options{Timeout: 5 * time.Minute, MarkGood: true}); err != nil {
		return slipway.Finish(c, nil, err)
	}
	if _, err := deploy.Deploy(c.Context, cluster, options); err != nil {
		return slipway.Finish(c, nil, err)
	}
	opened, err := open(c, cluster)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	outcome, err := opened.Set(c.Context, canary.SetOptions{
		Weight: number, Run: c.String("run"), Expires: c.Duration("expires"), Tolerance: c.Float64("tolerance"), Timeout: c.Duration("timeout"),
		Limits: canary.Limits{MinStable: c.Int("min-stable"), MaxExtra: c.Int("max-extra")},
	})
	if outcome.App == "" {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, outcome, err)
}

// free is nil where nobody else has the traffic.
func free(c *cli.Context, cluster *kube.Cluster) error {
	opened, err := open(c, cluster)
	if err != nil {
		return err
	}
	left, err := opened.Abort(c.Context, canary.AbortOptions{Expired: true, Timeout: c.Duration("timeout")})
	if err != nil {
		return err
	}
	if left.Note != "" {
		tell(c, "canary: %s", left.Note)
	}
	if opened, err = open(c, cluster); err != nil {
		return err
	}
	held, err := opened.Get(c.Context)
	if err != nil {
		return err
	}
	return heldByAnother(held.Run, c.String("run"), c.String("app"), cluster.Namespace)
}

func heldByAnother(holder, run, app, namespace string) error {
	if holder == "" || holder == run {
		return nil
	}
	return slipway.Errorf(slipway.Conflict, "another run holds the traffic of %s: %s", app, holder).
		Next("let it finish, or undo it: canary-weight abort -n %s --app %s", namespace, app)
}

// extend lets this run's canary stay for what comes next: its time is short, so that a run that is gone leaves nothing for long.
func extend(c *cli.Context, cluster *kube.Cluster, more time.Duration) error {
	opened, err := open(c, cluster)
	if err != nil {
		return err
	}
	return opened.Extend(c.Context, c.String("run"), more+c.Duration("expires"))
}

// judge goes by Prometheus where there is one, else by whether the canary stays up.
func judge(c *cli.Context) error {
	if err := needs(c, "image"); err != nil {
		return err
	}
	names, err := namesOf(c)
	if err != nil {
		return err
	}
	asked := trial(c)
	asked.Weight = 100 // it is set already
	site, err := enough(c, asked)
	if err != nil {
		return err
	}
	looking, analysis := c.Duration("hold"), canary.AnalysisOptions{}
	if c.String("prometheus") != "" {
		looking = c.Duration("duration")
		if analysis, err = canary.AnalysisOf(c); err != nil {
			return err
		}
	}
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	if err := extend(c, cluster, looking); err != nil {
		return slipway.Finish(c, nil, err)
	}
	waiting := rollout.Options{Criteria: rollout.Criteria{Image: digestOf(c.String("image"))}, Timeout: 2 * time.Minute}
	if c.String("prometheus") == "" {
		waiting.Hold, waiting.Timeout = c.Duration("hold"), c.Duration("hold")+10*time.Minute
		if err := wait(c.Context, c, cluster, names.Canary, waiting); err != nil {
			return slipway.Finish(c, nil, err)
		}
		summary := "canary stayed up for " + c.Duration("hold").String()
		fields := slipway.Fields{"summary": summary, "approval": approvalOf(c, site, c.String("plan"), summary)}
		return slipway.Finish(c, said{summary, fields}, nil)
	}
	if err := wait(c.Context, c, cluster, names.Canary, waiting); err != nil {
		return slipway.Finish(c, nil, err)
	}
	return analyze(c, cluster, analysis, site)
}

func analyze(c *cli.Context, cluster *kube.Cluster, options canary.AnalysisOptions, site *policy.Site) error {
	opened, err := open(c, cluster)
	if err != nil {
		return err
	}
	analysis, err := opened.AnalyzeAndReport(c.Context, c.App.ErrWriter, options, c.String("report"))
	fields := slipway.Fields{"approval": approvalOf(c, site, c.String("plan"), analysis.Sentence()), "course": course(analysis)}
	return slipway.Finish(c, and{analysis, fields}, withReport(err, c.String("report")))
}

// course is how the analysis went, for the page of the release; empty where it is too long to be handed on.
func course(analysis canary.Analysis) string {
	body, err := json.Marshal(analysis.Course())
	if err != nil || len(body) > 32<<10 {
		return ""
	}
	return string(body)
}

// withReport says of an unhealthy canary what to read next; the pipeline undoes it itself.
func withReport(err error, file string) error {
	if err == nil || file == "" {
		return err
	}
	failure := slipway.AsError(err)
	if failure.Code == slipway.No {
		failure.Hint = "read the last lines of its pod above, and " + file + " among the artifacts"
	}
	return failure
}

// temporary writes the body to a file of its own.
func temporary(body []byte) (string, error) {
	file, err := os.CreateTemp("", "slipway-*")
	if err != nil {
		return "", err
	}
	defer file.Close()
	_, err = file.Write(body)
	return file.Name(), err
}
