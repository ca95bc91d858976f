package cluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"

	"slipway.dev/slipway/tests/lab/nexus"
)

const (
	mirrorURL    = "http://" + NodeAddress + ":5000"
	registryPort = ":30051"
	registryUser = "jenkins"
)

const registryConfig = `version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
  maintenance: {readonly: {enabled: %t}}
http:
  addr: %s
`

// startMirror serves the base images, under the names that they have in the
// field, to containerd and to Kaniko: what a site without internet has in its Nexus.
func (c *Cluster) startMirror(ctx context.Context) error {
	config, err := c.write("mirror.yaml", fmt.Sprintf(registryConfig, filepath.Join(c.Cache, "images", "registry"), true, NodeAddress+":5000"))
	if err != nil {
		return err
	}
	mirror, err := c.start("mirror", c.Programs["registry"], "serve", config)
	if err != nil {
		return err
	}
	c.setenv("LAB_MIRROR", NodeAddress+":5000")
	c.setenv("LAB_PIP_INDEX_URL", "http://pypi.lab:8081/simple/")
	wheels := &http.Server{Addr: NodeAddress + ":8081", Handler: http.FileServer(http.Dir(filepath.Join(c.Cache, "images", "pypi")))}
	if err := serve(wheels); err != nil {
		return err
	}
	return mirror.until(ctx, answers(mirrorURL+"/v2/", http.DefaultClient))
}

// startRegistry starts the site's own registry, behind a front that behaves as
// Nexus does: HTTPS, and a login.
func (c *Cluster) startRegistry(ctx context.Context) error {
	const behind = "127.0.0.1:5002"
	config, err := c.write("registry.yaml", fmt.Sprintf(registryConfig, filepath.Join(c.Dir, "registry"), false, behind))
	if err != nil {
		return err
	}
	registry, err := c.start("registry", c.Programs["registry"], "serve", config)
	if err != nil {
		return err
	}
	password := rand.Text()
	front := &http.Server{Addr: "0.0.0.0" + registryPort, Handler: nexus.New(&url.URL{Scheme: "http", Host: behind}, registryUser, password)}
	if err := serveTLS(front, c.authority.path("registry.crt"), c.authority.path("registry.key")); err != nil {
		return err
	}
	login := base64.StdEncoding.EncodeToString([]byte(registryUser + ":" + password))
	auths := map[string]any{}
	for _, host := range []string{RegistryAddress, NodeAddress, "nexus.lab"} {
		auths[host+registryPort] = map[string]string{"auth": login}
	}
	docker, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		return err
	}
	if _, err := c.write("docker/config.json", string(docker)); err != nil {
		return err
	}
	c.setenv("DOCKER_CONFIG", filepath.Join(c.Dir, "docker"))
	c.setenv("LAB_REGISTRY", RegistryAddress+registryPort)
	c.setenv("LAB_REGISTRY_USER", registryUser)
	c.setenv("LAB_REGISTRY_PASSWORD", password)
	return registry.until(ctx, answers("http://"+behind+"/v2/", http.DefaultClient))
}
