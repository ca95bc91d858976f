package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Rejected is what claims to be evidence and is not.
type Rejected struct {
	Type   string `json:"type"`
	Digest string `json:"digest"`
	Why    string `json:"why"`
}

type read struct {
	Good []Evidence // the oldest first
	Bad  []Rejected
}

// evidenceReader reads what is attached to images of one repository.
type evidenceReader struct {
	session     *session
	key         *PublicKey // nil takes what is there as it is
	tags        []string   // of the repository, where they are known already
	noReferrers bool       // the registry lacks the referrers API
}

// read looks in the places where evidence may be, the cheapest first, until it
// has the required types; with none required, in all of them:
// the referrers API; the fallback tag, which registries without it have; the
// statements' own tags, where a writer died before it had renewed the fallback
// tag; and, with a key, the signatures that cosign left.
func (e *evidenceReader) read(ctx context.Context, subject v1.Hash, required []string) (read, error) {
	var r read
	seen := map[string]bool{}
	places := []func(context.Context, v1.Hash) ([]string, error){e.referrers, e.fallback, e.ownTags}
	for _, place := range places {
		references, err := place(ctx, subject)
		if err != nil {
			return r, err
		}
		for _, reference := range references {
			if seen[reference] {
				continue
			}
			seen[reference] = true
			if err := e.statement(ctx, subject, reference, seen, &r); err != nil {
				return r, err
			}
		}
		if len(required) > 0 && len(missing(r.Good, required)) == 0 {
			break
		}
	}
	if e.key != nil && (len(required) == 0 || len(missing(r.Good, required)) > 0) {
		if err := e.cosign(ctx, subject, &r); err != nil {
			return r, err
		}
	}
	slices.SortStableFunc(r.Good, func(a, b Evidence) int { return strings.Compare(a.Created, b.Created) })
	return r, nil
}

// missing gives the required types that the evidence lacks.
func missing(evidence []Evidence, required []string) []string {
	var lacking []string
	for _, kind := range required {
		if !slices.ContainsFunc(evidence, func(e Evidence) bool { return e.Type == kind }) {
			lacking = append(lacking, kind)
		}
	}
	return lacking
}

// referrers asks https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
func (e *evidenceReader) referrers(ctx context.Context, subject v1.Hash) ([]string, error) {
	if e.noReferrers {
		return nil, nil
	}
	var all []string
	var query url.Values
	for range maxPages {
		body, header, err := e.session.document(ctx, "referrers/"+subject.String(), query)
		if slices.Contains([]int{http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented}, status(err)) {
			e.noReferrers = true
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		var list content
		if err := json.Unmarshal(body, &list); err != nil || list.SchemaVersion != 2 {
			return nil, fmt.Errorf("what refers to %s is no index, but %.60q", subject, body)
		}
		all = append(all, ofEvidence(list.Manifests)...)
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

func ofEvidence(manifests []v1.Descriptor) []string {
	var digests []string
	for _, descriptor := range manifests {
		if descriptor.ArtifactType == evidenceMediaType || descriptor.ArtifactType == "" {
			digests = append(digests, descriptor.Digest.String())
		}
	}
	return digests
}

func (e *evidenceReader) fallback(ctx context.Context, subject v1.Hash) ([]string, error) {
	list, err := e.session.list(ctx, subject)
	return ofEvidence(list), err
}

func (e *evidenceReader) ownTags(ctx context.Context, subject v1.Hash) ([]string, error) {
	if e.tags == nil {
		if !e.noReferrers {
			return nil, nil // the registry keeps the list itself
		}
		var err error
		if e.tags, err = e.session.tags(ctx, ""); err != nil {
			return nil, err
		}
	}
	return ownTagsOf(e.tags, subject), nil
}

// statement reads one. What a list or a tag says of it is not trusted: the
// statement itself names its type and its subject. What is gone is nothing.
func (e *evidenceReader) statement(ctx context.Context, subject v1.Hash, reference string, seen map[string]bool, r *read) error {
	got, err := e.session.manifest(ctx, reference)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	c, digest := got.content, got.Digest.String()
	if c.Config == nil || c.Config.MediaType != evidenceMediaType || seen[digest] && reference != digest {
		return nil
	}
	seen[digest] = true
	facts := c.Annotations
	reject := func(why string) {
		r.Bad = append(r.Bad, Rejected{Type: facts[annotationType], Digest: digest, Why: why})
	}
	if c.Subject == nil || c.Subject.Digest != subject {
		reject("it is about another image")
		return nil
	}
	if e.key != nil {
		signed, why, err := e.signed(ctx, subject, c)
		if err != nil {
			return err
		}
		if why != "" {
			reject(why)
			return nil
		}
		facts = signed
	}
	if checkType(facts[annotationType]) != nil {
		reject("it has no type")
		return nil
	}
	good := evidenceOf(facts, got.Digest)
	good.Signed = e.key != nil
	r.Good = append(r.Good, good)
	return nil
}

// signed gives what the key's holder stated, or why it is not to be believed.
func (e *evidenceReader) signed(ctx context.Context, subject v1.Hash, c content) (facts map[string]string, why string, err error) {
	if len(c.Layers) != 2 || c.Layers[1].MediaType != payloadMediaType {
		return nil, "it is not signed", nil
	}
	body, err := e.session.blob(ctx, c.Layers[1])
	if err != nil {
		return nil, "", err
	}
	facts, err = verify(e.key, subject, c.Layers[1], body)
	if err != nil {
		return nil, err.Error(), nil
	}
	if facts[annotationStatement] != c.Layers[0].Digest.String() {
		return nil, "the statement is not the one that was signed", nil
	}
	if facts[annotationType] != c.Annotations[annotationType] {
		return nil, fmt.Sprintf("it was signed as evidence of %q", facts[annotationType]), nil
	}
	if err := e.session.checkBlob(ctx, c.Layers[0]); err != nil {
		if errors.Is(err, errContent) {
			return nil, err.Error(), nil
		}
		return nil, "", err
	}
	return facts, "", nil
}

// cosign reads the signatures under the tag where cosign keeps them. Statements
// of our own stand there too, for cosign; here they count only where they are whole.
func (e *evidenceReader) cosign(ctx context.Context, subject v1.Hash, r *read) error {
	got, err := e.session.manifest(ctx, signatureTag(subject))
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, layer := range got.content.Layers {
		if layer.MediaType != payloadMediaType {
			continue
		}
		body, err := e.session.blob(ctx, layer)
		if err != nil {
			return err
		}
		var p payload
		if json.Unmarshal(body, &p) == nil && p.Optional[annotationStatement] != nil {
			continue
		}
		facts, err := verify(e.key, subject, layer, body)
		if err == nil {
			err = checkType(facts[annotationType])
		}
		if err != nil {
			r.Bad = append(r.Bad, Rejected{Type: plainSignature, Digest: layer.Digest.String(), Why: err.Error()})
			continue
		}
		good := evidenceOf(facts, layer.Digest)
		good.Signed = true
		r.Good = append(r.Good, good)
	}
	return nil
}
