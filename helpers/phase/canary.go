package phase

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/helpers/internal/canary"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/deploy"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// traffic are the flags that name an application's traffic, as canary-weight has them.
var traffic = []cli.Flag{
	&cli.StringFlag{Name: "app", EnvVars: []string{"SLIPWAY_APP"}, Usage: "the application's `NAME`, which names the Lease"},
	stable,
	&cli.StringFlag{Name: "canary", EnvVars: []string{"SLIPWAY_CANARY"},
		Usage: "the canary `DEPLOYMENT`; without it stable's name with -canary"},
	&cli.StringFlag{Name: "router", EnvVars: []string{"SLIPWAY_ROUTER"},
		Usage: strings.Join(canary.Routers, ", ") + "; without it what refers to both"},
	&cli.StringFlag{Name: "service", EnvVars: []string{"SLIPWAY_SERVICE"}, Usage: "the `SERVICE` that selects both, where there are several"},
	&cli.StringFlag{Name: "route", EnvVars: []string{"SLIPWAY_ROUTE"}, Usage: "the `NAME` of the route, where there are several"},
	runFlag,
}

var tolerance = &cli.Float64Flag{Name: "tolerance", Value: 2, EnvVars: []string{"SLIPWAY_TOLERANCE"},
	Usage: "how many `POINTS` the share may be off"}

// source are the flags of the analysis, as canary-weight analyze has them.
var source = []cli.Flag{
	&cli.StringFlag{Name: "prometheus", EnvVars: []string{"PROMETHEUS_URL"}, Usage: "its `URL`"},
	&cli.StringFlag{Name: "metric", Value: "http_requests_total", EnvVars: []string{"SLIPWAY_METRIC"}, Usage: "the counter of requests"},
	&cli.StringFlag{Name: "errors", Value: `status=~"5.."`, EnvVars: []string{"SLIPWAY_ERRORS"}, Usage: "the `MATCHERS` of those that failed"},
	&cli.StringFlag{Name: "histogram", Value: "http_request_duration_seconds", EnvVars: []string{"SLIPWAY_HISTOGRAM"},
		Usage: "of their durations, classic or native"},
	&cli.StringFlag{Name: "selector", Value: `namespace="$namespace",app="$deployment"`, EnvVars: []string{"SLIPWAY_SELECTOR"},
		Usage: "the `MATCHERS` of one version"},
	&cli.DurationFlag{Name: "interval", Value: 30 * time.Second, Usage: "between two looks"},
	&cli.DurationFlag{Name: "duration", Value: 5 * time.Minute, Usage: "of all looks"},
	&cli.Float64Flag{Name: "min-requests", Value: 500, Usage: "fewer say nothing"},
}

func namesOf(c *cli.Context) (canary.Names, error) {
	names := canary.Names{App: c.String("app"), Stable: c.String("stable"), Canary: c.String("canary"),
		Router: c.String("router"), Service: c.String("service"), Route: c.String("route")}
	if names.Stable == "" {
		names.Stable = names.App
	}
	if names.Canary == "" {
		names.Canary = names.Stable + "-canary"
	}
	return names, needs(c, "app", "run")
}

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
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	names, err := namesOf(c)
	if err != nil {
		return err
	}
	if c.String("prometheus") != "" && (c.Duration("interval") <= 0 || c.Duration("duration") < c.Duration("interval")) {
		return slipway.Usagef("--duration %s has no room for one --interval %s", c.Duration("duration"), c.Duration("interval"))
	}
	looking := c.Duration("hold")
	if c.String("prometheus") != "" {
		looking = c.Duration("duration")
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
		return slipway.Finish(c, said{summary, slipway.Fields{"summary": summary}}, nil)
	}
	if err := wait(c.Context, c, cluster, names.Canary, waiting); err != nil {
		return slipway.Finish(c, nil, err)
	}
	return analyze(c, cluster)
}

func analyze(c *cli.Context, cluster *kube.Cluster) error {
	from := &canary.Source{Address: c.String("prometheus"), Metric: c.String("metric"), Errors: c.String("errors"),
		Histogram: c.String("histogram"), Selector: c.String("selector")}
	if err := from.Connect(cluster.Namespace); err != nil {
		return err
	}
	opened, err := open(c, cluster)
	if err != nil {
		return err
	}
	progress := slipway.NewProgress(c.App.ErrWriter)
	analysis, err := opened.Analyze(c.Context, canary.AnalysisOptions{
		Source: from, Interval: c.Duration("interval"), Duration: c.Duration("duration"),
		Criteria: canary.Criteria{MaxErrorRate: 0.01, MaxP95Ratio: 1.2, P95Floor: 0.05, MinRequests: c.Float64("min-requests")},
		Show: func(now time.Time, look canary.Look) {
			progress.Show(now, "canary %.0f of %.0f failed, stable %.0f of %.0f: %s",
				look.Canary.Errors, look.Canary.Requests, look.Stable.Errors, look.Stable.Requests, look.Why)
		},
	})
	progress.Done()
	file := c.String("report")
	if file != "" {
		if writeErr := canary.WriteReport(file, analysis); writeErr != nil && err == nil {
			err = writeErr
		}
	}
	return slipway.Finish(c, analysis, withReport(err, file))
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
