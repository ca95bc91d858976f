package registry

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// What cosign 3 writes and reads: a Sigstore bundle, as the one layer of an artifact
// whose subject is the image. In it is a DSSE envelope, and in that an in-toto statement.
// https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
// https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
const (
	bundleMediaType  = "application/vnd.dev.sigstore.bundle.v0.3+json"
	emptyMediaType   = "application/vnd.oci.empty.v1+json"
	inTotoMediaType  = "application/vnd.in-toto+json"
	inTotoStatement  = "https://in-toto.io/Statement/v1"
	signPredicate    = "https://sigstore.dev/cosign/sign/v1"
	annotationBundle = "dev.sigstore.bundle."
)

func isBundle(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.dev.sigstore.bundle")
}

type bundle struct {
	MediaType string `json:"mediaType"`
	Material  struct {
		PublicKey struct {
			Hint string `json:"hint,omitempty"`
		} `json:"publicKey"`
	} `json:"verificationMaterial"`
	Envelope *dsse.Envelope `json:"dsseEnvelope,omitempty"`
}

type inToto struct {
	Type      string          `json:"_type"`
	Subject   []inTotoSubject `json:"subject"`
	Predicate struct{}        `json:"predicate"`
	Kind      string          `json:"predicateType"`
}

type inTotoSubject struct {
	Digest      map[string]string `json:"digest"`
	Annotations map[string]any    `json:"annotations,omitempty"`
}

// signBundle makes the bundle that states the facts about the subject.
func signBundle(key *PrivateKey, subject v1.Hash, facts map[string]any) ([]byte, error) {
	return signStatement(key, inToto{
		Type: inTotoStatement, Kind: signPredicate,
		Subject: []inTotoSubject{{Digest: map[string]string{subject.Algorithm: subject.Hex}, Annotations: facts}},
	})
}

func signStatement(key *PrivateKey, stated inToto) ([]byte, error) {
	statement, err := json.Marshal(stated)
	if err != nil {
		return nil, err
	}
	signature, err := key.Sign(dsse.PAE(inTotoMediaType, statement))
	if err != nil {
		return nil, err
	}
	hint, err := hex.DecodeString(strings.TrimPrefix(key.fingerprint, "sha256:"))
	if err != nil {
		return nil, err
	}
	made := bundle{MediaType: bundleMediaType, Envelope: &dsse.Envelope{
		PayloadType: inTotoMediaType, Payload: base64.StdEncoding.EncodeToString(statement),
		Signatures: []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(signature)}},
	}}
	made.Material.PublicKey.Hint = base64.StdEncoding.EncodeToString(hint)
	return json.Marshal(made)
}

// bundleArtifact is the manifest that attaches a bundle to the image.
func bundleArtifact(about *manifest, config, layer v1.Descriptor, created string) content {
	config.MediaType = emptyMediaType
	return content{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: bundleMediaType, Config: &config, Layers: []v1.Descriptor{layer},
		Subject: &v1.Descriptor{MediaType: about.MediaType, Size: about.Size, Digest: about.Digest},
		Annotations: map[string]string{annotationCreated: created, annotationBundle + "content": "dsse-envelope",
			annotationBundle + "predicateType": signPredicate},
	}
}

var errNoSignature = errors.New("it is no signature of an image")

// verifyBundle gives the facts that the key's holder stated about the subject, or
// errNoSignature of what holds something else, such as an attestation.
func verifyBundle(key *PublicKey, subject v1.Hash, body []byte) (map[string]string, error) {
	var given bundle
	if err := readOnce(body, &given); err != nil || given.Envelope == nil || given.Envelope.PayloadType != inTotoMediaType {
		return nil, errNoSignature
	}
	statement, err := given.Envelope.DecodeB64Payload()
	if err != nil {
		return nil, errNoSignature
	}
	fingerprint, err := verifyEnvelope(key, given.Envelope, statement, given.Material.PublicKey.Hint)
	if err != nil {
		return nil, err
	}
	var stated struct {
		Subject []inTotoSubject `json:"subject"`
		Kind    string          `json:"predicateType"`
	}
	if err := readOnce(statement, &stated); err != nil {
		return nil, fmt.Errorf("what is signed cannot be read: %w", err)
	}
	if stated.Kind != signPredicate {
		return nil, errNoSignature
	}
	if len(stated.Subject) != 1 { // whose annotations would count is not said
		return nil, fmt.Errorf("it is signed for %d images at once, and a signature is of one", len(stated.Subject))
	}
	if one := stated.Subject[0]; one.Digest[subject.Algorithm] == subject.Hex {
		return factsOf(one.Annotations, fingerprint), nil
	}
	return nil, errors.New("it is signed for another image")
}

func verifyEnvelope(key *PublicKey, envelope *dsse.Envelope, payload []byte, hint string) (fingerprint string, err error) {
	signed := dsse.PAE(envelope.PayloadType, payload)
	named := ""
	if raw, err := base64.StdEncoding.DecodeString(hint); err == nil && len(raw) == sha256.Size {
		named = fmt.Sprintf("sha256:%x", raw)
	}
	err = errors.New("it has no signature")
	for _, one := range envelope.Signatures {
		signature, decodeErr := base64.StdEncoding.DecodeString(one.Sig)
		if decodeErr != nil {
			continue
		}
		if fingerprint, err = key.Verify(signed, signature, named); err == nil {
			return fingerprint, nil
		}
	}
	return "", err
}

// bundle reads a signature that cosign 3 made. Ours says which statement it is of, and
// counts where that one is whole.
func (e *evidenceReader) bundle(ctx context.Context, subject v1.Hash, layer v1.Descriptor, r *read) error {
	body, why, err := e.small(ctx, layer)
	if err != nil {
		return err
	}
	var facts map[string]string
	if why == "" {
		facts, err = verifyBundle(e.key, subject, body)
	} else {
		err = errors.New(why)
	}
	if errors.Is(err, errNoSignature) || err == nil && facts[annotationStatement] != "" {
		return nil
	}
	r.signature(facts, layer.Digest, err)
	return nil
}
