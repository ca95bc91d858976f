package nexus

import (
	"errors"
	"io"
	"strconv"
)

var errDropped = errors.New("the connection is lost")

// dropping loses the connection of the first upload that sends so many bytes.
func (f *Front) dropping(body io.ReadCloser) io.ReadCloser {
	return &dropping{front: f, ReadCloser: body}
}

type dropping struct {
	front *Front
	io.ReadCloser
	count int
}

func (d *dropping) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	d.count += n
	d.front.lock.Lock()
	defer d.front.lock.Unlock()
	if limit, numberErr := strconv.Atoi(d.front.faults[Dropped]); numberErr == nil && d.count >= limit {
		d.front.faults[Dropped] = ""
		return n, errDropped
	}
	return n, err
}
