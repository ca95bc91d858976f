package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// cosign's envelope: a payload in a layer, its signature in that layer's annotation.
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
const (
	payloadMediaType    = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	payloadType         = "cosign container image signature"
	plainSignature      = "signature" // the type of a signature of cosign's that names none
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

// sign states the facts and the statement's digest about the subject.
func sign(key *PrivateKey, repository name.Repository, subject, statement v1.Hash, facts map[string]string) (v1.Descriptor, []byte, error) {
	var p payload
	p.Critical.Identity.Reference = repository.Name()
	p.Critical.Image.Digest = subject.String()
	p.Critical.Type = payloadType
	p.Optional = map[string]any{annotationStatement: statement.String()}
	for key, value := range facts {
		p.Optional[key] = value
	}
	body, err := json.Marshal(p)
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	signature, err := key.Sign(body)
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	layer := descriptorOf(payloadMediaType, body)
	layer.Annotations = map[string]string{signatureAnnotation: base64.StdEncoding.EncodeToString(signature)}
	return layer, body, nil
}

// verify gives the facts that the key's holder stated about the subject.
func verify(key *PublicKey, subject v1.Hash, layer v1.Descriptor, body []byte) (facts map[string]string, err error) {
	signature, err := base64.StdEncoding.DecodeString(layer.Annotations[signatureAnnotation])
	if err != nil || len(signature) == 0 {
		return nil, errors.New("it has no signature")
	}
	if err := key.Verify(body, signature); err != nil {
		return nil, err
	}
	var p payload
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, fmt.Errorf("what is signed cannot be read: %w", err)
	}
	if p.Critical.Image.Digest != subject.String() {
		return nil, fmt.Errorf("it is signed for another image, %s", p.Critical.Image.Digest)
	}
	facts = map[string]string{annotationType: plainSignature}
	for key, value := range p.Optional {
		if text, ok := value.(string); ok {
			facts[key] = text
		}
	}
	return facts, nil
}
