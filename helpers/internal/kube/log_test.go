package kube

import (
	"io"
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

// The pod shows a run ended at 10:00:05. By the time its log is asked for, the kubelet may have begun another one.
func TestTheWordsAreThoseOfTheRunThatTheVerdictIsAbout(t *testing.T) {
	const ended, begun, before = "2026-03-01T10:00:05.9Z the end\n", "2026-03-01T10:00:16.1Z it begins\n",
		"2026-03-01T09:59:50.5Z the end before\n"
	for name, test := range map[string]struct {
		present, previous string
		says              string
		restarted         bool
	}{
		"none has begun since":                       {ended, before, "the end", false},
		"one has begun since":                        {begun, ended, "the end", true},
		"one has begun and written nothing yet":      {"", ended, "the end", true},
		"one has begun, and the other cannot be had": {begun, "unable to retrieve container logs for containerd://1", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body := test.present
				if r.URL.Query().Get("previous") == "true" {
					body = test.previous
				}
				_, _ = io.WriteString(w, body)
			}))
			t.Cleanup(server.Close)
			cluster, err := New(&rest.Config{Host: server.URL}, "prod", "test")
			require.NoError(t, err)
			finished := metav1.NewTime(time.Date(2026, 3, 1, 10, 0, 5, 0, time.UTC))
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "prod"}, Status: corev1.PodStatus{
				ContainerStatuses: []corev1.ContainerStatus{{Name: "app",
					State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: finished}}}}}}
			words := LastWords(t.Context(), cluster, pod, "app", false)
			if test.says == "" {
				assert.Empty(t, words.Lines)
				assert.Contains(t, words.Unread, "unable to retrieve")
				return
			}
			assert.Equal(t, []string{test.says}, words.Lines)
			assert.Equal(t, test.restarted, words.Previous)
		})
	}
}
