// Package registry finds, pushes and vouches for images in an OCI registry:
// what a release is, where it is, and what is known about it.
package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Options say how the registry is spoken to.
type Options struct {
	PlainHTTP  bool   // HTTP without TLS, only when asked for
	CAFile     string // PEM, trusted beside the system's
	SkipVerify bool
	TokenHost  string // HOST[:PORT] that may get the login beside the registry itself
	Username   string // where it is empty, Docker's configuration is asked
	Password   string
	UserAgent  string
}

// Client speaks to registries over one scheme that was settled before anything is sent.
type Client struct {
	options  Options
	scheme   string
	wire     *http.Transport
	keychain authn.Keychain
	names    []name.Option
	first    time.Duration // the wait before the first of several tries
	grace    time.Duration // how long an answer may trickle
	stop     context.CancelFunc
}

// New makes a client. It sends nothing.
func New(options Options) (*Client, error) {
	c := &Client{options: options, scheme: "https", keychain: authn.DefaultKeychain, first: 500 * time.Millisecond, grace: grace}
	c.wire = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 2 * time.Minute,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   uploadsAtOnce,
		WriteBufferSize:       64 << 10,
		TLSClientConfig:       &tls.Config{InsecureSkipVerify: options.SkipVerify, MinVersion: tls.VersionTLS12},
	}
	if strings.ContainsAny(options.TokenHost, "/@") {
		return nil, slipway.Usagef("--token-host is a HOST or HOST:PORT alone, without a scheme, a login or a path")
	}
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
		c.wire.TLSClientConfig.RootCAs = pool
		c.wire.TLSClientConfig.InsecureSkipVerify = false // a named authority goes before not looking at all
	}
	c.names = []name.Option{name.StrictValidation}
	if options.PlainHTTP {
		c.scheme = "http"
		c.names = append(c.names, name.Insecure)
	}
	if options.Username != "" {
		c.keychain = fixed{authn.FromConfig(authn.AuthConfig{Username: options.Username, Password: options.Password})}
	}
	return c, nil
}

type fixed struct{ login authn.Authenticator }

func (f fixed) Resolve(authn.Resource) (authn.Authenticator, error) { return f.login, nil }

// Repository reads REGISTRY/REPOSITORY. The registry must be named: there is no default one.
func (c *Client) Repository(text string) (name.Repository, error) {
	if err := hasHost(text); err != nil {
		return name.Repository{}, err
	}
	if before, digest, found := strings.Cut(text, "@"); found {
		return name.Repository{}, slipway.Usagef("%q names a digest (%s), and a repository is meant: %s", text, digest, before)
	}
	if i := strings.LastIndex(text, ":"); i > strings.LastIndex(text, "/") {
		return name.Repository{}, slipway.Usagef("%q names a tag (%s), and a repository is meant: %s", text, text[i+1:], text[:i])
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

// hasHost refuses what does not begin with a registry. An address that holds a
// login is not repeated: nobody knows where in it the password ends.
func hasHost(text string) error {
	before, after, named := strings.Cut(text, "@")
	if named && !digestForm.MatchString(after) {
		return slipway.Usagef("what follows the @ of the address is no digest (sha256: and 64 hexadecimal digits)").
			Next("give REGISTRY/REPOSITORY alone; a login belongs into REGISTRY_USERNAME and REGISTRY_PASSWORD")
	}
	if scheme, _, found := strings.Cut(before, "://"); found {
		hint := "HTTPS is spoken anyway"
		if strings.EqualFold(scheme, "http") {
			hint = "HTTP without TLS is --plain-http"
		}
		return slipway.Usagef("%q begins with a scheme, and an address has none", text).Next("give %s; %s", text[len(scheme)+len("://"):], hint)
	}
	host, _, found := strings.Cut(text, "/")
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return slipway.Usagef("%q names no registry: REGISTRY/REPOSITORY, such as nexus.example:8083/team/app", text)
	}
	return nil
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
