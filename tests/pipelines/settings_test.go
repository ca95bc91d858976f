package pipelines

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A site's value for one pipeline wins over its value for both, and loses against the call's.
func TestASiteHasValuesOfItsOwnForEachPipeline(t *testing.T) {
	l := newLocal(t)
	l.with(t, "Jenkinsfile.prod-given", "@Library('slipway@v1') _\nprodCanaryPipeline(app: 'fastapi-app', approvalTimeout: 6)\n")
	for name, c := range map[string]struct {
		jenkinsfile string
		site        []string
		says        string
	}{
		"both":                  {"Jenkinsfile.prod", []string{"SLIPWAY_APPROVAL_TIMEOUT=8"}, "timed out after 8 min\n"},
		"its own":               {"Jenkinsfile.prod", []string{"SLIPWAY_PRODUCTION_APPROVAL_TIMEOUT=7", "SLIPWAY_APPROVAL_TIMEOUT=8"}, "timed out after 7 min\n"},
		"its own is empty":      {"Jenkinsfile.prod", []string{"SLIPWAY_PRODUCTION_APPROVAL_TIMEOUT=", "SLIPWAY_APPROVAL_TIMEOUT=8"}, "timed out after 8 min\n"},
		"the other pipeline's":  {"Jenkinsfile.prod", []string{"SLIPWAY_STAGING_APPROVAL_TIMEOUT=9"}, "timed out after 30 min\n"},
		"the call's":            {"Jenkinsfile.prod-given", []string{"SLIPWAY_PRODUCTION_APPROVAL_TIMEOUT=7"}, "timed out after 6 min\n"},
		"a mistake of its own":  {"Jenkinsfile.prod", []string{"SLIPWAY_PRODUCTION_HOLD=long"}, "hold 'long' (the site's SLIPWAY_PRODUCTION_HOLD) is not a duration"},
		"a mistake for staging": {"Jenkinsfile", []string{"SLIPWAY_STAGING_DB_NAME=mydb ", "SLIPWAY_DB_NAME=x"}, "(the site's SLIPWAY_STAGING_DB_NAME) is not a text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arguments := []string{"--answer", "migrate=timeout"}
			for _, variable := range c.site {
				arguments = append(arguments, "--env", variable)
			}
			p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), c.jenkinsfile, nil, arguments...)
			assert.Contains(t, p.console, c.says, p.console)
		})
	}
}
