package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// PushOptions say what is pushed, and how.
type PushOptions struct {
	Tar      string
	Pattern  *regexp.Regexp    // of the tags that nexus-latest-tag finds, or nil
	Revision string            // the commit that it must be built from, or empty
	Evidence []Statement       // attached to the digest when it is there
	Force    bool              // overwrite a tag that names another image
	Mount    *name.Repository  // of the same registry, that may have layers already
	Progress *slipway.Progress // or nil
}

// Pushed is what nexus-push answers.
type Pushed struct {
	Reference string     `json:"reference"` // REGISTRY/REPOSITORY:TAG@DIGEST
	Digest    string     `json:"digest"`
	Already   bool       `json:"already"` // the tag named this digest before
	Sent      int        `json:"layersSent"`
	Present   int        `json:"layersPresent"` // that the repository had
	Mounted   int        `json:"layersMounted"` // that it got from another one
	Evidence  []Evidence `json:"evidence,omitempty"`
	Artifacts []string   `json:"artifacts,omitempty"` // in the tar, and not pushed
	Below     string     `json:"below,omitempty"`     // the tag with the highest number, where the pushed one's is lower
	Unfound   bool       `json:"unfound,omitempty"`   // the tag is not of the form that nexus-latest-tag finds
	Warnings  string     `json:"warnings,omitempty"`  // waivers that end soon, a line each
}

// Text is the reference, for $(...).
func (p Pushed) Text(out io.Writer) error {
	_, err := fmt.Fprintln(out, p.Reference)
	return err
}

// Answer gives the reference and the digest.
func (p Pushed) Answer() slipway.Fields {
	return slipway.Fields{"reference": p.Reference, "digest": p.Digest, "already": p.Already, "below": p.Below, "unfound": p.Unfound,
		"waived": WaivedOf(p.Evidence), "warnings": p.Warnings, "scan": clean}
}

// Push pushes the image in the tar file as tag, and attaches the evidence. A tag
// that names another digest is left alone (Conflict), unless forced. Nothing is
// sent before the tar was read to its end and all files of the evidence were read.
// The result is set as soon as the image is there, also where the evidence then fails.
func (c *Client) Push(ctx context.Context, tag name.Tag, options PushOptions) (*Pushed, error) {
	for i := range options.Evidence {
		if err := options.Evidence[i].Read(time.Now()); err != nil {
			return nil, err
		}
	}
	image, err := openImage(ctx, options.Tar)
	if err != nil {
		return nil, err
	}
	defer image.close()
	if err := checkRevision(options.Revision, image.manifest.content.Annotations, image.config); err != nil {
		return nil, err
	}
	for i := range options.Evidence {
		statement := &options.Evidence[i]
		if err := checkSubject(statement.Type, statement.image, image.manifest.content.Config.Digest.String()); err != nil {
			return nil, err
		}
		if err := statement.decide(); err != nil {
			return nil, err
		}
	}
	s, err := c.openPush(ctx, tag, &options)
	if err != nil {
		return nil, err
	}
	doing := "pushing " + tag.String()
	pushed, err := s.push(ctx, tag, image, options)
	if err != nil {
		return nil, s.explain(err, doing)
	}
	pushed.Artifacts = image.artifacts
	if options.Pattern != nil && !pushed.Already {
		if err := s.place(ctx, tag, options.Pattern, pushed); err != nil {
			logrus.Warnf("whether a higher number than that of %s is there could not be told: %v", tag, err)
		}
	}
	for _, statement := range options.Evidence {
		added, err := s.attach(ctx, &image.manifest, statement)
		if err != nil {
			return pushed, s.explain(err, "attaching evidence of "+statement.Type+" to "+pushed.Reference)
		}
		pushed.Evidence = append(pushed.Evidence, added)
	}
	return pushed, nil
}

// openPush logs in for the push and for what is mounted. An account that may not see the other repository sends all layers.
func (c *Client) openPush(ctx context.Context, tag name.Tag, options *PushOptions) (*session, error) {
	if options.Mount != nil {
		s, err := c.open(ctx, tag.Context(), transport.PushScope, *options.Mount)
		if code := status(err); code != http.StatusUnauthorized && code != http.StatusForbidden {
			return s, err
		}
		logrus.Warnf("the login is not good for %s: no layer is mounted from there", options.Mount)
		options.Mount = nil
	}
	return c.open(ctx, tag.Context(), transport.PushScope)
}

func (s *session) push(ctx context.Context, tag name.Tag, image *image, options PushOptions) (*Pushed, error) {
	digest := image.manifest.Digest
	pushed := &Pushed{Reference: tag.String() + "@" + digest.String(), Digest: digest.String()}
	already, err := s.free(ctx, tag, digest, options.Force)
	if err != nil {
		return nil, err
	}
	if already {
		pushed.Already, pushed.Present = true, len(image.layers)
		return pushed, nil
	}
	if err := s.putLayers(ctx, image, options, pushed); err != nil {
		return nil, err
	}
	if err := s.putBlob(ctx, image.manifest.content.Config.Digest, image.config); err != nil {
		return nil, err
	}
	// Layers take their time, and somebody else may have taken the tag meanwhile.
	if _, err := s.free(ctx, tag, digest, options.Force); err != nil {
		return nil, err
	}
	if _, err := s.putManifest(ctx, tag.TagStr(), image.manifest.MediaType, image.manifest.Body); err != nil {
		return nil, err
	}
	there, err := s.manifest(ctx, tag.TagStr())
	if err != nil {
		return nil, fmt.Errorf("reading back what was pushed: %w", err)
	}
	if there.Digest != digest {
		message := "%s was pushed as %s, and somebody else made it %s at the same time"
		return nil, slipway.Errorf(slipway.Conflict, message, tag, digest, there.Digest).
			Next("find out who else pushes this tag; what you pushed is %s@%s", tag.Context(), digest)
	}
	return pushed, nil
}

// IsRelease says whether the tag is of the form that nexus-latest-tag finds.
func IsRelease(tag name.Tag, pattern *regexp.Regexp) bool {
	number, matches := numberOf(pattern)(tag.TagStr())
	return matches && number != ""
}

// place says where the tag is among the others: nexus-latest-tag looks for the highest number.
func (s *session) place(ctx context.Context, tag name.Tag, pattern *regexp.Regexp, pushed *Pushed) error {
	if pushed.Unfound = !IsRelease(tag, pattern); pushed.Unfound {
		return nil
	}
	tags, _, err := s.tags(ctx, middle(pattern))
	if err != nil {
		return err
	}
	ordered, _, err := Order(tags, pattern)
	if err == nil && len(ordered) > 0 && ordered[0] != tag.TagStr() {
		pushed.Below = ordered[0]
	}
	return err
}

// free says whether the tag can be written: it names nothing, or this digest already.
func (s *session) free(ctx context.Context, tag name.Tag, digest v1.Hash, force bool) (already bool, err error) {
	there, err := s.manifest(ctx, tag.TagStr())
	switch {
	case isMissing(err):
		return false, nil
	case err != nil:
		return false, err
	case there.Digest == digest:
		return true, nil
	case force:
		return false, nil
	}
	return false, slipway.Errorf(slipway.Conflict, "%s already names another image, %s", tag, there.Digest).
		Because(fmt.Errorf("the tar holds %s", digest)).Next("choose another tag; --force overwrites this one, for everybody who uses it")
}

func (s *session) putLayers(ctx context.Context, image *image, options PushOptions, pushed *Pushed) error {
	seen := map[v1.Hash]bool{}
	var lock sync.Mutex
	var total, done int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(uploadsAtOnce)
	progress := func(n int64) {
		lock.Lock()
		defer lock.Unlock()
		if done += n; options.Progress != nil && total>>20 > 0 {
			options.Progress.Show(time.Now(), "pushing: %d of %d MB", done>>20, total>>20)
		}
	}
	for _, layer := range image.layers {
		total += layer.descriptor.Size
	}
	for number, layer := range image.layers {
		if seen[layer.descriptor.Digest] {
			continue
		}
		seen[layer.descriptor.Digest] = true
		group.Go(func() error {
			came, err := s.putLayer(ctx, layer, options.Mount, progress)
			if err != nil {
				return fmt.Errorf("layer %d of %d: %w", number+1, len(image.layers), err)
			}
			lock.Lock()
			defer lock.Unlock()
			switch came {
			case sent:
				pushed.Sent++
			case present:
				pushed.Present++
			case mounted:
				pushed.Mounted++
			}
			return nil
		})
	}
	err := group.Wait()
	if options.Progress != nil {
		options.Progress.Done()
	}
	return err
}
