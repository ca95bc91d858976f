package canary

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// NameFlags say whose traffic it is.
var NameFlags = []cli.Flag{
	&cli.StringFlag{Name: "app", EnvVars: []string{"SLIPWAY_APP"}, Usage: "the application's `NAME`, which names the Lease"},
	&cli.StringFlag{Name: "stable", EnvVars: []string{"SLIPWAY_STABLE"},
		Usage: "the stable `DEPLOYMENT`; without it the application's name"},
	&cli.StringFlag{Name: "canary", EnvVars: []string{"SLIPWAY_CANARY"},
		Usage: "the canary `DEPLOYMENT`; without it stable's name with -canary"},
	&cli.StringFlag{Name: "router", EnvVars: []string{"SLIPWAY_ROUTER"},
		Usage: "`ROUTER`: " + strings.Join(Routers, ", ") + "; without it what refers to the two versions decides"},
	&cli.StringFlag{Name: "service", EnvVars: []string{"SLIPWAY_SERVICE"},
		Usage: "the `SERVICE` that selects both versions, where there are several"},
	&cli.StringFlag{Name: "route", EnvVars: []string{"SLIPWAY_ROUTE"},
		Usage: "the `NAME` of the HTTPRoute, TraefikService, VirtualService or canary Ingress, where there are several"},
}

// NamesOf are the names that NameFlags give.
func NamesOf(c *cli.Context) Names {
	names := Names{App: c.String("app"), Stable: c.String("stable"), Canary: c.String("canary"),
		Router: c.String("router"), Service: c.String("service"), Route: c.String("route")}
	if names.Stable == "" {
		names.Stable = names.App
	}
	if names.Canary == "" {
		names.Canary = names.Stable + "-canary"
	}
	return names
}

// SourceFlags say where Prometheus is, and which of its series are the two versions'.
var SourceFlags = []cli.Flag{
	&cli.StringFlag{Name: "prometheus", EnvVars: []string{"PROMETHEUS_URL"}, Usage: "its `URL`"},
	&cli.StringFlag{Name: "metric", Value: "http_requests_total", EnvVars: []string{"SLIPWAY_METRIC"}, Usage: "the counter of requests"},
	&cli.StringFlag{
		Name:    "errors",
		Value:   `status=~"5.."`,
		EnvVars: []string{"SLIPWAY_ERRORS"},
		Usage:   "the label `MATCHERS` of failed requests",
	},
	&cli.StringFlag{Name: "histogram", Value: "http_request_duration_seconds", EnvVars: []string{"SLIPWAY_HISTOGRAM"},
		Usage: "the histogram of the requests' durations, classic or native"},
	&cli.StringFlag{Name: "selector", Value: `namespace="$namespace",app="$deployment"`, EnvVars: []string{"SLIPWAY_SELECTOR"},
		Usage: "the label `MATCHERS` of one version's pods"},
}

// SourceOf is the Prometheus that SourceFlags name, before it is connected.
func SourceOf(c *cli.Context) *Source {
	return &Source{Address: c.String("prometheus"), Metric: c.String("metric"), Errors: c.String("errors"),
		Histogram: c.String("histogram"), Selector: c.String("selector")}
}

// AnalysisFlags say how often and how long the two versions are compared, and what is unhealthy.
var AnalysisFlags = append(
	append([]cli.Flag{}, SourceFlags...),
	&cli.DurationFlag{Name: "interval", Value: 30 * time.Second, Usage: "the time between two queries"},
	&cli.DurationFlag{Name: "duration", Value: 5 * time.Minute, Usage: "how long the canary is watched"},
	&cli.StringFlag{Name: "max-error-rate", Value: "1%", Usage: "`PERCENT` of requests that may fail at all"},
	&cli.Float64Flag{Name: "max-p95-ratio", Value: 1.2, Usage: "how many times stable's 95th percentile the canary's may be"},
	&cli.DurationFlag{
		Name:  "p95-floor",
		Value: 50 * time.Millisecond,
		Usage: "a difference between the 95th percentiles that is smaller does not count",
	},
	&cli.Float64Flag{Name: "min-requests", Value: 500, Usage: "the least number of requests for a verdict"},
	&cli.StringSliceFlag{Name: "query",
		Usage: "`NAME=PROMQL` that is 0 where the canary is unhealthy; $namespace, $deployment and $window are filled in"},
)

// AnalysisOf is the analysis that AnalysisFlags ask for.
func AnalysisOf(c *cli.Context) (AnalysisOptions, error) {
	options := AnalysisOptions{Source: SourceOf(c), Interval: c.Duration("interval"), Duration: c.Duration("duration"),
		Queries: map[string]string{}}
	if options.Interval <= 0 || options.Duration < options.Interval {
		return options, slipway.Usagef("--duration %s has no room for one --interval %s", options.Duration, options.Interval)
	}
	rate, err := strconv.ParseFloat(strings.TrimSuffix(c.String("max-error-rate"), "%"), 64)
	if err != nil || !(rate >= 0 && rate <= 100) {
		return options, slipway.Usagef("--max-error-rate %q is no percentage", c.String("max-error-rate"))
	}
	options.Criteria = Criteria{MaxErrorRate: rate / 100, MaxP95Ratio: c.Float64("max-p95-ratio"),
		P95Floor: c.Duration("p95-floor").Seconds(), MinRequests: c.Float64("min-requests")}
	for _, each := range c.StringSlice("query") {
		name, promql, found := strings.Cut(each, "=")
		if !found || name == "" || promql == "" {
			return options, slipway.Usagef("--query %q is not NAME=PROMQL", each)
		}
		options.Queries[name] = promql
	}
	return options, nil
}

// AnalyzeAndReport tells each look on out, and writes the page to a file, if one is named, whatever the verdict is.
func (t *Traffic) AnalyzeAndReport(ctx context.Context, out io.Writer, options AnalysisOptions, file string) (Analysis, error) {
	if err := options.Source.Connect(t.Namespace()); err != nil {
		return Analysis{}, err
	}
	progress := slipway.NewProgress(out)
	options.Show = func(now time.Time, look Look) {
		progress.Show(now, "canary %.0f of %.0f failed, stable %.0f of %.0f: %s",
			look.Canary.Errors, look.Canary.Requests, look.Stable.Errors, look.Stable.Requests, look.Why)
	}
	analysis, err := t.Analyze(ctx, options)
	progress.Done()
	if file != "" {
		if writeErr := WriteReport(file, analysis); writeErr != nil && err == nil {
			err = writeErr
		}
	}
	return analysis, err
}
