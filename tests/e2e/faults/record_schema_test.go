//go:build lab

package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
)

// valid checks a run's record against its schema, on the console and in the archive.
func valid(t *testing.T, run site.Run) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(prepared.Root, "docs/slipway-record.schema.json"))
	require.NoError(t, err)
	require.NotEmpty(t, run.Record(), "the console has the record:\n%s", run.Console)
	record, err := jsonschema.UnmarshalJSON(strings.NewReader(run.Record()))
	require.NoError(t, err)
	assert.NoError(t, schema.Validate(record), run.Record())
	if strings.Contains(run.Console, "the record could not be archived, and stands above") {
		return
	}
	require.NotEmpty(t, run.Archive, "the record is archived")
	body, err := os.ReadFile(filepath.Join(run.Archive, "slipway-record.json"))
	require.NoError(t, err)
	assert.JSONEq(t, run.Record(), string(body))
}
