// Package plane is a control plane without nodes: etcd, a real API server and the
// controllers of a rollout. What a kubelet would do is done by a loop, which says of each
// pod whether it is ready. It starts in seconds, and needs no rights.
package plane

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const token = "administrator" // of a server that only this machine reaches, for as long as the test runs

// Plane is a running one.
type Plane struct {
	Server   string
	client   *http.Client
	dir      string
	programs []*exec.Cmd
	as       http.Header // who the administrator's requests are made for
}

// As is the plane as this user of these groups sees it.
func (p *Plane) As(user string, groups ...string) *Plane {
	other := *p
	other.as = http.Header{"Impersonate-User": {user}, "Impersonate-Group": append(groups, "system:authenticated")}
	return &other
}

// Start has it run until Stop; more are arguments of the API server.
func Start(ctx context.Context, dir string, more ...string) (*Plane, error) {
	p := &Plane{
		dir:    dir,
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 50}},
	}
	ports, err := free(3)
	if err != nil {
		return nil, err
	}
	etcd := "http://127.0.0.1:" + ports[0]
	p.Server = "https://127.0.0.1:" + ports[2]
	if err := p.files(); err != nil {
		return nil, err
	}
	if err := p.run("etcd", "etcd", "--data-dir", p.file("etcd"),
		"--unsafe-no-fsync", "--log-level", "error", "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", "http://127.0.0.1:"+ports[1]); err != nil {
		return p, err
	}
	if len(more) == 0 {
		more = []string{"--authorization-mode=AlwaysAllow"}
	}
	if err := p.run("kubernetes", "kube-apiserver", append([]string{"--etcd-servers=" + etcd, "--secure-port=" + ports[2],
		"--bind-address=127.0.0.1", "--cert-dir=" + p.file("certificates"),
		"--token-auth-file=" + p.file("tokens.csv"), "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + p.file("key.pem"), "--service-account-signing-key-file=" + p.file("key.pem"),
		"--service-cluster-ip-range=10.96.0.0/16",
		"--disable-admission-plugins=ServiceAccount"}, more...)...); err != nil {
		return p, err
	}
	if err := p.until(ctx, "/readyz"); err != nil {
		return p, fmt.Errorf("the API server does not start, see %s: %w", p.dir, err)
	}
	return p, p.run(
		"kubernetes",
		"kube-controller-manager",
		"--kubeconfig="+p.Kubeconfig(),
		"--leader-elect=false",
		"--secure-port=0",
		"--concurrent-deployment-syncs=20",
		"--controllers=deployment-controller,replicaset-controller,endpointslice-controller,resourcequota-controller,"+
			"garbage-collector-controller",
	)
}

// Stop ends it.
func (p *Plane) Stop() {
	for i := len(p.programs) - 1; i >= 0; i-- {
		_ = p.programs[i].Process.Kill()
		_ = p.programs[i].Wait()
	}
}

func (p *Plane) file(name string) string { return filepath.Join(p.dir, name) }

// Kubeconfig is the administrator's.
func (p *Plane) Kubeconfig() string { return p.file("kubeconfig") }

func (p *Plane) files() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	tokens := token + `,admin,admin,"system:masters"` + "\n"
	for name, body := range map[string]string{"key.pem": string(pemKey), "tokens.csv": tokens, "kubeconfig": Config(p.Server)} {
		if err := os.WriteFile(p.file(name), []byte(body), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Config is a kubeconfig for the server, or for what stands before it.
func Config(server string) string {
	return fmt.Sprintf(
		`{"apiVersion": "v1", "kind": "Config", "current-context": "plane",
"contexts": [{"name": "plane", "context": {"cluster": "plane", "user": "admin"}}],
"clusters": [{"name": "plane", "cluster": {"server": %q, "insecure-skip-tls-verify": true}}],
"users": [{"name": "admin", "user": {"token": %q}}]}`,
		server,
		token,
	)
}

// program is the path of one that make setup has built.
func program(part string) (string, error) {
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		cache = filepath.Join(os.Getenv("HOME"), ".cache")
	}
	found, err := filepath.Glob(filepath.Join(cache, "slipway-lab", "parts", part+"-*", part))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("there is no %s in %s: run make setup", part, cache)
	}
	return found[len(found)-1], nil
}

// Kubectl runs it as the administrator.
func (p *Plane) Kubectl(ctx context.Context, stdin string, arguments ...string) (string, error) {
	path, err := program("kubernetes")
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, path, arguments...)
	command.Args[0] = "kubectl" // one program with many names
	command.Env = append(os.Environ(), "KUBECONFIG="+p.Kubeconfig(), "KUBECACHEDIR="+p.file("kubectl"))
	command.Stdin = strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, out)
	}
	return string(out), err
}

// run starts one of the programs that make setup has built.
func (p *Plane) run(part, name string, arguments ...string) error {
	path, err := program(part)
	if err != nil {
		return err
	}
	log, err := os.Create(p.file(name + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	program := exec.Command(path, arguments...)
	program.Args[0] = name // one program with many names
	program.Stdout, program.Stderr = log, log
	program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := program.Start(); err != nil {
		return err
	}
	p.programs = append(p.programs, program)
	return nil
}

func (p *Plane) until(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for ticker := time.NewTicker(100 * time.Millisecond); ; {
		_, err := p.Do(ctx, http.MethodGet, path, nil)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

func free(count int) ([]string, error) {
	var ports []string
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

// open sends one request.
func (p *Plane) open(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	kind := "application/json"
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	if method == http.MethodPatch {
		kind = "application/strategic-merge-patch+json"
		if strings.Contains(path, ".io/") { // of a kind of one's own there is no strategic one
			kind = "application/merge-patch+json"
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, p.Server+path, content)
	if err != nil {
		return nil, err
	}
	if p.as != nil {
		request.Header = p.as.Clone()
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", kind)
	request.Header.Set("Accept", "application/json")
	response, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		defer response.Body.Close()
		said, _ := io.ReadAll(response.Body)
		return nil, fmt.Errorf("%s %s: %s: %.500s", method, path, response.Status, said)
	}
	return response, nil
}

// Do sends one request, and gives the object of its answer.
func (p *Plane) Do(ctx context.Context, method, path string, body any) (map[string]any, error) {
	object, _, err := p.Send(ctx, method, path, body)
	return object, err
}

// Send does the same, and gives the header of the answer, too, which holds what the API server warns of.
func (p *Plane) Send(ctx context.Context, method, path string, body any) (map[string]any, http.Header, error) {
	response, err := p.open(ctx, method, path, body)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, err
	}
	var object map[string]any
	if json.Unmarshal(said, &object) != nil {
		return nil, response.Header, nil // not an object, such as readyz's ok
	}
	return object, response.Header, nil
}
