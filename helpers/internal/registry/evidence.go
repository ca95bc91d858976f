package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/gate"
)

// What evidence is, as an OCI artifact with a subject:
// https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage
const (
	evidenceMediaType   = "application/vnd.slipway.evidence.v1+json"
	annotationType      = "dev.slipway.evidence.type"
	annotationStatement = "dev.slipway.evidence.statement"
	annotationBuild     = "dev.slipway.evidence.build"
	annotationCreated   = "org.opencontainers.image.created"
)

// timeForm is RFC 3339 to the millisecond: which of two images was verified later counts.
const timeForm = "2006-01-02T15:04:05.000Z07:00"

// Evidence is one statement about an image's digest.
type Evidence struct {
	Type    string `json:"type"`
	Created string `json:"created"`         // RFC 3339
	Build   string `json:"build,omitempty"` // the URL of the build that attached it
	Digest  string `json:"digest"`          // of the statement's manifest
	Signed  bool   `json:"signed"`          // the signature was checked with the key that was given
	Key     string `json:"key,omitempty"`   // the fingerprint of the key that signed it
	Scan    *Scan  `json:"scan,omitempty"`
}

// Statement is what is to be attached.
type Statement struct {
	Type    string
	File    string
	Scanner string        // for a scan: the file that trivy version --format json printed, or empty
	MaxAge  time.Duration // for a scan: how old its databases may be; 0 is any age
	Gate    *gate.Gate    // for a scan: what stops the image; nil stops nothing
	Build   string
	Key     *PrivateKey // signs it; nil leaves it unsigned

	body      []byte
	mediaType types.MediaType // of the body, where it has one of its own
	image     string          // the configuration's digest that a scan or a bill of materials names
	scan      Scan
	found     []gate.Finding
	facts     map[string]string
}

var typeForm = regexp.MustCompile(`^[a-z0-9]+(?:[-.][a-z0-9]+)*$`)

func checkType(kind string) error {
	if len(kind) > 40 || !typeForm.MatchString(kind) {
		return slipway.Usagef("%q is no type of evidence: lower-case words joined by - or ., at most 40 characters, "+
			"such as scan or staging-verified", kind)
	}
	return nil
}

// Read reads the statement's files and finds what is wrong with them; it sends nothing.
func (s *Statement) Read(now time.Time) error {
	if err := checkType(s.Type); err != nil {
		return err
	}
	info, err := os.Stat(s.File)
	if err == nil && info.Size() > maxDocument {
		err = fmt.Errorf("%s is longer than %d MB", s.File, maxDocument>>20)
	}
	if err == nil {
		s.body, err = os.ReadFile(s.File)
	}
	if err != nil {
		return slipway.Usagef("the file of the evidence %s cannot be read", s.Type).Because(err)
	}
	s.facts = map[string]string{annotationType: s.Type, annotationCreated: now.UTC().Format(timeForm)}
	if s.Build != "" {
		s.facts[annotationBuild] = s.Build
	}
	switch s.Type {
	case scanType:
		return s.readScan(now)
	case bomType:
		bom, err := readBOM(s.body)
		if err != nil {
			return slipway.Usagef("%s cannot be evidence of the type %s", s.File, bomType).Because(err)
		}
		s.image, s.mediaType = bom.image(), bom.mediaType
	}
	return nil
}

func (s *Statement) readScan(now time.Time) error {
	if len(bytes.TrimSpace(s.body)) == 0 {
		return slipway.Errorf(slipway.Unknown, "the scanner failed: it wrote no report into %s", s.File).Next("read its own words; scan again")
	}
	scan, report, err := readScan(s.body, s.Scanner)
	if err != nil {
		return slipway.Usagef("%s cannot be evidence of a scan", s.File).Because(err)
	}
	if s.MaxAge > 0 {
		if err := scan.fresh(now, s.MaxAge); err != nil {
			return err
		}
	}
	s.scan, s.image, s.found = scan, report.Metadata.ImageID, report.each()
	maps.Copy(s.facts, scan.facts())
	return nil
}

// decide refuses an image with findings that no waiver covers, and notes those that one does.
func (s *Statement) decide() error {
	if s.Gate == nil || s.Type != scanType {
		return nil
	}
	var err error
	s.scan.Severity = s.Gate.String()
	if s.scan.Waived, err = s.Gate.Decide(s.found); err != nil {
		return err
	}
	maps.Copy(s.facts, s.scan.facts())
	return nil
}

// evidenceOf reads the facts of a statement. The type tells what else is in it.
func evidenceOf(facts map[string]string, digest v1.Hash) Evidence {
	e := Evidence{Type: facts[annotationType], Created: facts[annotationCreated], Build: facts[annotationBuild], Digest: digest.String()}
	if e.Type == scanType {
		e.Scan = scanOf(facts)
	}
	return e
}

// AddEvidence attaches the statement to the digest. The same statement twice is one.
func (c *Client) AddEvidence(ctx context.Context, subject name.Digest, statement Statement) (Evidence, error) {
	if err := statement.Read(time.Now()); err != nil {
		return Evidence{}, err
	}
	s, err := c.open(ctx, subject.Context(), transport.PullScope+","+transport.PushScope)
	if err != nil {
		return Evidence{}, err
	}
	doing := "attaching evidence to " + subject.String()
	about, err := s.manifest(ctx, subject.DigestStr())
	if err != nil {
		return Evidence{}, s.explain(err, doing)
	}
	added, err := s.attach(ctx, about, statement)
	return added, s.explain(err, doing)
}

// attach writes the statement and, where there is a key, its signature in the forms
// that cosign 2 and cosign 3 read.
func (s *session) attach(ctx context.Context, about *manifest, statement Statement) (Evidence, error) {
	id, err := s.imageID(ctx, about)
	if err != nil {
		return Evidence{}, err
	}
	if err := checkSubject(statement.Type, statement.image, id); err != nil {
		return Evidence{}, err
	}
	empty, body := []byte("{}"), statement.body
	layer := descriptorOf("application/octet-stream", body)
	switch {
	case statement.mediaType != "":
		layer.MediaType = statement.mediaType
	case json.Valid(body):
		layer.MediaType = "application/json"
	}
	layer.Annotations = map[string]string{"org.opencontainers.image.title": filepath.Base(statement.File)}
	config := descriptorOf(evidenceMediaType, empty)
	artifact := content{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: evidenceMediaType, Config: &config, Layers: []v1.Descriptor{layer},
		Subject:     &v1.Descriptor{MediaType: about.MediaType, Size: about.Size, Digest: about.Digest},
		Annotations: statement.facts,
	}
	artifacts := []*content{&artifact}
	blobs := map[v1.Hash][]byte{config.Digest: empty, layer.Digest: body}
	if statement.Key != nil {
		facts := map[string]any{annotationStatement: layer.Digest.String()}
		for key, value := range statement.facts {
			facts[key] = value
		}
		signed, payload, err := sign(statement.Key, s.repository, about.Digest, facts)
		if err != nil {
			return Evidence{}, fmt.Errorf("signing: %w", err)
		}
		artifact.Layers = append(artifact.Layers, signed)
		blobs[signed.Digest] = payload
		bundled, err := signBundle(statement.Key, about.Digest, facts)
		if err != nil {
			return Evidence{}, fmt.Errorf("signing: %w", err)
		}
		whole := descriptorOf(bundleMediaType, bundled)
		blobs[whole.Digest] = bundled
		second := bundleArtifact(about, config, whole, statement.facts[annotationCreated])
		artifacts = append(artifacts, &second)
	}
	for digest, blob := range blobs {
		if err := s.putBlob(ctx, digest, blob); err != nil {
			return Evidence{}, err
		}
	}
	var bodies [][]byte
	for _, one := range artifacts {
		encoded, err := json.Marshal(one)
		if err != nil {
			return Evidence{}, err
		}
		bodies = append(bodies, encoded)
	}
	if err := s.publish(ctx, about.Digest, statement.Type, bodies); err != nil {
		return Evidence{}, err
	}
	added := evidenceOf(statement.facts, descriptorOf("", bodies[0]).Digest)
	if statement.Key != nil {
		added.Signed, added.Key = true, statement.Key.fingerprint
	}
	return added, nil
}

// EvidenceList is what image-evidence answers.
type EvidenceList struct {
	Reference string     `json:"reference"`
	Evidence  []Evidence `json:"evidence"`
	Rejected  []Rejected `json:"rejected"` // what claims to be evidence and is not
}

// Text lists one statement a line.
func (l EvidenceList) Text(out io.Writer) error {
	for _, e := range l.Evidence {
		line := fmt.Sprintf("%-18s %s", e.Type, e.Created)
		if e.Signed {
			line += "  signed by " + short(e.Key, len("sha256:")+16)
		}
		if e.Scan != nil {
			line += "  " + e.Scan.String()
		}
		if _, err := fmt.Fprintln(out, strings.TrimSpace(line+"  "+e.Build)); err != nil {
			return err
		}
	}
	for _, r := range l.Rejected {
		if _, err := fmt.Fprintf(out, "%-18s rejected: %s (%s)\n", r.Type, r.Why, r.Digest); err != nil {
			return err
		}
	}
	return nil
}

// Answer gives the types.
func (l EvidenceList) Answer() slipway.Fields {
	var kinds []string
	for _, e := range l.Evidence {
		kinds = append(kinds, e.Type)
	}
	return slipway.Fields{"reference": l.Reference, "evidence": strings.Join(kinds, " ")}
}

// List gives all that is attached to the digest, and with a key only what it signed.
func (c *Client) List(ctx context.Context, subject name.Digest, key *PublicKey) (EvidenceList, error) {
	return c.evidence(ctx, subject, nil, key, 0)
}

// Verify says whether the digest has all the required evidence, a scan made within that time; exit 1 where it has not.
func (c *Client) Verify(
	ctx context.Context, subject name.Digest, required []string, key *PublicKey, scanMaxAge time.Duration,
) (EvidenceList, error) {
	for _, kind := range required {
		if err := checkType(kind); err != nil {
			return EvidenceList{}, err
		}
	}
	list, err := c.evidence(ctx, subject, required, key, scanMaxAge)
	if err != nil {
		return list, err
	}
	if lacking := missing(list.Evidence, required); len(lacking) > 0 {
		failure := slipway.Errorf(slipway.No, "%s has no evidence of the type %s", subject, strings.Join(lacking, ", "))
		if key != nil {
			failure.Message += " that counts with the given key"
		}
		if i := slices.IndexFunc(list.Rejected, func(r Rejected) bool { return slices.Contains(lacking, r.Type) }); i >= 0 {
			failure = failure.Because(list.Rejected[i])
		} else if len(list.Rejected) > 0 {
			failure = failure.Because(list.Rejected[0])
		}
		if key == nil {
			return list, failure.Next("see what it has: image-evidence list %s; signatures of cosign count with --key FILE alone", subject)
		}
		return list, failure.Next("see what it has: image-evidence list %s", subject)
	}
	warnUnsigned(key, subject.Context().String())
	return list, nil
}

func (c *Client) evidence(
	ctx context.Context, subject name.Digest, required []string, key *PublicKey, scanMaxAge time.Duration,
) (EvidenceList, error) {
	list := EvidenceList{Reference: subject.String(), Evidence: []Evidence{}, Rejected: []Rejected{}}
	s, err := c.open(ctx, subject.Context(), transport.PullScope)
	if err != nil {
		return list, err
	}
	doing := "reading the evidence of " + subject.String()
	digest, err := v1.NewHash(subject.DigestStr())
	if err != nil {
		return list, err
	}
	about, err := s.manifest(ctx, digest.String())
	if err != nil {
		return list, s.explain(err, doing)
	}
	read, err := (&evidenceReader{session: s, key: key, maxAge: scanMaxAge}).read(ctx, about, required)
	list.Evidence, list.Rejected = append(list.Evidence, read.Good...), append(list.Rejected, read.Bad...)
	return list, s.explain(err, doing)
}
