package nexus

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// heldUpload is what came of an upload so far.
type heldUpload struct {
	lock sync.Mutex
	body bytes.Buffer
}

// serveUpload keeps an upload until it is whole, and gives it to the registry then:
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-a-blob-in-chunks
// distribution itself cannot go on with an upload whose connection broke in the middle.
func (f *Front) serveUpload(w http.ResponseWriter, r *http.Request) {
	folder, id, _ := strings.Cut(r.URL.Path, "/blobs/uploads/")
	f.lock.Lock()
	held := f.held[id]
	if r.Method == http.MethodPost && r.URL.Query().Get("mount") == "" {
		id = rand.Text()
		held = &heldUpload{}
		f.held[id] = held
	}
	f.lock.Unlock()
	if r.Method == http.MethodPost && r.URL.Query().Get("mount") != "" {
		f.proxy.ServeHTTP(w, r)
		return
	}
	if held == nil {
		refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
		return
	}
	held.lock.Lock()
	defer held.lock.Unlock()
	if r.Method == http.MethodPatch || r.Method == http.MethodPut {
		if start, _, _ := strings.Cut(r.Header.Get("Content-Range"), "-"); start != "" && start != fmt.Sprint(held.body.Len()) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		if _, err := io.Copy(&held.body, f.dropping(r.Body)); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	if r.Method == http.MethodPut {
		f.forward(w, folder, r.URL.Query().Get("digest"), held)
		return
	}
	w.Header().Set("Location", folder+"/blobs/uploads/"+id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(held.body.Len()-1, 0)))
	if r.Method == http.MethodGet {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (f *Front) forward(w http.ResponseWriter, folder, digest string, held *heldUpload) {
	begun, err := http.Post(f.upstream.JoinPath(folder, "blobs", "uploads/").String(), "", nil)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	begun.Body.Close()
	location, err := begun.Location()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	query := location.Query()
	query.Set("digest", digest)
	location.RawQuery = query.Encode()
	request, err := http.NewRequest(http.MethodPut, location.String(), bytes.NewReader(held.body.Bytes()))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer response.Body.Close()
	w.Header().Set("Location", folder+"/blobs/"+digest)
	w.WriteHeader(response.StatusCode)
	_, _ = io.Copy(w, response.Body)
}

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
	var limit int
	if _, scanErr := fmt.Sscan(d.front.faults[Dropped], &limit); scanErr == nil && d.count >= limit {
		d.front.faults[Dropped] = ""
		return n, errDropped
	}
	return n, err
}
