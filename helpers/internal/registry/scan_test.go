package registry

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

func TestOnlyAReportAboutAnImageIsAScan(t *testing.T) {
	const id = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	image := `"ArtifactType":"container_image","Metadata":{"ImageID":"` + id + `"}`
	for _, test := range []struct {
		name, report string
		fails        string // or the findings are want
		want         map[string]int
	}{
		{name: "nothing", report: `{"SchemaVersion":2,"Metadata":{},"Results":[]}`, fails: "something else than an image"},
		{name: "trivy fs", report: `{"SchemaVersion":2,"ArtifactType":"filesystem","ArtifactName":".","Results":[{"Class":"lang-pkgs"}]}`,
			fails: `ArtifactType "filesystem"`},
		{name: "trivy repo", report: `{"SchemaVersion":2,"ArtifactType":"repository","Metadata":{"ImageID":"` + id + `"}}`,
			fails: `ArtifactType "repository"`},
		{name: "trivy config", report: `{"SchemaVersion":2,"ArtifactType":"filesystem","Results":[{"Class":"config"}]}`,
			fails: "something else than an image"},
		{name: "trivy sbom", report: `{"SchemaVersion":2,"ArtifactType":"cyclonedx"}`, fails: "something else than an image"},
		{name: "trivy vm", report: `{"SchemaVersion":2,"ArtifactType":"vm"}`, fails: "something else than an image"},
		{name: "no image named", report: `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{}}`, fails: "Metadata.ImageID"},
		{name: "another form", report: `{"SchemaVersion":3,` + image + `}`, fails: "SchemaVersion 2"},
		{name: "secrets alone", report: `{"SchemaVersion":2,` + image + `,"Results":[{"Class":"secret"},{"Class":"config"}]}`,
			fails: "about packages"},
		{name: "no severity",
			report: `{"SchemaVersion":2,` + image + `,"Results":[{"Class":"os-pkgs","Vulnerabilities":[{"Severity":"not one\n"}]}]}`,
			fails:  "is none"},
		{name: "an image without packages", report: `{"SchemaVersion":2,` + image + `}`, want: map[string]int{}},
		{name: "packages without findings", report: `{"SchemaVersion":2,` + image + `,"Results":[{"Class":"os-pkgs"},{"Class":"secret"}]}`,
			want: map[string]int{}},
		{name: "findings",
			report: `{"SchemaVersion":2,` + image + `,"Results":[{"Class":"lang-pkgs",` +
				`"Vulnerabilities":[{"Severity":"high"},{"Severity":"HIGH"},{"Severity":"LOW"}]}]}`,
			want: map[string]int{"HIGH": 2, "LOW": 1}},
	} {
		scan, named, err := readScan([]byte(test.report), "")
		if test.fails != "" {
			assert.ErrorContains(t, err, test.fails, test.name)
			continue
		}
		require.NoError(t, err, test.name)
		assert.Equal(t, id, named.Metadata.ImageID, test.name)
		assert.Equal(t, test.want, scan.Findings, test.name)
	}
}

// Whoever may push can write an artifact past image-evidence: a scan that is not of
// this image, or no scan at all, is not evidence whoever wrote it.
func TestAScanIsCheckedWhereItIsRead(t *testing.T) {
	client, host := serve(t)
	other := push(t, client, host+"/other:latest-1", "c2")
	for name, report := range map[string]string{
		"nothing in it":    `{"SchemaVersion":2,"Metadata":{},"Results":[]}`,
		"no report":        `hello`,
		"of another image": scanOfImage(other.Digest),
	} {
		pushed := push(t, client, host+"/app:latest-1", "c1")
		forge(t, client, host+"/app@"+pushed.Digest, scanType, report, map[string]string{scanPrefix + "findings.low": "0"})
		digest, err := client.Digest(host + "/app@" + pushed.Digest)
		require.NoError(t, err)
		list, err := client.Verify(t.Context(), digest, []string{scanType}, nil, 0)
		assert.Equal(t, slipway.No, slipway.AsError(err).Code, name)
		require.Len(t, list.Rejected, 1, name)
		repository, err := client.Repository(host + "/app")
		require.NoError(t, err)
		_, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{scanType}})
		assert.Equal(t, slipway.No, slipway.AsError(err).Code, name)
		client, host = serve(t)
	}
}

// The findings are those of the report, whatever the artifact says of it.
func TestTheFindingsAreTheReports(t *testing.T) {
	client, host := serve(t)
	pushed := push(t, client, host+"/app:latest-1", "c1")
	digest, err := client.Digest(host + "/app@" + pushed.Digest)
	require.NoError(t, err)
	s, err := client.open(t.Context(), digest.Context(), "pull")
	require.NoError(t, err)
	about, err := s.manifest(t.Context(), pushed.Digest)
	require.NoError(t, err)
	forge(t, client, host+"/app@"+pushed.Digest, scanType, scanOfImage(about.content.Config.Digest.String()),
		map[string]string{scanPrefix + "findings.low": "0"})
	list, err := client.List(t.Context(), digest, nil)
	require.NoError(t, err)
	require.Len(t, list.Evidence, 1)
	assert.Equal(t, map[string]int{"LOW": 1}, list.Evidence[0].Scan.Findings)
}

// forge attaches a statement without the checks of AddEvidence.
func forge(t *testing.T, client *Client, reference, kind, body string, facts map[string]string) {
	t.Helper()
	digest, err := client.Digest(reference)
	require.NoError(t, err)
	s, err := client.open(t.Context(), digest.Context(), "pull,push")
	require.NoError(t, err)
	about, err := s.manifest(t.Context(), digest.DigestStr())
	require.NoError(t, err)
	facts[annotationType] = kind
	layer, config := descriptorOf("application/json", []byte(body)), descriptorOf(evidenceMediaType, []byte("{}"))
	for _, blob := range []string{body, "{}"} {
		require.NoError(t, s.putBlob(t.Context(), descriptorOf("", []byte(blob)).Digest, []byte(blob)))
	}
	encoded, err := json.Marshal(content{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: evidenceMediaType,
		Config: &config, Layers: []v1.Descriptor{layer},
		Subject: &v1.Descriptor{MediaType: about.MediaType, Size: about.Size, Digest: about.Digest}, Annotations: facts})
	require.NoError(t, err)
	require.NoError(t, s.publish(t.Context(), about.Digest, kind, [][]byte{encoded}))
}

func TestAScanOfAnIndexIsOfItsOneImage(t *testing.T) {
	client, host := serve(t)
	one, two := push(t, client, host+"/app:latest-1", "c1"), push(t, client, host+"/app:latest-2", "c2")
	digest, err := client.Digest(host + "/app@" + one.Digest)
	require.NoError(t, err)
	s, err := client.open(t.Context(), digest.Context(), "pull,push")
	require.NoError(t, err)
	single, err := s.manifest(t.Context(), one.Digest)
	require.NoError(t, err)
	second, err := s.manifest(t.Context(), two.Digest)
	require.NoError(t, err)
	attestation := v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: two.manifest(t), Size: 2,
		Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}
	for _, test := range []struct {
		children []v1.Descriptor
		code     int
	}{{[]v1.Descriptor{single.Descriptor, attestation}, 0}, {[]v1.Descriptor{single.Descriptor, second.Descriptor}, slipway.Conflict}} {
		body, err := json.Marshal(content{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: test.children})
		require.NoError(t, err)
		_, err = s.putManifest(t.Context(), fmt.Sprintf("index-%d", len(test.children)+test.code), types.OCIImageIndex, body)
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "scan.json")
		require.NoError(t, os.WriteFile(file, []byte(scanOfImage(single.content.Config.Digest.String())), 0o600))
		_, err = client.AddEvidence(t.Context(), digest.Context().Digest(descriptorOf("", body).Digest.String()),
			Statement{Type: scanType, File: file})
		if test.code == 0 {
			require.NoError(t, err)
			continue
		}
		assert.Equal(t, test.code, slipway.AsError(err).Code)
		assert.ErrorContains(t, err, "an index of 2 images")
	}
}

func (p *Pushed) manifest(t *testing.T) v1.Hash {
	t.Helper()
	hash, err := v1.NewHash(p.Digest)
	require.NoError(t, err)
	return hash
}
