// Package metrics computes the four measures of delivery (https://dora.dev/guides/dora-metrics/) of the pipelines' records
// alone. docs/status.md has the definitions.
package metrics

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"slipway.dev/slipway/helpers/internal/record"
)

// Period is what is measured: the production runs that ended at From or later, and before To. Days are those of the zone.
type Period struct {
	From time.Time      `json:"from"`
	To   time.Time      `json:"to"`
	Zone *time.Location `json:"-"`
}

// Report is what was measured.
type Report struct {
	Period
	ZoneName string     `json:"zone"`
	Apps     []Delivery `json:"apps"`
	All      Delivery   `json:"all"`
}

// Delivery is what is measured of one app, or of all.
type Delivery struct {
	App         string    `json:"app"`
	Runs        Runs      `json:"runs"`
	Deployments int       `json:"deployments"` // changes that came to all of production
	Rollbacks   int       `json:"rollbacks"`   // deployments of what had been there before
	Days        int       `json:"days"`        // with a deployment
	PerWeek     float64   `json:"perWeek"`
	Last        time.Time `json:"last"` // the end of the last deployment or rollback; zero where there was none
	LeadTime    Spread    `json:"leadTime"`
	Changes     int       `json:"changes"` // deployments, and changes that failed before they came to all of production
	Failures    Failures  `json:"failures"`
	FailureRate *float64  `json:"changeFailureRate"` // null where there was no change
	Restore     Spread    `json:"timeToRestore"`
}

// Runs are production runs by their outcome.
type Runs struct {
	Done    int `json:"done"`
	Failed  int `json:"failed"`
	Stopped int `json:"stopped"`
}

// Failures are changes that failed, by how that was found.
type Failures struct {
	Canary     int `json:"canary"`     // the run failed while its canary had a share of the requests
	Promotion  int `json:"promotion"`  // the run failed when it changed all of production
	RolledBack int `json:"rolledBack"` // a later run went back to what had been there before
}

func (f Failures) sum() int { return f.Canary + f.Promotion + f.RolledBack }

// Spread is a measured time.
type Spread struct {
	Count   int      `json:"count"`
	Unknown int      `json:"unknown"`       // for which it cannot be told
	Median  *float64 `json:"medianSeconds"` // null where the count is 0
	seconds []float64
}

// Of measures. The records are in the order in which they ended; those outside of the period say what was there before, and what
// became of a change later.
func Of(records []record.Record, period Period) Report {
	report := Report{Period: period, ZoneName: period.Zone.String(), Apps: []Delivery{}}
	byApp := map[string][]record.Record{}
	for _, r := range records {
		byApp[r.App] = append(byApp[r.App], r)
	}
	all := history{days: map[string]bool{}}
	for app, mine := range byApp {
		h := history{Delivery: Delivery{App: app}, days: map[string]bool{}}
		h.measure(mine, period)
		report.Apps = append(report.Apps, h.finish(period))
		all.add(h)
	}
	slices.SortFunc(report.Apps, func(a, b Delivery) int { return cmp.Compare(a.App, b.App) })
	report.All = all.finish(period)
	return report
}

// history is a Delivery while it is measured.
type history struct {
	Delivery
	days map[string]bool
}

// change is one production run that put an image there, in part or whole.
type change struct {
	record   record.Record
	digest   string
	from     string // the digest before
	whole    bool   // it came to all of production
	rollback bool
	failed   bool
	restored time.Time
}

func (h *history) measure(records []record.Record, period Period) {
	var production []record.Record
	firstBuilt := map[string]time.Time{} // by commit
	for _, r := range records {
		if r.Pipeline == record.Production {
			production = append(production, r)
		} else if began, known := firstBuilt[r.Commit]; r.Commit != "" && (!known || r.Began.Before(began)) {
			firstBuilt[r.Commit] = r.Began
		}
	}
	for _, r := range production {
		if period.has(r.Ended) {
			h.count(r.Outcome)
		}
	}
	for _, c := range restore(changes(production), production) {
		if !period.has(c.record.Ended) {
			continue
		}
		if c.whole {
			day := c.record.Ended.In(period.Zone).Format(time.DateOnly)
			h.days[day] = h.days[day] || !c.rollback
			h.Last = c.record.Ended.UTC()
		}
		if c.rollback {
			h.Rollbacks++
			continue
		}
		h.Changes++
		if c.whole {
			h.Deployments++
			built, known := firstBuilt[c.record.Commit]
			h.LeadTime.add(c.record.Ended.Sub(built), known)
		}
		h.fail(c)
	}
}

func (p Period) has(at time.Time) bool { return !at.Before(p.From) && at.Before(p.To) }

func (h *history) count(outcome string) {
	switch outcome {
	case record.Done:
		h.Runs.Done++
	case record.Failed:
		h.Runs.Failed++
	case record.Stopped:
		h.Runs.Stopped++
	}
}

func (h *history) fail(c change) {
	switch {
	case !c.failed:
		return
	case c.record.Outcome == record.Failed && promoting(c.record):
		h.Failures.Promotion++
	case c.record.Outcome == record.Failed:
		h.Failures.Canary++
	default:
		h.Failures.RolledBack++
	}
	h.Restore.add(c.restored.Sub(since(c)), !c.restored.IsZero())
}

// since is when users met the change that failed: with its canary, or when it came to all of production.
func since(c change) time.Time {
	if c.whole && c.record.Outcome == record.Done {
		return c.record.Ended
	}
	for _, stage := range c.record.Stages {
		if stage.Name == canaryStage || stage.Name == promoteStage {
			return stage.Began
		}
	}
	return c.record.Began
}

const (
	canaryStage  = "Deploy Canary"
	promoteStage = "Promote to Production"
)

// promoting says whether the run had an approval to promote.
func promoting(r record.Record) bool {
	return slices.ContainsFunc(r.Approvals, func(a record.Approval) bool { return a.What == "promotion" })
}

// changes are the runs that put another image into production. A run that was stopped or failed has put it there whole where the
// next run found it there.
func changes(production []record.Record) []change {
	order := map[string]int{} // by which a digest first came to all of production
	came := func(digest string) {
		if _, known := order[digest]; digest != "" && !known {
			order[digest] = len(order)
		}
	}
	var all []change
	for i, r := range production {
		c := change{record: r, digest: digestOf(r.Image), from: digestOf(r.PreviousImage)}
		came(c.from)
		if c.digest == "" || c.digest == c.from {
			continue
		}
		found := slices.IndexFunc(production[i+1:], func(next record.Record) bool { return next.PreviousImage != "" })
		c.whole = r.Outcome == record.Done || found >= 0 && digestOf(production[i+1+found].PreviousImage) == c.digest
		c.failed = r.Outcome == record.Failed && !c.whole && (r.Canary != nil || promoting(r))
		if !c.whole && !c.failed {
			continue // nothing of it was in production, or people stopped it
		}
		if before, known := order[c.digest]; c.whole && known && before < order[c.from] {
			c.rollback = true
		}
		if c.whole {
			came(c.digest)
		}
		all = append(all, c)
	}
	return all
}

// restore finds what ended each failure: its own undoing, else the next run that came to all of production. A deployment that was
// gone back from has failed, too.
func restore(all []change, production []record.Record) []change {
	for i := range all {
		c := &all[i]
		if c.failed && c.record.Undone != "" {
			c.restored = c.record.Ended
		}
		for j := i + 1; j < len(all) && c.restored.IsZero(); j++ {
			switch later := all[j]; {
			case c.failed && later.whole:
				c.restored = later.record.Ended
			case !c.failed && later.rollback && later.from == c.digest:
				c.failed, c.restored = true, later.record.Ended
			case !c.failed && later.whole:
				j = len(all) // it was replaced by a newer one
			}
		}
	}
	return all
}

func digestOf(reference string) string {
	_, digest, _ := strings.Cut(reference, "@")
	return digest
}

func (s *Spread) add(d time.Duration, known bool) {
	if !known || d < 0 {
		s.Unknown++
		return
	}
	s.Count++
	s.seconds = append(s.seconds, d.Seconds())
}

func (s *Spread) finish() {
	if s.Count == 0 {
		return
	}
	slices.Sort(s.seconds)
	middle := (s.seconds[(s.Count-1)/2] + s.seconds[s.Count/2]) / 2
	s.Median = &middle
}

// add makes the sum of all apps.
func (h *history) add(o history) {
	h.Runs.Done, h.Runs.Failed, h.Runs.Stopped = h.Runs.Done+o.Runs.Done, h.Runs.Failed+o.Runs.Failed, h.Runs.Stopped+o.Runs.Stopped
	h.Deployments, h.Rollbacks, h.Changes = h.Deployments+o.Deployments, h.Rollbacks+o.Rollbacks, h.Changes+o.Changes
	h.Failures.Canary, h.Failures.Promotion = h.Failures.Canary+o.Failures.Canary, h.Failures.Promotion+o.Failures.Promotion
	h.Failures.RolledBack += o.Failures.RolledBack
	for day, with := range o.days {
		h.days[day] = h.days[day] || with
	}
	if o.Last.After(h.Last) {
		h.Last = o.Last
	}
	for mine, other := range map[*Spread]Spread{&h.LeadTime: o.LeadTime, &h.Restore: o.Restore} {
		mine.Count, mine.Unknown, mine.seconds = mine.Count+other.Count, mine.Unknown+other.Unknown, append(mine.seconds, other.seconds...)
	}
}

func (h *history) finish(period Period) Delivery {
	for _, with := range h.days {
		if with {
			h.Days++
		}
	}
	h.PerWeek = float64(h.Deployments) / (period.To.Sub(period.From).Hours() / (7 * 24))
	if h.Changes > 0 {
		rate := float64(h.Failures.sum()) / float64(h.Changes)
		h.FailureRate = &rate
	}
	h.LeadTime.finish()
	h.Restore.finish()
	return h.Delivery
}
