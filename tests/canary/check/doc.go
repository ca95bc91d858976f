// Package check breaks what a site has, one thing at a time, and sees that slipway check finds that one thing and nothing else: on a
// real API server, registry and Prometheus of this machine. The database's faults are those of helpers/internal/check.
package check
