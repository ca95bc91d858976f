package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// What an answer's body is given: it may stand still for grace, and comes at
// slowest bytes a second or more on average. Who sends more earns no further time.
const (
	grace   = 15 * time.Second
	slowest = 1 << 10

	stalls = 8 // times grace is what an upload may stand still, while a registry moves what it has
)

var errSlow = errors.New("the answer comes too slowly")

// paced is an answer's body that ends with errSlow where it trickles. Only the time
// that a reader waits counts. Its context is the request's.
type paced struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	grace  time.Duration
	waited time.Duration // beyond what the bytes have earned
	count  int64
}

func (p *paced) Read(into []byte) (int, error) {
	begin := time.Now()
	timer := time.AfterFunc(p.grace-p.waited, func() { p.cancel(errSlow) })
	n, err := p.ReadCloser.Read(into)
	timer.Stop()
	p.count += int64(n)
	p.waited = max(0, p.waited+time.Since(begin)-time.Duration(n)*time.Second/slowest)
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(p.ctx), errSlow) {
		err = fmt.Errorf("%w: %d bytes, and then less than %d a second for %s", errSlow, p.count, slowest, p.grace)
	}
	return n, err
}

func (p *paced) Close() error {
	err := p.ReadCloser.Close()
	p.cancel(nil)
	return err
}
