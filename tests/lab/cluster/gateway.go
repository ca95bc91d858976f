package cluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const gatewayClass = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: traefik}
spec: {controllerName: traefik.io/gateway-controller}
`

// Without allowEmptyServices a TraefikService is dropped as a whole as soon as one
// of its Services has no ready pod, such as a canary's that is at 0.
const traefikConfig = `entryPoints:
  web: {address: "%s:8000"}
  traefik: {address: "127.0.0.1:8899"}
providers:
  kubernetesGateway: {}
  kubernetesCRD: {allowEmptyServices: true}
ping: {}
global: {checkNewVersion: false, sendAnonymousUsage: false}
log: {level: INFO}
`

// startGateway starts Traefik as a Gateway API controller on the node.
func (c *Cluster) startGateway(ctx context.Context) error {
	definitions, err := c.moduleDir(ctx, "sigs.k8s.io/gateway-api")
	if err != nil {
		return err
	}
	if err := c.kubectl(ctx, "", "create", "-f", filepath.Join(definitions, "config/crd/standard")); err != nil {
		return fmt.Errorf("the Gateway API's definitions: %w", err)
	}
	if err := c.kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=30s", "crd/gatewayclasses.gateway.networking.k8s.io",
		"crd/httproutes.gateway.networking.k8s.io", "crd/gateways.gateway.networking.k8s.io"); err != nil {
		return err
	}
	traefik, err := c.moduleDir(ctx, "github.com/traefik/traefik/v3")
	if err != nil {
		return err
	}
	if err := c.kubectl(ctx, "", "create", "-f",
		filepath.Join(traefik, "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml")); err != nil {
		return fmt.Errorf("the definitions of Traefik's own: %w", err)
	}
	if err := c.kubectl(ctx, gatewayClass, "create", "-f", "-"); err != nil {
		return err
	}
	config, err := c.write("traefik.yaml", fmt.Sprintf(traefikConfig, NodeAddress))
	if err != nil {
		return err
	}
	p := &process{name: "traefik", path: c.Programs["traefik"], arguments: []string{"--configFile=" + config},
		env: []string{"KUBECONFIG=" + c.admin}, logs: c.logs}
	if err := c.launch(p); err != nil {
		return err
	}
	c.setenv("LAB_GATEWAY_URL", "http://"+NodeAddress+":8000")
	return p.until(ctx, answers("http://127.0.0.1:8899/ping", http.DefaultClient))
}

// moduleDir is where Go keeps a module that Traefik's part needs anyway.
func (c *Cluster) moduleDir(ctx context.Context, module string) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module)
	list.Dir = filepath.Join(c.Source, "parts", "traefik")
	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("finding the module %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func (c *Cluster) kubectl(ctx context.Context, stdin string, arguments ...string) error {
	command := exec.CommandContext(ctx, c.Program("kubectl"), append([]string{"--kubeconfig", c.admin}, arguments...)...)
	command.Env = append(os.Environ(), c.Environment()...)
	command.Stdin = strings.NewReader(stdin)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", arguments[0], err, out)
	}
	return nil
}
