package migrate

import (
	"fmt"
	"io"
	"sort"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// maxLines is how many lines of a plan fit the box in which Jenkins asks.
const maxLines = 15

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
	return summary
}

func orNothing(version string) string {
	if version == "" {
		return "nothing"
	}
	return version
}

// Text is what Jenkins shows at the approval: at most 15 lines, the worst first.
func (p Plan) Text(out io.Writer) error {
	_, err := fmt.Fprintln(out, strings.Join(p.Lines(), "\n"))
	return err
}

// row is a finding as a line.
type row struct {
	weight           int
	label, at, about string
	more             int // how many others say the same
}

// rows are the findings, the worst first; those of one rule are one row.
func (p Plan) rows() (found []row, without int) {
	place := map[string]int{}
	for _, migration := range p.Pending {
		for _, statement := range migration.Statements {
			if len(statement.Findings) == 0 {
				without++
			}
			for _, finding := range statement.Findings {
				weight, label := 2*rank[finding.Level], finding.Level
				if finding.Breaking {
					weight, label = weight+20, "BREAKING"
				}
				if finding.Answered != nil {
					weight--
				}
				key := fmt.Sprint(finding.Name, finding.Breaking, finding.Level, finding.note())
				if at, known := place[key]; known {
					found[at].more++
					continue
				}
				place[key] = len(found)
				found = append(found, row{weight: weight, label: label, at: fmt.Sprintf("%s:%d", migration.Name, statement.Line),
					about: fmt.Sprintf("%s: %s; %s", statement.about(), finding.Message, finding.note())})
			}
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].weight > found[j].weight })
	return found, without
}

// about is the kind, the table and the strongest lock of a statement.
func (s Statement) about() string {
	about := s.Kind
	if table := s.table(); table != "" {
		if strings.Contains(s.Kind, "INDEX") {
			about += " on"
		}
		about += " " + table
	}
	if len(s.Locks) > 0 {
		about += " (" + strings.TrimSuffix(s.Locks[0].Mode, "Lock")
		if s.Rewrites {
			about += ", rewrites it"
		} else if s.Scans {
			about += ", reads it"
		}
		about += ")"
	}
	return about
}

// Lines are the plan's text.
func (p Plan) Lines() []string {
	lines := []string{"plan " + p.ID + ": " + p.Summary()}
	for _, each := range p.GoesOn {
		lines = append(lines, "goes on  "+each)
	}
	found, without := p.rows()
	for _, each := range found {
		line := fmt.Sprintf("%-8s %s %s", each.label, each.at, each.about)
		if each.more > 0 {
			line += fmt.Sprintf(" (and %d more like it)", each.more)
		}
		lines = append(lines, line)
	}
	for _, table := range p.Tables {
		lines = append(lines, table.lines()...)
	}
	for _, migration := range p.Pending {
		if len(migration.Statements) == 0 {
			lines = append(lines, fmt.Sprintf("empty    %s holds no statement: it is recorded as applied", migration.Name))
		}
	}
	if without > 0 {
		lines = append(lines, fmt.Sprintf("ok       %s without a finding", count(without, "statement")))
	}
	if len(lines) > maxLines {
		left := len(lines) - maxLines + 1
		lines = append(lines[:maxLines-1], fmt.Sprintf("...      and %d lines more: migrate-diff plan -o json", left))
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
		fmt.Fprintf(&out, "\n## %s\n\nVersion %s, %s.\n\n| line | statement | locks | findings |\n|---:|---|---|---|\n", migration.Name, migration.Version, mode)
		for _, s := range migration.Statements {
			var locks, findings []string
			for _, lock := range s.Locks {
				locks = append(locks, lock.Table+" "+lock.Mode)
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
