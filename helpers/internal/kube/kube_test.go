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
	corev1 "k8s.io/api/core/v1"
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
		"changed": {apierrors.NewConflict(deployments, "app", errors.New("the object has been modified")), slipway.Conflict,
			"run it again"},
		"throttled":    {apierrors.NewTooManyRequests("busy", 1), slipway.Unknown, "too busy"},
		"refused":      {fmt.Errorf("dial: %w", syscall.ECONNREFUSED), slipway.Unknown, "reached"},
		"unforeseen":   {errors.New("boom"), slipway.Unknown, "boom"},
		"already said": {slipway.Usagef("said"), slipway.Usage, "said"},
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

func TestWhatTheKubeletSaysIsNoLog(t *testing.T) {
	stamped := func(lines ...string) string {
		text := ""
		for _, line := range lines {
			text += "2026-03-01T23:00:00.123456789+01:00 " + line + "\n"
		}
		return text
	}
	symlink := `failed to try resolving symlinks in path "/var/log/pods/p_app_1/app/2.log": lstat /var/log/pods/p_app_1/app/2.log: no such file or directory`
	gone := "unable to retrieve container logs for containerd://0123"
	for name, test := range map[string]struct {
		previous, present string // what is answered for either run; "404" is an error
		asked             bool   // for the previous one first
		lines             []string
		before            bool
		unread            string
	}{
		"the run that ended":              {stamped("a", "b"), stamped("c"), true, []string{"a", "b"}, true, ""},
		"the present one":                 {stamped("a"), stamped("c"), false, []string{"c"}, false, ""},
		"the kubelet removed it":          {gone, stamped("c"), true, []string{"c"}, false, ""},
		"the file is gone":                {symlink, stamped("c"), true, []string{"c"}, false, ""},
		"both are gone":                   {symlink, gone, true, []string{}, true, "the kubelet answers: " + gone},
		"none was written":                {"", "", true, []string{}, true, ""},
		"only blank lines":                {stamped("", " "), stamped("c"), true, []string{"c"}, false, ""},
		"a program that says the same":    {stamped(gone, symlink), "", true, []string{gone, symlink}, true, ""},
		"it broke off":                    {stamped("a") + `failed to read log file "/x": input/output error`, "", true, []string{"a"}, true, ""},
		"there was no previous run":       {"400", stamped("c"), true, []string{"c"}, false, ""},
		"the pod is gone":                 {"404", "404", true, []string{}, true, "not found"},
		"the kubelet does not answer":     {"500", "500", true, []string{}, true, "dial tcp"},
		"a secret":                        {stamped("password=geheim"), "", true, []string{"password=****"}, true, ""},
		"a control character":             {stamped("\x1b[2Jgone"), "", true, []string{`\x1b[2Jgone`}, true, ""},
		"a log without its last new line": {"2026-03-01T23:00:00Z last", "", true, []string{"last"}, true, ""},
		"a line with a time of its own": {stamped("2026-03-01T22:00:00Z started"), "", true, []string{"2026-03-01T22:00:00Z started"}, true,
			""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, "true", r.URL.Query().Get("timestamps"))
				body := test.present
				if r.URL.Query().Get("previous") == "true" {
					body = test.previous
				}
				status := map[string]string{"400": `"reason":"BadRequest","message":"previous terminated container not found"`,
					"404": `"reason":"NotFound","message":"pods \"p\" not found"`,
					"500": `"reason":"InternalError","message":"dial tcp 10.0.0.1:10250"`}[body]
				if status != "" {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(map[string]int{"400": 400, "404": 404, "500": 500}[body])
					body = `{"kind":"Status","apiVersion":"v1","status":"Failure","code":` + body + `,` + status + `}`
				}
				_, _ = w.Write([]byte(body))
			}))
			t.Cleanup(server.Close)
			cluster, err := New(&rest.Config{Host: server.URL}, "prod", "probe")
			require.NoError(t, err)
			words := LastWords(t.Context(), cluster, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "prod"}}, "app", test.asked)
			assert.Equal(t, test.lines, words.Lines)
			assert.Equal(t, test.before, words.Previous)
			if test.unread == "" {
				assert.Empty(t, words.Unread)
			} else {
				assert.Contains(t, words.Unread, test.unread)
			}
		})
	}
}

// The present run has written something already, and not its last: the log of the one that ended is asked for again first.
func TestALogThatCanBeReadInAMomentIsWaitedFor(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := "2026-03-01T23:00:00Z starting\n"
		if r.URL.Query().Get("previous") == "true" {
			body = "2026-03-01T22:59:00Z the end\n"
			if asked++; asked < 3 {
				body = "unable to retrieve container logs for containerd://0123"
			}
		}
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	cluster, err := New(&rest.Config{Host: server.URL}, "prod", "probe")
	require.NoError(t, err)
	words := LastWords(t.Context(), cluster, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "prod"}}, "app", true)
	assert.Equal(t, []string{"the end"}, words.Lines)
	assert.True(t, words.Previous)
}
