package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"slipway.dev/slipway/helpers/internal/safe"
)

// The exit codes, the same in every helper.
const (
	Done     = 0 // it is done
	No       = 1 // the answer is no: rollout failed, nothing to promote, canary unhealthy
	Usage    = 2 // wrong usage or configuration
	Unknown  = 3 // could not tell: time-out, unreachable after retries, too little data
	Conflict = 4 // someone else holds the lock, the plan changed, history and files disagree
)

// Error is what a helper says when it does not end with Done.
type Error struct {
	Code    int    `json:"code"`           // one of the exit codes
	Message string `json:"message"`        // what happened, one sentence
	Why     string `json:"why,omitempty"`  // the cause, one sentence
	Hint    string `json:"hint,omitempty"` // what to do next, one sentence
	cause   error
}

// Error gives the sentences on one line.
func (e *Error) Error() string {
	parts := []string{e.Message}
	if e.Why != "" {
		parts = append(parts, e.Why)
	}
	if e.Hint != "" {
		parts = append(parts, e.Hint)
	}
	return strings.Join(parts, "; ")
}

// Unwrap gives the error that caused this one, if there was one.
func (e *Error) Unwrap() error { return e.cause }

// Because sets the cause: its text becomes Why, and errors.Is and errors.As see it.
func (e *Error) Because(cause error) *Error {
	e.cause = cause
	e.Why = cause.Error()
	return e
}

// Next sets what to do next.
func (e *Error) Next(format string, arguments ...any) *Error {
	e.Hint = fmt.Sprintf(format, arguments...)
	return e
}

// Errorf makes an Error with a code and its first sentence.
func Errorf(code int, format string, arguments ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, arguments...)}
}

// Usagef makes an Error for wrong usage or configuration.
func Usagef(format string, arguments ...any) *Error { return Errorf(Usage, format, arguments...) }

// shown is the error as it may be shown: its sentences often hold what another program said.
func (e *Error) shown() *Error {
	masked := *e
	for _, sentence := range []*string{&masked.Message, &masked.Why, &masked.Hint} {
		*sentence = safe.Visible(safe.Mask(safe.Without(*sentence, given()...)))
	}
	return &masked
}

// given are the secrets that the environment hands to a command: no error repeats them, in whatever form.
func given() []string {
	var secrets []string
	for _, name := range []string{"PGPASSWORD", "REGISTRY_PASSWORD", "COSIGN_PASSWORD"} {
		secrets = append(secrets, os.Getenv(name))
	}
	return secrets
}

// AsError finds the Error in err's chain. One that has none could not tell
// (Unknown): a fault that nobody foresaw is never a "no".
func AsError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Errorf(Unknown, "stopped by a signal").Because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return Errorf(Unknown, "the time ran out").Because(err)
	}
	return &Error{Code: Unknown, Message: err.Error(), cause: err}
}
