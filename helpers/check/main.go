// Package check is the command check: it says what a site still lacks before its first release.
package check

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
	"k8s.io/client-go/tools/clientcmd"

	"slipway.dev/slipway/helpers/internal/canary"
	"slipway.dev/slipway/helpers/internal/check"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/policy"
	"slipway.dev/slipway/helpers/internal/registry"
	"slipway.dev/slipway/helpers/internal/safe"
)

const description = `It asks Jenkins, the cluster, the registry, the database, Prometheus and the service, all at the same time,
and changes nothing. For each check that is not ok it says why that matters and the command that corrects it. What is not given
is not checked, and the last lines name it. Every check is listed in docs/check.md, and by: slipway check --list`

// App is the command check.
func App() *cli.App {
	return &cli.App{
		Name:        "check",
		Usage:       "say what a site still lacks before its first release, and the command that corrects it",
		Description: description,
		Action:      run,
		Flags:       flags(),
	}
}

func flags() []cli.Flag {
	return slices.Concat([]cli.Flag{
		&cli.StringSliceFlag{Name: "only",
			Usage: "ask these `CHECKS` only: an id such as pull-secret, or a group such as database; may be repeated"},
		&cli.BoolFlag{Name: "all", Usage: "show what is ok and what was not asked, too"},
		&cli.BoolFlag{Name: "list", Usage: "list all checks, and ask none"},
		&cli.BoolFlag{Name: "fix", Usage: "show which labels of namespaces, objects of k8s/site and empty list of images would be applied, " +
			"and apply them after a yes"},
		&cli.BoolFlag{Name: "yes", Usage: "with --fix: apply without asking"},
		&cli.StringSliceFlag{Name: "part", Value: cli.NewStringSlice("build", "staging", "prod"), EnvVars: []string{"SLIPWAY_PARTS"},
			Usage: "the `PARTS` of k8s/site that this cluster has"},
		&cli.StringSliceFlag{Name: "rename", EnvVars: []string{"SLIPWAY_NAMESPACES"},
			Usage: "`NAME=OTHER`: what this site calls a namespace of k8s/site, such as prod=shop; may be repeated"},
	}, kube.Flags, canary.NameFlags, registryFlags(), canary.SourceFlags, []cli.Flag{
		&cli.DurationFlag{Name: "interval", Value: 30 * time.Second, Usage: "between two looks of the analysis"},
		&cli.DurationFlag{Name: "router-delay", Value: 3 * time.Second, EnvVars: []string{"SLIPWAY_ROUTER_DELAY"},
			Usage: "how long the router may take until it sends a pod that ends no more requests; gateways often need 10s"},
		&cli.StringFlag{Name: "registry", EnvVars: []string{"SLIPWAY_REPOSITORY", "SLIPWAY_REGISTRY"},
			Usage: "`REGISTRY/REPOSITORY` of the service's images"},
		&cli.StringFlag{Name: "quarantine", EnvVars: []string{"SLIPWAY_QUARANTINE"},
			Usage: "`REGISTRY/REPOSITORY` to which builds push"},
		&cli.StringFlag{Name: "agent-image", EnvVars: []string{"SLIPWAY_AGENT_IMAGE"},
			Usage: "the `IMAGE` of the pods that probe; without it the reaper's"},
		policy.Flag,
		&cli.StringSliceFlag{Name: "waivers", Value: cli.NewStringSlice("slipway-waivers.yaml"),
			Usage: "a `FILE` of waivers; one that is not there has none"},
		&cli.StringFlag{Name: "jenkins", EnvVars: []string{"JENKINS_URL"},
			Usage: "its `URL`; the login is JENKINS_USER_ID and JENKINS_API_TOKEN, as for Jenkins' own command line"},
		&cli.StringFlag{Name: "database-url-file", EnvVars: []string{"SLIPWAY_DATABASE_URL_FILE"},
			Usage: "a `FILE` that holds postgres://USER:PASSWORD@HOST:PORT/DATABASE; else DATABASE_URL, or PGHOST and its like"},
		&cli.DurationFlag{Name: "max-transaction", Value: 5 * time.Minute, Usage: "how long a transaction of the database may be open"},
		&cli.BoolFlag{Name: "probe-registry",
			Usage: "push an artifact of a few bytes to the repository, and delete it again where that is allowed"},
		&cli.StringFlag{Name: "listen", Hidden: true, Usage: "what a pod of --probe-network runs: accept connections at this `PORT`"},
		&cli.StringFlag{Name: "dial", Hidden: true, Usage: "what a pod of --probe-network runs: exit 0 where `HOST:PORT` was connected"},
		&cli.BoolFlag{Name: "probe-network",
			Usage: "start two pods of an agents' namespace, and delete them: are NetworkPolicies enforced?"},
		&cli.BoolFlag{Name: "probe-images",
			Usage: "start a pod of an agents' namespace, and delete it: are the images of the pod templates pulled?"},
	})
}

// registryFlags are those of the other commands, but for the time: here each check has its own.
func registryFlags() []cli.Flag {
	return slices.DeleteFunc(registry.Flags(time.Minute), func(flag cli.Flag) bool { return flag.Names()[0] == "timeout" })
}

func run(c *cli.Context) error {
	switch {
	case c.String("listen") != "":
		return listen(c)
	case c.String("dial") != "":
		return dial(c)
	}
	if c.NArg() > 0 {
		return slipway.Usagef("check takes no arguments, and got %q", safe.Line(c.Args().First()))
	}
	table, unknown := check.Select(check.Table(), c.StringSlice("only"))
	if unknown != "" {
		return slipway.Usagef("--only %s names neither a check nor a group", safe.Line(unknown)).
			Next("list them: slipway check --list")
	}
	if c.Bool("list") {
		return slipway.Finish(c, check.List(table), nil)
	}
	report, err := ask(c, table)
	if err != nil {
		return err
	}
	if !c.Bool("fix") {
		return show(c, report)
	}
	changes := report.Changes()
	if len(changes) == 0 {
		_, _ = fmt.Fprintln(c.App.ErrWriter, "check: there is nothing that --fix may apply")
		return show(c, report)
	}
	site, err := siteOf(c)
	if err != nil {
		return err
	}
	if agreed, err := agree(c, changes); err != nil || !agreed {
		if err != nil {
			return err
		}
		return show(c, report)
	}
	err = check.Apply(c.Context, site.Cluster, changes, func(change check.Change) {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "check: done: %s\n", safe.Line(change.Does))
	})
	if err != nil {
		return err
	}
	if report, err = ask(c, table); err != nil {
		return err
	}
	return show(c, report)
}

// ask runs the checks of the table.
func ask(c *cli.Context, table []check.Check) (check.Report, error) {
	site, err := siteOf(c)
	if err != nil {
		return check.Report{}, err
	}
	defer site.Close()
	progress := slipway.NewProgress(c.App.ErrWriter)
	began := time.Now()
	results := check.Run(c.Context, site, table, func(done, of int) {
		if time.Since(began) > time.Second {
			progress.Show(time.Now(), "check: %d of %d", done, of)
		}
	})
	progress.Done()
	report := check.NewReport(results)
	report.All = c.Bool("all")
	return report, nil
}

// siteOf is the site that the flags and the environment describe.
func siteOf(c *cli.Context) (*check.Site, error) {
	site := &check.Site{Parts: c.StringSlice("part"), Rename: map[string]string{}, CAFile: c.String("ca-file"),
		AgentImage: c.String("agent-image"), Quarantine: c.String("quarantine"), Open: c.Duration("max-transaction"),
		ProbeNetwork: c.Bool("probe-network"), ProbeImages: c.Bool("probe-images"), ProbeRegistry: c.Bool("probe-registry")}
	for _, pair := range c.StringSlice("rename") {
		name, other, whole := strings.Cut(pair, "=")
		if !whole || name == "" || other == "" {
			return nil, slipway.Usagef("--rename %s is not NAME=OTHER", safe.Line(pair))
		}
		site.Rename[name] = other
	}
	if site.Names = canary.NamesOf(c); site.Names.App == "" && site.Names.Stable != "" {
		site.Names.App = site.Names.Stable
	}
	site.Source, site.Interval, site.RouterDelay = canary.SourceOf(c), c.Duration("interval"), c.Duration("router-delay")
	if site.Namespace = c.String("namespace"); site.Namespace == "" {
		site.Namespace = renamed(site, "prod")
	}
	var named bool
	if site.Host, _, named = strings.Cut(c.String("registry"), "/"); named {
		site.Repository = c.String("registry")
	}
	for _, part := range site.Parts {
		if !slices.Contains([]string{"build", "staging", "prod"}, part) {
			return nil, slipway.Usagef("--part %s is none of build, staging, prod", safe.Line(part))
		}
	}
	cluster, err := kube.Connect(c)
	switch {
	case err == nil:
		site.Cluster = cluster
	case clientcmd.IsEmptyConfig(slipway.AsError(err).Unwrap()):
		site.NoKube = "no cluster is given: KUBECONFIG, or --kubeconfig FILE"
	default:
		return nil, err
	}
	site.PolicyFile, site.Waivers = c.String("policy"), c.StringSlice("waivers")
	if address := c.String("jenkins"); address != "" {
		if !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") || strings.Contains(address, "@") {
			return nil, slipway.Usagef("--jenkins is no URL such as https://jenkins.example, without a login").
				Next("the login is JENKINS_USER_ID and JENKINS_API_TOKEN")
		}
		site.AskJenkins(address, os.Getenv("JENKINS_USER_ID"), os.Getenv("JENKINS_API_TOKEN"))
	}
	if err := database(c, site); err != nil {
		return nil, err
	}
	if site.ImageOptions, err = registry.OptionsOf(c); err != nil {
		return nil, err
	}
	if site.Images, err = registry.New(site.ImageOptions); err != nil {
		return nil, err
	}
	for _, repository := range []string{site.Repository, site.Quarantine} {
		if _, err := site.Images.Repository(repository); err != nil && repository != "" {
			return nil, err
		}
	}
	return site, site.Prepare()
}

// renamed is the site's name of a namespace of k8s/site.
func renamed(site *check.Site, name string) string {
	if other := site.Rename[name]; other != "" {
		return other
	}
	return name
}

// database finds the one that migrate-diff would take, if there is one.
func database(c *cli.Context, site *check.Site) error {
	site.Address = os.Getenv("DATABASE_URL")
	if file := c.String("database-url-file"); file != "" {
		body, err := os.ReadFile(file)
		if err != nil {
			return slipway.Usagef("the file of the database's address cannot be read").Because(err).Next("check --database-url-file")
		}
		site.Address = strings.TrimSpace(string(body))
	}
	site.HasDatabase = site.Address != "" || os.Getenv("PGHOST") != "" || os.Getenv("PGHOSTADDR") != "" || os.Getenv("PGSERVICE") != ""
	return nil
}

// show writes the report. On a terminal it has colours, unless NO_COLOR is set (https://no-color.org).
func show(c *cli.Context, report check.Report) error {
	if file, is := c.App.Writer.(*os.File); is && c.String("output") == "text" && !c.Bool("answer") {
		report.Colour = os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(file.Fd()))
		if err := report.Text(file); err != nil {
			return slipway.Errorf(slipway.Unknown, "the report could not be written").Because(err)
		}
		return slipway.Finish(c, nil, report.Err())
	}
	if c.Bool("answer") && report.Err() == nil { // a failure is told by Finish
		if err := report.Text(c.App.ErrWriter); err != nil {
			return slipway.Errorf(slipway.Unknown, "the report could not be written").Because(err)
		}
	}
	return slipway.Finish(c, report, report.Err())
}

// agree shows the changes, and asks the person at the terminal.
func agree(c *cli.Context, changes []check.Change) (bool, error) {
	var text strings.Builder
	for _, change := range changes {
		fmt.Fprintf(&text, "  %s\n", safe.Line(change.Does))
	}
	_, _ = fmt.Fprintf(c.App.ErrWriter, "check: --fix applies:\n%s", text.String())
	if c.Bool("yes") {
		return true, nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return false, slipway.Usagef("--fix asks at a terminal, and there is none").Next("apply without being asked: --fix --yes")
	}
	_, _ = fmt.Fprint(c.App.ErrWriter, "Apply them? [y/N] ")
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, slipway.Errorf(slipway.Unknown, "the answer could not be read").Because(err)
	}
	return slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))), nil
}
