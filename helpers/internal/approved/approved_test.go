package approved

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/helpers/internal/kube"
)

// server has one ConfigMap, and refuses the first updates as changed in the meantime.
type server struct {
	*httptest.Server
	lock      sync.Mutex
	data      map[string]string
	conflicts int
	absent    bool
}

func serve(t *testing.T) (*server, *kube.Cluster) {
	s := &server{data: map[string]string{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	cluster, err := kube.New(&rest.Config{Host: s.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, "prod", "test")
	require.NoError(t, err)
	return s, cluster
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.lock.Lock()
	defer s.lock.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fail := func(code int, reason string) {
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":"no"}`, code, reason)
	}
	switch {
	case !strings.Contains(r.URL.Path, "configmaps"):
		_, _ = io.WriteString(w, `{"items":[]}`)
	case s.absent:
		fail(http.StatusNotFound, "NotFound")
	case r.Method == http.MethodPut && s.conflicts > 0:
		s.conflicts--
		s.data["sha256-"+strings.Repeat("0", 64)] = "[]" // what the other run wrote
		fail(http.StatusConflict, "Conflict")
	case r.Method == http.MethodPut:
		var object struct{ Data map[string]string }
		_ = json.NewDecoder(r.Body).Decode(&object)
		s.data = object.Data
		fallthrough
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": Name},
			"data": s.data})
	}
}

func TestAnotherRunsChangeIsReadAgain(t *testing.T) {
	s, cluster := serve(t)
	s.conflicts = 3
	guarded, err := Add(t.Context(), cluster, *New("r/a:1@"+digest(1), Entry{What: "canary"}))
	require.NoError(t, err)
	assert.True(t, guarded)
	assert.Contains(t, s.data, keyOf(digest(1)))
}

func TestANamespaceWithoutAListIsNotGuarded(t *testing.T) {
	s, cluster := serve(t)
	s.absent = true
	guarded, err := Add(t.Context(), cluster, *New("r/a:1@"+digest(1), Entry{What: "canary"}))
	require.NoError(t, err)
	assert.False(t, guarded)
}
