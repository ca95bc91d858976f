package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

func (c *Cluster) startControlPlane(ctx context.Context) error {
	if _, err := c.start("etcd", c.Programs["etcd"],
		"--data-dir", filepath.Join(c.Dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379",
		"--listen-peer-urls", "http://127.0.0.1:2380"); err != nil {
		return err
	}
	pki := c.authority.path
	apiserver, err := c.start("apiserver", c.Program("kube-apiserver"),
		"--etcd-servers=http://127.0.0.1:2379",
		"--secure-port=6443", "--bind-address=0.0.0.0", "--advertise-address="+NodeAddress,
		"--cert-dir="+filepath.Join(c.Dir, "pki"),
		"--tls-cert-file="+pki("apiserver.crt"), "--tls-private-key-file="+pki("apiserver.key"),
		"--client-ca-file="+pki("ca.crt"),
		"--kubelet-client-certificate="+pki("apiserver-kubelet.crt"), "--kubelet-client-key="+pki("apiserver-kubelet.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--authorization-mode=Node,RBAC", "--anonymous-auth=false", "--enable-admission-plugins=NodeRestriction",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+pki("service-account.key"), "--service-account-signing-key-file="+pki("service-account.key"),
		"--service-cluster-ip-range="+serviceNetwork, "--allow-privileged=true", "--event-ttl=2h")
	if err != nil {
		return err
	}
	if err := apiserver.until(ctx, c.ready("/readyz")); err != nil {
		return err
	}
	if _, err := c.start("controller-manager", c.Program("kube-controller-manager"),
		"--kubeconfig="+pki("controller-manager.kubeconfig"), "--leader-elect=false", "--use-service-account-credentials=true",
		"--service-account-private-key-file="+pki("service-account.key"), "--root-ca-file="+pki("ca.crt"),
		"--allocate-node-cidrs=true", "--cluster-cidr="+podNetwork, "--secure-port=0"); err != nil {
		return err
	}
	_, err = c.start("scheduler", c.Program("kube-scheduler"),
		"--kubeconfig="+pki("scheduler.kubeconfig"), "--leader-elect=false", "--secure-port=0")
	return err
}

func (c *Cluster) ready(path string) func(context.Context) error {
	client := c.api()
	return func(ctx context.Context) error {
		_, err := get(ctx, client, apiServer+path)
		return err
	}
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: %.200s", url, response.Status, body)
	}
	return body, nil
}

// waitForCluster waits for what every namespace needs before pods can start in it.
func (c *Cluster) waitForCluster(ctx context.Context, kubelet *process) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, path := range []string{"/api/v1/namespaces/default/serviceaccounts/default",
		"/api/v1/namespaces/default/configmaps/kube-root-ca.crt"} {
		group.Go(func() error { return kubelet.until(ctx, c.ready(path)) })
	}
	group.Go(func() error { return kubelet.until(ctx, c.nodeReady()) })
	return group.Wait()
}
