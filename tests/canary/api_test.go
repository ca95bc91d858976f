//go:build lab

package canary

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/rollout/gate"
	"slipway.dev/slipway/tests/rollout/scenes"
)

// upstream is the API server, with the administrator's certificate.
var upstream = sync.OnceValues(func() (*url.URL, *http.Transport) {
	server, transport, err := gate.Connection(os.Getenv("KUBECONFIG"))
	if err != nil {
		panic(err)
	}
	return server, transport
})

// api is a way to the API server that counts, can kill whom it serves, and can
// make the whole world look as it does to a machine whose clock is wrong.
type api struct {
	kubeconfig string
	user       string        // impersonated
	killAt     int           // the write after which the process dies
	ahead      time.Duration // of the process' clock
	lock       sync.Mutex
	requests   []string
	writes     int
	process    *os.Process
	seen       chan string // each request, if anybody listens
}

func newAPI(t *testing.T) *api {
	a := &api{seen: make(chan string, 1000)}
	g, err := gate.Open(os.Getenv("KUBECONFIG"))
	require.NoError(t, err)
	t.Cleanup(g.Close)
	g.Between(a.between)
	a.kubeconfig, err = g.Kubeconfig(t.TempDir(), "")
	require.NoError(t, err)
	return a
}

func (a *api) between(next http.RoundTripper, r *http.Request) (*http.Response, error) {
	watch := r.URL.Query().Has("watch")
	line := r.Method + " " + r.URL.Path
	if watch {
		line = "WATCH " + r.URL.Path
	}
	a.lock.Lock()
	a.requests = append(a.requests, line)
	a.lock.Unlock()
	select {
	case a.seen <- line:
	default:
	}
	if a.user != "" {
		r.Header.Set("Impersonate-User", a.user)
	}
	r.Header.Del("Accept-Encoding")
	if a.ahead != 0 && r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = shift(body, a.ahead)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	response, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if a.ahead != 0 {
		if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
			// To a process whose clock is ahead the world looks behind by as much. Here the
			// process' clock is right, so that the world is moved instead.
			response.Header.Set("Date", date.Add(-a.ahead).UTC().Format(http.TimeFormat))
		}
		response.Body = shifted(response.Body, watch, -a.ahead)
		response.ContentLength = -1
		response.Header.Del("Content-Length")
	}
	if r.Method == http.MethodGet {
		return response, nil
	}
	a.lock.Lock()
	defer a.lock.Unlock()
	if a.writes++; a.writes == a.killAt {
		_ = a.process.Kill() // kill -9: the API server has done it, and nobody will know
		_ = response.Body.Close()
		return nil, errors.New("killed")
	}
	return response, nil
}

var instant = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z`)

func shift(body []byte, by time.Duration) []byte {
	return instant.ReplaceAllFunc(body, func(found []byte) []byte {
		layout := "2006-01-02T15:04:05Z"
		if bytes.ContainsRune(found, '.') {
			layout = "2006-01-02T15:04:05.000000Z"
		}
		at, err := time.Parse(layout, string(found))
		if err != nil {
			return found
		}
		return []byte(at.Add(by).Format(layout))
	})
}

// shifted moves every instant in what comes: an answer as a whole, a watch event by event.
func shifted(body io.ReadCloser, watch bool, by time.Duration) io.ReadCloser {
	reader, writer := io.Pipe()
	go func() {
		defer body.Close()
		if !watch {
			all, err := io.ReadAll(body)
			_, _ = writer.Write(shift(all, by))
			writer.CloseWithError(err)
			return
		}
		events := json.NewDecoder(body)
		for {
			var event json.RawMessage
			err := events.Decode(&event)
			if err == nil {
				_, err = writer.Write(append(shift(event, by), '\n'))
			}
			if err != nil {
				writer.CloseWithError(err)
				return
			}
		}
	}()
	return reader
}

// answer of one call of canary-weight.
type answer struct {
	code   int
	out    string
	errors string
}

func (a answer) String() string { return fmt.Sprintf("exit %d\n%s%s", a.code, a.out, a.errors) }

var binary = sync.OnceValue(func() string {
	path, err := filepath.Abs("../../bin/canary-weight")
	if err != nil {
		panic(err)
	}
	return path
})

// begin starts canary-weight; what it gives back waits for the end.
func (a *api) begin(t *testing.T, arguments ...string) (*os.Process, func() answer) {
	t.Helper()
	var out, complaint bytes.Buffer
	command := exec.Command(binary(), arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+a.kubeconfig, "BUILD_URL=")
	command.Stdout, command.Stderr = &out, &complaint
	a.lock.Lock()
	require.NoError(t, command.Start())
	a.process = command.Process
	a.lock.Unlock()
	return command.Process, func() answer {
		_ = command.Wait()
		return answer{command.ProcessState.ExitCode(), out.String(), complaint.String()}
	}
}

func (a *api) run(t *testing.T, arguments ...string) answer {
	t.Helper()
	_, wait := a.begin(t, arguments...)
	return wait()
}

func kubectl(t *testing.T, stdin string, arguments ...string) string {
	t.Helper()
	out, err := scenes.Kubectl(context.Background(), stdin, arguments...) // also after the test, whose context is over then
	require.NoError(t, err)
	return out
}

// read gives an object, or nothing where it is not there.
func read(t *testing.T, path string) map[string]any {
	t.Helper()
	server, transport := upstream()
	response, err := (&http.Client{Transport: transport}).Get(server.String() + path)
	require.NoError(t, err)
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return nil
	}
	require.Equal(t, http.StatusOK, response.StatusCode, path)
	var object map[string]any
	require.NoError(t, json.NewDecoder(response.Body).Decode(&object))
	return object
}
