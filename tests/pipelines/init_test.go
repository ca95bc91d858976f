package pipelines

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// For the reference service, init writes the calls and the jobs that this repository has by hand.
func TestInitWritesTheReferenceServicesOwnCallsAndJobs(t *testing.T) {
	folder := t.TempDir()
	run(t, folder, "git", "init", "-q")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte(read(t, "Dockerfile")), 0o644))
	absolute, err := filepath.Abs(root)
	require.NoError(t, err)
	run(t, folder, filepath.Join(absolute, "bin/slipway"), "init", "--app", "fastapi-app", "--image", "fastapi-postgres-app",
		"--registry", "10.10.70.84:30051", "--health", "/healthz", "--smoke", "/version", "--git-url",
		"https://gitee.example/team/fastapi-app.git")
	written := func(name string) string {
		body, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		return string(body)
	}
	for _, name := range []string{"Jenkinsfile", "Jenkinsfile.prod"} {
		assert.Equal(t, read(t, name), written(name))
	}
	var jobs struct{ Jobs []struct{ Script string } }
	require.NoError(t, yaml.Unmarshal([]byte(written("slipway/jenkins.yaml")), &jobs))
	ours := scripts(t)[3:]
	require.Len(t, jobs.Jobs, len(ours))
	for i, job := range jobs.Jobs {
		assert.Equal(t, ours[i], job.Script)
	}
}
