package page

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

func write(t *testing.T, arguments ...string) (code int, out, told string) {
	t.Helper()
	app := App()
	var stdout, stderr bytes.Buffer
	app.Writer, app.ErrWriter = &stdout, &stderr
	code = slipway.Execute(t.Context(), app, append([]string{"page"}, arguments...))
	return code, stdout.String(), stderr.String()
}

func TestThePageIsWrittenBesideItsRecord(t *testing.T) {
	folder := t.TempDir()
	put := func(name, body string) string {
		file := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(file, []byte(body), 0o600))
		return file
	}
	record := put("slipway-record-2.json", `{"pipeline":"prodCanaryPipeline","app":"a","build":"b","began":"2026-11-30T20:00:00Z",
"ended":"2026-11-30T20:01:00Z","outcome":"done"}`)
	code, out, told := write(t, record, "--plan", put("plan", "ALTER TABLE x"), "--configuration", put("diff", "+replicas: 3"))
	require.Zero(t, code, told)
	page := filepath.Join(folder, "slipway-release-2.html")
	assert.Equal(t, "wrote "+page+"\n", out)
	body, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Contains(t, string(body), "<pre>ALTER TABLE x</pre>")
	assert.Contains(t, string(body), `<span class="good-text">&#43;replicas: 3</span>`)

	for _, arguments := range [][]string{{}, {record, record}, {record + "x"}, {put("empty.json", "{}")}, {record, "--plan", "absent"},
		{record, "--file", filepath.Join(folder, "absent/page.html")}} {
		code, _, told := write(t, arguments...)
		assert.Equal(t, slipway.Usage, code, "%v: %s", arguments, told)
	}
}
