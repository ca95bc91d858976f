// Package registry finds, pushes and vouches for images in an OCI registry:
// what a release is, where it is, and what is known about it.
package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Options say how the registry is spoken to.
type Options struct {
	PlainHTTP  bool   // HTTP without TLS, only when asked for
	CAFile     string // PEM, trusted beside the system's
	SkipVerify bool
	Username   string // where it is empty, Docker's configuration is asked
	Password   string
	UserAgent  string
}

// Client speaks to registries over one scheme that was settled before anything is sent.
type Client struct {
	base      http.RoundTripper
	keychain  authn.Keychain
	names     []name.Option
	userAgent string
}

// New makes a client. It sends nothing.
func New(options Options) (*Client, error) {
	dial := http.DefaultTransport.(*http.Transport).Clone()
	dial.ResponseHeaderTimeout = 60 * time.Second
	dial.TLSClientConfig = &tls.Config{InsecureSkipVerify: options.SkipVerify, MinVersion: tls.VersionTLS12}
	if options.CAFile != "" {
		pem, err := os.ReadFile(options.CAFile)
		if err != nil {
			return nil, slipway.Usagef("the file of --ca-file cannot be read").Because(err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, slipway.Usagef("the file %s of --ca-file holds no PEM certificate", options.CAFile)
		}
		dial.TLSClientConfig.RootCAs = pool
	}
	c := &Client{keychain: authn.DefaultKeychain, userAgent: options.UserAgent}
	scheme := "https"
	c.names = []name.Option{name.StrictValidation}
	if options.PlainHTTP {
		scheme = "http"
		c.names = append(c.names, name.Insecure)
	}
	c.base = &oneScheme{scheme: scheme, inner: dial}
	if options.Username != "" {
		c.keychain = fixed{authn.FromConfig(authn.AuthConfig{Username: options.Username, Password: options.Password})}
	}
	return c, nil
}

// oneScheme sends a request only over the scheme that was asked for. For
// loopback and RFC 1918 hosts go-containerregistry would try the other one too,
// and with it send the credentials in clear.
type oneScheme struct {
	scheme string
	inner  http.RoundTripper
}

func (o *oneScheme) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != o.scheme {
		return nil, fmt.Errorf("%s is not spoken here, only %s", request.URL.Scheme, o.scheme)
	}
	return o.inner.RoundTrip(request)
}

type fixed struct{ login authn.Authenticator }

func (f fixed) Resolve(authn.Resource) (authn.Authenticator, error) { return f.login, nil }

// Repository reads REGISTRY/REPOSITORY. The registry must be named: there is no default one.
func (c *Client) Repository(text string) (name.Repository, error) {
	if err := hasHost(text); err != nil {
		return name.Repository{}, err
	}
	repository, err := name.NewRepository(text, c.names...)
	if err != nil {
		return name.Repository{}, slipway.Usagef("%q is no REGISTRY/REPOSITORY", text).Because(err)
	}
	return repository, nil
}

// Tag reads REGISTRY/REPOSITORY:TAG.
func (c *Client) Tag(text string) (name.Tag, error) {
	if err := hasHost(text); err != nil {
		return name.Tag{}, err
	}
	tag, err := name.NewTag(text, c.names...)
	if err != nil {
		return name.Tag{}, slipway.Usagef("%q is no REGISTRY/REPOSITORY:TAG", text).Because(err)
	}
	return tag, nil
}

// Digest reads REGISTRY/REPOSITORY[:TAG]@sha256:...
func (c *Client) Digest(text string) (name.Digest, error) {
	if err := hasHost(text); err != nil {
		return name.Digest{}, err
	}
	before, digest, found := strings.Cut(text, "@")
	if !found {
		return name.Digest{}, slipway.Usagef("%q names no digest: what is vouched for is REGISTRY/REPOSITORY@sha256:..., never a tag", text)
	}
	if i := strings.LastIndex(before, ":"); i > strings.LastIndex(before, "/") {
		before = before[:i]
	}
	reference, err := name.NewDigest(before+"@"+digest, c.names...)
	if err != nil {
		return name.Digest{}, slipway.Usagef("%q is no REGISTRY/REPOSITORY@sha256:...", text).Because(err)
	}
	return reference, nil
}

func hasHost(text string) error {
	host, _, found := strings.Cut(text, "/")
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return slipway.Usagef("%q names no registry: REGISTRY/REPOSITORY, such as nexus.example:8083/team/app", text)
	}
	return nil
}

func (c *Client) remote(more ...remote.Option) []remote.Option {
	return append([]remote.Option{
		remote.WithTransport(c.base), remote.WithAuthFromKeychain(c.keychain), remote.WithUserAgent(c.userAgent),
		remote.WithRetryBackoff(remote.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.2, Steps: 4}),
		remote.WithRetryStatusCodes(http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout),
	}, more...)
}

// explain turns what a registry answered into an error that a person can act on.
func explain(err error, host, doing string) error {
	if err == nil {
		return nil
	}
	var known *slipway.Error
	if errors.As(err, &known) {
		return known
	}
	var answer *transport.Error
	if errors.As(err, &answer) {
		switch answer.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden:
			return slipway.Errorf(slipway.Usage, "%s: %s refuses the login (%d)", doing, host, answer.StatusCode).Because(err).
				Next("give REGISTRY_USERNAME and REGISTRY_PASSWORD, or a config.json in DOCKER_CONFIG, of an account that may do this")
		case http.StatusNotFound:
			return slipway.Errorf(slipway.No, "%s: %s has no such thing", doing, host).Because(err).Next("look whether the repository's name is right")
		}
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return slipway.Errorf(slipway.Usage, "%s: the certificate of %s is signed by nobody this machine trusts", doing, host).Because(err).Next("give the site's authority: --ca-file FILE")
	}
	return slipway.Errorf(slipway.Unknown, "%s: %s does not answer as a registry should", doing, host).Because(err).Next("look whether %s is reachable from here, and whether it speaks HTTPS (else --plain-http)", host)
}

// IsMissing says that the registry knows of no such thing.
func isMissing(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}
