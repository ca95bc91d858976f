// Package guard plays every kind of request against the policies of k8s/guard, on a real API server without nodes.
package guard
