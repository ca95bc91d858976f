package scenes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Kubectl runs kubectl with what stdin gives.
func Kubectl(ctx context.Context, stdin string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "kubectl", arguments...)
	command.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, out.String())
	}
	return out.String(), nil
}

// Prepare lets the node ask the registry that is away itself, and not the lab's mirror.
func Prepare() error {
	dir := filepath.Join(os.Getenv("LAB_RUN"), "hosts.d", Away)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	address := "http://127.0.0.1:5999"
	return os.WriteFile(filepath.Join(dir, "hosts.toml"), fmt.Appendf(nil, "server = %q\n[host.%q]\n", address, address), 0o644)
}

// Set makes the scene's namespace and applies what it says.
func (s Scene) Set(ctx context.Context, namespace string) error {
	labels := ""
	if s.Code == "POD_SECURITY" {
		labels = ", labels: {pod-security.kubernetes.io/enforce: baseline}"
	}
	if _, err := Kubectl(ctx, fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s%s}}", namespace, labels), "create", "-f",
		"-"); err != nil {
		return err
	}
	if s.Code == "ADMISSION_POLICY" {
		if err := refused(ctx, namespace); err != nil {
			return err
		}
	}
	_, err := Kubectl(ctx, s.Manifest, "apply", "-n", namespace, "-f", "-")
	return err
}

// refused puts the policy in force, which takes the API server some moments.
func refused(ctx context.Context, namespace string) error {
	if _, err := Kubectl(ctx, Policy, "apply", "-f", "-"); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if _, err := Kubectl(ctx, "", "run", "-n", namespace, "probe", "--image=tool:1", "--dry-run=server"); err != nil &&
			strings.Contains(err.Error(), "no pods today") {
			return nil
		}
	}
	return errors.New("the admission policy did not come into force within a minute")
}
