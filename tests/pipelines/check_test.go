package pipelines

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/pipelines/replay"
)

// checks plays a job of the folder production, whose script is the step alone, with what slipway check would answer.
func (l *local) checks(t *testing.T, script, answer string) played {
	t.Helper()
	folder := t.TempDir()
	job := filepath.Join(folder, "Jenkinsfile.prod")
	require.NoError(t, os.WriteFile(job, []byte("@Library('slipway') _\n"+script+"\n"), 0o600))
	body, err := json.Marshal([]replay.Call{{Helper: "check", Answer: answer}})
	require.NoError(t, err)
	recorded := filepath.Join(folder, "check.json")
	require.NoError(t, os.WriteFile(recorded, body, 0o600))
	return l.mustPlay(t, filepath.Join(folder, "home"), job, []string{"REPLAY_FILES=" + recorded,
		"REPLAY_ENVIRONMENT=SLIPWAY_APP,SLIPWAY_NAMESPACE,SLIPWAY_REPOSITORY,PGHOST,PGUSER,REGISTRY_USERNAME,JENKINS_USER_ID,PROMETHEUS_URL"})
}

const slipwayCheck = "slipwayCheck(app: 'fastapi-app', image: 'fastapi-postgres-app', prometheusUrl: 'http://prometheus.example:9090'"

// The step asks from a pod of the production pipeline, with its credentials, and in one shell.
func TestTheStepChecksWithWhatThePipelineHas(t *testing.T) {
	l := newLocal(t)
	p := l.checks(t, slipwayCheck+")", `{"exit":0,"ok":61,"missing":"","warnings":"service-budget","skipped":9}`)
	require.Equal(t, "SUCCESS", p.result, p.console)
	assert.Contains(t, p.console, "check: nothing is missing; warnings: service-budget")
	require.Len(t, p.calls, 2)
	asked := p.calls[0]
	assert.Equal(t, "check", asked.Key)
	assert.Equal(t, "--interval 30s", strings.Join(asked.Arguments, " "))
	assert.Equal(t, map[string]string{"SLIPWAY_APP": "fastapi-app", "SLIPWAY_NAMESPACE": "prod", "PGUSER": "app", "REGISTRY_USERNAME": "nexus",
		"SLIPWAY_REPOSITORY": "10.10.70.84:30051/fastapi-postgres-app", "PGHOST": "postgres-0.postgres.prod.svc.cluster.local",
		"PROMETHEUS_URL": "http://prometheus.example:9090"}, asked.Environment)
}

func TestTheStepFailsWhereSomethingIsMissing(t *testing.T) {
	l := newLocal(t)
	p := l.checks(t, slipwayCheck+")", `{"exit":1,"missing":"pull-secret","warnings":"",`+
		`"error":{"message":"the site lacks one thing: pull-secret"}}`)
	assert.Equal(t, "FAILURE", p.result)
	assert.Contains(t, p.console, "check: the site lacks one thing: pull-secret")
}

func TestTheStepNamesAParameterThatIsWrong(t *testing.T) {
	l := newLocal(t)
	p := l.checks(t, slipwayCheck+", namespaces: 'prod')", `{"exit":0}`)
	assert.Equal(t, "FAILURE", p.result)
	assert.Contains(t, p.console, "namespaces")
	assert.Empty(t, p.calls)
}
