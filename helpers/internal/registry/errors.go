package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// explain turns what a registry answered into an error that a person can act on.
func (s *session) explain(err error, doing string) error {
	if err == nil {
		return nil
	}
	host := s.repository.RegistryStr()
	var known *slipway.Error
	switch {
	case errors.Is(err, errBound):
		return slipway.Errorf(slipway.Unknown, "%s: %s", doing, errBound.Message).
			Next("see why %s is so slow, or give it more time: --timeout", host)
	case errors.As(err, &known):
		return known
	}
	var answer *transport.Error
	if errors.As(err, &answer) {
		return s.refused(err, answer, doing, host)
	}
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, errSlow):
		return slipway.Errorf(slipway.Unknown, "%s: %s answers too slowly", doing, host).Because(err).
			Next("see what is between here and %s; then try again", host)
	case errors.Is(err, context.Canceled):
		return slipway.Errorf(slipway.Unknown, "%s: stopped before it was done", doing).Because(err)
	case errors.As(err, &certificate), isUnknownAuthority(err):
		return slipway.Errorf(slipway.Usage, "%s: the certificate of %s is not one that this machine trusts", doing, host).Because(err).
			Next("give the authority that signed it: --ca-file FILE")
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return slipway.Errorf(slipway.Usage, "%s: %s speaks plain HTTP, and nothing was sent to it but a greeting", doing, host).Because(err).
			Next("name its HTTPS port; only where there is none: --plain-http")
	}
	return slipway.Errorf(slipway.Unknown, "%s: %s does not answer as a registry should", doing, host).Because(err).
		Next("look whether %s is reachable from here and is a registry's port; then try again", host)
}

func (s *session) refused(err error, answer *transport.Error, doing, host string) error {
	switch status := answer.StatusCode; {
	case s.expired(answer):
		message := "%s: %s refuses the login that it took a moment ago (%d; asked as %s)"
		return slipway.Errorf(slipway.Unknown, message, doing, host, status, s.who).Because(err).
			Next("the login expired or was withdrawn: log in again, then run this again")
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		realm, _ := s.guard.noted()
		if realm == "" {
			realm = "no realm named"
		}
		return slipway.Errorf(slipway.Usage, "%s: %s refuses the login (%d; realm: %s; asked as %s)", doing, host, status, realm, s.who).
			Because(err).
			Next("give REGISTRY_USERNAME and REGISTRY_PASSWORD, or a config.json in DOCKER_CONFIG, of an account that may do this")
	case isMissing(err):
		return slipway.Errorf(slipway.No, "%s: %s has no such thing", doing, host).Because(err).
			Next("look whether the repository's name is right")
	case status == http.StatusTooManyRequests:
		return slipway.Errorf(slipway.Unknown, "%s: %s stays busy (429)", doing, host).Because(err).Next("try again later")
	case status == http.StatusBadRequest && strings.Contains(err.Error(), "HTTP request to an HTTPS server"):
		return slipway.Errorf(slipway.Usage, "%s: %s speaks HTTPS", doing, host).Because(err).Next("leave --plain-http away")
	}
	return slipway.Errorf(slipway.Unknown, "%s: %s fails (%d)", doing, host, answer.StatusCode).Because(err).
		Next("look into the registry's log; then try again")
}

// expired says that the login was good for such a request before. A token that cannot
// be renewed is refused by what makes tokens, not below the repository.
func (s *session) expired(answer *transport.Error) bool {
	if answer.StatusCode != http.StatusUnauthorized && answer.StatusCode != http.StatusForbidden || answer.Request == nil {
		return false
	}
	if !strings.HasPrefix(answer.Request.URL.Path, s.base.Path) {
		before := false
		s.served.Range(func(_, _ any) bool { before = true; return false })
		return before
	}
	_, before := s.served.Load(s.kindOf(answer.Request.Method, answer.Request.URL))
	return before
}

// isMissing says that the registry knows of no such thing: in a registry's own
// words, since a proxy's 404 page says nothing about the image.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
func isMissing(err error) bool {
	return status(err) == http.StatusNotFound && hasCode(err, transport.ManifestUnknownErrorCode, transport.NameUnknownErrorCode,
		transport.BlobUnknownErrorCode, "NOT_FOUND")
}

func hasCode(err error, codes ...transport.ErrorCode) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && slices.ContainsFunc(answer.Errors,
		func(d transport.Diagnostic) bool { return slices.Contains(codes, d.Code) })
}

// status gives the HTTP status in err, or 0.
func status(err error) int {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// uncertain makes a "no" in the middle of something into "could not tell".
func uncertain(err error) error {
	var known *slipway.Error
	if errors.As(err, &known) && known.Code == slipway.No {
		copied := *known
		copied.Code = slipway.Unknown
		return &copied
	}
	return err
}
