package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sirupsen/logrus"
)

// The tags beside an image's digest, where the registry lacks the referrers API:
// the list of what refers to it, cosign's signatures, and one for each statement.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
func listTag(subject v1.Hash) string      { return subject.Algorithm + "-" + subject.Hex }
func signatureTag(subject v1.Hash) string { return listTag(subject) + ".sig" }

func ownTag(subject v1.Hash, kind string, digest v1.Hash) string {
	return listTag(subject) + "." + kind + "." + digest.Hex[:12]
}

func ownTagsOf(tags []string, subject v1.Hash) []string {
	var own []string
	for _, tag := range tags {
		if rest, found := strings.CutPrefix(tag, listTag(subject)+"."); found && strings.Contains(rest, ".") {
			own = append(own, tag)
		}
	}
	return own
}

func descriptorOf(mediaType types.MediaType, body []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Size: int64(len(body)),
		Digest: v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(body))}}
}

// publish writes a statement where every reader finds it.
//
// A registry with the referrers API keeps the list itself. Elsewhere the list is
// one tag that every writer replaces whole, and of two at once one is lost. So a
// statement gets a tag of its own first, which nobody else writes; and then every
// writer renews the list from these tags until, after its own writing, the list
// holds them all. The last one to write has read the tags before: had it missed
// one, that one's writer would have written later.
func (s *session) publish(ctx context.Context, subject v1.Hash, kind string, bodies [][]byte) error {
	reader := &evidenceReader{session: s}
	own := func(ctx context.Context) ([]string, error) { return reader.referrers(ctx, subject) }
	kept := true
	for _, body := range bodies {
		said, err := s.putManifest(ctx, descriptorOf("", body).Digest.String(), types.OCIManifestSchema1, body)
		if err != nil {
			return err
		}
		kept = kept && said == subject.String()
	}
	if kept { // what is between here and the registry may know the API for writing alone
		if _, err := own(ctx); err != nil {
			return err
		}
		kept = reader.keeps
	}
	if !kept {
		for _, body := range bodies {
			if _, err := s.putManifest(ctx, ownTag(subject, kind, descriptorOf("", body).Digest), types.OCIManifestSchema1, body); err != nil {
				return err
			}
		}
		own = func(ctx context.Context) ([]string, error) {
			tags, _, err := s.tags(ctx, "")
			return ownTagsOf(tags, subject), err
		}
		list := &renewal{session: s, subject: subject, own: own, tag: listTag(subject), compose: composeList}
		if err := list.renew(ctx); err != nil {
			return err
		}
	}
	if len(bodies) == 1 {
		return nil // nothing is signed
	}
	signatures := &renewal{session: s, subject: subject, own: own, tag: signatureTag(subject), compose: composeSignatures}
	return signatures.renew(ctx)
}

// renewal makes what is under a tag hold all the statements, whoever else writes it.
type renewal struct {
	session *session
	subject v1.Hash
	own     func(context.Context) ([]string, error) // references of all statements
	tag     string
	compose func(present content, statements []*manifest) (next content, complete bool, config []byte)

	known map[string]*manifest
}

const renewals = 200 // tries; each that fails was another writer's success

func (r *renewal) renew(ctx context.Context) error {
	r.known = map[string]*manifest{}
	for try := range renewals {
		statements, err := r.statements(ctx)
		if err != nil {
			return err
		}
		var present content
		got, err := r.session.manifest(ctx, r.tag)
		switch {
		case err == nil && got.Digest == r.subject:
			r.forOurselves("the registry takes that tag for the image itself")
			return nil
		case err == nil:
			present = got.content
		case !isMissing(err):
			return err
		}
		next, complete, config := r.compose(present, statements)
		if complete {
			return nil
		}
		if config != nil {
			if err := r.session.putBlob(ctx, next.Config.Digest, config); err != nil {
				return err
			}
		}
		body, err := json.Marshal(next)
		if err != nil {
			return err
		}
		if _, err := r.session.putManifest(ctx, r.tag, next.MediaType, body); err != nil {
			if code := status(err); code >= 400 && code < 500 && code != http.StatusUnauthorized && code != http.StatusTooManyRequests {
				r.forOurselves(fmt.Sprintf("the registry refuses to write that tag (%d), as one does that never replaces a tag", code))
				return nil
			}
			return err
		}
		if try > 0 { // others write as well: do not fall into step with them
			if err := sleep(ctx, rand.N(50*time.Millisecond)); err != nil {
				return err
			}
		}
	}
	r.forOurselves(fmt.Sprintf("it did not come to rest after %d tries", renewals))
	return nil
}

// forOurselves says that only the readers here find what was written, by its own tag.
func (r *renewal) forOurselves(why string) {
	logrus.Warnf("the evidence is written, and other tools will not find it under %s: %s", r.tag, why)
}

// statements reads all of them, each once.
func (r *renewal) statements(ctx context.Context) ([]*manifest, error) {
	references, err := r.own(ctx)
	if err != nil {
		return nil, err
	}
	var all []*manifest
	for _, reference := range references {
		if r.known[reference] == nil {
			got, err := r.session.manifest(ctx, reference)
			if isMissing(err) || errors.Is(err, errForm) {
				continue
			}
			if err != nil {
				return nil, err
			}
			r.known[reference] = got
		}
		if c := r.known[reference].content; c.Subject != nil && c.Subject.Digest == r.subject {
			all = append(all, r.known[reference])
		}
	}
	return all, nil
}

func composeList(present content, statements []*manifest) (content, bool, []byte) {
	next := content{SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: present.Annotations,
		Manifests: slices.Clone(present.Manifests)}
	complete := true
	for _, one := range statements {
		if slices.ContainsFunc(next.Manifests, func(d v1.Descriptor) bool { return d.Digest == one.Digest }) {
			continue
		}
		complete = false
		next.Manifests = append(next.Manifests,
			v1.Descriptor{MediaType: one.MediaType, Digest: one.Digest, Size: one.Size, ArtifactType: one.content.ArtifactType,
				Annotations: one.content.Annotations})
	}
	return next, complete, nil
}

// composeSignatures makes the image that cosign reads: a layer for each signature.
func composeSignatures(present content, statements []*manifest) (content, bool, []byte) {
	next := content{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Annotations: present.Annotations,
		Layers: slices.Clone(present.Layers)}
	complete := true
	for _, one := range statements {
		for _, layer := range one.content.Layers {
			same := func(d v1.Descriptor) bool {
				return d.Digest == layer.Digest && d.Annotations[signatureAnnotation] == layer.Annotations[signatureAnnotation]
			}
			if layer.MediaType == payloadMediaType && !slices.ContainsFunc(next.Layers, same) {
				complete = false
				next.Layers = append(next.Layers, layer)
			}
		}
	}
	var config v1.ConfigFile
	config.RootFS.Type = "layers"
	for _, layer := range next.Layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.Digest)
	}
	body, err := json.Marshal(config)
	if err != nil {
		return next, complete, nil
	}
	described := descriptorOf(types.OCIConfigJSON, body)
	next.Config = &described
	return next, complete, body
}

var errContent = fmt.Errorf("the statement's content is not what its digest says")

// checkBlob reads a blob and compares it with its digest, without keeping it. What
// cannot be parsed, where that is asked for, is errContent as well.
func (s *session) checkBlob(ctx context.Context, descriptor v1.Descriptor, parse func(io.Reader) error) error {
	response, err := s.do(ctx, http.MethodGet, "blobs/"+descriptor.Digest.String(), nil, nil, nil, http.StatusOK)
	if isMissing(err) {
		return fmt.Errorf("%w: it is gone", errContent)
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	hash := sha256.New()
	in := io.TeeReader(io.LimitReader(response.Body, maxDocument), hash)
	var unread error
	if parse != nil {
		unread = parse(in)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return fmt.Errorf("reading %s: %w", descriptor.Digest, err)
	}
	if fmt.Sprintf("%x", hash.Sum(nil)) != descriptor.Digest.Hex {
		return errContent
	}
	if unread != nil {
		return fmt.Errorf("%w: %w", errContent, unread)
	}
	return nil
}
