package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/lib/pq"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

const existing = "it exists already: if it is the same, migrate-diff repair %s --mark-applied --reason ...; else correct the file"

// next says what to do, by SQLSTATE or its class:
// https://www.postgresql.org/docs/15/errcodes-appendix.html
var next = map[string]string{
	"55P03": "another session holds the table: migrate-diff plan names it; let it end, and run this again",
	"40P01": "the service and this file lock the same tables in another order: run this again, or put each table into a file of its own",
	"57014": "it was cancelled or took longer than it may: --statement-timeout, or the role's own",
	"42501": "grant it, or use the role that owns the table",
	"25001": "it cannot run in a transaction: put it into a file that says so, -- slipway:no-transaction",
	"25006": "name the primary; with several hosts: PGTARGETSESSIONATTRS=read-write",
	"53100": "give the server disk, and run this again",
	"55P04": "add the enum's value in a file of its own, before this one",
	"23":    "rows in the table do not allow it: correct them in a migration before this one",
	"42P07": existing,
	"42701": existing,
	"42710": existing,
}

// ended says what to do where the server has ended the session, by SQLSTATE.
var ended = map[string]string{
	"25P04": "give the role that migrates no transaction_timeout: ALTER ROLE ... SET transaction_timeout = 0",
	"25P03": "give the role that migrates no idle_in_transaction_session_timeout: ALTER ROLE ... SET idle_in_transaction_session_timeout = 0",
	"57P05": "give the role that migrates no idle_session_timeout: ALTER ROLE ... SET idle_session_timeout = 0",
	"57P01": "somebody has ended the session (pg_terminate_backend), or the server was stopped",
	"57P02": "another session has crashed, and the server has restarted",
	"57P03": "wait until the server has started",
}

const correct = "correct the file"

// failed says what the error of a file means, and where in the file it was.
func (r runner) failed(err error, b batch) error {
	var answer *pq.Error
	if !errors.As(err, &answer) || answer.Severity == "FATAL" || answer.Severity == "PANIC" {
		return r.lost(err)
	}
	where, statement := b.locate(answer.Position, r.file)
	cause := answer.Message
	if answer.Detail != "" {
		cause += ": " + answer.Detail
	}
	if answer.Hint != "" {
		cause += " (" + answer.Hint + ")"
	}
	if statement != "" {
		cause += "; in: " + statement
	}
	hint := correct
	for _, code := range []string{string(answer.Code), string(answer.Code.Class())} {
		if known, ok := next[code]; ok {
			hint = strings.ReplaceAll(known, "%s", r.file.Version)
			break
		}
	}
	if b.kept {
		if hint == correct {
			hint = "correct the cause"
		}
		hint += fmt.Sprintf("; the statements before it are done and the file cannot change any more: the next run begins with this statement; "+
			"to begin with the one after it: migrate-diff repair %s --statement done --reason ...", r.file.Version)
	} else {
		hint += "; nothing of this file was applied"
	}
	return slipway.Errorf(slipway.No, "%s failed: SQLSTATE %s", where, answer.Code).Because(cited{withoutSecrets(errors.New(cause),
		r.secrets...).Error(), answer}).Next("%s", hint)
}

// cited is an error in other words.
type cited struct {
	text string
	error
}

func (c cited) Error() string { return c.text }
func (c cited) Unwrap() error { return c.error }

// locate finds the statement of an error: by its position, which counts
// characters from 1, else by the markers.
func (b batch) locate(position string, file Migration) (where, statement string) {
	var characters int
	if _, err := fmt.Sscan(position, &characters); err == nil && characters > 0 {
		query := b.query
		if query == "" {
			query = b.text
		}
		at := byteOffset(query, characters-1)
		for _, p := range b.parts {
			if offset := at - p.at + p.from; at >= p.at && offset < p.to {
				where = fmt.Sprintf("%s:%d:%d", file.Name, b.line-1+lineOf(b.text, offset), columnOf(b.text, offset))
				if p.statement >= 0 {
					statement = brief(file.Statements[p.statement].SQL)
				}
				return where, statement
			}
		}
	}
	switch {
	case b.done:
		return file.Name + ": its COMMIT or history row", ""
	case b.query != "" && b.seen < len(file.Statements):
		s := file.Statements[b.seen]
		return fmt.Sprintf("%s:%d", file.Name, s.Line), brief(s.SQL)
	case b.text != "":
		return fmt.Sprintf("%s, between lines %d and %d,", file.Name, b.line, b.line-1+lineOf(b.text, len(b.text))), ""
	}
	return file.Name, ""
}

// brief is a statement on one line.
func brief(sql string) string {
	line := strings.TrimRight(strings.Join(strings.Fields(skipComments(sql)), " "), "; ")
	if runes := []rune(line); len(runes) > 160 {
		line = string(runes[:160]) + "..."
	}
	return line
}

// lost is the error of a connection that ended while the file ran.
func (r runner) lost(err error) error {
	const next = "run it again: what was applied is recorded, and is not applied twice"
	switch {
	case errors.Is(err, context.Canceled):
		return slipway.Errorf(slipway.Unknown, "stopped while %s ran", r.file.Name).Next(next)
	case errors.Is(err, context.DeadlineExceeded):
		return slipway.Errorf(slipway.Unknown, "the time for all migrations ran out while %s ran", r.file.Name).
			Next(next + "; give it more time: --timeout")
	}
	var answer *pq.Error
	if !errors.As(err, &answer) {
		answer = r.whyEnded()
	}
	if answer != nil { // FATAL or PANIC
		hint, known := ended[string(answer.Code)]
		if !known {
			hint = "look at the server's log"
		}
		why := withoutSecrets(fmt.Errorf("%s: %s (SQLSTATE %s)", answer.Severity, answer.Message, answer.Code), r.secrets...)
		return slipway.Errorf(slipway.Unknown, "the server ended the session while %s ran",
			r.file.Name).Because(why).Next("%s; then run it again: what was applied is recorded, and is not applied twice", hint)
	}
	return slipway.Errorf(slipway.Unknown, "the connection was lost while %s ran", r.file.Name).Because(withoutSecrets(err,
		r.secrets...)).Next(next)
}
