// Package registry tests nexus-latest-tag, nexus-push and image-evidence as
// programs, against the real registry behind the Nexus front with its faults.
package registry

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/registry/site"
)

var (
	programs     string // the folder with what is tested
	distribution *site.Registry
	upstream     *url.URL // where it is
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil { // they wait more than they work
		panic(err)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := site.Folder()
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	programs = filepath.Join(dir, "bin")
	out, err := exec.Command("go", "build", "-C", "../..", "-o", programs+"/", "./helpers/slipway").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("building the helpers: %w\n%s", err, out)
	}
	if out, err := exec.Command(filepath.Join(programs, "slipway"), "link", programs).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("linking the helpers: %w\n%s", err, out)
	}
	program, err := site.Program()
	if err != nil {
		return 0, err
	}
	if distribution, err = site.Start(program, dir); err != nil {
		return 0, err
	}
	defer distribution.Stop()
	upstream = distribution.URL
	return m.Run(), nil
}

// front is the Nexus front before the registry, and the environment that reaches it.
type front struct {
	*site.Front
	env []string
}

// newSite starts a front of its own, with HTTPS and a login.
func newSite(t *testing.T) *front {
	t.Helper()
	return newSiteBefore(t, upstream)
}

func newSiteBefore(t *testing.T, registry *url.URL) *front {
	t.Helper()
	started, err := site.NewFront(registry, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(started.Close)
	return &front{started,
		[]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "REGISTRY_USERNAME=" + site.Username, "REGISTRY_PASSWORD=" + site.Password}}
}

// answer is what a program said.
type answer struct{ site.Answer }

func (a answer) json(t *testing.T, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.Stdout), into), a.Stdout)
}

// start runs a program with nothing but the given environment.
func start(t *testing.T, env []string, program string, arguments ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	said, err := site.Run(ctx, env, filepath.Join(programs, program), arguments...)
	require.NoError(t, err)
	return answer{said}
}

// helper runs one of the three with the site's login and authority.
func (s *front) helper(t *testing.T, program string, arguments ...string) answer {
	t.Helper()
	return start(t, s.env, program, append(arguments, "--ca-file", s.CA)...)
}
