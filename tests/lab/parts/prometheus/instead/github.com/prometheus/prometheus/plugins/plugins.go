// Package plugins has the one service discovery that the lab uses; the others' clients
// of clouds are half of what Prometheus is built from.
package plugins

import _ "github.com/prometheus/prometheus/discovery/kubernetes" // by which pods are found
