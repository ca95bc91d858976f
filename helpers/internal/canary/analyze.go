package canary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// AnalysisOptions say where to look, how often, and for how long.
type AnalysisOptions struct {
	Source   *Source
	Interval time.Duration
	Duration time.Duration
	Criteria Criteria          // Looks is filled in
	Queries  map[string]string // by name: PromQL that answers with 0 where the canary is unhealthy
	Show     func(now time.Time, look Look)
}

// Look is one comparison over everything since the beginning.
type Look struct {
	At        time.Time `json:"at"`
	Canary    Sample    `json:"canary"`
	Stable    Sample    `json:"stable"`
	P         float64   `json:"p"` // Fisher's
	Judgement Judgement `json:"judgement"`
	Why       string    `json:"why"`
}

// Analysis is what analyze answers.
type Analysis struct {
	App       string      `json:"app"`
	Namespace string      `json:"namespace"`
	Images    Versions    `json:"images"`
	Run       string      `json:"run,omitempty"`
	Weight    int         `json:"weight,omitempty"` // asked for, in percent
	Begin     time.Time   `json:"begin"`
	Verdict   Judgement   `json:"verdict"`
	Why       string      `json:"why"`
	Criteria  Criteria    `json:"criteria"`
	Looks     []Look      `json:"looks"`
	Pods      []string    `json:"pods,omitempty"`      // what the canary's pods did, in words
	LastWords *kube.Words `json:"lastWords,omitempty"` // of an unhealthy canary's pod
}

// Versions is one string for each of the two.
type Versions struct {
	Stable string `json:"stable"`
	Canary string `json:"canary"`
}

func (t *Traffic) versions() Versions { return Versions{t.names.Stable, t.names.Canary} }

// Text tells it in one sentence with its numbers, and what an unhealthy canary said last.
func (a Analysis) Text(out io.Writer) error {
	if _, err := fmt.Fprintln(out, a.Sentence()); err != nil {
		return err
	}
	return a.Story(out)
}

// Story tells what an unhealthy canary said last.
func (a Analysis) Story(out io.Writer) error {
	if a.LastWords == nil {
		return nil
	}
	return a.LastWords.Text(out)
}

// Sentence is the verdict with its numbers.
func (a Analysis) Sentence() string {
	if len(a.Looks) == 0 {
		return fmt.Sprintf("canary %s: %s", a.Verdict, a.Why)
	}
	last := a.Looks[len(a.Looks)-1]
	return fmt.Sprintf(
		"canary %s: %s: %.0f of %.0f requests failed (%.2f %%), stable %.0f of %.0f (%.2f %%), p=%.2g",
		a.Verdict,
		a.Why,
		last.Canary.Errors,
		last.Canary.Requests,
		100*last.Canary.Rate(),
		last.Stable.Errors,
		last.Stable.Requests,
		100*last.Stable.Rate(),
		last.P,
	)
}

// Answer tells it to a pipeline.
func (a Analysis) Answer() slipway.Fields {
	return slipway.Fields{"verdict": string(a.Verdict), "why": a.Why, "summary": a.Sentence()}
}

// Analyze looks at both versions again and again over one growing window, and
// ends at the first look that says unhealthy, or at the last. The Analysis is
// whole also with an error, which is nil only for "healthy".
func (t *Traffic) Analyze(ctx context.Context, options AnalysisOptions) (Analysis, error) {
	if t.absent {
		return Analysis{
			App:       t.names.App,
			Namespace: t.cluster.Namespace,
			Verdict:   Inconclusive,
			Why:       "there is no canary",
			Looks:     []Look{},
		}, t.noCanary()
	}
	options.Criteria.Looks = max(1, int(options.Duration/options.Interval))
	analysis := Analysis{
		App:       t.names.App,
		Namespace: t.cluster.Namespace,
		Verdict:   Inconclusive,
		Why:       "nothing was measured",
		Looks:     []Look{},
		Criteria:  options.Criteria,
	}
	for _, d := range []struct {
		into *string
		from []string
	}{{&analysis.Images.Stable, images(t.stable)}, {&analysis.Images.Canary, images(t.canary)}} {
		*d.into = strings.Join(d.from, " ")
	}
	if journal, err := ReadJournal(t.canary.Annotations); err == nil && journal != nil {
		analysis.Run, analysis.Weight = journal.Run, journal.Weight
	}
	var err error
	if analysis.Begin, err = options.Source.now(ctx); err != nil {
		return t.notJudged(ctx, analysis, options, err)
	}
	pods, err := t.watchPods(ctx)
	if err != nil {
		return analysis, err
	}
	if replicas(t.canary) == 0 {
		return t.notJudged(
			ctx,
			analysis,
			options,
			t.nothingToJudge(fmt.Sprintf("deployment/%s is scaled to 0: there is no pod to judge", t.names.Canary)),
		)
	}
	ticker := time.NewTicker(options.Interval)
	defer ticker.Stop()
	var lastErr error
	for look := 1; look <= options.Criteria.Looks; look++ {
		select {
		case <-ctx.Done():
			return t.notJudged(ctx, analysis, options, ctx.Err())
		case <-ticker.C:
		}
		last := look == options.Criteria.Looks
		trouble, gone, err := pods.see(ctx, last)
		if gone != "" {
			return t.notJudged(ctx, analysis, options, t.nothingToJudge(gone))
		}
		if err != nil {
			if lastErr = err; !last {
				continue // the API server is away for a moment
			}
			return t.notJudged(ctx, analysis, options, err)
		}
		analysis.Pods = pods.notes
		seen, err := t.look(ctx, options, analysis.Begin)
		switch {
		case errors.As(err, new(*slipway.Error)):
			return t.notJudged(ctx, analysis, options, err)
		case err != nil:
			lastErr = err
		default:
			lastErr = nil
			seen.Judgement, seen.Why, seen.P = Judge(seen.Canary, seen.Stable, options.Criteria, last)
			if last && seen.Judgement != Unhealthy {
				if err := t.askQueries(ctx, options, &seen); err != nil {
					return t.notJudged(ctx, analysis, options, err)
				}
			}
		}
		if trouble != "" {
			seen.Judgement, seen.Why, lastErr = Unhealthy, trouble, nil
		}
		if lastErr != nil {
			continue
		}
		analysis.Looks = append(analysis.Looks, seen)
		analysis.Verdict, analysis.Why = seen.Judgement, seen.Why
		if options.Show != nil {
			options.Show(time.Now(), seen)
		}
		if seen.Judgement == Unhealthy {
			break
		}
	}
	if lastErr != nil {
		return t.notJudged(ctx, analysis, options, lastErr)
	}
	if analysis.Verdict == Unhealthy {
		analysis.LastWords = pods.lastWords(ctx)
	}
	return analysis, t.verdict(analysis)
}

// nothingToJudge is an answer of its own: no pod is neither well nor ill.
func (t *Traffic) nothingToJudge(why string) error {
	return slipway.Errorf(slipway.Unknown, "the canary could not be judged: %s", why).
		Next("see who changed it: kubectl describe -n %s deployment/%s; then undo it: %s", t.cluster.Namespace, t.names.Canary, t.undoCommand())
}

func (t *Traffic) notJudged(ctx context.Context, analysis Analysis, options AnalysisOptions, err error) (Analysis, error) {
	analysis.Verdict, analysis.Why = Inconclusive, "Prometheus did not answer as it should"
	var known *slipway.Error
	switch {
	case ctx.Err() != nil:
		analysis.Why = "stopped before the end"
		return analysis, slipway.Errorf(slipway.Unknown, "stopped before the canary was judged").Next("undo it: %s", t.undoCommand())
	case errors.As(err, &known):
		analysis.Why = known.Message
		return analysis, err
	}
	return analysis, slipway.Errorf(slipway.Unknown, "the canary could not be judged: %s", analysis.Why).Because(err).
		Next("look at Prometheus, and at what it scrapes")
}

func (t *Traffic) verdict(analysis Analysis) error {
	switch analysis.Verdict {
	case Healthy:
		return nil
	case Unhealthy:
		return slipway.Errorf(slipway.No, "%s", analysis.Sentence()).Next("read what it said last, and undo it: %s", t.undoCommand())
	default:
		return slipway.Errorf(slipway.Unknown, "%s", analysis.Sentence()).Next("give it more traffic or more time, or lower --min-requests")
	}
}

// look compares both versions at one instant of Prometheus' clock.
func (t *Traffic) look(ctx context.Context, options AnalysisOptions, begin time.Time) (Look, error) {
	source := options.Source
	at, err := source.now(ctx)
	if err != nil {
		return Look{}, err
	}
	seen := Look{At: at}
	window := at.Sub(begin)
	keys := map[string]bool{}
	for _, version := range []struct {
		deployment string
		sample     *Sample
	}{{t.names.Canary, &seen.Canary}, {t.names.Stable, &seen.Stable}} {
		matchers := source.matchers(version.deployment)
		all, err := source.counters(ctx, source.Metric, matchers, at, window)
		if err != nil {
			return seen, err
		}
		for _, series := range all {
			if key := series.Metric.String(); keys[key] {
				return seen, slipway.Usagef("the selector gives the same series for both versions: %s", key).Next("tell them apart with --selector")
			} else {
				keys[key] = true
			}
		}
		if version.sample.Requests, err = increase(all, begin); err != nil {
			return seen, err
		}
		failed, err := source.counters(ctx, source.Metric, matchers+","+source.Errors, at, window)
		if err != nil {
			return seen, err
		}
		if version.sample.Errors, err = increaseOf(failed, all, begin); err != nil {
			return seen, err
		}
		if version.sample.P95, err = source.quantile(ctx, version.deployment, at, window); err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// askQueries asks what else must hold. An answer that is no number says nothing.
func (t *Traffic) askQueries(ctx context.Context, options AnalysisOptions, seen *Look) error {
	names := make([]string, 0, len(options.Queries))
	for name := range options.Queries {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		query := options.Source.fill(options.Queries[name], t.names.Canary, options.Duration)
		value, err := options.Source.ask(ctx, query, seen.At)
		if err != nil {
			return err
		}
		number, there, err := one(query, value)
		switch {
		case err != nil:
			return err
		case there && number == 0:
			seen.Judgement, seen.Why = Unhealthy, "the query "+name+" does not hold"
			return nil
		case !there && seen.Judgement == Healthy:
			seen.Judgement, seen.Why = Inconclusive, "the query "+name+" has no answer"
		}
	}
	return nil
}
