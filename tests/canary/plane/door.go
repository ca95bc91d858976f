package plane

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
)

// Door is a way to the API server that counts what is written through it, and calls
// somebody after one of the writes, before its answer comes.
type Door struct {
	Kubeconfig string
	server     *httptest.Server

	lock   sync.Mutex
	writes int
	at     int
	then   func()
}

// Open makes a door, whose kubeconfig is in the folder.
func (p *Plane) Open(dir string) (*Door, error) {
	target, err := url.Parse(p.Server)
	if err != nil {
		return nil, err
	}
	d := &Door{Kubeconfig: filepath.Join(dir, "kubeconfig")}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("Authorization", "Bearer "+token) // a client sends none without TLS
		},
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		FlushInterval: -1,
		ModifyResponse: func(r *http.Response) error {
			if r.Request.Method == http.MethodGet {
				return nil
			}
			d.lock.Lock()
			defer d.lock.Unlock()
			if d.writes++; d.writes == d.at {
				d.then()
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	d.server = httptest.NewServer(proxy)
	return d, os.WriteFile(d.Kubeconfig, []byte(Config(d.server.URL)), 0o600)
}

// Close shuts it.
func (d *Door) Close() { d.server.CloseClientConnections(); d.server.Close() }

// After has somebody called after so many further writes; 0 calls nobody.
func (d *Door) After(writes int, then func()) {
	d.lock.Lock()
	defer d.lock.Unlock()
	d.at, d.then = 0, then
	if writes > 0 {
		d.at = d.writes + writes
	}
}

// Writes are those so far.
func (d *Door) Writes() int {
	d.lock.Lock()
	defer d.lock.Unlock()
	return d.writes
}
