package migrate

import (
	"fmt"
	"io"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Status is the history, as a table.
type Status struct {
	Current string    `json:"current"`
	Applied []Applied `json:"applied"`
	Pending []string  `json:"pending"`
}

// NewStatus tells of a plan and the history that it was computed from.
func NewStatus(plan Plan, history []Applied) Status {
	status := Status{Current: plan.Current, Applied: history, Pending: []string{}}
	if history == nil {
		status.Applied = []Applied{}
	}
	for _, file := range plan.Pending {
		status.Pending = append(status.Pending, file.Name)
	}
	return status
}

// Text is the table.
func (s Status) Text(out io.Writer) error {
	if _, err := fmt.Fprintf(out, "%-10s %-40s %-22s %-12s %s\n", "VERSION", "NAME", "APPLIED AT", "BY", "PLAN"); err != nil {
		return err
	}
	for _, row := range s.Applied {
		if _, err := fmt.Fprintf(out, "%-10s %-40s %-22s %-12s %s\n", row.Version, row.Name, row.AppliedAt, row.AppliedBy, row.PlanID); err != nil {
			return err
		}
	}
	for _, name := range s.Pending {
		if _, err := fmt.Fprintf(out, "%-10s %-40s %s\n", "", name, "pending"); err != nil {
			return err
		}
	}
	return nil
}

// Env tells it to a pipeline.
func (s Status) Env() []slipway.Pair {
	return []slipway.Pair{{Key: "CURRENT", Value: s.Current}, {Key: "APPLIED", Value: fmt.Sprint(len(s.Applied))}, {Key: "PENDING", Value: fmt.Sprint(len(s.Pending))}}
}
