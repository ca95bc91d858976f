package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

const (
	attempts     = 5
	longestPause = time.Minute // a Retry-After beyond it is an answer, not a pause
	maxDocument  = 64 << 20    // bytes of a list, a manifest or a token
)

// guard sends a request only over the scheme that was settled, and a login only
// to hosts that were named. go-containerregistry tries HTTP for loopback and RFC
// 1918 hosts by itself, and sends the login to whatever realm a registry names.
// A redirect may lead from HTTP to HTTPS, and takes no login along.
type guard struct {
	scheme string
	hosts  []string // HOST[:PORT] that may get the login
	grace  time.Duration
	inner  http.RoundTripper

	lock   sync.Mutex
	realm  string            // what the last refusal named
	tokens map[string]string // by the path of a realm that was moved: its host
	fault  error             // why the last request over the right scheme got no answer
}

var errScheme = errors.New("another scheme than the one that was settled")

func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	request = g.toRealm(request)
	login := request.Header.Get("Authorization") != "" || request.Header.Get("Content-Type") == "application/x-www-form-urlencoded"
	upgraded := g.scheme == "http" && request.URL.Scheme == "https" && request.Response != nil && !login
	if request.URL.Scheme != g.scheme && !upgraded {
		return nil, fmt.Errorf("%w: %s is asked for, and only %s is spoken", errScheme, request.URL.Scheme, g.scheme)
	}
	if login && !g.named(request.URL.Host) {
		return nil, g.note("", slipway.Usagef("the registry wants the login sent to %s, which nobody named; it was not sent", request.URL.Host).
			Next("if that host is right: --token-host %s", request.URL.Host))
	}
	if body, ok := request.Body.(*layerBody); ok {
		fresh, err := body.fresh()
		if err != nil {
			return nil, err
		}
		sent := *request
		sent.Body = fresh
		request = &sent
	}
	ctx, cancel := context.WithCancelCause(request.Context())
	response, err := g.inner.RoundTrip(request.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, g.note("", err)
	}
	response.Body = &paced{ReadCloser: response.Body, cancel: cancel, ctx: ctx, grace: g.grace}
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
		if match := realmOf.FindStringSubmatch(response.Header.Get("Www-Authenticate")); match != nil {
			_ = g.note(match[1], nil)
		}
		if err := g.moveRealm(response.Header); err != nil {
			response.Body.Close()
			return nil, g.note("", err)
		}
	}
	return response, nil
}

var realmOf = regexp.MustCompile(`(?i)realm="([^"]*)"`)

func (g *guard) named(host string) bool {
	for _, named := range g.hosts {
		if canonical(named, g.scheme) == canonical(host, g.scheme) {
			return true
		}
	}
	return false
}

func canonical(host, scheme string) string {
	return strings.ToLower(strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[scheme]))
}

func (g *guard) note(realm string, err error) error {
	g.lock.Lock()
	defer g.lock.Unlock()
	if realm != "" {
		g.realm = realm
	}
	if err != nil {
		g.fault = err
	}
	return err
}

func (g *guard) noted() (realm string, fault error) {
	g.lock.Lock()
	defer g.lock.Unlock()
	return g.realm, g.fault
}

// patient sends a request again while the registry is busy (429), fails (5xx)
// or cannot be reached, as long as its body can be sent again, and waits as
// Retry-After says: https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
//
// The answer to a GET that holds a document is read to its end here, so that one
// that breaks off is asked for again as well.
type patient struct {
	inner  http.RoundTripper
	first  time.Duration
	except string // paths below it are left alone
}

func (p *patient) RoundTrip(request *http.Request) (*http.Response, error) {
	if p.except != "" && strings.HasPrefix(request.URL.Path, p.except) {
		return p.inner.RoundTrip(request)
	}
	for attempt := 1; ; attempt++ {
		response, err := p.once(request)
		var again bool
		var after time.Duration
		if err != nil {
			again = request.Context().Err() == nil && !final(err)
		} else if code := response.StatusCode; code == http.StatusTooManyRequests || code >= 500 && code != http.StatusNotImplemented {
			again, after = true, retryAfter(response.Header, time.Now())
		}
		replayable := request.Body == nil || request.Body == http.NoBody || request.GetBody != nil
		if !again || !replayable || attempt == attempts || after > longestPause {
			return response, err
		}
		what := fmt.Sprint(err)
		if response != nil {
			what = response.Status
			_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
			response.Body.Close()
		}
		pause := max(after, p.first<<(attempt-1))
		logrus.Debugf("%s %s: %s; again in %s (%d of %d)", request.Method, request.URL.Redacted(), what, pause, attempt+1, attempts)
		if err := sleep(request.Context(), pause); err != nil {
			return nil, err
		}
		if request.GetBody != nil {
			body, err := request.GetBody()
			if err != nil {
				return nil, err
			}
			request = request.Clone(request.Context())
			request.Body = body
		}
	}
}

func (p *patient) once(request *http.Request) (*http.Response, error) {
	response, err := p.inner.RoundTrip(request)
	blob := strings.Contains(request.URL.Path, "/blobs/")
	if err != nil || request.Method != http.MethodGet || response.StatusCode != http.StatusOK || blob {
		return response, err
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(io.LimitReader(response.Body, maxDocument+1)); err != nil {
		return nil, fmt.Errorf("the answer broke off after %d bytes: %w", body.Len(), err)
	}
	if body.Len() > maxDocument {
		return nil, fmt.Errorf("the answer is longer than %d MB", maxDocument>>20)
	}
	response.Body = &document{body}
	return response, nil
}

// document is a body that was read to its end.
type document struct{ bytes.Buffer }

func (*document) Close() error { return nil }

// final says that another try cannot help: a refusal of our own, a certificate.
func final(err error) bool {
	var refusal *slipway.Error
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.Is(err, errScheme) || errors.As(err, &refusal) ||
		errors.As(err, &certificate) || errors.As(err, &record) || isUnknownAuthority(err) ||
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

func isUnknownAuthority(err error) bool {
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &unknown)
}

// retryAfter reads seconds or a date; what it cannot read is 0.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), 1<<30)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
