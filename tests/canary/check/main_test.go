//go:build lab

package check

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"slipway.dev/slipway/tests/canary/plane"
)

var (
	server   *plane.Plane
	registry *front
	second   atomic.Int64 // the status with which the second target of Prometheus answers
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "check")
		if err == nil {
			defer os.RemoveAll(dir)
			server, err = plane.Start(context.Background(), dir, "--authorization-mode=RBAC")
			if server != nil {
				defer server.Stop()
			}
		}
		var stop func()
		if err == nil {
			server.Kubelet(context.Background(), func(plane.Pod) bool { return true })
			stop, err = beside(dir)
			defer stop()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// beside starts the registry and Prometheus, and makes the environment of a person.
func beside(dir string) (stop func(), err error) {
	var programs []*exec.Cmd
	stop = func() {
		for _, program := range programs {
			_ = program.Process.Kill()
			_ = program.Wait()
		}
	}
	begin := func(part string, arguments ...string) error {
		path, err := built(part)
		if err != nil {
			return err
		}
		program := exec.Command(path, arguments...)
		program.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
		program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		programs = append(programs, program)
		return program.Start()
	}
	behind, address := free(), free()
	second.Store(http.StatusOK)
	files := map[string]string{
		"registry.yaml": fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\n"+
			"http: {addr: %q}\n", filepath.Join(dir, "registry"), behind),
		"prometheus.yaml": fmt.Sprintf("global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs:\n- job_name: pods\n  "+
			"static_configs: [{targets: [%q, %q], labels: {namespace: prod, app: shop}}]\n", target(healthy, nil), target("", &second)),
	}
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			return stop, err
		}
	}
	if err := begin("registry", "serve", filepath.Join(dir, "registry.yaml")); err != nil {
		return stop, err
	}
	if err := begin("prometheus", "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--log.level=error",
		"--storage.tsdb.path="+filepath.Join(dir, "series"), "--web.listen-address="+address); err != nil {
		return stop, err
	}
	registry = newFront(behind)
	authority := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(authority, registry.authority(), 0o600); err != nil {
		return stop, err
	}
	kubectl, err := built("kubernetes")
	if err != nil {
		return stop, err
	}
	if err := os.Symlink(kubectl, filepath.Join(dir, "kubectl")); err != nil {
		return stop, err
	}
	given = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "KUBECONFIG=" + server.Kubeconfig(), "HOME=" + dir, "NO_COLOR=1",
		"LAB_CA=" + authority, "LAB_REGISTRY=" + registry.host, "SLIPWAY_CA_FILE=" + authority,
		"SLIPWAY_REPOSITORY=" + registry.host + "/shop", "SLIPWAY_QUARANTINE=" + registry.host + "/quarantine",
		"REGISTRY_USERNAME=builder", "REGISTRY_PASSWORD=" + password, "SLIPWAY_APP=shop", "PROMETHEUS_URL=http://" + address,
		"IMAGE=" + filepath.Join(dir, "image.tar"), "DATABASE_URL=", "PGHOST=", "PGSERVICE="}
	if err := os.WriteFile(filepath.Join(dir, "image.tar"), layout(), 0o600); err != nil {
		return stop, err
	}
	for _, address := range []string{"http://" + behind + "/v2/", "http://" + address + "/-/ready"} {
		if err := answers(address); err != nil {
			return stop, err
		}
	}
	return stop, nil
}

// built is one of the programs that make setup has built.
func built(part string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(cache, "slipway-lab", "parts", part+"-*", part))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("there is no %s in %s: run make setup", part, cache)
	}
	return found[len(found)-1], nil
}

func free() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func answers(address string) error {
	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(50 * time.Millisecond); time.Now().Before(deadline); <-tick.C {
		response, err := http.Get(address)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("%s does not answer", address)
}

// healthy is what the pods of a service without faults tell.
const healthy = `http_requests_total{status="200"} 41
http_request_duration_seconds_bucket{le="+Inf"} 41
`

// target answers Prometheus in the place of a pod.
func target(body string, status *atomic.Int64) string {
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		if status != nil {
			w.WriteHeader(int(status.Load()))
		}
		_, _ = w.Write([]byte(body))
	}))
	return strings.TrimPrefix(listening.URL, "http://")
}

// layout is the smallest image that there is, as an OCI layout in a tar.
func layout() []byte {
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	add := func(name string, body []byte) {
		_ = archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body))})
		_, _ = archive.Write(body)
	}
	blob := func(mediaType string, body []byte) string {
		sum := fmt.Sprintf("%x", sha256.Sum256(body))
		add("blobs/sha256/"+sum, body)
		return fmt.Sprintf(`{"mediaType":%q,"digest":"sha256:%s","size":%d}`, mediaType, sum, len(body))
	}
	config := blob("application/vnd.oci.image.config.v1+json",
		[]byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}`))
	manifest := blob("application/vnd.oci.image.manifest.v1+json",
		[]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":`+config+`,"layers":[]}`))
	add("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	add("index.json", []byte(`{"schemaVersion":2,"manifests":[`+manifest+`]}`))
	_ = archive.Close()
	return out.Bytes()
}

const password = "a password of this test"

// front gives the real registry TLS, and logins with rights: builder may all, nodes may pull.
type front struct {
	*httptest.Server
	host   string
	gone   atomic.Bool  // it breaks every connection
	refuse atomic.Value // func(user string, r *http.Request) bool: what is refused beside that
}

func newFront(behind string) *front {
	f := &front{}
	f.refuse.Store(func(string, *http.Request) bool { return false })
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: behind})
		r.Out.Host = r.In.Host
		r.Out.Header.Del("Authorization")
		r.Out.Header.Set("X-Forwarded-Proto", "https")
	}}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.gone.Load() {
			panic(http.ErrAbortHandler)
		}
		user, given, _ := r.BasicAuth()
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case given != password || user != "builder" && user != "nodes":
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
		case !reads && user == "nodes", f.refuse.Load().(func(string, *http.Request) bool)(user, r):
			w.WriteHeader(http.StatusForbidden)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	f.Config.ErrorLog = log.New(nothing{}, "", 0)
	f.host = strings.TrimPrefix(f.URL, "https://")
	return f
}

type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }

// authority is the front's certificate, which is its own authority.
func (f *front) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
}
