// Command rollout measures rollout-wait beside kubectl rollout status, on the
// same rollouts at the same time, and prints a table. It runs inside the lab.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const manifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 2
  progressDeadlineSeconds: 60
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: c, image: %[2]q, command: %[3]s, %[4]s}]
`

// cases are rollouts, and what a person would want to be told of them.
var cases = []struct{ name, image, command, more, cause string }{
	{"good", "tool:1", `[sleep, "1000"]`, "", ""},
	{"no-such-image", "tool:none", `[sleep, "1000"]`, "", "IMAGE_NOT_FOUND"},
	{"crash", "tool:1", `[sh, -c, "exit 3"]`, "", "CRASH_LOOP"},
	{"no-secret", "tool:1", `[sleep, "1000"]`, "envFrom: [{secretRef: {name: none}}]", "CONFIG_MISSING"},
	{"never-ready", "tool:1", `[sleep, "1000"]`, "readinessProbe: {exec: {command: ['false']}, periodSeconds: 1}", "NOT_READY"},
}

type outcome struct {
	seconds float64
	code    int
	text    string
}

func measure(name string, arguments ...string) outcome {
	begin := time.Now()
	out, err := exec.Command(name, arguments...).CombinedOutput()
	result := outcome{seconds: time.Since(begin).Seconds(), text: string(out)}
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		result.code = ended.ExitCode()
	} else if err != nil {
		result.code = -1
	}
	return result
}

func main() {
	fmt.Println("| rollout | rollout-wait: s | exit | cause named | kubectl: s | exit | cause named | ratio |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	failed := false
	for _, c := range cases {
		apply := exec.Command("kubectl", "apply", "-f", "-")
		apply.Stdin = bytes.NewBufferString(fmt.Sprintf(manifest, c.name, c.image, c.command, c.more))
		if out, err := apply.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %v: %s\n", err, out)
			os.Exit(1)
		}
		var ours, peer outcome
		var both sync.WaitGroup
		both.Go(func() { ours = measure("bin/rollout-wait", "-n", "default", "deployment/"+c.name) })
		both.Go(func() { peer = measure("kubectl", "rollout", "status", "deployment/"+c.name, "--timeout=3m") })
		both.Wait()
		named := func(o outcome) string {
			if c.cause == "" {
				return ""
			}
			return fmt.Sprint(strings.Contains(o.text, c.cause))
		}
		fmt.Printf("| %s | %.2f | %d | %s | %.2f | %d | %s | %.2f |\n", c.name, ours.seconds, ours.code, named(ours), peer.seconds, peer.code, named(peer), ours.seconds/peer.seconds)
		failed = failed || (c.cause == "") != (ours.code == 0)
	}
	if failed {
		fmt.Fprintln(os.Stderr, "bench: a verdict was wrong")
		os.Exit(1)
	}
}
