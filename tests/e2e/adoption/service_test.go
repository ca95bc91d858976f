//go:build lab

package adoption

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
)

// newService begins with a repository that has nothing of Slipway, and follows what slipway init says until production runs it.
func newService(t *testing.T) {
	t.Helper()
	absolute, err := filepath.Abs(root)
	require.NoError(t, err)
	for _, namespace := range site.Agents[1:] {
		kubectl(t, "create", "configmap", "registry-ca", "-n", namespace, "--from-file=ca.crt="+os.Getenv("LAB_CA"))
	}
	s, err := site.Adopted(t.Context(), absolute, t.TempDir(), os.Getenv("LAB_REGISTRY")+"/slipway-agent:v1")
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	folder := emptyService(t, s.GitURL("orders"))
	shell := func(command string) string {
		t.Helper()
		out, err := site.Command{Dir: folder, Env: append(author, "PATH="+filepath.Join(absolute, "bin")+":"+os.Getenv("PATH"),
			"CASC_JENKINS_CONFIG="+t.TempDir(), "SLIPWAY_REGISTRY="+s.Registry)}.Run(t.Context(), "bash", "-c", command)
		require.NoError(t, err, out)
		return out
	}

	begin := time.Now()
	var said struct{ Next []string }
	require.NoError(t, json.Unmarshal([]byte(shell("slipway init --health / --database mydb -o json"+
		" --staging-db-host postgres-0.postgres.db-staging.svc.cluster.local"+
		" --production-db-host postgres-0.postgres.db-prod.svc.cluster.local")), &said))
	commands := 1
	for _, command := range said.Next {
		if commands++; strings.Contains(command, "if it does not exist") {
			continue // the README's commands have made it; it counts all the same
		}
		if strings.HasPrefix(command, "kubectl create -k ") {
			shell(command + " --dry-run=server")
		}
		shell(command)
	}
	shell("kubectl apply --dry-run=server -k k8s/staging && kubectl apply --dry-run=server -k k8s/prod")
	shell("slipway policy check slipway/policy.yaml")
	assert.LessOrEqual(t, commands, 10, "from init to the push of the first release: %q", said.Next)
	staging, err := s.Run(t.Context(), site.Pipeline{Repository: "orders", Jenkinsfile: "Jenkinsfile"})
	require.NoError(t, err)
	require.Equal(t, "SUCCESS", staging.Result(), staging.Console)
	assert.Contains(t, staging.Record(), "staging-verified")
	t.Logf("from init to a verified release in staging: %d commands, %s", commands, time.Since(begin).Round(time.Second))

	production, err := s.Run(t.Context(), site.Pipeline{Repository: "orders", Jenkinsfile: "Jenkinsfile.prod", Answers: []string{"yes"}})
	require.NoError(t, err)
	require.Equal(t, "SUCCESS", production.Result(), production.Console)
	t.Logf("from init to production: %s", time.Since(begin).Round(time.Second))
	const running = "jsonpath={.spec.template.spec.containers[0].image} {.status.readyReplicas}"
	image, ready, _ := strings.Cut(kubectl(t, "get", "deployment/orders", "-n", "prod", "-o", running), " ")
	assert.Contains(t, image, "/orders:latest-1@sha256:")
	assert.Equal(t, "9", ready)
	assert.Equal(t, image+" 1", kubectl(t, "get", "deployment/orders", "-n", "staging", "-o", running))
	shell("kubectl apply -k k8s/prod")
	assert.Equal(t, image+" 9", kubectl(t, "get", "deployment/orders", "-n", "prod", "-o", running), "the manifests, applied again")
	kubectl(t, "create", "job", "reaped", "-n", "prod", "--from=cronjob/orders-canary-reaper")
	kubectl(t, "wait", "job/reaped", "-n", "prod", "--for=condition=complete", "--timeout=2m")
}

var author = []string{"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada",
	"GIT_COMMITTER_EMAIL=ada@example.com", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0"}

// emptyService is a repository with a program, its Dockerfile and a migration, and nothing else.
func emptyService(t *testing.T, remote string) string {
	t.Helper()
	absolute, err := filepath.Abs(root)
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, site.BuildGreeter(t.Context(), absolute, folder))
	require.NoError(t, os.Mkdir(filepath.Join(folder, "migrations"), 0o755))
	for name, text := range map[string]string{
		"Dockerfile": "FROM scratch\nARG VERSION=development\nARG COMMIT=unknown\nENV APP_VERSION=$VERSION APP_COMMIT=$COMMIT PORT=8080\n" +
			"COPY greeter /greeter\nEXPOSE $PORT\nUSER 10001:10001\nCMD [\"/greeter\"]\n",
		"migrations/001_orders.sql": "CREATE TABLE orders (id bigint PRIMARY KEY);\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644))
	}
	for _, arguments := range [][]string{{"init", "-q", "-b", "main"}, {"remote", "add", "origin", remote},
		{"config", "http.postBuffer", "104857600"}, {"add", "-A"}, {"commit", "-q", "-m", "The service"}} {
		_, err := site.Command{Dir: folder, Env: author}.Run(t.Context(), "git", arguments...)
		require.NoError(t, err)
	}
	return folder
}
