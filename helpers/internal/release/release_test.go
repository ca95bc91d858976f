package release

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/helpers/internal/record"
)

var began = time.Date(2026, 11, 30, 22, 0, 0, 0, time.UTC)

func after(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }

const (
	from = "r:5000/app:latest-40@sha256:4040404040404040404040404040404040404040404040404040404040404040"
	to   = "r:5000/app:latest-41@sha256:4141414141414141414141414141414141414141414141414141414141414141"
)

func promoted() record.Record {
	return record.Record{
		Pipeline: record.Production, App: "app", Namespace: "shop", Deployment: "web", Build: "https://jenkins/job/app/87/", Began: began,
		Ended: after(100), Outcome: record.Done, Now: "production runs latest-41", Image: to, PreviousImage: from,
		Migration: &record.Migration{PlanID: "ab12", Pending: 1, Applied: []string{"004_x.sql"},
			Plan: "ALTER TABLE users\n  takes ACCESS EXCLUSIVE"},
		Canary: &record.Canary{Weight: 10, Achieved: "11.1", Router: "service", Verdict: "healthy", Course: `{"begin":"2026-11-30T22:00:30Z",
"maxErrorRate":0.05,"looks":[{"at":"2026-11-30T22:01:00Z","canary":{"requests":100,"errors":1,"p95":0.1},
"stable":{"requests":900,"errors":2,"p95":0.2}}]}`},
		Stages: []record.Stage{{Name: "Checkout & Stash", Outcome: "done", Began: began, Ended: after(25)},
			{Name: "Promote", Outcome: "done", Began: after(25), Ended: after(100)}},
		Approvals: []record.Approval{{What: "promotion", By: "ada", At: after(50)}},
	}
}

func TestWhatThePageSays(t *testing.T) {
	for name, test := range map[string]struct {
		change   func(*record.Record)
		headline string
		class    string
		back     []string
		stays    string
	}{
		"promoted": {func(*record.Record) {}, "in production", "good", []string{"prodCanaryPipeline(app: 'app', imageTag: 'latest-40')",
			"deploy-image -n shop deployment/web --undo --image " + to},
			"The migrations of this run stay; the version from before can live with them."},
		"a record from before it named the namespace": {func(r *record.Record) { r.Namespace, r.Deployment = "", "" }, "in production", "good",
			[]string{"prodCanaryPipeline(app: 'app', imageTag: 'latest-40')", "deploy-image -n prod deployment/app --undo --image " + to},
			"The migrations of this run stay; the version from before can live with them."},
		"breaking": {func(r *record.Record) { r.Migration.Breaking = true }, "in production", "good",
			[]string{"prodCanaryPipeline(app: 'app', imageTag: 'latest-40')", "deploy-image -n shop deployment/web --undo --image " + to},
			"The migrations of this run stay, and they break the version from before: it may fail on this database."},
		"a first release": {func(r *record.Record) { r.PreviousImage, r.Migration = "", nil }, "in production", "good",
			[]string{"deploy-image -n shop deployment/web --undo --image " + to}, ""},
		"nothing to do": {func(r *record.Record) { r.PreviousImage = to }, "in production already", "good", nil, ""},
		"failed":        {func(r *record.Record) { r.Outcome = record.Failed }, "failed", "bad", nil, ""},
		"stopped":       {func(r *record.Record) { r.Outcome = record.Stopped }, "stopped", "open", nil, ""},
		"staging": {func(r *record.Record) { r.Pipeline, r.Evidence = record.Staging, []string{"scan", "staging-verified"} },
			"verified in staging", "good", []string{"deploy-image -n shop deployment/web --undo --image " + to},
			"The migrations of this run stay; the version from before can live with them."},
		"a branch": {func(r *record.Record) { r.Pipeline = record.Staging }, "built, and not delivered", "good", nil, ""},
		"odd names": {func(r *record.Record) { r.App, r.Namespace, r.Migration = `a'b`, "x; rm -rf ~", nil }, "in production", "good",
			[]string{`prodCanaryPipeline(app: 'a\'b', imageTag: 'latest-40')`,
				"deploy-image -n 'x; rm -rf ~' deployment/web --undo --image " + to}, ""},
	} {
		r := promoted()
		test.change(&r)
		v := Of(r)
		assert.Equal(t, []string{test.headline, test.class, test.stays}, []string{v.Headline, v.Class, v.Stays()}, name)
		var commands []string
		for _, way := range v.Back {
			commands = append(commands, way.Command)
		}
		assert.Equal(t, test.back, commands, name)
	}
}

func TestTheTimelineIsToScale(t *testing.T) {
	v := Of(promoted())
	require.Len(t, v.Bars, 2)
	assert.InDelta(t, left, v.Bars[0].X, 0.01)
	assert.InDelta(t, (right-left)/4, v.Bars[0].Width, 0.01)
	assert.InDelta(t, right, v.Bars[1].X+v.Bars[1].Width, 0.01)
	assert.Equal(t, []string{"25 s", "1 min 15 s"}, []string{v.Bars[0].Long, v.Bars[1].Long})
	assert.Empty(t, v.Bars[0].Marks)
	assert.Equal(t, []Mark{{left + (right-left)/2, "promotion approved by ada"}}, v.Bars[1].Marks)
	assert.Len(t, v.Charts, 3)
	for d, text := range map[time.Duration]string{-time.Second: "0 s", 3725 * time.Second: "1 h 2 min",
		59600 * time.Millisecond: "1 min 0 s"} {
		assert.Equal(t, text, Long(d))
	}

	odd := promoted() // a clock that was set back, and a canary's course of another version
	odd.Ended, odd.Stages[1].Ended, odd.Canary.Course = began, began.Add(-time.Hour), "{"
	for _, bar := range Of(odd).Bars {
		assert.True(t, bar.X >= left && bar.X <= right && bar.Width > 0, "%v", bar)
	}
	odd.Canary.Course = `{"looks":[{}]}`
	for _, chart := range Of(odd).Charts {
		assert.NotContains(t, chart.Canary+chart.Stable, "NaN")
	}
}

// What a record holds comes from git, registries, pods and people: it is shown as it is, and acts on nothing.
func TestWhatOthersWroteIsText(t *testing.T) {
	const bad = "\x1b[31m\u202e</pre><script>alert(1)</script><a href=x onclick=y>'\""
	r := promoted()
	r.Build, r.Why, r.Now, r.Commits, r.Branch, r.Undone, r.Validation = "javascript:alert(1)", bad, bad, bad, bad, bad, bad
	r.Configuration = "--- a\n+++ b\n-old: " + bad + "\n+new: " + bad
	r.Waived, r.Evidence, r.Warnings, r.Migration.Plan, r.Canary.Verdict = []string{bad}, []string{bad}, []string{bad}, bad, bad
	r.Stages[0].Name, r.Stages[0].Agents = bad, []string{bad}
	r.Approvals[0].By, r.Approvals[0].Comment, r.Refused = bad, bad, []record.Refusal{{By: bad, Why: bad}}
	file := filepath.Join(t.TempDir(), "slipway-release.html")
	require.NoError(t, Write(file, r))
	body, err := os.ReadFile(file)
	require.NoError(t, err)
	text := string(body)
	assert.NotRegexp(t, regexp.MustCompile(`<script|<a href=x|javascript:alert\(1\)"|[\x1b\x{202e}]`), text)
	assert.GreaterOrEqual(t, strings.Count(text, `\x1b[31m\u202e`), 15)
	assert.NotRegexp(t, `(src|href)="?https?://|url\(|@import`, strings.ReplaceAll(text, r.Build, ""), "it loads nothing")
	_, err = os.Stat(strings.TrimSuffix(file, "html") + "css")
	require.NoError(t, err)
}
