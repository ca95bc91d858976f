package check

import (
	"fmt"
	"io"
	"slices"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/safe"
)

// Report is the outcome of all checks.
type Report struct {
	Checks []Result      `json:"checks"`
	Counts map[State]int `json:"counts"`
	Skips  []Skip        `json:"notChecked"`
	All    bool          `json:"-"` // show what is ok, too
	Colour bool          `json:"-"`
}

// Skip is one reason for which checks were not asked.
type Skip struct {
	Why    string `json:"why"`
	Checks int    `json:"checks"`
}

// NewReport counts the results. Whatever a server said in them becomes safe to show.
func NewReport(results []Result) Report {
	report := Report{Checks: results, Counts: map[State]int{OK: 0, Warning: 0, Missing: 0, Skipped: 0}, Skips: []Skip{}}
	for i := range results {
		result := &results[i]
		for _, text := range []*string{&result.Found, &result.Fix} {
			*text = safe.Line(safe.Mask(*text))
		}
		report.Counts[result.State]++
		if result.State != Skipped {
			continue
		}
		at := slices.IndexFunc(report.Skips, func(s Skip) bool { return s.Why == result.Found })
		if at < 0 {
			report.Skips = append(report.Skips, Skip{Why: result.Found})
			at = len(report.Skips) - 1
		}
		report.Skips[at].Checks++
	}
	return report
}

// Err is nil where nothing is missing. A server that does not answer is no "no": what could not be asked is exit code 3, and
// so is a report in which nothing was asked.
func (r Report) Err() error {
	var lacking, silent []string
	for _, result := range r.Checks {
		switch {
		case result.State == Missing && !result.Unknown:
			lacking = append(lacking, result.ID)
		case result.Unknown:
			silent = append(silent, result.ID)
		}
	}
	switch {
	case len(lacking) > 0:
		return slipway.Errorf(slipway.No, "the site lacks %s: %s", counted(len(lacking), "thing"), strings.Join(lacking, ", ")).
			Next("run the commands above, then slipway check again")
	case len(silent) > 0:
		return slipway.Errorf(slipway.Unknown, "%s could not be asked: %s", counted(len(silent), "check"), strings.Join(silent, ", ")).
			Next("see why above, then run slipway check again")
	case r.Counts[Skipped] == len(r.Checks):
		return slipway.Errorf(slipway.Unknown, "nothing was checked").Next("give what the lines above name, such as KUBECONFIG")
	}
	return nil
}

func counted(n int, what string) string {
	if n == 1 {
		return "one " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Changes are what --fix applies, each object once and namespaces first.
func (r Report) Changes() []Change {
	var changes []Change
	for _, result := range r.Checks {
		for _, change := range result.changes {
			if !slices.ContainsFunc(changes, func(c Change) bool { return c.Does == change.Does }) {
				changes = append(changes, change)
			}
		}
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return rank(a) - rank(b) })
	return changes
}

// rank orders what is applied: a Namespace before what is in it, a Role before what binds it.
func rank(change Change) int {
	order := []string{"Namespace", "ServiceAccount", "Secret", "ConfigMap", "Role", "RoleBinding", "NetworkPolicy", "CronJob"}
	return slices.Index(order, change.Object.GetKind())
}

// marks are the words of a report, with their colours.
var marks = map[State][2]string{OK: {"ok", "\x1b[32m"}, Warning: {"warning", "\x1b[33m"}, Missing: {"MISSING", "\x1b[31m"},
	Skipped: {"skipped", "\x1b[36m"}}

// Text is for a person: what is ok or was not asked is counted, all else is shown.
func (r Report) Text(out io.Writer) error {
	var text strings.Builder
	for _, group := range groups {
		r.group(&text, group)
	}
	fmt.Fprintf(&text, "%d ok, %s, %d missing, %d not checked\n", r.Counts[OK], counted(r.Counts[Warning], "warning"), r.Counts[Missing],
		r.Counts[Skipped])
	for _, skip := range r.Skips {
		fmt.Fprintf(&text, "  not checked: %s: %s\n", counted(skip.Checks, "check"), skip.Why)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

var groups = []string{Cluster, Guard, Policy, Registry, Database, Prometheus, Service, Jenkins}

func (r Report) group(text *strings.Builder, group string) {
	var shown []Result
	asked, fine := 0, 0
	for _, result := range r.Checks {
		if result.Group != group {
			continue
		}
		if result.State != Skipped {
			asked++
		}
		if result.State == OK {
			fine++
		}
		if r.All || result.State != OK && (result.State != Skipped || result.Unknown) {
			shown = append(shown, result)
		}
	}
	if asked == 0 && len(shown) == 0 {
		return
	}
	fmt.Fprintf(text, "%s: %d of %d ok\n", group, fine, asked)
	for _, result := range shown {
		word := marks[result.State]
		mark := fmt.Sprintf("%-8s", word[0])
		if r.Colour {
			mark = word[1] + mark + "\x1b[0m"
		}
		fmt.Fprintf(text, "  %s %-22s %s\n", mark, result.ID, result.Found)
		if result.Why != "" {
			fmt.Fprintf(text, "           why  %s\n", result.Why)
		}
		if result.Fix != "" {
			fmt.Fprintf(text, "           fix  %s\n", result.Fix)
		}
	}
}

// Answer is for a pipeline.
func (r Report) Answer() slipway.Fields {
	var lacking, warned []string
	for _, result := range r.Checks {
		switch result.State {
		case Missing:
			lacking = append(lacking, result.ID)
		case Warning:
			warned = append(warned, result.ID)
		}
	}
	return slipway.Fields{"ok": r.Counts[OK], "warnings": strings.Join(warned, " "), "missing": strings.Join(lacking, " "),
		"skipped": r.Counts[Skipped]}
}

// Story shows a pipeline's reader what a person would see at a terminal.
func (r Report) Story(out io.Writer) error { return r.Text(out) }
