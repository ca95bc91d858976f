// Package undo tests on a real API server that whatever a release does, and wherever it is
// stopped, undoing leaves no less than there was: go test -tags lab -duration 10m ./undo.
package undo
