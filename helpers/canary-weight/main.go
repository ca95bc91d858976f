// Package canaryweight is the command canary-weight, which gives a canary its share of the traffic, proves that it
// has it, judges it, and undoes it.
package canaryweight

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/helpers/internal/canary"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// App is the command canary-weight: flags in, one call, one result out.
func App() *cli.App {
	return &cli.App{
		Name:  "canary-weight",
		Usage: "give a canary its share of the requests, verify the share, analyze the canary, undo it",
		// A comma is a part of PromQL.
		DisableSliceFlagSeparator: true,
		Metadata: map[string]any{slipway.Synonyms: map[string]string{
			"stop": "abort", "undo": "abort", "cancel": "abort", "rollback": "abort", "revert": "abort", "delete": "abort", "reset": "abort",
			"end":    "abort",
			"status": "get", "show": "get", "list": "get", "describe": "get", "start": "set", "begin": "set", "weight": "set", "check": "verify",
			"judge": "analyze", "analyse": "analyze", "analysis": "analyze",
		}},
		Commands: []*cli.Command{
			{
				Name:      "set",
				Usage:     "give the canary this share of the requests, in percent",
				ArgsUsage: "WEIGHT",
				Action:    set,
				Flags: with(runFlag, tolerance, timeout,
					&cli.DurationFlag{Name: "expires", Value: 2 * time.Hour, Usage: "after this time any run may undo the canary, and the reaper does"},
					&cli.IntFlag{Name: "max-extra", Value: 5, Usage: "how many pods may run beyond those that run now, in all"},
					&cli.IntFlag{Name: "min-stable", Value: -1, Usage: "the least number of stable pods; without it the number that runs now"},
					&cli.BoolFlag{Name: "abort-on-signal", Usage: "on SIGTERM undo before ending"}),
			},
			{
				Name:   "get",
				Usage:  "show who has the canary, since when and until when, the requested and the real share, and how to undo it",
				Flags:  with(runFlag),
				Action: get,
			},
			{Name: "verify", Usage: "check that the canary receives this share of the requests", ArgsUsage: "WEIGHT", Action: verify,
				Flags: append(with(canary.SourceFlags...), runFlag, tolerance,
					&cli.DurationFlag{Name: "window", Value: time.Minute, Usage: "the time range of the requests that are counted"})},
			{Name: "abort", Usage: "return all requests to stable, and the replicas to what they were", Action: abort, Flags: with(timeout,
				&cli.BoolFlag{Name: "expired", Usage: "only a canary that has expired, of any run"},
				&cli.StringFlag{Name: "run", Usage: "only what this run (`BUILD_URL`) began; with --expired it takes --own to say so"},
				&cli.BoolFlag{Name: "own", Usage: "only what this run began: that of BUILD_URL, or you at this host"})},
			{Name: "analyze", Usage: "compare the canary with stable: healthy, unhealthy or inconclusive", Action: analyze,
				Flags: append(with(canary.AnalysisFlags...), runFlag,
					&cli.StringFlag{Name: "report", Usage: "write the whole analysis to this `FILE.html`"})},
		},
	}
}

var (
	names     = append(append([]cli.Flag{}, kube.Flags...), canary.NameFlags...)
	runFlag   = &cli.StringFlag{Name: "run", EnvVars: []string{"BUILD_URL"}, Usage: "the run that has the canary; without it USER@HOST"}
	tolerance = &cli.Float64Flag{Name: "tolerance", Value: 2, Usage: "how many `POINTS` the share may be off"}
	timeout   = &cli.DurationFlag{Name: "timeout", Value: 5 * time.Minute, Usage: "the longest time for pods to become ready"}
)

func with(more ...cli.Flag) []cli.Flag { return append(append([]cli.Flag{}, names...), more...) }

func open(c *cli.Context) (*canary.Traffic, error) {
	if c.String("app") == "" {
		return nil, slipway.Usagef("canary-weight %s needs the application's name", c.Command.Name).Next("name it with --app or SLIPWAY_APP")
	}
	cluster, err := kube.Connect(c)
	if err != nil {
		return nil, err
	}
	return canary.Open(c.Context, cluster, canary.NamesOf(c), func(format string, arguments ...any) {
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

// run names this run: the build's URL, or who, at which host.
func run(given string) string {
	if given != "" {
		return given
	}
	name := os.Getenv("USER")
	if who, err := user.Current(); err == nil {
		name = who.Username
	}
	host, _ := os.Hostname()
	return name + "@" + host
}

func set(c *cli.Context) error {
	number, err := weight(c)
	if err != nil {
		return err
	}
	if c.Duration("expires") < time.Second {
		return slipway.Usagef("--expires %s is over at once", c.Duration("expires"))
	}
	if c.Int("max-extra") < 0 || c.Float64("tolerance") < 0 {
		return slipway.Usagef("--max-extra and --tolerance cannot be less than 0")
	}
	traffic, err := open(c)
	if err != nil {
		return err
	}
	outcome, err := traffic.Set(c.Context, canary.SetOptions{
		Weight: number, Run: run(c.String("run")), Expires: c.Duration("expires"), Tolerance: c.Float64("tolerance"),
		Timeout: c.Duration("timeout"), AbortOnSignal: c.Bool("abort-on-signal"),
		Limits: canary.Limits{MinStable: c.Int("min-stable"), MaxExtra: c.Int("max-extra")},
	})
	return finish(c, outcome, err)
}

// finish leaves out an answer that says nothing.
func finish(c *cli.Context, outcome canary.Outcome, err error) error {
	if outcome.App == "" {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, outcome, err)
}

func get(c *cli.Context) error {
	traffic, err := open(c)
	if err != nil {
		return err
	}
	outcome, err := traffic.Get(c.Context)
	return finish(c, outcome, err)
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
	options := canary.VerifyOptions{Weight: number, Tolerance: c.Float64("tolerance"), Window: c.Duration("window")}
	if c.String("prometheus") != "" {
		options.Prometheus = canary.SourceOf(c)
		if err := options.Prometheus.Connect(traffic.Namespace()); err != nil {
			return err
		}
	}
	outcome, err := traffic.Verify(c.Context, options)
	return finish(c, outcome, err)
}

func abort(c *cli.Context) error {
	traffic, err := open(c)
	if err != nil {
		return err
	}
	if c.Bool("expired") { // the reaper, every minute
		traffic.TellBroken(c.Context)
	}
	options := canary.AbortOptions{Expired: c.Bool("expired"), Timeout: c.Duration("timeout")}
	switch given := c.String("run"); {
	case c.Bool("own") && given == "":
		options.Run = run(os.Getenv("BUILD_URL"))
	case c.Bool("own"), !options.Expired:
		options.Run = given
	}
	outcome, err := traffic.Abort(c.Context, options)
	return finish(c, outcome, err)
}

func analyze(c *cli.Context) error {
	if c.String("prometheus") == "" {
		return slipway.Usagef("there is no Prometheus to ask").Next("name it with --prometheus or PROMETHEUS_URL")
	}
	options, err := canary.AnalysisOf(c)
	if err != nil {
		return err
	}
	traffic, err := open(c)
	if err != nil {
		return err
	}
	analysis, err := traffic.AnalyzeAndReport(c.Context, c.App.ErrWriter, options, c.String("report"))
	return slipway.Finish(c, analysis, err)
}
