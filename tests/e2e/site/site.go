// Package site is a company's site as the demo and the tests find it: namespaces,
// databases, credentials, the agents' image, the library, and a service that
// somebody once deployed by hand.
package site

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"slipway.dev/slipway/tests/lab/progress"
	"slipway.dev/slipway/tests/pipelines/runner"
)

// App is the reference service, as the pipelines name it. Agent is the lab's own, with a name of its own.
const (
	App   = "fastapi-app"
	Image = "fastapi-postgres-app"
	Agent = "slipway-agent-lab:v1"
)

// Site is one that is ready to deliver to.
type Site struct {
	Options
	Root       string // this repository
	Dir        string // the site's own folder
	Service    *Repository
	Registry   string
	AgentImage string                       // without it the lab's own in the registry
	Recording  bool                         // the agents tell what every helper was asked and answered
	passwords  map[string]map[string]string // of the databases' roles, by namespace
	signingKey string                       // staging's, in base64; none where nothing is signed
	tokens     map[string]string            // of Jenkins' accounts, by namespace of the agents
	processes  *runner.Processes            // which are its Jenkins
}

// Options of a site.
type Options struct {
	Replicas int // of the service in production
	// Light puts a small program into the service's place, which starts at once and
	// says yes to every probe: for what is about the pipelines and not about a service.
	Light bool
	// Signed: staging signs its evidence, and production takes no other.
	Signed bool
	// Productions are the production namespaces, all alike; without them there is prod.
	Productions []string
}

// Prepare makes the site, and tells each step to log.
func Prepare(ctx context.Context, root, dir string, options Options, log io.Writer) (*Site, error) {
	s := &Site{Root: root, Dir: dir, Options: options, Registry: os.Getenv("LAB_REGISTRY"), Recording: os.Getenv("SLIPWAY_RECORD") != "",
		passwords: map[string]map[string]string{}, tokens: map[string]string{},
		processes: &runner.Processes{Program: filepath.Join(root, "tests/runner/run")}}
	if s.Registry == "" {
		return nil, fmt.Errorf("this runs inside the lab: lab run --with registry,git,prometheus -- COMMAND")
	}
	for _, step := range []struct {
		says string
		do   func(context.Context) error
	}{
		{"namespaces, accounts and databases", s.namespaces},
		{"the agents' image, built by Kaniko where it is not in the cache yet", s.agentImage},
		{"the library and the service's repository", s.repositories},
		{"the service as it was built and deployed by hand, before there was a pipeline", s.dayZero},
	} {
		fmt.Fprintf(log, "site: %s\n", step.says)
		done := progress.Report(log, "site")
		err := step.do(ctx)
		done()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.says, err)
		}
	}
	return s, nil
}

// Stop ends the processes that play its builds.
func (s *Site) Stop() { s.processes.Stop() }

// Home is where the runner keeps its builds: consoles, stashes, archives.
func (s *Site) Home() string { return s.home("") }

// Agents are the namespaces of the agents' pods: those that build, those that deliver to staging, those that deliver to production.
var Agents = []string{"jenkins-build", "jenkins-staging", "jenkins-prod"}

func (s *Site) namespaces(ctx context.Context) error {
	for _, part := range []string{"build", "staging", "prod"} {
		if _, err := Kubectl(ctx, "apply", "-k", filepath.Join(s.Root, "k8s/site", part)); err != nil {
			return err
		}
	}
	authority, err := os.ReadFile(os.Getenv("LAB_CA"))
	if err != nil {
		return err
	}
	for _, namespace := range Agents {
		if err := s.object(ctx, namespace,
			map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "registry-ca"},
				"data": map[string]string{"ca.crt": string(authority)}}); err != nil {
			return err
		}
		if err := s.pullSecret(ctx, namespace); err != nil {
			return err
		}
	}
	if err := s.controller(ctx); err != nil {
		return err
	}
	if err := s.signing(ctx); err != nil {
		return err
	}
	for _, namespace := range s.all() {
		manifest := fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: restricted}}\n", namespace)
		if err := Apply(ctx, manifest); err != nil {
			return err
		}
		if err := s.roles(ctx, namespace); err != nil {
			return err
		}
		if err := s.certificate(ctx, namespace); err != nil {
			return err
		}
		if err := s.pullSecret(ctx, namespace); err != nil {
			return err
		}
		if err := s.manifests(ctx, namespace); err != nil {
			return err
		}
		// Nothing to run yet: the first image comes by hand, or by the first release.
		if _, err := Kubectl(ctx, "scale", "-n", namespace, "deployment/"+App, "--replicas=0"); err != nil {
			return err
		}
		if _, err := Kubectl(ctx, "set", "image", "cronjob/canary-reaper", "-n", namespace, "canary-reaper="+s.Registry+"/"+Agent); err != nil {
			return err
		}
		// The reaper comes every minute; the demo has it run when it says so.
		if _, err := Kubectl(ctx, "patch", "cronjob/canary-reaper", "-n", namespace, "-p", `{"spec":{"suspend":true}}`); err != nil {
			return err
		}
	}
	return nil
}

func (s *Site) productions() []string {
	if len(s.Productions) == 0 {
		return []string{"prod"}
	}
	return s.Productions
}

func (s *Site) all() []string { return append([]string{"staging"}, s.productions()...) }

// manifests creates and applies the team's own: staging's and prod's, or prod's under another name.
func (s *Site) manifests(ctx context.Context, namespace string) error {
	for _, step := range [][2]string{{"create", "k8s/first"}, {"apply", "k8s/overlays"}} {
		overlay, err := s.overlay(step[1], namespace)
		if err != nil {
			return err
		}
		if _, err := Kubectl(ctx, step[0], "-k", overlay); err != nil {
			return err
		}
	}
	return nil
}

// overlay is the namespace's own in that folder, or one that is made of prod's.
func (s *Site) overlay(folder, namespace string) (string, error) {
	own := filepath.Join(s.Root, folder, namespace)
	if _, err := os.Stat(own); !os.IsNotExist(err) {
		return own, err
	}
	made := filepath.Join(s.Dir, folder, namespace)
	base, err := filepath.Rel(made, filepath.Join(s.Root, folder, "prod"))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(made, 0o755); err != nil {
		return "", err
	}
	text := fmt.Sprintf("namespace: %s\nresources: [%s]\n", namespace, base)
	return made, os.WriteFile(filepath.Join(made, "kustomization.yaml"), []byte(text), 0o644)
}

// controller gives Jenkins the accounts of its clouds: each one's token, and a kubeconfig with the one of the builds, which is the
// least that any of them may do.
func (s *Site) controller(ctx context.Context) error {
	for _, namespace := range Agents {
		token, err := Kubectl(ctx, "create", "token", "jenkins", "-n", namespace, "--duration=6h")
		if err != nil {
			return err
		}
		s.tokens[namespace] = strings.TrimSpace(token)
	}
	administrator, err := Kubectl(ctx, "config", "view", "--minify", "--raw", "-o", "json")
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal([]byte(administrator), &config); err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config["users"] = []any{map[string]any{"name": "jenkins", "user": map[string]string{"token": s.tokens[Agents[0]]}}}
	for _, each := range config["contexts"].([]any) {
		each.(map[string]any)["context"].(map[string]any)["user"] = "jenkins"
	}
	body, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return os.WriteFile(s.kubeconfig(), body, 0o600)
}

func (s *Site) kubeconfig() string { return filepath.Join(s.Dir, "jenkins.kubeconfig") }

// object applies one object; what is in it never becomes an argument.
func (s *Site) object(ctx context.Context, namespace string, object map[string]any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return Apply(ctx, string(body), "-n", namespace)
}

func (s *Site) pullSecret(ctx context.Context, namespace string) error {
	login := base64.StdEncoding.EncodeToString([]byte(os.Getenv("LAB_REGISTRY_USER") + ":" + os.Getenv("LAB_REGISTRY_PASSWORD")))
	config, err := json.Marshal(map[string]any{"auths": map[string]any{s.Registry: map[string]string{"auth": login}}})
	if err != nil {
		return err
	}
	return s.secret(ctx, namespace, "nexus-pull", "kubernetes.io/dockerconfigjson", map[string]string{".dockerconfigjson": string(config)})
}

// roles gives a namespace's database the passwords of its superuser and of its roles.
func (s *Site) roles(ctx context.Context, namespace string) error {
	roles := map[string]string{}
	for _, role := range []string{"owner", "service", "exporter"} {
		roles[role] = rand.Text()
	}
	if err := s.secret(ctx, namespace, "postgres-roles", "Opaque", roles); err != nil {
		return err
	}
	superuser := rand.Text()
	s.passwords[namespace] = map[string]string{"superuser": superuser}
	maps.Copy(s.passwords[namespace], roles)
	return s.secret(ctx, namespace, "postgres-credentials", "Opaque", map[string]string{"username": "postgres", "password": superuser})
}

func (s *Site) secret(ctx context.Context, namespace, name, kind string, data map[string]string) error {
	return s.object(ctx, namespace, map[string]any{"apiVersion": "v1", "kind": "Secret", "type": kind,
		"metadata": map[string]any{"name": name}, "stringData": data})
}

// helper runs one of the built helpers as the site's administrator.
func (s *Site) helper(ctx context.Context, env []string, name string, arguments ...string) (string, error) {
	return Command{Env: env, Dir: s.Root}.Run(ctx, filepath.Join(s.Root, "bin", name), arguments...)
}

func (s *Site) library(ctx context.Context) error {
	library, err := CreateRepository(ctx, s.Root, filepath.Join(s.Dir, "library"), s.GitURL("slipway"))
	if err != nil {
		return err
	}
	if _, err := library.Commit(ctx, "The library"); err != nil {
		return err
	}
	return library.Tag(ctx, "v1")
}

func (s *Site) repositories(ctx context.Context) error {
	if err := s.library(ctx); err != nil {
		return err
	}
	var err error
	s.Service, err = CreateRepository(ctx, s.Root, filepath.Join(s.Dir, "service"), s.GitURL(App))
	if err == nil && s.Light {
		err = s.lighten(ctx)
	}
	return err
}

// lighten keeps of the reference service what the pipelines see of it: the one-line
// calls, the migrations, the names. The program becomes the second service's.
func (s *Site) lighten(ctx context.Context) error {
	for _, name := range []string{"app", "tests", "requirements.txt", "requirements-dev.txt", "requirements-test.txt"} {
		if err := os.RemoveAll(filepath.Join(s.Service.Dir, name)); err != nil {
			return err
		}
	}
	if err := copyFile(filepath.Join(s.Root, "tests/e2e/site/light.Dockerfile"), filepath.Join(s.Service.Dir, "Dockerfile")); err != nil {
		return err
	}
	return BuildGreeter(ctx, s.Root, s.Service.Dir)
}

// BuildGreeter builds the second service's program into a clone of its repository.
func BuildGreeter(ctx context.Context, root, dir string) error {
	_, err := Command{Dir: filepath.Join(root, "tests/e2e/second/service/program"), Env: []string{"CGO_ENABLED=0"}}.Run(ctx, "go", "build",
		"-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, "greeter"), ".")
	return err
}

// GitURL is a repository's address.
func (s *Site) GitURL(name string) string { return os.Getenv("LAB_GIT_URL") + "/" + name + ".git" }

const thirdMigration = "migrations/003_index_users_name.sql"

// dayZero builds the service as it was two migrations ago, and puts it into
// production as it was done before there was a pipeline.
func (s *Site) dayZero(ctx context.Context) error {
	third, err := os.ReadFile(filepath.Join(s.Service.Dir, thirdMigration))
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.Service.Dir, thirdMigration)); err != nil {
		return err
	}
	if err := s.schema("003", "002"); err != nil {
		return err
	}
	commit, err := s.Service.Commit(ctx, "The service, as it is in production")
	if err != nil {
		return err
	}
	image, err := s.buildOnce(ctx, "day-0", commit, s.Service.Dir, s.Registry+"/"+Image+":day-0", "--build-arg",
		"PIP_INDEX_URL="+os.Getenv("LAB_PIP_INDEX_URL"), "--build-arg", "PIP_TRUSTED_HOST=pypi.lab", "--build-arg", "VERSION=day-0",
		"--build-arg", "COMMIT="+commit)
	if err != nil {
		return err
	}
	if _, err := Kubectl(ctx, "scale", "-n", "staging", "deployment/"+App, "--replicas=1"); err != nil {
		return err
	}
	for _, namespace := range s.productions() {
		if err := s.byHand(ctx, namespace, image); err != nil {
			return err
		}
	}
	// What the day-0 commit left out comes back with the first release.
	if err := s.Service.Write(thirdMigration, string(third)); err != nil {
		return err
	}
	return s.schema("002", "003")
}

// byHand puts an image into a production namespace, with the migrations that are in the clone now.
func (s *Site) byHand(ctx context.Context, namespace, image string) error {
	if _, err := Kubectl(ctx, "rollout", "status", "statefulset/postgres", "-n", namespace, "--timeout=2m"); err != nil {
		return err
	}
	if err := s.Migrate(ctx, namespace); err != nil {
		return err
	}
	if _, err := Kubectl(ctx, "set", "image", "-n", namespace, "deployment/"+App, "app="+image); err != nil {
		return err
	}
	if _, err := Kubectl(ctx, "scale", "-n", namespace, "deployment/"+App, fmt.Sprintf("--replicas=%d", s.Replicas)); err != nil {
		return err
	}
	// On a busy machine the first pods take their time: the site is patient, the pipelines are not.
	_, err := Kubectl(ctx, "rollout", "status", "-n", namespace, "deployment/"+App, "--timeout=8m")
	return err
}

// Migrate applies to a namespace's database the migrations that are in the clone.
func (s *Site) Migrate(ctx context.Context, namespace string) error {
	_, err := s.helper(ctx, s.Database(namespace), "migrate-diff", "apply", "--dir", filepath.Join(s.Service.Dir, "migrations"))
	return err
}

// schema changes the schema that the service asks its database for.
func (s *Site) schema(from, to string) error {
	if s.Light {
		return nil
	}
	return s.Service.Replace("app/database.py", fmt.Sprintf("SCHEMA = %q", from), fmt.Sprintf("SCHEMA = %q", to))
}

// Database is the environment by which libpq finds a namespace's database, as the role of the migrations.
func (s *Site) Database(namespace string) []string { return s.DatabaseAs(namespace, "owner") }

// DatabaseAs is the same as one of the roles owner, service and exporter.
func (s *Site) DatabaseAs(namespace, role string) []string {
	return []string{"PGHOST=postgres-0.postgres." + namespace + ".svc.cluster.local", "PGDATABASE=mydb", "PGUSER=mydb_" + role,
		"PGSSLMODE=require", "PGPASSWORD=" + s.passwords[namespace][role]}
}

// Secrets are all that nobody may read in a console, a process list, a pod, an event
// or a file: in clear, as base64 and as part of a URL.
func (s *Site) Secrets() []string {
	clear := []string{os.Getenv("LAB_REGISTRY_PASSWORD")}
	for _, namespace := range s.all() {
		for _, password := range s.passwords[namespace] {
			clear = append(clear, password)
		}
	}
	secrets := []string{base64.StdEncoding.EncodeToString([]byte(os.Getenv("LAB_REGISTRY_USER") + ":" + clear[0]))}
	for _, token := range s.tokens {
		clear = append(clear, token)
	}
	if s.Signed {
		clear = append(clear, s.signingKey)
	}
	for _, secret := range clear {
		secrets = append(secrets, secret, base64.StdEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret), url.PathEscape(secret))
	}
	return secrets
}

// Migration is the newest one that a namespace's database has gone through.
func (s *Site) Migration(ctx context.Context, namespace string) (string, error) {
	out, err := s.helper(ctx, s.Database(namespace), "migrate-diff", "status", "--dir", filepath.Join(s.Service.Dir, "migrations"), "-o",
		"json")
	if err != nil {
		return "", err
	}
	var status struct{ Current string }
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return "", err
	}
	return status.Current, nil
}
