package registry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"
)

// fullCommit makes a commit's id of its first digits.
func fullCommit(digits string) string { return digits + strings.Repeat("0", 40-len(digits)) }

// newImage makes an image of random layers that says which commit it is built from.
func newImage(t *testing.T, revision string, size int64, layers int64) v1.Image {
	t.Helper()
	image, err := random.Image(size, layers)
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	config = config.DeepCopy()
	config.Config.Labels = map[string]string{"org.opencontainers.image.revision": fullCommit(revision)}
	config.OS, config.Architecture = "linux", "amd64"
	image, err = mutate.ConfigFile(image, config)
	require.NoError(t, err)
	return image
}

// writeTar writes the image as Kaniko does, whose --tar-path is this library's.
func writeTar(t *testing.T, image v1.Image) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	tag, err := name.NewTag("example.com/team/app:latest-1")
	require.NoError(t, err)
	require.NoError(t, tarball.WriteToFile(file, tag, image))
	return file
}

func digestOf(t *testing.T, image v1.Image) string {
	t.Helper()
	digest, err := image.Digest()
	require.NoError(t, err)
	return digest.String()
}

// release puts an image straight into the registry, past the front.
func release(t *testing.T, repository, tag string, image v1.Image) {
	t.Helper()
	reference, err := name.NewTag(upstream.Host+"/"+repository+":"+tag, name.Insecure)
	require.NoError(t, err)
	require.NoError(t, remote.Write(reference, image))
}

// statement writes a file to be attached.
func statement(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "statement.json")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}
