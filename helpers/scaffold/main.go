// Package scaffold is the command init: it writes into a service's repository what Slipway needs to deliver it.
package scaffold

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// App is the command init: flags in, one call, one result out.
func App() *cli.App {
	return &cli.App{
		Name:  "init",
		Usage: "write into a service's repository what Slipway needs to deliver it",
		Description: "Writes the two Jenkinsfiles, the manifests (k8s/), and for the site's administrator the jobs, the policy and the " +
			"NetworkPolicies (slipway/). A file that exists is never changed: init says what it lacks. Either all files that are " +
			"missing are written, or none. What no flag gives is read from the repository (Deployment, Dockerfile, sources, git's " +
			"remote); the rest is asked for at a terminal. Elsewhere, the error names the flags that are missing.",
		ArgsUsage:                 "[FOLDER]",
		DisableSliceFlagSeparator: true,
		Flags:                     flags(),
		Action:                    run,
	}
}

// flags are one for each question, and for what is rarely another than its default.
func flags() []cli.Flag {
	text := func(category, name, value, variable, usage string) cli.Flag {
		f := &cli.StringFlag{Category: category, Name: name, Value: value, Usage: usage}
		if variable != "" {
			f.EnvVars = []string{variable}
		}
		return f
	}
	const service, site, database, production = "The service", "The site", "The database", "The releases"
	return []cli.Flag{
		text(service, "app", "", "SLIPWAY_APP", "the `NAME` of the service, its Deployment and Services (default: the repository's name)"),
		text(service, "image", "", "", "the `REPOSITORY` in the registry, such as team/orders (default: the service's name)"),
		&cli.IntFlag{
			Category: service,
			Name:     "port",
			Usage:    "the `PORT` on which the container listens (default: EXPOSE of the Dockerfile)",
		},
		text(service, "health", "", "", "the `PATH` that answers while the process works, for the startup and liveness probes "+
			"(default: read from HEALTHCHECK or the sources)"),
		text(
			service,
			"ready",
			"",
			"",
			"the `PATH` that answers while requests can be served, for the readiness probe (default: as --health)",
		),
		text(service, "smoke", "", "", "the `PATH` that staging asks after the rollout (default: as --ready)"),
		text(service, "metrics", "", "", "the `PATH` of the Prometheus metrics, on the same port (default: none)"),
		&cli.Int64Flag{
			Category: service,
			Name:     "user",
			Usage:    "the numeric `UID` of the container's user (default: USER of the Dockerfile, else 10001)",
		},
		text(site, "registry", "", "SLIPWAY_REGISTRY", "the registry, as `HOST:PORT` without a scheme"),
		text(site, "agent-image", "", "SLIPWAY_AGENT_IMAGE", "the `IMAGE` of the agents (default: REGISTRY/slipway-agent:v1)"),
		text(site, "library", "v1", "", "the `VERSION` of the library that the Jenkinsfiles name"),
		text(site, "git-url", "", "", "the `URL` from which Jenkins clones the repository (default: git's remote origin)"),
		text(site, "git-credentials", "gitee", "", "the `ID` of the Jenkins credential for it"),
		text(site, "branch", "Staging", "", "the `BRANCH` that is delivered to staging"),
		text(site, "staging-namespace", "staging", "", "the `NAMESPACE` of staging"),
		text(site, "production-namespace", "prod", "", "the `NAMESPACE` of production"),
		text(site, "staging-agents", "jenkins-staging", "", "the `NAMESPACE` of the agents that deliver to staging"),
		text(site, "production-agents", "jenkins-prod", "", "the `NAMESPACE` of the agents that deliver to production"),
		text(
			database,
			"database",
			"",
			"",
			"the `NAME` of the PostgreSQL database (default: none, or the service's name where there are migrations)",
		),
		text(database, "migrations", "", "", "the `FOLDER` of the migrations (default: the one that has SQL files)"),
		text(
			database,
			"staging-db-host",
			"",
			"",
			"the `HOST` of staging's server (default: postgres-0.postgres.NAMESPACE.svc.cluster.local)",
		),
		text(database, "production-db-host", "", "", "the `HOST` of production's server (default: as for staging)"),
		text(database, "db-user", "", "", "the `ROLE` as which the service connects (default: DATABASE_service, which roles.sql makes)"),
		text(database, "db-secret", "postgres-roles", "", "the `SECRET` in both namespaces that has this role's password in the key service"),
		&cli.IntFlag{Category: production, Name: "staging-replicas", Value: 1, Usage: "`PODS` of staging before the first release"},
		&cli.IntFlag{Category: production, Name: "production-replicas", Value: 9,
			Usage: "`PODS` of production before the first release; with 9, a canary of one pod gets 10 % of the requests"},
		&cli.StringSliceFlag{Category: production, Name: "approver",
			Usage: "a Jenkins `USER` or group that may approve migrations and promotions; may be repeated (default: every user that may build)"},
		&cli.BoolFlag{Name: "dry-run", Usage: "print the files, and write nothing"},
	}
}

func run(c *cli.Context) error {
	if c.NArg() > 1 {
		return slipway.Usagef("init takes one FOLDER, and got %d arguments", c.NArg())
	}
	folder := c.Args().First()
	if folder == "" {
		folder = "."
	}
	root, err := open(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	objects, err := find(root)
	if err != nil {
		return err
	}
	seen := look(c.Context, root, objects)
	values, err := resolve(c, seen, asker(c))
	if err != nil {
		return err
	}
	files, err := render(values)
	if err != nil {
		return err
	}
	answer := outcome{values: values, Seen: seen.notes, Dry: c.Bool("dry-run")}
	if err := answer.sort(root, files, objects); err != nil {
		return err
	}
	if !answer.Dry {
		if err := write(c.Context, root, answer.Files); err != nil {
			return err
		}
	}
	return slipway.Finish(c, answer, answer.lacking())
}

// open gives the root of a git repository. Nothing outside of it is read or written, also not through a symbolic link.
func open(folder string) (*os.Root, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, slipway.Usagef("the folder %s cannot be opened", folder).Because(err)
	}
	if _, err := root.Lstat(".git"); err != nil {
		_ = root.Close()
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, slipway.Usagef("the folder %s cannot be read", folder).Because(err)
		}
		return nil, slipway.Usagef("%s is not the root of a git repository", folder).Next("run it there, or run: git init")
	}
	return root, nil
}

// asker asks a person, where one is at both ends.
func asker(c *cli.Context) func(ctx context.Context, question string) (string, error) {
	in, isFile := c.App.Reader.(*os.File)
	out, toFile := c.App.ErrWriter.(*os.File)
	if !isFile || !toFile || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return nil
	}
	return questions(in, out)
}

func questions(in io.Reader, out io.Writer) func(context.Context, string) (string, error) {
	lines := bufio.NewReader(in)
	return func(ctx context.Context, question string) (string, error) {
		if _, err := io.WriteString(out, question+": "); err != nil {
			return "", err
		}
		answer := make(chan string, 1)
		failed := make(chan error, 1)
		go func() { // a read from a terminal cannot be cancelled
			line, err := lines.ReadString('\n')
			if err != nil && line == "" {
				failed <- err
				return
			}
			answer <- line
		}()
		select {
		case line := <-answer:
			return line, nil
		case err := <-failed:
			return "", slipway.Usagef("the question %q was not answered", question).Because(err).Next("give the value by its flag")
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func nameOf(folder string) string {
	if absolute, err := filepath.Abs(folder); err == nil {
		return filepath.Base(absolute)
	}
	return ""
}
