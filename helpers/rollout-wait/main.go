// Command rollout-wait waits until a rollout is done, and says early and exactly why it will not be.
package main

import (
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/util/intstr"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
)

func main() {
	graces := rollout.DefaultGraces
	slipway.Run(&cli.App{
		Name:      "rollout-wait",
		Usage:     "wait until a rollout is done, and say early and exactly why it will not be",
		ArgsUsage: "deployment/NAME [statefulset/NAME daemonset/NAME ...]",
		Flags: append(append([]cli.Flag{}, kube.Flags...),
			&cli.DurationFlag{Name: "timeout", Value: 10 * time.Minute, EnvVars: []string{"SLIPWAY_TIMEOUT"}, Usage: "how long at most"},
			&cli.StringFlag{Name: "image", Usage: "done only when every new pod runs this digest: `REPOSITORY@sha256:...`"},
			&cli.StringFlag{Name: "min-available", Usage: "done already with so many new pods: `N or N%`"},
			&cli.DurationFlag{Name: "hold", Usage: "done only if it then stays so"},
			&cli.DurationFlag{Name: "wait-for-create", Usage: "how long an absent workload is waited for"},
			&cli.DurationFlag{Name: "api-grace", Value: time.Minute, Usage: "how long the API server may be away"},
			&cli.BoolFlag{Name: "rollback", Usage: "go back to the last good revision if it fails, and wait for that"},
			&cli.BoolFlag{Name: "undo", Usage: "go back to the last good revision first, then wait for that"},
			&cli.StringFlag{Name: "undo-from", Usage: "with --undo: only from this `IMAGE`; exit 4 where the Deployment has another one"},
			&cli.BoolFlag{Name: "mark-good", Usage: "note on the Deployment that this revision became good, for later rollbacks"},
			&cli.DurationFlag{Name: "grace-pull", Value: graces.PullTransient, Usage: "how long a registry may not answer", Destination: &graces.PullTransient},
			&cli.DurationFlag{Name: "grace-config", Value: graces.Config, Usage: "how long a Secret or ConfigMap may be missing", Destination: &graces.Config},
			&cli.DurationFlag{Name: "grace-create", Value: graces.Create, Usage: "how long a container may fail to be made", Destination: &graces.Create},
			&cli.DurationFlag{Name: "grace-unschedulable", Value: graces.Unschedulable, Usage: "how long no node may take a pod", Destination: &graces.Unschedulable},
			&cli.DurationFlag{Name: "grace-quota", Value: graces.Quota, Usage: "how long quota and policy may refuse pods", Destination: &graces.Quota},
			&cli.DurationFlag{Name: "grace-webhook", Value: graces.Webhook, Usage: "how long a webhook may refuse pods", Destination: &graces.Webhook},
			&cli.DurationFlag{Name: "grace-stuck", Value: graces.Stuck, Usage: "how long nothing may move", Destination: &graces.Stuck},
		),
		Action: func(c *cli.Context) error { return run(c, graces) },
	})
}

func run(c *cli.Context, graces rollout.Graces) error {
	targets, err := parseTargets(c.Args().Slice())
	if err != nil {
		return err
	}
	if c.Duration("timeout") <= 0 {
		return slipway.Usagef("--timeout %s leaves no time: give a positive one, such as 10m", c.Duration("timeout"))
	}
	options := rollout.Options{
		Criteria: rollout.Criteria{Start: time.Now(), Hold: c.Duration("hold"), Graces: graces},
		Timeout:  c.Duration("timeout"), WaitForCreate: c.Duration("wait-for-create"), APIGrace: c.Duration("api-grace"),
		Rollback: c.Bool("rollback"), MarkGood: c.Bool("mark-good"),
	}
	if image := c.String("image"); image != "" {
		_, digest, found := strings.Cut(image, "@")
		if !found {
			return slipway.Usagef("--image %q names no digest: REPOSITORY@sha256:...", image)
		}
		options.Criteria.Image = digest
	}
	if least := c.String("min-available"); least != "" {
		value := intstr.Parse(least)
		if _, err := intstr.GetScaledValueFromIntOrPercent(&value, 100, true); err != nil {
			return slipway.Usagef("--min-available %q is neither a number nor a percentage", least)
		}
		options.Criteria.MinAvailable = &value
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
			if from := c.String("undo-from"); from != "" {
				if err := rollout.CheckImage(c.Context, cluster, target.Name, from); err != nil {
					return slipway.Finish(c, nil, err)
				}
			}
			if _, err := rollout.Undo(c.Context, cluster, target.Name); err != nil {
				return slipway.Finish(c, nil, err)
			}
		}
	}
	progress := slipway.NewProgress(c.App.ErrWriter)
	var lock sync.Mutex
	options.Show = func(now time.Time, v rollout.Verdict) {
		lock.Lock()
		defer lock.Unlock()
		progress.Show(now, "%s: %s (new %d, available %d, of %d)", v.Workload, v.Cause, v.Updated, v.Available, v.Desired)
	}
	results, err := rollout.WaitAll(c.Context, cluster, targets, options)
	progress.Done()
	return slipway.Finish(c, results, err)
}

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
		known, ok := kinds[strings.ToLower(kind)]
		if !ok {
			return nil, slipway.Usagef("%q is of the kind %s, which has no rollout: give a deployment, statefulset or daemonset", argument, kind)
		}
		targets = append(targets, rollout.Target{Kind: known, Name: name})
	}
	return targets, nil
}
