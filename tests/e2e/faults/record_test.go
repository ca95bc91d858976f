//go:build lab

package faults

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
	"slipway.dev/slipway/tests/pipelines/replay"
)

// TestRecord writes what the helpers really answered, for tests/pipelines to replay,
// to the folder SLIPWAY_RECORD.
func TestRecord(t *testing.T) {
	folder := os.Getenv("SLIPWAY_RECORD")
	if folder == "" {
		t.Skip("SLIPWAY_RECORD names no folder")
	}
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(prepared.Root, folder)
	}
	write := func(name string, calls []replay.Call) {
		body, err := json.MarshalIndent(calls, "", "  ")
		require.NoError(t, err)
		for _, secret := range prepared.Secrets() {
			require.NotContains(t, string(body), secret)
		}
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+".json"), append(body, '\n'), 0o644))
	}
	calls := func(run site.Run, result string) []replay.Call {
		require.Equal(t, result, run.Result(), run.Console)
		calls, err := replay.Read(run.Console)
		require.NoError(t, err)
		require.NotEmpty(t, calls)
		return calls
	}
	keep := func(name string, run site.Run, result string) { write(name, calls(run, result)) }
	before := stableImage(t, "prod")
	staged := func(result, setting, value string) []replay.Call {
		return calls(play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile", Settings: map[string]string{setting: value}}), result)
	}
	staging := calls(play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile"}), "SUCCESS")
	for _, call := range append(staged("SUCCESS", "SLIPWAY_BRANCH", "main"), staged("FAILURE", "SLIPWAY_SMOKE_PATH", "/absent")...) {
		if _, found := replay.Answer(staging, call); !found { // the gate of a branch, and what undoes a version that is not verified
			staging = append(staging, call)
		}
	}
	write("staging", staging)
	keep("production-rejected",
		play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"migrate=yes", "promote=no"}, Settings: quick()}), "ABORTED")
	keep("production-stopped",
		meanwhile(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"yes"}, Settings: quick()}, promoting,
			func(signal site.Signal, _ int) {
				untilChanged(t, "prod", before)
				signal(syscall.SIGTERM)
			}), "ABORTED")
	keep("production", play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"yes"}, Settings: quick()}), "SUCCESS")
	// A plan that breaks the running version, which no release here has.
	migrations := t.TempDir()
	require.NoError(t, os.CopyFS(migrations, os.DirFS(filepath.Join(prepared.Service.Dir, "migrations"))))
	require.NoError(t, os.WriteFile(filepath.Join(migrations, "004_drop_name.sql"), []byte("ALTER TABLE users DROP COLUMN name;\n"), 0o644))
	answer, err := site.Command{Env: append(prepared.Database("prod"), "SLIPWAY_ANSWER=true")}.Run(t.Context(),
		filepath.Join(prepared.Root, "bin/migrate-diff"), "plan", "--dir", migrations)
	require.NoError(t, err)
	write("breaking", []replay.Call{{Helper: "phase", Arguments: []string{"plan"}, Answer: answer}})
}
