package pipelines

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The last command of a run gets the record as it is when that command is done, and writes the page of the release from it; no other
// command does, and the page takes no shell of its own.
func TestTheLastCommandWritesThePageOfTheRelease(t *testing.T) {
	l := newLocal(t)
	pending := l.recordings("production-rejected", "production-stopped", "production", "staging")
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(root, "docs/slipway-record.schema.json"))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		jenkinsfile, last, outcome string
		arguments                  []string
	}{
		"staging":    {"Jenkinsfile", "phase deploy", "done", nil},
		"production": {"Jenkinsfile.prod", "phase undo canary", "done", []string{"--answer", "yes"}},
		"rejected":   {"Jenkinsfile.prod", "phase undo canary", "stopped", []string{"--answer", "migrate=yes", "--answer", "promote=no"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), c.jenkinsfile,
				[]string{"REPLAY_FILES=" + pending, "REPLAY_ENVIRONMENT=SLIPWAY_PAGE,SLIPWAY_PAGE_OF"}, c.arguments...)
			var with []call
			for _, each := range p.calls {
				if each.What == "ended" && each.Environment["SLIPWAY_PAGE_OF"] != "" {
					with = append(with, each)
				}
			}
			require.Len(t, with, 1, p.console)
			assert.Equal(t, c.last, with[0].Key)
			assert.Equal(t, p.calls[len(p.calls)-1].Key, with[0].Key, "it is the last one")
			assert.Equal(t, "slipway-release.html", with[0].Environment["SLIPWAY_PAGE"])
			text := with[0].Environment["SLIPWAY_PAGE_OF"]
			document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
			require.NoError(t, err)
			if name != "staging" { // of which the command itself says what was there before
				assert.NoError(t, schema.Validate(document), text)
			}
			var record struct {
				Outcome, Namespace, Deployment string
				Stages                         []struct{ Name, Outcome string }
			}
			require.NoError(t, json.Unmarshal([]byte(text), &record))
			assert.Equal(t, c.outcome, record.Outcome)
			assert.NotEmpty(t, record.Namespace)
			assert.NotEmpty(t, record.Deployment)
			for _, stage := range record.Stages {
				assert.True(t, stage.Outcome == "done" || c.outcome != "done", "%v", stage)
			}
		})
	}
}
