package kube

import (
	"context"
	"errors"
	"net"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// RBAC's refusal, as the API server words it:
// https://kubernetes.io/docs/reference/access-authn-authz/authorization/
var denied = regexp.MustCompile(`User "([^"]+)" cannot (\w+) resource "([^"]+)" in API group "([^"]*)"`)

// Explain turns what the API server (or the way to it) answered into one error
// with its exit code. doing says what was being done: "reading deployment prod/app".
//
//   - permission missing, not logged in, an object that is not valid: Usage
//   - not found, refused by admission (quota, policy, webhook): No
//   - changed by someone else meanwhile: Conflict
//   - unreachable, throttled, timed out, anything unknown: Unknown
func Explain(err error, doing string) *slipway.Error {
	var known *slipway.Error
	if errors.As(err, &known) {
		return known
	}
	fail := func(code int) *slipway.Error { return slipway.Errorf(code, "%s failed", doing).Because(err) }
	switch {
	case IsDenied(err):
		parts := denied.FindStringSubmatch(err.Error())
		return slipway.Usagef("%s is not allowed: %s may not %s %s", doing, parts[1], parts[2], resource(parts[3], parts[4])).Because(err).
			Next("grant it in a Role: apiGroups [%q], resources [%q], verbs [%q]", parts[4], parts[3], parts[2])
	case apierrors.IsUnauthorized(err):
		return fail(slipway.Usage).Next("the cluster did not accept the credentials: renew the kubeconfig's or the service account's token")
	case apierrors.IsNotFound(err):
		return fail(slipway.No)
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return fail(slipway.Conflict).Next("another client has changed it since it was read: run it again")
	case apierrors.IsForbidden(err), strings.Contains(err.Error(), "ValidatingAdmissionPolicy"): // a policy answers 422 by default
		return fail(slipway.No).Next("the API server's admission refused it: quota, policy or webhook as it says")
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsMethodNotSupported(err):
		return fail(slipway.Usage)
	case IsPassing(err):
		return fail(slipway.Unknown).Next("the API server could not be reached or was too busy: see whether it is up, then run it again")
	}
	return fail(slipway.Unknown)
}

func resource(name, group string) string {
	if group == "" {
		return name
	}
	return name + "." + group
}

// IsDenied tells whether RBAC refused, as opposed to admission, which answers 403 as well.
func IsDenied(err error) bool {
	return apierrors.IsForbidden(err) && denied.MatchString(err.Error())
}

// IsPassing tells whether the same request may succeed later: the API server
// was away, restarted, throttled, or too slow.
func IsPassing(err error) bool {
	var network net.Error
	return apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) ||
		utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) ||
		utilnet.IsHTTP2ConnectionLost(err) ||
		// client-go's words for an answer that broke off (k8s.io/client-go/rest, transformResponse).
		strings.Contains(err.Error(), "when reading response body") ||
		(errors.As(err, &network) && !errors.Is(err, context.Canceled))
}
