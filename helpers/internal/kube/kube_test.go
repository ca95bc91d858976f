package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

var deployments = schema.GroupResource{Group: "apps", Resource: "deployments"}

func TestExplainGivesEachAnswerItsCode(t *testing.T) {
	rbac := errors.New(`User "system:serviceaccount:ci:agent" cannot patch resource "deployments" in API group "apps" in the namespace "prod"`)
	for name, test := range map[string]struct {
		err  error
		code int
		says string
	}{
		"RBAC":          {apierrors.NewForbidden(deployments, "app", rbac), slipway.Usage, "may not patch deployments.apps"},
		"quota":         {apierrors.NewForbidden(deployments, "app", errors.New("exceeded quota: pods")), slipway.No, "exceeded quota"},
		"not logged in": {apierrors.NewUnauthorized("no"), slipway.Usage, "renew"},
		"absent":        {apierrors.NewNotFound(deployments, "app"), slipway.No, "not found"},
		"changed":       {apierrors.NewConflict(deployments, "app", errors.New("the object has been modified")), slipway.Conflict, "run it again"},
		"throttled":     {apierrors.NewTooManyRequests("busy", 1), slipway.Unknown, "too busy"},
		"refused":       {fmt.Errorf("dial: %w", syscall.ECONNREFUSED), slipway.Unknown, "reached"},
		"unforeseen":    {errors.New("boom"), slipway.Unknown, "boom"},
		"already said":  {slipway.Usagef("said"), slipway.Usage, "said"},
	} {
		got := Explain(test.err, "changing deployment prod/app")
		assert.Equal(t, test.code, got.Code, name)
		assert.Contains(t, got.Error(), test.says, name)
	}
}

func connect(t *testing.T, arguments ...string) (*Cluster, error) {
	t.Helper()
	var cluster *Cluster
	app := &cli.App{Name: "probe", Flags: Flags, Action: func(c *cli.Context) (err error) {
		cluster, err = Connect(c)
		return err
	}}
	return cluster, app.RunContext(context.Background(), append([]string{"probe"}, arguments...))
}

func TestConnectTakesTheKubeconfigThatItIsGiven(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte(`{apiVersion: v1, kind: Config, current-context: a,
  contexts: [{name: a, context: {cluster: one, user: me, namespace: staging}}],
  clusters: [{name: one, cluster: {server: "https://127.0.0.1:1"}}], users: [{name: me, user: {token: t}}]}`), 0o600))

	cluster, err := connect(t, "--kubeconfig", file)
	require.NoError(t, err)
	assert.Equal(t, "staging", cluster.Namespace)

	cluster, err = connect(t, "--kubeconfig", file, "-n", "prod")
	require.NoError(t, err)
	assert.Equal(t, "prod", cluster.Namespace)
	assert.Contains(t, cluster.Config.UserAgent, "slipway-probe/")

	for _, arguments := range [][]string{{"--kubeconfig", file + ".missing"}, {"--kubeconfig", file, "--context", "b"}, {}} {
		_, err = connect(t, arguments...)
		require.Error(t, err, "%v", arguments)
		assert.Equal(t, slipway.Usage, slipway.AsError(err).Code, "%v", arguments)
	}
}

func TestClientsShareOneConnection(t *testing.T) {
	seen := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen++
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	cluster, err := New(&rest.Config{Host: server.URL}, "prod", "probe")
	require.NoError(t, err)
	_, err = cluster.Apps().Deployments("prod").Get(t.Context(), "app", metav1.GetOptions{})
	assert.Equal(t, slipway.No, Explain(err, "reading").Code)
	_, err = cluster.Core().Pods("prod").Get(t.Context(), "app", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err))
	assert.Equal(t, 2, seen)
}

func TestAnAnswerThatBreaksOffMayComeWholeLater(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"kind":`))
	}))
	defer server.Close()
	cluster, err := New(&rest.Config{Host: server.URL}, "prod", "probe")
	require.NoError(t, err)
	_, err = cluster.Core().Pods("prod").List(t.Context(), metav1.ListOptions{})
	require.Error(t, err)
	assert.True(t, IsPassing(err), "%v", err)
	assert.True(t, IsPassing(Explain(err, "reading")), "%v", err)
}

func TestALateAnswerDoesNotMoveTheClock(t *testing.T) {
	at := time.Date(2026, 3, 1, 23, 0, 0, 400e6, time.UTC)
	for name, test := range map[string]struct {
		former, ahead, until, after time.Duration // of the server, really; how long until it writes the date, and until that is here
		least, most                 time.Duration
	}{
		"the same clock":              {0, 0, 0, 0, 0, 0},
		"a late answer":               {0, 0, 0, 30 * time.Second, 0, 0},
		"a late server":               {0, 0, 30 * time.Second, 0, 0, 0},
		"an hour ahead":               {0, time.Hour, 0, 0, time.Hour - time.Second, time.Hour},
		"an hour behind":              {0, -time.Hour, 0, 0, -time.Hour, -time.Hour + time.Second},
		"an hour ahead, and late":     {time.Hour, time.Hour, 5 * time.Second, 5 * time.Second, time.Hour, time.Hour},
		"an hour ahead, and put back": {time.Hour, 0, 0, 0, 0, time.Second},
	} {
		written := at.Add(test.until)
		got := estimate(test.former, written.Add(test.ahead).Truncate(time.Second), at, written.Add(test.after))
		assert.GreaterOrEqual(t, got, test.least, name)
		assert.LessOrEqual(t, got, test.most, name)
	}
}
