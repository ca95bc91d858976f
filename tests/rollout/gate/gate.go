// Package gate stands between a client and the API server: it counts what the
// client asks and gets, and lets what was asked for go wrong.
package gate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/yaml"
)

// Gate is one such way to the API server.
type Gate struct {
	Requests, Bytes atomic.Int64
	listener        net.Listener
	server          *http.Server

	lock        sync.Mutex
	fault       func(http.ResponseWriter, *http.Request) bool
	between     func(next http.RoundTripper, r *http.Request) (*http.Response, error)
	connections map[net.Conn]bool
	watches     map[*counting]bool // those that the API server has granted and that are open
	granted     chan struct{}      // closed when there is one more
	Asked       []string           // METHOD path of each request
}

// Open makes a gate before the API server of the kubeconfig.
func Open(kubeconfig string) (*Gate, error) {
	server, transport, err := Connection(kubeconfig)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &Gate{listener: listener, connections: map[net.Conn]bool{}, watches: map[*counting]bool{}, granted: make(chan struct{})}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(server) },
		Transport:     &asking{transport, g},
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			// As if nobody had answered.
			if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = connection.Close()
			}
		},
	}
	g.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.Requests.Add(1)
		g.lock.Lock()
		g.Asked = append(g.Asked, r.Method+" "+r.URL.RequestURI())
		fault := g.fault
		g.lock.Unlock()
		if fault != nil && fault(w, r) {
			return
		}
		answer := &counting{ResponseWriter: w, bytes: &g.Bytes}
		if IsWatch(r) {
			answer.granted = func() { g.opened(answer) }
			defer g.closed(answer)
		}
		proxy.ServeHTTP(answer, r)
	})}
	go func() { _ = g.server.Serve(&holding{Listener: listener, gate: g}) }()
	return g, nil
}

// IsWatch tells a watch from the other requests.
func IsWatch(r *http.Request) bool { return r.URL.Query().Get("watch") != "" }

func (g *Gate) opened(watch *counting) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.watches[watch] = true
	close(g.granted)
	g.granted = make(chan struct{})
}

func (g *Gate) closed(watch *counting) {
	g.lock.Lock()
	defer g.lock.Unlock()
	delete(g.watches, watch)
}

// Watching waits until so many watches are open at once.
func (g *Gate) Watching(ctx context.Context, count int) error {
	for {
		g.lock.Lock()
		open, granted := len(g.watches), g.granted
		g.lock.Unlock()
		if open >= count {
			return nil
		}
		select {
		case <-granted:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d watches are open: %w", open, count, ctx.Err())
		}
	}
}

// Fault asks before each request; what answers true has answered the request itself. Nil ends it.
func (g *Gate) Fault(fault func(http.ResponseWriter, *http.Request) bool) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.fault = fault
}

// Between asks in the API server's place; next asks it. Nil ends it.
func (g *Gate) Between(between func(next http.RoundTripper, r *http.Request) (*http.Response, error)) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.between = between
}

// asking is how the gate asks the API server.
type asking struct {
	http.RoundTripper
	gate *Gate
}

func (a *asking) RoundTrip(r *http.Request) (*http.Response, error) {
	a.gate.lock.Lock()
	between := a.gate.between
	a.gate.lock.Unlock()
	if between != nil {
		return between(a.RoundTripper, r)
	}
	return a.RoundTripper.RoundTrip(r)
}

// Close ends it.
func (g *Gate) Close() { _ = g.server.Close() }

// Address is where it is asked.
func (g *Gate) Address() string { return "http://" + g.listener.Addr().String() }

// Kubeconfig writes one that leads through the gate; as impersonates that user, if it is not empty.
func (g *Gate) Kubeconfig(dir, as string) (string, error) {
	user := map[string]any{}
	if as != "" {
		user["as"] = as
	}
	body, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "gate",
		"clusters": []any{map[string]any{"name": "gate", "cluster": map[string]any{"server": g.Address()}}},
		"users":    []any{map[string]any{"name": "gate", "user": user}},
		"contexts": []any{map[string]any{"name": "gate", "context": map[string]any{"cluster": "gate", "user": "gate"}}},
	})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gate.kubeconfig")
	return path, os.WriteFile(path, body, 0o600)
}

// Drop cuts all connections that there are.
func (g *Gate) Drop() {
	g.lock.Lock()
	defer g.lock.Unlock()
	clear(g.watches)
	for connection := range g.connections {
		_ = connection.Close()
		delete(g.connections, connection)
	}
}

// holding remembers the connections, to cut them.
type holding struct {
	net.Listener
	gate *Gate
}

func (h *holding) Accept() (net.Conn, error) {
	connection, err := h.Listener.Accept()
	if err == nil {
		h.gate.lock.Lock()
		h.gate.connections[connection] = true
		h.gate.lock.Unlock()
	}
	return connection, err
}

// counting counts what is answered, and says when the answer of a watch has begun.
type counting struct {
	http.ResponseWriter
	bytes   *atomic.Int64
	granted func() // nil where nobody asks
}

func (c *counting) WriteHeader(status int) {
	c.ResponseWriter.WriteHeader(status)
	if c.granted != nil && status == http.StatusOK {
		c.granted()
	}
}

func (c *counting) Write(body []byte) (int, error) {
	n, err := c.ResponseWriter.Write(body)
	c.bytes.Add(int64(n))
	return n, err
}

func (c *counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Connection reads the admin's address and certificates out of a kubeconfig.
func Connection(path string) (*url.URL, *http.Transport, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				File   string `json:"certificate-authority"`
				Data   string `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				CertificateFile string `json:"client-certificate"`
				KeyFile         string `json:"client-key"`
				CertificateData string `json:"client-certificate-data"`
				KeyData         string `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal(body, &config); err != nil {
		return nil, nil, err
	}
	if len(config.Clusters) == 0 || len(config.Users) == 0 {
		return nil, nil, fmt.Errorf("%s names no cluster or no user", path)
	}
	cluster, user := config.Clusters[0].Cluster, config.Users[0].User
	address, err := url.Parse(cluster.Server)
	if err != nil {
		return nil, nil, err
	}
	authority, err := fileOr(cluster.File, cluster.Data)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := fileOr(user.CertificateFile, user.CertificateData)
	if err != nil {
		return nil, nil, err
	}
	key, err := fileOr(user.KeyFile, user.KeyData)
	if err != nil {
		return nil, nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return address, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}},
		MaxIdleConnsPerHost: 20}, nil
}

func fileOr(file, data string) ([]byte, error) {
	if file != "" {
		return os.ReadFile(file)
	}
	body, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate of the kubeconfig: %w", err)
	}
	return body, nil
}
