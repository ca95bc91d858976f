//go:build lab

package faults

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/attacks"
	"slipway.dev/slipway/tests/e2e/site"
)

// Of the attacks by a Jenkinsfile some; make test-attacks plays all, and sees that production is untouched.
func TestSomeAttacksByAJenkinsfileAreRefused(t *testing.T) {
	chosen := map[string]bool{"calls the production pipeline": true, "calls the production pipeline with staging's account": true,
		"makes a pod in production": true, "makes a pod with production's account": true, "reads the password of production's database": true}
	files := map[string]string{}
	var all []attacks.Jenkinsfile
	for _, a := range attacks.Jenkinsfiles(prepared.Registry) {
		if chosen[a.Name] {
			all = append(all, a)
		}
	}
	require.Len(t, all, len(chosen))
	for i, a := range all {
		files[a.Name] = "Jenkinsfile.attack-" + string(rune('a'+i))
		require.NoError(t, prepared.Service.Write(files[a.Name], a.Script))
	}
	jenkinsfile(t, files[all[0].Name], all[0].Script) // and commits them all
	for _, a := range all {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			run, err := prepared.Run(t.Context(), site.Pipeline{Jenkinsfile: files[a.Name], Folder: a.Folder, Settings: quick()})
			require.NoError(t, err)
			assert.Contains(t, []string{"FAILURE", "ABORTED"}, run.Result(), run.Console)
			assert.Contains(t, run.Console, a.Says)
			assert.NotContains(t, run.Console, attacks.Inside)
			if a.Calls {
				assert.Regexp(t, attacks.Recorded, run.Record())
			}
		})
	}
}
