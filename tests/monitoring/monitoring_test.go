package monitoring

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	grafana "github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const folder = "../../k8s/monitoring"

func files(t *testing.T, patterns ...string) (found []string) {
	t.Helper()
	for _, pattern := range patterns {
		matched, err := filepath.Glob(filepath.Join(folder, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, matched, pattern)
		found = append(found, matched...)
	}
	return found
}

// rules are those of a PrometheusRule, read as promtool check rules reads a file of them.
func rules(t *testing.T, file string) *rulefmt.RuleGroups {
	t.Helper()
	body, err := os.ReadFile(file)
	require.NoError(t, err)
	var object struct{ Spec any }
	require.NoError(t, yaml.Unmarshal(body, &object))
	groups, err := yaml.Marshal(object.Spec)
	require.NoError(t, err)
	read, mistakes := rulefmt.Parse(groups, false, model.UTF8Validation)
	require.Empty(t, mistakes, file)
	return read
}

func TestPrometheusReadsTheRules(t *testing.T) {
	for _, file := range files(t, "prometheus-rule.yaml", "*/prometheus-rule.yaml") {
		alerts := 0
		for _, group := range rules(t, file).Groups {
			for _, rule := range group.Rules {
				alerts++
				assert.NotEmpty(t, rule.Annotations["summary"], "%s of %s", rule.Alert, file)
				assert.NotEmpty(t, rule.Annotations["action"], "%s of %s", rule.Alert, file)
			}
		}
		assert.Positive(t, alerts, file)
	}
}

const records = `{"pipeline":"prodCanaryPipeline","app":"shop","build":"1","began":"2026-10-01T20:00:00Z","ended":"2026-10-01T20:30:00Z",
"outcome":"done","commit":"c","image":"r/a:2@sha256:2","previousImage":"r/a:1@sha256:1"}
{"pipeline":"prodCanaryPipeline","app":"shop","build":"2","began":"2026-10-01T22:00:00Z","ended":"2026-10-01T22:30:00Z","outcome":"failed",
"image":"r/a:3@sha256:3","previousImage":"r/a:2@sha256:2","canary":{"weight":10},"undone":"canary: all traffic is on stable again"}
{"pipeline":"stagingPipeline","app":"shop","build":"3","began":"2026-10-01T18:00:00Z","ended":"2026-10-01T18:30:00Z","outcome":"done","commit":"c"}`

// exposed are the names of what slipway metrics writes for these records.
func exposed(t *testing.T) map[string]bool {
	t.Helper()
	directory := t.TempDir()
	for i, body := range strings.Split(strings.ReplaceAll(records, "}\n{", "}\x00{"), "\x00") {
		require.NoError(t, os.WriteFile(filepath.Join(directory, fmt.Sprintf("slipway-record-%d.json", i)), []byte(body), 0o600))
	}
	command := exec.CommandContext(t.Context(), "../../bin/slipway", "metrics", "--output", "prometheus", "--from", "2026-10-01", "--to",
		"2026-10-02", directory)
	body, err := command.Output()
	require.NoError(t, err, "make build makes bin/slipway")
	textParser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := textParser.TextToMetricFamilies(bytes.NewReader(body))
	require.NoError(t, err)
	names := map[string]bool{}
	for name := range families {
		names[name] = true
	}
	return names
}

// What the demo checks against a running Prometheus: http_requests_total, up and the others of the service, the pods and PostgreSQL.
var elsewhere = regexp.MustCompile(`^(http_|up$|app_|pg_|process_|container_|kube_|scrape_)`)

// queries are the expressions of a dashboard or a file of rules, with Grafana's variables replaced.
func queries(text string) []string {
	text = strings.NewReplacer("$__rate_interval", "1m", "$app", "shop", "$namespace", "prod").Replace(text)
	var found []string
	for _, match := range regexp.MustCompile(`"expr": "((?:[^"\\]|\\.)*)"`).FindAllStringSubmatch(text, -1) {
		found = append(found, strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(match[1]))
	}
	return found
}

// Grafana's own types take each dashboard, without a field that they do not know; Prometheus' own parser takes each query, and it
// asks for what is written.
func TestGrafanaReadsTheDashboards(t *testing.T) {
	cog.NewRuntime().RegisterPanelcfgVariant(stat.VariantConfig())
	cog.NewRuntime().RegisterPanelcfgVariant(timeseries.VariantConfig())
	cog.NewRuntime().RegisterDataqueryVariant(grafana.VariantConfig())
	written, used := exposed(t), map[string]bool{}
	see := func(file, query string) {
		expression, err := parser.ParseExpr(query)
		require.NoError(t, err, "%s: %s", file, query)
		parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
			if selector, is := node.(*parser.VectorSelector); is && !elsewhere.MatchString(selector.Name) {
				assert.True(t, written[selector.Name], "%s asks for %s, which nothing writes", file, selector.Name)
				used[selector.Name] = true
			}
			return nil
		})
	}
	for _, file := range files(t, "dashboards/*.json", "delivery/*.json") {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		var read dashboard.Dashboard
		// Of a dashboard that is good it gives a list of no mistakes, which as an error is not nil.
		var mistakes cog.BuildErrors
		if err := read.UnmarshalJSONStrict(body); !errors.As(err, &mistakes) {
			require.NoError(t, err, file)
		}
		assert.Empty(t, mistakes, file)
		require.NoError(t, read.Validate(), file)
		assert.NotEmpty(t, read.Panels, file)
		for _, query := range queries(string(body)) {
			see(file, query)
		}
	}
	for _, group := range rules(t, filepath.Join(folder, "delivery/prometheus-rule.yaml")).Groups {
		for _, rule := range group.Rules {
			see("delivery/prometheus-rule.yaml", rule.Expr)
		}
	}
	for name := range written {
		assert.True(t, used[name] || name == "slipway_deployment_days" || name == "slipway_metrics_period_seconds", "nothing shows %s", name)
	}
}

// Each alert of delivery against values on both sides of its limit.
func TestTheAlertsOfDelivery(t *testing.T) {
	for _, test := range []struct {
		alert, values string
		fires         bool
	}{
		{"ManyChangesFail", "slipway_change_failure_ratio{app=\"a\"} 0.31\nslipway_changes{app=\"a\"} 4", true},
		{"ManyChangesFail", "slipway_change_failure_ratio{app=\"a\"} 0.3\nslipway_changes{app=\"a\"} 4", false},
		{"ManyChangesFail", "slipway_change_failure_ratio{app=\"a\"} 1\nslipway_changes{app=\"a\"} 3", false},
		{"ManyChangesFail", "slipway_change_failure_ratio{app=\"a\"} 1\nslipway_changes{app=\"b\"} 9", false},
		{"RestoringTakesLong", "slipway_time_to_restore_median_seconds{app=\"a\"} 3601", true},
		{"RestoringTakesLong", "slipway_time_to_restore_median_seconds{app=\"a\"} 3600", false},
		{"DeliveryMetricsAreOld", "slipway_metrics_end_timestamp_seconds -86401", true},
		{"DeliveryMetricsAreOld", "slipway_metrics_end_timestamp_seconds 0", false},
	} {
		expression := ""
		for _, group := range rules(t, filepath.Join(folder, "delivery/prometheus-rule.yaml")).Groups {
			for _, rule := range group.Rules {
				if rule.Alert == test.alert {
					expression = rule.Expr
				}
			}
		}
		require.NotEmpty(t, expression, test.alert)
		engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
		storage := promqltest.LoadedStorage(t, "load 1m\n  "+strings.ReplaceAll(test.values, "\n", "\n  ")+"\n")
		query, err := engine.NewInstantQuery(t.Context(), storage, nil, expression, time.Unix(0, 0))
		require.NoError(t, err)
		result := query.Exec(t.Context())
		require.NoError(t, result.Err)
		vector, err := result.Vector()
		require.NoError(t, err)
		assert.Equal(t, test.fires, len(vector) == 1, "%s: %s: %v", test.alert, test.values, promql.Vector(vector))
		query.Close()
		require.NoError(t, storage.Close())
	}
}
