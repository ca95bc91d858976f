package site

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Run is one run of a pipeline, ended.
type Run struct {
	Console string
	Shells  int
	Seconds float64
	Archive string // the folder of what it archived
}

// Result is what the console's last line says.
func (r Run) Result() string {
	if match := regexp.MustCompile(`(?m)^Finished: (\w+)$`).FindStringSubmatch(r.Console); match != nil {
		return match[1]
	}
	return "none"
}

// LastStage is the last one that began, and how it ended.
func (r Run) LastStage() string {
	last := ""
	for _, match := range regexp.MustCompile(`(?m)^\[Pipeline\] \{ \(([^)]+)\)$`).FindAllStringSubmatch(r.Console, -1) {
		last = match[1]
	}
	return last
}

// Record is the audit record, as the console has it; the run archives the same.
func (r Run) Record() string {
	record := "" // the last one: what could not be archived is told again
	for _, match := range regexp.MustCompile(`(?m)^slipway-record: (\{.*\})$`).FindAllStringSubmatch(r.Console, -1) {
		record = match[1]
	}
	return record
}

// Kept is the text of a file that the run archived; empty where there is none.
func (r Run) Kept(name string) string {
	body, err := os.ReadFile(filepath.Join(r.Archive, name))
	if err != nil {
		return ""
	}
	return string(body)
}

// Pipeline says which pipeline to run, and how its approvals are answered.
type Pipeline struct {
	Repository  string   // the service's; without it the reference service's
	Jenkinsfile string   // its path in the repository
	Namespace   string   // of production, where it is not prod
	Resume      bool     // the job's unfinished build, in a new process
	Home        string   // of another Jenkins, which knows nothing of this one's locks and queue
	Job         string   // without it one is named after the repository and the path
	Folder      string   // of Jenkins; without it staging, and production for a Jenkinsfile.prod
	Arguments   []string // further ones of the runner
	Answers     []string
	Settings    map[string]string // of the site, such as SLIPWAY_PROMETHEUS_URL
	Environment []string          // of the runner, above what the site gives it
	Out         io.Writer         // gets the console while it runs
}

// archive is where the runner keeps what a build archived, found by the address that its record names.
func (s *Site) archive(home, job, console string) string {
	if match := regexp.MustCompile(`"build":"[^"]*/(\d+)/"`).FindStringSubmatch(console); match != nil {
		return filepath.Join(s.home(home), "jobs", job, match[1], "archive")
	}
	return ""
}

func (s *Site) home(name string) string { return filepath.Join(s.Dir, "jenkins", name) }

// Signal sends a signal to the runner: SIGTERM is the abort button, SIGKILL the controller's end.
type Signal func(syscall.Signal)

// arguments are the runner's options; a job without a name gets one.
func (s *Site) arguments(p *Pipeline) []string {
	if p.Repository == "" {
		p.Repository = App
	}
	if p.Job == "" {
		p.Job = p.Repository + strings.ToLower(strings.NewReplacer("Jenkinsfile.", "-", "Jenkinsfile", "").Replace(p.Jenkinsfile))
	}
	arguments := []string{
		"--scm", s.GitURL(p.Repository), "--branch", "Staging", "--path", p.Jenkinsfile, "--home", s.home(p.Home), "--job", p.Job,
		"--folder", p.folder(), "--library", "slipway=" + s.GitURL("slipway"), "--cloud", "--agent-image", s.agent(),
	}
	arguments = append(arguments, s.configuration()...)
	if p.Resume {
		arguments = []string{"--home", s.home(p.Home), "--job", p.Job, "--resume"}
	}
	settings := map[string]string{
		"SLIPWAY_NAMESPACE": p.Namespace,
		"SLIPWAY_REGISTRY":  s.Registry, "SLIPWAY_REGISTRY_CA": "registry-ca", "SLIPWAY_BASE_IMAGES": "docker.io=" + os.Getenv("LAB_MIRROR"),
		"SLIPWAY_AGENT_IMAGE":   s.agent(),
		"SLIPWAY_PACKAGE_INDEX": os.Getenv("LAB_PIP_INDEX_URL"),
	}
	for name, value := range p.Settings {
		settings[name] = value
	}
	for name, value := range settings {
		if value != "" && !p.Resume {
			arguments = append(arguments, "--env", name+"="+value)
		}
	}
	arguments = append(arguments, p.Arguments...)
	for _, answer := range p.Answers {
		arguments = append(arguments, "--answer", answer)
	}
	return arguments
}

func (s *Site) agent() string { return cmp.Or(s.AgentImage, s.Registry+"/"+Agent) }

// environment is the runner's, with the credentials that a Jenkins would hold.
func (s *Site) environment(p Pipeline) []string {
	production := cmp.Or(p.Namespace, "prod")
	user, password := os.Getenv("LAB_REGISTRY_USER"), os.Getenv("LAB_REGISTRY_PASSWORD")
	return append(append(os.Environ(), "NEXUS_USERNAME="+user, "NEXUS_PASSWORD="+password, "NEXUS_PULL_USERNAME="+user,
		"NEXUS_PULL_PASSWORD="+password,
		"QUARANTINE_USERNAME="+user, "QUARANTINE_PASSWORD="+password,
		"STAGING_SIGNING_KEY="+s.signingKey, "ADMIN_PASSWORD=unused", "GITEE_USERNAME=unused", "GITEE_TOKEN=unused", "KUBECONFIG="+s.kubeconfig(),
		"KUBERNETES_BUILD_TOKEN="+s.tokens[Agents[0]], "KUBERNETES_STAGING_TOKEN="+s.tokens[Agents[1]],
		"KUBERNETES_PRODUCTION_TOKEN="+s.tokens[Agents[2]],
		"STAGING_DB_USERNAME=mydb_owner", "STAGING_DB_PASSWORD="+s.passwords["staging"]["owner"],
		"PROD_DB_USERNAME=mydb_owner", "PROD_DB_PASSWORD="+s.passwords[production]["owner"]), p.Environment...)
}

// ended reads what a run that has just ended says of itself.
func (s *Site) ended(p Pipeline, begin time.Time, console string) Run {
	run := Run{Console: console, Seconds: time.Since(begin).Seconds(), Archive: s.archive(p.Home, p.Job, console)}
	if match := regexp.MustCompile(`(?m)^all\s+(\d+)$`).FindStringSubmatch(console); match != nil {
		run.Shells, _ = strconv.Atoi(match[1])
	}
	return run
}

// folder is where the job is, and so what it may use.
func (p Pipeline) folder() string {
	if p.Folder == "" && strings.HasPrefix(p.Jenkinsfile, "Jenkinsfile.prod") {
		return "production"
	}
	return cmp.Or(p.Folder, "staging")
}

// Start begins a run; the function that it gives waits for its end.
func (s *Site) Start(ctx context.Context, p Pipeline) (Signal, func() (Run, error), error) {
	var console strings.Builder
	begin := time.Now()
	build, err := s.processes.Start(ctx, s.environment(p), s.arguments(&p), p.tee(&console))
	if err != nil {
		return nil, nil, err
	}
	return build.Signal, func() (Run, error) {
		err := build.Wait()
		return s.ended(p, begin, console.String()), err
	}, nil
}

// tee writes the console to whoever wants it while the run is at work, too.
func (p Pipeline) tee(console io.Writer) io.Writer {
	if p.Out == nil {
		return console
	}
	return io.MultiWriter(console, p.Out)
}

// AtTerminal runs a pipeline to its end in a process that has the terminal: a person answers its approvals.
func (s *Site) AtTerminal(ctx context.Context, p Pipeline) (Run, error) {
	command := exec.CommandContext(ctx, s.processes.Program, s.arguments(&p)...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = time.Minute
	command.Env = s.environment(p)
	command.Stdin = os.Stdin
	out, err := command.StdoutPipe()
	if err != nil {
		return Run{}, fmt.Errorf("starting the runner: %w", err)
	}
	command.Stderr = command.Stdout
	begin := time.Now()
	if err := command.Start(); err != nil {
		return Run{}, fmt.Errorf("starting the runner: %w", err)
	}
	var console strings.Builder
	for lines, both := bufio.NewReader(out), p.tee(&console); err == nil; {
		var line string
		line, err = lines.ReadString('\n')
		if !strings.HasPrefix(line, "Picked up JAVA_TOOL_OPTIONS") { // Java's own words, and no console's
			_, _ = io.WriteString(both, line)
		}
	}
	var ended *exec.ExitError // how it ended is in the console
	if err := command.Wait(); err != nil && !errors.As(err, &ended) {
		return Run{}, fmt.Errorf("running the pipeline: %w", err)
	}
	return s.ended(p, begin, console.String()), nil
}

// Ask asks something of the build of this job that runs, as a person does on its page.
func (s *Site) Ask(ctx context.Context, p Pipeline, request string) error {
	_, err := Command{}.Run(ctx, s.processes.Program, "--home", s.home(p.Home), "--job", p.Job, "--request", request)
	return err
}

// Run runs a pipeline to its end.
func (s *Site) Run(ctx context.Context, p Pipeline) (Run, error) {
	_, wait, err := s.Start(ctx, p)
	if err != nil {
		return Run{}, err
	}
	return wait()
}
