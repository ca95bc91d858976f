package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
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
func newSubject(t *testing.T, s *site, repository string) (front string, direct name.Digest) {
	t.Helper()
	image := newImage(t, "1234567", 1000, 1)
	release(t, repository, "latest-1", image)
	direct, err := name.NewDigest(upstream.Host+"/"+repository+"@"+digestOf(t, image), name.Insecure)
	require.NoError(t, err)
	return s.host + "/" + repository + "@" + digestOf(t, image), direct
}

func TestSixteenAtOnceLoseNone(t *testing.T) {
	s := newSite(t)
	subject, direct := newSubject(t, s, "evidence/many")
	pair := newKeys(t)
	file := statement(t, "{}")
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			arguments := []string{"add", "--type", "staging-verified", "--file", file, "--build-url", fmt.Sprintf("https://jenkins.example/%d", i), subject}
			if i%4 == 0 {
				arguments = append(arguments, "--key", pair.private)
			}
			got := s.helper(t, "image-evidence", arguments...)
			assert.Zero(t, got.code, got.stderr)
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
	assert.Len(t, manifest.Manifests, 16)
	signatures, err := remote.Image(direct.Context().Tag(strings.Replace(direct.DigestStr(), ":", "-", 1) + ".sig"))
	require.NoError(t, err)
	layers, err := signatures.Layers()
	require.NoError(t, err)
	assert.Len(t, layers, 4)
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
			added := s.helper(t, "image-evidence", "add", "--type", "staging-verified", "--file", statement(t, `{"smoke":"failed"}`), "--key", pair.private, subject, "-o", "json")
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
			assert.Zero(t, s.helper(t, "image-evidence", "verify", "--require", kind, about).code, "a label proves nothing")
			got := s.helper(t, "image-evidence", "verify", "--require", kind, "--key", pair.public, about)
			assert.Equal(t, 1, got.code, got.stdout)
			assert.Contains(t, got.stderr, test.says)
			assert.Equal(t, 1, s.helper(t, "image-evidence", "verify", "--require", "staging-verified", "--key", pair.public, about).code)
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
	image := newImage(t, "1234567", 1000, 1)
	config, err := image.ConfigName()
	require.NoError(t, err)
	report := `{"SchemaVersion":2,"Trivy":{"Version":"0.69.3"},"Metadata":{"ImageID":"` + config.String() + `"},"Results":[
		{"Target":"app","Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"HIGH"},{"VulnerabilityID":"CVE-2","Severity":"LOW"}]},{"Vulnerabilities":[{"Severity":"LOW"}]}]}`
	scanner := statement(t, `{"Version":"0.69.3","VulnerabilityDB":{"Version":2,"UpdatedAt":"2026-05-01T06:12:00.5Z","NextUpdate":"2026-05-02T06:12:00Z"}}`)
	target := s.host + "/scan/app:latest-1"
	got := s.helper(t, "nexus-push", "--tar", writeTar(t, image), target, "--evidence", "scan="+statement(t, report), "--scanner", scanner)
	require.Zero(t, got.code, got.stderr)
	got = s.helper(t, "image-evidence", "list", strings.TrimSpace(got.stdout))
	assert.Contains(t, got.stdout, "1 HIGH, 2 LOW, by trivy 0.69.3, database of 2026-05-01T06:12:00Z")
	var found struct {
		Evidence []struct {
			Scan struct {
				Scanner, Database string
				Findings          map[string]int
			}
		}
	}
	s.helper(t, "nexus-latest-tag", s.host+"/scan/app", "--require", "scan", "-o", "json").json(t, &found)
	assert.Equal(t, map[string]int{"HIGH": 1, "LOW": 2}, found.Evidence[0].Scan.Findings)

	other := writeTar(t, newImage(t, "7654321", 1000, 1))
	before := s.Requests()
	got = s.helper(t, "nexus-push", "--tar", other, s.host+"/scan/app:latest-2", "--evidence", "scan="+statement(t, report))
	assert.Equal(t, 4, got.code)
	assert.Contains(t, got.stderr, "the scan is of another image")
	got = s.helper(t, "nexus-push", "--tar", other, s.host+"/scan/app:latest-2", "--evidence", "scan="+statement(t, "no JSON"))
	assert.Equal(t, 2, got.code)
	assert.Equal(t, before, s.Requests(), "nothing was sent")
}

func TestBadInputIsOneSentenceAndTwo(t *testing.T) {
	s := newSite(t)
	file, digest := statement(t, "{}"), s.host+"/app@sha256:"+strings.Repeat("a", 64)
	for _, arguments := range [][]string{
		{"nexus-latest-tag"},
		{"nexus-latest-tag", "app"},
		{"nexus-latest-tag", s.host + "/App"},
		{"nexus-latest-tag", s.host + "/app:latest-1"},
		{"nexus-latest-tag", digest},
		{"nexus-latest-tag", s.host + "/app", "--pattern", "^latest-[0-9]+$"},
		{"nexus-latest-tag", s.host + "/app", "--pattern", "("},
		{"nexus-latest-tag", s.host + "/app", "--at", "no tag"},
		{"nexus-latest-tag", s.host + "/app", "--require", "Staging Verified"},
		{"nexus-latest-tag", s.host + "/app", "--require-revision", "main"},
		{"nexus-latest-tag", s.host + "/app", "--depth", "0"},
		{"nexus-latest-tag", s.host + "/app", "--key", "/does/not/exist"},
		{"nexus-push", s.host + "/app:latest-1"},
		{"nexus-push", "--tar", "/does/not/exist", s.host + "/app:latest-1"},
		{"nexus-push", "--tar", "/", s.host + "/app:latest-1"},
		{"nexus-push", "--tar", file, s.host + "/app"},
		{"nexus-push", "--tar", file, s.host + "/app:latest-1", "--evidence", "scan"},
		{"nexus-push", "--tar", file, s.host + "/app:latest-1", "--evidence", "scan=/does/not/exist"},
		{"nexus-push", "--tar", file, s.host + "/app:latest-1", "--evidence", "SCAN!=" + file},
		{"image-evidence"},
		{"image-evidence", "add", "--type", "scan", "--file", file, s.host + "/app:latest-1"},
		{"image-evidence", "add", "--type", "no type", "--file", file, digest},
		{"image-evidence", "add", "--type", "scan", "--file", file, digest},
		{"image-evidence", "verify", "--require", "No Type", digest},
		{"image-evidence", "verify", digest},
	} {
		got := s.helper(t, arguments[0], arguments[1:]...)
		assert.Equal(t, 2, got.code, "%v: %s", arguments, got.stderr)
		assert.Regexp(t, `^error: [^\n]+\n(  why:  [^\n]+\n)?(  next: [^\n]+\n)?$`, got.stderr, "%v", arguments)
		assert.Empty(t, got.stdout, "%v", arguments)
	}
	assert.Zero(t, s.Requests())
}
