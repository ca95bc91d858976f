package registry

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

var standard = regexp.MustCompile(DefaultPattern)

func TestTheNewestWithEvidenceIsTakenAndWhatIsNewerIsNamed(t *testing.T) {
	client, host := serve(t)
	push(t, client, host+"/app:latest-9", "c9c9c9c9c9c9", "staging-verified")
	verified := push(t, client, host+"/app:latest-10", "c10", "scan", "staging-verified")
	push(t, client, host+"/app:latest-11", "c11", "scan")
	push(t, client, host+"/app:feature", "x")
	repository, err := client.Repository(host + "/app")
	require.NoError(t, err)

	found, err := client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}})
	require.NoError(t, err)
	assert.Equal(t, verified.Reference, found.Reference)
	assert.Equal(t, fullCommit("c10"), found.Revision)
	require.Len(t, found.PassedOver, 1)
	assert.Equal(t, "latest-11", found.PassedOver[0].Tag)
	assert.Equal(t, "no evidence of staging-verified", found.PassedOver[0].Why)
	assert.Len(t, found.Evidence, 2)

	found, err = client.Latest(t.Context(), repository, Search{Pattern: standard})
	require.NoError(t, err)
	assert.Equal(t, "latest-11", found.Tag)

	found, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}, At: "latest-9"})
	require.NoError(t, err)
	assert.Equal(t, "latest-9", found.Tag)

	_, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}, At: "latest-11"})
	assert.Equal(t, slipway.No, slipway.AsError(err).Code)
	_, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"signed"}})
	assert.ErrorContains(t, err, "no image of")
	_, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}, Revision: "c9c9c9c9"})
	require.NoError(t, err)
}

func TestOrder(t *testing.T) {
	for _, test := range []struct {
		name      string
		tags      []string
		want      []string
		unmatched int
		fails     string
	}{
		{name: "by number, not by letter", tags: []string{"latest-9", "latest-10", "latest-100"},
			want: []string{"latest-100", "latest-10", "latest-9"}},
		{name: "numbers of any length", tags: []string{"latest-99999999999999999999", "latest-100000000000000000000"},
			want: []string{"latest-100000000000000000000", "latest-99999999999999999999"}},
		{name: "others are counted", tags: []string{"latest", "v1", "latest-1", "latest-1b"}, want: []string{"latest-1"}, unmatched: 3},
		{name: "one number twice", tags: []string{"latest-7", "latest-007"}, fails: "have the same number"},
		{name: "none", want: []string{}},
		{name: "not in the order of their letters", tags: []string{"latest-3", "latest-2", "latest-005", "latest-10"},
			want: []string{"latest-10", "latest-005", "latest-3", "latest-2"}},
		{name: "another's prefix, no number, signs", tags: []string{"latest-", "latest-+1", "latest_1", "xlatest-1", "latest-1-1", "latest-0"},
			want: []string{"latest-0"}, unmatched: 5},
	} {
		for _, pattern := range []*regexp.Regexp{standard, regexp.MustCompile(`^(?:latest)-([0-9]+)$`)} { // read without and with the expression
			ordered, unmatched, err := Order(test.tags, pattern)
			if test.fails != "" {
				assert.ErrorContains(t, err, test.fails, test.name)
				continue
			}
			require.NoError(t, err, test.name)
			assert.Equal(t, test.want, ordered, test.name)
			assert.Equal(t, test.unmatched, unmatched, test.name)
		}
	}
}

func TestVersionsAreOrderedPartByPart(t *testing.T) {
	pattern, err := Pattern(`^v?([0-9]+)\.([0-9]+)\.([0-9]+)$`)
	require.NoError(t, err)
	ordered, unmatched, err := Order([]string{"1.4.8", "1.10.0", "v1.9.30", "2.0", "0.99.99", "1.4.10", "latest-7", "10.0.0"}, pattern)
	require.NoError(t, err)
	assert.Equal(t, []string{"10.0.0", "1.10.0", "v1.9.30", "1.4.10", "1.4.8", "0.99.99"}, ordered)
	assert.Equal(t, 2, unmatched)
	_, _, err = Order([]string{"1.4.8", "v1.4.08"}, pattern)
	assert.ErrorContains(t, err, "have the same number")
	// What has no number in one of several groups is neither newer nor older than what has.
	pattern, err = Pattern(`^v([0-9]+)\.([0-9]+)(?:-rc\.([0-9]+))?$`)
	require.NoError(t, err)
	_, _, err = Order([]string{"v2.0", "v2.0-rc.1"}, pattern)
	assert.ErrorContains(t, err, "of the tag v2.0, or nothing in one of its groups")
	ordered, _, err = Order([]string{"v2.0-rc.2", "v2.0-rc.10"}, pattern)
	require.NoError(t, err)
	assert.Equal(t, []string{"v2.0-rc.10", "v2.0-rc.2"}, ordered)
	_, err = Pattern(`^latest-[0-9]+$`)
	assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
}

func TestOnlyACommitsFullIDIsARevision(t *testing.T) {
	sha1, sha256 := strings.Repeat("0a", 20), strings.Repeat("0b", 32)
	for label, want := range map[string]string{
		sha1: sha1, sha256: sha256, strings.ToUpper(sha1): sha1,
		"": "", "refs/heads/x": "", "--output=f": "", "main": "", "0a0a0a0": "",
		sha1 + "0": "", sha1 + "\n": "", "-" + sha1[1:]: "", "v1.2.3": "", sha1[:39] + "g": "",
	} {
		assert.Equal(t, want, commit(label), "%q", label)
	}
}

// What is no image is passed over, and said, whatever its tag promises.
func TestWhatIsNoImageIsPassedOver(t *testing.T) {
	image := v1.Descriptor{MediaType: types.OCIConfigJSON}
	layer := v1.Descriptor{MediaType: types.OCILayer}
	for name, made := range map[string]content{
		"a Helm chart": {Config: &v1.Descriptor{MediaType: "application/vnd.cncf.helm.config.v1+json"},
			Layers: []v1.Descriptor{{MediaType: "application/vnd.cncf.helm.chart.content.v1.tar+gzip"}}},
		"a WebAssembly module": {Config: &v1.Descriptor{MediaType: "application/vnd.wasm.config.v0+json"},
			Layers: []v1.Descriptor{{MediaType: "application/wasm"}}},
		"a bill of materials": {ArtifactType: "application/spdx+json", Config: &v1.Descriptor{MediaType: emptyMediaType},
			Layers: []v1.Descriptor{{MediaType: "application/spdx+json"}}},
		"a signature of cosign's": {Config: &image, Layers: []v1.Descriptor{{MediaType: payloadMediaType}}},
		"an index of artifacts": {MediaType: types.OCIImageIndex,
			Manifests: []v1.Descriptor{{MediaType: types.OCIManifestSchema1, ArtifactType: "application/spdx+json"}}},
		"an index of nothing": {MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}},
		"an index of attestations": {MediaType: types.OCIImageIndex,
			Manifests: []v1.Descriptor{{MediaType: types.OCIManifestSchema1, Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}}},
	} {
		assert.NotEmpty(t, made.artifact(), name)
	}
	for name, made := range map[string]content{
		"an image":           {Config: &image, Layers: []v1.Descriptor{layer}},
		"one without layers": {Config: &image},
		"zstd":               {Config: &image, Layers: []v1.Descriptor{{MediaType: types.OCILayerZStd}}},
		"an encrypted layer": {Config: &image,
			Layers: []v1.Descriptor{{MediaType: "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"}}},
		"of docker": {Config: &v1.Descriptor{MediaType: types.DockerConfigJSON},
			Layers: []v1.Descriptor{{MediaType: types.DockerLayer}, {MediaType: types.DockerForeignLayer}}},
		"an index": {MediaType: types.OCIImageIndex,
			Manifests: []v1.Descriptor{{MediaType: types.OCIManifestSchema1, Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}}},
		"an index without platform": {MediaType: types.DockerManifestList, Manifests: []v1.Descriptor{{MediaType: types.DockerManifestSchema2}}},
	} {
		assert.Empty(t, made.artifact(), name)
	}

	client, host := serve(t)
	push(t, client, host+"/app:latest-41", "c41", "staging-verified")
	repository, err := client.Repository(host + "/app")
	require.NoError(t, err)
	s, err := client.open(t.Context(), repository, "pull,push")
	require.NoError(t, err)
	chart := descriptorOf("application/vnd.cncf.helm.config.v1+json", []byte(`{"name":"app"}`))
	body, err := json.Marshal(content{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: &chart, Layers: []v1.Descriptor{}})
	require.NoError(t, err)
	for number, body := range [][]byte{body, []byte(`{"schemaVersion":1,"name":"app","tag":"latest-43"}`),
		[]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)} {
		_, err = s.putManifest(t.Context(), fmt.Sprintf("latest-%d", 42+number), types.OCIManifestSchema1, body)
		require.NoError(t, err)
	}
	for _, required := range [][]string{nil, {"staging-verified"}} {
		found, err := client.Latest(t.Context(), repository, Search{Pattern: standard, Required: required})
		require.NoError(t, err)
		assert.Equal(t, "latest-41", found.Tag)
		require.Len(t, found.PassedOver, 3)
		assert.Contains(t, found.PassedOver[0].Why, "an index without an image")
		assert.Contains(t, found.PassedOver[1].Why, "schema 1")
		assert.Contains(t, found.PassedOver[2].Why, "no image, but an artifact (application/vnd.cncf.helm.config.v1+json)")
	}

	// An index names the chart first, and does not say that it is one.
	beside, err := s.manifest(t.Context(), "latest-42")
	require.NoError(t, err)
	app, err := s.manifest(t.Context(), "latest-41")
	require.NoError(t, err)
	index, err := json.Marshal(content{SchemaVersion: 2, MediaType: types.OCIImageIndex,
		Manifests: []v1.Descriptor{beside.Descriptor, app.Descriptor}})
	require.NoError(t, err)
	_, err = s.putManifest(t.Context(), "latest-50", types.OCIImageIndex, index)
	require.NoError(t, err)
	found, err := client.Latest(t.Context(), repository, Search{Pattern: standard})
	require.NoError(t, err)
	assert.Equal(t, "latest-50", found.Tag)
	assert.Equal(t, fullCommit("c41"), found.Revision)
}
