package status

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"slipway.dev/slipway/helpers/internal/page"
)

//go:embed page.html
var body string

// Format writes the status as a page of its own.
func (s Status) Format(_ string, out io.Writer) error {
	class := "good"
	for _, f := range s.Findings {
		if class = "open"; f.Kind != Pods && f.Kind != WaiverEnds {
			class = "bad"
			break
		}
	}
	functions := template.FuncMap{"image": Image, "ago": s.Ago}
	return page.Render(out, body, functions, page.Page{Title: "What runs in " + s.where(), Class: class, Data: s})
}

// Headline counts what a person has to look at.
func (s Status) Headline() string {
	switch {
	case len(s.Findings) > 1:
		return fmt.Sprintf("%d things to look at", len(s.Findings))
	case len(s.Findings) == 1:
		return "One thing to look at"
	case len(s.Unread) > 0:
		return "Nothing to look at, of what could be read"
	}
	return "All as it was delivered"
}

// Where is what the page is about.
func (s Status) Where() string { return s.where() }
