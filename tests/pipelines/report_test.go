package pipelines

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/pipelines/replay"
)

// The analysis' page is archived whatever the verdict is, and a page that is lost stops no run.
func TestTheAnalysisPageIsArchivedAndALostOneStopsNothing(t *testing.T) {
	l := newLocal(t)
	judged := func(answer string, arguments ...string) played {
		body, err := json.Marshal([]replay.Call{{Helper: "phase", Arguments: []string{"judge"}, Answer: answer}})
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "analyze.json")
		require.NoError(t, os.WriteFile(file, body, 0o600))
		p, err := l.play(t.Context(), filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod", nil,
			append([]string{"--answer", "yes", "--env", "SLIPWAY_PROMETHEUS_URL=http://prometheus.example", "--env", "REPLAY_FILES=" + file + ":" + l.recordings("production-rejected", "production-stopped", "production", "staging")}, arguments...)...)
		require.NoError(t, err)
		return p
	}
	archives := func(p played) step {
		steps, err := p.steps()
		require.NoError(t, err)
		for _, s := range steps {
			if s.function == "archiveArtifacts" && s.stage == "Deploy Canary" {
				return s
			}
		}
		t.Fatal("nothing is archived in Deploy Canary: ", p.console)
		return step{}
	}
	healthy := `{"exit":0,"verdict":"healthy","summary":"canary healthy: as the analysis says"}`
	none := judged(healthy)
	assert.Equal(t, "SUCCESS", none.result, none.console)
	assert.Contains(t, none.console, "canary healthy: as the analysis says")
	lost := judged(healthy, "--at", fmt.Sprintf("%d=fail", archives(none).number))
	assert.Equal(t, "SUCCESS", lost.result, lost.console)
	assert.Contains(t, lost.console, "the analysis' page could not be archived")
	unhealthy := judged(`{"exit":1,"error":{"message":"canary unhealthy: it fails more often than stable","why":"","hint":"read the page"}}`)
	assert.Equal(t, "FAILURE", unhealthy.result, unhealthy.console)
	assert.Contains(t, unhealthy.console, "why    canary health: canary unhealthy: it fails more often than stable")
	assert.Contains(t, unhealthy.console, "next   read the page")
	archives(unhealthy)
}
