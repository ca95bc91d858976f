// Command canary-weight gives a canary its share of the traffic, proves that it has it, judges it, and undoes it.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/helpers/internal/canary"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

var names = append(append([]cli.Flag{}, kube.Flags...),
	&cli.StringFlag{Name: "app", Required: true, EnvVars: []string{"SLIPWAY_APP"}, Usage: "the application's `NAME`, which names the Lease"},
	&cli.StringFlag{Name: "stable", EnvVars: []string{"SLIPWAY_STABLE"}, Usage: "the stable `DEPLOYMENT`; without it the application's name"},
	&cli.StringFlag{Name: "canary", EnvVars: []string{"SLIPWAY_CANARY"}, Usage: "the canary `DEPLOYMENT`; without it the application's name with -canary"},
	&cli.StringFlag{Name: "router", EnvVars: []string{"SLIPWAY_ROUTER"}, Usage: "`service` or gateway; without it what refers to the two versions decides"},
	&cli.StringFlag{Name: "service", Usage: "the `SERVICE` that selects both versions"},
	&cli.StringFlag{Name: "route", Usage: "the `HTTPROUTE`"},
	&cli.StringFlag{Name: "run", EnvVars: []string{"BUILD_URL"}, Usage: "whose canary it is; without it who, at which host"},
)

func with(more ...cli.Flag) []cli.Flag { return append(append([]cli.Flag{}, names...), more...) }

func main() {
	tolerance := &cli.Float64Flag{Name: "tolerance", Value: 2, Usage: "how many `POINTS` the share may be off"}
	slipway.Run(&cli.App{
		Name:  "canary-weight",
		Usage: "give a canary its share of the traffic, prove that it has it, judge it, undo it",
		Commands: []*cli.Command{
			{
				Name: "set", Usage: "give the canary this share, in percent", ArgsUsage: "WEIGHT", Action: set,
				Flags: with(tolerance,
					&cli.DurationFlag{Name: "expires", Value: 2 * time.Hour, Usage: "after this the canary may be taken back by anyone"},
					&cli.IntFlag{Name: "max-extra", Value: 5, Usage: "how many pods more than now, in all"},
					&cli.IntFlag{Name: "min-stable", Value: -1, Usage: "never fewer stable pods; without it never fewer than now"}),
			},
			{Name: "get", Usage: "who runs, since when, asked and true share, until when, how to undo", Flags: with(), Action: get},
			{Name: "verify", Usage: "exit 1 where the share that is true is not this one", ArgsUsage: "WEIGHT", Flags: with(tolerance), Action: verify},
			{
				Name: "abort", Usage: "take all traffic back to stable, and the replicas to what they were", Action: abort,
				Flags: with(&cli.BoolFlag{Name: "expired", Usage: "only a canary that is past its time, whoever's it is"},
					&cli.BoolFlag{Name: "own", Usage: "only what --run began"}),
			},
			{
				Name: "analyze", Usage: "judge the canary beside stable: exit 0 healthy, 1 unhealthy, 3 inconclusive", Action: analyze,
				Flags: with(
					&cli.StringFlag{Name: "prometheus", EnvVars: []string{"PROMETHEUS_URL"}, Usage: "its `URL`"},
					&cli.DurationFlag{Name: "interval", Value: 30 * time.Second, Usage: "between two looks"},
					&cli.DurationFlag{Name: "duration", Value: 5 * time.Minute, Usage: "of all looks"},
					&cli.Float64Flag{Name: "max-error-rate", Value: 1, Usage: "`PERCENT` of requests that may fail at all"},
					&cli.Float64Flag{Name: "max-p95-ratio", Value: 1.2, Usage: "how many times slower than stable"},
					&cli.DurationFlag{Name: "p95-floor", Value: 50 * time.Millisecond, Usage: "slower by less than this does not count"},
					&cli.Float64Flag{Name: "min-requests", Value: 500, Usage: "fewer say nothing"},
					&cli.StringFlag{Name: "metric", Value: "http_requests_total", Usage: "the counter of requests, with a label status"},
					&cli.StringFlag{Name: "histogram", Value: "http_request_duration_seconds", Usage: "of their durations"}),
			},
		},
	})
}

func open(c *cli.Context) (*canary.Traffic, error) {
	cluster, err := kube.Connect(c)
	if err != nil {
		return nil, err
	}
	chosen := canary.Names{App: c.String("app"), Stable: c.String("stable"), Canary: c.String("canary"), Service: c.String("service"), Route: c.String("route")}
	if chosen.Stable == "" {
		chosen.Stable = chosen.App
	}
	if chosen.Canary == "" {
		chosen.Canary = chosen.Stable + "-canary"
	}
	return canary.Open(c.Context, cluster, chosen, c.String("router"), func(format string, arguments ...any) {
		fmt.Fprintf(c.App.ErrWriter, format+"\n", arguments...)
	})
}

func weight(c *cli.Context) (int, error) {
	if c.NArg() != 1 {
		return 0, slipway.Usagef("canary-weight %s needs one WEIGHT from 0 to 100, and got %d arguments", c.Command.Name, c.NArg())
	}
	number, err := strconv.Atoi(c.Args().First())
	if err != nil || number < 0 || number > 100 {
		return 0, slipway.Usagef("the weight %q is no whole number from 0 to 100", c.Args().First())
	}
	return number, nil
}

func run(c *cli.Context) string {
	if given := c.String("run"); given != "" {
		return given
	}
	host, _ := os.Hostname()
	return os.Getenv("USER") + "@" + host
}

func set(c *cli.Context) error {
	number, err := weight(c)
	if err != nil {
		return err
	}
	traffic, err := open(c)
	if err != nil {
		return err
	}
	outcome, err := traffic.Set(c.Context, canary.SetOptions{Weight: number, Run: run(c), Expires: c.Duration("expires"), Tolerance: c.Float64("tolerance"),
		Limits: canary.Limits{MinStable: c.Int("min-stable"), MaxExtra: c.Int("max-extra")}})
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, outcome, nil)
}

func get(c *cli.Context) error {
	traffic, err := open(c)
	if err != nil {
		return err
	}
	outcome, err := traffic.Get(c.Context)
	return slipway.Finish(c, outcome, err)
}

func verify(c *cli.Context) error {
	number, err := weight(c)
	if err != nil {
		return err
	}
	traffic, err := open(c)
	if err != nil {
		return err
	}
	outcome, err := traffic.Get(c.Context)
	if off := outcome.Achieved - float64(number); err == nil && max(off, -off) > c.Float64("tolerance") {
		err = slipway.Errorf(slipway.No, "%.1f %% is true, and not %d %%", outcome.Achieved, number).Next("see who runs: canary-weight get")
	}
	return slipway.Finish(c, outcome, err)
}

func abort(c *cli.Context) error {
	traffic, err := open(c)
	if err != nil {
		return err
	}
	options := canary.AbortOptions{Expired: c.Bool("expired")}
	if c.Bool("own") {
		options.Run = run(c)
	}
	outcome, err := traffic.Abort(c.Context, options)
	return slipway.Finish(c, outcome, err)
}

func analyze(c *cli.Context) error {
	if c.String("prometheus") == "" {
		return slipway.Usagef("there is no Prometheus to ask").Next("name it with --prometheus or PROMETHEUS_URL")
	}
	if c.Duration("interval") <= 0 || c.Duration("duration") < c.Duration("interval") {
		return slipway.Usagef("--duration %s has no room for one --interval %s", c.Duration("duration"), c.Duration("interval"))
	}
	traffic, err := open(c)
	if err != nil {
		return err
	}
	progress := slipway.NewProgress(c.App.ErrWriter)
	analysis, err := traffic.Analyze(c.Context, canary.AnalysisOptions{
		Prometheus: c.String("prometheus"), Interval: c.Duration("interval"), Duration: c.Duration("duration"), Metric: c.String("metric"), Histogram: c.String("histogram"),
		Criteria: canary.Criteria{MaxErrorRate: c.Float64("max-error-rate") / 100, MaxP95Ratio: c.Float64("max-p95-ratio"), P95Floor: c.Duration("p95-floor").Seconds(), MinRequests: c.Float64("min-requests")},
		Show: func(now time.Time, look canary.Look) {
			progress.Show(now, "canary %.0f of %.0f failed, stable %.0f of %.0f: %s", look.Canary.Errors, look.Canary.Requests, look.Stable.Errors, look.Stable.Requests, look.Why)
		},
	})
	progress.Done()
	return slipway.Finish(c, analysis, err)
}
