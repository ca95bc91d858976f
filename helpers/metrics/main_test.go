package metrics

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

func TestThePeriod(t *testing.T) {
	now := time.Date(2026, 11, 30, 22, 0, 0, 5, time.UTC)
	for _, test := range []struct {
		from, to, zone string
		days           int
		begins, ends   string
	}{
		{"", "", "UTC", 30, "2026-10-31T22:00:00Z", "2026-11-30T22:00:00Z"},
		{"2026-10-01", "2026-11-01", "Europe/Berlin", 30, "2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00"},
		{"", "2026-10-26", "Europe/Berlin", 1, "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"},
		{"2026-10-01T08:00:00+05:00", "", "UTC", 1, "2026-10-01T08:00:00+05:00", "2026-11-30T22:00:00Z"},
		{"2026-12-01", "", "UTC", 30, "", ""}, {"", "", "Berlin", 30, "", ""}, {"", "", "UTC", 0, "", ""}, {"yesterday", "", "UTC", 30, "", ""},
	} {
		p, err := periodOf(test.from, test.to, test.zone, test.days, now)
		if test.begins == "" {
			assert.Equal(t, slipway.Usage, slipway.AsError(err).Code, test)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, []string{test.begins, test.ends}, []string{p.From.Format(time.RFC3339), p.To.Format(time.RFC3339)})
	}
}

func TestWhatItAnswers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "slipway-record.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"pipeline":"prodCanaryPipeline","app":"a","build":"b","began":"2026-10-02T20:00:00Z",
"ended":"2026-10-02T20:01:00Z","outcome":"done","image":"r/a:2@sha256:2"}`), 0o600))
	for _, test := range []struct {
		arguments []string
		code      int
		out       string
	}{
		{[]string{"--from", "2026-10-01", "--to", "2026-11-01", file}, 0, "2026-10-01 00:00 to 2026-11-01 00:00 (UTC)\n\nAPP"},
		{[]string{"-o", "json", file, "--from", "2026-10-01"}, 0, `"deployments": 1`},
		{[]string{"--output", "prometheus", "--from", "2026-10-01", filepath.Dir(file)}, 0, `slipway_deployments{app="a"} 1`},
		{[]string{t.TempDir()}, 0, "all"}, {nil, slipway.Usage, ""}, {[]string{file + "x"}, slipway.Usage, ""},
		{[]string{"--output", "html", file}, slipway.Usage, ""},
	} {
		app := App()
		var out, told bytes.Buffer
		app.Writer, app.ErrWriter = &out, &told
		assert.Equal(t, test.code, slipway.Execute(t.Context(), app, append([]string{"metrics"}, test.arguments...)), told.String())
		assert.Contains(t, out.String(), test.out)
	}
}
