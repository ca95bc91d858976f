package story

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

// monitored checks that each alert and each dashboard asks for what is measured:
// a metric that was renamed is a line that is always empty, and nobody notices.
func (t *teller) monitored() error {
	folder := filepath.Join(t.site.Root, "k8s/monitoring")
	asked, err := alerts(folder)
	if err != nil {
		return err
	}
	shown, err := panels(folder)
	if err != nil {
		return err
	}
	missing := map[string]bool{}
	for _, expression := range append(asked, shown...) {
		if err := prometheus("query", expression, new(any)); err != nil {
			return err
		}
		metrics, err := selected(expression)
		if err != nil {
			return err
		}
		for _, metric := range metrics {
			var found struct{ Result []any }
			if err := prometheus("query", metric, &found); err != nil {
				return err
			}
			if len(found.Result) == 0 {
				missing[metric] = true
			}
		}
	}
	t.check(len(asked) > 0 && len(shown) > 0 && len(missing) == 0,
		"%d alerts and %d lines of dashboards ask for what is measured (missing: %v)", len(asked), len(shown), missing)
	return nil
}

// alerts are the rules' expressions. The manifests are read as the operator's own types.
func alerts(folder string) ([]string, error) {
	body, err := os.ReadFile(filepath.Join(folder, "prometheus-rule.yaml"))
	if err != nil {
		return nil, err
	}
	var rule monitoring.PrometheusRule
	if err := yaml.UnmarshalStrict(body, &rule); err != nil {
		return nil, fmt.Errorf("prometheus-rule.yaml: %w", err)
	}
	var expressions []string
	for _, group := range rule.Spec.Groups {
		for _, alert := range group.Rules {
			expressions = append(expressions, alert.Expr.String())
		}
	}
	if body, err = os.ReadFile(filepath.Join(folder, "service-monitor.yaml")); err != nil {
		return nil, err
	}
	for _, document := range bytes.Split(body, []byte("\n---\n")) {
		var monitor monitoring.ServiceMonitor
		if err := yaml.UnmarshalStrict(document, &monitor); err != nil {
			return nil, fmt.Errorf("service-monitor.yaml: %w", err)
		}
	}
	return expressions, nil
}

func panels(folder string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "dashboards/*.json"))
	if err != nil {
		return nil, err
	}
	var expressions []string
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var dashboard struct {
			Panels []struct{ Targets []struct{ Expr string } }
		}
		if err := json.Unmarshal(body, &dashboard); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				expressions = append(expressions, strings.NewReplacer("$namespace", "prod", "$__rate_interval", "1m").Replace(target.Expr))
			}
		}
	}
	return expressions, nil
}

// prometheus asks the site's Prometheus, and reads the answer's data.
func prometheus(endpoint, query string, data any) error {
	response, err := http.Get(os.Getenv("PROMETHEUS_URL") + "/api/v1/" + endpoint + "?query=" + url.QueryEscape(query))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Error string
		Data  json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("what Prometheus answers to %s: %w", query, err)
	}
	if answer.Error != "" {
		return fmt.Errorf("the query %s is refused: %s", query, answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

// selected are the metrics that an expression selects by name, as Prometheus itself reads it.
func selected(expression string) ([]string, error) {
	var tree any
	if err := prometheus("parse_query", expression, &tree); err != nil {
		return nil, err
	}
	names := selectors(tree)
	if len(names) == 0 {
		return nil, errors.New("no metric is asked for in " + expression)
	}
	return names, nil
}

func selectors(tree any) []string {
	var names []string
	switch node := tree.(type) {
	case map[string]any:
		if kind := node["type"]; kind == "vectorSelector" || kind == "matrixSelector" {
			return []string{node["name"].(string)}
		}
		for _, child := range node {
			names = append(names, selectors(child)...)
		}
	case []any:
		for _, child := range node {
			names = append(names, selectors(child)...)
		}
	}
	return names
}
