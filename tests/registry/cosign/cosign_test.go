// Package cosign tests image-evidence against cosign's own library, on the real registry.
package cosign

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	cosignmutate "github.com/sigstore/cosign/v2/pkg/oci/mutate"
	cosignremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	cosignstatic "github.com/sigstore/cosign/v2/pkg/oci/static"
	"github.com/sigstore/cosign/v2/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/payload"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/registry/site"
)

const typeKey = "dev.slipway.evidence.type"

// keys are a pair as cosign generate-key-pair writes it.
type keys struct{ private, public string }

func newKeys(t *testing.T) keys {
	t.Helper()
	pair, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return []byte("secret"), nil })
	require.NoError(t, err)
	folder := t.TempDir()
	made := keys{filepath.Join(folder, "cosign.key"), filepath.Join(folder, "cosign.pub")}
	require.NoError(t, os.WriteFile(made.private, pair.PrivateBytes, 0o600))
	require.NoError(t, os.WriteFile(made.public, pair.PublicBytes, 0o600))
	return made
}

// startRegistry starts the registry that make setup has built for the lab.
func startRegistry(t *testing.T) string {
	t.Helper()
	program, err := site.Program()
	require.NoError(t, err)
	started, err := site.Start(program, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(started.Stop)
	return started.URL.Host
}

func cosignVerify(t *testing.T, direct name.Digest, pair keys, kind string) []string {
	t.Helper()
	verifier, err := signature.LoadPublicKey(t.Context(), pair.public)
	require.NoError(t, err)
	options := &cosign.CheckOpts{SigVerifier: verifier, ClaimVerifier: cosign.SimpleClaimVerifier, IgnoreTlog: true}
	if kind != "" {
		options.Annotations = map[string]any{typeKey: kind}
	}
	checked, _, err := cosign.VerifyImageSignatures(t.Context(), direct, options)
	var found []string
	if err == nil {
		for _, one := range checked {
			text, err := one.Base64Signature()
			require.NoError(t, err)
			found = append(found, text)
		}
	}
	return found
}

// cosignSign does what cosign sign --key -a does.
func cosignSign(t *testing.T, direct name.Digest, pair keys, annotations map[string]any) {
	t.Helper()
	body, err := payload.Cosign{Image: direct, Annotations: annotations}.MarshalJSON()
	require.NoError(t, err)
	signer, err := signature.SignerFromKeyRef(t.Context(), pair.private, func(bool) ([]byte, error) { return []byte("secret"), nil })
	require.NoError(t, err)
	signed, err := signer.SignMessage(bytes.NewReader(body))
	require.NoError(t, err)
	one, err := cosignstatic.NewSignature(body, base64.StdEncoding.EncodeToString(signed))
	require.NoError(t, err)
	entity, err := cosignremote.SignedEntity(direct)
	require.NoError(t, err)
	entity, err = cosignmutate.AttachSignatureToEntity(entity, one)
	require.NoError(t, err)
	require.NoError(t, cosignremote.WriteSignatures(direct.Context(), entity))
}

func TestCosignAcceptsOursAndWeAcceptCosigns(t *testing.T) {
	folder := t.TempDir()
	out, err := exec.Command("go", "build", "-C", "../../..", "-o", filepath.Join(folder, "image-evidence"),
		"./helpers/slipway").CombinedOutput()
	require.NoError(t, err, string(out))
	direct := newSubject(t, startRegistry(t))
	pair, stranger := newKeys(t), newKeys(t)
	evidence := func(arguments ...string) (int, string) {
		command := exec.Command(filepath.Join(folder, "image-evidence"), append(arguments, "--plain-http", direct.String())...)
		command.Env = append(os.Environ(), "COSIGN_PASSWORD=secret")
		out, _ := command.CombinedOutput()
		return command.ProcessState.ExitCode(), string(out)
	}
	verify := func(kind string, key keys) (int, string) {
		return evidence("verify", "--require", kind, "--key", key.public)
	}

	cosignSign(t, direct, pair, map[string]any{typeKey: "approved"})
	file := filepath.Join(folder, "statement.json")
	require.NoError(t, os.WriteFile(file, []byte("{}"), 0o600))
	code, said := evidence("add", "--type", "staging-verified", "--file", file, "--key", pair.private)
	require.Zero(t, code, said)

	assert.Len(t, cosignVerify(t, direct, pair, "staging-verified"), 1)
	assert.Len(t, cosignVerify(t, direct, pair, "approved"), 1, "what cosign wrote is still there")
	assert.Empty(t, cosignVerify(t, direct, stranger, ""))
	for _, kind := range []string{"staging-verified", "approved"} {
		code, said = verify(kind, pair)
		assert.Zero(t, code, said)
		code, said = verify(kind, stranger)
		assert.Equal(t, 1, code)
		assert.Contains(t, strings.ToLower(said), "not signed by this key")
	}
	code, _ = verify("scan", pair)
	assert.Equal(t, 1, code)
	for _, of := range []keys{pair, plainKeys(t)} {
		for kind, file := range statements(t, direct) {
			code, said := evidence("add", "--type", kind, "--file", file, "--key", of.private)
			require.Zero(t, code, said)
			assert.NotEmpty(t, cosignVerify(t, direct, of, kind), kind)
			code, said = verify(kind, of)
			assert.Zero(t, code, said)
		}
	}
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

func newSubject(t *testing.T, host string) name.Digest {
	t.Helper()
	image, err := random.Image(1000, 1)
	require.NoError(t, err)
	tag, err := name.NewTag(host+"/team/app:latest-1", name.Insecure)
	require.NoError(t, err)
	require.NoError(t, remote.Write(tag, image))
	digest, err := image.Digest()
	require.NoError(t, err)
	return tag.Digest(digest.String())
}
