package canary

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	prometheus "github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Source is where the numbers come from.
type Source struct {
	Address   string // of Prometheus
	Metric    string // the counter of requests
	Errors    string // label matchers of those that failed, such as status=~"5.."
	Histogram string // of their durations in seconds, without _bucket
	Selector  string // label matchers of one version, with $namespace and $deployment
	namespace string
	api       prometheusv1.API
}

// Connect checks the address; nothing is asked before the first use.
func (s *Source) Connect(namespace string) error {
	client, err := prometheus.NewClient(prometheus.Config{Address: s.Address})
	if err != nil || !strings.Contains(s.Address, "://") {
		return slipway.Usagef("--prometheus is no address").Next("give it with its scheme: http://HOST:9090")
	}
	s.api, s.namespace = prometheusv1.NewAPI(client), namespace
	return nil
}

func (s *Source) matchers(deployment string) string { return s.fill(s.Selector, deployment, 0) }

func (s *Source) fill(template, deployment string, window time.Duration) string {
	return os.Expand(template, func(name string) string {
		switch name {
		case "namespace":
			return s.namespace
		case "deployment":
			return deployment
		case "window":
			return fmt.Sprintf("%ds", int(math.Ceil(window.Seconds())))
		}
		return "$" + name
	})
}

// ask sends one query. Warnings are faults: a part of the answer may be missing.
func (s *Source) ask(ctx context.Context, query string, at time.Time) (model.Value, error) {
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	value, warnings, _, err := s.api.Query(limited, query, at)
	if err != nil {
		var known *prometheusv1.Error
		if errors.As(err, &known) && (known.Type == prometheusv1.ErrBadResponse || known.Type == prometheusv1.ErrClient) {
			return nil, slipway.Usagef("what answers at --prometheus is no Prometheus").
				Because(errors.New(strings.TrimSpace(err.Error()))).
				Next("see what it is: a login page or a proxy; name Prometheus itself")
		}
		if errors.As(err, &known) && known.Type == prometheusv1.ErrBadData {
			return nil, slipway.Usagef("prometheus does not understand %s", query).Because(err)
		}
		return nil, fmt.Errorf("asking Prometheus for %s: %w", query, err)
	}
	if len(warnings) > 0 {
		return nil, fmt.Errorf("asking Prometheus for %s: %s", query, strings.Join(warnings, "; "))
	}
	return value, nil
}

// now is Prometheus' own time, so that a wrong clock here does no harm.
func (s *Source) now(ctx context.Context) (time.Time, error) {
	value, err := s.ask(ctx, "time()", time.Time{})
	if err != nil {
		return time.Time{}, err
	}
	scalar, ok := value.(*model.Scalar)
	if !ok {
		return time.Time{}, fmt.Errorf("prometheus answers time() with a %T", value)
	}
	return time.UnixMilli(int64(float64(scalar.Value) * 1000)), nil
}

// lookback is how long before the window a counter's last value is looked for.
const lookback = 5 * time.Minute

// counters asks for the raw samples of a counter over the window and before it.
func (s *Source) counters(ctx context.Context, metric, matchers string, at time.Time, window time.Duration) (model.Matrix, error) {
	query := fmt.Sprintf("%s{%s}[%ds]", metric, matchers, int(math.Ceil((window + lookback).Seconds())))
	value, err := s.ask(ctx, query, at)
	if err != nil {
		return nil, err
	}
	matrix, ok := value.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("prometheus answers %s with a %T", query, value)
	}
	return matrix, nil
}

// requests counts one version's requests over a window that ends at the instant.
func (s *Source) requests(ctx context.Context, deployment string, at time.Time, window time.Duration) (float64, error) {
	matrix, err := s.counters(ctx, s.Metric, s.matchers(deployment), at, window)
	if err != nil {
		return 0, unreachable(err)
	}
	count, err := increase(matrix, at.Add(-window))
	return count, unreachable(err)
}

func unreachable(err error) error {
	var known *slipway.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return slipway.Errorf(slipway.Unknown, "prometheus did not answer as it should").
		Because(err).
		Next("look whether it is up, and at what it scrapes")
}

// increase is by how much the counters grew since begin, exactly: neither
// extrapolated, as PromQL's increase is, nor blind to a series' first value.
//
//   - A value that is lower than the one before begins again at 0: a restart.
//   - A series that is new on a target that was scraped before began at 0: the
//     first failure makes a series that starts with 1.
//   - On a target that is new itself nobody saw the beginning: it counts from its
//     first sample, requests and failures alike.
//   - A value that is no number is an error.
func increase(matrix model.Matrix, begin time.Time) (float64, error) {
	return increaseOf(matrix, matrix, begin)
}

// increaseOf is the increase of some of a target's series; all of them tell since when it is scraped.
func increaseOf(matrix, all model.Matrix, begin time.Time) (float64, error) {
	from := model.TimeFromUnixNano(begin.UnixNano())
	target := func(m model.Metric) string {
		return string(m["job"]) + "\x00" + string(m["instance"]) + "\x00" + string(m["pod"])
	}
	first := map[string]model.Time{}
	for _, series := range all {
		for _, sample := range series.Values[:min(1, len(series.Values))] {
			key := target(series.Metric)
			if known, there := first[key]; !there || sample.Timestamp.Before(known) {
				first[key] = sample.Timestamp
			}
		}
	}
	total := 0.0
	for _, series := range matrix {
		last, known := 0.0, false
		for _, sample := range series.Values {
			value := float64(sample.Value)
			if math.IsNaN(value) || math.IsInf(value, 0) {
				return 0, fmt.Errorf("the counter %s has a value that is no number", series.Metric)
			}
			switch {
			case sample.Timestamp.Before(from):
			case !known && sample.Timestamp == first[target(series.Metric)]:
			case !known, value < last:
				total += value
			default:
				total += value - last
			}
			last, known = value, true
		}
	}
	return total, nil
}

// quantile is the 95th percentile of a version's durations in seconds, from a
// native histogram or else a classic one; 0 where nothing was measured.
func (s *Source) quantile(ctx context.Context, deployment string, at time.Time, window time.Duration) (float64, error) {
	seconds := max(int(math.Ceil(window.Seconds())), 2)
	for _, query := range []string{
		fmt.Sprintf("histogram_quantile(0.95, sum by (le) (rate(%s_bucket{%s}[%ds])))", s.Histogram, s.matchers(deployment), seconds),
		fmt.Sprintf("histogram_quantile(0.95, sum(rate(%s{%s}[%ds])))", s.Histogram, s.matchers(deployment), seconds),
	} {
		value, err := s.ask(ctx, query, at)
		if err != nil {
			return 0, err
		}
		if number, there, err := one(query, value); there || err != nil {
			return number, err
		}
	}
	return 0, nil
}

// one is exactly one number. Several series are an error, not "the last one"; a
// value that is no number is nothing.
func one(query string, value model.Value) (float64, bool, error) {
	if scalar, ok := value.(*model.Scalar); ok {
		return float64(scalar.Value), !math.IsNaN(float64(scalar.Value)), nil
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return 0, false, slipway.Usagef("%s is answered with a %T, and not with one number", query, value)
	}
	if len(vector) > 1 {
		return 0, false, slipway.Usagef("%s is answered with %d series where one number is needed", query, len(vector)).
			Next("sum it, or choose one by its labels")
	}
	if len(vector) == 0 || math.IsNaN(float64(vector[0].Value)) || math.IsInf(float64(vector[0].Value), 0) {
		return 0, false, nil
	}
	return float64(vector[0].Value), true, nil
}
