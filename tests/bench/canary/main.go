// Command canary measures on the lab what canary-weight gives to real users, and
// prints the tables of docs/bench-canary.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"slipway.dev/slipway/tests/canary/stage"
	"slipway.dev/slipway/tests/rollout/gate"
	"slipway.dev/slipway/tests/rollout/scenes"
)

// The asks, of stable's three replicas.
const replicas = 3

var weights = []int{1, 5, 10, 25, 50}

// extra is --max-extra, so that replicas alone can give the share within two points.
var extra = map[int]int{1: 31, 5: 17, 10: 7, 25: 5, 50: 5}

func main() {
	requests := flag.Int64("requests", 10000, "how many each share is measured by")
	flag.Parse()
	if err := run(context.Background(), *requests); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, requests int64) error {
	if os.Getenv("LAB_GATEWAY_URL") == "" {
		return errors.New("this needs bin/lab run --with gateway: make bench-canary")
	}
	if err := stage.Prepare(); err != nil {
		return err
	}
	fmt.Println("| router | asked | requests | achieved | error, points | set took, s | first canary answer after, s | API requests | peak RSS, MiB | failed: set | measuring |\n|---|---|---|---|---|---|---|---|---|---|---|")
	var ends []string
	pods := map[int]pair{}
	for _, name := range []string{"service", "gateway"} {
		b, err := open(ctx, name)
		if err != nil {
			return err
		}
		for _, weight := range weights {
			if err := b.share(ctx, weight, requests, pods); err != nil {
				return fmt.Errorf("%s at %d %%: %w", name, weight, err)
			}
			row, err := b.end(ctx, weight)
			if err != nil {
				return fmt.Errorf("%s, ending %d %%: %w", name, weight, err)
			}
			ends = append(ends, row)
		}
		if _, err := scenes.Kubectl(ctx, "", "delete", "namespace", b.namespace, "--wait=false"); err != nil {
			return err
		}
	}
	fmt.Println("\n| router | from | | took, s | last canary answer after, s | canary answers after it returned | API requests | failed, new connections | failed, kept connections |\n|---|---|---|---|---|---|---|---|---|")
	fmt.Println(strings.Join(ends, "\n"))
	return arithmetic(ctx, pods)
}

// bench is one application, and the way to the API server that is measured.
type bench struct {
	router, namespace string
	url, host         string
	gate              *gate.Gate
	kubeconfig        string
}

func open(ctx context.Context, name string) (*bench, error) {
	router := stage.Routers[name]
	router.Stable = replicas
	b := &bench{router: name, namespace: "bench-" + name}
	if _, err := scenes.Kubectl(ctx, router.Manifest(b.namespace, stage.Serving(nil, nil)), "apply", "-f", "-"); err != nil {
		return nil, err
	}
	if name != "service" { // the whole rule is the two versions'
		alone := `[{"op":"remove","path":"/spec/rules/1/backendRefs/1"}]`
		if _, err := scenes.Kubectl(ctx, "", "patch", "-n", b.namespace, "httproute/app", "--type=json", "-p", alone); err != nil {
			return nil, err
		}
	}
	if _, err := scenes.Kubectl(ctx, "", "rollout", "status", "-n", b.namespace, "deployment/app", "--timeout=3m"); err != nil {
		return nil, err
	}
	address, err := scenes.Kubectl(ctx, "", "get", "-n", b.namespace, "service/app", "-o", "jsonpath={.spec.clusterIP}")
	if err != nil {
		return nil, err
	}
	b.url = "http://" + address
	if name != "service" {
		b.url, b.host = os.Getenv("LAB_GATEWAY_URL"), stage.Host(b.namespace)
	}
	if b.gate, err = gate.Open(os.Getenv("KUBECONFIG")); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	if b.kubeconfig, err = b.gate.Kubeconfig(dir, ""); err != nil {
		return nil, err
	}
	return b, b.answers(ctx)
}

// answers waits until the route leads to the application.
func (b *bench) answers(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for ticker := time.NewTicker(200 * time.Millisecond); ; {
		users := stage.Start(b.url, b.host, 1, false)
		users.Until(20)
		users.End()
		if users.Broken.Load() == 0 {
			return nil
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("%s does not answer for %s: %v", b.url, b.host, users.First.Load())
		case <-ticker.C:
		}
	}
}

// called is how one call of canary-weight went.
type called struct {
	began, ended time.Time
	requests     int64
	memory       float64 // MiB
	stable       int
	canary       int
}

func (c called) seconds() float64 { return c.ended.Sub(c.began).Seconds() }

// after is how long after the beginning an instant was; a dash where it never was.
func (c called) after(at int64) string {
	if at == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", time.Unix(0, at).Sub(c.began).Seconds())
}

func (b *bench) call(ctx context.Context, arguments ...string) (called, error) {
	words := append([]string{arguments[0], "-n", b.namespace, "--app", "app", "--router", b.router, "-o", "json"}, arguments[1:]...)
	command := exec.CommandContext(ctx, filepath.Join(stage.Root(), "bin", "canary-weight"), words...)
	command.Env = append(os.Environ(), "KUBECONFIG="+b.kubeconfig, "BUILD_URL=")
	before := b.gate.Requests.Load()
	c := called{began: time.Now()}
	out, err := command.Output()
	c.ended = time.Now()
	if err != nil {
		return c, fmt.Errorf("canary-weight %s: %w: %s", strings.Join(words, " "), err, out)
	}
	c.requests = b.gate.Requests.Load() - before
	if usage, ok := command.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.memory = float64(usage.Maxrss) / 1024
	}
	var outcome struct {
		Stable int `json:"stableReplicas"`
		Canary int `json:"canaryReplicas"`
	}
	if err := json.Unmarshal(out, &outcome); err != nil {
		return c, err
	}
	c.stable, c.canary = outcome.Stable, outcome.Canary
	return c, nil
}

// crowd are users on connections of both kinds.
type crowd struct{ fresh, kept *stage.Users }

func (b *bench) crowd() crowd {
	c := crowd{stage.Start(b.url, b.host, 2, false), stage.Start(b.url, b.host, 2, true)}
	c.fresh.Until(20)
	c.kept.Until(20)
	return c
}

func (c crowd) end() {
	c.fresh.End()
	c.kept.End()
	for _, users := range []*stage.Users{c.fresh, c.kept} {
		if users.Broken.Load() > 0 {
			fmt.Fprintln(os.Stderr, "bench: a request failed:", users.First.Load())
		}
	}
}

// seen waits until a user had an answer of the canary: a gateway says that it has
// taken a route before its proxy goes by it, which is told apart.
func (c crowd) seen() bool {
	over := time.After(20 * time.Second)
	for ticker := time.NewTicker(5 * time.Millisecond); c.fresh.FirstCanary.Load() == 0; {
		select {
		case <-over:
			return false
		case <-ticker.C:
		}
	}
	return true
}

// share gives a share and measures it, from the moment that users see it.
func (b *bench) share(ctx context.Context, weight int, requests int64, pods map[int]pair) error {
	users := b.crowd()
	set, err := b.call(ctx, "set", fmt.Sprint(weight), "--run", "bench", "--max-extra", fmt.Sprint(extra[weight]))
	if err != nil {
		users.end()
		return err
	}
	if !users.seen() {
		users.end()
		return errors.New("no user comes to the canary")
	}
	measured := stage.Start(b.url, b.host, 4, false)
	measured.Until(requests)
	measured.End()
	users.end()
	if b.router == "service" {
		pods[weight] = pair{set.stable, set.canary}
	}
	share := 100 * float64(measured.Canary.Load()) / float64(measured.All())
	fmt.Printf("| %s | %d %% | %d | %.2f %% | %.2f | %.1f | %s | %d | %.0f | %d of %d | %d |\n", b.router, weight, measured.All(), share,
		math.Abs(share-float64(weight)), set.seconds(),
		set.after(users.fresh.FirstCanary.Load()), set.requests, set.memory, users.fresh.Broken.Load()+users.kept.Broken.Load(),
		users.fresh.All()+users.kept.All(), measured.Broken.Load())
	return nil
}

// end takes the canary back: every second time after stable got the new version,
// as a promotion does, which users see as all pods of stable being replaced.
func (b *bench) end(ctx context.Context, weight int) (string, error) {
	what := "abort"
	users := b.crowd()
	defer func() {
		if users.fresh != nil {
			users.end()
		}
	}()
	if weight == 5 || weight == 25 {
		what = "promote"
		if _, err := scenes.Kubectl(ctx, "", "set", "env", "-n", b.namespace, "deployment/app", fmt.Sprintf("RELEASE=%d", weight)); err != nil {
			return "", err
		}
		if _, err := scenes.Kubectl(ctx, "", "rollout", "status", "-n", b.namespace, "deployment/app", "--timeout=5m"); err != nil {
			return "", err
		}
	}
	back, err := b.call(ctx, "abort")
	if err != nil {
		return "", err
	}
	late := stage.Start(b.url, b.host, 2, false)
	late.Until(500)
	late.End()
	ended := users
	users = crowd{}
	ended.end()
	// What still comes to these pods would be taken for the next share's.
	if _, err := scenes.Kubectl(ctx, "", "wait", "-n", b.namespace, "pod", "-l", "app=app-canary", "--for=delete",
		"--timeout=2m"); err != nil {
		return "", err
	}
	return fmt.Sprintf("| %s | %d %% | %s | %.1f | %s | %d of %d | %d | %d of %d | %d of %d |", b.router, weight, what, back.seconds(),
		back.after(max(ended.fresh.LastCanary.Load(), late.LastCanary.Load())),
		late.Canary.Load(), late.All(), back.requests, ended.fresh.Broken.Load()+late.Broken.Load(), ended.fresh.All()+late.All(),
		ended.kept.Broken.Load(), ended.kept.All()), nil
}
