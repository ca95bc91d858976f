package metrics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/helpers/internal/record"
)

var november = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// at is that many hours into November.
func at(hours float64) time.Time { return november.Add(time.Duration(hours * float64(time.Hour))) }

func image(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("r/app:latest-%d@sha256:%064x", n, n)
}

// run is a production run of half an hour, from one image to another.
func run(ended float64, outcome string, from, to int, more ...func(*record.Record)) record.Record {
	r := record.Record{App: "app", Pipeline: record.Production, Began: at(ended - 0.5), Ended: at(ended), Outcome: outcome, Image: image(to),
		PreviousImage: image(from), Commit: fmt.Sprint("c", to), Build: fmt.Sprint(ended)}
	for _, change := range more {
		change(&r)
	}
	return r
}

func tried(r *record.Record) { // for a quarter of an hour
	r.Canary = &record.Canary{}
	r.Stages = append(r.Stages, record.Stage{Name: canaryStage, Began: r.Ended.Add(-15 * time.Minute)})
}

func undone(r *record.Record) { r.Undone = "all traffic is on stable again" }

func approved(r *record.Record) { // and promoted for six minutes
	r.Approvals = append(r.Approvals, record.Approval{What: "promotion"})
	r.Stages = []record.Stage{{Name: promoteStage, Began: r.Ended.Add(-6 * time.Minute)}}
}

func built(ended float64, n int) record.Record {
	return record.Record{App: "app", Pipeline: record.Staging, Began: at(ended - 0.25), Ended: at(ended), Outcome: record.Done,
		Commit: fmt.Sprint("c", n)}
}

func TestTheFourMeasures(t *testing.T) {
	const done, failed, stopped = record.Done, record.Failed, record.Stopped
	type wanted struct {
		deployments, rollbacks, changes, days int
		failures                              Failures
		lead, restore                         string
		runs                                  Runs
	}
	for name, test := range map[string]struct {
		records []record.Record
		wanted
	}{
		"nothing": {nil, wanted{lead: "-", restore: "-"}},
		"one deployment, built two hours before": {[]record.Record{built(10.25, 2), run(12, done, 1, 2)},
			wanted{1, 0, 1, 1, Failures{}, "2h0m", "-", Runs{Done: 1}}},
		"a commit that was built twice began with the first": {[]record.Record{built(8.25, 2), built(11, 2), run(12, done, 1, 2)},
			wanted{1, 0, 1, 1, Failures{}, "4h0m", "-", Runs{Done: 1}}},
		"a commit without a staging record": {[]record.Record{built(8, 7), run(12, done, 1, 2)},
			wanted{1, 0, 1, 1, Failures{}, "- (1 not known)", "-", Runs{Done: 1}}},
		"the median of two is between them": {[]record.Record{built(9.25, 2), run(10, done, 1, 2), built(20.25, 3), run(23, done, 2, 3)},
			wanted{2, 0, 2, 1, Failures{}, "2h0m", "-", Runs{Done: 2}}},
		"a first release": {[]record.Record{run(12, done, 0, 1)}, wanted{1, 0, 1, 1, Failures{}, "- (1 not known)", "-", Runs{Done: 1}}},
		"nothing to do":   {[]record.Record{run(12, done, 2, 2)}, wanted{lead: "-", restore: "-", runs: Runs{Done: 1}}},
		"people stopped it": {[]record.Record{run(12, stopped, 1, 2, tried, undone)},
			wanted{lead: "-", restore: "-", runs: Runs{Stopped: 1}}},
		"it failed before production met it": {[]record.Record{run(12, failed, 1, 2)},
			wanted{lead: "-", restore: "-", runs: Runs{Failed: 1}}},
		"an unhealthy canary": {[]record.Record{run(12, failed, 1, 2, tried, undone)},
			wanted{0, 0, 1, 0, Failures{Canary: 1}, "-", "15m0s", Runs{Failed: 1}}},
		"an unhealthy canary that was not undone, until the next run": {[]record.Record{run(12, failed, 1, 2, tried), run(13, done, 1, 3)},
			wanted{1, 0, 2, 1, Failures{Canary: 1}, "- (1 not known)", "1h15m", Runs{Done: 1, Failed: 1}}},
		"an unhealthy canary that was never undone": {[]record.Record{run(12, failed, 1, 2, tried)},
			wanted{0, 0, 1, 0, Failures{Canary: 1}, "-", "- (1 not known)", Runs{Failed: 1}}},
		"the promotion failed": {[]record.Record{run(12, failed, 1, 2, tried, approved, undone)},
			wanted{0, 0, 1, 0, Failures{Promotion: 1}, "-", "6m0s", Runs{Failed: 1}}},
		"a rollback": {[]record.Record{run(12, done, 1, 2), run(15, done, 2, 1)},
			wanted{1, 1, 1, 1, Failures{RolledBack: 1}, "- (1 not known)", "3h0m", Runs{Done: 2}}},
		"a rollback, and the same release again": {[]record.Record{run(12, done, 1, 2), run(15, done, 2, 1), run(20, done, 1, 2)},
			wanted{2, 1, 2, 1, Failures{RolledBack: 1}, "- (2 not known)", "3h0m", Runs{Done: 3}}},
		"a rollback over two releases": {[]record.Record{run(12, done, 1, 2), run(13, done, 2, 3), run(14, done, 3, 1)},
			wanted{2, 1, 2, 1, Failures{RolledBack: 1}, "- (2 not known)", "1h0m", Runs{Done: 3}}},
		"a release that was replaced is no failure": {[]record.Record{run(12, done, 1, 2), run(13, done, 2, 3)},
			wanted{2, 0, 2, 1, Failures{}, "- (2 not known)", "-", Runs{Done: 2}}},
		"stopped after it had been promoted": {[]record.Record{run(12, stopped, 1, 2, approved), run(13, done, 2, 3)},
			wanted{2, 0, 2, 1, Failures{}, "- (2 not known)", "-", Runs{Done: 1, Stopped: 1}}},
		"stopped before, and so the next one shows": {[]record.Record{run(12, stopped, 1, 2, approved, undone), run(13, done, 1, 3)},
			wanted{1, 0, 1, 1, Failures{}, "- (1 not known)", "-", Runs{Done: 1, Stopped: 1}}},
		"a failure of this month that the next month ended": {[]record.Record{run(719, done, 1, 2), run(722, done, 2, 1)},
			wanted{1, 0, 1, 1, Failures{RolledBack: 1}, "- (1 not known)", "3h0m", Runs{Done: 1}}},
		"what was delivered last month is gone back to": {[]record.Record{run(-3, done, 0, 1), run(-2, done, 1, 2), run(5, done, 2, 1)},
			wanted{0, 1, 0, 0, Failures{}, "-", "-", Runs{Done: 1}}},
		"the period's end is not part of it": {[]record.Record{run(720, done, 1, 2)}, wanted{lead: "-", restore: "-"}},
		"its beginning is": {[]record.Record{run(0, done, 1, 2)},
			wanted{1, 0, 1, 1, Failures{}, "- (1 not known)", "-", Runs{Done: 1}}},
		"a clock that was set back": {[]record.Record{built(20, 2), run(12, done, 1, 2)},
			wanted{1, 0, 1, 1, Failures{}, "- (1 not known)", "-", Runs{Done: 1}}},
	} {
		report := Of(test.records, Period{november, november.AddDate(0, 1, 0), time.UTC})
		d := report.All
		assert.Equal(t, test.wanted, wanted{d.Deployments, d.Rollbacks, d.Changes, d.Days, d.Failures, d.LeadTime.String(), d.Restore.String(),
			d.Runs}, name)
		assert.InDelta(t, float64(test.deployments)*7/30, d.PerWeek, 1e-9, name)
		if test.changes == 0 {
			assert.Nil(t, d.FailureRate, "%s: nothing of nothing is no rate", name)
		} else {
			assert.InDelta(t, float64(test.failures.sum())/float64(test.changes), *d.FailureRate, 1e-9, name)
		}
	}
}

// 23:30 UTC on the 28th is the 29th in Berlin; the day on which its clocks are set back has 25 hours.
func TestDaysAreThoseOfTheZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	late := []record.Record{run(27*24+23.5, record.Done, 1, 2), run(28*24+1, record.Done, 2, 3)}
	month := Period{november, november.AddDate(0, 1, 0), time.UTC}
	assert.Equal(t, 2, Of(late, month).All.Days)
	month.Zone = berlin
	assert.Equal(t, 1, Of(late, month).All.Days)

	day := time.Date(2026, 10, 25, 0, 0, 0, 0, berlin)
	longest := Period{day, day.AddDate(0, 0, 1), berlin}
	last := run(0, record.Done, 1, 2, func(r *record.Record) { r.Ended = day.Add(24*time.Hour + 59*time.Minute) })
	assert.Equal(t, 1, Of([]record.Record{last}, longest).All.Deployments)
	assert.InDelta(t, 7*24.0/25, Of([]record.Record{last}, longest).All.PerWeek, 1e-9)
}

func TestAppsAreApartAndTogether(t *testing.T) {
	other := run(13, record.Failed, 1, 2, tried, undone)
	other.App = "b\"\n\x1b"
	report := Of([]record.Record{built(11.25, 2), run(12, record.Done, 1, 2), other}, Period{november, november.AddDate(0, 1, 0), time.UTC})
	require.Len(t, report.Apps, 2)
	assert.InDelta(t, 0.5, *report.All.FailureRate, 1e-9)
	assert.Zero(t, *report.Apps[0].FailureRate)

	var text, exposition bytes.Buffer
	require.NoError(t, report.Text(&text))
	lines := strings.Split(text.String(), "\n")
	assert.Equal(t, "app 1 0.2 1h0m 0 % (0 of 1) - 0 0 2026-11-01 12:00", strings.Join(strings.Fields(lines[3]), " "))
	assert.Equal(t, "all 1 0.2 1h0m 50 % (1 of 2) 15m0s 0 0 2026-11-01 12:00", strings.Join(strings.Fields(lines[5]), " "))
	body, err := json.Marshal(report)
	require.NoError(t, err)
	assert.Contains(t, string(body), `"timeToRestore":{"count":0,"unknown":0,"medianSeconds":null}`)

	require.NoError(t, report.Format("prometheus", &exposition))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&exposition)
	require.NoError(t, err, "Prometheus' own parser reads it")
	for name := range families {
		assert.True(t, strings.HasPrefix(name, "slipway_"), name)
	}
	ratio := families["slipway_change_failure_ratio"].Metric
	require.Len(t, ratio, 2)
	assert.Equal(t, `b"\n\x1b`, ratio[1].Label[0].GetValue())
	assert.InDelta(t, 1, ratio[1].Gauge.GetValue(), 1e-9)
	assert.Len(t, families["slipway_lead_time_median_seconds"].Metric, 1, "a median of nothing is not there")
}
