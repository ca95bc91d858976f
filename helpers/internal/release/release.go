// Package release writes the page of one run: what it did, who approved it, and how to go back, of its record alone.
package release

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"slipway.dev/slipway/helpers/internal/canary"
	"slipway.dev/slipway/helpers/internal/page"
	"slipway.dev/slipway/helpers/internal/record"
)

//go:embed page.html
var body string

// View is what the page shows.
type View struct {
	record.Record
	Headline string
	Class    string // good, bad or open
	Bars     []Bar
	Charts   []page.Chart
	Back     []Way
	Diff     []Line
}

// Bar is a stage in the timeline, in the drawing's own units.
type Bar struct {
	record.Stage
	X, Width, Y float64
	Long        string
	Marks       []Mark
}

// Mark is the approval of a person.
type Mark struct {
	X    float64
	Text string
}

// Way is one way to go back.
type Way struct{ What, Command string }

// Line is one of a diff.
type Line struct{ Class, Text string }

// Write writes the page to a file, and its style beside it.
func Write(file string, r record.Record) error {
	v := Of(r)
	functions := template.FuncMap{"long": Long, "short": short, "web": web}
	return page.Write(file, page.ChartBody+body, functions, page.Page{Title: r.App + ": " + v.Headline, Class: v.Class, Data: v})
}

// Of computes what is shown.
func Of(r record.Record) View {
	v := View{Record: r, Bars: bars(r), Back: back(r), Diff: diff(r.Configuration)}
	v.Headline, v.Class = headline(r)
	var course canary.Course
	if r.Canary != nil && json.Unmarshal([]byte(r.Canary.Course), &course) == nil {
		v.Charts = course.Charts()
	}
	return v
}

func headline(r record.Record) (text, class string) {
	switch {
	case r.Outcome == record.Failed:
		return "failed", "bad"
	case r.Outcome == record.Stopped:
		return "stopped", "open"
	case r.Pipeline == record.Staging && !slices.Contains(r.Evidence, "staging-verified"):
		return "built, and not delivered", "good"
	case r.Pipeline == record.Staging:
		return "verified in staging", "good"
	case r.PreviousImage == r.Image:
		return "in production already", "good"
	}
	return "in production", "good"
}

// The timeline's inner edges, in its own units.
const (
	left, right = 190.0, 700.0
	rowHeight   = 26.0
)

func bars(r record.Record) []Bar {
	whole := max(r.Ended.Sub(r.Began).Seconds(), 1)
	x := func(at time.Time) float64 {
		return left + min(max(at.Sub(r.Began).Seconds()/whole, 0), 1)*(right-left)
	}
	var all []Bar
	for i, stage := range r.Stages {
		bar := Bar{Stage: stage, X: x(stage.Began), Y: rowHeight * float64(i), Long: Long(stage.Ended.Sub(stage.Began))}
		bar.Width = max(x(stage.Ended)-bar.X, 2)
		for _, approval := range r.Approvals {
			if !approval.At.Before(stage.Began) && approval.At.Before(stage.Ended.Add(time.Second)) && (i+1 == len(r.Stages) ||
				approval.At.Before(r.Stages[i+1].Began)) {
				bar.Marks = append(bar.Marks, Mark{x(approval.At), approval.What + " approved by " + approval.By})
			}
		}
		all = append(all, bar)
	}
	return all
}

// Height of the timeline.
func (v View) Height() float64 { return rowHeight*float64(len(v.Bars)) + 8 }

// Lasted is how long the run took.
func (v View) Lasted() string { return Long(v.Ended.Sub(v.Began)) }

// Long is a duration as a person says it: 45 s, 3 min 20 s, 2 h 5 min.
func Long(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	switch seconds := int(d.Seconds()); {
	case seconds < 60:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%d min %d s", seconds/60, seconds%60)
	default:
		return fmt.Sprintf("%d h %d min", seconds/3600, seconds%3600/60)
	}
}

// back says how to go back from what the run has put there.
func back(r record.Record) []Way {
	delivered := r.Pipeline == record.Production || slices.Contains(r.Evidence, "staging-verified")
	if r.Outcome != record.Done || r.Image == "" || r.PreviousImage == r.Image || !delivered {
		return nil
	}
	namespace, deployment := r.Namespace, r.Deployment
	if namespace == "" {
		namespace = map[string]string{record.Staging: "staging", record.Production: "prod"}[r.Pipeline]
	}
	if deployment == "" {
		deployment = r.App
	}
	var ways []Way
	if tag := tagOf(r.PreviousImage); r.Pipeline == record.Production && tag != "" {
		ways = append(ways, Way{"By the pipeline: the evidence of the image is checked, a canary tries it, and people approve it.",
			fmt.Sprintf("prodCanaryPipeline(app: '%s', imageTag: '%s')", groovy(r.App), groovy(tag))})
	}
	return append(ways, Way{"At once, without approval: the images and replicas from before this run. What others have changed since stays.",
		fmt.Sprintf("deploy-image -n %s %s --undo --image %s", quoted(namespace), quoted("deployment/"+deployment), quoted(r.Image))})
}

// Stays says what going back leaves of the database.
func (v View) Stays() string {
	m := v.Migration
	switch {
	case len(v.Back) == 0 || m == nil || len(m.Applied) == 0:
		return ""
	case m.Breaking:
		return "The migrations of this run stay, and they break the version from before: it may fail on this database."
	}
	return "The migrations of this run stay; the version from before can live with them."
}

// tagOf is the tag of a reference, or empty.
func tagOf(reference string) string {
	name, _, _ := strings.Cut(reference, "@")
	name = name[strings.LastIndex(name, "/")+1:]
	_, tag, _ := strings.Cut(name, ":")
	return tag
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// quoted is the text as one word of a shell.
func quoted(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// groovy is the text inside of a Groovy literal of one line.
func groovy(text string) string {
	return strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`, "\r", `\r`).Replace(text)
}

// short is what a person says of an image: app:latest-41 (sha256:9f2c1d0a1b2c…).
func short(reference string) string {
	name, digest, pinned := strings.Cut(reference, "@")
	name = name[strings.LastIndex(name, "/")+1:]
	if !pinned {
		return name
	}
	return fmt.Sprintf("%s (%s…)", name, digest[:min(19, len(digest))])
}

// web says whether a text is the address of a page.
func web(text string) bool {
	address, err := url.Parse(text)
	return err == nil && (address.Scheme == "http" || address.Scheme == "https") && address.Host != ""
}

func diff(text string) []Line {
	if text == "" {
		return nil
	}
	var lines []Line
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		class := ""
		switch {
		case strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "+++"):
			class = "good-text"
		case strings.HasPrefix(line, "-") && !strings.HasPrefix(line, "---"):
			class = "bad-text"
		}
		lines = append(lines, Line{class, line})
	}
	return lines
}
