package site

import (
	"context"
	"os"
	"path/filepath"

	"slipway.dev/slipway/tests/pipelines/runner"
)

// Adopted is a site that was made by the README's commands: only what stands in for Jenkins, and the library in git, are added.
func Adopted(ctx context.Context, root, dir, agentImage string) (*Site, error) {
	s := &Site{Root: root, Dir: dir, Registry: os.Getenv("LAB_REGISTRY"), AgentImage: agentImage, passwords: map[string]map[string]string{},
		tokens: map[string]string{}, processes: &runner.Processes{Program: filepath.Join(root, "tests/runner/run")}}
	for _, namespace := range s.all() {
		password, err := Kubectl(ctx, "get", "secret/postgres-roles", "-n", namespace, "-o", "go-template={{.data.owner | base64decode}}")
		if err != nil {
			return nil, err
		}
		s.passwords[namespace] = map[string]string{"owner": password}
	}
	if err := s.controller(ctx); err != nil {
		return nil, err
	}
	return s, s.library(ctx)
}
