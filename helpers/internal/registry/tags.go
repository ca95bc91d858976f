package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

const (
	pageSize = 1000
	maxPages = 10_000
	attempts = 5
)

// Tags lists every tag of a repository, or fails: a list that may be incomplete
// is no answer. https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags
//
// Of the Link header only n and last are taken, since Nexus puts a path into it
// that its connector ports do not serve; where there is no Link, one more page
// is asked for, since not every registry sends it.
func (c *Client) Tags(ctx context.Context, repository name.Repository) ([]string, error) {
	doing := "listing the tags of " + repository.String()
	login, err := c.keychain.Resolve(repository)
	if err != nil {
		return nil, slipway.Usagef("%s: Docker's configuration cannot be read", doing).Because(err)
	}
	authenticated, err := transport.NewWithContext(ctx, repository.Registry, login, c.base, []string{repository.Scope(transport.PullScope)})
	if err != nil {
		return nil, explain(err, repository.RegistryStr(), doing)
	}
	p := &pager{client: &http.Client{Transport: authenticated}, repository: repository, userAgent: c.userAgent}
	tags, err := p.all(ctx)
	return tags, explain(err, repository.RegistryStr(), doing)
}

type pager struct {
	client     *http.Client
	repository name.Repository
	userAgent  string
}

func (p *pager) all(ctx context.Context) ([]string, error) {
	var tags []string
	seen := map[string]bool{}
	n, last := strconv.Itoa(pageSize), ""
	for page := 1; ; page++ {
		if page > maxPages {
			return nil, fmt.Errorf("there are more than %d pages", maxPages)
		}
		found, link, err := p.page(ctx, n, last)
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", page, err)
		}
		fresh := false
		for _, tag := range found {
			if !seen[tag] {
				seen[tag], fresh = true, true
				tags = append(tags, tag)
			}
		}
		if !fresh {
			return tags, nil // an empty page, or the same one again: the end
		}
		nextN, nextLast := parameters(link)
		if nextLast == "" {
			nextLast = found[len(found)-1]
		}
		if nextN != "" {
			n = nextN
		}
		if nextLast == last {
			return nil, fmt.Errorf("page %d leads to itself (last=%s)", page, last)
		}
		last = nextLast
	}
}

// page reads one page. Its errors are of the kind that explain knows.
func (p *pager) page(ctx context.Context, n, last string) (tags []string, link string, err error) {
	address := url.URL{Scheme: p.repository.Scheme(), Host: p.repository.RegistryStr(), Path: "/v2/" + p.repository.RepositoryStr() + "/tags/list"}
	query := url.Values{"n": {n}}
	if last != "" {
		query.Set("last", last)
	}
	address.RawQuery = query.Encode()
	for attempt := 1; ; attempt++ {
		body, header, err := p.get(ctx, address.String())
		var again *retryable
		if errors.As(err, &again) && attempt < attempts {
			timer := time.NewTimer(max(again.after, time.Duration(attempt)*500*time.Millisecond))
			select {
			case <-ctx.Done():
				timer.Stop()
				return nil, "", ctx.Err()
			case <-timer.C:
				continue
			}
		}
		if err != nil {
			return nil, "", err
		}
		var list struct {
			Name string    `json:"name"`
			Tags *[]string `json:"tags"`
		}
		if err := json.Unmarshal(body, &list); err != nil {
			return nil, "", fmt.Errorf("the answer is no list of tags: %w", err)
		}
		if list.Tags == nil {
			return nil, header.Get("Link"), nil
		}
		return *list.Tags, header.Get("Link"), nil
	}
}

type retryable struct {
	cause error
	after time.Duration
}

func (r *retryable) Error() string { return r.cause.Error() }
func (r *retryable) Unwrap() error { return r.cause }

func (p *pager) get(ctx context.Context, address string) ([]byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("User-Agent", p.userAgent)
	response, err := p.client.Do(request)
	if err != nil {
		return nil, nil, &retryable{cause: err}
	}
	defer response.Body.Close()
	if err := transport.CheckError(response, http.StatusOK); err != nil {
		if response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= 500 {
			return nil, nil, &retryable{cause: err, after: retryAfter(response.Header)}
		}
		return nil, nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return nil, nil, &retryable{cause: fmt.Errorf("the answer broke off: %w", err)}
	}
	return body, response.Header, nil
}

func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, 30*time.Second)
}

var linkTarget = regexp.MustCompile(`<([^>]*)>`)

// parameters are what a Link header says about the next page.
func parameters(link string) (n, last string) {
	match := linkTarget.FindStringSubmatch(link)
	if match == nil || !strings.Contains(link, "next") {
		return "", ""
	}
	target, err := url.Parse(match[1])
	if err != nil {
		return "", ""
	}
	return target.Query().Get("n"), target.Query().Get("last")
}
