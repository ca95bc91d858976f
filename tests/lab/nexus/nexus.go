// Package nexus is a registry's front that behaves as Sonatype Nexus 3 does on a
// connector port, and shows its known faults when asked to. It is the one fake
// part of the lab's registry: Nexus itself cannot be installed from packages.
package nexus

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// Faults that can be switched on.
const (
	WrongLink = "wrong-link" // the Link header leads to a path that this port does not serve (nexus-public#1011)
	NoLink    = "no-link"    // a page that is not the last has no Link
	NullTags  = "null-tags"  // tags: null where there are none
	NoHead    = "no-head"    // HEAD of a manifest answers 404
	Busy      = "busy"       // every second request answers 429 with Retry-After
	Broken    = "broken"     // every third request answers 500
	Truncated = "truncated"  // a list of tags breaks off
)

// Front is a reverse proxy before a registry that knows no login.
type Front struct {
	upstream *httputil.ReverseProxy
	username string
	password string

	lock     sync.Mutex
	faults   map[string]bool
	requests atomic.Int64
}

// New makes a front of the registry at upstream, for one user.
func New(upstream *url.URL, username, password string) *Front {
	f := &Front{username: username, password: password, faults: map[string]bool{WrongLink: true}}
	f.upstream = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		ModifyResponse: f.modify,
	}
	return f
}

// Set switches a fault on or off; WrongLink is on from the start, since every Nexus 3 has it.
func (f *Front) Set(fault string, on bool) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.faults[fault] = on
}

func (f *Front) has(fault string) bool {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.faults[fault]
}

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "Nexus/3.75.1-01 (OSS)")
	if name, found := strings.CutPrefix(r.URL.Path, "/-/faults/"); found && r.Method == http.MethodPut {
		f.Set(name, r.URL.Query().Get("on") == "true")
		return
	}
	username, password, _ := r.BasicAuth()
	if subtle.ConstantTimeCompare([]byte(username+":"+password), []byte(f.username+":"+f.password)) != 1 {
		w.Header().Set("Www-Authenticate", `BASIC realm="Sonatype Nexus Repository Manager"`)
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"access to the requested resource is not authorized","detail":null}]}`)
		return
	}
	count := f.requests.Add(1)
	switch {
	case f.has(Busy) && count%2 == 0:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case f.has(Broken) && count%3 == 0:
		w.WriteHeader(http.StatusInternalServerError)
	case f.has(NoHead) && r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/"):
		w.WriteHeader(http.StatusNotFound)
	default:
		f.upstream.ServeHTTP(w, r)
	}
}

// modify makes the registry's answer Nexus' one.
func (f *Front) modify(response *http.Response) error {
	if !strings.HasSuffix(response.Request.URL.Path, "/tags/list") || response.StatusCode != http.StatusOK {
		return nil
	}
	link := response.Header.Get("Link")
	switch {
	case f.has(NoLink):
		response.Header.Del("Link")
	case f.has(WrongLink) && link != "":
		response.Header.Set("Link", strings.Replace(link, "</v2/", "</repository/docker-hosted/v2/", 1))
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if f.has(NullTags) {
		var list map[string]any
		if err := json.Unmarshal(body, &list); err == nil {
			if tags, ok := list["tags"].([]any); ok && len(tags) == 0 {
				body = []byte(fmt.Sprintf(`{"name":%q,"tags":null}`, list["name"]))
			}
		}
	}
	if f.has(Truncated) {
		body = body[:len(body)/2]
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	response.Header.Set("Content-Length", fmt.Sprint(len(body)))
	return nil
}
