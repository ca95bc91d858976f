package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"

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

// Allow is what a person may allow although it is mostly a mistake.
type Allow struct {
	OutOfOrder bool // a file that comes before one that is applied already
	Gaps       bool // a missing number in a series that has begun
}

// Plan is what would happen, and the id by which it is approved.
type Plan struct {
	ID      string      `json:"id"`
	Server  int         `json:"serverVersion"` // the major version, such as 15
	Current string      `json:"current"`       // the newest applied version, or empty
	Applied int         `json:"applied"`
	Pending []Migration `json:"pending"`
	Tables  []Table     `json:"tables"` // those that the pending statements lock
	// Begins is what is to be known of a database that has tables and no history.
	Begins string `json:"begins,omitempty"`
	// Snapshots are the sessions that a statement with CONCURRENTLY waits for.
	Snapshots []Holder `json:"snapshots,omitempty"`
	// Slots says which replication slots keep what the plan writes.
	Slots []string `json:"slots,omitempty"`
	// Rehearsal is what a throw-away server did with it; the id covers that.
	Rehearsal *Rehearsal `json:"rehearsal,omitempty"`
	// GoesOn is what stopped half way in an earlier run, and where it goes on.
	GoesOn []string `json:"goesOn,omitempty"`
}

// Compute compares the files with the history. It fails where the two do not
// belong together: what a person approves must be what happens. The id covers
// every file, the whole history, the server and this tool's version, since with
// another version the same files may be run in another way.
func Compute(files []Migration, history []Applied, server int, allow Allow) (Plan, error) {
	plan := Plan{Server: server, Applied: len(history), Pending: []Migration{}, Tables: []Table{}}
	recorded := map[string]Applied{}
	for _, row := range history {
		recorded[row.Version] = row
		if isNumber(row.Version) && (plan.Current == "" || compare(row.Version, plan.Current) > 0) {
			plan.Current = row.Version
		}
	}
	for i, file := range files {
		if _, done := recorded[file.Version]; file.same && !done {
			other := files[min(i+1, len(files)-1)]
			if compareNumbers(other.Version, file.Version) != 0 || other.Name == file.Name {
				other = files[i-1]
			}
			return plan, slipway.Errorf(slipway.Conflict, "%s and %s have the same version", min(other.Name, file.Name), max(other.Name, file.Name)).
				Next("give one of them the next free number; where both are applied already: migrate-diff baseline VERSION --reason ...")
		}
	}
	if drift := driftOf(files, history); len(drift) > 0 {
		return plan, drift[0].err()
	}
	hash := sha256.New()
	for i, file := range files {
		fmt.Fprintf(hash, "file %s %s\n", file.Version, file.Checksum)
		row, done := recorded[file.Version]
		switch {
		case done && row.Checksum == file.Checksum:
			continue
		case file.Repeatable:
		case plan.Current != "" && compare(file.Version, plan.Current) < 0:
			if !allow.OutOfOrder {
				return plan, slipway.Errorf(slipway.Conflict, "%s comes before %s, which is applied already", file.Name, plan.Current).
					Next("give it the next free number, or allow it: --allow-out-of-order")
			}
		case plan.Current != "" && !allow.Gaps && gapBefore(files, i):
			return plan, slipway.Errorf(slipway.Conflict, "a file is missing between %s and %s", files[i-1].Name, file.Name).
				Next("add it, or give %s the next number; where nothing is missing, allow it: --allow-gaps", file.Name)
		}
		plan.Pending = append(plan.Pending, file)
	}
	for _, row := range sorted(history) {
		fmt.Fprintf(hash, "applied %s %s\n", row.Version, row.Checksum)
	}
	fmt.Fprintf(hash, "server %d\ntool %s\n", server, slipway.Version().Version)
	plan.ID = hex.EncodeToString(hash.Sum(nil))[:16]
	return plan, nil
}

func sorted(history []Applied) []Applied {
	history = slices.Clone(history)
	sort.Slice(history, func(i, j int) bool { return compare(history[i].Version, history[j].Version) < 0 })
	return history
}

func isNumber(version string) bool { return version != "" && version[0] >= '0' && version[0] <= '9' }

// gapBefore says whether a number is missing before files[i]. Only a series that
// counts one by one can have a gap: timestamps and steps of ten have none.
func gapBefore(files []Migration, i int) bool {
	step := func(a, b Migration) bool {
		var from, to int64
		if len(a.Version) > 9 || len(b.Version) > 9 || a.Repeatable || b.Repeatable {
			return true
		}
		_, _ = fmt.Sscan(trimZeros(a.Version), &from)
		_, _ = fmt.Sscan(trimZeros(b.Version), &to)
		return to == from+1
	}
	if i < 2 || step(files[i-1], files[i]) {
		return false
	}
	for k := max(1, i-5); k < i; k++ {
		if !step(files[k-1], files[k]) || len(files[k].Version) > 9 {
			return false
		}
	}
	return true
}

func trimZeros(version string) string {
	for len(version) > 1 && version[0] == '0' {
		version = version[1:]
	}
	return version
}

// Drift is one way in which the files and the history do not belong together.
type Drift struct {
	Version string `json:"version"`
	Name    string `json:"name"`
	State   string `json:"state"` // edited, missing
	What    string `json:"what"`
	next    string
}

func (d Drift) err() error { return slipway.Errorf(slipway.Conflict, "%s", d.What).Next("%s", d.next) }

func driftOf(files []Migration, history []Applied) []Drift {
	byVersion := map[string]Migration{}
	for _, file := range files {
		byVersion[file.Version] = file
	}
	var drift []Drift
	for _, row := range history {
		file, here := byVersion[row.Version]
		switch {
		case !isNumber(row.Version):
		case !here:
			drift = append(drift, Drift{row.Version, row.Name, "missing", fmt.Sprintf("%s is applied, and its file is not here", row.Name),
				"check out a commit that has it: an older one may not run on a newer database"})
		case file.Checksum != row.Checksum && row.Checksum != "":
			drift = append(drift, Drift{row.Version, file.Name, "edited", fmt.Sprintf("%s was changed after it was applied at %s", file.Name,
				row.AppliedAt),
				fmt.Sprintf("restore the file as it was, and put the change into a new one; where only its text changed: migrate-diff repair %s "+
					"--accept-file --reason ...", row.Version)})
		}
	}
	sort.Slice(drift, func(i, j int) bool { return compare(drift[i].Version, drift[j].Version) < 0 })
	return drift
}

// Breaking names the pending files that the version which still runs would not survive.
func (p Plan) Breaking() []string {
	names := []string{}
	for _, migration := range p.Pending {
		if migration.breaking() {
			names = append(names, migration.Name)
		}
	}
	return names
}

func (m Migration) breaking() bool {
	for _, statement := range m.Statements {
		for _, finding := range statement.Findings {
			if finding.Breaking {
				return true
			}
		}
	}
	return false
}

// Worst is the highest level of the pending statements' findings, or empty. An
// answered finding counts where it is breaking.
func (p Plan) Worst() string {
	return worst(p.Pending, func(finding Finding) bool { return finding.Breaking || finding.Answered == nil })
}

func worst(migrations []Migration, counts func(Finding) bool) string {
	level := ""
	for _, migration := range migrations {
		for _, statement := range migration.Statements {
			for _, finding := range statement.Findings {
				if counts(finding) && rank[finding.Level] > rank[level] {
					level = finding.Level
				}
			}
		}
	}
	return level
}
