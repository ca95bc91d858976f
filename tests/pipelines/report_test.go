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
		return l.production(t, []replay.Call{{Helper: "phase", Arguments: []string{"judge"}, Answer: answer}},
			append([]string{"--answer", "yes", "--env", "SLIPWAY_PROMETHEUS_URL=http://prometheus.example"}, arguments...)...)
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

// production plays the production pipeline, whose helpers answer this, and what was recorded of the other calls.
func (l *local) production(t *testing.T, answers []replay.Call, arguments ...string) played {
	t.Helper()
	body, err := json.Marshal(answers)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "answers.json")
	require.NoError(t, os.WriteFile(file, body, 0o600))
	recorded := l.recordings("production-rejected", "production-stopped", "production", "staging")
	p, err := l.play(t.Context(), filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod", nil,
		append([]string{"--env", "REPLAY_FILES=" + file + ":" + recorded}, arguments...)...)
	require.NoError(t, err)
	return p
}

// The last lines say that a run was rolled back only where something was undone.
func TestOnlyWhatWasUndoneWasRolledBack(t *testing.T) {
	l := newLocal(t)
	refused := replay.Call{Helper: "phase", Arguments: []string{"canary"},
		Answer: `{"exit":1,"error":{"message":"deployment/app has 0 pods","why":"","hint":"scale it up"}}`}
	undo := func(answer string) replay.Call {
		return replay.Call{Helper: "phase", Arguments: []string{"undo", "canary"}, Answer: answer}
	}
	nothing := undo(`{"exit":0,"stable":"","canary":"there is nothing to undo","undone":false}`)
	for name, test := range map[string]struct {
		answers  []replay.Call
		is, says string
	}{
		"undone": {[]replay.Call{refused, undo(`{"exit":0,"stable":"","canary":"all traffic is on stable again","undone":true}`)},
			"was rolled back", "canary: all traffic is on stable again"},
		"nothing to undo": {[]replay.Call{refused, nothing}, "failed", "canary: there is nothing to undo"},
		"not undone": {[]replay.Call{refused,
			undo(`{"exit":1,"stable":"","canary":"","undone":true,"error":{"message":"no right","why":"","hint":""}}`)},
			"failed", "next   slipway phase undo"},
		"stable has no pod": {[]replay.Call{refused, nothing, {Helper: "phase", Arguments: []string{"compare"},
			Answer: `{"exit":0,"from":"r/app:day-0@sha256:12","changes":true,"first":false,"idle":true,"replicas":2,"says":"",` +
				`"commits":"","previousCommit":""}`}},
			"failed", "production runs no pod, and has the image app:day-0"},
	} {
		p := l.production(t, test.answers, "--answer", "yes")
		assert.Equal(t, "FAILURE", p.result, p.console)
		assert.Contains(t, p.console, "slipway: production run 1 of fastapi-app "+test.is+"\n", name)
		assert.Contains(t, p.console, test.says, name)
	}
}
