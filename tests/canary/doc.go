// Package canary tests canary-weight on the lab: go test -tags lab, inside of
// bin/lab run --with gateway,prometheus.
package canary
