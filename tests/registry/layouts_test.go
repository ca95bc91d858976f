package registry

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ociLayout is an OCI layout that is written blob by blob.
type ociLayout struct {
	folder string
	index  v1.IndexManifest
}

func newLayout(t *testing.T) *ociLayout {
	t.Helper()
	l := &ociLayout{folder: t.TempDir(), index: v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}}
	require.NoError(t, os.MkdirAll(filepath.Join(l.folder, "blobs", "sha256"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(l.folder, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
	return l
}

func (l *ociLayout) blob(t *testing.T, mediaType types.MediaType, body []byte) v1.Descriptor {
	t.Helper()
	d := v1.Descriptor{MediaType: mediaType, Size: int64(len(body)),
		Digest: v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(body))}}
	require.NoError(t, os.WriteFile(filepath.Join(l.folder, "blobs", "sha256", d.Digest.Hex), body, 0o600))
	return d
}

func (l *ociLayout) document(t *testing.T, mediaType types.MediaType, document any) v1.Descriptor {
	t.Helper()
	body, err := json.Marshal(document)
	require.NoError(t, err)
	return l.blob(t, mediaType, body)
}

// image writes an image of one layer; unpacked is what is in the layer.
func (l *ociLayout) image(t *testing.T, layerType types.MediaType, layer, unpacked []byte) v1.Descriptor {
	t.Helper()
	config := map[string]any{"architecture": "amd64", "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(unpacked))}}}
	return l.document(t, types.OCIManifestSchema1, v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: l.document(t, types.OCIConfigJSON, config), Layers: []v1.Descriptor{l.blob(t, layerType, layer)}})
}

// artifact writes one about the subject, or about nothing.
func (l *ociLayout) artifact(t *testing.T, kind string, subject *v1.Descriptor) v1.Descriptor {
	t.Helper()
	return l.document(t, types.OCIManifestSchema1,
		map[string]any{"schemaVersion": 2, "mediaType": types.OCIManifestSchema1, "artifactType": kind, "subject": subject,
			"config": l.blob(t, "application/vnd.oci.empty.v1+json",
				[]byte("{}")), "layers": []any{l.blob(t, types.MediaType(kind), []byte(`{"of":"`+kind+`"}`))}})
}

func (l *ociLayout) tar(t *testing.T, manifests ...v1.Descriptor) string {
	t.Helper()
	l.index.Manifests = manifests
	body, err := json.Marshal(l.index)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(l.folder, "index.json"), body, 0o600))
	file := filepath.Join(t.TempDir(), "layout.tar")
	out, err := exec.Command("tar", "-C", l.folder, "-cf", file, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return file
}

// What lies beside the image in a tar is named: bills of materials and attestations
// with the image as their subject, in the layout's index or in one below it.
func TestArtifactsBesideTheImageAreNamed(t *testing.T) {
	t.Parallel()
	l := newLayout(t)
	image := l.image(t, types.OCIUncompressedLayer, []byte("layer"), []byte("layer"))
	bill, chart := l.artifact(t, "application/spdx+json", &image), l.artifact(t, "application/vnd.cncf.helm.chart", nil)
	nested := l.document(t, types.OCIImageIndex,
		v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{bill, image}})
	attestation := l.image(t, "application/vnd.in-toto+json", []byte("{}"), []byte("{}"))
	attestation.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
	named := image
	named.Annotations = map[string]string{"org.opencontainers.image.ref.name": "latest"}
	s := newSite(t)
	for number, test := range []struct {
		manifests []v1.Descriptor
		says      []string
	}{
		{[]v1.Descriptor{image}, nil},
		{[]v1.Descriptor{image, named, bill}, []string{"application/spdx+json"}},
		{[]v1.Descriptor{bill, image}, []string{"application/spdx+json"}},
		{[]v1.Descriptor{image, bill, chart, attestation}, []string{"application/spdx+json", "helm.chart", "an attestation"}},
		{[]v1.Descriptor{nested}, []string{"application/spdx+json"}},
		{[]v1.Descriptor{nested, bill, chart}, []string{"application/spdx+json", "helm.chart"}},
	} {
		got := s.helper(t, "nexus-push", "--tar", l.tar(t, test.manifests...), fmt.Sprintf("%s/layouts/app:latest-%d", s.Host, number))
		require.Zero(t, got.Code, "%d: %s", number, got.Stderr)
		assert.Contains(t, got.Stdout, "@"+image.Digest.String(), number)
		for _, one := range test.says {
			assert.Contains(t, got.Stderr, one, number)
		}
		if test.says == nil {
			assert.Empty(t, got.Stderr)
		}
	}
	got := s.helper(t, "nexus-push", "--tar", l.tar(t, bill, chart), s.Host+"/layouts/app:latest-9")
	assert.Equal(t, 2, got.Code)
	assert.Contains(t, got.Stderr, "a layout without an image, which holds an artifact (application/spdx+json)")
}

// Of two images that have names, the hint names one, and skopeo takes it.
func TestOfImagesWithNamesTheHintNamesOne(t *testing.T) {
	t.Parallel()
	l := newLayout(t)
	var both []v1.Descriptor
	for _, text := range []string{"one", "two"} {
		image := l.image(t, types.OCIUncompressedLayer, []byte(text), []byte(text))
		image.Annotations = map[string]string{"org.opencontainers.image.ref.name": text}
		both = append(both, image)
	}
	file := l.tar(t, append(both, l.artifact(t, "application/spdx+json", &both[0]))...)
	s := newSite(t)
	got := s.helper(t, "nexus-push", "--tar", file, s.Host+"/layouts/app:latest-10")
	assert.Equal(t, 2, got.Code)
	hint := fmt.Sprintf("skopeo copy oci-archive:%s:one oci-archive:one.tar", file)
	require.Contains(t, got.Stderr, hint)
	words, folder := strings.Fields(hint), t.TempDir()
	tool(t, folder, words[0], append([]string{"--insecure-policy"}, words[1:]...)...)
	got = s.helper(t, "nexus-push", "--tar", filepath.Join(folder, "one.tar"), s.Host+"/layouts/app:latest-10")
	assert.Zero(t, got.Code, got.Stderr)
}

// zstd compresses with a large window where it is asked to compress well, or does not know the size.
func TestLayersWithLargeWindows(t *testing.T) {
	t.Parallel()
	plain := []byte(strings.Repeat("a layer of an image\n", 50_000))
	s := newSite(t)
	for number, test := range []struct {
		flags  []string
		window int64 // MB
	}{{[]string{"-3"}, 2}, {[]string{"--ultra", "-22"}, 128}, {[]string{"--long=27"}, 128}, {[]string{"--long=29"}, 512}} {
		flags := test.flags
		command := exec.Command("zstd", append(flags, "-q", "-c")...)
		command.Stdin = strings.NewReader(string(plain)) // of a size that it does not know
		packed, err := command.Output()
		require.NoError(t, err, flags)
		l := newLayout(t)
		got := s.helper(t, "nexus-push", "--tar", l.tar(t, l.image(t, types.OCILayerZStd, packed, plain)),
			fmt.Sprintf("%s/windows/app:latest-%d", s.Host, number))
		require.Zero(t, got.Code, "%v: %s", flags, got.Stderr)
		assert.LessOrEqual(t, got.Memory, (64+test.window)<<10, "kB: no more than the window beside the program")

		l = newLayout(t)
		packed[len(packed)/2] ^= 0xff
		got = s.helper(t, "nexus-push", "--tar", l.tar(t, l.image(t, types.OCILayerZStd, packed, plain)),
			fmt.Sprintf("%s/windows/app:damaged-%d", s.Host, number))
		assert.Equal(t, 2, got.Code, flags)
	}
}
