package pipelines

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// An editor that knows the schema and the program that reads the policy say the same of each sample. What a schema
// cannot say (that a date exists, that there are enough people) only the program says.
func TestThePolicysSchemaAndItsParserAgree(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(root, "docs/slipway-policy.schema.json"))
	require.NoError(t, err)
	for kind, good := range map[string]struct{ schema, parser bool }{"good": {true, true}, "bad": {false, false}, "beyond": {true, false}} {
		for _, file := range files(t, "helpers/internal/policy/testdata/"+kind+"/*.yaml") {
			body, err := os.ReadFile(file)
			require.NoError(t, err)
			command := exec.CommandContext(t.Context(), filepath.Join(root, "bin/slipway"), "policy", "check", file, "--answer")
			out, err := command.Output()
			require.NoError(t, err)
			var answer struct{ Exit, Mistakes int }
			require.NoError(t, json.Unmarshal(out, &answer))
			assert.Equal(t, good.parser, answer.Exit == 0, "the parser, of %s: %s", file, out)
			assert.Equal(t, good.parser, answer.Mistakes == 0, file)
			if name := filepath.Base(file); name == "twice.yaml" || name == "two-documents.yaml" {
				continue // these are lost before a schema sees them
			}
			document, err := yaml.YAMLToJSON(body)
			require.NoError(t, err, file)
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
			require.NoError(t, err, file)
			assert.Equal(t, good.schema, schema.Validate(value) == nil, "the schema, of %s", file)
		}
	}
}
