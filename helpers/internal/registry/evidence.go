package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// What evidence is, as an OCI artifact with a subject:
// https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage
const (
	evidenceMediaType = "application/vnd.slipway.evidence.v1+json"
	annotationType    = "dev.slipway.evidence.type"
	annotationBuild   = "dev.slipway.evidence.build"
	annotationCreated = "org.opencontainers.image.created"
)

// Evidence is one statement about an image's digest.
type Evidence struct {
	Type    string `json:"type"`
	Created string `json:"created"`         // RFC 3339
	Build   string `json:"build,omitempty"` // the URL of the build that attached it
	Digest  string `json:"digest"`          // of the statement itself
}

var evidenceType = regexp.MustCompile(`^[a-z0-9]+(?:[-.][a-z0-9]+)*$`)

// AddEvidence attaches the file to the digest. The same statement twice is one.
func (c *Client) AddEvidence(ctx context.Context, subject name.Digest, kind, file, build string) (Evidence, error) {
	doing := "attaching evidence to " + subject.String()
	if !evidenceType.MatchString(kind) {
		return Evidence{}, slipway.Usagef("the type %q of evidence is not of the form scan or staging-verified", kind)
	}
	body, err := os.ReadFile(file)
	if err != nil {
		return Evidence{}, slipway.Usagef("the evidence cannot be read").Because(err)
	}
	target, err := remote.Head(subject, c.remote(remote.WithContext(ctx))...)
	if err != nil {
		return Evidence{}, explain(err, subject.RegistryStr(), doing)
	}
	created := time.Now().UTC().Format(time.RFC3339)
	artifact, err := evidenceManifest(*target, kind, filepath.Base(file), body, build, created)
	if err != nil {
		return Evidence{}, fmt.Errorf("%s: %w", doing, err)
	}
	digest, err := artifact.Digest()
	if err != nil {
		return Evidence{}, err
	}
	if err := c.attach(ctx, subject, digest, kind, artifact); err != nil {
		return Evidence{}, explain(err, subject.RegistryStr(), doing)
	}
	return Evidence{Type: kind, Created: created, Build: build, Digest: digest.String()}, nil
}

func evidenceManifest(subject v1.Descriptor, kind, title string, body []byte, build, created string) (v1.Image, error) {
	artifact := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	artifact = mutate.ConfigMediaType(artifact, evidenceMediaType)
	artifact, err := mutate.Append(artifact, mutate.Addendum{
		Layer:       static.NewLayer(body, "application/octet-stream"),
		Annotations: map[string]string{"org.opencontainers.image.title": title},
	})
	if err != nil {
		return nil, err
	}
	annotations := map[string]string{annotationType: kind, annotationCreated: created}
	if build != "" {
		annotations[annotationBuild] = build
	}
	artifact = mutate.Annotations(artifact, annotations).(v1.Image)
	return mutate.Subject(artifact, v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest}).(v1.Image), nil
}

// attach writes the statement. Where the registry lacks the referrers API, what
// refers to a digest is a list under one tag that every writer replaces whole, so
// that of two writers at once one may be lost:
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
// There each statement gets a tag of its own as well, by its type, which nobody else writes.
func (c *Client) attach(ctx context.Context, subject name.Digest, digest v1.Hash, kind string, artifact v1.Image) error {
	if err := remote.Write(subject.Context().Digest(digest.String()), artifact, c.remote(remote.WithContext(ctx))...); err != nil {
		return err
	}
	listTag := subject.Context().Tag(strings.Replace(subject.DigestStr(), ":", "-", 1))
	_, err := remote.Head(listTag, c.remote(remote.WithContext(ctx))...)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return remote.Tag(ownTag(subject, kind), artifact, c.remote(remote.WithContext(ctx))...)
}

func ownTag(subject name.Digest, kind string) name.Tag {
	return subject.Context().Tag(strings.Replace(subject.DigestStr(), ":", "-", 1) + "." + kind)
}

func (c *Client) referrers(ctx context.Context, subject name.Digest) ([]v1.Descriptor, error) {
	index, err := remote.Referrers(subject, c.remote(remote.WithContext(ctx))...)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading what refers to %s: %w", subject, err)
	}
	return manifest.Manifests, nil
}

// Evidence reads what is attached to the digest, the oldest first: everything
// that is listed, and what the given types name beside the list.
func (c *Client) Evidence(ctx context.Context, subject name.Digest, kinds []string) ([]Evidence, error) {
	doing := "reading the evidence of " + subject.String()
	listed, err := c.referrers(ctx, subject)
	if err != nil {
		return nil, explain(err, subject.RegistryStr(), doing)
	}
	var all []Evidence
	add := func(reference name.Reference) error {
		evidence, err := c.statement(ctx, subject, reference)
		if err == nil && evidence != nil {
			all = append(all, *evidence)
		}
		return explain(err, subject.RegistryStr(), doing)
	}
	for _, descriptor := range listed {
		if err := add(subject.Context().Digest(descriptor.Digest.String())); err != nil {
			return nil, err
		}
	}
	for _, kind := range missing(all, kinds) {
		if err := add(ownTag(subject, kind)); err != nil {
			return nil, err
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Created < all[j].Created })
	return all, nil
}

// statement reads one. What a list or a tag says of it is not trusted: the
// statement itself names its type and its subject. One that is gone, or about
// something else, is nil.
func (c *Client) statement(ctx context.Context, subject name.Digest, reference name.Reference) (*Evidence, error) {
	got, err := remote.Get(reference, c.remote(remote.WithContext(ctx))...)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(got.Manifest, &manifest); err != nil {
		return nil, fmt.Errorf("%s is no manifest: %w", reference, err)
	}
	kind := manifest.Annotations[annotationType]
	if manifest.Config.MediaType != evidenceMediaType || kind == "" || manifest.Subject == nil || manifest.Subject.Digest.String() != subject.DigestStr() {
		return nil, nil
	}
	return &Evidence{Type: kind, Created: manifest.Annotations[annotationCreated], Build: manifest.Annotations[annotationBuild], Digest: got.Digest.String()}, nil
}

// evidenceTypes are the types that have a tag of their own: for a list that is to hold all.
func (c *Client) evidenceTypes(ctx context.Context, subject name.Digest) ([]string, error) {
	tags, err := c.Tags(ctx, subject.Context())
	if err != nil {
		return nil, err
	}
	var kinds []string
	for _, tag := range tags {
		if kind, found := strings.CutPrefix(tag, ownTag(subject, "").TagStr()); found {
			kinds = append(kinds, kind)
		}
	}
	return kinds, nil
}

// missing gives the required types that the evidence lacks.
func missing(evidence []Evidence, required []string) []string {
	var lacking []string
	for _, kind := range required {
		found := false
		for _, e := range evidence {
			found = found || e.Type == kind
		}
		if !found {
			lacking = append(lacking, kind)
		}
	}
	return lacking
}

// EvidenceList is what image-evidence answers.
type EvidenceList struct {
	Reference string     `json:"reference"`
	Evidence  []Evidence `json:"evidence"`
}

// Text lists one statement a line.
func (l EvidenceList) Text(out io.Writer) error {
	for _, e := range l.Evidence {
		if _, err := fmt.Fprintln(out, strings.TrimSpace(fmt.Sprintf("%-18s %s  %s", e.Type, e.Created, e.Build))); err != nil {
			return err
		}
	}
	return nil
}

// Env gives the types.
func (l EvidenceList) Env() []slipway.Pair {
	var kinds []string
	for _, e := range l.Evidence {
		kinds = append(kinds, e.Type)
	}
	return []slipway.Pair{{Key: "REFERENCE", Value: l.Reference}, {Key: "EVIDENCE", Value: strings.Join(kinds, " ")}}
}

// List gives all that is attached to the digest.
func (c *Client) List(ctx context.Context, subject name.Digest) (EvidenceList, error) {
	kinds, err := c.evidenceTypes(ctx, subject)
	if err != nil {
		return EvidenceList{}, err
	}
	evidence, err := c.Evidence(ctx, subject, kinds)
	return EvidenceList{Reference: subject.String(), Evidence: evidence}, err
}

// Verify says whether the digest has all the required evidence; exit 1 where it has not.
func (c *Client) Verify(ctx context.Context, subject name.Digest, required []string) (EvidenceList, error) {
	evidence, err := c.Evidence(ctx, subject, required)
	list := EvidenceList{Reference: subject.String(), Evidence: evidence}
	if err != nil {
		return list, err
	}
	if lacking := missing(evidence, required); len(lacking) > 0 {
		return list, slipway.Errorf(slipway.No, "%s has no evidence of the type %s", subject, strings.Join(lacking, ", ")).
			Next("see what it has: image-evidence list %s", subject)
	}
	return list, nil
}
