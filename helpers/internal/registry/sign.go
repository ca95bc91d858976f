package registry

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// cosign's envelope: a payload in a layer, its signature in that layer's annotation.
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
const (
	payloadMediaType    = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	keyAnnotation       = "dev.slipway.signature.key" // the key's fingerprint, by which a key that is no longer accepted is named
	payloadType         = "cosign container image signature"
	plainSignature      = "signature" // the type of a signature of cosign's that names none

	// the artifact that cosign 2 writes with --registry-referrers-mode=oci-1-1
	signatureArtifact = "application/vnd.dev.cosign.artifact.sig.v1+json"
)

type payload struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]any `json:"optional"`
}

// sign states the facts about the subject.
func sign(key *PrivateKey, repository name.Repository, subject v1.Hash, facts map[string]any) (v1.Descriptor, []byte, error) {
	var p payload
	p.Critical.Identity.Reference = repository.Name()
	p.Critical.Image.Digest = subject.String()
	p.Critical.Type = payloadType
	p.Optional = facts
	body, err := json.Marshal(p)
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	signature, err := key.Sign(body)
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	layer := descriptorOf(payloadMediaType, body)
	layer.Annotations = map[string]string{signatureAnnotation: base64.StdEncoding.EncodeToString(signature), keyAnnotation: key.fingerprint}
	return layer, body, nil
}

// verify gives the facts that the key's holder stated about the subject in this repository.
func verify(key *PublicKey, in name.Repository, subject v1.Hash, layer v1.Descriptor, body []byte) (facts map[string]string, err error) {
	signature, err := base64.StdEncoding.DecodeString(layer.Annotations[signatureAnnotation])
	if err != nil || len(signature) == 0 {
		return nil, errors.New("it has no signature")
	}
	fingerprint, err := key.Verify(body, signature, layer.Annotations[keyAnnotation])
	if err != nil {
		return nil, err
	}
	var p payload
	switch err := readOnce(body, &p); {
	case err != nil:
		return nil, fmt.Errorf("what is signed cannot be read: %w", err)
	case p.Critical.Type != payloadType:
		return nil, fmt.Errorf("what is signed is no %s", payloadType)
	case p.Critical.Image.Digest != subject.String():
		return nil, fmt.Errorf("it is signed for another image, %s", p.Critical.Image.Digest)
	}
	if err := isOf(in, p.Critical.Identity.Reference); err != nil {
		return nil, err
	}
	return factsOf(p.Optional, fingerprint), nil
}

// isOf refuses what was signed in another repository and copied here. A registry may have several addresses,
// so that its host does not count.
func isOf(in name.Repository, signed string) error {
	before, _, _ := strings.Cut(signed, "@")
	if i := strings.LastIndex(before, ":"); i > strings.LastIndex(before, "/") {
		before = before[:i]
	}
	if before == "" { // cosign 3 names none in the bundles that it writes
		return nil
	}
	repository, err := name.NewRepository(before)
	if err != nil {
		return fmt.Errorf("it is signed for %q, which is no repository", signed)
	}
	if repository.RepositoryStr() != in.RepositoryStr() {
		return fmt.Errorf("it is signed for another repository, %s", repository.RepositoryStr())
	}
	return nil
}

// factsOf are the texts among what was signed, and the key.
func factsOf(annotations map[string]any, fingerprint string) map[string]string {
	facts := map[string]string{annotationType: plainSignature}
	for key, value := range annotations {
		if text, ok := value.(string); ok {
			facts[key] = text
		}
	}
	facts[keyAnnotation] = fingerprint
	return facts
}

// signatures reads what is under the tag where cosign 2 keeps them.
func (e *evidenceReader) signatures(ctx context.Context, subject v1.Hash, r *read) error {
	got, err := e.session.manifest(ctx, signatureTag(subject))
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return e.payloads(ctx, subject, got.content.Layers, r)
}

// payloads reads signatures of cosign 2. Statements of our own stand there too, for
// cosign; here they count only where they are whole.
func (e *evidenceReader) payloads(ctx context.Context, subject v1.Hash, layers []v1.Descriptor, r *read) error {
	for _, layer := range layers {
		if layer.MediaType != payloadMediaType {
			continue
		}
		body, why, err := e.small(ctx, layer)
		if err != nil {
			return err
		}
		var p payload
		if why == "" && readOnce(body, &p) == nil && p.Optional[annotationStatement] != nil {
			continue
		}
		var facts map[string]string
		if why == "" {
			facts, err = verify(e.key, e.session.repository, subject, layer, body)
		} else {
			err = errors.New(why)
		}
		r.signature(facts, layer.Digest, err)
	}
	return nil
}

// signature notes one that names no statement, or why it does not count.
func (r *read) signature(facts map[string]string, digest v1.Hash, err error) {
	if err == nil {
		err = checkType(facts[annotationType])
	}
	if err == nil && facts[annotationType] == scanType {
		err = errors.New("a scan is known by its report, and this is a signature alone")
	}
	if err != nil {
		r.Bad = append(r.Bad, Rejected{Type: cmp.Or(facts[annotationType], plainSignature), Digest: digest.String(), Why: err.Error()})
		return
	}
	good := evidenceOf(facts, digest)
	good.Signed, good.Key = true, facts[keyAnnotation]
	r.Good = append(r.Good, good)
}
