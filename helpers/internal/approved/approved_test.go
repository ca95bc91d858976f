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
	corev1 "k8s.io/api/core/v1"
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
	broken    string   // what the list of Deployments answers
	events    []string // that were sent
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
		_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,
			"message":"ingresses is forbidden: User \"olga\" cannot list resource \"ingresses\" in API group \"networking.k8s.io\""}`, code, reason)
	}
	switch {
	case strings.Contains(r.URL.Path, "events"):
		body, _ := io.ReadAll(r.Body)
		s.events = append(s.events, string(body))
		if len(s.events) > 1 {
			fail(http.StatusConflict, "AlreadyExists")
			return
		}
		_, _ = w.Write(body)
	case strings.Contains(r.URL.Path, "ingresses"):
		fail(http.StatusForbidden, "Forbidden")
	case s.broken != "" && strings.Contains(r.URL.Path, "deployments"):
		_, _ = io.WriteString(w, s.broken)
	case !strings.Contains(r.URL.Path, "configmaps"):
		_, _ = io.WriteString(w, `{"kind":"List","apiVersion":"v1","items":[]}`)
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

// What went past the guard is found and becomes an Event also for an account that may not list each kind.
func TestWhatWentPastTheGuardIsFoundAndNoted(t *testing.T) {
	s, cluster := serve(t)
	reason := "a fire in hall 3\u001b[2J " + strings.Repeat("ä", 1000)
	text, err := json.Marshal(reason)
	require.NoError(t, err)
	s.broken = fmt.Sprintf(`{"kind":"DeploymentList","apiVersion":"apps/v1","items":[
		{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"shop","namespace":"prod","uid":"u-1","annotations":{%[1]q:%[2]s}}},
		{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"made","annotations":{%[1]q:"x"},
			"ownerReferences":[{"controller":true,"kind":"Shop","name":"shop","apiVersion":"example.org/v1","uid":"u-2"}]}},
		{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"quiet"}}]}`, BreakGlass, text)
	for range 2 { // the second time the Event is there already
		found, err := Broken(t.Context(), cluster)
		require.NoError(t, err)
		assert.Equal(t, []Finding{{Object: "deployment/shop", Why: reason}}, found)
	}
	require.Len(t, s.events, 2)
	var event, again corev1.Event
	require.NoError(t, json.Unmarshal([]byte(s.events[0]), &event))
	require.NoError(t, json.Unmarshal([]byte(s.events[1]), &again))
	assert.Equal(t, event.Name, again.Name)
	assert.Equal(t, "u-1", string(event.InvolvedObject.UID))
	assert.Contains(t, event.Message, "deployment/shop went past the guard: a fire in hall 3")
	assert.NotContains(t, event.Message, "\x1b")
	assert.Less(t, len(event.Message), 1024)
}
