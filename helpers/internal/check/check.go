// Package check asks what a site still lacks before its first release. A check is one entry of a table: it asks one question,
// and its answer says what was found and the command that corrects it.
package check

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// State is the outcome of a check.
type State string

// The states of a check.
const (
	OK      State = "ok"
	Warning State = "warning" // it works, and has a risk or a cost
	Missing State = "missing" // a pipeline will fail, or production is not protected as documented
	Skipped State = "skipped" // it was not asked: Found says why
)

// Groups of checks, in the order of a report, with what a user gives for them to be asked.
const (
	Cluster    = "cluster"
	Guard      = "guard"
	Policy     = "policy"
	Registry   = "registry"
	Database   = "database"
	Prometheus = "prometheus"
	Service    = "service"
	Jenkins    = "jenkins"
)

// Check is one question to a site.
type Check struct {
	ID    string // stable: it is documented, and part of the JSON
	Group string
	Title string // what must hold
	Why   string // what happens where it does not hold
	ask   func(context.Context, *Site) Finding
}

// Finding is what a check found.
type Finding struct {
	State State
	Found string // one sentence: the object, the field, the value
	Fix   string // the command that corrects it
	// Unknown says that the question was put and not answered: a server that is down, a time-out.
	Unknown bool
	Changes []Change // what --fix applies; empty where a person has to decide
}

// Change is one object that --fix creates or changes.
type Change struct {
	Object *unstructured.Unstructured // the whole object, or of a namespace the labels alone
	Does   string                     // such as: create the Role slipway in staging
}

// Result is a check with its finding.
type Result struct {
	ID      string  `json:"id"`
	Group   string  `json:"group"`
	Title   string  `json:"title"`
	State   State   `json:"state"`
	Found   string  `json:"found"`
	Why     string  `json:"why,omitempty"`
	Fix     string  `json:"fix,omitempty"`
	Unknown bool    `json:"unknown,omitempty"`
	Seconds float64 `json:"seconds"`
	changes []Change
	took    time.Duration
}

func ok(format string, arguments ...any) Finding {
	return Finding{State: OK, Found: fmt.Sprintf(format, arguments...)}
}

func missing(format string, arguments ...any) Finding {
	return Finding{State: Missing, Found: fmt.Sprintf(format, arguments...)}
}

func warning(format string, arguments ...any) Finding {
	return Finding{State: Warning, Found: fmt.Sprintf(format, arguments...)}
}

func skipped(format string, arguments ...any) Finding {
	return Finding{State: Skipped, Found: fmt.Sprintf(format, arguments...)}
}

// silent is a question that was put and not answered.
func silent(err error) Finding {
	return Finding{State: Skipped, Found: oneLine(err), Unknown: true}
}

// with adds the command that corrects it.
func (f Finding) with(format string, arguments ...any) Finding {
	f.Fix = fmt.Sprintf(format, arguments...)
	return f
}

func (f Finding) changing(changes ...Change) Finding {
	f.Changes = changes
	return f
}

// oneLine is an error with its cause, and without its advice.
func oneLine(err error) string {
	known := slipway.AsError(err)
	if known.Why == "" || strings.Contains(known.Message, known.Why) {
		return known.Message
	}
	return known.Message + ": " + known.Why
}

// all joins names for a sentence; of many it gives the first ones and the number of the others.
func all(names []string) string {
	const shown = 6
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

// Table is every check, in the order of a report.
func Table() []Check {
	var table []Check
	for _, group := range [][]Check{clusterChecks, rightsChecks, networkChecks, guardChecks, policyChecks, registryChecks,
		databaseChecks, prometheusChecks, serviceChecks, jenkinsChecks} {
		table = append(table, group...)
	}
	return table
}
