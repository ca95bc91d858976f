package registry

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

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

func TestARedirectToAnotherSchemeIsNotFollowed(t *testing.T) {
	var own witness
	registry := own.server(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := tagsOf(t, login(t, ""), registry)
	assert.ErrorContains(t, err, "only http is spoken")
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
		{name: "broken for good", want: attempts, fails: "fails (503)", answer: func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusServiceUnavailable) }},
		{name: "an answer that breaks off", want: 2, answer: func(w http.ResponseWriter, request int) {
			if request == 1 {
				w.Header().Set("Content-Length", "1000")
			}
			list(w)
		}},
		{name: "a refusal is not asked again", want: 1, fails: "refuses the login (403", answer: func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusForbidden) }},
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
