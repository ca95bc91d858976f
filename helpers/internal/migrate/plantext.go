package migrate

import (
	"fmt"
	"io"
	"sort"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// maxLines is how many lines of a plan Jenkins shows where it asks.
const maxLines = 60

// Summary is the plan in one sentence.
func (p Plan) Summary() string {
	if len(p.Pending) == 0 {
		return fmt.Sprintf("nothing is pending: the database is at %s", orNothing(p.Current))
	}
	names := make([]string, 0, len(p.Pending))
	for _, migration := range p.Pending {
		names = append(names, migration.Name)
	}
	if len(names) > 4 {
		names = append(names[:2], fmt.Sprintf("%d more", len(names)-3), names[len(names)-1])
	}
	summary := fmt.Sprintf("%d pending from %s: %s", len(p.Pending), orNothing(p.Current), strings.Join(names, ", "))
	if breaking := len(p.Breaking()); breaking > 0 {
		summary += fmt.Sprintf("; %d BREAKING", breaking)
	}
	if p.Rehearsal.Broken() {
		summary += "; the rehearsal FAILED"
	}
	return summary
}

func orNothing(version string) string {
	if version == "" {
		return "nothing"
	}
	return version
}

// Text is the whole plan, the worst first.
func (p Plan) Text(out io.Writer) error {
	_, err := fmt.Fprintln(out, strings.Join(p.lines(), "\n"))
	return err
}

// row is a statement as a line, with all that was found about it.
type row struct {
	weight           int
	label, at, about string
}

// rows are the statements, the worst first.
func (p Plan) rows() (found []row) {
	for _, migration := range p.Pending {
		for _, s := range migration.Statements {
			each := row{label: "ok", at: fmt.Sprintf("%s:%d", migration.Name, s.Line), about: s.about()}
			for i, finding := range s.Findings {
				weight, label := 2*rank[finding.Level], finding.Level
				if finding.Breaking {
					weight, label = weight+20, "BREAKING"
				}
				if finding.Answered != nil {
					weight--
				}
				if weight > each.weight {
					each.weight, each.label = weight, label
				}
				each.about += fmt.Sprintf("%s %s; %s", []string{":", ";"}[min(i, 1)], finding.Message, finding.note())
			}
			found = append(found, each)
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].weight > found[j].weight })
	return found
}

// about is the statement itself, and what it locks.
func (s Statement) about() string {
	about := brief(s.SQL)
	if s.Count > 1 {
		about += fmt.Sprintf(" and %d more like it", s.Count-1)
	}
	if len(s.Locks) == 0 {
		return about
	}
	about += " (" + s.lockText()
	if s.Rewrites {
		about += ", rewrites it"
	} else if s.Scans {
		about += ", reads it"
	}
	return about + ")"
}

// lockText names each lock mode once, with its relations; partitions are counted.
func (s Statement) lockText() string {
	var order []string
	names, parts := map[string][]string{}, map[string]int{}
	for _, lock := range s.Locks {
		if _, known := names[lock.Mode]; !known {
			order, names[lock.Mode] = append(order, lock.Mode), []string{}
		}
		switch {
		case lock.folded(s.Locks):
			parts[lock.Mode]++
		case lock.Index:
			names[lock.Mode] = append(names[lock.Mode], "the index "+lock.Table)
		default:
			names[lock.Mode] = append(names[lock.Mode], lock.Table)
		}
	}
	var all []string
	for _, mode := range order {
		list := names[mode]
		if len(list) > 12 {
			list = append(list[:10:10], fmt.Sprintf("%d more: -o json lists them", len(list)-10))
		}
		text := lockName(mode) + " on " + strings.Join(list, ", ")
		if parts[mode] > 0 {
			text += " with " + count(parts[mode], "partition")
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// lines are the whole plan: what stands in the way, and the sizes, come before the
// statements that nothing was found about.
func (p Plan) lines() []string {
	lines := []string{"plan " + p.ID + ": " + p.Summary()}
	for _, each := range p.GoesOn {
		lines = append(lines, "goes on  "+each)
	}
	var quiet []string
	for _, each := range p.rows() {
		line := fmt.Sprintf("%-8s %s %s", each.label, each.at, each.about)
		if each.weight == 0 {
			quiet = append(quiet, line)
		} else {
			lines = append(lines, line)
		}
	}
	lines = append(lines, p.Rehearsal.lines()...)
	if p.Begins != "" {
		lines = append(lines, "begins   "+p.Begins)
	}
	for _, table := range p.Tables {
		lines = append(lines, table.lines()...)
	}
	for _, holder := range p.Snapshots {
		lines = append(lines, fmt.Sprintf("waits    for %s, which CONCURRENTLY waits for whatever table it reads", holder))
	}
	for _, slot := range p.Slots {
		lines = append(lines, "slot     "+slot)
	}
	for _, migration := range p.Pending {
		if len(migration.Statements) == 0 {
			lines = append(lines, fmt.Sprintf("empty    %s holds no statement: it is recorded as applied", migration.Name))
		}
	}
	return append(lines, quiet...)
}

// Lines are the plan for the approval. Where they are cut, the last one says so.
func (p Plan) Lines() []string {
	lines := p.lines()
	if len(lines) > maxLines {
		left := len(lines) - maxLines + 1
		lines = append(lines[:maxLines-1:maxLines-1], fmt.Sprintf("...      and %s: migrate-diff plan --markdown FILE writes the whole plan",
			count(left, "more line")))
	}
	return lines
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Answer is the plan for a pipeline.
func (p Plan) Answer() slipway.Fields {
	return slipway.Fields{"planId": p.ID, "pending": len(p.Pending), "current": p.Current, "worst": p.Worst(),
		"breaking": strings.Join(p.Breaking(), " "), "summary": p.Summary(), "plan": strings.Join(p.Lines(), "\n")}
}

// Markdown is the whole plan, for a change request or a build's page.
func (p Plan) Markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# Migration plan `%s`\n\n%s.\n", p.ID, p.Summary())
	for _, each := range p.GoesOn {
		fmt.Fprintf(&out, "\n%s.\n", each)
	}
	for _, migration := range p.Pending {
		mode := "one transaction"
		if migration.Alone {
			mode = "outside a transaction, statement by statement"
		}
		if len(migration.Statements) == 0 {
			fmt.Fprintf(&out, "\n## %s\n\nVersion %s holds no statement: it is recorded as applied.\n", migration.Name, migration.Version)
			continue
		}
		fmt.Fprintf(&out, "\n## %s\n\nVersion %s, %s.\n\n| line | statement | locks | findings |\n|---:|---|---|---|\n", migration.Name,
			migration.Version, mode)
		for _, s := range migration.Statements {
			var locks, findings []string
			for _, lock := range s.Locks {
				if !lock.folded(s.Locks) {
					locks = append(locks, lock.Table+" "+lockName(lock.Mode))
				}
			}
			for _, f := range s.Findings {
				level := f.Level
				if f.Breaking {
					level += ", breaking"
				}
				findings = append(findings, fmt.Sprintf("**%s** `%s`: %s; %s", level, f.Name, f.Message, f.note()))
			}
			text := "`" + strings.ReplaceAll(brief(s.SQL), "`", "'") + "`"
			if s.Count > 1 {
				text += fmt.Sprintf(" and %d more like it", s.Count-1)
			}
			fmt.Fprintf(&out, "| %d | %s | %s | %s |\n", s.Line, cell(text), cell(strings.Join(locks, ", ")), cell(strings.Join(findings, "<br>")))
		}
	}
	if p.Rehearsal != nil {
		out.WriteString("\n## Rehearsal\n\n")
		for _, line := range p.Rehearsal.lines() {
			fmt.Fprintf(&out, "- %s\n", cell(line))
		}
	}
	if len(p.Tables) > 0 {
		out.WriteString("\n## Tables\n\n")
		for _, table := range p.Tables {
			for _, line := range table.lines() {
				fmt.Fprintf(&out, "- %s\n", strings.TrimSpace(strings.TrimPrefix(line, "table ")))
			}
		}
	}
	return out.String()
}

func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}
