package registry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/lab/nexus"
)

// The way of an image through quarantine: pushed there, fetched by its digest, and copied to the releases without a layer sent again.
func TestAnImageGoesThroughQuarantineByItsDigest(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]string{"no fault": "", "busy": nexus.Busy, "a token that expires": nexus.Expiring} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			image := newImage(t, "1234567", 300_000, 3)
			release(t, "quarantine/app", "build-1", image)
			if fault != "" {
				s.Set(fault, "2")
			}
			folder := t.TempDir()
			file := filepath.Join(folder, "image.tar")
			digest := digestOf(t, image)
			got := s.helper(t, "slipway", "phase", "fetch", "--tar", file, s.Host+"/quarantine/app@"+digest, "-o", "json")
			require.Zero(t, got.Code, got.Stderr)
			var fetched struct{ Digest, Image string }
			got.json(t, &fetched)
			config, err := image.ConfigName()
			require.NoError(t, err)
			assert.Equal(t, config.String(), fetched.Image)
			assert.Equal(t, digest, fetched.Digest)
			scanned, err := tarball.ImageFromPath(file, nil) // Trivy reads it with this
			require.NoError(t, err)
			require.NoError(t, validate.Image(scanned))
			target := s.Host + "/releases/" + strings.ReplaceAll(name, " ", "-") + ":latest-1"
			got = s.helper(t, "nexus-push", "--tar", file, target, "--mount-from", s.Host+"/quarantine/app", "-o", "json")
			require.Zero(t, got.Code, got.Stderr)
			var pushed struct {
				Digest      string
				LayersSent  int
				LayersMount int `json:"layersMounted"`
			}
			got.json(t, &pushed)
			assert.Equal(t, digest, pushed.Digest, "what is released is what was fetched, scanned and approved")
			assert.Equal(t, []int{0, 3}, []int{pushed.LayersSent, pushed.LayersMount})
			pull(t, target)
		})
	}
}

func TestAFetchThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	image := newImage(t, "1234567", 1000, 1)
	release(t, "quarantine/none", "build-1", image)
	digest := digestOf(t, image)
	folder := t.TempDir()
	file := filepath.Join(folder, "image.tar")
	other := digestOf(t, newImage(t, "7654321", 10, 1))
	for _, test := range []struct {
		arguments []string
		code      int
		says      string
	}{
		{[]string{"--tar", file, s.Host + "/quarantine/none@" + other}, 1, "has no such thing"},
		{[]string{"--tar", file, s.Host + "/quarantine/elsewhere@" + digest}, 1, "has no such thing"},
		{[]string{"--tar", file, s.Host + "/quarantine/none:build-1"}, 2, "never a tag"},
		{[]string{"--tar", file}, 2, "needs one"},
		{[]string{s.Host + "/quarantine/none@" + digest}, 2, "needs --tar"},
		{[]string{"--tar", filepath.Join(folder, "no", "folder"), s.Host + "/quarantine/none@" + digest}, 2, "cannot be written"},
	} {
		got := s.helper(t, "slipway", append([]string{"phase", "fetch"}, test.arguments...)...)
		assert.Equal(t, test.code, got.Code, got.Stderr)
		assert.Contains(t, got.Stderr, test.says)
		assert.Empty(t, got.Stdout)
	}
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, left)
}
