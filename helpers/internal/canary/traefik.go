package canary

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

var traefikServices = schema.GroupVersionResource{Group: "traefik.io", Version: "v1alpha1", Resource: "traefikservices"}

// traefikRules finds the backends of a TraefikService with weighted round robin.
// https://doc.traefik.io/traefik/reference/routing-configuration/kubernetes/crd/http/traefikservice/
func traefikRules(route Route, content map[string]any) [][]backend {
	var backends []backend
	for i, service := range items(content, "spec", "weighted", "services") {
		version := ""
		if text(service, "namespace") == "" && (text(service, "kind") == "" || text(service, "kind") == "Service") {
			version = route.version(text(service, "name"))
		}
		backends = append(backends, backend{version, number(service, "weight", 1), fmt.Sprintf("/spec/weighted/services/%d", i), "weight"})
	}
	return [][]backend{backends}
}
