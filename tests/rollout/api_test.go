//go:build lab

package rollout

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
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

// lateReady becomes ready after 15 s; its probe has had its chance after ten times
// as many seconds as it may fail.
func lateReady(failures int) string {
	return simple(1, "tool:1", `[sh, -c, "sleep 15; touch /tmp/ready; exec sleep 100000"]`,
		fmt.Sprintf(", readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: %d}",
			failures))
}

// all are rollout-wait's watches of one Deployment: itself, its ReplicaSets, its pods.
const all = 3

// through runs rollout-wait through a gate, and meanwhile what goes wrong there.
func through(t *testing.T, wrong func(*gate.Gate), arguments ...string) (Workload, Answer) {
	t.Helper()
	s := newStage(t)
	g, err := gate.Open(os.Getenv("KUBECONFIG"))
	require.NoError(t, err)
	t.Cleanup(g.Close)
	config, err := g.Kubeconfig(t.TempDir(), "")
	require.NoError(t, err)
	s.apply(lateReady(12))
	var group sync.WaitGroup
	group.Go(func() { wrong(g) })
	answer := Helper(t.Context(), config, "rollout-wait",
		append([]string{"-n", s.name, "deployment/app", "--timeout", "3m", "-o", "json"}, arguments...)...)
	group.Wait()
	if len(answer.Result.Workloads) == 0 {
		return Workload{}, answer
	}
	return answer.Result.Workloads[0], answer
}

// watched waits until rollout-wait watches all that it needs.
func watched(t *testing.T, g *gate.Gate) bool {
	limited, cancel := context.WithTimeout(t.Context(), minute)
	defer cancel()
	return assert.NoError(t, g.Watching(limited, all))
}

func TestADroppedWatch(t *testing.T) {
	t.Parallel()
	dropped := 0
	verdict, answer := through(t, func(g *gate.Gate) {
		for ; dropped < 5 && watched(t, g); dropped++ {
			g.Drop()
		}
	})
	assert.Equal(t, "done", verdict.State, "%+v", answer)
	assert.Equal(t, 5, dropped)
}

func TestAHistoryThatIsGone(t *testing.T) {
	t.Parallel()
	var gone atomic.Int32
	verdict, answer := through(t, func(g *gate.Gate) {
		g.Fault(func(w http.ResponseWriter, r *http.Request) bool {
			if !gate.IsWatch(r) || gone.Add(1) > 9 {
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

// throttled answers 429 for a while.
func throttled(g *gate.Gate, lasts time.Duration) (times int32) {
	var count atomic.Int32
	g.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
		count.Add(1)
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	<-time.After(lasts)
	g.Fault(nil)
	return count.Load()
}

func TestAThrottlingAPIServer(t *testing.T) {
	t.Parallel()
	verdict, answer := through(t, func(g *gate.Gate) {
		assert.Positive(t, throttled(g, 3*time.Second), "from its first request on")
		if watched(t, g) {
			g.Drop()
			assert.Positive(t, throttled(g, 14*time.Second), "while the pod becomes ready")
		}
	})
	assert.Equal(t, "done", verdict.State, "%+v", answer)
}

func TestAnAPIServerThatIsAwayForTooLong(t *testing.T) {
	t.Parallel()
	_, answer := through(t, func(g *gate.Gate) {
		watched(t, g)
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

// whileItStarts does something as soon as rollout-wait follows a pod that runs
// and is not ready yet.
func whileItStarts(s stage, do func()) (Workload, Answer) {
	s.apply(lateReady(3))
	s.kubectl("wait", "pod", "-l", "app=app", "--for=jsonpath={.status.containerStatuses[0].started}=true", "--timeout=60s")
	return s.waitAnd("of 1 new pods are available", do, "deployment/app")
}

// Both stop all of the cluster, so they run alone. The pod becomes ready while
// nobody can hear of it, and its probe's chance passes.
const outage = 32 * time.Second

func TestAnAPIServerThatHangs(t *testing.T) {
	s := newStage(t)
	pid, _ := apiserver(t)
	verdict, answer := whileItStarts(s, func() {
		assert.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
		<-time.After(outage)
		assert.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	})
	assert.Equal(t, "done", verdict.State, "%+v", answer)
	assert.Greater(t, answer.Seconds, outage.Seconds())
}

func TestAnAPIServerThatIsRestarted(t *testing.T) {
	s := newStage(t)
	pid, arguments := apiserver(t)
	var log bytes.Buffer
	verdict, answer := whileItStarts(s, func() {
		assert.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		<-time.After(outage)
		// It outlives the test: the cluster needs it until the lab ends.
		command := exec.Command(arguments[0], arguments[1:]...)
		command.Stdout, command.Stderr = &log, &log
		assert.NoError(t, command.Start())
	})
	assert.Equal(t, "done", verdict.State, "%+v", answer)
	assert.Greater(t, answer.Seconds, outage.Seconds())
	_, err := scenes.Kubectl(t.Context(), "", "get", "--raw", "/readyz")
	assert.NoError(t, err)
}
