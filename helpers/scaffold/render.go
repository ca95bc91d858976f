package scaffold

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"text/template"
)

// The files as they are written, with [[.Values]].
//
//go:embed templates
var templates embed.FS

// file is one that init writes.
type file struct {
	Path string `json:"path"`
	Text string `json:"text,omitempty"`
}

// render fills the templates, in the order of their paths.
func render(v values) ([]file, error) {
	var files []file
	err := fs.WalkDir(templates, "templates", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := templates.ReadFile(path)
		if err != nil {
			return err
		}
		parsed, err := template.New(path).Delims("[[", "]]").Option("missingkey=error").Parse(string(body))
		if err != nil {
			return err
		}
		var text bytes.Buffer
		if err := parsed.Execute(&text, v); err != nil {
			return err
		}
		files = append(files, file{strings.TrimPrefix(path, "templates/"), text.String()})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("filling the templates: %w", err)
	}
	return files, nil
}
