package pipelines

import (
	"os"
	"path/filepath"
)

func runner(root string) string {
	if r := os.Getenv("SLIPWAY_RUNNER"); r != "" {
		return r
	}
	return filepath.Join(root, "tests/runner/run")
}

func recordedIn(root string) string {
	if r := os.Getenv("SLIPWAY_RECORDED"); r != "" {
		return r
	}
	return filepath.Join(root, "tests/pipelines/recorded")
}
