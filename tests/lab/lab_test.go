package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/lab/cache"
	"slipway.dev/slipway/tests/lab/pins"
)

func lab(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	return exec.Command("../../bin/lab", arguments...)
}

func code(err error) int {
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.ExitCode()
	}
	return 0
}

// left lists what a run of this process id would leave behind.
func left(t *testing.T, pid string) []string {
	t.Helper()
	dir, err := cache.Dir()
	require.NoError(t, err)
	name := "slipway-lab-" + pid
	found, err := filepath.Glob("/sys/fs/cgroup/*/" + name)
	require.NoError(t, err)
	folders, err := filepath.Glob(filepath.Join(dir, "runs", name+"*"))
	require.NoError(t, err)
	return append(found, folders...)
}

func processes(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, file := range lines {
		if body, err := os.ReadFile(file); err == nil && bytes.Contains(body, []byte(name+"/")) {
			found = append(found, strings.ReplaceAll(string(body), "\x00", " "))
		}
	}
	return found
}

func TestTheCommandRunsOnAClusterAndItsExitCodeIsGivenBack(t *testing.T) {
	command := lab(t, "run", "--with", "registry,git,postgres", "--", "sh", "-c", `set -e
kubectl run web --image=tool:1 --port=80 -- python3 -m http.server 80 >&2
kubectl expose pod web >&2
kubectl wait --for=condition=Ready pod/web --timeout=60s >&2
kubectl exec web -- sh -c 'getent hosts web.default.svc.cluster.local' >&2
curl -sf --retry 5 --retry-connrefused http://web.default.svc.cluster.local/ >/dev/null && echo traffic
kubectl auth can-i list pods --as=system:serviceaccount:default:default || true
curl -s -o /dev/null -w '%{http_code}\n' --cacert "$LAB_CA" "https://$LAB_REGISTRY/v2/"
pg_isready -q && echo database
exit 7`)
	command.Stderr = os.Stderr
	out, err := command.Output()
	assert.Equal(t, 7, code(err))
	assert.Equal(t, "traffic\nno\n401\ndatabase\n", string(out))
}

// The names are those of the field, with its digests; and each sh of Jenkins' durable-task starts by nohup.
func TestTheImagesOfPinsYamlRunByTheirNames(t *testing.T) {
	names, err := pins.Read("../..")
	require.NoError(t, err)
	script := "set -e\n"
	for _, each := range []struct{ key, shell string }{{"kaniko", "/busybox/sh"}, {"trivy", "sh"}, {"python", "sh"}, {"buildah", "sh"}} {
		script += fmt.Sprintf("kubectl run %[1]s --image=%[2]s --command -- %[3]s -c 'sleep 600' >&2\n", each.key, names[each.key], each.shell)
		script += fmt.Sprintf("kubectl wait --for=condition=Ready pod/%[1]s --timeout=120s >&2\n", each.key)
		script += fmt.Sprintf("kubectl exec %[1]s -- %[2]s -c 'nohup %[2]s -c \"grep SigIgn /proc/self/status && echo %[1]s\" 2>/dev/null'\n",
			each.key, each.shell)
	}
	command := lab(t, "run", "--", "sh", "-c", script)
	command.Stderr = os.Stderr
	out, err := command.Output()
	require.NoError(t, err)
	for _, key := range []string{"kaniko", "trivy", "python", "buildah"} {
		assert.Regexp(t, `(?m)^SigIgn:\t[0-9a-f]*[13579bdf]\n`+key+"$", string(out), "SIGHUP, the first signal, is ignored")
	}
}

func TestKilledWithoutMercyNothingIsLeft(t *testing.T) {
	command := lab(t, "run", "--", "sh", "-c", "echo $LAB_RUN; exec sleep 600")
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	name := filepath.Base(strings.TrimSpace(line))
	assert.NotEmpty(t, processes(t, name), "it runs")

	require.NoError(t, command.Process.Kill())
	_ = command.Wait()
	assert.Eventually(t, func() bool { return len(processes(t, name)) == 0 }, 10*time.Second, 20*time.Millisecond, "its processes end with it")
	again := lab(t, "run", "--", "true")
	again.Stderr = os.Stderr
	require.NoError(t, again.Run())
	assert.Empty(t, left(t, strings.TrimPrefix(name, "slipway-lab-")), "the next run takes away what is left")
}

func TestTwoAtOnceDoNotDisturbEachOther(t *testing.T) {
	first := lab(t, "run", "--", "sh", "-c", "kubectl create ns only-here >/dev/null; read line; kubectl get ns only-here -o name")
	in, err := first.StdinPipe()
	require.NoError(t, err)
	var out bytes.Buffer
	first.Stdout, first.Stderr = &out, os.Stderr
	require.NoError(t, first.Start())
	second := lab(t, "run", "--", "sh", "-c", "kubectl get ns only-here 2>&1 || true")
	second.Stderr = os.Stderr
	seen, err := second.Output()
	require.NoError(t, err)
	assert.Contains(t, string(seen), "not found")
	_, err = in.Write([]byte("go on\n"))
	require.NoError(t, err)
	require.NoError(t, first.Wait())
	assert.Equal(t, "namespace/only-here\n", out.String())
}

func TestWhatMakesNoSenseIsSaidAtOnce(t *testing.T) {
	for _, arguments := range [][]string{{"run"}, {"run", "--with", "nothing", "--", "true"}} {
		out, err := lab(t, arguments...).CombinedOutput()
		assert.Equal(t, 2, code(err))
		assert.True(t, strings.HasPrefix(string(out), "lab: "), string(out))
	}
}

func TestABuildThatFailsSaysWhy(t *testing.T) {
	dir, err := cache.Dir()
	require.NoError(t, err)
	empty, programs := t.TempDir(), t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(empty, "slipway-lab"), 0o755))
	require.NoError(t, os.Symlink(filepath.Join(dir, "images"), filepath.Join(empty, "slipway-lab", "images")))
	require.NoError(t, os.WriteFile(filepath.Join(programs, "go"), []byte("#!/bin/sh\necho 'main.go:1: does not compile' >&2\nexit 1\n"),
		0o755))
	command := lab(t, "setup", "etcd")
	command.Env = append(os.Environ(), "XDG_CACHE_HOME="+empty, "PATH="+programs+":"+os.Getenv("PATH"))
	out, err := command.CombinedOutput()
	assert.Equal(t, 2, code(err))
	assert.Contains(t, string(out), "lab: building etcd: exit status 1\nmain.go:1: does not compile")
}
