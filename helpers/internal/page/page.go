// Package page writes pages for browsers: each is one file without a script, which loads nothing, in light and dark and for paper.
package page

import (
	_ "embed"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway.dev/slipway/helpers/internal/safe"
)

//go:embed page.css
var style string

//go:embed page.html
var frame string

// Page is what the frame shows.
type Page struct {
	Title string
	Class string // of the body
	Sheet string // the name of the style's file beside the page, where there is one
	Data  any
}

// Style is in the page.
func (p Page) Style() template.CSS { return template.CSS(style) }

// Render writes a page with this body, a template that defines "body". Control characters of what it shows become visible.
func Render(out io.Writer, body string, functions template.FuncMap, p Page) error {
	made, err := template.New("frame").Funcs(template.FuncMap{"when": when, "clock": clock}).Funcs(functions).Parse(frame)
	if err == nil {
		made, err = made.Parse(body)
	}
	var text strings.Builder
	if err == nil {
		err = made.Execute(&text, p)
	}
	if err == nil {
		_, err = io.WriteString(out, safe.Visible(text.String()))
	}
	return err
}

// Write writes a page to a file, and its style to one beside it that ends in .css: of the pages of a build, Jenkins lets only such a
// style apply. https://www.jenkins.io/doc/book/security/configuring-content-security-policy/
func Write(file, body string, functions template.FuncMap, p Page) error {
	sheet := strings.TrimSuffix(file, filepath.Ext(file)) + ".css"
	p.Sheet = filepath.Base(sheet)
	var text strings.Builder
	if err := Render(&text, body, functions, p); err != nil {
		return err
	}
	if err := Whole(sheet, style); err != nil {
		return err
	}
	return Whole(file, text.String())
}

// Whole writes a file, which is there whole or not at all.
func Whole(file, body string) error {
	unfinished, err := os.CreateTemp(filepath.Dir(file), ".page-*")
	if err != nil {
		return err
	}
	defer os.Remove(unfinished.Name())
	_, err = unfinished.WriteString(body)
	for _, step := range []func() error{
		func() error { return unfinished.Chmod(0o644) }, unfinished.Close, func() error { return os.Rename(unfinished.Name(), file) },
	} {
		if stepErr := step(); err == nil {
			err = stepErr
		}
	}
	return err
}

func when(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04:05")
}

func clock(at time.Time) string { return at.UTC().Format("15:04:05") }
