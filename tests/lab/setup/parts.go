package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"slipway.dev/slipway/tests/lab/cache"
)

// A Part is a program of the cluster that is built from Go modules.
type Part struct {
	Name        string
	pkg         string // what to build, in the part's own module
	linking     string // further flags of the linker
	seldom      bool   // so that its build's time counts more than its own
	environment []string
	usual       time.Duration // how long a first build takes on two cores
	onRequest   bool
}

const gitVersion = "-X k8s.io/component-base/version.gitVersion=v1.34.4 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34"

// Parts are all of them, what is needed first before what is needed last.
var Parts = []Part{
	{Name: "kubernetes", pkg: ".", linking: gitVersion, usual: 8 * time.Minute},
	{Name: "etcd", pkg: "go.etcd.io/etcd/server/v3", usual: 15 * time.Second},
	{Name: "registry", pkg: ".", usual: 30 * time.Second},
	{Name: "coredns", pkg: ".", usual: time.Minute},
	{Name: "kaniko", pkg: "github.com/GoogleContainerTools/kaniko/cmd/executor", usual: 2 * time.Minute},
	{Name: "prometheus", pkg: "github.com/prometheus/prometheus/cmd/prometheus", usual: 3 * time.Minute},
	{Name: "trivy", pkg: "github.com/aquasecurity/trivy/cmd/trivy", seldom: true, environment: []string{"GOEXPERIMENT=jsonv2"}, usual: 6 * time.Minute},
	{Name: "traefik", pkg: "github.com/traefik/traefik/v3/cmd/traefik", seldom: true, usual: 6 * time.Minute, onRequest: true},
}

// PartNamed finds a part by its name.
func PartNamed(name string) (Part, error) {
	for _, part := range Parts {
		if part.Name == name {
			return part, nil
		}
	}
	return Part{}, fmt.Errorf("there is no part %q", name)
}

// Path is where the part's program is, once it is built: the folder's name
// holds a hash of everything that the build depends on.
func (p Part) Path(cacheDir, source string) (string, error) {
	hash := sha256.New()
	files, err := filepath.Glob(filepath.Join(source, "parts", p.Name, "*"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("the sources of %s are not at %s", p.Name, filepath.Join(source, "parts", p.Name))
	}
	for _, name := range files {
		body, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n", filepath.Base(name), len(body))
		hash.Write(body)
	}
	fmt.Fprintln(hash, runtime.Version(), p.pkg, p.arguments("-"), p.environment)
	return filepath.Join(cacheDir, "parts", p.Name+"-"+hex.EncodeToString(hash.Sum(nil))[:12], p.Name), nil
}

// arguments leave out what a first build would spend a third of its time on: debug
// information, which is stripped anyway, and inlining in what runs seldom.
func (p Part) arguments(output string) []string {
	compiling := "-gcflags=all=-dwarf=false"
	if p.seldom {
		compiling += " -l"
	}
	return []string{"build", "-trimpath", compiling, "-ldflags", strings.TrimSpace("-s -w " + p.linking), "-o", output, p.pkg}
}

// surroundings of the compiler, which may take more memory for less time.
func (p Part) surroundings() []string {
	return append(append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOGC=400"), p.environment...)
}

// Build builds the part where the cache does not have it.
func (p Part) Build(ctx context.Context, cacheDir, source string, log io.Writer) (string, error) {
	path, err := p.Path(cacheDir, source)
	if err != nil {
		return "", err
	}
	return path, cache.Fill(filepath.Dir(path), func(unfinished string) error {
		fmt.Fprintf(log, "lab: building %s (a first build usually takes %s on two cores)\n", p.Name, p.usual)
		start := time.Now()
		command := exec.CommandContext(ctx, "go", p.arguments(filepath.Join(unfinished, p.Name))...)
		command.Dir = filepath.Join(source, "parts", p.Name)
		command.Env = p.surroundings()
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", p.Name, err, lastLines(string(out), 20))
		}
		fmt.Fprintf(log, "lab: built %s in %s\n", p.Name, time.Since(start).Round(time.Second))
		return nil
	})
}

// fetch brings the modules that the part needs and the cache does not have, so
// that its build does not wait for the network. Where it fails, the build says why.
func (p Part) fetch(ctx context.Context, cacheDir, source string) {
	path, err := p.Path(cacheDir, source)
	if err != nil {
		return
	}
	if _, err := os.Stat(path); err == nil {
		return
	}
	command := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{.Name}}", p.pkg)
	command.Dir = filepath.Join(source, "parts", p.Name)
	command.Env = p.surroundings()
	_ = command.Run()
}

func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}
