package stage

// Router is one of the five, with an object as its documentation shows it, and
// with what is others': back ends, headers, filters.
type Router struct {
	Name   string
	Stable int      // replicas
	Weight string   // that a test asks for
	Set    []string // beside the weight
	Group  string   // of the object
	Path   string   // of the object, after the namespace's
	route  string
}

// Routers are the five by name; service has a second one, where stable shrinks.
var Routers = map[string]Router{
	"service":        {Name: "service", Stable: 2, Weight: "25"},
	"service-shrink": {Name: "service", Stable: 4, Weight: "50", Set: []string{"--min-stable", "2", "--max-extra", "0"}},
	"gateway": {Name: "gateway", Stable: 2, Weight: "10", Group: "gateway.networking.k8s.io/v1", Path: "httproutes/app", route: `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: app}
spec: {gatewayClassName: traefik, listeners: [{name: http, protocol: HTTP, port: 8000}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app, annotations: {team: users}}
spec:
  parentRefs: [{name: app}]
  hostnames: [NAMESPACE.example]
  rules:
  - matches: [{path: {type: PathPrefix, value: /old}, headers: [{name: x-old, value: "1"}]}]
    backendRefs: [{name: app, port: 80, weight: 7}]
  - matches: [{path: {type: PathPrefix, value: /}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: b}]}}]
    backendRefs:
    - {name: app-stable, port: 80, weight: 80}
    - {name: other, port: 80, weight: 20}
    - {name: app-canary, port: 80, weight: 0}
`},
	"traefik": {Name: "traefik", Stable: 2, Weight: "10", Group: "traefik.io/v1alpha1", Path: "traefikservices/app", route: `apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: app}
spec:
  weighted:
    sticky: {cookie: {name: lvl}}
    services:
    - {name: app-stable, port: 80, weight: 80}
    - {name: app-canary, port: 80, weight: 0}
    - {name: other, port: 80, weight: 20}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: app}
spec:
  entryPoints: [web]
  routes: [{kind: Rule, match: 'Host("NAMESPACE.example")', services: [{name: app, kind: TraefikService}]}]
`},
	"istio": {Name: "istio", Stable: 2, Weight: "10", Group: "networking.istio.io/v1beta1", Path: "virtualservices/app", route: `apiVersion: networking.istio.io/v1beta1
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
    - destination: {host: app-stable.NAMESPACE.svc.cluster.local, port: {number: 80}}
      weight: 100
      headers: {request: {set: {x-version: stable}}}
    - destination: {host: app-canary, port: {number: 80}}
      weight: 0
  - route: [{destination: {host: app}}]
`},
	"ingress-nginx": {Name: "ingress-nginx", Stable: 2, Weight: "10", Group: "networking.k8s.io/v1", Path: "ingresses/app-canary", route: `apiVersion: networking.k8s.io/v1
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
