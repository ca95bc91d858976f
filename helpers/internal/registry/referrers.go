package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// referrers asks https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
// A registry has that API where it answers with an index, and in no other case:
// proxies and registries without it answer with any status, with pages for people,
// or with a redirect to a login. One that is busy or fails has not answered.
func (e *evidenceReader) referrers(ctx context.Context, subject v1.Hash) ([]string, error) {
	if e.lacks {
		return nil, nil
	}
	var all []string
	var query url.Values
	for range maxPages {
		body, header, err := e.session.document(ctx, "referrers/"+subject.String(), query)
		code := status(err)
		if err != nil && (code == 0 || code == http.StatusTooManyRequests || code >= 500 && code != http.StatusNotImplemented) {
			return nil, err
		}
		list, isIndex := readIndex(body)
		switch {
		case isIndex:
			e.keeps = true
		case len(query) > 0:
			return nil, fmt.Errorf("what refers to %s may be incomplete: its next page is no index, but %.60q", subject, body)
		default:
			e.lacks = true
			return nil, nil
		}
		all = append(all, ofEvidence(list)...)
		match := linkValue.FindStringSubmatch(strings.Join(header.Values("Link"), ", "))
		if match == nil || !isNext.MatchString(match[2]) {
			return all, nil
		}
		_, raw, _ := strings.Cut(match[1], "?")
		next, _ := url.ParseQuery(raw)
		if len(next) == 0 || next.Encode() == query.Encode() {
			return nil, fmt.Errorf("what refers to %s may be incomplete: its next page leads nowhere", subject)
		}
		query = next
	}
	return nil, fmt.Errorf("what refers to %s has more than %d pages", subject, maxPages)
}

// readIndex reads an index, and leaves out what it lists that is not by SHA-256.
func readIndex(body []byte) (manifests []v1.Descriptor, ok bool) {
	var index struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     types.MediaType `json:"mediaType"`
		Manifests     *[]json.RawMessage
		Config        *json.RawMessage
	}
	if json.Unmarshal(body, &index) != nil || index.SchemaVersion != 2 || index.Config != nil {
		return nil, false
	}
	if index.Manifests == nil {
		return nil, index.MediaType.IsIndex()
	}
	for _, raw := range *index.Manifests {
		var one v1.Descriptor
		if json.Unmarshal(raw, &one) == nil && one.Digest.Algorithm == "sha256" {
			manifests = append(manifests, one)
		}
	}
	return manifests, true
}

// ofEvidence gives what may be evidence by its type, or names a type that says nothing.
func ofEvidence(manifests []v1.Descriptor) []string {
	var digests []string
	for _, descriptor := range manifests {
		switch kind := descriptor.ArtifactType; {
		case kind == "", kind == evidenceMediaType, kind == emptyMediaType, kind == signatureArtifact, isBundle(kind):
			digests = append(digests, descriptor.Digest.String())
		}
	}
	return digests
}

// list reads what the fallback tag lists. GitLab's registry has none for long: it
// takes the name of the tag for the digest in it, and answers with the image.
func (s *session) list(ctx context.Context, subject v1.Hash) ([]string, error) {
	got, err := s.manifest(ctx, listTag(subject))
	if isMissing(err) || err == nil && got.Digest == subject {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ofEvidence(got.content.Manifests), nil
}
