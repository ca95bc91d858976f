// Package registry tests nexus-latest-tag, nexus-push and image-evidence as
// programs, against the real registry behind the Nexus front with its faults.
package registry

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/lab/nexus"
)

const (
	username = "jenkins"
	password = "correct horse"
)

var (
	programs string   // the folder with what is tested, and its peers
	upstream *url.URL // the real registry
	storage  string   // its folder
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil { // they wait more than they work
		panic(err)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "slipway-registry")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	programs, storage = filepath.Join(dir, "bin"), filepath.Join(dir, "storage")
	if err := build("../..", "./helpers/nexus-latest-tag", "./helpers/nexus-push", "./helpers/image-evidence"); err != nil {
		return 0, err
	}
	if os.Getenv("SLIPWAY_PEERS") != "" {
		if err := build("../bench/registry/peers", "github.com/google/go-containerregistry/cmd/crane", "github.com/regclient/regclient/cmd/regctl"); err != nil {
			return 0, err
		}
	}
	if err := provideRegistry(); err != nil {
		return 0, err
	}
	stop, err := startRegistry(dir)
	if err != nil {
		return 0, err
	}
	defer stop()
	return m.Run(), nil
}

func build(module string, packages ...string) error {
	out, err := exec.Command("go", append([]string{"build", "-C", module, "-o", programs + "/"}, packages...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("building %v: %w\n%s", packages, err, out)
	}
	return nil
}

// provideRegistry takes the registry that make setup has built for the lab, or builds it.
func provideRegistry() error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	built, err := filepath.Glob(filepath.Join(cache, "slipway-lab", "parts", "registry-*", "registry"))
	if err != nil || len(built) == 0 {
		return build("../lab/parts/registry", "github.com/distribution/distribution/v3/cmd/registry")
	}
	return os.Symlink(built[0], filepath.Join(programs, "registry"))
}

// startRegistry starts distribution, and waits until it answers.
func startRegistry(dir string) (func(), error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	listener.Close()
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage:\n  filesystem: {rootdirectory: %q}\n  delete: {enabled: true}\nhttp: {addr: %q}\n", storage, address)
	if err := os.WriteFile(filepath.Join(dir, "registry.yaml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	registry := exec.Command(filepath.Join(programs, "registry"), "serve", filepath.Join(dir, "registry.yaml"))
	registry.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	registry.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := registry.Start(); err != nil {
		return nil, err
	}
	stop := func() { _ = registry.Process.Kill(); _ = registry.Wait() }
	upstream = &url.URL{Scheme: "http", Host: address}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if response, err := http.Get(upstream.JoinPath("v2/").String()); err == nil {
			response.Body.Close()
			return stop, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	return nil, errors.New("the registry does not answer")
}

// site is the Nexus front before the registry, and how to reach it.
type site struct {
	*nexus.Front
	host string
	ca   string // the file with the authority that signed its certificate
	env  []string
}

// newSite starts a front of its own, with HTTPS and a login.
func newSite(t *testing.T) *site {
	t.Helper()
	front := nexus.New(upstream, username, password)
	s := &site{Front: front}
	server := httptest.NewUnstartedServer(front)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	certificate, authority := newCertificate(t)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "https://")
	s.ca = filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(s.ca, authority, 0o600))
	s.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "REGISTRY_USERNAME=" + username, "REGISTRY_PASSWORD=" + password}
	return s
}

func newCertificate(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "site"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// answer is what a program said.
type answer struct {
	code           int
	stdout, stderr string
	memory         int64 // the most that it held, in kB
}

func (a answer) json(t *testing.T, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.stdout), into), a.stdout)
}

// start runs a program with nothing but the given environment.
func start(t *testing.T, env []string, program string, arguments ...string) answer {
	t.Helper()
	if !strings.Contains(program, "/") {
		program = filepath.Join(programs, program)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = env
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	require.NoError(t, command.Start())
	memory := watchMemory(command.Process.Pid)
	err := command.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return answer{command.ProcessState.ExitCode(), stdout.String(), stderr.String(), memory()}
}

// watchMemory reads the most memory that a process held, in kB, until it ends. (What
// the system tells of a child holds what its parent had when it began.)
func watchMemory(pid int) func() int64 {
	var most int64
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
			var now int64
			if _, err := fmt.Sscan(string(after), &now); err == nil {
				most = max(most, now)
			}
		}
	}()
	return func() int64 { close(done); <-stopped; return most }
}

// helper runs one of the three with the site's login and authority.
func (s *site) helper(t *testing.T, program string, arguments ...string) answer {
	t.Helper()
	return start(t, s.env, program, append(arguments, "--ca-file", s.ca)...)
}
