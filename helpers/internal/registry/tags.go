package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	maxPages = 10_000
	listings = 3 // tries
)

// Tags lists every tag of a repository, in the registry's order and each once, or
// fails: a list that may be incomplete is no answer.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags
func (c *Client) Tags(ctx context.Context, repository name.Repository) ([]string, error) {
	s, err := c.open(ctx, repository, transport.PullScope)
	if err != nil {
		return nil, err
	}
	return s.tags(ctx)
}

func (s *session) tags(ctx context.Context) (tags []string, err error) {
	read := 0
	for range listings {
		tags, err = collect(func(n, last string) ([]string, string, error) {
			read++
			return s.page(ctx, n, last)
		})
		if !errors.Is(err, errIncomplete) {
			break // else somebody may have pushed between two pages
		}
	}
	err = s.explain(err, "listing the tags of "+s.repository.String())
	if read > 1 {
		err = uncertain(err) // the repository was there a moment ago
	}
	return tags, err
}

var errIncomplete = errors.New("the list of tags may be incomplete")

// collect reads page after page until the list is whole.
//
// The first request asks for everything: a registry that has a limit says so by a
// Link. Of that only n and last are taken, since Nexus puts a path into it that
// its connector ports do not serve. But not every registry that has a limit sends
// a Link. So the end of a page without one is tried by asking for one tag more:
// nothing is the end; a tag that was not seen goes on; the whole page again is a
// registry that has no pages; and anything else is a registry that cannot go on
// from where a page ended, whose list is not to be trusted.
func collect(page func(n, last string) (tags []string, link string, err error)) ([]string, error) {
	var tags []string
	seen := map[string]struct{}{}
	visited := map[string]bool{"": true}
	var n, last string
	silent := false // pages end without a Link
	for count := 1; ; count++ {
		if count > maxPages {
			return nil, fmt.Errorf("%w: there are more than %d pages", errIncomplete, maxPages)
		}
		found, link, err := page(n, last)
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", count, err)
		}
		fresh := 0
		for _, tag := range found {
			if _, known := seen[tag]; !known {
				seen[tag] = struct{}{}
				tags = append(tags, tag)
				fresh++
			}
		}
		next, more := nextPage(link)
		switch {
		case more && next.last == "" && len(found) == 0:
			return nil, fmt.Errorf("%w: page %d is empty and promises more without saying from where", errIncomplete, count)
		case more && next.last == "":
			next.last = found[len(found)-1]
		case more:
		case len(found) == 0:
			return tags, nil
		case silent && fresh == 0:
			return nil, fmt.Errorf("%w: page %d repeats what was there", errIncomplete, count)
		case silent:
			next = pageRequest{last: found[len(found)-1]}
		default:
			whole, err := isWhole(page, found, seen)
			if err != nil {
				return nil, fmt.Errorf("after page %d: %w", count, err)
			}
			if whole {
				return tags, nil
			}
			silent, next = true, pageRequest{last: found[len(found)-1]}
		}
		if more && fresh == 0 && len(found) > 0 || visited[next.last] {
			return nil, fmt.Errorf("%w: page %d repeats what was there, and promises more (last=%s)", errIncomplete, count, next.last)
		}
		visited[next.last] = true
		n, last = next.n, next.last
	}
}

// isWhole asks for one tag more than the page that ended without a Link. Nothing
// is the end, and a tag that was not seen goes on. The whole page again is a
// registry that has no pages. Some begin anew at the end of the list: those are
// asked for what follows the last tag but one, which must be the last. All else
// is a registry that cannot go on from where a page ended, and its list is not to
// be trusted.
func isWhole(page func(n, last string) ([]string, string, error), found []string, seen map[string]struct{}) (bool, error) {
	end := found[len(found)-1]
	further, _, err := page("1", end)
	switch {
	case err != nil:
		return false, err
	case ahead(further, seen):
		return false, nil
	case len(further) == 0, slices.Equal(further, found):
		return true, nil
	case len(found) > 1:
		further, _, err = page("2", found[len(found)-2])
		if err != nil {
			return false, err
		}
		if len(further) > 0 && further[0] == end {
			return len(further) == 1, nil
		}
	}
	return false, fmt.Errorf("%w: asked what follows %s, the registry begins anew", errIncomplete, end)
}

func ahead(tags []string, seen map[string]struct{}) bool {
	return slices.ContainsFunc(tags, func(tag string) bool {
		_, known := seen[tag]
		return !known
	})
}

// page reads one page.
func (s *session) page(ctx context.Context, n, last string) ([]string, string, error) {
	query := url.Values{}
	if n != "" {
		query.Set("n", n)
	}
	if last != "" {
		query.Set("last", last)
	}
	body, header, err := s.document(ctx, "tags/list", query)
	if err != nil {
		return nil, "", err
	}
	tags, err := parseTags(body)
	return tags, strings.Join(header.Values("Link"), ", "), err
}

// parseTags reads a list of tags, in which null is a list of none.
func parseTags(body []byte) ([]string, error) {
	var list struct {
		Name *string   `json:"name"`
		Tags *[]string `json:"tags"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("the answer is no list of tags: %w", err)
	}
	if list.Tags == nil {
		if list.Name == nil {
			return nil, errors.New("the answer is no list of tags: it has neither name nor tags")
		}
		return nil, nil
	}
	for _, tag := range *list.Tags {
		if !tagForm.MatchString(tag) {
			return nil, fmt.Errorf("the answer is no list of tags: %q cannot be one", tag)
		}
	}
	return *list.Tags, nil
}

// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
var tagForm = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

type pageRequest struct{ n, last string }

var (
	linkValue = regexp.MustCompile(`<([^>]*)>([^<]*)`)
	isNext    = regexp.MustCompile(`(?i);\s*rel\s*=\s*("next"|next)\s*(;|,|$)`)
)

// nextPage reads a Link header (https://www.rfc-editor.org/rfc/rfc8288): whether
// it promises another page, and by which parameters.
func nextPage(link string) (pageRequest, bool) {
	for _, match := range linkValue.FindAllStringSubmatch(link, -1) {
		if !isNext.MatchString(match[2]) {
			continue
		}
		_, raw, _ := strings.Cut(match[1], "?")
		query, _ := url.ParseQuery(raw) // what can be read of it
		next := pageRequest{n: query.Get("n"), last: query.Get("last")}
		if !pageSize.MatchString(next.n) {
			next.n = ""
		}
		return next, true
	}
	return pageRequest{}, false
}

var pageSize = regexp.MustCompile(`^[1-9][0-9]{0,6}$`)
