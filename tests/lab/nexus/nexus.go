// Package nexus is a registry's front that behaves as Sonatype Nexus 3 does on a
// connector port, and shows its known faults when asked to. It is the one fake
// part of the lab's registry: Nexus itself cannot be installed from packages.
package nexus

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// Faults that can be switched on, alone or together. A fault is on while it has a
// value; what the value means stands beside it, "true" where it means nothing.
const (
	WrongLink  = "wrong-link"       // the Link header leads to a path that this port does not serve (nexus-public#1011); on from the start
	NoLink     = "no-link"          // a page that is not the last has no Link
	NullTags   = "null-tags"        // an empty list of tags is null
	NoHead     = "no-head"          // HEAD of a manifest answers 404
	Gone       = "deleted-manifest" // the TAG named by the value is listed, and its manifest is not there (nexus-public#925)
	Busy       = "busy"             // every third request answers 429, with the value as Retry-After
	BrokenPage = "broken-page"      // the page of tags of that number answers 500
	Expiring   = "expiring-token"   // a login by token, which is good for as many requests
	Truncated  = "truncated"        // a list of tags breaks off in the middle of its bytes
	Repeating  = "repeating-page"   // from the page of that number on, that page comes again and again
	Dropped    = "dropped-upload"   // the first upload to send so many bytes loses its connection there
)

// PageSize is the longest page of tags that the front gives, whatever is asked for.
const PageSize = 1000

// Front is a reverse proxy before a registry that knows no login.
type Front struct {
	PageSize int // PageSize, unless a test wants many pages of few tags

	upstream *url.URL
	proxy    *httputil.ReverseProxy
	username string
	password string

	lock     sync.Mutex
	faults   map[string]string
	requests int
	tokens   map[string]int // how often each is still good
}

// New makes a front of the registry at upstream, for one user.
func New(upstream *url.URL, username, password string) *Front {
	f := &Front{
		PageSize: PageSize, upstream: upstream, username: username, password: password,
		faults: map[string]string{WrongLink: "true"}, tokens: map[string]int{},
	}
	f.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	return f
}

// Set switches a fault on, with its value, or off, with an empty one.
func (f *Front) Set(fault, value string) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.faults[fault] = value
}

// Requests tells how many requests came, logins included.
func (f *Front) Requests() int {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.requests
}

func (f *Front) fault(name string) string {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.faults[name]
}

func (f *Front) number(name string) int {
	number, err := strconv.Atoi(f.fault(name))
	if err != nil {
		return -1
	}
	return number
}

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "Nexus/3.75.1-01 (OSS)")
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if name, found := strings.CutPrefix(r.URL.Path, "/-/faults/"); found && r.Method == http.MethodPut {
		f.Set(name, r.URL.Query().Get("value"))
		return
	}
	f.lock.Lock()
	f.requests++
	count := f.requests
	f.lock.Unlock()
	if after := f.fault(Busy); after != "" && count%3 == 0 {
		w.Header().Set("Retry-After", after)
		refuse(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many requests")
		return
	}
	if f.fault(Expiring) != "" {
		if r.URL.Path == "/v2/token" {
			f.serveToken(w, r)
			return
		}
		if !f.spend(r) {
			w.Header().Set("Www-Authenticate", fmt.Sprintf(`Bearer realm="%s://%s/v2/token",service="nexus"`, scheme(r), r.Host))
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "access to the requested resource is not authorized")
			return
		}
	} else if !f.known(r) {
		w.Header().Set("Www-Authenticate", `BASIC realm="Sonatype Nexus Repository Manager"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "access to the requested resource is not authorized")
		return
	}
	f.serve(w, r)
}

// serve answers who is logged in.
func (f *Front) serve(w http.ResponseWriter, r *http.Request) {
	switch _, tag, isManifest := strings.Cut(r.URL.Path, "/manifests/"); {
	case isManifest && r.Method != http.MethodPut && tag == f.fault(Gone):
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
	case isManifest && r.Method == http.MethodHead && f.fault(NoHead) != "":
		w.WriteHeader(http.StatusNotFound)
	case strings.HasSuffix(r.URL.Path, "/tags/list") && r.Method == http.MethodGet:
		f.serveTags(w, r)
	case f.fault(Dropped) != "" && (r.Method == http.MethodPatch || r.Method == http.MethodPut) &&
		strings.Contains(r.URL.Path, "/blobs/uploads/"):
		r.Body = f.dropping(r.Body)
		f.proxy.ServeHTTP(w, r)
	default:
		f.proxy.ServeHTTP(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q,"detail":null}]}`, code, message)
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

func (f *Front) known(r *http.Request) bool {
	username, password, _ := r.BasicAuth()
	return subtle.ConstantTimeCompare([]byte(username+":"+password), []byte(f.username+":"+f.password)) == 1
}

func (f *Front) serveToken(w http.ResponseWriter, r *http.Request) {
	if !f.known(r) {
		w.Header().Set("Www-Authenticate", `Basic realm="Sonatype Nexus Repository Manager"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "the password is wrong")
		return
	}
	token := rand.Text()
	good := f.number(Expiring)
	f.lock.Lock()
	f.tokens[token] = good
	f.lock.Unlock()
	_, _ = fmt.Fprintf(w, `{"token":%q,"expires_in":300}`, token)
}

// spend takes one use of the request's token.
func (f *Front) spend(r *http.Request) bool {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.tokens[token] <= 0 {
		return false
	}
	f.tokens[token]--
	return true
}
