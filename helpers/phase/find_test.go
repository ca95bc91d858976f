package phase

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/registry"
)

// verified pushes an image of that commit, with the evidence that it was verified.
func verified(t *testing.T, client *registry.Client, reference, commit string) {
	t.Helper()
	image, err := random.Image(64, 1)
	require.NoError(t, err)
	image, err = mutate.Config(image, v1.Config{Labels: map[string]string{"org.opencontainers.image.revision": commit}})
	require.NoError(t, err)
	tag, err := name.ParseReference(reference)
	require.NoError(t, err)
	require.NoError(t, remote.Write(tag, image))
	digest, err := image.Digest()
	require.NoError(t, err)
	pinned, err := client.Digest(reference + "@" + digest.String())
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "evidence")
	require.NoError(t, os.WriteFile(file, []byte("said"), 0o600))
	_, err = client.AddEvidence(t.Context(), pinned, registry.Statement{Type: "staging-verified", File: file, Build: "1"})
	require.NoError(t, err)
}

// In a clone, or with one that is named, the commits say which of two images is newer, whatever their numbers are.
func TestCommitsSettleWhichImageIsNewer(t *testing.T) {
	c := newClone(t)
	older, newer := c.commit("a", "one"), c.commit("a", "two")
	server := httptest.NewServer(fake.New(fake.WithReferrersSupport(true), fake.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	client, err := registry.New(registry.Options{PlainHTTP: true})
	require.NoError(t, err)
	verified(t, client, host+"/app:latest-7", newer)
	verified(t, client, host+"/app:latest-8", older)
	for name, test := range map[string]struct {
		folder, named string
		exit          int
	}{
		"in the clone":          {c.dir, "", slipway.Conflict},
		"elsewhere":             {t.TempDir(), "", slipway.Done},
		"elsewhere, but named":  {t.TempDir(), c.dir, slipway.Conflict},
		"named, and no clone":   {c.dir, t.TempDir(), slipway.Usage},
		"in a clone of another": {newClone(t).dir, "", slipway.Done},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(test.folder)
			var stdout, stderr bytes.Buffer
			app := App()
			app.Writer, app.ErrWriter = &stdout, &stderr
			words := []string{"phase", "--answer", "find", "--plain-http", "--require", "staging-verified", "--git", test.named, host + "/app"}
			require.Equal(t, slipway.Done, slipway.Execute(t.Context(), app, words))
			var document struct {
				Exit   int
				Commit string
				Error  struct{ Message string }
			}
			require.NoError(t, json.Unmarshal(stdout.Bytes(), &document), stdout.String())
			assert.Equal(t, test.exit, document.Exit, document.Error.Message)
			switch test.exit {
			case slipway.Done:
				assert.Equal(t, older, document.Commit, "the highest number is all that is known")
			case slipway.Conflict:
				assert.Contains(t, document.Error.Message, "latest-8 has the highest number, and latest-7 is built from "+newer)
			}
		})
	}
}
