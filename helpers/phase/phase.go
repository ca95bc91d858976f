// Package phase is the command phase: each of its commands is one phase of a pipeline, made of what the other commands do.
package phase

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/helpers/internal/approved"
	"slipway.dev/slipway/helpers/internal/canary"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/deploy"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/policy"
	"slipway.dev/slipway/helpers/internal/registry"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// Flags that several phases share.
var (
	stable    = &cli.StringFlag{Name: "stable", EnvVars: []string{"SLIPWAY_STABLE"}, Usage: "the stable `DEPLOYMENT`"}
	image     = &cli.StringFlag{Name: "image", Usage: "the image of this release: `REPOSITORY:TAG@sha256:...`"}
	container = &cli.StringFlag{Name: "container", EnvVars: []string{"SLIPWAY_CONTAINER"},
		Usage: "the `NAME` of the container, where a pod has several"}
	runFlag = &cli.StringFlag{Name: "run", EnvVars: []string{"BUILD_URL"}, Usage: "what this run is called, such as the build's `URL`"}
	record  = &cli.StringSliceFlag{Name: "record",
		Usage: "note `KEY=VALUE` on the Deployment, as the annotation slipway.dev/KEY; an empty value is left out"}
	pull = &cli.StringFlag{Name: "pull-secret", Value: "nexus-pull",
		Usage: "the `NAME` of the Secret with which the nodes pull; it gets the login of REGISTRY_USERNAME"}
	expires = &cli.DurationFlag{Name: "expires", Value: 2 * time.Hour,
		Usage: "after this time any run may undo the canary, and the reaper does"}
	commit = &cli.StringFlag{Name: "commit", Usage: "the `COMMIT` that the image was built from"}
	dir    = &cli.StringFlag{Name: "dir", EnvVars: []string{"SLIPWAY_MIGRATIONS"},
		Usage: "the `FOLDER` of the migrations; empty where the service has no database"}
	optional   = &cli.BoolFlag{Name: "optional", Usage: "a service that never had the folder has no database"}
	outOfOrder = &cli.BoolFlag{Name: "allow-out-of-order", EnvVars: []string{"SLIPWAY_ALLOW_OUT_OF_ORDER"},
		Usage: "take a file that comes before one that is applied already"}
	gaps      = &cli.BoolFlag{Name: "allow-gaps", EnvVars: []string{"SLIPWAY_ALLOW_GAPS"}, Usage: "let a number be missing in a series"}
	reporting = &cli.StringFlag{Name: "report", Value: "canary-report.html", Usage: "write the analysis' page to this `FILE`"}
)

// App is the command phase.
func App() *cli.App {
	return &cli.App{
		Name:  "phase",
		Usage: "run one phase of a pipeline: find, fetch, gate, compare, plan, migrate, deploy, smoke, canary, judge, promote, undo",
		// A comma may be a part of a value that is recorded.
		DisableSliceFlagSeparator: true,
		Flags:                     paging,
		Commands: []*cli.Command{
			{Name: "find", Usage: "find the newest image that may be promoted, or check one tag", ArgsUsage: "REGISTRY/REPOSITORY",
				Action: find, Flags: join(registry.Flags(5*time.Minute), join(registry.SearchFlags(),
					&cli.StringSliceFlag{Name: "require", Value: cli.NewStringSlice("scan", "staging-verified"),
						Usage: "a `TYPE` of evidence that the image must have"}, policy.Flag)...)},
			{Name: "fetch", Usage: "write the image of a digest to a tar, which Trivy and nexus-push read; the digest is verified",
				ArgsUsage: "REGISTRY/REPOSITORY@sha256:...", Action: fetch, Flags: join(registry.Flags(time.Hour),
					&cli.StringFlag{Name: "tar", Usage: "the `FILE` that is written; it appears when it is whole"})},
			{Name: "gate", Usage: "say whether the image in a tar may go on, by what its scan found and by the waivers", Action: judgeScan,
				Flags: join(registry.GateFlags(),
					&cli.StringFlag{Name: "tar", Usage: "the image, as `FILE` that was scanned"},
					&cli.StringFlag{Name: "report", Usage: "Trivy's report in JSON, as `FILE`"})},
			{Name: "compare", Usage: "say what production runs now, and the commits between", ArgsUsage: "REGISTRY/REPOSITORY", Action: compare,
				Flags: join(kube.Flags, join(registry.Flags(5*time.Minute), stable, image, container, commit,
					&cli.IntFlag{Name: "replicas", Value: 2, Usage: "pods of a first release, where the Deployment asks for none"},
					policy.Flag,
					&cli.StringFlag{Name: "started-by", Usage: "who started the run, `JSON` such as {\"ids\":[\"ada\"],\"unknown\":\"\"}"},
					&cli.StringFlag{Name: "approvers", Usage: "the call's own `USERS` and groups, separated by commas"},
					&cli.IntFlag{Name: "weight", Value: 10, Usage: "the canary's share that is asked for, in `PERCENT`"},
					&cli.StringFlag{Name: "prometheus", EnvVars: []string{"PROMETHEUS_URL"}, Usage: "its `URL`, where the analysis asks it"},
					&cli.DurationFlag{Name: "hold", Value: time.Minute, Usage: "without Prometheus: how long the canary must stay up"},
					&cli.DurationFlag{Name: "duration", Value: 5 * time.Minute, Usage: "how long the canary is analyzed, with Prometheus"},
					&cli.Float64Flag{Name: "min-requests", Value: 500, Usage: "the least number of requests for a verdict"})...)},
			{Name: "plan", Usage: "say which migrations are pending, or why there is none to make", Action: plan, Flags: []cli.Flag{
				dir, optional, outOfOrder, gaps, image, policy.Flag,
				&cli.StringFlag{Name: "markdown", Usage: "write the whole plan to a `FILE` as Markdown"}}},
			{Name: "migrate", Usage: "apply what is pending, where a plan is not approved first, as in staging", Action: migrateNow,
				Flags: []cli.Flag{dir, optional, outOfOrder, gaps,
					&cli.BoolFlag{Name: "allow-breaking", EnvVars: []string{"SLIPWAY_ALLOW_BREAKING"},
						Usage: "apply also what the version that still runs would not survive"},
					&cli.StringFlag{Name: "commit", EnvVars: []string{"GIT_COMMIT"}, Usage: "the `COMMIT` of the files, for the history"},
					policy.Flag,
					&cli.DurationFlag{Name: "timeout", Value: 50 * time.Minute, Usage: "how long all of it may take"}}},
			{Name: "deploy", Usage: "deploy an image and wait for it; what fails is rolled back", Action: stage,
				Flags: join(kube.Flags, join(registry.Flags(10*time.Minute), stable, image, container, record, pull, runFlag, registry.SigningKey,
					&cli.StringFlag{Name: "smoke",
						Usage: "then ask this `URL`, and attach the evidence " + evidenceType + " to the image"})...)},
			{Name: "smoke", Usage: "ask the service once, and attach the evidence staging-verified to the digest that answered", ArgsUsage: "URL",
				Action: smoke,
				Flags:  join(kube.Flags, join(registry.Flags(10*time.Minute), stable, image, runFlag, registry.SigningKey)...)},
			{Name: "canary", Usage: "put the image on the canary and give it its share of the traffic", ArgsUsage: "WEIGHT", Action: beginCanary,
				Flags: join(kube.Flags, join(join(traffic, permission...), image, container, record, pull, tolerance, expires,
					timeout(5*time.Minute),
					&cli.IntFlag{Name: "max-extra", Value: 5, Usage: "how many pods may run beyond those that run now, in all"},
					&cli.IntFlag{Name: "min-stable", Value: -1, EnvVars: []string{"SLIPWAY_MIN_STABLE"},
						Usage: "the least number of stable pods; without it the number that runs now"})...)},
			{Name: "judge", Usage: "say whether the canary is healthy: by Prometheus where it is named, else by whether it stays up", Action: judge,
				Flags: join(kube.Flags, join(traffic, join(canary.AnalysisFlags, image, expires, reporting, policy.Flag, planID,
					&cli.DurationFlag{Name: "hold", Value: time.Minute, Usage: "without Prometheus: how long it must stay up"})...)...)},
			{Name: "promote", Usage: "put the image on stable, if what was approved is still true, and wait for it", ArgsUsage: "WEIGHT",
				Action: promote,
				Flags: join(kube.Flags, join(join(traffic, permission...), image, container, record, pull, tolerance, expires,
					timeout(10*time.Minute), registry.SigningKey,
					&cli.StringFlag{Name: "from", Usage: "the image of stable that the approval named: `REPOSITORY:TAG@sha256:...`"},
					&cli.BoolFlag{Name: "first", Usage: "what was approved is a first release, without a canary"},
					&cli.IntFlag{Name: "replicas", Usage: "pods of a first release"})...)},
			{Name: "undo", Usage: "take back what this run began: stable, canary or both", ArgsUsage: "stable|canary...", Action: undo,
				Flags: join(kube.Flags, join(traffic, image, container, timeout(5*time.Minute))...)},
		},
	}
}

func join(flags []cli.Flag, more ...cli.Flag) []cli.Flag {
	return append(append([]cli.Flag{}, flags...), more...)
}

func timeout(value time.Duration) cli.Flag {
	return &cli.DurationFlag{Name: "timeout", Value: value, Usage: "how long a rollout may take"}
}

// said is a phase's answer: a sentence for people, and the fields that a pipeline reads.
type said struct {
	text   string
	fields slipway.Fields
}

func (s said) Text(out io.Writer) error     { _, err := fmt.Fprintln(out, s.text); return err }
func (s said) Answer() slipway.Fields       { return s.fields }
func (s said) MarshalJSON() ([]byte, error) { return json.Marshal(s.fields) }

// needs is a usage error for the first of these flags that is not given.
func needs(c *cli.Context, names ...string) error {
	for _, name := range names {
		if c.String(name) == "" {
			return slipway.Usagef("phase %s needs --%s", c.Command.Name, name).Next("see slipway phase %s --help", c.Command.Name)
		}
	}
	return nil
}

// argument is the one word of the command.
func argument(c *cli.Context, what string) (string, error) {
	if c.NArg() != 1 {
		return "", slipway.Usagef("phase %s needs one %s, and got %d arguments", c.Command.Name, what, c.NArg())
	}
	return c.Args().First(), nil
}

func tell(c *cli.Context, format string, arguments ...any) {
	_, _ = fmt.Fprintf(c.App.ErrWriter, format+"\n", arguments...)
}

// wait waits for a Deployment, and tells what its pods said where it fails: they are gone when it is undone.
func wait(ctx context.Context, c *cli.Context, cluster *kube.Cluster, name string, options rollout.Options) error {
	targets := []rollout.Target{{Kind: rollout.Deployment, Name: name}}
	progress, picture := slipway.NewProgress(c.App.ErrWriter), rollout.NewPicture(targets)
	options.Graces, options.APIGrace = rollout.DefaultGraces, time.Minute
	options.Show = func(now time.Time, v rollout.Verdict, o rollout.Objects) { picture.Show(progress, now, v, o) }
	results, err := rollout.WaitAll(ctx, cluster, targets, options)
	progress.Done()
	if (err != nil || options.Logs) && len(results.Workloads) > 0 {
		_ = results.Text(c.App.ErrWriter) // the error says it, too
	}
	return err
}

// digestOf is what a reference pins.
func digestOf(reference string) string {
	_, digest, _ := strings.Cut(reference, "@")
	return digest
}

// putting are the options of a deployment with what the flags record, the approval that a guarded namespace lists, and the login
// that the nodes need.
func putting(c *cli.Context, name, what string) (deploy.Options, error) {
	options := deploy.Options{Name: name, Container: c.String("container"), Image: c.String("image"), Record: map[string]string{}}
	hash, by, err := approvedBy(c)
	if err != nil {
		return options, err
	}
	for _, pair := range c.StringSlice("record") {
		key, value, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return options, slipway.Usagef("--record %q is not of the form KEY=VALUE", pair)
		}
		if value != "" {
			options.Record[key] = value
		}
	}
	options.Approval = &approved.Entry{What: what, Hash: hash, Approvers: by, Build: options.Record["build"]}
	username, password := os.Getenv("REGISTRY_USERNAME"), os.Getenv("REGISTRY_PASSWORD")
	if c.String("pull-secret") == "" || username == "" {
		return options, nil
	}
	options.PullSecret = c.String("pull-secret")
	options.Docker, err = login(options.Image, username, password)
	return options, err
}

// login is Docker's config.json for the host of the image's registry, without the path that may follow it.
func login(image, username, password string) ([]byte, error) {
	host, _, _ := strings.Cut(image, "/")
	return json.Marshal(map[string]any{"auths": map[string]any{host: map[string]any{"auth": []byte(username + ":" + password)}}})
}

// shown is a reference as a person says it: latest-41 (sha256:9f2c1d0a…).
func shown(reference string) string {
	name, digest, pinned := strings.Cut(reference, "@")
	tag := name[strings.LastIndex(name, "/")+1:]
	switch {
	case reference == "":
		return "an unknown image"
	case pinned:
		return fmt.Sprintf("%s (%s…)", tag, digest[:min(19, len(digest))])
	}
	return tag
}
