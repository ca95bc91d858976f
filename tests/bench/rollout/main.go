// Command rollout measures rollout-wait beside kubectl rollout status and kubedog
// on the same rollouts at the same time, and prints the tables of
// docs/bench-rollout.md. It runs inside the lab.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"slipway.dev/slipway/tests/rollout/gate"
	"slipway.dev/slipway/tests/rollout/scenes"
)

// tool is one of those that are compared.
type tool struct {
	name    string
	command func(namespace, kind, name string) []string
}

const (
	limit  = 160 // seconds, for each
	atOnce = 12  // rollouts, of which most only wait
)

var tools = []tool{
	{"rollout-wait", rolloutWait("bin/rollout-wait")},
	{"kubectl", func(namespace, kind, name string) []string {
		return []string{"kubectl", "rollout", "status", "-n", namespace, kind + "/" + name, fmt.Sprintf("--timeout=%ds", limit)}
	}},
	{"kubedog", func(namespace, kind, name string) []string {
		return []string{"bin/kubedog", "rollout", "track", kind, name, "-n", namespace, "-t", fmt.Sprint(limit)}
	}},
}

func rolloutWait(program string) func(namespace, kind, name string) []string {
	return func(namespace, kind, name string) []string {
		return []string{program, "-n", namespace, kind + "/" + name, "--timeout", fmt.Sprintf("%ds", limit), "-o", "json"}
	}
}

// names are those of the tools, as cells of a row.
func names() string {
	text := ""
	for _, t := range tools {
		text += " " + t.name + " |"
	}
	return text
}

// measured is how one tool did.
type measured struct {
	seconds         float64
	code            int
	text            string
	ended           time.Time
	since           time.Time // from when the grace of the first failure counts, where the tool says so
	requests, bytes int64
	memory, private int64 // peak RSS, and the peak of what is in it besides the program's own file, KiB
}

func main() {
	only := flag.String("only", "", "the scenes to play, separated by commas; empty plays all")
	crowds := flag.String("crowds", "0,100,1000", "numbers of unrelated pods in the namespace")
	former := flag.String("before", "", "another rollout-wait that is measured beside, such as one from before a change")
	flag.Parse()
	if *former != "" {
		tools = append(tools, tool{"before", rolloutWait(*former)})
	}
	if err := run(context.Background(), *only, *crowds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only, crowds string) error {
	if err := scenes.Prepare(); err != nil {
		return err
	}
	wrong, err := verdicts(ctx, only)
	if err != nil {
		return err
	}
	if err := costs(ctx, crowds); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("rollout-wait was wrong %d times", wrong)
	}
	return nil
}

// score counts how one tool did.
type score struct{ named, falseAlarm, falseSuccess, silent int }

func (s *score) add(scene scenes.Scene, result measured) {
	good := scene.Code == ""
	switch {
	case good && result.code == 0, !good && result.code != 0 && result.seconds < limit-1:
	case good && result.seconds < limit-1:
		s.falseAlarm++
	case !good && result.code == 0:
		s.falseSuccess++
	default:
		s.silent++
	}
	if named(scene, result) {
		s.named++
	}
}

func named(scene scenes.Scene, result measured) bool {
	return scene.Code != "" && strings.Contains(result.text, cause(scene))
}

// chosen are the scenes that the lab can play and that were asked for.
func chosen(only string) (list []scenes.Scene) {
	for _, scene := range append(append([]scenes.Scene{}, scenes.Failing...), scenes.Fine...) {
		if only != "" && !strings.Contains(","+only+",", ","+scene.Name+",") || scene.NeedsLab != "" && os.Getenv("LAB_REGISTRY") == "" {
			continue
		}
		list = append(list, scene)
	}
	return list
}

// verdicts plays each scene for all tools at once and counts rollout-wait's wrong ones.
func verdicts(ctx context.Context, only string) (wrong int, err error) {
	list := chosen(only)
	results, errs := make([][]measured, len(list)), make([]error, len(list))
	places, group := make(chan struct{}, atOnce), sync.WaitGroup{}
	for i, scene := range list {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			if errs[i] = scene.Set(ctx, scene.Name); errs[i] != nil {
				return
			}
			results[i] = together(func(tool int) measured { return play(ctx, tools[tool], scene, "") })
			fmt.Fprintln(os.Stderr, row(scene, results[i])) // as it comes, in whatever order
			_, errs[i] = scenes.Kubectl(ctx, "", "delete", "namespace", scene.Name, "--wait=false")
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	fmt.Println("| rollout | is |" + strings.Replace(names(), "|", "| after its grace |", 1) + "\n|---|---|---|" +
		strings.Repeat("---|", len(tools)))
	scores := make([]score, len(tools))
	for i, scene := range list {
		fmt.Println(row(scene, results[i]))
		for tool := range tools {
			scores[tool].add(scene, results[i][tool])
		}
		if own := results[i][0]; (own.code == 0) != (scene.Code == "") || own.code != 0 && !strings.Contains(own.text, scene.Code) {
			wrong++
			fmt.Fprintf(os.Stderr, "bench: %s: %s\n", scene.Name, own.text)
		}
	}
	fmt.Println("\n| |" + names() + "\n|---|" + strings.Repeat("---|", len(tools)))
	for _, line := range []struct {
		name string
		of   func(score) int
	}{
		{"cause named", func(s score) int { return s.named }}, {"false alarms", func(s score) int { return s.falseAlarm }},
		{"false successes", func(s score) int { return s.falseSuccess }},
		{fmt.Sprintf("silent for %d s", limit), func(s score) int { return s.silent }},
	} {
		text := "| " + line.name + " |"
		for _, score := range scores {
			text += fmt.Sprintf(" %d |", line.of(score))
		}
		fmt.Println(text)
	}
	return wrong, nil
}

func row(scene scenes.Scene, results []measured) string {
	text := "| " + scene.Name + " | " + is(scene) + " |"
	for i, result := range results {
		text += fmt.Sprintf(" %s |", cell(result, named(scene, result)))
		if i == 0 {
			text += " " + late(scene, result) + " |"
		}
	}
	return text
}

// late is how long after the end of its grace a failure was told, the report included.
func late(scene scenes.Scene, m measured) string {
	if m.since.IsZero() || scene.Grace == "" {
		return ""
	}
	return fmt.Sprintf("%.1f s", m.ended.Sub(m.since).Seconds()-float64(graces[scene.Grace]))
}

func is(scene scenes.Scene) string {
	switch {
	case scene.Code == "":
		return "good"
	case scene.Grace == "":
		return scene.Code
	}
	return fmt.Sprintf("%s after %d s", scene.Code, graces[scene.Grace])
}

// graces are rollout-wait's defaults, in seconds, from when the trouble shows.
var graces = map[string]int{"pull": 120, "config": 20, "create": 60, "unschedulable": 60, "claim": 60, "quota": 30, "webhook": 60,
	"stuck": 90}

// cause is what a person has to be told, by whatever tool.
func cause(scene scenes.Scene) string {
	if scene.Says != "" {
		return scene.Says
	}
	return scene.Code
}

func cell(m measured, named bool) string {
	text := fmt.Sprintf("%.1f s, exit %d", m.seconds, m.code)
	if named {
		text += ", named"
	}
	return text
}

func together(do func(int) measured) []measured {
	results := make([]measured, len(tools))
	var group sync.WaitGroup
	for i := range tools {
		group.Go(func() { results[i] = do(i) })
	}
	group.Wait()
	return results
}

// since reads rollout-wait's answer.
func since(answer []byte) time.Time {
	var told struct {
		Workloads []struct {
			Failures []struct{ Since time.Time }
		}
	}
	if json.Unmarshal(answer, &told) != nil || len(told.Workloads) == 0 || len(told.Workloads[0].Failures) == 0 {
		return time.Time{}
	}
	return told.Workloads[0].Failures[0].Since
}

func play(ctx context.Context, t tool, scene scenes.Scene, kubeconfig string) measured {
	kind, name, _ := strings.Cut(scene.Workload, "/")
	words := t.command(scene.Name, kind, name)
	limited, cancel := context.WithTimeout(ctx, (limit+20)*time.Second)
	defer cancel()
	command := exec.CommandContext(limited, words[0], words[1:]...)
	command.Env = os.Environ()
	if kubeconfig != "" {
		command.Env = append(command.Env, "KUBECONFIG="+kubeconfig)
	}
	begin := time.Now()
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Start()
	private := make(chan int64, 1)
	if err == nil {
		done := make(chan struct{})
		go func() { private <- anonymous(command.Process.Pid, done) }()
		err = command.Wait()
		close(done)
	} else {
		private <- 0
	}
	result := measured{private: <-private, ended: time.Now(), seconds: time.Since(begin).Seconds(), text: stderr.String() + stdout.String(),
		since: since(stdout.Bytes())}
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		result.code = ended.ExitCode()
	case err != nil:
		result.code, result.text = -1, err.Error()
	}
	if command.ProcessState != nil {
		if usage, ok := command.ProcessState.SysUsage().(*syscall.Rusage); ok {
			result.memory = usage.Maxrss
		}
	}
	return result
}

// sampling is how often the memory of a program is looked at.
const sampling = 50 * time.Millisecond

// anonymous is the most memory of a process that is no page of a file, in KiB, as far as a look now and then tells.
func anonymous(pid int, done <-chan struct{}) (most int64) {
	clock := time.NewTicker(sampling)
	defer clock.Stop()
	for {
		body, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // none when it has just ended
		if _, rest, found := strings.Cut(string(body), "RssAnon:"); found {
			var now int64
			if _, err := fmt.Sscan(rest, &now); err == nil {
				most = max(most, now)
			}
		}
		select {
		case <-done:
			return most
		case <-clock.C:
		}
	}
}

// slow becomes ready after a while, so that there is something to watch.
const slow = `apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 2
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: c, image: "tool:1", command: [sh, -c, "sleep 20; touch /tmp/ready; exec sleep 100000"], readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1, failureThreshold: 60}}]
`

// costs waits for a rollout beside a crowd of pods that are none of its own, which
// exist and are changed all the time, though no node runs them.
func costs(ctx context.Context, crowds string) error {
	fmt.Println("\n| unrelated pods | | requests | KiB received | peak RSS, MiB | of it no file's, MiB | done after the status, ms |\n" +
		"|---|---|---|---|---|---|---|")
	for _, crowd := range strings.Split(crowds, ",") {
		var count int
		if _, err := fmt.Sscan(crowd, &count); err != nil {
			return fmt.Errorf("--crowds %q is no list of numbers: %w", crowds, err)
		}
		scene := scenes.Scene{Name: fmt.Sprintf("crowd-%d", count), Workload: "deployment/app", Manifest: slow}
		if _, err := scenes.Kubectl(ctx, "", "create", "namespace", scene.Name); err != nil {
			return err
		}
		if err := gather(ctx, scene.Name, count); err != nil {
			return err
		}
		if _, err := scenes.Kubectl(ctx, scene.Manifest, "apply", "-n", scene.Name, "-f", "-"); err != nil {
			return err
		}
		results, after, err := throughGates(ctx, scene)
		if err != nil {
			return err
		}
		for i, t := range tools {
			m := results[i]
			fmt.Printf("| %d | %s | %d | %d | %.0f | %.0f | %.0f |\n", count, t.name, m.requests, m.bytes>>10, float64(m.memory)/1024,
				float64(m.private)/1024, after[i])
			if m.code != 0 {
				return fmt.Errorf("%s beside %d pods ended with %d: %s", t.name, count, m.code, m.text)
			}
		}
		if _, err := scenes.Kubectl(ctx, "", "delete", "namespace", scene.Name, "--wait=false"); err != nil {
			return err
		}
	}
	return nil
}

// gather makes pods that wait for a scheduler that nobody runs.
func gather(ctx context.Context, namespace string, count int) error {
	var manifest strings.Builder
	for i := range count {
		fmt.Fprintf(&manifest,
			"---\n{apiVersion: v1, kind: Pod, metadata: {name: other-%d, labels: {app: other}}, spec: {schedulerName: nobody, containers: [{name: c, image: \"tool:1\"}]}}\n", i)
	}
	if count == 0 {
		return nil
	}
	_, err := scenes.Kubectl(ctx, manifest.String(), "create", "-n", namespace, "-f", "-")
	return err
}

// throughGates lets each tool wait through a gate of its own, beside one that
// watches for the status that makes it true, and says how long after it each ended.
func throughGates(ctx context.Context, scene scenes.Scene) (results []measured, after []float64, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	gates, configs := make([]*gate.Gate, len(tools)), make([]string, len(tools))
	for i, t := range tools {
		if gates[i], err = gate.Open(os.Getenv("KUBECONFIG")); err != nil {
			return nil, nil, err
		}
		defer gates[i].Close()
		own := filepath.Join(dir, t.name)
		if err := os.Mkdir(own, 0o700); err != nil {
			return nil, nil, err
		}
		if configs[i], err = gates[i].Kubeconfig(own, ""); err != nil {
			return nil, nil, err
		}
	}
	truth := make(chan time.Time, 1)
	go func() {
		_, waitErr := scenes.Kubectl(ctx, "", "wait", "-n", scene.Name, "deployment/app", "--for=jsonpath={.status.availableReplicas}=2",
			"--timeout=3m")
		if waitErr != nil {
			fmt.Fprintln(os.Stderr, "bench:", waitErr)
		}
		truth <- time.Now()
	}()
	ends := make([]time.Time, len(tools))
	results = together(func(i int) measured {
		m := play(ctx, tools[i], scene, configs[i])
		ends[i] = time.Now()
		m.requests, m.bytes = gates[i].Requests.Load(), gates[i].Bytes.Load()
		return m
	})
	at := <-truth
	for _, end := range ends {
		after = append(after, float64(end.Sub(at).Microseconds())/1000)
	}
	return results, after, nil
}
