package pipelines

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the parameters of docs/pipelines.md into vars/*.txt")

const parametersTitle = "Parameters, the same for both pipelines:\n\n"

// The table of docs/pipelines.md is the only text about the parameters; another test compares its names and defaults with
// Settings.groovy. The help of a step in Jenkins has the same text: go test -C tests/pipelines -run TestTheHelp . -update
func TestTheHelpOfAStepHasTheParametersOfTheDocumentation(t *testing.T) {
	var list strings.Builder
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-z]\w+(?:, \w+)*) \| (.*?) \| (.*?) ?\|$`).FindAllStringSubmatch(read(t,
		"docs/pipelines.md"), -1) {
		if row[1] == "parameter" {
			continue
		}
		list.WriteString("    " + row[1])
		if row[2] != "required" {
			row[2] = "default " + row[2]
		}
		list.WriteString(" (" + row[2] + ")")
		if meaning := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(row[3], "docs/$1"); meaning != "" {
			list.WriteString(": " + strings.ReplaceAll(meaning, "`", ""))
		}
		list.WriteString("\n")
	}
	require.Greater(t, strings.Count(list.String(), "\n"), 30)
	for _, file := range files(t, "vars/*Pipeline.txt") {
		name := filepath.Join(root, "vars", filepath.Base(file))
		body, err := os.ReadFile(name)
		require.NoError(t, err)
		head, _, _ := strings.Cut(string(body), parametersTitle)
		want := head + parametersTitle + list.String()
		if *update {
			require.NoError(t, os.WriteFile(name, []byte(want), 0o644))
			body = []byte(want)
		}
		assert.Equal(t, want, string(body), "if docs/pipelines.md is right: go test -C tests/pipelines -run TestTheHelp . -update")
	}
}
