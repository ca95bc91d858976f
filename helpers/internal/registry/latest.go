package registry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/sirupsen/logrus"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Search says which image is looked for.
type Search struct {
	Pattern  *regexp.Regexp // captures the number once
	Required []string       // types of evidence; none takes the plain newest tag
	Key      *PublicKey     // only what one of its keys signed is evidence; nil takes what is there
	MaxAge   time.Duration  // how long ago the image may have been scanned, where a scan is required; 0 is any time
	Revision string         // the commit that it must be built from, or its first digits, or empty
	At       string         // only this tag
	Git      string         // a clone that knows which commit follows which, or empty
	Depth    int            // how many tags are looked at, from the highest number down
}

// Latest finds the image of the highest number that has what is required. Its
// error is No where there is none, and Unknown where that could not be told.
func (c *Client) Latest(ctx context.Context, repository name.Repository, search Search) (Found, error) {
	found := Found{Repository: repository.String(), Image: Image{Evidence: []Evidence{}}, PassedOver: []PassedOver{}}
	for _, kind := range search.Required {
		if err := checkType(kind); err != nil {
			return found, err
		}
	}
	if search.Revision != "" && !revision.MatchString(search.Revision) {
		return found, slipway.Usagef("--require-revision %q is no commit: at least 7 hexadecimal digits", search.Revision)
	}
	if err := checkClone(ctx, search.Git); err != nil {
		return found, err
	}
	candidates, err := at(search)
	if err != nil {
		return found, err
	}
	s, err := c.open(ctx, repository, transport.PullScope)
	if err != nil {
		return found, err
	}
	e := &evidenceReader{session: s, key: search.Key, maxAge: search.MaxAge}
	if search.At == "" {
		if e.tags, found.Impossible, err = s.tags(ctx, middle(search.Pattern)); err != nil {
			return found, err
		}
		found.Tags = len(e.tags)
		if candidates, found.Unmatched, err = Order(e.tags, search.Pattern); err != nil {
			return found, err
		}
	}
	for i, tag := range candidates {
		if search.Depth > 0 && i == search.Depth {
			message := "none of the %d newest of %d images of %s can be promoted"
			return found, slipway.Errorf(slipway.Unknown, message, i, len(candidates), repository).
				Because(errors.New(reasons(found.PassedOver))).Next("see why staging did not finish; --depth looks further down")
		}
		image, why, err := e.inspect(ctx, tag, search)
		if err != nil {
			return found, s.explain(err, "reading "+repository.Tag(tag).String())
		}
		if why == "" {
			if search.At == "" && search.Revision == "" && len(search.Required) > 0 {
				if err := e.compare(ctx, image, candidates[i+1:], search); err != nil {
					return found, s.explain(err, "comparing the images of "+repository.String())
				}
			}
			search.warn(found)
			found.Image = image
			found.Reference = repository.Tag(tag).String() + "@" + image.Digest
			return found, nil
		}
		found.PassedOver = append(found.PassedOver, PassedOver{Image: image, Why: why})
	}
	return found, nothing(repository, search, found)
}

// warn says on stderr what a person must know of an answer, though it is one.
func (s Search) warn(found Found) {
	if some := found.Impossible[:min(5, len(found.Impossible))]; len(some) > 0 {
		logrus.Warnf("the registry lists %d names that cannot be tags, and they are passed over: %q", len(found.Impossible), some)
	}
	if len(s.Required) > 0 {
		warnUnsigned(s.Key, found.Repository)
	}
}

// warnUnsigned says what evidence is worth where no key is given to check it.
func warnUnsigned(key *PublicKey, repository string) {
	if key == nil {
		logrus.Warnf("no --key is given, so the evidence is not checked: every login that may push to %s could have written it", repository)
	}
}

var revision = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// at gives the one tag that was named, if one was.
func at(search Search) ([]string, error) {
	if search.At == "" {
		return nil, nil
	}
	if !isTag(search.At) {
		return nil, slipway.Usagef("--at %q cannot be a tag", search.At)
	}
	return []string{search.At}, nil
}

func reasons(passed []PassedOver) string {
	var why []string
	for _, one := range passed[:min(3, len(passed))] {
		why = append(why, one.Tag+": "+one.Why)
	}
	if len(passed) > 3 {
		why = append(why, fmt.Sprintf("and %d more (--explain shows all)", len(passed)-3))
	}
	return strings.Join(why, "; ")
}

func nothing(repository name.Repository, search Search, found Found) error {
	why := errors.New(reasons(found.PassedOver))
	switch {
	case search.At != "":
		return slipway.Errorf(slipway.No, "%s:%s cannot be promoted", repository, search.At).Because(why).
			Next("name a tag that has what is required: nexus-latest-tag %s --explain", repository)
	case len(found.PassedOver) == 0:
		return slipway.Errorf(slipway.No, "%s has no tag that matches %s (%d tags)", repository, search.Pattern, found.Tags).
			Next("let the staging pipeline run once")
	case len(search.Required) == 0:
		return slipway.Errorf(slipway.No, "none of the %d images of %s can be promoted", len(found.PassedOver), repository).Because(why).
			Next("push it again")
	}
	return slipway.Errorf(slipway.No, "no image of %s can be promoted: none of %d has evidence of %s", repository, len(found.PassedOver),
		strings.Join(search.Required, " and ")).
		Because(why).Next("see why staging did not finish; --allow-unverified takes the newest tag as it is")
}

// inspect says what the tag names and, if it is to be passed over, why.
func (e *evidenceReader) inspect(ctx context.Context, tag string, search Search) (image Image, why string, err error) {
	image = Image{Tag: tag, Evidence: []Evidence{}}
	image.Number, _ = numberOf(search.Pattern)(tag)
	got, err := e.session.manifest(ctx, tag)
	if isMissing(err) {
		return image, "its manifest is gone", nil
	}
	if errors.Is(err, errSchema1) {
		return image, err.Error(), nil
	}
	if err != nil {
		return image, "", err
	}
	image.Digest = got.Digest.String()
	type description struct {
		artifact string
		err      error
	}
	described := make(chan description, 1)
	go func() {
		artifact, err := e.session.describe(ctx, got, &image)
		described <- description{artifact, err}
	}()
	read, unread := e.read(ctx, got, search.Required)
	switch of := <-described; {
	case isMissing(of.err):
		return image, "its configuration is gone", nil
	case of.err != nil:
		return image, "", of.err
	case of.artifact != "":
		return image, "it is no image, but " + of.artifact, nil
	}
	if !strings.HasPrefix(image.Revision, search.Revision) {
		return image, "built from " + orNothing(image.Revision) + ", not from " + search.Revision, nil
	}
	if unread != nil {
		return image, "", unread
	}
	image.Evidence = append(image.Evidence, read.Good...)
	lacking := missing(read.Good, search.Required)
	if len(lacking) == 0 {
		return image, "", nil
	}
	why = "no evidence of " + strings.Join(lacking, ", ")
	if i := slices.IndexFunc(read.Bad, func(r Rejected) bool { return slices.Contains(lacking, r.Type) || r.Type == "" }); i >= 0 {
		why += " (" + read.Bad[i].Why + ")"
	}
	return image, why, nil
}

func orNothing(revision string) string {
	if revision == "" {
		return "no commit that is known"
	}
	return revision
}
