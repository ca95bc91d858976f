package status

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/safe"
)

// Text is a table of what runs, and below it what a person has to look at.
func (s Status) Text(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(s.Apps) == 0 {
		fmt.Fprintf(table, "Slipway has delivered nothing to %s\n", s.where())
	} else {
		fmt.Fprintln(table, "NAMESPACE\tDEPLOYMENT\tRUNS\tSINCE\tSTATE\tPODS\tAPPROVED BY\tBUILD")
	}
	row := func(cells ...string) {
		for i, cell := range cells {
			if cells[i] = safe.Line(cell); cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	for _, a := range s.Apps {
		row(a.Namespace, a.Deployment, Image(a.Image), s.Ago(a.Since), string(a.State), fmt.Sprintf("%d/%d", a.Available, a.Replicas),
			a.ApprovedBy, a.Build)
		if c := a.Canary; c != nil {
			row("", "  "+c.Deployment, Image(c.Image), s.Ago(c.StartedAt), c.State(), fmt.Sprintf("%d/%d", c.Available, c.Replicas), "", c.Run)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var text strings.Builder
	for _, f := range s.Findings {
		fmt.Fprintf(&text, "\n%s  %s%s\n  what  %s\n  next  %s\n", strings.ToUpper(string(f.Kind)), prefixed(f.Namespace), safe.Line(f.Object),
			safe.Line(f.What), safe.Line(f.Next))
	}
	if len(s.Waivers) > 0 {
		fmt.Fprintf(&text, "\nwaivers of the site: %s\n", s.waiverLine())
	}
	if s.Others > 0 {
		fmt.Fprintf(&text, "\n%d other Deployments in %s were not delivered by Slipway\n", s.Others, s.where())
	}
	for _, each := range s.Unread {
		fmt.Fprintf(&text, "\nnot read: %s\n", safe.Line(each))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func prefixed(namespace string) string {
	if namespace == "" {
		return ""
	}
	return namespace + " "
}

func (s Status) where() string {
	if s.Namespace == "" {
		return "this cluster"
	}
	return "the namespace " + s.Namespace
}

func (s Status) waiverLine() string {
	var all []string
	for _, w := range s.Waivers {
		all = append(all, safe.Line(fmt.Sprintf("%s until %s (%s)", w.ID, w.Until, w.Owner)))
	}
	return strings.Join(all, ", ")
}

// State says for how long the canary may stay.
func (c Canary) State() string {
	switch {
	case c.ExpiresAt.IsZero():
		return "without end"
	case c.Undoing:
		return "is being undone"
	case c.Overdue:
		return "OVERDUE"
	}
	return fmt.Sprintf("%d %% until %s", c.Weight, c.ExpiresAt.Format("15:04Z"))
}

// Answer is for a pipeline.
func (s Status) Answer() slipway.Fields {
	return slipway.Fields{"apps": len(s.Apps), "findings": len(s.Findings), "waivers": len(s.Waivers), "unread": len(s.Unread)}
}

// Image is what a person says: fastapi-app:latest-41 (sha256:9f2c1d0a1b2c…).
func Image(reference string) string {
	name, digest, pinned := strings.Cut(reference, "@")
	short := name[strings.LastIndex(name, "/")+1:]
	if !pinned {
		return short
	}
	return fmt.Sprintf("%s (%s…)", short, digest[:min(19, len(digest))])
}

// Ago is a time and how long it is over: 2026-11-30 22:10Z (2h).
func (s Status) Ago(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s (%s)", at.Format(stamp), Long(s.At.Sub(at)))
}

// Long is a duration in its largest unit: 40s, 12m, 3h, 8d.
func Long(d time.Duration) string {
	switch {
	case d < 0:
		return "in the future"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
