package registry

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const typeKey = "dev.slipway.evidence.type"

// keys are a pair as openssl makes it; cosign's own form is tested in cosign/.
type keys struct{ private, public string }

func newKeys(t *testing.T) keys {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	folder := t.TempDir()
	made := keys{filepath.Join(folder, "signing.key"), filepath.Join(folder, "signing.pub")}
	require.NoError(t, os.WriteFile(made.private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	require.NoError(t, os.WriteFile(made.public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
	return made
}

// newSubject is an image that evidence is attached to, and its digest behind the front and before it.
func newSubject(t *testing.T, s *front, repository string) (front string, direct name.Digest) {
	t.Helper()
	image := newImage(t, "1234567", 1000, 1)
	release(t, repository, "latest-1", image)
	direct, err := name.NewDigest(upstream.Host+"/"+repository+"@"+digestOf(t, image), name.Insecure)
	require.NoError(t, err)
	return s.Host + "/" + repository + "@" + digestOf(t, image), direct
}

func TestSixteenAtOnceLoseNone(t *testing.T) {
	s := newSite(t)
	subject, direct := newSubject(t, s, "evidence/many")
	pair := newKeys(t)
	file := statement(t, "{}")
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			arguments := []string{"add", "--type", "staging-verified", "--file", file, "--build-url", fmt.Sprintf("https://jenkins.example/%d", i),
				subject}
			if i%4 == 0 {
				arguments = append(arguments, "--key", pair.private)
			}
			got := s.helper(t, "image-evidence", arguments...)
			assert.Zero(t, got.Code, got.Stderr)
		})
	}
	group.Wait()
	var listed struct{ Evidence []struct{ Build string } }
	s.helper(t, "image-evidence", "list", subject, "-o", "json").json(t, &listed)
	builds := map[string]bool{}
	for _, one := range listed.Evidence {
		builds[one.Build] = true
	}
	assert.Len(t, builds, 16)
	// What other tools read: the list under the fallback tag, and cosign's signatures.
	index, err := remote.Referrers(direct)
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	assert.Len(t, manifest.Manifests, 16+4, "a bundle for each that is signed")
	signatures, err := remote.Image(direct.Context().Tag(strings.Replace(direct.DigestStr(), ":", "-", 1) + ".sig"))
	require.NoError(t, err)
	layers, err := signatures.Layers()
	require.NoError(t, err)
	assert.Len(t, layers, 4)
}

// TestTheReferrersAPIKeepsTheList: a registry that has the API needs no tag beside the image.
func TestTheReferrersAPIKeepsTheList(t *testing.T) {
	t.Parallel()
	keeper := registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			body, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			r.Body = io.NopCloser(bytes.NewReader(body))
			var manifest v1.Manifest
			if json.Unmarshal(body, &manifest) == nil && manifest.Subject != nil {
				w.Header().Set("OCI-Subject", manifest.Subject.Digest.String()) // which this registry does not say by itself
			}
		}
		keeper.ServeHTTP(w, r)
	}))
	defer server.Close()
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	s := newSiteBefore(t, address)
	got := s.helper(t, "nexus-push", "--tar", writeTar(t, newImage(t, "1234567", 1000, 1)), s.Host+"/kept/app:latest-1")
	require.Zero(t, got.Code, got.Stderr)
	subject, file := strings.TrimSpace(got.Stdout), statement(t, "{}")
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			got := s.helper(t, "image-evidence", "add", "--type", fmt.Sprintf("kind-%d", i), "--file", file, subject)
			assert.Zero(t, got.Code, got.Stderr)
		})
	}
	group.Wait()
	var listed struct{ Evidence []struct{ Type string } }
	s.helper(t, "image-evidence", "list", subject, "-o", "json").json(t, &listed)
	assert.Len(t, listed.Evidence, 16)
	got = s.helper(t, "nexus-latest-tag", s.Host+"/kept/app", "--require", "kind-7", "-o", "json")
	require.Zero(t, got.Code, got.Stderr)
	var found struct{ Tags int }
	got.json(t, &found)
	assert.Equal(t, 1, found.Tags, "no tag stands beside the release's")
}

// TestWhatIsTamperedWithIsRejected changes signed evidence as one could who may
// write to the registry and has no key.
func TestWhatIsTamperedWithIsRejected(t *testing.T) {
	type change func(t *testing.T, artifact v1.Image, other v1.Descriptor) v1.Image
	layered := func(t *testing.T, artifact v1.Image, statement v1.Layer) v1.Image {
		t.Helper()
		manifest, err := artifact.Manifest()
		require.NoError(t, err)
		layers, err := artifact.Layers()
		require.NoError(t, err)
		if statement == nil {
			statement = layers[0]
		}
		made, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(emptied(t, artifact), manifest.MediaType), manifest.Config.MediaType),
			mutate.Addendum{Layer: statement}, mutate.Addendum{Layer: layers[1], Annotations: manifest.Layers[1].Annotations})
		require.NoError(t, err)
		made = mutate.Annotations(made, manifest.Annotations).(v1.Image)
		return mutate.Subject(made, *manifest.Subject).(v1.Image)
	}
	for name, test := range map[string]struct {
		change change
		says   string
	}{
		"another statement": {func(t *testing.T, artifact v1.Image, _ v1.Descriptor) v1.Image {
			return layered(t, artifact, static.NewLayer([]byte(`{"smoke":"fine"}`), "application/json"))
		}, "the statement is not the one that was signed"},
		"another type": {func(t *testing.T, artifact v1.Image, _ v1.Descriptor) v1.Image {
			manifest, err := artifact.Manifest()
			require.NoError(t, err)
			relabelled := mutate.Annotations(layered(t, artifact, nil), map[string]string{typeKey: "production-verified"}).(v1.Image)
			return mutate.Subject(relabelled, *manifest.Subject).(v1.Image)
		}, `it was signed as evidence of "staging-verified"`},
		"another image": {func(t *testing.T, artifact v1.Image, other v1.Descriptor) v1.Image {
			return mutate.Subject(layered(t, artifact, nil), other).(v1.Image)
		}, "it is signed for another image"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			pair := newKeys(t)
			repository := "tampered/" + strings.ReplaceAll(name, " ", "-")
			subject, direct := newSubject(t, s, repository)
			added := s.helper(t, "image-evidence", "add", "--type", "staging-verified", "--file", statement(t, `{"smoke":"failed"}`), "--key",
				pair.private, subject, "-o", "json")
			var list struct{ Evidence []struct{ Digest string } }
			added.json(t, &list)
			original := direct.Context().Digest(list.Evidence[0].Digest)
			artifact, err := remote.Image(original)
			require.NoError(t, err)

			otherSubject, otherDirect := newSubject(t, s, repository)
			described, err := remote.Head(otherDirect)
			require.NoError(t, err)
			tampered := test.change(t, artifact, v1.Descriptor{MediaType: described.MediaType, Size: described.Size, Digest: described.Digest})
			about := subject
			manifest, err := tampered.Manifest()
			require.NoError(t, err)
			if manifest.Subject.Digest == described.Digest {
				about = otherSubject
			}
			require.NoError(t, remote.Write(direct.Context().Digest(digestOf(t, tampered)), tampered))
			require.NoError(t, remote.Delete(original))

			kind := manifest.Annotations[typeKey]
			assert.Zero(t, s.helper(t, "image-evidence", "verify", "--require", kind, about).Code, "a label proves nothing")
			got := s.helper(t, "image-evidence", "verify", "--require", kind, "--key", pair.public, about)
			assert.Equal(t, 1, got.Code, got.Stdout)
			assert.Contains(t, got.Stderr, test.says)
			assert.Equal(t, 1, s.helper(t, "image-evidence", "verify", "--require", "staging-verified", "--key", pair.public, about).Code)
		})
	}
}

// emptied is an image without layers that has the artifact's configuration.
func emptied(t *testing.T, artifact v1.Image) v1.Image {
	t.Helper()
	config, err := artifact.RawConfigFile()
	require.NoError(t, err)
	var file v1.ConfigFile
	require.NoError(t, json.Unmarshal(config, &file))
	made, err := mutate.ConfigFile(mutate.MediaType(newImage(t, "", 1, 0), "application/vnd.oci.image.manifest.v1+json"), &file)
	require.NoError(t, err)
	return made
}

func TestAScanKeepsItsCountsItsScannerAndItsDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	pair, image := newKeys(t), newImage(t, "1234567", 1000, 1)
	config, err := image.ConfigName()
	require.NoError(t, err)
	report := `{"SchemaVersion":2,"ArtifactType":"container_image","Trivy":{"Version":"0.69.3"},"Metadata":{"ImageID":"` +
		config.String() + `"},"Results":[
		{"Target":"app","Class":"lang-pkgs","Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"HIGH"},
			{"VulnerabilityID":"CVE-2","Severity":"LOW"}]},{"Vulnerabilities":[{"Severity":"LOW"}]}]}`
	scanner := statement(t,
		`{"Version":"0.69.3","VulnerabilityDB":{"Version":2,"UpdatedAt":"2026-05-01T06:12:00.5Z","NextUpdate":"2026-05-02T06:12:00Z"}}`)
	target := s.Host + "/scan/app:latest-1"
	got := s.helper(t, "nexus-push", "--tar", writeTar(t, image), target, "--evidence", "scan="+statement(t, report), "--scanner", scanner,
		"--key", pair.private)
	require.Zero(t, got.Code, got.Stderr)
	pushed := strings.TrimSpace(got.Stdout)
	assert.Zero(t, s.helper(t, "image-evidence", "verify", "--require", "scan", "--key", pair.public, pushed).Code)
	assert.Equal(t, 1, s.helper(t, "image-evidence", "verify", "--require", "scan", "--key", newKeys(t).public, pushed).Code,
		"signed by another key")
	got = s.helper(t, "image-evidence", "list", pushed)
	assert.Contains(t, got.Stdout, "1 HIGH, 2 LOW, by trivy 0.69.3, database of 2026-05-01T06:12:00Z")
	var found struct {
		Evidence []struct {
			Scan struct {
				Scanner, Database string
				Findings          map[string]int
			}
		}
	}
	s.helper(t, "nexus-latest-tag", s.Host+"/scan/app", "--require", "scan", "-o", "json").json(t, &found)
	assert.Equal(t, map[string]int{"HIGH": 1, "LOW": 2}, found.Evidence[0].Scan.Findings)

	other := writeTar(t, newImage(t, "7654321", 1000, 1))
	before := s.Requests()
	got = s.helper(t, "nexus-push", "--tar", other, s.Host+"/scan/app:latest-2", "--evidence", "scan="+statement(t, report))
	assert.Equal(t, 4, got.Code)
	assert.Contains(t, got.Stderr, "the scan is of another image")
	got = s.helper(t, "nexus-push", "--tar", other, s.Host+"/scan/app:latest-2", "--evidence", "scan="+statement(t, "no JSON"))
	assert.Equal(t, 2, got.Code)
	assert.Equal(t, before, s.Requests(), "nothing was sent")
}

func TestBadInputIsOneSentenceAndTwo(t *testing.T) {
	s := newSite(t)
	file, digest := statement(t, "{}"), s.Host+"/app@sha256:"+strings.Repeat("a", 64)
	for _, arguments := range [][]string{
		{"nexus-latest-tag"},
		{"nexus-latest-tag", "app"},
		{"nexus-latest-tag", s.Host + "/App"},
		{"nexus-latest-tag", s.Host + "/app:latest-1"},
		{"nexus-latest-tag", digest},
		{"nexus-latest-tag", s.Host + "/app", "--pattern", "^latest-[0-9]+$"},
		{"nexus-latest-tag", s.Host + "/app", "--pattern", "("},
		{"nexus-latest-tag", s.Host + "/app", "--at", "no tag"},
		{"nexus-latest-tag", s.Host + "/app", "--require", "Staging Verified"},
		{"nexus-latest-tag", s.Host + "/app", "--require-revision", "main"},
		{"nexus-latest-tag", s.Host + "/app", "--depth", "0"},
		{"nexus-latest-tag", s.Host + "/app", "--key", "/does/not/exist"},
		{"nexus-push", s.Host + "/app:latest-1"},
		{"nexus-push", "--tar", "/does/not/exist", s.Host + "/app:latest-1"},
		{"nexus-push", "--tar", "/", s.Host + "/app:latest-1"},
		{"nexus-push", "--tar", file, s.Host + "/app"},
		{"nexus-push", "--tar", file, s.Host + "/app:latest-1", "--evidence", "scan"},
		{"nexus-push", "--tar", file, s.Host + "/app:latest-1", "--evidence", "scan=/does/not/exist"},
		{"nexus-push", "--tar", file, s.Host + "/app:latest-1", "--evidence", "SCAN!=" + file},
		{"image-evidence"},
		{"image-evidence", "add", "--type", "scan", "--file", file, s.Host + "/app:latest-1"},
		{"image-evidence", "add", "--type", "no type", "--file", file, digest},
		{"image-evidence", "add", "--type", "scan", "--file", file, digest},
		{"image-evidence", "verify", "--require", "No Type", digest},
		{"image-evidence", "verify", digest},
	} {
		got := s.helper(t, arguments[0], arguments[1:]...)
		assert.Equal(t, 2, got.Code, "%v: %s", arguments, got.Stderr)
		assert.Regexp(t, `^error: [^\n]+\n(  why:  [^\n]+\n)?(  next: [^\n]+\n)?$`, got.Stderr, "%v", arguments)
		assert.Empty(t, got.Stdout, "%v", arguments)
	}
	assert.Zero(t, s.Requests())
}
