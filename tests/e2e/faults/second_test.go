//go:build lab

package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
)

// A service that has nothing in common with the reference service but the one-line
// call: Go, without a database, with its own Dockerfile and names, built by Buildah, behind a gateway.
func TestAnotherServiceIsDeliveredByTheSameCall(t *testing.T) {
	if os.Getenv("LAB_GATEWAY_URL") == "" {
		t.Skip("the lab has no gateway: lab setup traefik, then lab run --with gateway,...")
	}
	t.Parallel()
	ctx := t.Context()
	source := filepath.Join(prepared.Root, "tests/e2e/second/service")
	repository, err := site.CreateRepository(ctx, source, t.TempDir(), prepared.GitURL("greeter"))
	require.NoError(t, err)
	require.NoError(t, site.BuildGreeter(ctx, prepared.Root, repository.Dir))
	image, err := prepared.Build(ctx, repository.Dir, prepared.Registry+"/team/greeter:day-0", "--build-arg", "VERSION=day-0")
	require.NoError(t, err)
	deploy(t, source, image)

	push(t, repository, "Greet")
	staging := play(t, site.Pipeline{Repository: "greeter", Jenkinsfile: "Jenkinsfile"})
	require.Equal(t, "SUCCESS", staging.Result(), staging.Console)
	assert.Contains(t, staging.Console, "there is no folder migrations: this service has no database to migrate")
	assert.LessOrEqual(t, staging.Shells, 8)
	first := play(t, site.Pipeline{Repository: "greeter", Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"yes"}, Settings: quick()})
	require.Equal(t, "SUCCESS", first.Result(), first.Console)
	assert.Contains(t, first.Console, "there is no folder migrations")
	assert.NotContains(t, first.Console, "Apply ")
	assert.LessOrEqual(t, first.Shells, 8)
	for _, run := range []site.Run{staging, first} {
		valid(t, run)
	}
	running := kubectl(t, "get", "deployment/greeter", "-n", "prod", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	assert.Contains(t, running, "team/greeter:latest-1@sha256:")
	assert.Equal(t, running,
		kubectl(t, "get", "deployment/greeter", "-n", "staging", "-o", "jsonpath={.spec.template.spec.containers[0].image}"))
	assert.Equal(t, "100 0",
		kubectl(t, "get", "httproute/greeter", "-n", "prod", "-o",
			"jsonpath={.spec.rules[0].backendRefs[0].weight} {.spec.rules[0].backendRefs[1].weight}"))
	assert.Equal(t, "0", kubectl(t, "get", "deployment/greeter-canary", "-n", "prod", "-o", "jsonpath={.spec.replicas}"))

	again := play(t, site.Pipeline{Repository: "greeter", Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"yes"}})
	assert.Equal(t, "SUCCESS", again.Result())
	assert.Contains(t, again.Console, "there is nothing to try")
	assert.NotContains(t, again.Console, "Input requested", "nobody is asked to approve nothing")
}

// deploy puts the service into both namespaces as somebody once did by hand.
func deploy(t *testing.T, source, image string) {
	t.Helper()
	template, err := os.ReadFile(filepath.Join(source, "deployment.yaml"))
	require.NoError(t, err)
	for namespace, deployments := range map[string]map[string]string{"staging": {"greeter": "1"},
		"prod": {"greeter": "2", "greeter-canary": "0"}} {
		kubectl(t, "apply", "-n", namespace, "-f", filepath.Join(source, "services.yaml"))
		for name, replicas := range deployments {
			require.NoError(t, site.Apply(t.Context(),
				strings.NewReplacer("NAME", name, "REPLICAS", replicas, "IMAGE", image).Replace(string(template)), "-n", namespace))
		}
	}
	kubectl(t, "apply", "-n", "prod", "-f", filepath.Join(source, "gateway.yaml"))
}

func push(t *testing.T, repository *site.Repository, message string) {
	t.Helper()
	_, err := repository.Commit(t.Context(), message)
	require.NoError(t, err)
	require.NoError(t, repository.Push(t.Context(), "Staging"))
}
