package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sort"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Applied is a row of schema_migrations.
type Applied struct {
	Version   string `json:"version"`
	Name      string `json:"name"`
	Checksum  string `json:"checksum"`
	AppliedAt string `json:"appliedAt"` // RFC 3339
	AppliedBy string `json:"appliedBy"`
	Duration  int64  `json:"durationMilliseconds"`
	PlanID    string `json:"planId"`
	Commit    string `json:"commit"`
}

// Plan is what would happen, and the id by which it is approved.
type Plan struct {
	ID      string      `json:"id"`
	Server  int         `json:"serverVersion"` // the major version, such as 15
	Current string      `json:"current"`       // the newest applied version, or empty
	Applied int         `json:"applied"`
	Pending []Migration `json:"pending"`
}

// Compute compares the files with the history. It fails where the two do not
// belong together: what a person approves must be what happens.
func Compute(files []Migration, history []Applied, server int, outOfOrder bool) (Plan, error) {
	recorded := map[string]Applied{}
	plan := Plan{Server: server, Applied: len(history), Pending: []Migration{}}
	for _, row := range history {
		recorded[row.Version] = row
		if plan.Current == "" || compare(row.Version, plan.Current) > 0 {
			plan.Current = row.Version
		}
	}
	hash := sha256.New()
	known := map[string]bool{}
	for _, file := range files {
		known[file.Version] = true
		fmt.Fprintf(hash, "file %s %s\n", file.Version, file.Checksum)
		row, done := recorded[file.Version]
		switch {
		case done && row.Checksum != file.Checksum:
			return plan, slipway.Errorf(slipway.Conflict, "%s was changed after it was applied at %s", file.Name, row.AppliedAt).
				Next("restore the file as it was, and put the change into a new one")
		case done:
		case plan.Current != "" && compare(file.Version, plan.Current) < 0 && !outOfOrder:
			return plan, slipway.Errorf(slipway.Conflict, "%s comes before %s, which is applied already", file.Name, plan.Current).
				Next("give it the next free number, or allow it: --allow-out-of-order")
		default:
			plan.Pending = append(plan.Pending, file)
		}
	}
	sort.Slice(history, func(i, j int) bool { return compare(history[i].Version, history[j].Version) < 0 })
	for _, row := range history {
		if !known[row.Version] {
			return plan, slipway.Errorf(slipway.Conflict, "%s is applied, and its file is not here", row.Name).
				Next("check out a commit that has it: an older one may not run on a newer database")
		}
		fmt.Fprintf(hash, "applied %s %s\n", row.Version, row.Checksum)
	}
	fmt.Fprintf(hash, "server %d\nformat 1\n", server)
	plan.ID = hex.EncodeToString(hash.Sum(nil))[:16]
	return plan, nil
}

// Worst is the highest level of the pending statements' findings, or empty.
func (p Plan) Worst() string {
	worst := ""
	for _, migration := range p.Pending {
		for _, statement := range migration.Statements {
			for _, finding := range statement.Findings {
				if rank[finding.Level] > rank[worst] {
					worst = finding.Level
				}
			}
		}
	}
	return worst
}

var rank = map[string]int{Note: 1, Warning: 2, Danger: 3}

// Summary is the plan in one sentence.
func (p Plan) Summary() string {
	if len(p.Pending) == 0 {
		return fmt.Sprintf("nothing is pending: the database is at %s", orNothing(p.Current))
	}
	names := make([]string, 0, len(p.Pending))
	for _, migration := range p.Pending {
		names = append(names, migration.Name)
	}
	return fmt.Sprintf("%d pending from %s: %s", len(p.Pending), orNothing(p.Current), strings.Join(names, ", "))
}

func orNothing(version string) string {
	if version == "" {
		return "nothing"
	}
	return version
}

// Text is what Jenkins shows at the approval: few lines, the worst first.
func (p Plan) Text(out io.Writer) error {
	_, err := fmt.Fprintln(out, strings.Join(p.Lines(), "\n"))
	return err
}

// Lines are the plan's text.
func (p Plan) Lines() []string {
	lines := []string{"plan " + p.ID + ": " + p.Summary()}
	type line struct {
		level int
		text  string
	}
	var found []line
	for _, migration := range p.Pending {
		for _, statement := range migration.Statements {
			about := fmt.Sprintf("%s:%d %s", migration.Name, statement.Line, statement.Kind)
			if statement.Table != "" {
				about += " on " + statement.Table
			}
			if statement.Lock != "" {
				about += " (" + statement.Lock + ")"
			}
			if len(statement.Findings) == 0 {
				found = append(found, line{0, "  ok       " + about})
			}
			for _, finding := range statement.Findings {
				found = append(found, line{rank[finding.Level], fmt.Sprintf("  %-8s %s: %s; instead: %s", finding.Level, about, finding.Message, finding.Instead)})
			}
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].level > found[j].level })
	for _, each := range found {
		lines = append(lines, each.text)
	}
	return lines
}

// Env is the plan for a pipeline; its lines are joined by " | ".
func (p Plan) Env() []slipway.Pair {
	return []slipway.Pair{
		{Key: "PLAN_ID", Value: p.ID},
		{Key: "PENDING", Value: fmt.Sprint(len(p.Pending))},
		{Key: "CURRENT", Value: p.Current},
		{Key: "WORST", Value: p.Worst()},
		{Key: "SUMMARY", Value: p.Summary()},
		{Key: "PLAN", Value: strings.Join(p.Lines(), " | ")},
	}
}
