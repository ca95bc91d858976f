package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // an agent's image may have no time zones
)

// Window is a time in which production is not changed: each week, or once.
type Window struct {
	Reason   string
	text     string
	zone     *time.Location
	weekly   bool
	from, to wall
}

// Zone is the name of its time zone, such as Europe/Berlin.
func (w Window) Zone() string { return w.zone.String() }

// wall is a time as a clock on the wall shows it: of a weekday, or of a date.
type wall struct {
	weekday time.Weekday
	date    time.Time // midnight, UTC
	minutes int       // since midnight
}

const (
	day   = `(Mon|Tue|Wed|Thu|Fri|Sat|Sun)`
	date  = `([0-9]{4}-[0-9]{2}-[0-9]{2})`
	clock = `([01][0-9]|2[0-3]):([0-5][0-9])`
)

var (
	eachWeek = regexp.MustCompile(`^` + day + ` ` + clock + ` - ` + day + ` ` + clock + `$`)
	once     = regexp.MustCompile(`^` + date + `(?: ` + clock + `)? - ` + date + `(?: ` + clock + `)?$`)
	span     = form{regexp.MustCompile(eachWeek.String() + `|` + once.String()),
		`a window such as "Fri 16:00 - Mon 07:00" or "2026-12-19 - 2027-01-04"`}
	weekdays = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
)

// read takes the text apart, and says what is impossible in it.
func (w *Window) read(text string) (why string) {
	w.text = text
	if match := eachWeek.FindStringSubmatch(text); match != nil {
		w.weekly = true
		w.from = wall{weekday: time.Weekday(slices.Index(weekdays, match[1])), minutes: minutes(match[2], match[3])}
		w.to = wall{weekday: time.Weekday(slices.Index(weekdays, match[4])), minutes: minutes(match[5], match[6])}
		if w.from == w.to {
			return "begins and ends at the same time"
		}
		return ""
	}
	match := once.FindStringSubmatch(text)
	var why2 string
	if w.from, why = onDate(match[1], match[2], match[3]); why != "" {
		return why
	}
	if w.to, why2 = onDate(match[4], match[5], match[6]); why2 != "" {
		return why2
	}
	if match[5] == "" { // the last day is closed until it ends
		w.to.date = w.to.date.AddDate(0, 0, 1)
	}
	if !w.from.date.Add(time.Duration(w.from.minutes) * time.Minute).Before(w.to.date.Add(time.Duration(w.to.minutes) * time.Minute)) {
		return "ends before it begins"
	}
	return ""
}

func minutes(hour, minute string) int {
	h, _ := strconv.Atoi(hour)
	m, _ := strconv.Atoi(minute)
	return h*60 + m
}

func onDate(text, hour, minute string) (wall, string) {
	found, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return wall{}, "names " + text + ", which is no date"
	}
	return wall{date: found, minutes: minutes(hour, minute)}, ""
}

// Closing is a time without a gap in which production is closed. At is part of it, or comes before it.
type Closing struct {
	From, Until time.Time
	Reasons     []string
	Never       bool // no end is in sight
	zone        *time.Location
}

// Holds says whether production is closed at this time.
func (c Closing) Holds(at time.Time) bool {
	return !c.Until.IsZero() && !at.Before(c.From) && at.Before(c.Until)
}

// String says from when and until when, in the time of the window's own zone.
func (c Closing) String() string {
	if c.Until.IsZero() {
		return ""
	}
	const form = "Mon 2006-01-02 15:04 MST"
	text := fmt.Sprintf("closed from %s until %s", c.From.In(c.zone).Format(form), c.Until.In(c.zone).Format(form))
	if c.Never {
		text = fmt.Sprintf("closed from %s, and no time is in sight at which it opens", c.From.In(c.zone).Format(form))
	}
	if len(c.Reasons) > 0 {
		text += " (" + strings.Join(c.Reasons, ", ") + ")"
	}
	return text
}

// farthest is how far the end of a closing is looked for.
const farthest = 366 * 24 * time.Hour

// At is the closing that holds at this time, else the next one; empty where none comes.
// Windows that overlap or touch are one closing.
func (p *Production) At(at time.Time) Closing {
	var found Closing
	for _, w := range p.Windows {
		if from, until, ok := w.next(at); ok && (found.Until.IsZero() || from.Before(found.From)) {
			found = Closing{From: from, Until: until, zone: w.zone}
		}
	}
	if found.Until.IsZero() {
		return found
	}
	for grown := true; grown; {
		grown = false
		for _, w := range p.Windows {
			from, until, ok := w.next(found.Until)
			if ok && !from.After(found.Until) {
				found.Until, found.zone, grown = until, w.zone, true
			}
		}
		if found.Until.Sub(found.From) > farthest && found.Until.Sub(at) > farthest {
			found.Never = true
			break
		}
	}
	for _, w := range p.Windows {
		from, _, ok := w.next(found.From)
		if ok && from.Before(found.Until) && w.Reason != "" && !slices.Contains(found.Reasons, w.Reason) {
			found.Reasons = append(found.Reasons, w.Reason)
		}
	}
	return found
}

// next is the window's first time that ends after at.
func (w Window) next(at time.Time) (from, until time.Time, ok bool) {
	if !w.weekly {
		from, until = w.from.first(w.from.date, w.zone), w.to.last(w.to.date, w.zone)
		return from, until, until.After(at) && until.After(from)
	}
	days := (int(w.to.weekday-w.from.weekday) + 7) % 7
	if days == 0 && w.to.minutes < w.from.minutes {
		days = 7
	}
	here := at.In(w.zone)
	today := time.Date(here.Year(), here.Month(), here.Day(), 0, 0, 0, 0, time.UTC)
	for offset := -8; offset <= 8; offset++ {
		date := today.AddDate(0, 0, offset)
		if date.Weekday() != w.from.weekday {
			continue
		}
		from, until = w.from.first(date, w.zone), w.to.last(date.AddDate(0, 0, days), w.zone)
		if until.After(at) && until.After(from) { // clocks may skip all of it
			return from, until, true
		}
	}
	return from, until, false
}

// first is the first moment at which clocks show this time on that date. Where they pass it twice, it is
// the first time; where they skip it, the moment at which they do.
func (w wall) first(date time.Time, zone *time.Location) time.Time {
	first, _ := w.moments(date, zone)
	return first
}

// last is the last such moment: a window that ends at a time that clocks show twice ends the second time.
func (w wall) last(date time.Time, zone *time.Location) time.Time {
	_, last := w.moments(date, zone)
	return last
}

func (w wall) moments(date time.Time, zone *time.Location) (first, last time.Time) {
	shown := date.Add(time.Duration(w.minutes) * time.Minute)
	_, before := shown.Add(-36 * time.Hour).In(zone).Zone()
	_, after := shown.Add(36 * time.Hour).In(zone).Zone()
	for _, offset := range []int{max(before, after), min(before, after)} { // the larger offset is the earlier moment
		moment := shown.Add(-time.Duration(offset) * time.Second).In(zone)
		if moment.Format("2006-01-02 15:04") != shown.Format("2006-01-02 15:04") {
			continue
		}
		if first.IsZero() {
			first = moment
		}
		last = moment
	}
	if first.IsZero() { // skipped: what the older offset makes of it lies behind the change
		change, _ := shown.Add(-time.Duration(before) * time.Second).In(zone).ZoneBounds()
		return change, change
	}
	return first, last
}
