// Package slipway holds the files of this repository that a program carries: what a site applies, what its pods run, and which
// versions that was tested with.
package slipway

import "embed"

// Files are k8s/site, k8s/guard, resources/slipway and pins.yaml.
//
//go:embed k8s/site k8s/guard resources/slipway pins.yaml
var Files embed.FS
