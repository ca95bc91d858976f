package check

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Entry is a check as it is documented.
type Entry struct {
	ID    string `json:"id"`
	Group string `json:"group"`
	Title string `json:"title"`
	Why   string `json:"why"`
}

// Listing is every check, unasked.
type Listing struct {
	Checks []Entry `json:"checks"`
}

// List gives the checks of the table.
func List(table []Check) Listing {
	var list Listing
	for _, c := range table {
		list.Checks = append(list.Checks, Entry{c.ID, c.Group, c.Title, c.Why})
	}
	return list
}

// Text is a line for each check.
func (l Listing) Text(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, each := range l.Checks {
		fmt.Fprintf(table, "%s\t%s\t%s\n", each.Group, each.ID, each.Title)
	}
	return table.Flush()
}

// Answer is for a pipeline.
func (l Listing) Answer() slipway.Fields { return slipway.Fields{"checks": len(l.Checks)} }

// Markdown is the table of docs/check.md.
func (l Listing) Markdown() string {
	var text strings.Builder
	group := ""
	for _, each := range l.Checks {
		if each.Group != group {
			group = each.Group
			fmt.Fprintf(&text, "\n### %s\n\n| check | what must hold | where it does not |\n|---|---|---|\n", group)
		}
		fmt.Fprintf(&text, "| `%s` | %s | %s |\n", each.ID, each.Title, each.Why)
	}
	return text.String()
}
