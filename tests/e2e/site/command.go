package site

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Command runs a program to its end and gives its stdout; what it wrote to
// stderr becomes part of the error.
type Command struct {
	Dir   string
	Env   []string // beside this process's own
	Stdin []byte
}

// Run runs name with arguments.
func (c Command) Run(ctx context.Context, name string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir = c.Dir
	command.Env = append(os.Environ(), c.Env...)
	if c.Stdin != nil {
		command.Stdin = bytes.NewReader(c.Stdin)
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Kubectl runs kubectl as the cluster's administrator.
func Kubectl(ctx context.Context, arguments ...string) (string, error) {
	return Command{}.Run(ctx, "kubectl", arguments...)
}

// Apply applies a manifest.
func Apply(ctx context.Context, manifest string, arguments ...string) error {
	_, err := Command{Stdin: []byte(manifest)}.Run(ctx, "kubectl", append(append([]string{"apply"}, arguments...), "-f", "-")...)
	return err
}

// Get reads one object.
func Get(ctx context.Context, object any, arguments ...string) error {
	out, err := Kubectl(ctx, append(append([]string{"get"}, arguments...), "-o", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), object); err != nil {
		return fmt.Errorf("reading what kubectl get %s answered: %w", strings.Join(arguments, " "), err)
	}
	return nil
}
