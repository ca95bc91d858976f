package migrate

// The server says why it ends a session (FATAL), and closes the connection. The driver
// then only knows that it is closed, so the message is kept here. Within TLS it cannot
// be read; then the session's own limits tell.

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// lastWord dials, and keeps the last FATAL that a server has sent.
type lastWord struct {
	pqDialer
	said atomic.Pointer[pq.Error]
}

func (l *lastWord) Dial(network, address string) (net.Conn, error) {
	return l.heard(l.pqDialer.Dial(network, address))
}

// DialTimeout dials with a time limit of its own.
func (l *lastWord) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	return l.heard(l.pqDialer.DialTimeout(network, address, timeout))
}

// DialContext dials until the context ends.
func (l *lastWord) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return l.heard(l.pqDialer.DialContext(ctx, network, address))
}

func (l *lastWord) heard(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return listening{conn, l}, nil
}

type listening struct {
	net.Conn
	to *lastWord
}

func (l listening) Read(into []byte) (int, error) {
	n, err := l.Conn.Read(into)
	l.to.hear(into[:n])
	return n, err
}

// hear looks for an ErrorResponse of severity FATAL:
// https://www.postgresql.org/docs/15/protocol-error-fields.html
func (l *lastWord) hear(message []byte) {
	const severity = "VFATAL\x00"
	at := bytes.Index(message, []byte(severity))
	if at < 0 {
		return
	}
	said := &pq.Error{Severity: "FATAL"}
	for _, field := range bytes.Split(message[at+len(severity):], []byte{0}) {
		switch {
		case len(field) == 0:
			l.said.Store(said)
			return
		case field[0] == 'C':
			said.Code = pqerror.Code(field[1:])
		case field[0] == 'M':
			said.Message = string(field[1:])
		}
	}
}

// whyEnded is what the server said when it ended the session, or which limit of the
// session has passed.
func (r runner) whyEnded() *pq.Error {
	if said := r.words.said.Load(); said != nil {
		return said
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var limit int64
	err := r.pool.QueryRowContext(ctx, "SELECT coalesce(max(setting::bigint), 0) FROM pg_settings WHERE name = "+
		"'transaction_timeout'").Scan(&limit)
	if err != nil || limit == 0 || time.Since(r.began) < time.Duration(limit)*time.Millisecond {
		return nil
	}
	return &pq.Error{Severity: "FATAL", Code: "25P04", Message: fmt.Sprintf("terminating connection due to transaction timeout: it is %d "+
		"ms for %s", limit, r.user)}
}
