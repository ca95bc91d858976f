package phase

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
)

// The last phase of a run writes the page: of a run that came to its end only where the phase went well, of another one with what was
// undone.
func TestTheLastPhaseWritesThePage(t *testing.T) {
	const begun = `{"pipeline":"prodCanaryPipeline","app":"a","build":"b","began":"2026-11-30T20:00:00Z","ended":"2026-11-30T20:01:00Z",`
	for _, test := range []struct {
		record string
		failed error
		says   string // empty: there is no page
	}{
		{begun + `"outcome":"done","now":"production runs a"}`, nil, "production runs a"},
		{begun + `"outcome":"done"}`, errors.New("no"), ""},
		{begun + `"outcome":"failed","why":"unhealthy"}`, nil, "<dt>undone</dt><dd>canary: gone</dd>"},
		{begun + `"outcome":"stopped"}`, errors.New("the API server is away"), "canary: gone; not all could be undone: the API server is away"},
		{"{", nil, ""}, {"", nil, ""},
	} {
		file, told := filepath.Join(t.TempDir(), "slipway-release.html"), new(bytes.Buffer)
		logrus.SetOutput(told)
		set := flag.NewFlagSet("", flag.ContinueOnError)
		set.String("page", file, "")
		set.String("page-of", test.record, "")
		writePage(cli.NewContext(nil, set, nil), test.failed, takenBack(test.failed, []string{"canary: gone"}))
		body, err := os.ReadFile(file)
		if test.says == "" {
			assert.ErrorIs(t, err, os.ErrNotExist, test.record)
			assert.Equal(t, test.record == "{", told.Len() > 0, "a record that cannot be read is told")
			continue
		}
		require.NoError(t, err, test.record)
		assert.Contains(t, string(body), test.says)
	}
	logrus.SetOutput(os.Stderr)
}
