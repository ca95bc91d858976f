package migrate

import (
	"context"
	"fmt"
	"io"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Lint is what the rules say of files, without a database.
type Lint struct {
	Files []Migration `json:"files"`
}

// LintFiles reads each file by itself: what one file creates, another run may
// find in use.
func LintFiles(ctx context.Context, files []Migration) (Lint, error) {
	for i := range files {
		if err := files[i].Parse(); err != nil {
			return Lint{Files: files[:i]}, err
		}
		resolve(files[i:i+1], newScope([]string{"public"}, "", nil, nil))
		review(files[i:i+1], catalog{})
	}
	authors(ctx, files)
	return Lint{files}, nil
}

// Worst is the highest level of a finding that nobody answers for, or empty.
func (l Lint) Worst() string {
	return worst(l.Files, func(finding Finding) bool { return finding.Answered == nil })
}

// Fails says whether a finding is of that level or worse; "never" is none.
func (l Lint) Fails(level string) bool { return rank[level] > 0 && rank[l.Worst()] >= rank[level] }

// Text is a line for each finding, as compilers write them.
func (l Lint) Text(out io.Writer) error {
	for _, file := range l.Files {
		for _, s := range file.Statements {
			for _, f := range s.Findings {
				breaking := ""
				if f.Breaking {
					breaking = " BREAKING"
				}
				if _, err := fmt.Fprintf(out, "%s:%d: %s%s: %s: %s; %s [%s]\n", file.path, s.Line, f.Level, breaking, s.about(), f.Message,
					f.note(), f.Name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (l Lint) count() (n int) {
	for _, file := range l.Files {
		for _, s := range file.Statements {
			n += len(s.Findings)
		}
	}
	return n
}

// Answer counts the findings.
func (l Lint) Answer() slipway.Fields {
	return slipway.Fields{"files": len(l.Files), "findings": l.count(), "worst": l.Worst()}
}

// RuleList are all rules, as a table.
type RuleList []Rule

// Text is a line for each rule.
func (r RuleList) Text(out io.Writer) error {
	for _, rule := range r {
		level := rule.Level
		if rule.Breaking {
			level += "*"
		}
		if _, err := fmt.Fprintf(out, "%-25s %-8s %s; instead: %s\n", rule.Name, level, rule.Message, rule.Instead); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out, "* the version that still runs would not survive it: apply wants --allow-breaking")
	return err
}

// Answer counts them.
func (r RuleList) Answer() slipway.Fields {
	return slipway.Fields{"rules": len(r)}
}
