//go:build lab

package canary

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const app = `apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app, part: users}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: "registry.k8s.io/pause:3.10"}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app-canary, namespace: %[1]s}
spec:
  replicas: 0
  selector: {matchLabels: {app: app-canary}}
  template:
    metadata: {labels: {app: app-canary, part: users}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: "registry.k8s.io/pause:3.10"}]
---
apiVersion: v1
kind: Service
metadata: {name: app, namespace: %[1]s}
spec: {selector: {part: users}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: app-stable, namespace: %[1]s}
spec: {selector: {app: app}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: app-canary, namespace: %[1]s}
spec: {selector: {app: app-canary}, ports: [{port: 80}]}
`

// router is one of the five, with an object as its documentation shows it, and
// with what is others': back ends, headers, filters.
type router struct {
	name     string
	stable   int
	set      []string // beside the weight
	weight   string
	manifest string
	path     string // of the object, after the namespace's
	group    string
}

var routers = map[string]router{
	"service":        {name: "service", stable: 2, weight: "25"},
	"service-shrink": {name: "service", stable: 4, weight: "50", set: []string{"--min-stable", "2", "--max-extra", "0"}},
	"gateway": {name: "gateway", stable: 2, weight: "10", group: "gateway.networking.k8s.io/v1", path: "httproutes/app", manifest: `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: app}
spec: {gatewayClassName: traefik, listeners: [{name: http, protocol: HTTP, port: 8000}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app, annotations: {team: users}}
spec:
  parentRefs: [{name: app}]
  hostnames: [%[1]s.example]
  rules:
  - matches: [{path: {type: PathPrefix, value: /old}, headers: [{name: x-old, value: "1"}]}]
    backendRefs: [{name: app, port: 80, weight: 7}]
  - matches: [{path: {type: PathPrefix, value: /}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: b}]}}]
    backendRefs:
    - {name: app-stable, port: 80, weight: 80}
    - {name: app, port: 80, weight: 20}
    - {name: app-canary, port: 80, weight: 0}
`},
	"traefik": {name: "traefik", stable: 2, weight: "10", group: "traefik.io/v1alpha1", path: "traefikservices/app", manifest: `apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: app}
spec:
  weighted:
    sticky: {cookie: {name: lvl}}
    services:
    - {name: app-stable, port: 80, weight: 100}
    - {name: app-canary, port: 80, weight: 0}
    - {name: app, port: 80, weight: 0}
`},
	"istio": {name: "istio", stable: 2, weight: "10", group: "networking.istio.io/v1beta1", path: "virtualservices/app", manifest: `apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: app}
spec:
  hosts: [app.example]
  http:
  - name: mirrored
    match: [{headers: {end-user: {exact: jason}}}]
    timeout: 5s
    mirror: {host: app}
    route:
    - destination: {host: app-stable.%[1]s.svc.cluster.local, port: {number: 80}}
      weight: 100
      headers: {request: {set: {x-version: stable}}}
    - destination: {host: app-canary, port: {number: 80}}
      weight: 0
  - route: [{destination: {host: app}}]
`},
	"ingress-nginx": {name: "ingress-nginx", stable: 2, weight: "10", group: "networking.k8s.io/v1", path: "ingresses/app-canary", manifest: `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: app, annotations: {nginx.ingress.kubernetes.io/proxy-body-size: 8m}}
spec:
  ingressClassName: nginx
  rules: [{host: app.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: app-stable, port: {number: 80}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: app-canary, annotations: {nginx.ingress.kubernetes.io/canary: "true", nginx.ingress.kubernetes.io/canary-by-header: x-canary, nginx.ingress.kubernetes.io/proxy-body-size: 8m}}
spec:
  ingressClassName: nginx
  rules: [{host: app.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: app-canary, port: {number: 80}}}}]}}]
`},
}

// site is a namespace with an application in it.
type site struct {
	router
	namespace string
}

func newSite(t *testing.T, kind, namespace string) site {
	t.Helper()
	r := routers[kind]
	if kind == "gateway" && os.Getenv("LAB_GATEWAY_URL") == "" {
		t.Skip("needs bin/lab setup traefik, and bin/lab run --with gateway")
	}
	kubectl(t, fmt.Sprintf(app, namespace, r.stable), "apply", "-f", "-")
	if r.manifest != "" {
		manifest := r.manifest
		if strings.Contains(manifest, "%[1]s") {
			manifest = fmt.Sprintf(manifest, namespace)
		}
		kubectl(t, manifest, "apply", "-n", namespace, "-f", "-")
	}
	kubectl(t, "", "rollout", "status", "-n", namespace, "deployment/app", "--timeout=3m")
	t.Cleanup(func() { kubectl(t, "", "delete", "namespace", namespace, "--wait=false") })
	return site{r, namespace}
}

func (s site) arguments(command string, more ...string) []string {
	return append([]string{command, "-n", s.namespace, "--app", "app", "--router", s.name}, more...)
}

func (s site) setArguments(run string, more ...string) []string {
	return s.arguments("set", append(append([]string{s.weight, "--run", run}, s.set...), more...)...)
}

func (s site) deployment(t *testing.T, name string) map[string]any {
	object := read(t, "/apis/apps/v1/namespaces/"+s.namespace+"/deployments/"+name)
	require.NotNil(t, object)
	return object
}

func annotations(object map[string]any) map[string]any {
	found, _ := object["metadata"].(map[string]any)["annotations"].(map[string]any)
	return found
}

func (s site) lease(t *testing.T) map[string]any {
	return read(t, "/apis/coordination.k8s.io/v1/namespaces/"+s.namespace+"/leases/slipway-app")
}

// state is everything that a canary may change, and everything that it must not.
func (s site) state(t *testing.T) string {
	t.Helper()
	own := map[string]any{}
	for _, name := range []string{"app", "app-canary"} {
		object := s.deployment(t, name)
		kept := map[string]any{}
		for key, value := range annotations(object) {
			if !strings.HasPrefix(key, "deployment.kubernetes.io/") {
				kept[key] = value
			}
		}
		own[name] = []any{object["spec"], kept}
	}
	if s.path != "" {
		object := read(t, "/apis/"+s.group+"/namespaces/"+s.namespace+"/"+s.path)
		require.NotNil(t, object)
		own["route"] = []any{object["spec"], annotations(object)}
	}
	own["lease"] = s.lease(t) != nil
	body, err := json.MarshalIndent(own, "", " ")
	require.NoError(t, err)
	return string(body)
}

// changed are the lines that differ between two states.
func changed(before, after string) []string {
	was := map[string]int{}
	for _, line := range strings.Split(before, "\n") {
		was[strings.TrimRight(line, ",")]++
	}
	var lines []string
	for _, line := range strings.Split(after, "\n") {
		line = strings.TrimRight(line, ",")
		if was[line]--; was[line] < 0 {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func (s site) mustBe(t *testing.T, before, when string) {
	t.Helper()
	assert.Equal(t, before, s.state(t), when)
}

const (
	waitFor = 60 * time.Second
	tick    = 300 * time.Millisecond
)
