package kube

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// follows answers a log that is followed: it goes on for so long, or until it is left.
func follows(goesOn time.Duration, says string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(goesOn):
			_, _ = w.Write([]byte(says))
		}
	}
}

func TestWhetherAContainerRunsForSoLong(t *testing.T) {
	const lasts = 400 * time.Millisecond
	for name, test := range map[string]struct {
		follow func(http.ResponseWriter, *http.Request)
		other  func(http.ResponseWriter, *http.Request) // the request about the same container
		ended  bool
		says   string // of another error
	}{
		"it goes on":                    {follow: follows(time.Hour, "")},
		"it has ended":                  {follow: follows(0, ""), ended: true},
		"it ends before the time":       {follow: follows(lasts/2, ""), ended: true},
		"the end is noticed afterwards": {follow: follows(lasts+runsChecks*3/4, ""), ended: true},
		"the end is noticed later by a slow node": {follow: follows(lasts+runsChecks*5/4, ""), ended: true,
			other: func(http.ResponseWriter, *http.Request) { <-time.After(runsChecks) }},
		"the kubelet cannot read the log": {follow: follows(0, "failed to create fsnotify watcher: too many open files"), says: "too many open"},
		"nobody may ask": {says: "get pods p",
			follow: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }},
		"the connection breaks": {follow: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, says: "EOF"},
		"the node answers it no more": {follow: follows(time.Hour, ""), says: "unable",
			other: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Query().Get("follow") == "true":
					test.follow(w, r)
				case test.other != nil:
					test.other(w, r)
				}
			}))
			t.Cleanup(server.Close)
			cluster, err := New(&rest.Config{Host: server.URL}, "prod", "probe")
			require.NoError(t, err)
			err = RunsFor(t.Context(), cluster, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "prod"}}, "app", lasts)
			var ended *EndedError
			assert.Equal(t, test.ended, errors.As(err, &ended), "%v", err)
			if !test.ended && test.says == "" {
				assert.NoError(t, err)
			} else if test.says != "" {
				assert.ErrorContains(t, err, test.says)
			}
		})
	}
}
