//go:build lab

package faults

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
)

// release commits something, and lets staging verify it.
func release(t *testing.T, message string) site.Run {
	t.Helper()
	push(t, prepared.Service, message)
	run := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile"})
	require.Equal(t, "SUCCESS", run.Result(), run.Console)
	return run
}

// A known good release is one parameter away; what staging never verified is not.
func TestARollbackIsOneParameterAndLeavesTheDatabaseAlone(t *testing.T) {
	t.Parallel() // the only one of these that touches the reference service
	before := stableImage(t, "prod")
	defer back(t, "prod", before)
	older := release(t, "An older release")
	newer := release(t, "A newer release")
	shipped := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"yes"}, Settings: quick()})
	require.Equal(t, "SUCCESS", shipped.Result(), shipped.Console)
	assert.Equal(t, image(t, newer), stableImage(t, "prod"))

	settings := quick("SLIPWAY_IMAGE_TAG", tag(t, older))
	returned := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"yes"}, Settings: settings})
	require.Equal(t, "SUCCESS", returned.Result(), returned.Console)
	assert.Equal(t, image(t, older), stableImage(t, "prod"))
	assert.Contains(t, returned.Console, "the database is left as it is")
	assert.Contains(t, returned.Console, "commits that are removed again:")
	assert.Contains(t, returned.Console, "A newer release")
	valid(t, returned)

	unknown := play(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"yes"}, Settings: quick("SLIPWAY_IMAGE_TAG", "day-0")})
	assert.Equal(t, "FAILURE", unknown.Result())
	assert.Contains(t, unknown.Console, "day-0 cannot be promoted")
	assert.Equal(t, image(t, older), stableImage(t, "prod"))
	valid(t, unknown)
}

func record(t *testing.T, run site.Run) map[string]any {
	t.Helper()
	var r map[string]any
	require.NoError(t, json.Unmarshal([]byte(run.Record()), &r))
	return r
}

func image(t *testing.T, run site.Run) string { t.Helper(); return record(t, run)["image"].(string) }

func tag(t *testing.T, run site.Run) string {
	t.Helper()
	name, _, _ := strings.Cut(image(t, run), "@")
	return name[strings.LastIndex(name, ":")+1:]
}

func TestAStagingRunDuringAProductionRunLeavesItAlone(t *testing.T) {
	before := stableImage(t, "prod")
	signal, wait := atTheCanary(t, quick())
	promoting := kubectl(t, "get", "deployment/"+site.App+"-canary", "-n", "prod", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	newer := release(t, "While production is being approved")
	assert.NotEqual(t, promoting, image(t, newer))
	assert.Equal(t, promoting,
		kubectl(t, "get", "deployment/"+site.App+"-canary", "-n", "prod", "-o", "jsonpath={.spec.template.spec.containers[0].image}"))
	signal(syscall.SIGTERM)
	_, err := wait()
	require.NoError(t, err)
	assert.Empty(t, quiet(t))
	assert.Equal(t, before, stableImage(t, "prod"))
}

// Somebody deploys by hand while the approval waits: what was approved is no longer true.
func TestAStableThatChangedWhileTheApprovalWaitedIsNotOverwritten(t *testing.T) {
	before := stableImage(t, "prod")
	defer back(t, "prod", before)
	byHand := prepared.Registry + "/" + site.Image + "@" + before[len(before)-71:]
	run := meanwhile(t, site.Pipeline{Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"yes"}, Settings: quick("SLIPWAY_HOLD", "5s")},
		`^slipway phase judge `, func(site.Signal, int) {
			kubectl(t, "set", "image", "-n", "prod", "deployment/"+site.App, "app="+byHand)
		})
	assert.Equal(t, "FAILURE", run.Result())
	assert.Contains(t, run.Console, "was changed while the approval waited")
	assert.Contains(t, run.Console, "stable was left alone")
	assert.Equal(t, byHand, stableImage(t, "prod"))
	assert.Empty(t, quiet(t))
	valid(t, run)
}
