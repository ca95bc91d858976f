//go:build lab

package canary

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"slipway.dev/slipway/tests/canary/stage"
)

// definitions of the routes that the lab has no controller for are those that
// their projects publish as Go modules.
var definitions = []struct{ resource, module, file string }{
	{"virtualservices.networking.istio.io", "istio.io/api@v1.31.4", "kubernetes/customresourcedefinitions.gen.yaml"},
	{
		"traefikservices.traefik.io",
		"github.com/traefik/traefik/v3@v3.6.12",
		"docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",
	},
}

func TestMain(m *testing.M) {
	for _, d := range definitions {
		if err := define(d.resource, d.module, d.file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := stage.Prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func define(resource, module, file string) error {
	if exec.Command("kubectl", "get", "crd", resource).Run() == nil {
		return nil
	}
	out, err := exec.Command("go", "mod", "download", "-json", module).Output()
	if err != nil {
		return fmt.Errorf("getting %s: %w: %s", module, err, out)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return err
	}
	if out, err := exec.Command("kubectl", "create", "-f", filepath.Join(found.Dir, file)).CombinedOutput(); err != nil {
		return fmt.Errorf("the definitions of %s: %w: %s", module, err, out)
	}
	deadline := time.Now().Add(time.Minute)
	for ticker := time.NewTicker(100 * time.Millisecond); ; <-ticker.C {
		out, err := exec.Command("kubectl", "get", "-A", resource).CombinedOutput()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the definition of %s is not in effect: %w: %s", resource, err, out)
		}
	}
}
