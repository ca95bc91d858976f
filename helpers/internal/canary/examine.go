package canary

// What a site's check asks Prometheus, beside what an analysis does.

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"
)

// Seen is what Prometheus knows of a service.
type Seen struct {
	Ahead     time.Duration // by how much its clock is ahead of this machine's
	Series    int           // of the metric, of whatever service
	Labels    []string      // of one of these series
	Stable    int           // of the series, those of the stable version
	Every     time.Duration // between two samples of one of them; 0 where there is none
	Durations int           // series of the histogram, of the stable version
	Down      []string      // targets of the namespace that cannot be scraped
}

// Examine asks about the stable Deployment.
func (s *Source) Examine(ctx context.Context, deployment string) (seen Seen, err error) {
	now, err := s.now(ctx)
	if err != nil {
		return seen, unreachable(err)
	}
	seen.Ahead = time.Until(now)
	if seen.Series, err = s.count(ctx, fmt.Sprintf("count(%s)", s.Metric)); err != nil {
		return seen, err
	}
	one, err := s.vector(ctx, fmt.Sprintf("topk(1, %s)", s.Metric))
	if err != nil {
		return seen, err
	}
	if len(one) > 0 {
		for _, name := range slices.Sorted(maps.Keys(one[0].Metric)) {
			seen.Labels = append(seen.Labels, string(name))
		}
	}
	if seen.Stable, err = s.count(ctx, fmt.Sprintf("count(%s{%s})", s.Metric, s.matchers(deployment))); err != nil {
		return seen, err
	}
	for _, query := range []string{"count(%s_bucket{%s})", "count(%s{%s})"} {
		found, err := s.count(ctx, fmt.Sprintf(query, s.Histogram, s.matchers(deployment)))
		if err != nil {
			return seen, err
		}
		seen.Durations += found
	}
	samples, err := s.counters(ctx, s.Metric, s.matchers(deployment), now, time.Second)
	if err != nil {
		return seen, unreachable(err)
	}
	seen.Every = every(samples)
	down, err := s.vector(ctx, fmt.Sprintf("up{namespace=%q} == 0", s.namespace))
	if err != nil {
		return seen, err
	}
	for _, each := range down {
		seen.Down = append(seen.Down, fmt.Sprintf("%s of job %s", each.Metric["instance"], each.Metric["job"]))
	}
	slices.Sort(seen.Down)
	return seen, nil
}

// every is the median of the times between two samples, over all series.
func every(samples model.Matrix) time.Duration {
	var gaps []time.Duration
	for _, series := range samples {
		for i := 1; i < len(series.Values); i++ {
			gaps = append(gaps, series.Values[i].Timestamp.Sub(series.Values[i-1].Timestamp))
		}
	}
	if len(gaps) == 0 {
		return 0
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

func (s *Source) vector(ctx context.Context, query string) (model.Vector, error) {
	value, err := s.ask(ctx, query, time.Time{})
	if err != nil {
		return nil, unreachable(err)
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, unreachable(fmt.Errorf("prometheus answers %s with a %T", query, value))
	}
	return vector, nil
}

// count is the one number of a query; nothing counts as 0.
func (s *Source) count(ctx context.Context, query string) (int, error) {
	value, err := s.ask(ctx, query, time.Time{})
	if err != nil {
		return 0, unreachable(err)
	}
	number, _, err := one(query, value)
	return int(number), err
}
