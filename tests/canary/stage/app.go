// Package stage has an application with a stable version and a canary on the lab,
// the routes that lead to it, and the users who come by them.
package stage

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
    metadata: {labels: {app: app, part: users}, annotations: %[3]s}
    spec: %[4]s
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app-canary, namespace: %[1]s}
spec:
  replicas: 0
  selector: {matchLabels: {app: app-canary}}
  template:
    metadata: {labels: {app: app-canary, part: users}, annotations: %[3]s}
    spec: %[5]s
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other, namespace: %[1]s}
spec:
  replicas: %[7]d
  selector: {matchLabels: {app: other}}
  template:
    metadata: {labels: {app: other}}
    spec: %[6]s
---
apiVersion: v1
kind: Service
metadata: {name: app, namespace: %[1]s}
spec: {selector: {part: users}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: app-stable, namespace: %[1]s}
spec: {selector: {app: app}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: app-canary, namespace: %[1]s}
spec: {selector: {app: app-canary}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: %[1]s}
spec: {selector: {app: other}, ports: [{port: 80, targetPort: 8000}]}
`

// Pods are the specs of the three Deployments' pods: the two versions', and one
// that is none of the canary's business.
type Pods struct{ Stable, Canary, Other string }

const idle = `{terminationGracePeriodSeconds: 0, containers: [{name: c, image: "registry.k8s.io/pause:3.10"}]}`

// Idle are pods that only run.
var Idle = Pods{idle, idle, idle}

// Serving are pods that answer with their version; the variables are those of the server, by version.
func Serving(stable, canary map[string]string) Pods {
	return Pods{serving("stable", stable), serving("canary", canary), serving("other", nil)}
}

func serving(version string, variables map[string]string) string {
	environment := []any{map[string]string{"name": "VERSION", "value": version}}
	for name, value := range variables {
		environment = append(environment, map[string]string{"name": name, "value": value})
	}
	body, err := json.Marshal(map[string]any{
		"terminationGracePeriodSeconds": 15,
		"volumes": []any{map[string]any{"name": "program",
			"hostPath": map[string]string{"path": filepath.Join(Root(), "bin")}}},
		"containers": []any{map[string]any{
			"name": "c", "image": "registry.k8s.io/pause:3.10", "command": []string{"/program/canary-server"}, "env": environment,
			"ports":          []any{map[string]any{"containerPort": 8000}},
			"volumeMounts":   []any{map[string]any{"name": "program", "mountPath": "/program", "readOnly": true}},
			"resources":      map[string]any{"limits": map[string]string{"memory": "96Mi"}, "requests": map[string]string{"memory": "8Mi"}},
			"readinessProbe": map[string]any{"httpGet": map[string]any{"path": "/ready", "port": 8000}, "periodSeconds": 1},
		}},
	})
	if err != nil {
		panic(err) // texts alone always can be written
	}
	return string(body)
}

// Root is the repository, somewhere inside of which this runs; how it was built does not tell.
func Root() string {
	for dir, err := os.Getwd(); err == nil && dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "Jenkinsfile.prod")); err == nil {
			return dir
		}
	}
	return ""
}

// Prepare builds the server where the lab's node finds it.
func Prepare() error {
	command := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(Root(), "bin", "canary-server"), "./server")
	command.Dir = filepath.Join(Root(), "tests", "canary")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building the server: %w: %s", err, out)
	}
	return nil
}

// Manifest is everything of the application in its namespace, with its route.
func (r Router) Manifest(namespace string, pods Pods) string {
	annotations, others := "{}", 0
	if pods != Idle {
		others = 1
		annotations = `{prometheus.io/scrape: "true", prometheus.io/port: "8000", prometheus.io/path: /metrics}`
	}
	body := fmt.Sprintf(app, namespace, r.Stable, annotations, pods.Stable, pods.Canary, pods.Other, others)
	for _, document := range strings.Split(r.route, "\n---\n") {
		if document != "" {
			body += "---\n" + strings.ReplaceAll(strings.ReplaceAll(document, "NAMESPACE", namespace), "metadata: {",
				"metadata: {namespace: "+namespace+", ") + "\n"
		}
	}
	return body
}

// Host is what users call by a route.
func Host(namespace string) string { return namespace + ".example" }
