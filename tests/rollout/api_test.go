//go:build lab

package rollout

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/rollout/gate"
	"slipway.dev/slipway/tests/rollout/scenes"
)

func listen(t *testing.T) net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return listener
}

// late becomes ready after 12 s; its probe has had its chance after 18 s.
const late = `[sh, -c, "sleep 12; touch /tmp/ready; exec sleep 100000"]`

func lateReady() string {
	return simple(1, "tool:1", late, ", readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 3, failureThreshold: 3}")
}

// through runs rollout-wait through a gate, and meanwhile what goes wrong there.
func through(t *testing.T, wrong func(*gate.Gate), arguments ...string) (Workload, Answer) {
	t.Helper()
	s := newStage(t)
	g, err := gate.Open(os.Getenv("KUBECONFIG"))
	require.NoError(t, err)
	t.Cleanup(g.Close)
	config, err := g.Kubeconfig(t.TempDir(), "")
	require.NoError(t, err)
	s.apply(lateReady())
	done := make(chan struct{})
	go func() { defer close(done); wrong(g) }()
	answer := Helper(t.Context(), config, "rollout-wait", append([]string{"-n", s.name, "deployment/app", "--timeout", "3m", "-o", "json"}, arguments...)...)
	<-done
	if len(answer.Result.Workloads) == 0 {
		return Workload{}, answer
	}
	return answer.Result.Workloads[0], answer
}

func isWatch(r *http.Request) bool { return r.URL.Query().Get("watch") != "" }

func TestADroppedWatch(t *testing.T) {
	t.Parallel()
	verdict, answer := through(t, func(g *gate.Gate) {
		for range 8 {
			time.Sleep(time.Second)
			g.Drop()
		}
	})
	assert.Equal(t, "done", verdict.State, "%+v", answer)
}

func TestAHistoryThatIsGone(t *testing.T) {
	t.Parallel()
	var gone atomic.Int32
	verdict, answer := through(t, func(g *gate.Gate) {
		g.Fault(func(w http.ResponseWriter, r *http.Request) bool {
			if !isWatch(r) || gone.Add(1) > 9 {
				return false
			}
			status := `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","message":"too old resource version","code":410}`
			w.Header().Set("Content-Type", "application/json")
			if gone.Load()%2 == 0 { // as the answer itself, or within the stream
				w.WriteHeader(http.StatusGone)
				fmt.Fprint(w, status)
			} else {
				fmt.Fprintf(w, `{"type":"ERROR","object":%s}`, status)
			}
			return true
		})
	})
	assert.Equal(t, "done", verdict.State, "%+v", answer)
	assert.GreaterOrEqual(t, gone.Load(), int32(9))
}

func TestAThrottlingAPIServer(t *testing.T) {
	t.Parallel()
	var throttled atomic.Int32
	verdict, answer := through(t, func(g *gate.Gate) {
		g.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
			throttled.Add(1)
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		})
		time.Sleep(3 * time.Second)
		g.Fault(nil)
		time.Sleep(3 * time.Second)
		g.Drop()
		g.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		})
		time.Sleep(14 * time.Second)
		g.Fault(nil)
	})
	assert.Equal(t, "done", verdict.State, "%+v", answer)
	assert.Positive(t, throttled.Load())
}

func TestAnAPIServerThatIsAwayForTooLong(t *testing.T) {
	t.Parallel()
	_, answer := through(t, func(g *gate.Gate) {
		time.Sleep(3 * time.Second)
		g.Close()
		g.Drop()
	}, "--api-grace", "5s")
	assert.Equal(t, 3, answer.Exit, "%+v", answer)
	assert.Contains(t, answer.Result.Error.Message, "has not answered")
}

// apiserver finds the lab's kube-apiserver; all of the lab is in one pid namespace.
func apiserver(t *testing.T) (pid int, arguments []string) {
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, entry := range entries {
		body, err := os.ReadFile(entry)
		if err != nil {
			continue
		}
		arguments := strings.Split(strings.TrimRight(string(body), "\x00"), "\x00")
		if filepath.Base(arguments[0]) == "kube-apiserver" {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(entry)))
			require.NoError(t, err)
			return pid, arguments
		}
	}
	t.Fatal("there is no kube-apiserver")
	return 0, nil
}

// Both stop all of the cluster, so they run alone. The pod becomes ready while
// nobody can hear of it, and its probe's chance passes.
func TestAnAPIServerThatHangs(t *testing.T) {
	s := newStage(t)
	s.apply(lateReady())
	pid, _ := apiserver(t)
	go func() {
		time.Sleep(4 * time.Second)
		_ = syscall.Kill(pid, syscall.SIGSTOP)
		time.Sleep(22 * time.Second)
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}()
	verdict, answer := s.wait("deployment/app")
	assert.Equal(t, "done", verdict.State, "%+v", answer)
}

func TestAnAPIServerThatIsRestarted(t *testing.T) {
	s := newStage(t)
	s.apply(lateReady())
	pid, arguments := apiserver(t)
	var log bytes.Buffer
	again := make(chan error, 1)
	go func() {
		time.Sleep(4 * time.Second)
		_ = syscall.Kill(pid, syscall.SIGKILL)
		time.Sleep(18 * time.Second)
		// It outlives the test: the cluster needs it until the lab ends.
		command := exec.Command(arguments[0], arguments[1:]...)
		command.Stdout, command.Stderr = &log, &log
		again <- command.Start()
	}()
	verdict, answer := s.wait("deployment/app")
	require.NoError(t, <-again)
	assert.Equal(t, "done", verdict.State, "%+v", answer)
	_, err := scenes.Kubectl(t.Context(), "", "get", "--raw", "/readyz")
	assert.NoError(t, err)
}
