package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// session speaks to one repository with one login.
type session struct {
	repository name.Repository
	base       url.URL // up to /v2/NAME/
	http       *http.Client
	guard      *guard
	first      time.Duration // the wait before the second try
	stall      time.Duration // how long an upload may make no progress
	agent      string
	who        string
	granted    atomic.Bool // an upload was begun: the login may push
	served     sync.Map    // the kinds of requests that were answered: the login is good for them
}

// open logs in for the given actions (transport.PullScope, PushScope) and, for
// mounts, for pulling from other repositories of the same registry.
func (c *Client) open(ctx context.Context, repository name.Repository, scope string, others ...name.Repository) (*session, error) {
	login, err := c.keychain.Resolve(repository)
	if err != nil {
		return nil, slipway.Usagef("Docker's configuration cannot be read").Because(err)
	}
	s := &session{repository: repository, agent: c.options.UserAgent, first: c.first, stall: stalls * c.grace, who: who(ctx, login)}
	s.base = url.URL{Scheme: c.scheme, Host: repository.RegistryStr(), Path: "/v2/" + repository.RepositoryStr() + "/"}
	s.guard = &guard{scheme: c.scheme, hosts: []string{repository.RegistryStr()}, grace: c.grace, inner: c.wire}
	if c.options.TokenHost != "" {
		s.guard.hosts = append(s.guard.hosts, c.options.TokenHost)
	}
	scopes := []string{repository.Scope(scope)}
	for _, other := range others {
		scopes = append(scopes, other.Scope(transport.PullScope))
	}
	// Each try of a request passes the login anew, whose token may have run out
	// meanwhile; the login's own requests have their tries below it.
	below := &patient{inner: s.guard, first: c.first, except: s.base.Path}
	authenticated, err := transport.NewWithContext(ctx, repository.Registry, login, below, scopes)
	if err != nil {
		var answer *transport.Error
		if _, fault := s.guard.noted(); fault != nil && !errors.As(err, &answer) && ctx.Err() == nil {
			err = fault // what go-containerregistry says holds its try over the other scheme as well
		}
		return nil, s.explain(err, "logging in to "+repository.RegistryStr())
	}
	s.http = &http.Client{Transport: &patient{inner: authenticated, first: c.first}, CheckRedirect: s.redirect}
	return s, nil
}

const maxRedirects = 10

// redirect follows to where a registry keeps its blobs. What leads away from the
// referrers API is the login or front page of a site that has none.
func (s *session) redirect(next *http.Request, via []*http.Request) error {
	asked := via[0].URL
	away := next.URL.Host != asked.Host || next.URL.Scheme != asked.Scheme || len(via) == maxRedirects
	if away && strings.HasPrefix(asked.Path, s.base.Path+"referrers/") {
		return http.ErrUseLastResponse
	}
	if len(via) == maxRedirects {
		return fmt.Errorf("%d redirects lead nowhere", maxRedirects)
	}
	return nil
}

// kindOf tells requests apart that a login may be good for or not: lists of tags,
// manifests and blobs, read and written.
func (s *session) kindOf(method string, address *url.URL) string {
	way := "write"
	if method == http.MethodGet || method == http.MethodHead {
		way = "read"
	}
	kind, _, _ := strings.Cut(strings.TrimPrefix(address.Path, s.base.Path), "/")
	return way + " " + kind
}

// who is the account's name, as an error may show it.
func who(ctx context.Context, login authn.Authenticator) string {
	config, err := authn.Authorization(ctx, login)
	switch {
	case err != nil || *config == authn.AuthConfig{}:
		return "nobody: there is no login for this registry"
	case config.Username != "":
		return config.Username
	}
	return "the holder of a token"
}

// do sends one request below the repository and wants one of the given codes.
func (s *session) do(
	ctx context.Context, method, path string, query url.Values, header http.Header, body io.Reader, codes ...int,
) (*http.Response, error) {
	address := *s.base.JoinPath(path)
	address.RawQuery = query.Encode()
	return s.send(ctx, method, &address, header, body, codes...)
}

func (s *session) send(
	ctx context.Context, method string, address *url.URL, header http.Header, body io.Reader, codes ...int,
) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, address.String(), body)
	if err != nil {
		return nil, err
	}
	for key, values := range header {
		request.Header[key] = values
	}
	request.Header.Set("User-Agent", s.agent)
	if size, ok := body.(interface{ Size() int64 }); ok && request.ContentLength == 0 {
		request.ContentLength = size.Size()
	}
	response, err := s.http.Do(request)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(response, codes...); err != nil {
		response.Body.Close()
		return nil, err
	}
	s.served.Store(s.kindOf(method, address), true)
	return response, nil
}

// document reads a whole small answer.
func (s *session) document(ctx context.Context, path string, query url.Values, accept ...string) ([]byte, http.Header, error) {
	response, err := s.do(ctx, http.MethodGet, path, query, http.Header{"Accept": accept}, nil, http.StatusOK)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	whole, ok := response.Body.(*document)
	if !ok {
		return nil, nil, fmt.Errorf("%s was answered by nothing that can be read", path)
	}
	return whole.Bytes(), response.Header, nil
}

// manifest is what a tag or a digest names, hashed here.
type manifest struct {
	v1.Descriptor
	content content
	Body    []byte
}

var manifestTypes = []string{string(types.OCIImageIndex), string(types.DockerManifestList), string(types.OCIManifestSchema1),
	string(types.DockerManifestSchema2)}

// manifest fetches by GET: Nexus and proxies before it are known to answer HEAD with 404.
// The digest is computed of what came; a registry that says otherwise is an error.
func (s *session) manifest(ctx context.Context, reference string) (*manifest, error) {
	body, header, err := s.document(ctx, "manifests/"+reference, nil, manifestTypes...)
	if err != nil {
		return nil, err
	}
	digest := v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(body))}
	for _, said := range []string{header.Get("Docker-Content-Digest"), reference} {
		if hash, err := v1.NewHash(said); err == nil && hash != digest {
			return nil, fmt.Errorf("the registry says %s, and the manifest that it sent is %s", said, digest)
		}
	}
	found := &manifest{Body: body,
		Descriptor: v1.Descriptor{Digest: digest, Size: int64(len(body)), MediaType: types.MediaType(header.Get("Content-Type"))}}
	if err := found.check(); err != nil {
		return nil, err
	}
	return found, nil
}

// blob reads a small blob and compares it with its digest.
func (s *session) blob(ctx context.Context, descriptor v1.Descriptor) ([]byte, error) {
	if descriptor.Size > maxConfig {
		return nil, fmt.Errorf("the blob %s is said to be %d bytes long, which is too much", descriptor.Digest, descriptor.Size)
	}
	response, err := s.do(ctx, http.MethodGet, "blobs/"+descriptor.Digest.String(), nil, nil, nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxConfig))
	if err != nil {
		return nil, fmt.Errorf("the blob %s broke off: %w", descriptor.Digest, err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(body)); got != descriptor.Digest.Hex {
		return nil, fmt.Errorf("the registry sent sha256:%s for the blob %s", got, descriptor.Digest)
	}
	return body, nil
}

// putManifest writes a manifest; subject is what the registry says of the
// manifest's subject, which is empty where it lacks the referrers API:
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests-with-subject
//
// A registry may not see a blob for a moment while somebody else sends the same
// one (distribution rewrites its link); so what is unknown is tried again.
func (s *session) putManifest(ctx context.Context, reference string, mediaType types.MediaType, body []byte) (subject string, err error) {
	for attempt := range attempts {
		var response *http.Response
		response, err = s.do(ctx, http.MethodPut, "manifests/"+reference, nil, http.Header{"Content-Type": {string(mediaType)}},
			bytes.NewReader(body), http.StatusCreated, http.StatusOK, http.StatusAccepted)
		if err == nil {
			response.Body.Close()
			return response.Header.Get("OCI-Subject"), nil
		}
		if !hasCode(err, transport.ManifestBlobUnknownErrorCode) {
			break
		}
		if sleepErr := sleep(ctx, s.first<<attempt); sleepErr != nil {
			return "", sleepErr
		}
	}
	return "", err
}
