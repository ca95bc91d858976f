package registry

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// How far the comparison goes from either end of the lower numbers: to so many images
// that have the evidence, past so many that have not. A job that is made anew begins
// with the lowest.
const (
	comparedVerified = 10
	comparedTags     = 50
	comparedFaults   = 3 // tags that the registry fails to answer
)

// compare fails where an image with a lower number is newer than the one found: it got
// its evidence later, or its commit follows. Then numbers do not tell which is meant.
func (e *evidenceReader) compare(ctx context.Context, high Image, lower []string, search Search) error {
	light := *e
	light.light = true
	compared := map[string]bool{high.Digest: true}
	below := lower[:min(len(lower), comparedTags)]
	lowest := slices.Clone(lower[max(len(below), len(lower)-comparedTags):])
	slices.Reverse(lowest)
	for _, end := range [][]string{lowest, below} {
		if err := light.compareEnd(ctx, high, end, search, compared); err != nil {
			return err
		}
	}
	return nil
}

func (e *evidenceReader) compareEnd(ctx context.Context, high Image, tags []string, search Search, compared map[string]bool) error {
	verified, faults := 0, 0
	for _, tag := range tags {
		if verified == comparedVerified || faults == comparedFaults {
			return nil
		}
		low, err := e.inspectVerified(ctx, tag, search, compared)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			faults++
			logrus.Warnf("%s could not be compared with %s: %v", tag, high.Tag, err)
			continue
		}
		if low.Digest != "" {
			verified++
		}
		if why := newer(ctx, low, high, search); why != "" {
			return slipway.Errorf(slipway.Conflict, "%s has the highest number, and %s %s", high.Tag, tag, why).
				Because(errors.New("the numbers and the order of the releases disagree, as they do after a job was made anew")).
				Next("name the image that is meant, --at %s or --at %s; then set the job's next build number above %s, or delete obsolete tags",
					tag, high.Tag, high.Number)
		}
	}
	return nil
}

// inspectVerified reads an image as far as it is compared; one without the evidence
// that is required is the zero Image. Images that were compared already are left out.
func (e *evidenceReader) inspectVerified(ctx context.Context, tag string, search Search, compared map[string]bool) (Image, error) {
	got, err := e.session.manifest(ctx, tag)
	if isMissing(err) || errors.Is(err, errSchema1) {
		return Image{}, nil
	}
	if err != nil || compared[got.Digest.String()] || !e.mayHave(got) {
		return Image{}, err
	}
	compared[got.Digest.String()] = true
	read, err := e.read(ctx, got, search.Required)
	if err != nil || len(missing(read.Good, search.Required)) > 0 {
		return Image{}, err
	}
	image := Image{Tag: tag, Digest: got.Digest.String(), Evidence: read.Good}
	if search.Git != "" {
		_, err = e.session.describe(ctx, got, &image)
	}
	return image, err
}

// mayHave says whether there can be evidence of the image: without the referrers API,
// there is a tag that begins with its digest.
func (e *evidenceReader) mayHave(about *manifest) bool {
	if !e.lacks {
		return true
	}
	at, _ := slices.BinarySearch(e.tags, listTag(about.Digest))
	return at < len(e.tags) && strings.HasPrefix(e.tags[at], listTag(about.Digest))
}

// newer says why the image of the lower number is newer. Builds that overlap are
// verified in any order: where the commits are in the order of the numbers, they decide.
func newer(ctx context.Context, low, high Image, search Search) string {
	switch {
	case isAncestor(ctx, search.Git, low.Revision, high.Revision):
		return ""
	case isAncestor(ctx, search.Git, high.Revision, low.Revision):
		return fmt.Sprintf("is built from %s, which follows that one's %s", low.Revision, high.Revision)
	}
	one, other := verifiedAt(low, search.Required), verifiedAt(high, search.Required)
	if one.IsZero() || other.IsZero() || !one.After(other) {
		return ""
	}
	return fmt.Sprintf("was verified later (%s, and that one %s)", one.Format(time.RFC3339), other.Format(time.RFC3339))
}

// checkClone refuses a folder that git cannot read; what it does not know of is no error.
func checkClone(ctx context.Context, repository string) error {
	if repository == "" {
		return nil
	}
	if out, err := exec.CommandContext(ctx, "git", "-C", repository, "rev-parse", "--git-dir").CombinedOutput(); err != nil {
		return slipway.Usagef("--git %q is no clone that git can read", repository).
			Because(fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out))))
	}
	return nil
}

// isAncestor says whether the one commit is an ancestor of the other, and another one.
func isAncestor(ctx context.Context, repository, one, other string) bool {
	if repository == "" || one == "" || other == "" || one == other {
		return false
	}
	return exec.CommandContext(ctx, "git", "-C", repository, "merge-base", "--is-ancestor", one, other).Run() == nil
}

// verifiedAt is when the image first had all that is required; zero where that is not said.
func verifiedAt(image Image, required []string) time.Time {
	var all time.Time
	for _, kind := range required {
		var first time.Time
		for _, one := range image.Evidence {
			at, err := time.Parse(time.RFC3339, one.Created)
			if err == nil && one.Type == kind && (first.IsZero() || at.Before(first)) {
				first = at
			}
		}
		if first.IsZero() {
			return first
		}
		if first.After(all) {
			all = first
		}
	}
	return all
}
