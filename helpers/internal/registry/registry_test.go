package registry

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// serve starts a registry in memory; the real one is met on the lab.
func serve(t *testing.T, options ...fake.Option) (client *Client, host string) {
	t.Helper()
	server := httptest.NewServer(fake.New(append(options, fake.Logger(log.New(io.Discard, "", 0)))...))
	t.Cleanup(server.Close)
	return plain(t), strings.TrimPrefix(server.URL, "http://")
}

func plain(t *testing.T) *Client {
	t.Helper()
	client, err := New(Options{PlainHTTP: true, UserAgent: "test"})
	require.NoError(t, err)
	return client
}

func imageTar(t *testing.T, revision string) (v1.Image, string) {
	t.Helper()
	made, err := random.Image(1000, 2)
	require.NoError(t, err)
	file, err := made.ConfigFile()
	require.NoError(t, err)
	file = file.DeepCopy()
	file.Config.Labels = map[string]string{"org.opencontainers.image.revision": fullCommit(revision)}
	made, err = mutate.ConfigFile(made, file)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "image.tar")
	tag, err := name.NewTag("example.com/app:1")
	require.NoError(t, err)
	require.NoError(t, tarball.WriteToFile(path, tag, made))
	return made, path
}

// fullCommit makes a commit's id of its first digits.
func fullCommit(digits string) string { return digits + strings.Repeat("0", max(0, 40-len(digits))) }

// scanOfImage is a report of Trivy's about the image of that configuration.
func scanOfImage(id string) string {
	return `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{"ImageID":"` + id + `"},` +
		`"Results":[{"Class":"os-pkgs","Vulnerabilities":[{"Severity":"LOW"}]}]}`
}

func push(t *testing.T, client *Client, reference, revision string, evidence ...string) *Pushed {
	t.Helper()
	made, file := imageTar(t, revision)
	id, err := made.ConfigName()
	require.NoError(t, err)
	tag, err := client.Tag(reference)
	require.NoError(t, err)
	pushed, err := client.Push(t.Context(), tag, PushOptions{Tar: file})
	require.NoError(t, err)
	statement := filepath.Join(t.TempDir(), "statement.json")
	require.NoError(t, os.WriteFile(statement, []byte(scanOfImage(id.String())), 0o600))
	for _, kind := range evidence {
		_, err := client.AddEvidence(t.Context(), tag.Digest(pushed.Digest),
			Statement{Type: kind, File: statement, Build: "https://jenkins.example/1"})
		require.NoError(t, err)
	}
	return pushed
}

func TestCredentialsNeverGoOverASchemeThatWasNotAskedFor(t *testing.T) {
	var asked atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	defer server.Close()
	client, err := New(Options{Username: "u", Password: "p"})
	require.NoError(t, err)
	repository, err := client.Repository(strings.TrimPrefix(server.URL, "http://") + "/app")
	require.NoError(t, err)
	_, err = client.Tags(t.Context(), repository)
	require.Error(t, err)
	assert.False(t, asked.Load(), "a request was sent in clear")
	assert.NotContains(t, err.Error(), "p@")
}

func TestNamesAreCheckedAtTheBorder(t *testing.T) {
	client := plain(t)
	for _, text := range []string{"app", "team/app", "nexus.example/App", ""} {
		_, err := client.Repository(text)
		var known *slipway.Error
		require.True(t, errors.As(err, &known), text)
		assert.Equal(t, slipway.Usage, known.Code)
	}
	_, err := client.Digest("nexus.example/app:latest-1")
	assert.ErrorContains(t, err, "never a tag")
	digest, err := client.Digest("nexus.example:8083/app:latest-1@sha256:" + strings.Repeat("a", 64))
	require.NoError(t, err)
	assert.Equal(t, "nexus.example:8083/app@sha256:"+strings.Repeat("a", 64), digest.String())
	for text, hint := range map[string]string{
		"https://nexus.example:8083/team/app": "give nexus.example:8083/team/app; HTTPS",
		"HTTP://nexus.example/app":            "--plain-http", "docker://nexus.example/app": "give nexus.example/app",
	} {
		_, err := client.Repository(text)
		assert.ErrorContains(t, err, "begins with a scheme")
		assert.ErrorContains(t, err, hint)
		assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
	}
	for _, text := range []string{
		"https://u:hunter2@nexus.example/app", "u:hunter2@nexus.example/app", "https://u:hunter2@x/y@nexus.example/app",
		"u:hunter2@nexus.example:8083",
		"u:hunter2/z@nexus.example/app@sha256:" + strings.Repeat("a", 64), "nexus.example/app@sha256:hunter2",
	} {
		_, err := client.Repository(text)
		assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
		assert.NotContains(t, err.Error(), "hunter2")
		_, err = client.Tag(text)
		assert.NotContains(t, err.Error(), "hunter2")
		_, err = client.Digest(text)
		assert.NotContains(t, err.Error(), "hunter2")
	}
	for _, host := range []string{"https://tokens.example", "u:p@tokens.example", "tokens.example/v2"} {
		_, err := New(Options{TokenHost: host})
		assert.Equal(t, slipway.Usage, slipway.AsError(err).Code, host)
		assert.NotContains(t, err.Error(), "u:p")
	}
}
