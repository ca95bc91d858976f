package registry

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

const verified = "staging-verified"

// scene is a registry with two images, and what a forger can do there who may push and has no key of staging's.
type scene struct {
	t             *testing.T
	client        *Client
	host          string
	subject       name.Digest // what production would take
	other         name.Digest // of another commit
	staging, mine *PrivateKey
}

func newScene(t *testing.T) *scene {
	client, host := serve(t)
	s := &scene{t: t, client: client, host: host, staging: newKey(t), mine: newKey(t)}
	pin := func(reference, commit string) name.Digest {
		pinned, err := client.Digest(reference + "@" + push(t, client, reference, commit).Digest)
		require.NoError(t, err)
		return pinned
	}
	s.subject, s.other = pin(host+"/team/app:latest-2", "b"), pin(host+"/team/app:latest-1", "a")
	return s
}

// add attaches evidence as the product does, signed by the key.
func (s *scene) add(subject name.Digest, key *PrivateKey) Evidence {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "smoke.json")
	require.NoError(s.t, os.WriteFile(file, []byte(`{"fine":true}`), 0o600))
	added, err := s.client.AddEvidence(s.t.Context(), subject, Statement{Type: verified, File: file, Key: key})
	require.NoError(s.t, err)
	return added
}

// read gives an artifact that is there.
func (s *scene) read(repository name.Repository, digest string) *manifest {
	s.t.Helper()
	got, err := s.session(repository).manifest(s.t.Context(), digest)
	require.NoError(s.t, err)
	return got
}

func (s *scene) session(repository name.Repository) *session {
	s.t.Helper()
	opened, err := s.client.open(s.t.Context(), repository, "pull,push")
	require.NoError(s.t, err)
	return opened
}

// put writes an artifact about the subject, with these blobs, as raw bytes where they are given.
func (s *scene) put(subject name.Digest, artifact content, raw []byte, blobs ...[]byte) {
	s.t.Helper()
	opened := s.session(subject.Context())
	for _, blob := range blobs {
		require.NoError(s.t, opened.putBlob(s.t.Context(), descriptorOf("", blob).Digest, blob))
	}
	about, err := opened.manifest(s.t.Context(), subject.DigestStr())
	require.NoError(s.t, err)
	if raw == nil {
		artifact.Subject = &v1.Descriptor{MediaType: about.MediaType, Size: about.Size, Digest: about.Digest}
		raw, err = json.Marshal(artifact)
		require.NoError(s.t, err)
	}
	_, err = opened.putManifest(s.t.Context(), ownTag(about.Digest, verified, descriptorOf("", raw).Digest), types.OCIManifestSchema1, raw)
	require.NoError(s.t, err)
}

// statement is an artifact as the product writes it, of what is given.
func statement(key *PrivateKey, repository name.Repository, subject v1.Hash, body []byte, facts map[string]string) (content, [][]byte) {
	config, layer := descriptorOf(evidenceMediaType, []byte("{}")), descriptorOf("application/json", body)
	made := content{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: evidenceMediaType, Config: &config,
		Layers: []v1.Descriptor{layer}, Annotations: facts}
	blobs := [][]byte{[]byte("{}"), body}
	if key != nil {
		signed, payload, err := sign(key, repository, subject, with(facts, layer.Digest))
		if err != nil {
			panic(err)
		}
		made.Layers, blobs = append(made.Layers, signed), append(blobs, payload)
	}
	return made, blobs
}

func with(facts map[string]string, statement v1.Hash) map[string]any {
	all := map[string]any{annotationStatement: statement.String()}
	for key, value := range facts {
		all[key] = value
	}
	return all
}

func hashFrom(t *testing.T, digest string) v1.Hash {
	t.Helper()
	hash, err := v1.NewHash(digest)
	require.NoError(t, err)
	return hash
}

func TestForgedEvidenceIsRefused(t *testing.T) {
	facts := map[string]string{annotationType: verified, annotationCreated: time.Now().UTC().Format(timeForm)}
	body := []byte(`{"fine":true}`)
	for what, test := range map[string]struct {
		forge func(s *scene)
		says  string
	}{
		"nothing at all":           {func(*scene) {}, ""},
		"the right type, unsigned": {func(s *scene) { s.add(s.subject, nil) }, "it is not signed"},
		"signed by another key":    {func(s *scene) { s.add(s.subject, s.mine) }, "not signed by this key"},
		"signed by another key, which claims to be staging's": {func(s *scene) {
			claimed := *s.mine
			claimed.fingerprint = s.staging.fingerprint
			s.add(s.subject, &claimed)
		}, "its signature does not match what is signed, though it names the key sha256:"},
		"about another image, of another commit": {func(s *scene) {
			added := s.add(s.other, s.staging)
			original := s.read(s.other.Context(), added.Digest)
			s.put(s.subject, original.content, nil)
		}, "it is signed for another image"},
		"copied from another repository": {func(s *scene) {
			made, blobs := statement(s.staging, s.repository("elsewhere/app"), hashFrom(t, s.subject.DigestStr()), body, facts)
			s.put(s.subject, made, nil, blobs...)
		}, "it is signed for another repository, elsewhere/app"},
		"another statement under a true signature": {func(s *scene) {
			made, blobs := statement(s.staging, s.subject.Context(), hashFrom(t, s.subject.DigestStr()), body, facts)
			forged := []byte(`{"fine":"no"}`)
			made.Layers[0] = descriptorOf("application/json", forged)
			s.put(s.subject, made, nil, append(blobs, forged)...)
		}, "the statement is not the one that was signed"},
		"a true signature of another type": {func(s *scene) {
			other := maps.Clone(facts)
			other[annotationType] = "load-tested"
			made, blobs := statement(s.staging, s.subject.Context(), hashFrom(t, s.subject.DigestStr()), body, other)
			made.Annotations = facts
			s.put(s.subject, made, nil, blobs...)
		}, `it was signed as evidence of "load-tested"`},
		"two statements, one of them signed": {func(s *scene) {
			made, blobs := statement(s.staging, s.subject.Context(), hashFrom(t, s.subject.DigestStr()), body, facts)
			forged := []byte(`{"forged":true}`)
			made.Layers = append([]v1.Descriptor{descriptorOf("application/json", forged)}, made.Layers...)
			s.put(s.subject, made, nil, append(blobs, forged)...)
		}, "it holds several statements"},
		"two signatures, the first of them forged": {func(s *scene) {
			hash := hashFrom(t, s.subject.DigestStr())
			made, blobs := statement(s.mine, s.subject.Context(), hash, body, facts)
			signed, payload, err := sign(s.staging, s.subject.Context(), hash, map[string]any{annotationType: verified})
			require.NoError(t, err)
			made.Layers = append(made.Layers, signed)
			s.put(s.subject, made, nil, append(blobs, payload)...)
		}, "it holds several statements"},
		"a manifest with a key twice": {func(s *scene) {
			made, blobs := statement(s.mine, s.subject.Context(), hashFrom(t, s.subject.DigestStr()), body, facts)
			opened := s.session(s.subject.Context())
			about, err := opened.manifest(t.Context(), s.subject.DigestStr())
			require.NoError(t, err)
			made.Subject = &v1.Descriptor{MediaType: about.MediaType, Size: about.Size, Digest: about.Digest}
			raw, err := json.Marshal(made)
			require.NoError(t, err)
			s.put(s.subject, content{}, append([]byte(`{"annotations":{"dev.slipway.evidence.type":"scan"},`), raw[1:]...), blobs...)
		}, "duplicate field"},
		"what is signed names a key twice": {func(s *scene) {
			made, blobs := statement(s.staging, s.subject.Context(), hashFrom(t, s.other.DigestStr()), body, facts)
			twice := slices.Concat([]byte(`{"critical":{"image":{"docker-manifest-digest":"`+s.subject.DigestStr()+`"},"type":"`+payloadType+`"},`),
				blobs[2][1:])
			signature, err := s.staging.Sign(twice) // by a key's holder who was made to sign it
			require.NoError(t, err)
			layer := descriptorOf(payloadMediaType, twice)
			layer.Annotations = map[string]string{signatureAnnotation: base64.StdEncoding.EncodeToString(signature)}
			made.Layers[1] = layer
			s.put(s.subject, made, nil, append(blobs, twice)...)
		}, "duplicate field"},
		"an attestation in the place of a signature": {func(s *scene) {
			s.bundle(s.staging, "https://slsa.dev/provenance/v1", 1, s.subject)
		}, ""},
		"signed for two images at once": {func(s *scene) {
			s.bundle(s.staging, signPredicate, 2, s.subject)
		}, "it is signed for 2 images at once"},
		"a bundle about another image": {func(s *scene) {
			s.bundle(s.staging, signPredicate, 1, s.other)
		}, "it is signed for another image"},
		"a bundle of another key": {func(s *scene) {
			s.bundle(s.mine, signPredicate, 1, s.subject)
		}, "not signed by this key"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t)
			test.forge(s)
			list, err := s.client.Verify(t.Context(), s.subject, []string{verified}, s.staging.public(), 0)
			require.Error(t, err, "%+v", list.Evidence)
			assert.Empty(t, list.Evidence)
			assert.ErrorContains(t, err, test.says)
			assert.Equal(t, slipway.No, slipway.AsError(err).Code, err)
			repository := s.subject.Context()
			pattern, err := Pattern(DefaultPattern)
			require.NoError(t, err)
			found, err := s.client.Latest(t.Context(), repository, Search{Pattern: pattern, Required: []string{verified}, Key: s.staging.public()})
			assert.NotEqual(t, s.subject.DigestStr(), found.Digest, "production takes it: %v", err)
		})
	}
}

// bundle attaches what cosign 3 would, to the subject of the scene.
func (s *scene) bundle(key *PrivateKey, predicate string, subjects int, about name.Digest) {
	s.t.Helper()
	hash := hashFrom(s.t, about.DigestStr())
	one := inTotoSubject{Digest: map[string]string{hash.Algorithm: hash.Hex}, Annotations: map[string]any{annotationType: verified}}
	body, err := signStatement(key, inToto{Type: inTotoStatement, Kind: predicate, Subject: slices.Repeat([]inTotoSubject{one}, subjects)})
	require.NoError(s.t, err)
	config, layer := descriptorOf(emptyMediaType, []byte("{}")), descriptorOf(bundleMediaType, body)
	s.put(s.subject, content{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: bundleMediaType, Config: &config,
		Layers: []v1.Descriptor{layer}}, nil, []byte("{}"), body)
}

func (s *scene) repository(path string) name.Repository {
	s.t.Helper()
	repository, err := s.client.Repository(s.host + "/" + path)
	require.NoError(s.t, err)
	return repository
}

// While a key is replaced both are good; then what the old one signed is refused by that key's name.
func TestAKeyIsReplaced(t *testing.T) {
	s := newScene(t)
	next := newKey(t)
	s.add(s.subject, s.staging)
	both := &PublicKey{append(s.staging.public().keys, next.public().keys...)}
	list, err := s.client.Verify(t.Context(), s.subject, []string{verified}, both, 0)
	require.NoError(t, err)
	assert.Equal(t, s.staging.Fingerprint(), list.Evidence[0].Key)
	_, err = s.client.Verify(t.Context(), s.subject, []string{verified}, next.public(), 0)
	assert.ErrorContains(t, err, "it is not signed by this key, "+next.Fingerprint()+", but names the key "+s.staging.Fingerprint())
	s.add(s.subject, next)
	list, err = s.client.Verify(t.Context(), s.subject, []string{verified}, next.public(), 0)
	require.NoError(t, err)
	assert.Equal(t, next.Fingerprint(), list.Evidence[0].Key)
}

func TestAnOldScanIsNoEvidence(t *testing.T) {
	s := newScene(t)
	opened := s.session(s.subject.Context())
	about, err := opened.manifest(t.Context(), s.subject.DigestStr())
	require.NoError(t, err)
	body := []byte(scanOfImage(about.content.Config.Digest.String()))
	for _, test := range []struct {
		made string
		says string
	}{
		{time.Now().Add(-8 * 24 * time.Hour).UTC().Format(timeForm), "longer ago than 168h0m0s"},
		{time.Now().Add(time.Hour).UTC().Format(timeForm), "still to come"},
		{"yesterday", "does not say when"}, {"", "does not say when"},
		{time.Now().Add(-6 * 24 * time.Hour).UTC().Format(timeForm), ""},
	} {
		made, blobs := statement(s.staging, s.subject.Context(), about.Digest, body,
			map[string]string{annotationType: scanType, annotationCreated: test.made})
		s.put(s.subject, made, nil, blobs...)
		list, err := s.client.Verify(t.Context(), s.subject, []string{scanType}, s.staging.public(), 7*24*time.Hour)
		if test.says == "" {
			require.NoError(t, err)
			assert.Len(t, list.Evidence, 1)
			continue
		}
		require.Error(t, err)
		assert.Condition(t, func() bool {
			return slices.ContainsFunc(list.Rejected, func(r Rejected) bool { return strings.Contains(r.Why, test.says) })
		}, "%+v", list.Rejected)
		_, err = s.client.Verify(context.Background(), s.subject, []string{scanType}, s.staging.public(), 0)
		assert.NoError(t, err, "without an age any is good")
	}
}

func TestOnlyKeysThatBothCosignsKnow(t *testing.T) {
	folder := t.TempDir()
	write := func(name, kind string, der []byte, err error) string {
		require.NoError(t, err)
		file := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	publicEd, privateEd, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	ring, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for name, pair := range map[string][2]any{"ed25519": {privateEd, publicEd}, "p384": {p384, p384.Public()}, "rsa": {ring, ring.Public()}} {
		private, err := x509.MarshalPKCS8PrivateKey(pair[0])
		_, refusal := ReadPrivateKey(write(name+".key", "PRIVATE KEY", private, err))
		assert.ErrorContains(t, refusal, "no ECDSA key on P-256")
		public, err := x509.MarshalPKIXPublicKey(pair[1])
		_, refusal = ReadPublicKey(write(name+".pub", "PUBLIC KEY", public, err))
		assert.ErrorContains(t, refusal, "no ECDSA key on P-256")
		assert.Equal(t, slipway.Usage, slipway.AsError(refusal).Code)
	}
	good := newKey(t)
	sec1, err := x509.MarshalECPrivateKey(good.key)
	file := write("ec.key", "EC PRIVATE KEY", sec1, err)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	t.Setenv("IN_PEM", string(text))
	t.Setenv("IN_BASE64", base64.StdEncoding.EncodeToString(text))
	for _, from := range []string{file, "env://IN_PEM", "env://IN_BASE64"} {
		read, err := ReadPrivateKey(from)
		require.NoError(t, err)
		assert.Equal(t, good.Fingerprint(), read.Fingerprint())
	}
	t.Setenv("NO_KEY", "hunter2")
	for _, from := range []string{"env://NO_KEY", "env://NOT_SET", "env://", "/does/not/exist"} {
		_, refusal := ReadPrivateKey(from)
		assert.Equal(t, slipway.Usage, slipway.AsError(refusal).Code, from)
		assert.NotContains(t, refusal.Error(), "hunter2")
	}
}
