// Package kube connects a helper to the cluster that it was told of, and says
// what the API server refused in words that a person can act on.
package kube

import (
	"fmt"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Flags choose the cluster and the namespace, as kubectl's of the same names do.
var Flags = []cli.Flag{
	&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, EnvVars: []string{"SLIPWAY_NAMESPACE"},
		Usage: "the `NAMESPACE`; without it that of the kubeconfig's context, or of the pod"},
	&cli.StringFlag{Name: "kubeconfig", EnvVars: []string{"KUBECONFIG"},
		Usage: "the kubeconfig `FILE`; without it the pod's own service account"},
	&cli.StringFlag{Name: "context", EnvVars: []string{"SLIPWAY_KUBE_CONTEXT"},
		Usage: "the kubeconfig's `CONTEXT`; without it the current one"},
}

// Cluster is a connection. Nothing is sent before its first use.
type Cluster struct {
	Config    *rest.Config
	Namespace string
	http      *http.Client
	clock     *clock
}

// Connect reads the flags of Flags. What is wrong with them, or with the
// kubeconfig, is a usage error.
func Connect(c *cli.Context) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if files := filepath.SplitList(c.String("kubeconfig")); len(files) == 1 {
		rules.ExplicitPath = files[0] // unlike a list of files, one that is missing is then an error
	}
	overrides := &clientcmd.ConfigOverrides{CurrentContext: c.String("context")}
	overrides.Context.Namespace = c.String("namespace")
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, slipway.Usagef("no cluster to talk to").Because(err).
			Next("set KUBECONFIG or --kubeconfig; in a pod, give it a service account")
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, slipway.Usagef("no namespace to work in").Because(err).Next("name it with --namespace")
	}
	return New(config, namespace, c.App.Name)
}

// New makes a Cluster of a configuration; userAgent names the helper in the API server's audit log.
func New(config *rest.Config, namespace, userAgent string) (*Cluster, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = fmt.Sprintf("slipway-%s/%s", userAgent, slipway.Version().Version)
	// The API server's own priority and fairness limits a client; a helper's few requests need no second limit.
	config.QPS = -1
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, slipway.Usagef("the cluster's configuration cannot be used").Because(err)
	}
	clock := &clock{inner: client.Transport}
	client.Transport = clock
	return &Cluster{Config: config, Namespace: namespace, http: client, clock: clock}, nil
}

// Now is the API server's time, by the Date of its last answer, to the second;
// before the first answer it is this machine's. What is written for other
// machines to compare goes by it, so that a wrong clock here does no harm.
func (c *Cluster) Now() time.Time {
	return time.Now().Add(time.Duration(c.clock.ahead.Load()))
}

// clock notes by how much the server is ahead of this machine.
type clock struct {
	inner http.RoundTripper
	ahead atomic.Int64 // nanoseconds
}

func (c *clock) RoundTrip(request *http.Request) (*http.Response, error) {
	sent := time.Now()
	response, err := c.inner.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if date, parseErr := http.ParseTime(response.Header.Get("Date")); parseErr == nil {
		c.ahead.Store(int64(estimate(time.Duration(c.ahead.Load()), date, sent, time.Now())))
	}
	return response, nil
}

// estimate is by how much the server is ahead that wrote this date, to the second,
// between the two times of this machine. The former estimate stays where it fits:
// an answer that was late says nothing against it.
func estimate(former time.Duration, date, sent, received time.Time) time.Duration {
	return min(max(former, date.Sub(received)), date.Add(time.Second).Sub(sent))
}

// Dynamic gives any other kind, unstructured.
func (c *Cluster) Dynamic() *dynamic.DynamicClient {
	return must(dynamic.NewForConfigAndClient(c.Config, c.http))
}

// Metadata gives the metadata of any kind, and nothing else of it.
func (c *Cluster) Metadata() metadata.Interface {
	return must(metadata.NewForConfigAndClient(c.Config, c.http))
}

// must holds because New has already made an HTTP client of the same configuration.
func must[T any](client T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("a configuration that New accepted was refused: %v", err))
	}
	return client
}
