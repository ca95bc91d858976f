package canary

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

func TestIncrease(t *testing.T) {
	begin := time.Unix(1000, 0)
	series := func(pod, status string, samples ...float64) *model.SampleStream {
		s := &model.SampleStream{Metric: model.Metric{"pod": model.LabelValue(pod), "status": model.LabelValue(status)}}
		for i := 0; i+1 < len(samples); i += 2 {
			s.Values = append(s.Values, model.SamplePair{Timestamp: model.TimeFromUnix(int64(samples[i])), Value: model.SampleValue(samples[i+1])})
		}
		return s
	}
	for name, test := range map[string]struct {
		matrix model.Matrix
		want   float64
	}{
		"nothing":                          {nil, 0},
		"from the last value before":       {model.Matrix{series("a", "200", 990, 10, 1010, 15, 1020, 18)}, 8},
		"constant":                         {model.Matrix{series("a", "200", 990, 10, 1010, 10)}, 0},
		"a restart begins at 0":            {model.Matrix{series("a", "200", 990, 10, 1010, 15, 1020, 3, 1030, 4)}, 9},
		"the first failure makes a series": {model.Matrix{series("a", "200", 990, 10, 1010, 20), series("a", "500", 1010, 1, 1020, 4)}, 14},
		"a new target from its first":      {model.Matrix{series("b", "200", 1010, 100, 1020, 130)}, 30},
		"a new target's later series":      {model.Matrix{series("b", "200", 1010, 100, 1020, 130), series("b", "500", 1020, 2)}, 32},
		"only before":                      {model.Matrix{series("a", "200", 900, 1, 990, 10)}, 0},
	} {
		got, err := increase(test.matrix, begin)
		require.NoError(t, err, name)
		assert.Equal(t, test.want, got, name)
	}
	_, err := increase(model.Matrix{series("a", "200", 1010, math.NaN())}, begin)
	assert.ErrorContains(t, err, "no number")
	failed := model.Matrix{series("b", "500", 1020, 2)}
	got, err := increaseOf(failed, model.Matrix{series("b", "200", 1010, 100, 1020, 130), failed[0]}, begin)
	require.NoError(t, err)
	assert.Equal(t, 2.0, got, "all of a target's series tell since when it is seen")
}

func TestOneNumber(t *testing.T) {
	sample := func(values ...float64) model.Vector {
		var vector model.Vector
		for _, value := range values {
			vector = append(vector, &model.Sample{Value: model.SampleValue(value)})
		}
		return vector
	}
	number, there, err := one("q", sample(3))
	assert.Equal(t, []any{3.0, true, nil}, []any{number, there, err})
	for _, nothing := range []model.Vector{sample(), sample(math.NaN()), sample(math.Inf(1))} {
		_, there, err = one("q", nothing)
		assert.False(t, there)
		assert.NoError(t, err)
	}
	_, _, err = one("q", sample(1, 2))
	assert.ErrorContains(t, err, "2 series where one number is needed")
}

func TestTheMeasuredShare(t *testing.T) {
	code := func(canary, stable float64) int {
		if err := measured(canary, stable, time.Minute).judge(10, 2); err != nil {
			return slipway.AsError(err).Code
		}
		return slipway.Done
	}
	assert.Equal(t, slipway.Done, code(1000, 9000))
	assert.Equal(t, slipway.No, code(2000, 8000))
	assert.Equal(t, slipway.No, code(0, 10000))
	assert.Equal(t, slipway.Unknown, code(0, 0))
	assert.Equal(t, slipway.Unknown, code(3, 17), "too few to tell")
}

func TestTheReportIsWholeByItself(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.html")
	begin := time.Unix(1700000000, 0)
	analysis := Analysis{App: "app<b>", Namespace: "prod", Verdict: Unhealthy, Why: "it fails", Begin: begin, Criteria: standard}
	for look := 1; look <= 4; look++ {
		n := float64(look)
		analysis.Looks = append(
			analysis.Looks,
			Look{
				At:     begin.Add(time.Duration(look) * time.Minute),
				Canary: Sample{100 * n, 5 * n, 0.2},
				Stable: Sample{900 * n, n, 0.1},
				P:      0.01,
				Why:    "the analysis goes on",
			},
		)
	}
	analysis.LastWords = &kube.Words{Pod: "app-canary-1", Container: "app", Lines: []string{"Traceback", "ValueError: <none>"}}
	require.NoError(t, WriteReport(file, analysis))
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, needed := range []string{"UNHEALTHY", "app&lt;b&gt;", "<polyline", "prefers-color-scheme: dark", "@media print", "20 " +
		"(5.00 %)", "last lines of container app of app-canary-1", "<pre>Traceback\nValueError: &lt;none&gt;\n</pre>"} {
		assert.Contains(t, string(page), needed)
	}
	assert.NotRegexp(t, regexp.MustCompile(`(?i)<script|https?://|src=|@import|url\(`), string(page))
	require.NoError(t, WriteReport(file, Analysis{App: "app", Verdict: Inconclusive, Why: "nothing was measured", Looks: []Look{}}))
	assert.Error(t, WriteReport(filepath.Join(t.TempDir(), "none", "report.html"), analysis))
}
