//go:build lab

package canary

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

//go:embed server.py
var server string

// serving is the application with pods that answer, behind one Service.
func serving(t *testing.T, kind, namespace string, canaryFails float64) (site, string) {
	r := routers[kind]
	manifest := fmt.Sprintf(app, namespace, 3)
	parts := strings.Split(manifest, `[{name: c, image: "registry.k8s.io/pause:3.10"}]`)
	require.Len(t, parts, 3)
	container := func(version string, fail float64) string {
		body, err := json.Marshal([]any{map[string]any{
			"name": "c", "image": "python:3.11-slim", "command": []string{"python3", "-c", server},
			"env":            []any{map[string]any{"name": "VERSION", "value": version}, map[string]any{"name": "FAIL", "value": fmt.Sprint(fail)}, map[string]any{"name": "DELAY", "value": "0.02"}},
			"readinessProbe": map[string]any{"tcpSocket": map[string]any{"port": 8000}, "periodSeconds": 1},
		}})
		require.NoError(t, err)
		return string(body)
	}
	manifest = parts[0] + container("stable", 0.002) + parts[1] + container("canary", canaryFails) + parts[2]
	manifest = strings.ReplaceAll(manifest, "terminationGracePeriodSeconds: 0", "terminationGracePeriodSeconds: 10")
	manifest = strings.ReplaceAll(manifest, "port: 80}", "port: 80, targetPort: 8000}")
	manifest = strings.ReplaceAll(manifest, "part: users}}\n    spec:", `part: users}, annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8000", prometheus.io/path: /metrics}}`+"\n    spec:")
	kubectl(t, manifest, "apply", "-f", "-")
	if r.manifest != "" {
		kubectl(t, strings.ReplaceAll(r.manifest, "%[1]s", namespace), "apply", "-n", namespace, "-f", "-")
	}
	kubectl(t, "", "rollout", "status", "-n", namespace, "deployment/app", "--timeout=3m")
	t.Cleanup(func() { kubectl(t, "", "delete", "namespace", namespace, "--wait=false") })
	address := read(t, "/api/v1/namespaces/"+namespace+"/services/app")["spec"].(map[string]any)["clusterIP"].(string)
	return site{r, namespace}, "http://" + address
}

// load are clients that ask as long as they are not stopped.
type load struct {
	canary, all, broken atomic.Int64
	first               atomic.Value // the first request that got no answer
	stop                chan struct{}
	group               sync.WaitGroup
}

func start(url string, clients int, keepAlive bool, host string) *load {
	l := &load{stop: make(chan struct{})}
	for range clients {
		l.group.Go(func() {
			client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: !keepAlive}}
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				request, err := http.NewRequest(http.MethodGet, url, nil)
				if err != nil {
					return
				}
				request.Host = host
				response, err := client.Do(request)
				if err == nil {
					var body []byte
					body, err = io.ReadAll(response.Body)
					_ = response.Body.Close()
					if string(body) == "canary" {
						l.canary.Add(1)
					} else if string(body) != "stable" {
						err = fmt.Errorf("%s: %.100s", response.Status, body)
					}
				}
				l.all.Add(1)
				if err != nil {
					l.broken.Add(1)
					l.first.CompareAndSwap(nil, err)
				}
			}
		})
	}
	return l
}

func (l *load) end() {
	close(l.stop)
	l.group.Wait()
}

// asked is how many requests each share is measured by: LAB_REQUESTS, else 1000.
func asked() int64 {
	if number, err := strconv.ParseInt(os.Getenv("LAB_REQUESTS"), 10, 64); err == nil {
		return number
	}
	return 1000
}

// The share that users get is the one that was asked for, and no request breaks
// while it is given and taken back, also on connections that are kept.
func TestUsersGetTheShareAndNoRequestBreaks(t *testing.T) {
	s, url := serving(t, "service", "users", 0.002)
	kept := start(url, 2, true, "")
	for _, weight := range []int{10, 25, 50} {
		began := time.Now()
		changing := start(url, 4, false, "")
		done := newAPI(t).run(t, s.arguments("set", fmt.Sprint(weight), "--run", "run-a", "--max-extra", "7")...)
		took := time.Since(began)
		require.Equal(t, 0, done.code, done)
		changing.end()
		measured := start(url, 4, false, "")
		require.Eventually(t, func() bool { return measured.all.Load() >= asked() }, 10*time.Minute, 50*time.Millisecond)
		measured.end()
		share := 100 * float64(measured.canary.Load()) / float64(measured.all.Load())
		t.Logf("service at %d %%: %.2f %% of %d requests; set took %.1f s; broken while it was set %d, after it %d", weight, share, measured.all.Load(), took.Seconds(), changing.broken.Load(), measured.broken.Load())
		assert.InDelta(t, weight, share, 4)
		assert.Zero(t, changing.broken.Load()+measured.broken.Load(), "%v %v", changing.first.Load(), measured.first.Load())
	}
	kept.end() // a kept connection stays on its pod: the share is one of connections
	measured := start(url, 4, false, "")
	require.Eventually(t, func() bool { return measured.all.Load() >= 500 }, 10*time.Minute, 50*time.Millisecond)
	measured.end()
	checked := newAPI(t).run(t, s.arguments("verify", "50", "--window", "5s", "--tolerance", "8")...)
	assert.Equal(t, 0, checked.code, checked)
	t.Logf("verify:\n%s", checked.out)
	keptAtAbort := start(url, 2, true, "")
	aborting := start(url, 4, false, "")
	back := newAPI(t).run(t, s.arguments("abort")...)
	require.Equal(t, 0, back.code, back)
	aborting.end()
	keptAtAbort.end()
	t.Logf("broken during abort %d of %d; on kept connections %d of %d while it was set, %d of %d during abort", aborting.broken.Load(), aborting.all.Load(), kept.broken.Load(), kept.all.Load(), keptAtAbort.broken.Load(), keptAtAbort.all.Load())
	assert.Zero(t, aborting.broken.Load()+kept.broken.Load()+keptAtAbort.broken.Load(), "%v %v %v", aborting.first.Load(), kept.first.Load(), keptAtAbort.first.Load())
}

// Prometheus judges: healthy, unhealthy with a report, and inconclusive for silence.
func TestAnalysis(t *testing.T) {
	if os.Getenv("PROMETHEUS_URL") == "" {
		t.Skip("needs bin/lab run --with prometheus")
	}
	for name, test := range map[string]struct {
		fails float64
		code  int
	}{"good": {0.002, 0}, "bad": {0.08, 1}, "all-fail": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := serving(t, "service", "analysis-"+name, test.fails)
			silent := newAPI(t).run(t, s.arguments("analyze", "--interval", "1s", "--duration", "2s")...)
			assert.Equal(t, 3, silent.code, silent)
			require.Equal(t, 0, newAPI(t).run(t, s.arguments("set", "25", "--run", "https://jenkins.example/job/app/87/")...).code)
			users := start(url, 3, false, "")
			defer users.end()
			report := os.Getenv("LAB_REPORT")
			if report == "" || name != "bad" {
				report = t.TempDir() + "/report.html"
			}
			judged := newAPI(t).run(t, s.arguments("analyze", "--interval", "3s", "--duration", "36s", "--min-requests", "100", "--max-p95-ratio", "5", "--report", report,
				"--query", "up=min(up{namespace=\"$namespace\",app=\"$deployment\"}) > bool 0")...)
			assert.Equal(t, test.code, judged.code, judged)
			t.Log(judged)
			assert.FileExists(t, report)
			several := newAPI(t).run(t, s.arguments("analyze", "--interval", "1s", "--duration", "1s", "--min-requests", "1", "--max-error-rate", "100", "--query", "many=http_requests_total")...)
			if test.fails < 0.05 {
				assert.Equal(t, 2, several.code, several)
				assert.Contains(t, several.errors, "series where one number is needed")
			}
		})
	}
}
