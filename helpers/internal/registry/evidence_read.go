package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Rejected is what claims to be evidence and is not.
type Rejected struct {
	Type   string `json:"type"`
	Digest string `json:"digest"`
	Why    string `json:"why"`
}

func (r Rejected) Error() string { return strings.TrimPrefix(r.Type+": "+r.Why, ": ") }

type read struct {
	Good []Evidence // the oldest first
	Bad  []Rejected
}

// evidenceReader reads what is attached to images of one repository.
type evidenceReader struct {
	session *session
	key     *PublicKey    // nil takes what is there as it is
	tags    []string      // of the repository, where they are known already
	maxAge  time.Duration // how long ago a scan may have been made; 0 is any time
	keeps   bool          // the registry has the referrers API, and keeps the list itself
	lacks   bool          // it has not
	light   bool          // the statements themselves are left unread, since only their times matter
}

// read looks in the places where evidence may be, the cheapest first, until it
// has the required types; with none required, in all of them:
// the referrers API; the fallback tag, which registries without it have; the
// statements' own tags, where a writer died before it had renewed the fallback
// tag; and, with a key, the signatures that cosign 2 left.
//
// Where the referrers API fails, what is found elsewhere is good all the same; what is
// not found there is unknown.
func (e *evidenceReader) read(ctx context.Context, about *manifest, required []string) (read, error) {
	var r read
	var failed error
	seen := map[string]bool{}
	enough := func() bool { return len(required) > 0 && len(missing(r.Good, required)) == 0 }
	places := []func(context.Context, v1.Hash) ([]string, error){e.referrers, e.session.list, e.ownTags}
	for i, place := range places {
		references, err := place(ctx, about.Digest)
		if err != nil && i == 0 && ctx.Err() == nil {
			failed = err
			continue
		}
		if err != nil {
			return r, err
		}
		for _, reference := range references {
			if seen[reference] {
				continue
			}
			seen[reference] = true
			if err := e.reference(ctx, about, reference, seen, &r); err != nil {
				return r, err
			}
		}
		if enough() {
			break
		}
	}
	if e.key != nil && !enough() {
		if err := e.signatures(ctx, about.Digest, &r); err != nil {
			return r, err
		}
	}
	slices.SortStableFunc(r.Good, func(a, b Evidence) int { return strings.Compare(a.Created, b.Created) })
	if enough() {
		failed = nil
	}
	return r, failed
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

func (e *evidenceReader) ownTags(ctx context.Context, subject v1.Hash) ([]string, error) {
	if e.tags == nil {
		if e.keeps {
			return nil, nil
		}
		var err error
		if e.tags, _, err = e.session.tags(ctx, ""); err != nil {
			return nil, err
		}
	}
	return ownTagsOf(e.tags, subject), nil
}

// reference reads what refers to the image: a statement of our own or, with a key, a
// signature of cosign's. What a list or a tag says of it is not trusted: it names its
// type and its subject itself. What is gone is nothing.
func (e *evidenceReader) reference(ctx context.Context, about *manifest, reference string, seen map[string]bool, r *read) error {
	got, err := e.session.manifest(ctx, reference)
	if isMissing(err) {
		return nil
	}
	if errors.Is(err, errForm) {
		r.Bad = append(r.Bad, Rejected{Digest: reference, Why: err.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	if seen[got.Digest.String()] && reference != got.Digest.String() {
		return nil
	}
	seen[got.Digest.String()] = true
	switch c := got.content; {
	case c.Config == nil:
		return nil
	case c.Config.MediaType == evidenceMediaType:
		return e.statement(ctx, about, got, r)
	case e.key != nil && len(c.Layers) == 1 && isBundle(string(c.Layers[0].MediaType)):
		return e.bundle(ctx, about.Digest, c.Layers[0], r)
	case e.key != nil && c.Config.MediaType == signatureArtifact:
		return e.payloads(ctx, about.Digest, c.Layers, r)
	}
	return nil
}

func (e *evidenceReader) statement(ctx context.Context, about, got *manifest, r *read) error {
	c := got.content
	facts := c.Annotations
	reject := func(why string) {
		r.Bad = append(r.Bad, Rejected{Type: facts[annotationType], Digest: got.Digest.String(), Why: why})
	}
	if c.Subject == nil || c.Subject.Digest != about.Digest {
		reject("it is about another image")
		return nil
	}
	if e.key != nil {
		signed, why, err := e.signed(ctx, about.Digest, c)
		if err != nil {
			return err
		}
		if why != "" {
			reject(why)
			return nil
		}
		facts = signed
	}
	if len(c.Layers) > 2 {
		reject("it holds several statements")
		return nil
	}
	if checkType(facts[annotationType]) != nil || len(c.Layers) == 0 {
		reject("it has no type")
		return nil
	}
	good := evidenceOf(facts, got.Digest)
	if e.key != nil {
		good.Signed, good.Key = true, facts[keyAnnotation]
	}
	findings, why, err := e.content(ctx, about, good.Type, c.Layers[0])
	if err != nil {
		return err
	}
	if why != "" {
		reject(why)
		return nil
	}
	if good.Scan != nil {
		good.Scan.Findings = findings
	}
	if why := e.old(good, time.Now()); why != "" {
		reject(why)
		return nil
	}
	r.Good = append(r.Good, good)
	return nil
}

// old says why a scan is too old to count.
func (e *evidenceReader) old(scan Evidence, now time.Time) string {
	if scan.Type != scanType || e.maxAge == 0 || e.light {
		return ""
	}
	made, err := time.Parse(time.RFC3339, scan.Created)
	switch age := now.Sub(made); {
	case err != nil:
		return "it does not say when the image was scanned"
	case age > e.maxAge:
		return fmt.Sprintf("the image was scanned %s, longer ago than %s", made.UTC().Format(time.DateTime), e.maxAge)
	case age < -clockSkew:
		return fmt.Sprintf("it says that the image was scanned %s, which is still to come", made.UTC().Format(time.DateTime))
	}
	return ""
}

// clockSkew is how far two machines' clocks may be apart.
const clockSkew = 10 * time.Minute

// signed gives what the key's holder stated, or why it is not to be believed.
func (e *evidenceReader) signed(ctx context.Context, subject v1.Hash, c content) (facts map[string]string, why string, err error) {
	switch {
	case len(c.Layers) > 2:
		return nil, "it holds several statements", nil
	case len(c.Layers) != 2 || c.Layers[1].MediaType != payloadMediaType:
		return nil, "it is not signed", nil
	}
	body, why, err := e.small(ctx, c.Layers[1])
	if err != nil || why != "" {
		return nil, why, err
	}
	facts, err = verify(e.key, e.session.repository, subject, c.Layers[1], body)
	if err != nil {
		return nil, err.Error(), nil
	}
	if facts[annotationStatement] != c.Layers[0].Digest.String() {
		return nil, "the statement is not the one that was signed", nil
	}
	if facts[annotationType] != c.Annotations[annotationType] {
		return nil, fmt.Sprintf("it was signed as evidence of %q", facts[annotationType]), nil
	}
	return facts, "", nil
}

// content reads the statement itself, where it counts: what was signed must be there,
// and a scan must be of this image.
func (e *evidenceReader) content(ctx context.Context, about *manifest, kind string, layer v1.Descriptor) (
	findings map[string]int, why string, err error,
) {
	if e.light || e.key == nil && kind != scanType {
		return nil, "", nil
	}
	var scan report
	var parts bom
	var parse func(io.Reader) error
	if kind == scanType || kind == bomType {
		parse = func(in io.Reader) error {
			body, err := io.ReadAll(in)
			if err == nil && kind == scanType {
				return readOnce(body, &scan)
			}
			if err == nil {
				parts, err = readBOM(body)
			}
			return err
		}
	}
	err = e.session.checkBlob(ctx, layer, parse)
	if errors.Is(err, errContent) {
		return nil, err.Error(), nil
	}
	if err != nil || parse == nil {
		return nil, "", err
	}
	named := parts.image()
	if kind == scanType {
		if findings, err = scan.findings(); err != nil {
			return nil, err.Error(), nil
		}
		named = scan.Metadata.ImageID
	}
	id, err := e.session.imageID(ctx, about)
	if err != nil {
		return nil, "", err
	}
	if named != id && (kind == scanType || named != "") {
		return nil, fmt.Sprintf("it is a %s of another image: it names %s, and this one is %s", kind, named, id), nil
	}
	return findings, "", nil
}

// small reads a signature, or says why there is none to read.
func (e *evidenceReader) small(ctx context.Context, layer v1.Descriptor) (body []byte, why string, err error) {
	if layer.Size > maxConfig {
		return nil, fmt.Sprintf("its signature is %d MB long, which is too much", layer.Size>>20), nil
	}
	body, err = e.session.blob(ctx, layer)
	if isMissing(err) {
		return nil, "its signature is gone", nil
	}
	return body, "", err
}
