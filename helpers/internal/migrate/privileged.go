package migrate

import (
	"fmt"
	"slices"
)

// Privileged names the pending statements that change roles, rights or the server, or run programs, and those that
// could not be looked into. That a file answers for a finding changes nothing: it is the repository's own word.
func (p Plan) Privileged() []string {
	found := []string{}
	for _, migration := range p.Pending {
		for _, statement := range migration.Statements {
			if why := statement.privileged(); why != "" {
				found = append(found, fmt.Sprintf("%s:%d %s (%s)", migration.Name, statement.Line, statement.Kind, why))
			}
		}
	}
	return found
}

func (s Statement) privileged() string {
	for _, finding := range s.Findings {
		unknown := slices.Contains([]string{"unseen", "not-analysed"}, finding.Name)
		rights := slices.Contains([]string{"privilege", "server", "program", "triggers-off"}, finding.Name)
		if unknown || rights && finding.Level != Note { // a right on an object for one role is a Note
			return finding.Name
		}
	}
	return ""
}
