package registry

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// witness notes who got a login.
type witness struct {
	lock   sync.Mutex
	logins int
	asked  int
}

func (w *witness) see(r *http.Request) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.asked++
	if _, _, ok := r.BasicAuth(); ok || r.Header.Get("Authorization") != "" {
		w.logins++
	}
}

func (w *witness) server(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.see(r)
		answer(out, r)
	}))
	t.Cleanup(server.Close)
	return server
}

func login(t *testing.T, tokenHost string) *Client {
	t.Helper()
	client, err := New(Options{PlainHTTP: true, Username: "u", Password: "p", TokenHost: tokenHost})
	require.NoError(t, err)
	client.first = time.Millisecond
	return client
}

func tagsOf(t *testing.T, client *Client, server *httptest.Server) ([]string, error) {
	t.Helper()
	repository, err := client.Repository(strings.TrimPrefix(server.URL, "http://") + "/app")
	require.NoError(t, err)
	return client.Tags(t.Context(), repository)
}

// localhost makes a server's address one of another host than 127.0.0.1.
func localhost(server *httptest.Server) string {
	return strings.Replace(strings.TrimPrefix(server.URL, "http://"), "127.0.0.1", "localhost", 1)
}

func TestTheLoginIsNotSentToARealmThatNobodyNamed(t *testing.T) {
	var other, own witness
	realm := other.server(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token":"t"}`) })
	registry := own.server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			w.Header().Set("Www-Authenticate", `Bearer realm="http://`+localhost(realm)+`/token",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		list(w)
	})
	_, err := tagsOf(t, login(t, ""), registry)
	assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
	assert.ErrorContains(t, err, "--token-host "+localhost(realm))
	assert.Zero(t, other.asked)

	_, err = tagsOf(t, login(t, localhost(realm)), registry)
	require.NoError(t, err)
	assert.Equal(t, 1, other.logins)
}

// A company's token server is at a private address, which go-containerregistry refuses.
func TestARealmAtAPrivateAddressIsAskedWhereItIsNamed(t *testing.T) {
	var other, own witness
	path := ""
	realm := other.server(t, func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.RequestURI()
		fmt.Fprint(w, `{"token":"t"}`)
	})
	host := strings.TrimPrefix(realm.URL, "http://")
	registry := own.server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			w.Header().Set("Www-Authenticate", `Bearer realm="`+realm.URL+`/jwt/auth?account=ci",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		list(w)
	})
	_, err := tagsOf(t, login(t, ""), registry)
	assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
	assert.ErrorContains(t, err, "--token-host "+host)
	_, err = tagsOf(t, login(t, "127.0.0.2:1"), registry)
	assert.ErrorContains(t, err, "--token-host "+host)
	assert.Zero(t, other.asked)

	_, err = tagsOf(t, login(t, host), registry)
	require.NoError(t, err)
	assert.Equal(t, 1, other.logins)
	assert.True(t, strings.HasPrefix(path, "/jwt/auth?"), path)
	assert.Contains(t, path, "account=ci")
	assert.Contains(t, path, "service=s")
}

func TestARedirectTakesNoLoginAlong(t *testing.T) {
	var other, own witness
	elsewhere := other.server(t, func(w http.ResponseWriter, _ *http.Request) { list(w) })
	for _, host := range []string{localhost(elsewhere), strings.TrimPrefix(elsewhere.URL, "http://")} {
		registry := own.server(t, func(w http.ResponseWriter, r *http.Request) {
			if _, _, ok := r.BasicAuth(); !ok {
				w.Header().Set("Www-Authenticate", `Basic realm="r"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			http.Redirect(w, r, "http://"+host+r.URL.Path, http.StatusTemporaryRedirect)
		})
		_, err := tagsOf(t, login(t, ""), registry)
		require.NoError(t, err)
	}
	assert.NotZero(t, other.asked)
	assert.Zero(t, other.logins)
}

func TestARedirectFromHTTPSToHTTPIsNotFollowed(t *testing.T) {
	var other, own witness
	elsewhere := other.server(t, func(w http.ResponseWriter, _ *http.Request) { list(w) })
	registry := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own.see(r)
		if r.URL.Path != "/v2/" {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		}
	}))
	defer registry.Close()
	client, err := New(Options{SkipVerify: true})
	require.NoError(t, err)
	repository, err := client.Repository(strings.TrimPrefix(registry.URL, "https://") + "/app")
	require.NoError(t, err)
	_, err = client.Tags(t.Context(), repository)
	assert.ErrorContains(t, err, "only https is spoken")
	assert.Zero(t, other.asked)
}

// Blobs are often kept elsewhere: on HTTPS with a certificate of its own, and without the registry's login.
func TestARedirectFromHTTPToHTTPSIsFollowedWithoutTheLogin(t *testing.T) {
	var other, own witness
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		other.see(r)
		list(w)
	}))
	defer elsewhere.Close()
	authority := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: elsewhere.Certificate().Raw}), 0o600))
	for _, scheme := range []string{`Basic realm="r"`, `Bearer realm="http://HOST/token",service="s"`} {
		registry := own.server(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/token":
				fmt.Fprint(w, `{"token":"t"}`)
			case r.Header.Get("Authorization") == "" || strings.HasPrefix(scheme, "Bearer") && r.Header.Get("Authorization") != "Bearer t":
				w.Header().Set("Www-Authenticate", strings.Replace(scheme, "HOST", r.Host, 1))
				w.WriteHeader(http.StatusUnauthorized)
			case r.URL.Path != "/v2/":
				http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
			}
		})
		client, err := New(Options{PlainHTTP: true, Username: "u", Password: "p", CAFile: authority})
		require.NoError(t, err)
		_, err = tagsOf(t, client, registry)
		require.NoError(t, err)
		_, err = tagsOf(t, login(t, ""), registry)
		assert.ErrorContains(t, err, "--ca-file", "a certificate that nobody trusts")
	}
	assert.NotZero(t, other.asked)
	assert.Zero(t, other.logins)
}

// An answer that trickles ends, wherever it is read: a list, an error's text, a token.
func TestAnAnswerThatTricklesEnds(t *testing.T) {
	for _, slow := range []string{"/tags/list", "/v2/", "/token"} {
		for _, code := range []int{http.StatusOK, http.StatusNotFound} {
			var all witness
			registry := all.server(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" && slow == "/token" {
					w.Header().Set("Www-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="s"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				if !strings.HasSuffix(r.URL.Path, slow) {
					return
				}
				w.WriteHeader(code)
				for range 1000 {
					if _, err := fmt.Fprint(w, " "); err != nil {
						return
					}
					w.(http.Flusher).Flush()
					select {
					case <-r.Context().Done():
						return
					case <-time.After(10 * time.Millisecond):
					}
				}
			})
			client := login(t, "")
			client.grace = 50 * time.Millisecond
			begin := time.Now()
			_, err := tagsOf(t, client, registry)
			assert.Error(t, err, "%s %d", slow, code)
			assert.Less(t, time.Since(begin), 5*time.Second, "%s %d: %v", slow, code, err)
		}
	}
}

func TestWhatIsFastEnoughIsReadToItsEnd(t *testing.T) {
	var all witness
	registry := all.server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		fmt.Fprint(w, `{"name":"app",`)
		for range 300 {
			fmt.Fprint(w, strings.Repeat(" ", 100))
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond) // ten times as fast as must be
		}
		fmt.Fprint(w, `"tags":[]}`)
	})
	client := login(t, "")
	client.grace = time.Second // less than all of it takes
	tags, err := tagsOf(t, client, registry)
	require.NoError(t, err)
	assert.Empty(t, tags)
}

func TestPatience(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(w http.ResponseWriter, request int)
		want   int // requests
		fails  string
	}{
		{name: "busy, then not", want: 3, answer: func(w http.ResponseWriter, request int) {
			if request < 3 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			list(w)
		}},
		{name: "busy for long is an answer", want: 1, fails: "stays busy", answer: func(w http.ResponseWriter, _ int) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}},
		{name: "broken for good", want: attempts, fails: "fails (503)",
			answer: func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusServiceUnavailable) }},
		{name: "an answer that breaks off", want: 2, answer: func(w http.ResponseWriter, request int) {
			if request == 1 {
				w.Header().Set("Content-Length", "1000")
			}
			list(w)
		}},
		{name: "a refusal is not asked again", want: 1, fails: "refuses the login (403",
			answer: func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusForbidden) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			requests := 0
			var all witness
			registry := all.server(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v2/" {
					requests++
					test.answer(w, requests)
				}
			})
			_, err := tagsOf(t, login(t, ""), registry)
			if test.fails == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, test.fails)
			}
			assert.Equal(t, test.want, requests)
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "soon": 0,
		"Fri, 01 May 2026 12:00:30 GMT": 30 * time.Second, "Fri, 01 May 2026 11:00:00 GMT": 0,
	} {
		assert.Equal(t, want, retryAfter(http.Header{"Retry-After": {text}}, now), text)
	}
}

func TestAnUploadThatCannotGoOnBeginsAnew(t *testing.T) {
	_, file := imageTar(t, "1234567")
	client, host := serve(t)
	broken := false
	var all witness
	front := all.server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && !broken {
			broken = true
			panic(http.ErrAbortHandler)
		}
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/uploads/") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		proxyTo(host).ServeHTTP(w, r)
	})
	client.first = time.Millisecond
	tag, err := client.Tag(strings.TrimPrefix(front.URL, "http://") + "/app:latest-1")
	require.NoError(t, err)
	_, err = client.Push(t.Context(), tag, PushOptions{Tar: file})
	require.NoError(t, err)
	assert.True(t, broken)
}

func TestAnUploadThatStandsStillBeginsAnew(t *testing.T) {
	made, err := random.Image(20<<20, 1) // more than a connection holds
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "image.tar")
	written, err := name.NewTag("example.com/app:1")
	require.NoError(t, err)
	require.NoError(t, tarball.WriteToFile(file, written, made))
	client, host := serve(t)
	still, over := false, make(chan struct{})
	front := (&witness{}).server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && !still {
			still = true
			<-over
			return
		}
		proxyTo(host).ServeHTTP(w, r)
	})
	t.Cleanup(func() { close(over) })
	client.first, client.grace = time.Millisecond, 100*time.Millisecond
	tag, err := client.Tag(strings.TrimPrefix(front.URL, "http://") + "/app:latest-1")
	require.NoError(t, err)
	_, err = client.Push(t.Context(), tag, PushOptions{Tar: file})
	require.NoError(t, err)
	assert.True(t, still)
}
