package metrics

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/safe"
)

// Text is a table, an app a line.
func (r Report) Text(out io.Writer) error {
	day := func(at time.Time) string { return at.In(r.Zone).Format("2006-01-02 15:04") }
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%s to %s (%s)\n\nAPP\tDEPLOYMENTS\tPER WEEK\tLEAD TIME\tCHANGES FAILED\tTIME TO RESTORE\tROLLBACKS\tSTOPPED\tLAST\n",
		day(r.From), day(r.To), r.ZoneName)
	line := func(name string, d Delivery) {
		rate, last := "-", "-"
		if d.FailureRate != nil {
			rate = fmt.Sprintf("%.0f %% (%d of %d)", 100**d.FailureRate, d.Failures.sum(), d.Changes)
		}
		if !d.Last.IsZero() {
			last = day(d.Last)
		}
		fmt.Fprintf(table, "%s\t%d\t%.1f\t%s\t%s\t%s\t%d\t%d\t%s\n", safe.Line(name), d.Deployments, d.PerWeek, d.LeadTime, rate, d.Restore,
			d.Rollbacks, d.Runs.Stopped, last)
	}
	for _, d := range r.Apps {
		line(d.App, d)
	}
	if len(r.Apps) != 1 {
		line("all", r.All)
	}
	return table.Flush()
}

// String is the median in its two largest units.
func (s Spread) String() string {
	text := "-"
	if s.Median != nil {
		text = long(time.Duration(*s.Median * float64(time.Second)))
	}
	if s.Unknown > 0 {
		text += fmt.Sprintf(" (%d not known)", s.Unknown)
	}
	return text
}

func long(d time.Duration) string {
	seconds := int(d.Round(time.Second).Seconds())
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm%ds", seconds/60, seconds%60)
	case seconds < 48*3600:
		return fmt.Sprintf("%dh%dm", seconds/3600, seconds%3600/60)
	}
	return fmt.Sprintf("%dd%dh", seconds/86400, seconds%86400/3600)
}

// Answer is for a pipeline.
func (r Report) Answer() slipway.Fields {
	return slipway.Fields{"apps": len(r.Apps), "deployments": r.All.Deployments, "changes": r.All.Changes, "failures": r.All.Failures.sum()}
}

// metric is one that is written for Prometheus.
type metric struct {
	name, help string
	of         func(Delivery) []sample
}

type sample struct {
	label, value string // beside the app; or empty
	number       float64
}

func one(of func(Delivery) float64) func(Delivery) []sample {
	return func(d Delivery) []sample { return []sample{{number: of(d)}} }
}

// some is no sample where there is no value: a median of nothing is not 0.
func some(of func(Delivery) *float64) func(Delivery) []sample {
	return func(d Delivery) []sample {
		if value := of(d); value != nil {
			return []sample{{number: *value}}
		}
		return nil
	}
}

var exposed = []metric{
	{"slipway_runs", "Production runs in the period, by their outcome.", func(d Delivery) []sample {
		return []sample{{"outcome", "done", float64(d.Runs.Done)}, {"outcome", "failed", float64(d.Runs.Failed)},
			{"outcome", "stopped", float64(d.Runs.Stopped)}}
	}},
	{"slipway_deployments", "Changes that came to all of production in the period.",
		one(func(d Delivery) float64 { return float64(d.Deployments) })},
	{"slipway_deployment_days", "Days of the period with a deployment.", one(func(d Delivery) float64 { return float64(d.Days) })},
	{"slipway_deployments_per_week", "Deployment frequency in the period.", one(func(d Delivery) float64 { return d.PerWeek })},
	{"slipway_rollbacks", "Deployments of what production had run before, in the period.",
		one(func(d Delivery) float64 { return float64(d.Rollbacks) })},
	{"slipway_changes", "Deployments and changes that failed before they came to all of production, in the period.",
		one(func(d Delivery) float64 { return float64(d.Changes) })},
	{"slipway_change_failures", "Changes of the period that failed, by how that was found.", func(d Delivery) []sample {
		return []sample{{"found", "canary", float64(d.Failures.Canary)}, {"found", "promotion", float64(d.Failures.Promotion)},
			{"found", "rollback", float64(d.Failures.RolledBack)}}
	}},
	{"slipway_change_failure_ratio", "Change failure rate of the period, 0 to 1.", some(func(d Delivery) *float64 { return d.FailureRate })},
	{"slipway_lead_time_median_seconds", "Median time from the first staging run of a commit to all of production.",
		some(func(d Delivery) *float64 { return d.LeadTime.Median })},
	{"slipway_time_to_restore_median_seconds", "Median time from a change that failed to its undoing.",
		some(func(d Delivery) *float64 { return d.Restore.Median })},
	{"slipway_last_deployment_timestamp_seconds", "When the last deployment or rollback of the period ended.",
		some(func(d Delivery) *float64 {
			if d.Last.IsZero() {
				return nil
			}
			at := float64(d.Last.Unix())
			return &at
		})},
}

// Format writes the exposition for Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/
func (r Report) Format(_ string, out io.Writer) error {
	for _, m := range exposed {
		var values []*dto.Metric
		for _, d := range r.Apps {
			for _, s := range m.of(d) {
				labels := []*dto.LabelPair{pair("app", d.App)}
				if s.label != "" {
					labels = append(labels, pair(s.label, s.value))
				}
				values = append(values, &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: &s.number}})
			}
		}
		if err := expose(out, m.name, m.help, values); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		name, help string
		number     float64
	}{
		{"slipway_metrics_period_seconds", "How long the period is.", r.To.Sub(r.From).Seconds()},
		{"slipway_metrics_end_timestamp_seconds", "When the period ends: until then records were read.", float64(r.To.Unix())},
	} {
		if err := expose(out, m.name, m.help, []*dto.Metric{{Gauge: &dto.Gauge{Value: &m.number}}}); err != nil {
			return err
		}
	}
	return nil
}

func expose(out io.Writer, name, help string, values []*dto.Metric) error {
	if len(values) == 0 {
		return nil
	}
	kind := dto.MetricType_GAUGE
	_, err := expfmt.MetricFamilyToText(out, &dto.MetricFamily{Name: &name, Help: &help, Type: &kind, Metric: values})
	return err
}

func pair(name, value string) *dto.LabelPair {
	value = strings.ToValidUTF8(safe.Line(value), "\uFFFD")
	return &dto.LabelPair{Name: &name, Value: &value}
}
