package policy

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

func run(t *testing.T, arguments ...string) (code int, stdout, stderr string) {
	t.Helper()
	app := App()
	var out, complaint bytes.Buffer
	app.Writer, app.ErrWriter = &out, &complaint
	code = slipway.Execute(t.Context(), app, append([]string{"policy"}, arguments...))
	return code, out.String(), complaint.String()
}

func TestCheckNamesEveryMistake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte("production:\n  breaking: no\n  canary: {minWeigt: 5}\n"), 0o600))
	code, out, complaint := run(t, "check", file)
	assert.Equal(t, slipway.Usage, code)
	assert.Equal(t, file+":2: production.breaking: \"no\" is not one of refuse, approve\n"+
		file+":3: production.canary has no field \"minWeigt\", did you mean \"minWeight\"?\n", out)
	assert.Contains(t, complaint, "has 2 mistakes")

	require.NoError(t, os.WriteFile(file, []byte("production: {evidence: {keys: [staging.pub]}}\n"), 0o600))
	code, _, complaint = run(t, "check", file)
	assert.Equal(t, slipway.Usage, code)
	assert.Contains(t, complaint, "put staging.pub beside the policy")
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(file), "staging.pub"), []byte("no key"), 0o600))
	code, _, complaint = run(t, "check", file)
	assert.Equal(t, slipway.Usage, code, complaint)
	for _, arguments := range [][]string{{"check"}, {"check", file, file}, {"check", file + "x"}, {"explain"},
		{"explain", "--policy", file + "x"}, {"explain", "latest-1"}} {
		code, _, _ := run(t, arguments...)
		assert.Equal(t, slipway.Usage, code, arguments)
	}
}

func TestExplainSaysWhatAPromotionNeeds(t *testing.T) {
	const file = "../internal/policy/testdata/good/whole.yaml"
	arguments := []string{"explain", "--policy", file, "--time", "2026-12-05T10:00:00+01:00", "--started-by", "ada", "--approvers", "mallory"}
	code, out, _ := run(t, arguments...)
	assert.Equal(t, slipway.Done, code)
	for _, line := range []string{
		"  promotion      2 different people of release-managers, not an author of this release, not who started this run\n",
		"not ada, who started this run\n", "production is closed from Fri 2026-12-04 16:00 CET until Mon 2026-12-07 07:00 CET (weekend)\n",
		"of a closed window: 1 person of incident-leads, and a reason\n", "the scan not older than 7d\n",
		"for at least 10m, at least 500 requests\n",
		"only Prometheus counts them", "approvers of the promotion: release-managers by the policy, not mallory\n",
	} {
		assert.Contains(t, out, line)
	}
	code, out, _ = run(t, append(arguments, "-o", "json")...)
	assert.Equal(t, slipway.Done, code)
	var document struct {
		Approvals map[string]struct{ Required int }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &document))
	assert.Equal(t, 2, document.Approvals["promotion"].Required)
}
