//go:build lab

package faults

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/tests/e2e/site"
)

// Alerts and dashboards rot silently: a metric that was renamed is a line that
// is always empty. Each expression is asked of the Prometheus that scrapes the site.
func TestEveryMetricOfTheAlertsAndDashboardsExists(t *testing.T) {
	_, err := site.Command{}.Run(t.Context(), "curl", "-sSf", "http://"+site.App+".prod.svc.cluster.local/users")
	require.NoError(t, err)
	expressions := append(alerts(t), panels(t)...)
	require.Greater(t, len(expressions), 20)
	for _, expression := range expressions {
		prometheus(t, "query", expression)
		var tree any
		require.NoError(t, json.Unmarshal(prometheus(t, "parse_query", expression), &tree))
		metrics := selected(tree)
		require.NotEmpty(t, metrics, expression)
		for _, metric := range metrics {
			var found struct{ Result []any }
			require.NoError(t, json.Unmarshal(prometheus(t, "query", metric), &found))
			assert.NotEmpty(t, found.Result, "nothing is measured as %s, which is asked for in %s", metric, expression)
		}
	}
}

func alerts(t *testing.T) []string {
	t.Helper()
	folder := filepath.Join(prepared.Root, "k8s/monitoring")
	body, err := os.ReadFile(filepath.Join(folder, "prometheus-rule.yaml"))
	require.NoError(t, err)
	var rule monitoring.PrometheusRule
	require.NoError(t, yaml.UnmarshalStrict(body, &rule))
	var expressions []string
	for _, group := range rule.Spec.Groups {
		for _, alert := range group.Rules {
			expressions = append(expressions, alert.Expr.String())
		}
	}
	body, err = os.ReadFile(filepath.Join(folder, "service-monitor.yaml"))
	require.NoError(t, err)
	for _, document := range bytes.Split(body, []byte("\n---\n")) {
		var monitor monitoring.ServiceMonitor
		require.NoError(t, yaml.UnmarshalStrict(document, &monitor))
		require.NotEmpty(t, monitor.Spec.Endpoints)
	}
	return expressions
}

func panels(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(prepared.Root, "k8s/monitoring/dashboards/*.json"))
	require.NoError(t, err)
	kustomization, err := os.ReadFile(filepath.Join(prepared.Root, "k8s/monitoring/kustomization.yaml"))
	require.NoError(t, err)
	var expressions []string
	for _, file := range files {
		assert.Contains(t, string(kustomization), "dashboards/"+filepath.Base(file))
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		var dashboard struct {
			Panels []struct{ Targets []struct{ Expr string } }
		}
		require.NoError(t, json.Unmarshal(body, &dashboard))
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				expressions = append(expressions, strings.NewReplacer("$namespace", "prod", "$__rate_interval", "1m").Replace(target.Expr))
			}
		}
	}
	return expressions
}

// prometheus gives the data of an answer of its API.
func prometheus(t *testing.T, endpoint, query string) json.RawMessage {
	t.Helper()
	response, err := http.Get(os.Getenv("PROMETHEUS_URL") + "/api/v1/" + endpoint + "?query=" + url.QueryEscape(query))
	require.NoError(t, err)
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	require.Equal(t, "success", answer.Status, "%s: %s", query, answer.Error)
	return answer.Data
}

// selected are the metrics that a parsed expression selects by name.
func selected(tree any) []string {
	var names []string
	switch node := tree.(type) {
	case map[string]any:
		if kind := node["type"]; kind == "vectorSelector" || kind == "matrixSelector" {
			return []string{node["name"].(string)}
		}
		for _, child := range node {
			names = append(names, selected(child)...)
		}
	case []any:
		for _, child := range node {
			names = append(names, selected(child)...)
		}
	}
	return names
}
