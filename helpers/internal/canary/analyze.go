package canary

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	prometheus "github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// AnalysisOptions say where to look, how often, and for how long.
type AnalysisOptions struct {
	Prometheus string // its address
	Interval   time.Duration
	Duration   time.Duration
	Criteria   Criteria // Looks is filled in
	Metric     string   // the counter of requests, with a label status
	Histogram  string   // of their durations, in seconds
	Show       func(now time.Time, look Look)
}

// Look is one comparison.
type Look struct {
	At        time.Time `json:"at"`
	Canary    Sample    `json:"canary"`
	Stable    Sample    `json:"stable"`
	P         float64   `json:"p"`
	Judgement Judgement `json:"judgement"`
	Why       string    `json:"why"`
}

// Analysis is what analyze answers.
type Analysis struct {
	App     string    `json:"app"`
	Verdict Judgement `json:"verdict"`
	Why     string    `json:"why"`
	Looks   []Look    `json:"looks"`
}

// Text tells it in one sentence with its numbers.
func (a Analysis) Text(out io.Writer) error {
	_, err := fmt.Fprintln(out, a.Sentence())
	return err
}

// Sentence is the verdict with its numbers.
func (a Analysis) Sentence() string {
	if len(a.Looks) == 0 {
		return fmt.Sprintf("canary %s: %s", a.Verdict, a.Why)
	}
	last := a.Looks[len(a.Looks)-1]
	return fmt.Sprintf("canary %s: %s: %.0f of %.0f requests failed (%.2f %%), stable %.0f of %.0f (%.2f %%), p=%.2g", a.Verdict, a.Why,
		last.Canary.Errors, last.Canary.Requests, 100*last.Canary.Rate(), last.Stable.Errors, last.Stable.Requests, 100*last.Stable.Rate(), last.P)
}

// Env tells it to a pipeline.
func (a Analysis) Env() []slipway.Pair {
	return []slipway.Pair{{Key: "VERDICT", Value: string(a.Verdict)}, {Key: "WHY", Value: a.Why}, {Key: "SUMMARY", Value: a.Sentence()}}
}

// Analyze looks at both versions again and again over one growing window, and
// ends at the first look that says unhealthy, or at the last.
func (t *Traffic) Analyze(ctx context.Context, options AnalysisOptions) (Analysis, error) {
	analysis := Analysis{App: t.names.App, Verdict: Inconclusive, Why: "nothing was measured", Looks: []Look{}}
	client, err := prometheus.NewClient(prometheus.Config{Address: options.Prometheus})
	if err != nil {
		return analysis, slipway.Usagef("--prometheus %q is no address", options.Prometheus).Because(err)
	}
	api := prometheusv1.NewAPI(client)
	options.Criteria.Looks = max(1, int(options.Duration/options.Interval))
	restarts, err := t.restarts(ctx)
	if err != nil {
		return analysis, err
	}
	begin := time.Now()
	ticker := time.NewTicker(options.Interval)
	defer ticker.Stop()
	var lastErr error
	for look := 1; look <= options.Criteria.Looks; look++ {
		select {
		case <-ctx.Done():
			return analysis, slipway.Errorf(slipway.Unknown, "stopped before the canary was judged").Next("undo it: canary-weight abort")
		case <-ticker.C:
		}
		now := time.Now()
		crashed, err := t.restarts(ctx)
		if err == nil && crashed > restarts {
			analysis.Verdict, analysis.Why = Unhealthy, fmt.Sprintf("its containers restarted %d times", crashed-restarts)
			return analysis, t.verdict(analysis)
		}
		seen, err := t.look(ctx, api, options, now, now.Sub(begin))
		if err != nil {
			lastErr = err
			analysis.Verdict, analysis.Why = Inconclusive, "Prometheus did not answer as it should"
			continue
		}
		lastErr = nil
		seen.Judgement, seen.Why, seen.P = Judge(seen.Canary, seen.Stable, options.Criteria, look == options.Criteria.Looks)
		analysis.Looks = append(analysis.Looks, seen)
		analysis.Verdict, analysis.Why = seen.Judgement, seen.Why
		if options.Show != nil {
			options.Show(now, seen)
		}
		if seen.Judgement == Unhealthy {
			break
		}
	}
	if lastErr != nil {
		return analysis, slipway.Errorf(slipway.Unknown, "the canary could not be judged: %s", analysis.Why).Because(lastErr).Next("look at %s, and at what it scrapes", options.Prometheus)
	}
	return analysis, t.verdict(analysis)
}

func (t *Traffic) verdict(analysis Analysis) error {
	switch analysis.Verdict {
	case Healthy:
		return nil
	case Unhealthy:
		return slipway.Errorf(slipway.No, "%s", analysis.Sentence()).Next("undo it: canary-weight abort; its logs: kubectl logs -n %s deployment/%s", t.cluster.Namespace, t.names.Canary)
	default:
		return slipway.Errorf(slipway.Unknown, "%s", analysis.Sentence()).Next("give it more traffic or more time, or lower --min-requests")
	}
}

// restarts are those of the canary's pods.
func (t *Traffic) restarts(ctx context.Context) (int32, error) {
	selector, err := metav1.LabelSelectorAsSelector(t.canary.Spec.Selector)
	if err != nil {
		return 0, err
	}
	pods, err := t.cluster.Core().Pods(t.cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return 0, kube.Explain(err, "looking for restarts of the canary")
	}
	var sum int32
	for _, pod := range pods.Items {
		for _, status := range pod.Status.ContainerStatuses {
			sum += status.RestartCount
		}
	}
	return sum, nil
}

func (t *Traffic) look(ctx context.Context, api prometheusv1.API, options AnalysisOptions, now time.Time, window time.Duration) (Look, error) {
	seen := Look{At: now}
	for _, version := range []struct {
		deployment string
		sample     *Sample
	}{{t.names.Canary, &seen.Canary}, {t.names.Stable, &seen.Stable}} {
		matchers := fmt.Sprintf(`namespace=%q,app=%q`, t.cluster.Namespace, version.deployment)
		seconds := max(int(window.Seconds()), 2)
		for _, ask := range []struct {
			query string
			into  *float64
		}{
			// The numerator is empty where nothing failed, and the denominator where all did not: each is asked for alone.
			{fmt.Sprintf(`sum(increase(%s{%s}[%ds])) or vector(0)`, options.Metric, matchers, seconds), &version.sample.Requests},
			{fmt.Sprintf(`sum(increase(%s{%s,status=~"5.."}[%ds])) or vector(0)`, options.Metric, matchers, seconds), &version.sample.Errors},
			{fmt.Sprintf(`histogram_quantile(0.95, sum by (le) (rate(%s_bucket{%s}[%ds]))) or vector(0)`, options.Histogram, matchers, seconds), &version.sample.P95},
		} {
			value, err := one(ctx, api, ask.query, now)
			if err != nil {
				return seen, err
			}
			*ask.into = value
		}
	}
	return seen, nil
}

// one asks for exactly one number. Several series are an error, not "the last one".
func one(ctx context.Context, api prometheusv1.API, query string, now time.Time) (float64, error) {
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	value, warnings, _, err := api.Query(limited, query, now)
	if err != nil {
		return 0, fmt.Errorf("asking Prometheus for %s: %w", query, err)
	}
	if len(warnings) > 0 {
		return 0, fmt.Errorf("asking Prometheus for %s: %s", query, strings.Join(warnings, "; "))
	}
	vector, ok := value.(model.Vector)
	if !ok || len(vector) != 1 {
		return 0, fmt.Errorf("prometheus answers %s with %d series, not one", query, len(vector))
	}
	if number := float64(vector[0].Value); !math.IsNaN(number) && !math.IsInf(number, 0) {
		return number, nil
	}
	return 0, nil
}
