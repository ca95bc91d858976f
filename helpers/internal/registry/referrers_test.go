package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// A registry that answers a question for referrers with anything but an index has no
// referrers API, and the list is under the fallback tag.
func TestWhatIsNoIndexIsNoReferrersAPI(t *testing.T) {
	var elsewhere witness
	page := elsewhere.server(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>log in") })
	says := func(code int, mediaType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"204":                 func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"401":                 says(401, "", ""),
		"403 of a proxy":      says(403, "text/html", "<html>"),
		"404":                 says(404, "application/json", `{"errors":[]}`),
		"406":                 says(406, "text/plain", "not acceptable"),
		"410":                 says(410, "", ""),
		"418":                 says(418, "", ""),
		"501":                 says(501, "", ""),
		"a page for people":   says(200, "text/html", "<html><body>Welcome</body></html>"),
		"an empty object":     says(200, "application/json", "{}"),
		"nothing":             says(200, "", ""),
		"null":                says(200, "application/json", "null"),
		"a list":              says(200, "application/json", "[]"),
		"a list of tags":      says(200, "application/json", `{"name":"app","tags":[]}`),
		"an image":            says(200, "application/json", `{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}`),
		"a text as manifests": says(200, "application/json", `{"schemaVersion":2,"manifests":"none"}`),
		"a login page": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, page.URL+"/login", http.StatusSeeOther)
		},
		"a login page over HTTPS": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://login.example/", http.StatusFound)
		},
		"a login page here": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusSeeOther) },
		"a circle": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream, host := serve(t)
			front := (&witness{}).server(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.Contains(r.URL.Path, "/referrers/"):
					answer(w, r)
				case r.URL.Path == "/login":
					fmt.Fprint(w, "<html>")
				default:
					proxyTo(host).ServeHTTP(w, r)
				}
			})
			address := strings.TrimPrefix(front.URL, "http://")
			pushed := push(t, upstream, address+"/app:latest-1", "c1", "scan", "staging-verified")
			push(t, upstream, address+"/app:latest-2", "c2")
			repository, err := upstream.Repository(address + "/app")
			require.NoError(t, err)
			found, err := upstream.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"scan", "staging-verified"}})
			require.NoError(t, err)
			assert.Equal(t, pushed.Reference, found.Reference)
		})
	}
	assert.Zero(t, elsewhere.logins)
}

// Where the referrers API fails, evidence that is found elsewhere is good; that there
// is none cannot be told.
func TestAReferrersAPIThatFailsIsNoAnswer(t *testing.T) {
	client, host := serve(t)
	front := (&witness{}).server(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/referrers/") && r.Method == http.MethodGet {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		proxyTo(host).ServeHTTP(w, r)
	})
	client.first = time.Millisecond
	address := strings.TrimPrefix(front.URL, "http://")
	pushed := push(t, client, address+"/app:latest-1", "c1", "staging-verified")
	repository, err := client.Repository(address + "/app")
	require.NoError(t, err)
	found, err := client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}})
	require.NoError(t, err)
	assert.Equal(t, pushed.Reference, found.Reference)

	push(t, client, address+"/app:latest-2", "c2")
	_, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}})
	assert.Equal(t, slipway.Unknown, slipway.AsError(err).Code, "latest-2 may have evidence: %v", err)
}

// GitLab's registry answers the fallback tag with the image, and others never replace a
// tag: that is noticed at once, and our own readers find the evidence all the same.
func TestARegistryThatKeepsNoListIsNoticedAtOnce(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request, digest string) bool{
		"the image itself": func(w http.ResponseWriter, r *http.Request, digest string) bool {
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/manifests/"+strings.Replace(digest, ":", "-", 1)) {
				r.URL.Path = strings.Replace(r.URL.Path, "sha256-", "sha256:", 1)
			}
			return false
		},
		"tags that are never replaced": func(w http.ResponseWriter, r *http.Request, digest string) bool {
			if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/"+strings.Replace(digest, ":", "-", 1)) {
				w.WriteHeader(http.StatusBadRequest)
				return true
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, host := serve(t)
			pushed := push(t, client, host+"/app:latest-1", "c1")
			puts := 0
			front := (&witness{}).server(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
					puts++
				}
				if !answer(w, r, pushed.Digest) {
					proxyTo(host).ServeHTTP(w, r)
				}
			})
			address := strings.TrimPrefix(front.URL, "http://")
			digest, err := client.Digest(address + "/app@" + pushed.Digest)
			require.NoError(t, err)
			statement := filepath.Join(t.TempDir(), "s")
			require.NoError(t, os.WriteFile(statement, []byte("s"), 0o600))
			for i := range 2 {
				_, err = client.AddEvidence(t.Context(), digest, Statement{Type: fmt.Sprintf("kind-%d", i), File: statement})
				require.NoError(t, err)
			}
			assert.LessOrEqual(t, puts, 6)
			_, err = client.Verify(t.Context(), digest, []string{"kind-0", "kind-1"}, nil, 0)
			require.NoError(t, err)
			_, err = client.Latest(context.Background(), digest.Context(), Search{Pattern: standard, Required: []string{"kind-0", "kind-1"}})
			require.NoError(t, err)
		})
	}
}
