package record

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const one = `{"version":1,"pipeline":"prodCanaryPipeline","app":"a","build":"b/1","began":"2026-11-30T20:07:14Z",
"ended":"2026-11-30T20:09:14Z","outcome":"done","of":"another version"}`

const earlier = `{"pipeline":"stagingPipeline","app":"a","build":"b/0","began":"2026-11-30T20:00:00Z","ended":"2026-11-30T20:01:00Z",
"outcome":"stopped"}`

func write(t *testing.T, folder, name, body string) string {
	t.Helper()
	file := filepath.Join(folder, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(body), 0o600))
	return file
}

func TestLoad(t *testing.T) {
	folder := t.TempDir()
	first := write(t, folder, "jobs/a/builds/1/archive/slipway-record.json", one)
	write(t, folder, "jobs/a/builds/0/archive/slipway-record-2.json", earlier)
	write(t, folder, "jobs/a/builds/0/archive/other.json", "{")
	records, err := Load([]string{first, folder})
	require.NoError(t, err)
	require.Len(t, records, 2, "a run that is there twice is one")
	assert.Equal(t, []string{"b/0", "b/1"}, []string{records[0].Build, records[1].Build})
	assert.Equal(t, "b/0", Last(records, func(r Record) bool { return r.Outcome == Stopped }).Build)
	assert.Nil(t, Last(records, func(r Record) bool { return r.App == "other" }))

	records, err = Load([]string{t.TempDir()})
	require.NoError(t, err, "a folder without records has none")
	assert.Empty(t, records)
}

func TestEachMistakeIsNamed(t *testing.T) {
	for name, body := range map[string]string{
		"neither": `{"pipeline":"x"}`, "none of done": `{"pipeline":"stagingPipeline","outcome":"green"}`,
		"no field app":   `{"pipeline":"stagingPipeline","outcome":"done"}`,
		"in their order": `{"pipeline":"stagingPipeline","outcome":"done","app":"a","build":"b","began":"2026-11-30T20:00:00Z"}`,
		"unexpected end": `{`, "cannot unmarshal": `[]`, "parsing time": `{"began":"yesterday"}`,
	} {
		_, err := Load([]string{write(t, t.TempDir(), "slipway-record.json", body)})
		assert.ErrorContains(t, err, name)
	}
	_, err := Load([]string{filepath.Join(t.TempDir(), "absent")})
	assert.ErrorContains(t, err, "no such file")
	folder := t.TempDir()
	_, err = Load([]string{write(t, folder, "slipway-record.json", "{"), write(t, folder, "slipway-record\x1b.json", "{")})
	assert.ErrorContains(t, err, "2 of 2 records cannot be read")
	assert.NotContains(t, err.Error(), "\x1b")
}
