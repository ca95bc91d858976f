package check

import (
	"context"

	"regexp"
	"slices"
	"strings"
	"time"

	"slipway.dev/slipway/helpers/internal/canary"
)

var prometheusChecks = []Check{
	{"prometheus-reachable", Prometheus, "Prometheus answers", "a canary is judged by its pods alone", prometheusAnswers},
	{"prometheus-clock", Prometheus, "its clock and this machine's agree", "an analysis looks at the wrong minutes",
		onSeen(func(_ *Site, seen canary.Seen) Finding { return clockOf(seen.Ahead, "Prometheus", "its server") })},
	{"prometheus-metric", Prometheus, "it has the counter of requests (--metric)",
		"no request is counted: every canary ends as inconclusive", onSeen(metricSeen)},
	{"prometheus-labels", Prometheus, "the counter has the labels of --selector and --errors",
		"the versions, or the requests that failed, cannot be told apart", onSeen(labelsSeen)},
	{"prometheus-versions", Prometheus, "the counter has series of the stable version",
		"there is nothing to compare a canary with", onSeen(versionsSeen)},
	{"prometheus-interval", Prometheus, "it scrapes at least twice in an interval of the analysis",
		"a look sees no new request, and the analysis is inconclusive", onSeen(intervalSeen)},
	{"prometheus-histogram", Prometheus, "the durations of the stable version are measured (--histogram)",
		"a canary that is slow is not noticed", onSeen(histogramSeen)},
	{"prometheus-targets", Prometheus, "every target of the namespace can be scraped", "requests of these pods are not counted",
		onSeen(targetsSeen)},
}

// seen asks Prometheus once.
func (s *Site) lookAt(ctx context.Context) (canary.Seen, error) {
	return s.seen.get(ctx, s.limit, func(ctx context.Context) (canary.Seen, error) {
		source := *s.Source
		if err := source.Connect(s.Namespace); err != nil {
			return canary.Seen{}, err
		}
		return source.Examine(ctx, s.Names.Stable)
	})
}

func prometheusAnswers(ctx context.Context, s *Site) Finding {
	if _, err := s.lookAt(ctx); err != nil {
		return unreachable(err)
	}
	return ok("at %s", s.Source.Address)
}

func onSeen(judge func(*Site, canary.Seen) Finding) func(context.Context, *Site) Finding {
	return func(ctx context.Context, s *Site) Finding {
		seen, err := s.lookAt(ctx)
		if err != nil {
			return skipped("Prometheus does not answer: prometheus-reachable")
		}
		return judge(s, seen)
	}
}

func metricSeen(s *Site, seen canary.Seen) Finding {
	if seen.Series == 0 {
		return missing("there is no series of %s", s.Source.Metric).
			with("have the pods scraped (annotation prometheus.io/scrape, or k8s/monitoring), or name the counter: --metric")
	}
	return ok("%s has %d series", s.Source.Metric, seen.Series)
}

// matched are the names of the labels in matchers such as status=~"5..".
var matched = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)\s*["'` + "`]")

func labelsOf(matchers ...string) (names []string) {
	for _, text := range matchers {
		for _, match := range matched.FindAllStringSubmatch(text, -1) {
			names = append(names, match[1])
		}
	}
	return names
}

func labelsSeen(s *Site, seen canary.Seen) Finding {
	if seen.Series == 0 {
		return skipped("there is no series: prometheus-metric")
	}
	wanted := labelsOf(s.Source.Selector, s.Source.Errors)
	lacking := slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return slices.Contains(seen.Labels, name) })
	if len(lacking) > 0 {
		return missing("%s has no label %s; it has %s", s.Source.Metric, all(lacking), strings.Join(seen.Labels, ", ")).
			with("add it in relabel_configs, or say which labels there are: --selector, --errors")
	}
	return ok("%s", strings.Join(wanted, ", "))
}

func versionsSeen(s *Site, seen canary.Seen) Finding {
	switch {
	case seen.Series == 0:
		return skipped("there is no series: prometheus-metric")
	case seen.Stable > 0:
		return ok("%d series of %s", seen.Stable, s.Names.Stable)
	case labelsSeen(s, seen).State != OK:
		return skipped("the labels are not there: prometheus-labels")
	}
	return missing("no series of %s is of deployment/%s in %s", s.Source.Metric, s.Names.Stable, s.Namespace).
		with("compare --selector with the labels of the series: %s", strings.Join(seen.Labels, ", "))
}

func intervalSeen(s *Site, seen canary.Seen) Finding { return intervalOf(seen.Every, s.Interval) }

// intervalOf judges by the time between two samples, and between two looks of the analysis.
func intervalOf(every, look time.Duration) Finding {
	switch {
	case every == 0:
		return skipped("there are no two samples of the stable version")
	case every*2 > look:
		return missing("it scrapes every %s, and the analysis looks every %s", every, look).
			with("set scrape_interval to at most %s, or give the analysis a longer --interval", look/2)
	}
	return ok("it scrapes every %s", every)
}

func histogramSeen(s *Site, seen canary.Seen) Finding {
	switch {
	case seen.Stable == 0:
		return skipped("there is no series of the stable version")
	case seen.Durations == 0:
		return warning("there is no series of %s of deployment/%s", s.Source.Histogram, s.Names.Stable).
			with("have the service measure durations, or name the histogram: --histogram")
	}
	return ok("%s", s.Source.Histogram)
}

func targetsSeen(s *Site, seen canary.Seen) Finding {
	if len(seen.Down) > 0 {
		return warning("%s of %s: %s", counted(len(seen.Down), "target"), s.Namespace, all(seen.Down)).
			with("look at %s/targets", strings.TrimRight(s.Source.Address, "/"))
	}
	return ok("in %s", s.Namespace)
}
