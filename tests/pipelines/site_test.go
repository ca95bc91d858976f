package pipelines

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/pipelines/runner"
)

// local is a site without a cluster: the runner on this machine alone, with helpers
// that answer what the real ones answered in a run on the lab.
type local struct {
	root, bin, repository, commit string
}

const tool = `#!/bin/sh
# Stands in for a tool of the build containers: says yes and what REPLAY_TEXT holds, and makes the file it is asked for.
[ -z "$REPLAY_TEXT" ] || cat "$REPLAY_TEXT"
while [ $# -gt 0 ]; do
  case "$1" in
    --tar-path|--output) echo '{}' > "$2" ;;
    docker-archive:*) tar=${1#docker-archive:}; echo '{}' > "${tar%%:*}" ;;
  esac
  shift
done
`

func newLocal(t *testing.T) *local {
	t.Helper()
	absolute, err := filepath.Abs(root)
	require.NoError(t, err)
	l := &local{root: absolute, bin: filepath.Join(t.TempDir(), "bin"), repository: filepath.Join(t.TempDir(), "service")}
	require.NoError(t, os.MkdirAll(l.bin, 0o755))
	run(t, ".", "go", "build", "-o", filepath.Join(l.bin, "slipway"), "./replay/helper")
	for _, name := range []string{"executor", "buildah", "trivy", "python3", "pip", "curl"} {
		require.NoError(t, os.WriteFile(filepath.Join(l.bin, name), []byte(tool), 0o755))
	}
	for _, name := range []string{"Jenkinsfile", "Jenkinsfile.prod", "requirements.txt", "requirements-test.txt",
		"migrations/001_create_users_table.sql", "app/main.py"} {
		body, err := os.ReadFile(filepath.Join(absolute, name))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(l.repository, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(l.repository, name), body, 0o644))
	}
	for _, arguments := range [][]string{{"init", "-q", "-b", "Staging"}, {"add", "-A"},
		{"-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "-m", "A release"}} {
		run(t, l.repository, "git", arguments...)
	}
	l.commit = strings.TrimSpace(run(t, l.repository, "git", "rev-parse", "HEAD"))
	return l
}

func run(t *testing.T, dir, name string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, arguments...)
	command.Dir = dir
	var out, complaint bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaint
	require.NoError(t, command.Run(), "%s %v: %s", name, arguments, complaint.String())
	return out.String()
}

// played is a build that ended, or was killed.
type played struct {
	home, console, result string
	calls                 []call
}

type call struct {
	What        string            `json:"what"` // began or ended
	Key         string            `json:"key"`
	Arguments   []string          `json:"arguments"`
	Exit        int               `json:"exit"`
	Environment map[string]string `json:"environment"`
}

// processes are all tests' own: one that has played a build plays the next one sooner.
var processes = &runner.Processes{Program: filepath.Join(root, "tests/runner/run")}

func TestMain(m *testing.M) {
	code := m.Run()
	processes.Stop()
	os.Exit(code)
}

// play runs a build of the Jenkinsfile to its end; time is virtual.
func (l *local) play(ctx context.Context, home, jenkinsfile string, environment []string, arguments ...string) (played, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var console strings.Builder
	build, err := l.start(ctx, home, "calls", jenkinsfile, environment, &console, append([]string{"--virtual-time"}, arguments...)...)
	if err != nil {
		return played{}, err
	}
	err = build.Wait()
	p := played{home: home, console: console.String()}
	if err == nil && ctx.Err() != nil {
		err = errors.New("the build did not end")
	}
	if err != nil {
		return p, fmt.Errorf("%w\n%s", err, p.console)
	}
	return p, p.read(filepath.Join(home, "calls"))
}

// start begins a build of the Jenkinsfile; the file of the home gets a line for each call of a helper.
func (l *local) start(ctx context.Context, home, calls, jenkinsfile string, environment []string, console io.Writer,
	arguments ...string) (*runner.Build, error) {
	script := []string{"--scm", "file://" + l.repository, "--branch", "Staging", "--path", jenkinsfile}
	if filepath.IsAbs(jenkinsfile) { // the site's own
		script = []string{"--jenkinsfile", jenkinsfile}
	}
	options := append(script, "--home", home, "--job", "release",
		"--config", filepath.Join(l.root, "docs/jenkins.yaml"), "--config", filepath.Join(l.root, "tests/e2e/site/folders.yaml"),
		"--folder", folderOf(filepath.Base(jenkinsfile)), "--library", "slipway="+l.root,
		"--local-pods", "--local-path", l.bin, "--env", "SLIPWAY_HOLD=1s")
	replay := []string{"REPLAY_FILES=" + l.recordings("production-rejected", "production-stopped", "production", "staging"), "REPLAY_CALLS=" +
		filepath.Join(home, calls), "REPLAY_COMMIT=" + l.commit}
	for _, variable := range append(replay, environment...) {
		options = append(options, "--env", variable)
	}
	credentials := []string{"NEXUS_USERNAME=nexus", "NEXUS_PASSWORD=n3xus-secret", "NEXUS_PULL_USERNAME=nexus",
		"NEXUS_PULL_PASSWORD=n3xus-secret",
		"QUARANTINE_USERNAME=builds", "QUARANTINE_PASSWORD=qu4rantine-secret",
		"STAGING_DB_USERNAME=app", "STAGING_DB_PASSWORD=st4ging-secret",
		"PROD_DB_USERNAME=app", "PROD_DB_PASSWORD=pr0d-secret", "ADMIN_PASSWORD=4dmin-secret",
		"KUBERNETES_BUILD_TOKEN=t0ken-secret", "KUBERNETES_STAGING_TOKEN=t0ken-secret", "KUBERNETES_PRODUCTION_TOKEN=t0ken-secret"}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	return processes.Start(ctx, append(os.Environ(), credentials...), append(options, arguments...), console)
}

// folderOf is the folder of Jenkins in which a job with that script is.
func folderOf(jenkinsfile string) string {
	if strings.HasPrefix(jenkinsfile, "Jenkinsfile.prod") {
		return "production"
	}
	return "staging"
}

// recordings are the files of those names, in which an answer is looked for in that order.
func (l *local) recordings(names ...string) string {
	var files []string
	for _, name := range names {
		files = append(files, filepath.Join(l.root, "tests/pipelines/recorded", name+".json"))
	}
	return strings.Join(files, ":")
}

var finished = regexp.MustCompile(`(?m)^Finished: (\w+)$`)

func (p *played) read(file string) error {
	if matches := finished.FindAllStringSubmatch(p.console, -1); matches != nil {
		p.result = matches[len(matches)-1][1] // a log may say so as well
	}
	body, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, line := range strings.Split(strings.TrimSpace(string(body)), "\n") {
		var c call
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		p.calls = append(p.calls, c)
	}
	return nil
}

// step is a line of the runner's list: what began, where, in which order.
type step struct {
	number                 int
	stage, function, label string
	helper                 string // the call that a sh stands or falls with
	again                  bool   // another step is called the same
}

func (s step) String() string {
	text := fmt.Sprintf("%d %s", s.number, s.function)
	if s.label != "" {
		text += " (" + s.label + ")"
	}
	return text
}

func (p played) steps() ([]step, error) {
	body, err := os.ReadFile(filepath.Join(p.home, "jobs/release/1/steps"))
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, line := range strings.Split(strings.TrimSpace(string(body)), "\n") {
		fields := strings.Split(line, "\t")
		if len(fields) < 4 {
			return nil, fmt.Errorf("the runner's list of steps has the line %q", line)
		}
		number, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, err
		}
		steps = append(steps, step{number: number, stage: fields[1], function: fields[2], label: fields[3]})
	}
	return steps, nil
}
