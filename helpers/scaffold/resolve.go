package scaffold

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// values are what the templates are filled with. Each has passed its pattern: none can leave its place in YAML or Groovy.
type values struct {
	App, Image, Health, Ready, Smoke, Metrics   string
	Port                                        int
	User                                        int64
	Registry, AgentImage, Library               string
	Remote, GitCredentials, Branch              string
	StagingNamespace, ProductionNamespace       string
	StagingAgents, ProductionAgents             string
	Database, DatabaseUser, DatabaseSecret      string
	Migrations                                  string
	StagingDatabaseHost, ProductionDatabaseHost string
	StagingReplicas, ProductionReplicas         int
	Approvers                                   string // a list of YAML
	Dockerfile                                  bool
	StagingCall, ProductionCall, JobCall        string
}

// form is what a value looks like, and how that is said: as the parameters of the pipelines.
type form struct{ pattern, says string }

var (
	name       = form{`[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?`, "a name that Kubernetes allows: small letters, digits and -, at most 50"}
	repository = form{`[a-z0-9]+([._/-]+[a-z0-9]+)*`, "a repository in a registry, such as team/service"}
	registry   = form{`[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._/-]+)?`, "HOST, HOST:PORT or HOST:PORT/PATH, without a scheme"}
	reference  = form{`[^@\s:/"]+(:[0-9]+)?(/[^@\s:"]+)*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?`, "an image, such as HOST/slipway-agent:v1"}
	urlPath    = form{`/[A-Za-z0-9._~/-]*`, "a path that begins with /, without a query"}
	number     = form{`[1-9][0-9]{0,4}`, "a whole number from 1 on"}
	uid        = form{`[1-9][0-9]{0,9}`, "a number from 1 on: the containers do not run as root"}
	version    = form{`[A-Za-z0-9][A-Za-z0-9._/-]*`, "a tag or a branch"}
	remote     = form{`[A-Za-z0-9@./:+_~-]+`, "the URL of a Git repository"}
	identity   = form{`[A-Za-z0-9._@-]+`, "an id: letters, digits, ., _, @ and -"}
	database   = form{`[A-Za-z_][A-Za-z0-9_-]{0,62}`, "the name of a database: letters, digits, _ and -"}
	role       = form{`[A-Za-z_][A-Za-z0-9_-]*`, "the name of a role: letters, digits, _ and -"}
	folder     = form{`[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*`, "a folder inside the repository"}
	host       = form{`[A-Za-z0-9.-]+`, "the name of a host"}
)

// resolver collects what is missing and what is wrong, so that all of it is said at once.
type resolver struct {
	c        *cli.Context
	ask      func(context.Context, string) (string, error)
	missing  []string
	mistakes []string
	err      error
}

// value is what a flag says, else what a person answers to the question, else the value that was found.
func (r *resolver) value(flag, question, found string, form form) string {
	given := r.c.String(flag)
	if !r.c.IsSet(flag) && (given == "" || given == "0") {
		given = found
		if r.ask != nil && question != "" && r.err == nil {
			given = r.answered(question, found, form)
		}
	}
	if given == "" && r.err == nil && question != "" {
		r.missing = append(r.missing, "--"+flag)
	}
	if given != "" && !matches(form, given) {
		r.mistakes = append(r.mistakes, fmt.Sprintf("--%s %q is not %s", flag, given, form.says))
		return ""
	}
	return given
}

// answered asks until the answer has the form; an empty one takes what was found.
func (r *resolver) answered(question, found string, form form) string {
	if found != "" {
		question += " [" + found + "]"
	}
	for {
		answer, err := r.ask(r.c.Context, question)
		if err != nil {
			r.err = err
			return ""
		}
		answer = strings.TrimSpace(answer)
		if answer == "" && found != "" {
			return found
		}
		if matches(form, answer) {
			return answer
		}
		_, _ = fmt.Fprintf(r.c.App.ErrWriter, "%q is not %s.\n", answer, form.says)
	}
}

func matches(form form, text string) bool {
	return regexp.MustCompile(`^(` + form.pattern + `)$`).MatchString(text)
}

func (r *resolver) number(flag string, question, found string, form form) int {
	value, err := strconv.Atoi(r.value(flag, question, found, form))
	if err != nil {
		return 0 // said already
	}
	return value
}

// resolve puts together the values of flags, repository, questions and defaults.
func resolve(c *cli.Context, s *seen, ask func(context.Context, string) (string, error)) (values, error) {
	r := &resolver{c: c, ask: ask}
	var v values
	v.App = r.value("app", "Name of the service", s.app, name)
	v.Registry = r.value("registry", "Registry (HOST:PORT)", "", registry)
	v.Port = r.number("port", "Port of the container", onePort(s), number)
	v.Health = r.value("health", "Path that answers while the process works", s.health, urlPath)
	v.Remote = r.value("git-url", "URL from which Jenkins clones", s.remote, remote)
	if v.Remote != withoutLogin(v.Remote) {
		r.mistakes = append(r.mistakes, "--git-url holds a login: name Jenkins' credential by --git-credentials instead")
	}
	v.Migrations = r.value("migrations", "", s.migrations, folder)
	v.Database = r.value("database", "", "", database)
	if v.Database == "" && v.Migrations != "" {
		v.Database = strings.ReplaceAll(v.App, "-", "_")
	}
	v.Dockerfile, v.User = s.dockerfile, 10001
	if user := r.number("user", "", strconv.FormatInt(max(s.user, 0), 10), form{uid.pattern + "|0", uid.says}); user > 0 {
		v.User = int64(user)
	} else if c.IsSet("user") {
		r.mistakes = append(r.mistakes, fmt.Sprintf("--user %d is not %s", c.Int64("user"), uid.says))
	}
	v.Image = r.value("image", "", v.App, repository)
	v.Ready = r.value("ready", "", first(s.ready, v.Health), urlPath)
	v.Smoke = r.value("smoke", "", v.Ready, urlPath)
	v.Metrics = r.value("metrics", "", "", urlPath)
	if v.Registry != "" {
		v.AgentImage = r.value("agent-image", "", v.Registry+"/slipway-agent:v1", reference)
	}
	v.Library = r.value("library", "", "", version)
	v.GitCredentials = r.value("git-credentials", "", "", identity)
	v.Branch = r.value("branch", "", "", version)
	v.StagingNamespace = r.value("staging-namespace", "", "", name)
	v.ProductionNamespace = r.value("production-namespace", "", "", name)
	v.StagingAgents = r.value("staging-agents", "", "", name)
	v.ProductionAgents = r.value("production-agents", "", "", name)
	v.DatabaseUser = r.value("db-user", "", v.Database+"_service", role)
	v.DatabaseSecret = r.value("db-secret", "", "", name)
	v.StagingDatabaseHost = r.value("staging-db-host", "", bundled(v.StagingNamespace), host)
	v.ProductionDatabaseHost = r.value("production-db-host", "", bundled(v.ProductionNamespace), host)
	v.StagingReplicas = r.number("staging-replicas", "", "", number)
	v.ProductionReplicas = r.number("production-replicas", "", "", number)
	v.Approvers = r.approvers()
	if v.Port > 65535 {
		r.mistakes = append(r.mistakes, fmt.Sprintf("--port %d is above 65535", v.Port))
	}
	if v.StagingNamespace != "" && v.StagingNamespace == v.ProductionNamespace {
		r.mistakes = append(r.mistakes, "--staging-namespace and --production-namespace are the same")
	}
	if r.err != nil {
		return v, r.err
	}
	if err := r.refused(s); err != nil {
		return v, err
	}
	v.calls()
	return v, nil
}

func (r *resolver) refused(s *seen) error {
	if len(r.mistakes) > 0 {
		return slipway.Usagef("init cannot start: %s", strings.Join(r.mistakes, "; "))
	}
	if len(r.missing) == 0 {
		return nil
	}
	err := slipway.Usagef("init cannot read from the repository: %s", strings.Join(r.missing, ", ")).
		Next("give the values by these flags, or run it at a terminal, where it asks; nothing was written")
	if len(s.ports) > 1 {
		err.Why = fmt.Sprintf("the Dockerfile exposes several ports: %v", s.ports)
	}
	return err
}

func onePort(s *seen) string {
	if len(s.ports) == 1 {
		return strconv.Itoa(s.ports[0])
	}
	return ""
}

// bundled is the host of the PostgreSQL in the same namespace, as the pipelines' own default has it.
func bundled(namespace string) string {
	return "postgres-0.postgres." + namespace + ".svc.cluster.local"
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

func (r *resolver) approvers() string {
	given := r.c.StringSlice("approver")
	for _, each := range given {
		if !matches(identity, each) {
			r.mistakes = append(r.mistakes, fmt.Sprintf("--approver %q is not %s", each, identity.says))
		}
	}
	if len(given) == 0 {
		return ""
	}
	return `["` + strings.Join(given, `", "`) + `"]`
}

// calls are the pipelines' one line each: what is as the pipelines' own default is not in them.
func (v *values) calls() {
	call := func(step string, more ...string) string {
		arguments := []string{"app: '" + v.App + "'"}
		add := func(name, value, otherwise string) {
			if value != otherwise {
				arguments = append(arguments, name+": '"+value+"'")
			}
		}
		add("image", v.Image, v.App)
		production := step == "prodCanaryPipeline"
		namespace, usual, server := v.StagingNamespace, "staging", v.StagingDatabaseHost
		if production {
			namespace, usual, server = v.ProductionNamespace, "prod", v.ProductionDatabaseHost
		}
		add("namespace", namespace, usual)
		if v.Database != "" {
			add("dbName", v.Database, "mydb")
			add("dbHost", server, bundled(namespace))
			add("migrationsDir", first(v.Migrations, "migrations"), "migrations")
		}
		if !production {
			add("branch", v.Branch, "Staging")
			add("smokePath", v.Smoke, "/version")
		}
		return step + "(" + strings.Join(append(arguments, more...), ", ") + ")"
	}
	v.StagingCall, v.ProductionCall = call("stagingPipeline"), call("prodCanaryPipeline")
	source := "\n              sourceUrl: '" + v.Remote + "', sourceCredentialsId: '" + v.GitCredentials + "'"
	if v.Branch != "Staging" { // the clone needs the history of the branch that is delivered
		source += ", branch: '" + v.Branch + "'"
	}
	v.JobCall = strings.ReplaceAll(call("prodCanaryPipeline", source), ", \n", ",\n")
}
