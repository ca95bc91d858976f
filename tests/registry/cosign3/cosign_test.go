// Package cosign3 tests image-evidence against the library of cosign 3, on the real registry.
package cosign3

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v3/pkg/cosign"
	cosignremote "github.com/sigstore/cosign/v3/pkg/oci/remote"
	cosignsignature "github.com/sigstore/cosign/v3/pkg/signature"
	"github.com/sigstore/cosign/v3/pkg/types"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"slipway.dev/slipway/tests/registry/site"
)

const typeKey = "dev.slipway.evidence.type"

func password(bool) ([]byte, error) { return []byte("secret"), nil }

// keys are a pair as cosign generate-key-pair writes it.
type keys struct{ private, public string }

func newKeys(t *testing.T) keys {
	t.Helper()
	pair, err := cosign.GenerateKeyPair(password)
	require.NoError(t, err)
	folder := t.TempDir()
	made := keys{filepath.Join(folder, "cosign.key"), filepath.Join(folder, "cosign.pub")}
	require.NoError(t, os.WriteFile(made.private, pair.PrivateBytes, 0o600))
	require.NoError(t, os.WriteFile(made.public, pair.PublicBytes, 0o600))
	return made
}

// cosignVerify does what cosign verify --key -a does: it counts the signatures that hold.
func cosignVerify(t *testing.T, direct name.Digest, pair keys, kind string) int {
	t.Helper()
	verifier, err := cosignsignature.LoadPublicKey(t.Context(), pair.public)
	require.NoError(t, err)
	options := &cosign.CheckOpts{SigVerifier: verifier, ClaimVerifier: cosign.IntotoSubjectClaimVerifier, IgnoreTlog: true,
		NewBundleFormat: true}
	if kind != "" {
		options.Annotations = map[string]any{typeKey: kind}
	}
	bundles, _, err := cosign.GetBundles(t.Context(), direct, nil, name.Insecure)
	require.NoError(t, err, "without bundles, cosign would look for signatures of version 2")
	require.NotEmpty(t, bundles)
	checked, _, err := cosign.VerifyImageAttestations(t.Context(), direct, options, name.Insecure)
	if err != nil {
		return 0
	}
	return len(checked)
}

// cosignSign does what cosign sign --key -a and cosign attest --key do.
func cosignSign(t *testing.T, direct name.Digest, pair keys, predicateType string, annotations map[string]any) {
	t.Helper()
	algorithm, hex, _ := strings.Cut(direct.DigestStr(), ":")
	statement, err := json.Marshal(map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": predicateType, "predicate": map[string]any{},
		"subject": []any{map[string]any{"digest": map[string]string{algorithm: hex}, "annotations": annotations}},
	})
	require.NoError(t, err)
	signer, err := cosignsignature.SignerVerifierFromKeyRef(t.Context(), pair.private, password, nil)
	require.NoError(t, err)
	made, err := sign.Bundle(&sign.DSSEData{Data: statement, PayloadType: "application/vnd.in-toto+json"}, &keypair{signer},
		sign.BundleOptions{})
	require.NoError(t, err)
	encoded, err := protojson.Marshal(made)
	require.NoError(t, err)
	require.NoError(t,
		cosignremote.WriteAttestationNewBundleFormat(direct, encoded, predicateType, cosignremote.WithNameOptions(name.Insecure)))
}

// keypair is a key of cosign's for the library that makes bundles.
type keypair struct{ signature.SignerVerifier }

func (*keypair) GetHashAlgorithm() protocommon.HashAlgorithm {
	return protocommon.HashAlgorithm_SHA2_256
}
func (*keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256
}
func (*keypair) GetHint() []byte         { return []byte("hint") }
func (*keypair) GetKeyAlgorithm() string { return "ECDSA" }
func (k *keypair) GetPublicKey() crypto.PublicKey {
	key, err := k.PublicKey()
	if err != nil {
		return nil
	}
	return key
}
func (k *keypair) GetPublicKeyPem() (string, error) {
	body, err := cryptoutils.MarshalPublicKeyToPEM(k.GetPublicKey())
	return string(body), err
}
func (k *keypair) SignData(_ context.Context, data []byte) ([]byte, []byte, error) {
	made, err := k.SignMessage(bytes.NewReader(data))
	hash := sha256.Sum256(data)
	return made, hash[:], err
}

func TestCosign3AcceptsOursAndWeAcceptItsOwn(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, "image-evidence")
	out, err := exec.Command("go", "build", "-C", "../../..", "-o", program, "./helpers/slipway").CombinedOutput()
	require.NoError(t, err, string(out))
	direct := newSubject(t)
	pair, stranger := newKeys(t), newKeys(t)
	evidence := func(arguments ...string) (int, string) {
		command := exec.Command(program, append(arguments, "--plain-http", direct.String())...)
		command.Env = append(os.Environ(), "COSIGN_PASSWORD=secret")
		out, _ := command.CombinedOutput()
		return command.ProcessState.ExitCode(), string(out)
	}
	verify := func(kind string, key keys) (int, string) {
		return evidence("verify", "--require", kind, "--key", key.public)
	}
	file := filepath.Join(folder, "statement.json")
	require.NoError(t, os.WriteFile(file, []byte("{}"), 0o600))
	add := func(kind string) {
		code, said := evidence("add", "--type", kind, "--file", file, "--key", pair.private)
		require.Zero(t, code, said)
	}

	add("staging-verified")
	assert.Equal(t, 1, cosignVerify(t, direct, pair, "staging-verified"))
	cosignSign(t, direct, pair, types.CosignSignPredicateType, map[string]any{typeKey: "approved"})
	cosignSign(t, direct, pair, "https://slsa.dev/provenance/v1", map[string]any{typeKey: "built"}) // an attestation is no signature
	cosignSign(t, direct, stranger, types.CosignSignPredicateType, map[string]any{typeKey: "forged"})
	cosignSign(t, direct, pair, types.CosignSignPredicateType, map[string]any{typeKey: "scan"}) // nor is a scan one
	add("load-tested")

	assert.Equal(t, 1, cosignVerify(t, direct, pair, "staging-verified"), "other bundles beside it change nothing")
	assert.Equal(t, 1, cosignVerify(t, direct, pair, "load-tested"))
	assert.Equal(t, 1, cosignVerify(t, direct, pair, "approved"), "what cosign wrote is still there")
	assert.Zero(t, cosignVerify(t, direct, stranger, "staging-verified"))
	for _, kind := range []string{"staging-verified", "approved", "load-tested"} {
		code, said := verify(kind, pair)
		assert.Zero(t, code, said)
		code, said = verify(kind, stranger)
		assert.Equal(t, 1, code)
		assert.Contains(t, said, "not signed by this key")
	}
	for _, kind := range []string{"built", "forged", "scan", "signature"} {
		code, said := verify(kind, pair)
		assert.Equal(t, 1, code, "%s: %s", kind, said)
	}
	for _, of := range []keys{pair, plainKeys(t)} {
		for kind, file := range statements(t, direct) {
			code, said := evidence("add", "--type", kind, "--file", file, "--key", of.private)
			require.Zero(t, code, said)
			assert.NotZero(t, cosignVerify(t, direct, of, kind), kind)
			code, said = verify(kind, of)
			assert.Zero(t, code, said)
		}
	}
	code, said := evidence("verify", "--require", "forged", "--require", "approved", "--key", stranger.public, "--key", pair.public)
	assert.Zero(t, code, "while a key is replaced, both are good: %s", said)
}

// statements are files of every kind that staging attaches, about the image.
func statements(t *testing.T, direct name.Digest) map[string]string {
	t.Helper()
	image, err := remote.Image(direct)
	require.NoError(t, err)
	id, err := image.ConfigName()
	require.NoError(t, err)
	files := map[string]string{}
	for kind, text := range map[string]string{
		"staging-verified": `{"fine":true}`,
		"scan":             `{"SchemaVersion":2,"ArtifactType":"container_image","Metadata":{"ImageID":"` + id.String() + `"},"Results":[]}`,
		"sbom": `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"properties":[` +
			`{"name":"aquasecurity:trivy:ImageID","value":"` + id.String() + `"}]}}}`,
	} {
		files[kind] = filepath.Join(t.TempDir(), kind)
		require.NoError(t, os.WriteFile(files[kind], []byte(text), 0o600))
	}
	return files
}

// plainKeys are a pair as openssl writes it.
func plainKeys(t *testing.T) keys {
	t.Helper()
	folder := t.TempDir()
	made := keys{filepath.Join(folder, "signing.key"), filepath.Join(folder, "signing.pub")}
	for _, arguments := range [][]string{
		{"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", made.private},
		{"pkey", "-in", made.private, "-pubout", "-out", made.public},
	} {
		out, err := exec.Command("openssl", arguments...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	return made
}

// newSubject is an image in the registry that make setup has built for the lab.
func newSubject(t *testing.T) name.Digest {
	t.Helper()
	program, err := site.Program()
	require.NoError(t, err)
	started, err := site.Start(program, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(started.Stop)
	image, err := random.Image(1000, 1)
	require.NoError(t, err)
	tag, err := name.NewTag(started.URL.Host+"/team/app:latest-1", name.Insecure)
	require.NoError(t, err)
	require.NoError(t, remote.Write(tag, image))
	digest, err := image.Digest()
	require.NoError(t, err)
	return tag.Digest(digest.String())
}
