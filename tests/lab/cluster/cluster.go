// Package cluster is a Kubernetes cluster of one node in namespaces of its own:
// the control plane, a kubelet with containerd, and the services of a site.
package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Options are what one run of the lab needs to know.
type Options struct {
	Name     string            // of the run, and of its cgroup
	Dir      string            // the run's folder
	Cache    string            // the lab's cache
	Source   string            // the lab's sources
	Programs map[string]string // the parts' paths
	With     map[string]bool   // what to start beside the cluster: registry, git, prometheus, gateway, postgres
	Command  []string
}

// Cluster is a running one.
type Cluster struct {
	Options
	logs      string
	authority *authority
	admin     string     // kubeconfig
	lock      sync.Mutex // of env and programs, which parts fill side by side
	env       []string
	programs  map[string]*process
}

const apiServer = "https://" + NodeAddress + ":6443"

// Start starts everything and comes back when the node is ready.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	if err := isolate(options.Dir); err != nil {
		return nil, err
	}
	c := &Cluster{Options: options, logs: filepath.Join(options.Dir, "logs"), programs: map[string]*process{}}
	for _, dir := range []string{"logs", "bin", "etcd", "containerd", "cni", "kubelet"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, dir), 0o755); err != nil {
			return nil, err
		}
	}
	if err := c.issueCertificates(); err != nil {
		return nil, err
	}
	if err := c.linkPrograms(); err != nil {
		return nil, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.startControlPlane(groupCtx) })
	group.Go(func() error { return c.startContainerd(groupCtx) })
	group.Go(func() error { return c.startMirror(groupCtx) })
	for name, start := range map[string]func(context.Context) error{
		"registry": c.startRegistry,
		"git":      c.startGit,
		"postgres": c.startPostgres,
	} {
		if c.With[name] {
			group.Go(func() error { return start(groupCtx) })
		}
	}
	if err := group.Wait(); err != nil {
		return c, err
	}
	group, groupCtx = errgroup.WithContext(ctx)
	group.Go(func() error { return c.pinned(groupCtx) })
	group.Go(func() error { return c.startNode(groupCtx) })
	group.Go(func() error { return c.startDNS(groupCtx) })
	group.Go(func() error { return c.provideStorage(groupCtx) })
	for name, start := range map[string]func(context.Context) error{"prometheus": c.startPrometheus, "gateway": c.startGateway} {
		if c.With[name] {
			group.Go(func() error { return start(groupCtx) })
		}
	}
	return c, group.Wait()
}

func (c *Cluster) setenv(name, value string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.env = append(c.env, name+"="+value)
}

// Environment is what a command in the lab gets beside its own.
func (c *Cluster) Environment() []string {
	path := "PATH=" + filepath.Join(c.Dir, "bin") + ":" + os.Getenv("PATH")
	own := []string{
		path,
		"KUBECONFIG=" + c.admin,
		"KUBECACHEDIR=" + filepath.Join(c.Dir, "kubectl"),
		"LAB_RUN=" + c.Dir,
		"LAB_CACHE=" + c.Cache,
		"LAB_NODE=" + NodeAddress,
		"LAB_CA=" + c.authority.path("ca.crt"),
		// In a cgroup namespace of its own a JVM may misread the limits above it.
		"JAVA_TOOL_OPTIONS=" + strings.TrimSpace(os.Getenv("JAVA_TOOL_OPTIONS")+" -XX:-UseContainerSupport"),
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	return append(own, c.env...)
}

func (c *Cluster) issueCertificates() error {
	var err error
	if c.authority, err = newAuthority(filepath.Join(c.Dir, "pki")); err != nil {
		return err
	}
	for _, client := range []struct{ name, user, group string }{
		{"admin", "admin", "system:masters"},
		{"controller-manager", "system:kube-controller-manager", ""},
		{"scheduler", "system:kube-scheduler", ""},
		{"proxy", "system:kube-proxy", ""},
		{"kubelet", "system:node:node1", "system:nodes"},
		{"dns", "coredns", "system:masters"},
		{"apiserver-kubelet", "apiserver-kubelet", "system:masters"},
	} {
		if err := c.authority.client(client.name, client.user, client.group); err != nil {
			return err
		}
		path, err := c.authority.kubeconfig(client.name, apiServer)
		if err != nil {
			return err
		}
		if client.name == "admin" {
			c.admin = path
		}
	}
	if err := c.authority.server("apiserver", NodeAddress, "10.96.0.1", "127.0.0.1", "kubernetes", "kubernetes.default",
		"kubernetes.default.svc", "kubernetes.default.svc.cluster.local"); err != nil {
		return err
	}
	if err := c.authority.server("kubelet-server", NodeAddress, "node1"); err != nil {
		return err
	}
	if err := c.authority.server("registry", RegistryAddress, NodeAddress, "127.0.0.1", "nexus.lab"); err != nil {
		return err
	}
	return c.authority.client("service-account", "service-account", "")
}

// linkPrograms puts the cluster's programs into the run's bin folder, which
// stands first in a command's PATH.
func (c *Cluster) linkPrograms() error {
	links := map[string]string{}
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"} {
		links[name] = c.Programs["kubernetes"]
	}
	for name, path := range links {
		if err := os.Symlink(path, filepath.Join(c.Dir, "bin", name)); err != nil {
			return err
		}
	}
	return nil
}

// Program is where a program of the cluster is, kubectl above all.
func (c *Cluster) Program(name string) string { return filepath.Join(c.Dir, "bin", name) }

func (c *Cluster) start(name, path string, arguments ...string) (*process, error) {
	p := &process{name: name, path: path, arguments: arguments, logs: c.logs}
	return p, c.launch(p)
}

func (c *Cluster) launch(p *process) error {
	c.lock.Lock()
	c.programs[p.name] = p
	c.lock.Unlock()
	return p.start()
}

// Stop ends the programs, the node's last; what is left dies with the namespaces.
func (c *Cluster) Stop() {
	for _, p := range c.programs {
		_ = p.signal(unix.SIGKILL)
	}
}

func (c *Cluster) api() *http.Client {
	certificate, err := tls.LoadX509KeyPair(c.authority.path("admin.crt"), c.authority.path("admin.key"))
	if err != nil {
		return http.DefaultClient
	}
	return &http.Client{Transport: &http.Transport{
		// Only asked whether it is ready: who it is does not matter yet.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate}},
	}, Timeout: 5 * time.Second}
}

func (c *Cluster) write(name, body string) (string, error) {
	path := filepath.Join(c.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	return path, nil
}
