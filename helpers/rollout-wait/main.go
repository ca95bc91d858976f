// Package rolloutwait is the command rollout-wait, which waits until a rollout is done, and says early and exactly why it will not be.
package rolloutwait

import (
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// App is the command rollout-wait: flags in, one call, one result out.
func App() *cli.App {
	graces := rollout.DefaultGraces
	return &cli.App{
		Name:      "rollout-wait",
		Usage:     "wait until a rollout is complete; if it cannot complete, say why, and say it early",
		ArgsUsage: "deployment/NAME [statefulset/NAME daemonset/NAME ...]",
		Flags: append(
			append([]cli.Flag{}, kube.Flags...),
			&cli.DurationFlag{
				Name:    "timeout",
				Value:   10 * time.Minute,
				EnvVars: []string{"SLIPWAY_TIMEOUT"},
				Usage:   "the longest time that the rollout may take",
			},
			&cli.StringFlag{Name: "image", Usage: "complete only if every pod runs this digest: `REPOSITORY@sha256:...`"},
			&cli.StringFlag{Name: "min-available", Usage: "complete as soon as this many new pods are available: `N or N%`"},
			&cli.DurationFlag{
				Name:  "hold",
				Usage: "it must then stay complete for this long: no restart, no pod that is not ready, the same revision",
			},
			&cli.BoolFlag{Name: "any", Usage: "fail as soon as one pod has failed, even if others may still become ready"},
			&cli.DurationFlag{Name: "wait-for-create", Usage: "how long to wait for a workload that does not exist"},
			&cli.DurationFlag{Name: "api-grace", Value: time.Minute, Usage: "how long the API server may be away"},
			&cli.BoolFlag{Name: "rollback", Usage: "go back to the last good revision if it fails, and wait for that"},
			&cli.BoolFlag{Name: "undo", Usage: "go back to the last good revision first, then wait for that"},
			&cli.StringFlag{Name: "undo-from", Usage: "with --undo: only from this `IMAGE`; exit 4 where the Deployment has another one"},
			&cli.BoolFlag{Name: "mark-good", Usage: "mark this revision as good on the Deployment, for later rollbacks"},
			&cli.BoolFlag{Name: "logs", Usage: "also print the last log lines of one pod"},
			grace("pull", "the registry may be unreachable", &graces.PullTransient),
			grace("pull-refused", "a registry may refuse an image, where the kubelet was not seen to try twice", &graces.PullRefused),
			grace("config", "a Secret or ConfigMap may be missing", &graces.Config),
			grace("crash", "a container may end again and again", &graces.Crash),
			grace("create", "a container or its sandbox may fail to be made", &graces.Create),
			grace("unschedulable", "no node may take a pod", &graces.Unschedulable),
			grace("claim", "a PersistentVolumeClaim may be unbound", &graces.Claim),
			grace("quota", "quota, LimitRange and Pod Security may refuse pods", &graces.Quota),
			grace("webhook", "admission webhooks and policies may refuse pods", &graces.Webhook),
			grace("stuck", "the rollout may make no progress", &graces.Stuck),
			&cli.DurationFlag{Name: "proof", Value: graces.Proof, Destination: &graces.Proof,
				Usage: "how long a container without a readiness probe has to run to count"},
		),
		Action: func(c *cli.Context) error { return run(c, graces) },
	}
}

func grace(of, what string, value *time.Duration) cli.Flag {
	return &cli.DurationFlag{Name: "grace-" + of, Value: *value, Destination: value, Usage: "how long " + what}
}

// collecting is how much garbage there may be beside what is in use, in percent: a program that mostly waits has processor time.
const collecting = 25

func run(c *cli.Context, graces rollout.Graces) error {
	debug.SetGCPercent(collecting)
	targets, err := parseTargets(c.Args().Slice())
	if err != nil {
		return err
	}
	options, err := parseOptions(c, graces)
	if err != nil {
		return err
	}
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	if c.Bool("undo") {
		for _, target := range targets {
			if target.Kind != rollout.Deployment {
				return slipway.Usagef("--undo knows Deployments only, and %s is none", target)
			}
			if _, _, err := rollout.Undo(c.Context, cluster, target.Name, rollout.Leaving{Image: c.String("undo-from")}); err != nil {
				return slipway.Finish(c, nil, err)
			}
		}
	}
	progress := slipway.NewProgress(c.App.ErrWriter)
	picture := rollout.NewPicture(targets)
	options.Show = func(now time.Time, v rollout.Verdict, o rollout.Objects) {
		picture.Show(progress, now, v, o)
	}
	results, err := rollout.WaitAll(c.Context, cluster, targets, options)
	progress.Done()
	if len(results.Workloads) == 0 {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, results, err)
}

func parseOptions(c *cli.Context, graces rollout.Graces) (rollout.Options, error) {
	options := rollout.Options{
		Criteria: rollout.Criteria{Hold: c.Duration("hold"), Any: c.Bool("any"), Graces: graces},
		Timeout:  c.Duration("timeout"), WaitForCreate: c.Duration("wait-for-create"), APIGrace: c.Duration("api-grace"),
		Rollback: c.Bool("rollback"), MarkGood: c.Bool("mark-good"), Logs: c.Bool("logs"),
	}
	if options.Timeout <= 0 {
		return options, slipway.Usagef("--timeout %s leaves no time: give a positive one, such as 10m", options.Timeout)
	}
	for _, flag := range c.App.Flags {
		if name := flag.Names()[0]; c.Duration(name) < 0 {
			return options, slipway.Usagef("--%s %s is less than no time", name, c.Duration(name))
		}
	}
	if image := c.String("image"); image != "" {
		_, digest, _ := strings.Cut(image, "@")
		if !sha256.MatchString(digest) {
			return options, slipway.Usagef("--image %q names no digest: REPOSITORY@sha256:...", image)
		}
		options.Criteria.Image = digest
	}
	if least := c.String("min-available"); least != "" {
		value := intstr.Parse(least)
		if count, err := intstr.GetScaledValueFromIntOrPercent(&value, 100, true); err != nil || count < 1 ||
			value.Type == intstr.String && count > 100 {
			return options, slipway.Usagef("--min-available %q is neither a number from 1 on nor a percentage from 1%% to 100%%", least)
		}
		options.Criteria.MinAvailable = &value
	}
	return options, nil
}

var sha256 = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

var kinds = map[string]string{
	"deployment": rollout.Deployment, "deployments": rollout.Deployment, "deploy": rollout.Deployment,
	"statefulset": rollout.StatefulSet, "statefulsets": rollout.StatefulSet, "sts": rollout.StatefulSet,
	"daemonset": rollout.DaemonSet, "daemonsets": rollout.DaemonSet, "ds": rollout.DaemonSet,
}

func parseTargets(arguments []string) ([]rollout.Target, error) {
	if len(arguments) == 0 {
		return nil, slipway.Usagef("rollout-wait needs a workload, such as deployment/fastapi-app")
	}
	var targets []rollout.Target
	for _, argument := range arguments {
		kind, name, found := strings.Cut(argument, "/")
		if !found || name == "" {
			return nil, slipway.Usagef("%q is not of the form deployment/NAME", argument)
		}
		known, ok := kinds[strings.TrimSuffix(strings.ToLower(kind), ".apps")] // as kubectl get -o name gives it
		if !ok {
			return nil, slipway.Usagef("%q is of the kind %s, which has no rollout: give a deployment, statefulset or daemonset", argument, kind)
		}
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			return nil, slipway.Usagef("%q cannot be the name of a %s", name, known)
		}
		if target := (rollout.Target{Kind: known, Name: name}); !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
	}
	return targets, nil
}
