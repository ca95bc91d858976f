package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sirupsen/logrus"
)

// uploadsAtOnce is how many layers are sent at the same time.
const uploadsAtOnce = 3

// outcome is how a blob came to be in the repository.
type outcome int

const (
	sent outcome = iota
	present
	mounted
)

// has says whether the repository holds the blob.
func (s *session) has(ctx context.Context, digest v1.Hash) (bool, error) {
	response, err := s.do(ctx, http.MethodHead, "blobs/"+digest.String(), nil, nil, nil, http.StatusOK)
	if status(err) == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	response.Body.Close()
	return true, nil
}

// mount has the blob mounted from another repository, or opens an upload where the registry
// does not mount: it may say so (202), or refuse what it does not know or does not show this login.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#mounting-a-blob-from-another-repository
func (s *session) mount(ctx context.Context, digest v1.Hash, from *name.Repository) (location *url.URL, err error) {
	location, err = s.begin(ctx, digest, from)
	if code := status(err); code == http.StatusNotImplemented || code >= 400 && code < 500 && code != http.StatusTooManyRequests {
		logrus.Debugf("layer %s cannot be mounted from %s, and is sent: %v", digest.Hex[:12], from, err)
		return s.begin(ctx, digest, nil)
	}
	if err != nil || location != nil {
		return location, err
	}
	if there, err := s.has(ctx, digest); there || err != nil {
		return nil, err
	}
	return s.begin(ctx, digest, nil) // it says that it mounted the blob, and has it not
}

// begin opens an upload, or has the blob mounted from another repository.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs
func (s *session) begin(ctx context.Context, digest v1.Hash, from *name.Repository) (location *url.URL, err error) {
	query := url.Values{}
	if from != nil {
		query.Set("mount", digest.String())
		query.Set("from", from.RepositoryStr())
	}
	response, err := s.do(ctx, http.MethodPost, "blobs/uploads/", query, nil, nil, http.StatusAccepted, http.StatusCreated)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	s.granted.Store(true)
	if response.StatusCode == http.StatusCreated {
		return nil, nil
	}
	return s.location(response)
}

// location is where an upload goes on. On the registry's own host the settled
// scheme holds, since proxies that end TLS are known to make it http.
func (s *session) location(response *http.Response) (*url.URL, error) {
	location, err := response.Location()
	if err != nil {
		return nil, fmt.Errorf("the registry does not say where to send the blob: %w", err)
	}
	if canonical(location.Host, location.Scheme) == canonical(s.base.Host, s.base.Scheme) {
		location.Scheme = s.base.Scheme
	}
	return location, nil
}

// finish closes an upload, with the rest of its bytes or none.
func (s *session) finish(ctx context.Context, location *url.URL, digest v1.Hash, rest []byte) error {
	address := *location
	query := address.Query()
	query.Set("digest", digest.String())
	address.RawQuery = query.Encode()
	response, err := s.send(ctx, http.MethodPut, &address, http.Header{"Content-Type": {"application/octet-stream"}}, bytes.NewReader(rest),
		http.StatusCreated, http.StatusNoContent)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// putBlob sends a small blob, unless it is there.
func (s *session) putBlob(ctx context.Context, digest v1.Hash, body []byte) error {
	if there, err := s.has(ctx, digest); there || err != nil {
		return err
	}
	location, err := s.begin(ctx, digest, nil)
	if err != nil {
		return err
	}
	return s.finish(ctx, location, digest, body)
}

// putLayer sends a layer, unless it is there or can be mounted. What broke off
// goes on where the registry says that it ended; a registry that does not say
// gets this layer from its beginning, and no other.
func (s *session) putLayer(ctx context.Context, l *layer, from *name.Repository, progress func(int64)) (outcome, error) {
	digest := l.descriptor.Digest
	if there, err := s.has(ctx, digest); err != nil {
		return sent, err
	} else if there {
		return present, nil
	}
	u := &upload{session: s, layer: l, progress: progress}
	failures, best := 0, int64(0)
	for {
		err := u.begin(ctx, from)
		if err == nil && u.location == nil {
			return mounted, nil
		}
		if err == nil {
			err = u.send(ctx)
		}
		if err == nil {
			err = s.finish(ctx, u.location, digest, nil)
		}
		if err == nil {
			return sent, nil
		}
		// Layers share a token. One that ends soon can be used up by the others
		// between its renewal and this layer's next request.
		expired := status(err) == http.StatusUnauthorized && s.granted.Load()
		if ctx.Err() != nil || !expired && !again(err) {
			return sent, err
		}
		if failures++; failures == attempts {
			return sent, fmt.Errorf("after %d tries: %w", failures, err)
		}
		if err := sleep(ctx, s.first<<(failures-1)); err != nil {
			return sent, err
		}
		// One that is busy took nothing, and the upload stays open.
		if status(err) != http.StatusTooManyRequests {
			u.resume(ctx)
		}
		if u.offset > best {
			failures, best = 0, u.offset // it comes further each time
		}
		logrus.Warnf("layer %s broke off; going on from byte %d of %d: %v", digest.Hex[:12], u.offset, l.descriptor.Size, err)
	}
}

// again says whether a layer that failed so may be tried again: not where the
// registry refuses it, but where it lost the upload or received other bytes.
func again(err error) bool {
	code := status(err)
	codes := []int{http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusNotFound,
		http.StatusRequestedRangeNotSatisfiable, http.StatusBadRequest}
	return code == 0 && !final(err) || code >= 500 || slices.Contains(codes, code)
}

// upload is the way of one layer.
type upload struct {
	session  *session
	layer    *layer
	progress func(int64)
	location *url.URL // nil before it has begun
	offset   int64    // bytes that the registry has
}

func (u *upload) begin(ctx context.Context, from *name.Repository) (err error) {
	if u.location != nil {
		return nil
	}
	if from == nil {
		u.location, err = u.session.begin(ctx, u.layer.descriptor.Digest, nil)
	} else {
		u.location, err = u.session.mount(ctx, u.layer.descriptor.Digest, from)
	}
	return err
}

func (u *upload) send(ctx context.Context) error {
	size := u.layer.descriptor.Size
	if u.offset == size {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(u.session.stall, func() { cancel(errSlow) }) // the registry no longer reads
	defer stalled.Stop()
	progress := func(n int64) {
		stalled.Reset(u.session.stall)
		u.progress(n)
	}
	body := &layerBody{open: func() (io.ReadCloser, error) { return u.layer.open(ctx, u.offset) }, size: size - u.offset, progress: progress}
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	if u.offset > 0 {
		header.Set("Content-Range", fmt.Sprintf("%d-%d", u.offset, size-1))
	}
	response, err := u.session.send(ctx, http.MethodPatch, u.location, header, body, http.StatusAccepted, http.StatusNoContent,
		http.StatusCreated)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	location, err := u.session.location(response)
	if err != nil {
		return err
	}
	if received, told := end(response.Header); told && received != size {
		return fmt.Errorf("the registry received %d of %d bytes", received, size)
	}
	u.location, u.offset = location, size
	return nil
}

// resume asks how far the upload came. Where the registry does not say, it begins anew.
func (u *upload) resume(ctx context.Context) {
	location := u.location
	u.location, u.offset = nil, 0
	if location == nil {
		return
	}
	response, err := u.session.send(ctx, http.MethodGet, location, nil, nil, http.StatusNoContent)
	if err != nil {
		return
	}
	defer response.Body.Close()
	received, told := end(response.Header)
	if !told || received <= 1 || received > u.layer.descriptor.Size { // 0-0 is said of no byte and of one
		return
	}
	if further, err := u.session.location(response); err == nil {
		location = further
	}
	u.location, u.offset = location, received
}

var rangeForm = regexp.MustCompile(`^(?:bytes=)?0-([0-9]{1,18})$`)

// end reads the header Range: how many bytes the registry has.
func end(header http.Header) (int64, bool) {
	match := rangeForm.FindStringSubmatch(strings.TrimSpace(header.Get("Range")))
	if match == nil {
		return 0, false
	}
	last, err := strconv.ParseInt(match[1], 10, 64)
	return last + 1, err == nil
}

// layerBody is the rest of a layer as a request's body. It is opened for each
// sending, since a login that expired in between has the same request sent again.
type layerBody struct {
	open     func() (io.ReadCloser, error)
	size     int64
	progress func(int64)
	in       io.ReadCloser // nil before it is fresh
}

func (b *layerBody) Size() int64 { return b.size }

func (b *layerBody) fresh() (io.ReadCloser, error) {
	in, err := b.open()
	if err != nil {
		return nil, fmt.Errorf("reading the tar: %w", err)
	}
	return &layerBody{size: b.size, progress: b.progress, in: in}, nil
}

func (b *layerBody) Read(p []byte) (int, error) {
	n, err := b.in.Read(p)
	b.progress(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("reading the tar: %w", err)
	}
	return n, err
}

func (b *layerBody) Close() error {
	if b.in == nil {
		return nil
	}
	return b.in.Close()
}
