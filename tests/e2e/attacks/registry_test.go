//go:build lab

package attacks

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
)

// tag lets a tag of the service's repository name what another reference of it names, as anybody can who may push.
func tag(t *testing.T, name, reference string) {
	t.Helper()
	const mediaType = "application/vnd.docker.distribution.manifest.v2+json"
	path := "/v2/" + site.Image + "/manifests/"
	registry(t, http.MethodPut, path+name, mediaType, registry(t, http.MethodGet, path+reference, mediaType, nil))
}

// digestOf is the SHA-256 of the manifest that a tag of the service's repository names.
func digestOf(t *testing.T, name string) string {
	t.Helper()
	body := registry(t, http.MethodGet, "/v2/"+site.Image+"/manifests/"+name, "application/vnd.docker.distribution.manifest.v2+json", nil)
	return fmt.Sprintf("sha256:%x", sha256.Sum256(body))
}

// registry sends a request to the site's registry and gives the answer's body.
func registry(t *testing.T, method, path, mediaType string, body []byte) []byte {
	t.Helper()
	answer, err := prepared.AskRegistry(t.Context(), method, path, mediaType, body)
	require.NoError(t, err)
	return answer
}

// Who has the registry's login to push attaches evidence, without a signature and with one of a key that is not the site's.
func TestEvidenceIsForged(t *testing.T) {
	untouched(t, func() {
		dir := t.TempDir()
		run := func(env []string, name string, arguments ...string) (string, error) {
			return site.Command{Dir: dir, Env: env}.Run(t.Context(), name, arguments...)
		}
		for _, key := range []string{"site", "evil"} {
			_, err := run(nil, "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key+".key")
			require.NoError(t, err)
			_, err = run(nil, "openssl", "pkey", "-in", key+".key", "-pubout", "-out", key+".pub")
			require.NoError(t, err)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "statement"), []byte("ok"), 0o600))
		login := []string{"SLIPWAY_CA_FILE=" + os.Getenv("LAB_CA"), "REGISTRY_USERNAME=" + os.Getenv("LAB_REGISTRY_USER"),
			"REGISTRY_PASSWORD=" + os.Getenv("LAB_REGISTRY_PASSWORD")}
		bin := func(name string) string { return filepath.Join(prepared.Root, "bin", name) }
		tag(t, "latest-9999", "day-0")
		repository := prepared.Registry + "/" + site.Image
		digest := digestOf(t, "latest-9999")
		find := func(keys ...string) (string, error) {
			arguments := []string{"find", "--require", "staging-verified", "--at", "latest-9999"}
			for _, key := range keys {
				arguments = append(arguments, "--key", key)
			}
			return run(login, bin("phase"), append(arguments, repository)...)
		}
		for _, key := range []string{"", "evil.key"} {
			arguments := []string{"add", "--type", "staging-verified", "--file", "statement"}
			if key != "" {
				arguments = append(arguments, "--key", key)
			}
			_, err := run(login, bin("image-evidence"), append(arguments, repository+"@"+digest)...)
			require.NoError(t, err)
			_, err = find("site.pub")
			require.ErrorContains(t, err, "latest-9999 cannot be promoted")
		}
		out, err := find("evil.pub")
		require.NoError(t, err, "it is refused for its key, and for nothing else")
		assert.Contains(t, out, "latest-9999")
		promoted := play(t, "production", "@Library('slipway@v1') _\nprodCanaryPipeline(app: 'fastapi-app', image: 'fastapi-postgres-app', "+
			"imageTag: 'latest-9999')\n", quick())
		assert.Equal(t, "FAILURE", promoted.Result())
		assert.Contains(t, promoted.Console, "latest-9999 cannot be promoted")
		assert.Contains(t, promoted.Record(), `"outcome":"failed"`)
	})
}
