package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"slipway.dev/slipway/tests/lab/cache"
	"slipway.dev/slipway/tests/lab/progress"
)

// A Part is a program of the cluster that is built from Go modules. What they have in
// common has one version, so that it is compiled once.
type Part struct {
	Name        string
	pkg         string   // what to build
	alone       bool     // in a module of its own
	seldom      []string // packages of it that run so seldom that their build's time counts more than their own
	environment []string
	linking     string        // further flags of the linker
	usual       time.Duration // how long a first build takes on two cores, after the ones before it
	onRequest   bool
}

const gitVersion = "-X k8s.io/component-base/version.gitVersion=v1.34.4 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34"

// Parts are all of them, what is needed first before what is needed last. Trivy is alone
// because its environment compiles everything anew, Traefik because it replaces modules
// that the registry uses as they are; its other versions are the shared module's.
var Parts = []Part{
	{Name: "kubernetes", pkg: "./kubernetes", linking: gitVersion, usual: 8 * time.Minute},
	{Name: "etcd", pkg: "go.etcd.io/etcd/server/v3", usual: 15 * time.Second},
	{Name: "registry", pkg: "./registry", usual: 15 * time.Second},
	{Name: "coredns", pkg: "./coredns", usual: 10 * time.Second},
	{Name: "kaniko", pkg: "github.com/GoogleContainerTools/kaniko/cmd/executor", usual: time.Minute},
	{Name: "prometheus", pkg: "github.com/prometheus/prometheus/cmd/prometheus", usual: 2 * time.Minute},
	{Name: "trivy", pkg: "github.com/aquasecurity/trivy/cmd/trivy", alone: true, seldom: []string{"all"},
		environment: []string{"GOEXPERIMENT=jsonv2"}, usual: 6 * time.Minute},
	{Name: "traefik", pkg: "github.com/traefik/traefik/v3/cmd/traefik", alone: true, seldom: []string{"github.com/aws/..."},
		usual: 3 * time.Minute, onRequest: true},
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
	files, err := filepath.Glob(filepath.Join(source, "parts", p.Name, "*.go"))
	if err != nil {
		return "", err
	}
	instead, err := p.instead(source)
	if err != nil {
		return "", err
	}
	for _, name := range append(append(files, instead...), filepath.Join(p.module(source), "go.mod"),
		filepath.Join(p.module(source), "go.sum")) {
		body, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("reading the sources of %s: %w", p.Name, err)
		}
		fmt.Fprintf(hash, "%s %d\n", filepath.Base(name), len(body))
		hash.Write(body)
	}
	fmt.Fprintln(hash, runtime.Version(), p.pkg, p.arguments("-"), p.environment)
	return filepath.Join(cacheDir, "parts", p.Name+"-"+hex.EncodeToString(hash.Sum(nil))[:12], p.Name), nil
}

// module is the folder of the part's go.mod.
func (p Part) module(source string) string {
	if p.alone {
		return filepath.Join(source, "parts", p.Name)
	}
	return filepath.Join(source, "parts")
}

// arguments leave out the debug information, which is stripped anyway, and for what runs
// seldom inlining: a fifth of the time that they take. The rest is as the Makefile has it
// for the helpers, so that they find client-go compiled.
func (p Part) arguments(output string) []string {
	arguments := []string{"build", "-trimpath", "-tags=netgo,osusergo", "-gcflags=all=-dwarf=false"}
	for _, packages := range p.seldom {
		arguments = append(arguments, "-gcflags="+packages+"=-dwarf=false -l")
	}
	return append(arguments, "-ldflags", strings.TrimSpace("-s -w "+p.linking), "-o", output, p.pkg)
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
		defer progress.Report(log, "lab: building "+p.Name)()
		modfile, err := p.modfile(ctx, path, source)
		if err != nil {
			return fmt.Errorf("building %s: %w", p.Name, err)
		}
		if _, err := p.golang(ctx, source, slices.Insert(p.arguments(filepath.Join(unfinished, p.Name)), 1, modfile...)...); err != nil {
			return fmt.Errorf("building %s: %w", p.Name, err)
		}
		fmt.Fprintf(log, "lab: built %s in %s\n", p.Name, time.Since(start).Round(time.Second))
		return os.RemoveAll(modules(path))
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
	modfile, err := p.modfile(ctx, path, source)
	if err != nil {
		return
	}
	_, _ = p.golang(ctx, source, slices.Concat([]string{"list"}, modfile, []string{"-deps", "-f", "{{.Name}}", p.pkg})...)
}

func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}
