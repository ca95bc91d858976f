package pipelines

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A plan that breaks the running version is refused, and who allows it says so to those who approve it.
func TestABreakingMigrationIsRefusedUnlessItIsAllowed(t *testing.T) {
	l := newLocal(t)
	breaking := []string{"REPLAY_FILES=" + l.recordings("breaking", "production-rejected", "production-stopped", "production")}
	play := func(arguments ...string) played {
		p, err := l.play(t.Context(), filepath.Join(t.TempDir(), "home"), "Jenkinsfile.prod", breaking, arguments...)
		require.NoError(t, err)
		assert.NoError(t, p.validRecord())
		return p
	}
	refused := play("--answer", "yes")
	assert.Equal(t, "FAILURE", refused.result, refused.console)
	assert.Contains(t, refused.console, "breaks the version that production runs now")
	assert.Contains(t, refused.console, "next   split it into steps that both versions can live with")
	assert.NotContains(t, refused.console, "Input requested", "nobody is asked for what is refused")
	assert.Equal(t, state{canary: "none", stable: "before", migration: "none"}, after(refused.calls))

	allowed := play("--env", "SLIPWAY_ALLOW_BREAKING=true", "--answer", "yes")
	assert.Equal(t, "SUCCESS", allowed.result, allowed.console)
	assert.Regexp(t, `Apply 1 migrations to the production database of fastapi-app\?\nBREAKING, and allowed by allowBreaking: .*\n.*004_drop_name.sql; 1 BREAKING`, allowed.console)
	assert.Contains(t, allowed.console, `"breaking":true`)
	assert.Equal(t, "applied", after(allowed.calls).migration)
}

// A folder's own library has nothing that the sandbox does not allow by itself: also
// not where it undoes.
func TestBothPipelinesRunAsAnUntrustedLibrary(t *testing.T) {
	l := newLocal(t)
	for name, scene := range map[string]struct {
		jenkinsfile, result string
		environment         []string
		arguments           []string
	}{
		"production":           {"Jenkinsfile.prod", "SUCCESS", nil, []string{"--answer", "yes"}},
		"production, rejected": {"Jenkinsfile.prod", "ABORTED", nil, []string{"--answer", "migrate=yes", "--answer", "promote=no"}},
		"production, failed":   {"Jenkinsfile.prod", "FAILURE", []string{"REPLAY_DIES=" + helperOf["promotion"]}, []string{"--answer", "yes"}},
		"production, Prometheus": {"Jenkinsfile.prod", "FAILURE", []string{"REPLAY_DIES=" + helperOf["canary health"]},
			[]string{"--answer", "yes", "--env", "SLIPWAY_PROMETHEUS_URL=http://prometheus.example"}},
		"staging":                 {"Jenkinsfile", "SUCCESS", nil, nil},
		"staging, not verified":   {"Jenkinsfile", "FAILURE", []string{"REPLAY_DIES=" + helperOf["deploy"]}, nil},
		"staging, Buildah":        {"Jenkinsfile", "SUCCESS", nil, []string{"--env", "SLIPWAY_BUILDER=buildah"}},
		"staging, another branch": {"Jenkinsfile", "SUCCESS", nil, []string{"--env", "SLIPWAY_BRANCH=main"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := l.play(t.Context(), filepath.Join(t.TempDir(), "home"), scene.jenkinsfile, scene.environment,
				append(scene.arguments, "--sandbox", "--untrusted")...)
			require.NoError(t, err)
			assert.Equal(t, scene.result, p.result, p.console)
			assert.NotContains(t, p.console, "Scripts not permitted to use")
			assert.NotContains(t, p.console, "RejectedAccessException")
			assert.NoError(t, p.validRecord())
			_, good := after(p.calls).acceptable(false)
			assert.True(t, good)
		})
	}
}
