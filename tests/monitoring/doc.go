// Package monitoring checks what k8s/monitoring gives to Prometheus and Grafana with their own code.
package monitoring
