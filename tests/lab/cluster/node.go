package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
)

// The configuration of containerd: restrict_oom_score_adj because root may lack
// CAP_SYS_RESOURCE, and registries by folder, so that images keep the field's names.
const containerdConfig = `version = 2
root = %q
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
restrict_oom_score_adj = true
disable_apparmor = true
sandbox_image = "registry.k8s.io/pause:3.10"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = %q
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = %q
`

const cniConfig = `{"cniVersion": "0.4.0", "name": "lab", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true, "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "10.244.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
`

// No image is collected: those of pins.yaml could not be pulled again by their names.
// Secrets come by TTL cache: by watch, the kubelet waits a second for the first one of a
// namespace, which is not enough for a busy machine, and then pulls without it.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %q}}
authorization: {mode: Webhook}
tlsCertFile: %q
tlsPrivateKeyFile: %q
cgroupDriver: cgroupfs
cgroupRoot: /%s
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDNS: [%s]
clusterDomain: cluster.local
resolvConf: /etc/resolv.conf
serializeImagePulls: false
maxParallelImagePulls: 4
maxPods: 400
imageGCHighThresholdPercent: 100
configMapAndSecretChangeDetectionStrategy: Cache
evictionHard: {memory.available: 100Mi, nodefs.available: 1%%, imagefs.available: 1%%}
enforceNodeAllocatable: []
`

const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: 10.244.0.0/16
hostnameOverride: node1
clientConnection: {kubeconfig: %q}
conntrack: {maxPerCore: 0}
nftables: {minSyncPeriod: 100ms, syncPeriod: 30s}
`

func (c *Cluster) startContainerd(ctx context.Context) error {
	config, err := c.write("containerd.toml", fmt.Sprintf(containerdConfig,
		filepath.Join(c.Dir, "containerd"), filepath.Join(c.Dir, "cni"), filepath.Join(c.Dir, "hosts.d")))
	if err != nil {
		return err
	}
	if _, err := c.write("cni/10-lab.conflist", cniConfig); err != nil {
		return err
	}
	// Every image name of the world outside leads to the mirror; the site's own
	// registry is asked itself, with its certificate checked.
	if _, err := c.write("hosts.d/_default/hosts.toml",
		fmt.Sprintf("server = %q\n[host.%q]\ncapabilities = [\"pull\", \"resolve\"]\n", mirrorURL, mirrorURL)); err != nil {
		return err
	}
	for _, address := range []string{RegistryAddress, NodeAddress, "nexus.lab"} {
		host := address + registryPort
		body := fmt.Sprintf("server = %q\n[host.%q]\nca = %q\n", "https://"+host, "https://"+host, c.authority.path("ca.crt"))
		if _, err := c.write("hosts.d/"+host+"/hosts.toml", body); err != nil {
			return err
		}
	}
	// What runc writes for each exec goes with the namespace, also where the exec is cut off.
	containerd := &process{name: "containerd", path: "/usr/bin/containerd", arguments: []string{"--config", config},
		env: []string{"XDG_RUNTIME_DIR=/run"}, logs: c.logs}
	if err := c.launch(containerd); err != nil {
		return err
	}
	return containerd.until(ctx, listens("unix", "/run/containerd/containerd.sock"))
}

func (c *Cluster) startNode(ctx context.Context) error {
	pki := c.authority.path
	config, err := c.write("kubelet.yaml",
		fmt.Sprintf(kubeletConfig, pki("ca.crt"), pki("kubelet-server.crt"), pki("kubelet-server.key"), c.Name, NodeAddress))
	if err != nil {
		return err
	}
	proxy, err := c.write("proxy.yaml", fmt.Sprintf(proxyConfig, pki("proxy.kubeconfig")))
	if err != nil {
		return err
	}
	kubelet, err := c.start("kubelet", c.Program("kubelet"), "--config="+config, "--kubeconfig="+pki("kubelet.kubeconfig"),
		"--root-dir="+filepath.Join(c.Dir, "kubelet"), "--hostname-override=node1", "--node-ip="+NodeAddress)
	if err != nil {
		return err
	}
	if _, err := c.start("proxy", c.Program("kube-proxy"), "--config="+proxy); err != nil {
		return err
	}
	return c.waitForCluster(ctx, kubelet)
}

func (c *Cluster) nodeReady() func(context.Context) error {
	client := c.api()
	return func(ctx context.Context) error {
		body, err := get(ctx, client, apiServer+"/api/v1/nodes/node1")
		if err != nil {
			return err
		}
		var node struct {
			Spec struct {
				Taints []struct{ Key string }
			}
			Status struct {
				Conditions []struct{ Type, Status, Message string }
			}
		}
		if err := json.Unmarshal(body, &node); err != nil {
			return err
		}
		if len(node.Spec.Taints) > 0 {
			return fmt.Errorf("the node has the taint %s", node.Spec.Taints[0].Key)
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == "Ready" && condition.Status == "True" {
				return nil
			} else if condition.Type == "Ready" {
				return fmt.Errorf("the node is not ready: %s", condition.Message)
			}
		}
		return fmt.Errorf("the node has not said that it is ready")
	}
}

const corefile = `.:53 {
  bind %s
  hosts {
    %s git.lab nexus.lab pypi.lab prometheus.lab
    fallthrough
  }
  kubernetes cluster.local in-addr.arpa {
    kubeconfig %s
    ttl 0
  }
  errors
}
`

func (c *Cluster) startDNS(ctx context.Context) error {
	config, err := c.write("Corefile", fmt.Sprintf(corefile, NodeAddress, NodeAddress, c.authority.path("dns.kubeconfig")))
	if err != nil {
		return err
	}
	dns, err := c.start("coredns", c.Programs["coredns"], "-conf", config)
	if err != nil {
		return err
	}
	return dns.until(ctx, listens("tcp", NodeAddress+":53"))
}
