package kube

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

func TestWhetherAContainerStillRuns(t *testing.T) {
	for name, test := range map[string]struct {
		follow func(w http.ResponseWriter, r *http.Request)
		ended  bool
		fails  bool
	}{
		"it runs and writes nothing": {func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, false, false},
		"it runs and writes": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("line\n"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, false, false},
		"it has ended":             {func(http.ResponseWriter, *http.Request) {}, true, false},
		"it has ended and written": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("line\n")) }, true, false},
		"nobody may ask":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("follow") == "true" {
					test.follow(w, r)
				}
			}))
			t.Cleanup(server.Close)
			cluster, err := New(&rest.Config{Host: server.URL}, "prod", "probe")
			require.NoError(t, err)
			err = StillRuns(t.Context(), cluster, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "prod"}}, "app")
			var ended *EndedError
			assert.Equal(t, test.ended, errors.As(err, &ended), "%v", err)
			assert.Equal(t, test.ended || test.fails, err != nil, "%v", err)
		})
	}
}
