package registry

import (
	"bytes"
	"context"
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
	listings = 3   // tries
	maxTag   = 128 // characters of one
)

// Tags lists every tag of a repository, sorted and each once, or fails: a list
// that may be incomplete is no answer.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags
func (c *Client) Tags(ctx context.Context, repository name.Repository) ([]string, error) {
	s, err := c.open(ctx, repository, transport.PullScope)
	if err != nil {
		return nil, err
	}
	tags, _, err := s.tags(ctx, "")
	return tags, err
}

// tags lists them, and apart from them what the registry lists and cannot be a tag.
// middle is a tag that others probably stand before and behind, or empty: it saves
// time, and changes nothing else.
func (s *session) tags(ctx context.Context, middle string) (tags, impossible []string, err error) {
	read := 0
	for range listings {
		behind, stop := s.behind(ctx, middle)
		tags, err = collect(func(n, last string) ([]string, string, error) {
			read++
			return s.page(ctx, n, last)
		}, func(found []string) bool { return middle != "" && endsAlike(found, middle, behind()) })
		stop()
		if !errors.Is(err, errIncomplete) {
			break // else somebody may have pushed between two pages
		}
	}
	err = s.explain(err, "listing the tags of "+s.repository.String())
	if read > 1 {
		err = uncertain(err) // the repository was there a moment ago
	}
	if slices.ContainsFunc(tags, notTag) {
		listed := tags
		tags = slices.DeleteFunc(slices.Clone(listed), notTag)
		impossible = slices.DeleteFunc(listed, isTag)
	}
	return tags, impossible, err
}

var errIncomplete = errors.New("the list of tags may be incomplete")

// behind begins to ask what follows middle, and gives a function that waits for
// the answer's text, which is empty where there is none.
func (s *session) behind(ctx context.Context, middle string) (answer func() []byte, stop func()) {
	ctx, stop = context.WithCancel(ctx)
	answered := make(chan []byte, 1)
	go func() {
		var body []byte
		if middle != "" {
			body, _, _ = s.document(ctx, "tags/list", url.Values{"last": {middle}})
		}
		answered <- body
	}()
	return func() []byte { return <-answered }, stop
}

// endsAlike says whether what the registry sends behind middle is exactly how
// the page ends that it sent from the beginning. A registry that sends so many
// tags and no more would have come further, having begun later; so there are none.
func endsAlike(found []string, middle string, behind []byte) bool {
	at, itself := slices.BinarySearch(found, middle)
	if itself {
		at++
	}
	if at == 0 || at == len(found) || !rising(found) {
		return false
	}
	rest, alike := plainList(behind)
	for i, tag := range found[at:] {
		if i > 0 {
			rest, alike = bytes.CutPrefix(rest, []byte(between))
		}
		if alike {
			rest, alike = bytes.CutPrefix(rest, []byte(tag))
		}
		if !alike {
			return false
		}
	}
	return len(rest) == 0
}

// collect reads page after page until the list is whole.
//
// The first request asks for everything: a registry that has a limit says so by a
// Link. Of that only n and last are taken, since Nexus puts a path into it that
// its connector ports do not serve. But not every registry that has a limit sends
// a Link. So the end of a page without one is tried, unless proven tells already
// that the first page is the list, by asking for one tag more:
// nothing is the end; a tag that was not seen goes on; the whole page again is a
// registry that has no pages; and anything else is a registry that cannot go on
// from where a page ended, whose list is not to be trusted.
func collect(page func(n, last string) (tags []string, link string, err error), proven func(found []string) bool) ([]string, error) {
	var tags []string // sorted
	visited := map[string]bool{"": true}
	var n, last string
	silent := false   // pages end without a Link
	promised := false // the page before had a Link
	for count := 1; ; count++ {
		if count > maxPages {
			return nil, fmt.Errorf("%w: there are more than %d pages", errIncomplete, maxPages)
		}
		found, link, err := page(n, last)
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", count, err)
		}
		before := len(tags)
		tags = merge(tags, found)
		fresh := len(tags) - before
		next, more := nextPage(link)
		switch {
		case promised && fresh == 0 && !more:
			return nil, fmt.Errorf("%w: page %d, which a Link promised, has no further tag", errIncomplete, count)
		case more && next.last == "" && len(found) == 0:
			return nil, fmt.Errorf("%w: page %d is empty and promises more without saying from where", errIncomplete, count)
		case more && next.last == "":
			next.last = found[len(found)-1]
		case more:
		case len(found) == 0:
			return tags, nil
		case silent && fresh == 0 && !slices.ContainsFunc(found, isTag):
			return tags, nil
		case silent && fresh == 0:
			return nil, fmt.Errorf("%w: page %d repeats what was there", errIncomplete, count)
		case silent:
			next = pageRequest{last: found[len(found)-1]}
		case count == 1 && proven(found):
			return tags, nil
		default:
			whole, err := isWhole(page, found, tags)
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
		n, last, promised = next.n, next.last, more
	}
}

// merge puts a page into the sorted tags. Registries sort theirs, and then nothing is copied.
func merge(tags, page []string) []string {
	switch {
	case len(page) == 0:
		return tags
	case len(tags) == 0 && rising(page):
		return page
	case len(tags) > 0 && page[0] > tags[len(tags)-1] && rising(page):
		return append(tags, page...)
	}
	tags = append(tags, page...)
	slices.Sort(tags)
	return slices.Compact(tags)
}

func rising(tags []string) bool {
	for i := 1; i < len(tags); i++ {
		if tags[i] <= tags[i-1] {
			return false
		}
	}
	return true
}

// isWhole asks for one tag more than the page that ended without a Link. Nothing
// is the end, and a tag that was not seen goes on. The whole page again is a
// registry that has no pages. Some begin anew at the end of the list: those are
// asked for what follows the last tag but one, which must be the last. All else
// is a registry that cannot go on from where a page ended, and its list is not to
// be trusted.
func isWhole(page func(n, last string) ([]string, string, error), found, tags []string) (bool, error) {
	end := found[len(found)-1]
	further, _, err := page("1", end)
	switch {
	case err != nil:
		return false, err
	case ahead(further, tags):
		return false, nil
	case !slices.ContainsFunc(further, isTag), slices.Equal(further, found):
		return true, nil
	case len(found) > 1:
		further, _, err = page("2", found[len(found)-2])
		if err != nil {
			return false, err
		}
		if len(further) > 0 && further[0] == end {
			return !slices.ContainsFunc(further[1:], isTag), nil
		}
	}
	return false, fmt.Errorf("%w: asked what follows %s, the registry begins anew", errIncomplete, end)
}

// ahead says whether there is one that is not among the sorted tags.
func ahead(further, tags []string) bool {
	return slices.ContainsFunc(further, func(tag string) bool {
		_, known := slices.BinarySearch(tags, tag)
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

// parseTags reads a list of tags, in which null is a list of none. What cannot be a
// tag is kept, since a registry goes on behind it as behind a tag.
func parseTags(body []byte) ([]string, error) {
	if list, usual := plainList(body); usual {
		if tags := strings.Split(string(list), between); !slices.ContainsFunc(tags, notTag) {
			return tags, nil
		}
	}
	var list struct {
		Name *string  `json:"name"`
		Tags []string `json:"tags"`
	}
	if err := readOnce(body, &list); err != nil {
		return nil, fmt.Errorf("the answer is no list of tags: %w", err)
	}
	if list.Tags == nil && list.Name == nil {
		return nil, errors.New("the answer is no list of tags: it has neither name nor tags")
	}
	return list.Tags, nil
}

// between stands between two tags in a list as registries write it.
const between = `","`

var listStart = regexp.MustCompile(`^\{"name":"[a-z0-9._/-]+","tags":\["`)

// plainList gives what stands from the first tag to the last, where the answer is
// written as registries do. Where it is not, or what stands there is not tags and
// what is between them, it is for a parser: a hundred thousand tags are taken out
// in a fifth of that one's time.
func plainList(body []byte) ([]byte, bool) {
	start := listStart.Find(body)
	list, ends := bytes.CutSuffix(bytes.TrimSuffix(body[len(start):], []byte("\n")), []byte(`"]}`))
	return list, start != nil && ends
}

// isTag says whether it can be one.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
func isTag(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', i > 0 && (c == '.' || c == '-'):
		default:
			return false
		}
	}
	return 0 < len(text) && len(text) <= maxTag
}

func notTag(text string) bool { return !isTag(text) }

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
