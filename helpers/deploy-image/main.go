// Package deployimage is the command deploy-image, which puts one image, by digest, on a Deployment, and leaves behind how to go back.
package deployimage

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/helpers/internal/approved"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/deploy"
	"slipway.dev/slipway/helpers/internal/kube"
)

// App is the command deploy-image: flags in, one call, one result out.
func App() *cli.App {
	return &cli.App{
		Name:      "deploy-image",
		Usage:     "set the image of a Deployment, by digest, and record how to undo it",
		ArgsUsage: "deployment/NAME",
		// A comma may be a part of what is recorded.
		DisableSliceFlagSeparator: true,
		Flags: append(
			append([]cli.Flag{}, kube.Flags...),
			&cli.StringFlag{Name: "image", Usage: "what to deploy: `REPOSITORY:TAG@sha256:...`"},
			&cli.StringFlag{Name: "container", Usage: "the `NAME` of the container, where there are several"},
			&cli.StringSliceFlag{
				Name: "also",
				Usage: "the `NAME` of a further container or init container that gets the image; those of the same image as --container's " +
					"get it anyway",
			},
			&cli.StringFlag{
				Name:  "like",
				Usage: "make it the canary of this `DEPLOYMENT`: its live pod template with the image, and labels of its own",
			},
			&cli.BoolFlag{
				Name:  "undo",
				Usage: "make it what it was before the last change: the images, and at least the replicas; with --image only where it has that",
			},
			&cli.IntFlag{Name: "replicas", Value: -1, Usage: "also set this number of replicas"},
			&cli.StringSliceFlag{Name: "record", Usage: "note `KEY=VALUE` on the Deployment, as the annotation slipway.dev/KEY"},
			&cli.BoolFlag{Name: "dry-run", Usage: "ask the API server whether it would accept the change, and change nothing"},
			&cli.StringFlag{Name: "pull-secret", Usage: "keep the Secret of this `NAME`, with which the nodes pull"},
			&cli.StringFlag{Name: "docker-config", Usage: "the `FILE` with the login for it; without it config.json in DOCKER_CONFIG"},
			&cli.StringFlag{Name: "create-from", Usage: "make the Deployment from this `FILE` where there is none"},
		),
		Action: run,
	}
}

func run(c *cli.Context) error {
	if c.NArg() != 1 {
		return slipway.Usagef("deploy-image needs one deployment/NAME, and got %d arguments", c.NArg())
	}
	if c.Bool("undo") {
		return undo(c)
	}
	if !c.IsSet("image") {
		return slipway.Usagef("deploy-image needs --image REPOSITORY:TAG@sha256:...").Next("take it from nexus-push or nexus-latest-tag")
	}
	options := deploy.Options{
		Container:  c.String("container"),
		Also:       c.StringSlice("also"),
		Image:      c.String("image"),
		DryRun:     c.Bool("dry-run"),
		PullSecret: c.String("pull-secret"),
		Like:       strings.TrimPrefix(c.String("like"), "deployment/"),
		Approval:   &approved.Entry{What: "by hand"},
	}
	var err error
	if options.Name, err = deployment(c); err != nil {
		return err
	}
	if c.IsSet("replicas") {
		replicas := c.Int("replicas")
		if replicas < 0 || replicas > math.MaxInt32 {
			return slipway.Usagef("--replicas %d is no number of pods", replicas)
		}
		count := int32(replicas)
		options.Replicas = &count
	}
	if options.Record, err = pairs(c.StringSlice("record")); err != nil {
		return err
	}
	options.Approval.Build = options.Record["build"]
	if options.PullSecret != "" {
		if options.Docker, err = dockerConfig(c.String("docker-config")); err != nil {
			return err
		}
	}
	if file := c.String("create-from"); file != "" {
		if options.Create, err = manifest(file, options.Name); err != nil {
			return err
		}
	}
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	outcome, err := deploy.Deploy(c.Context, cluster, options)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, outcome, nil)
}

func deployment(c *cli.Context) (string, error) {
	name := strings.TrimPrefix(c.Args().First(), "deployment/")
	if strings.Contains(name, "/") || name == "" {
		return "", slipway.Usagef("%q is not of the form deployment/NAME", c.Args().First())
	}
	return name, nil
}

func undo(c *cli.Context) error {
	for _, flag := range []string{"replicas", "record", "dry-run", "pull-secret", "create-from", "like", "also"} {
		if c.IsSet(flag) {
			return slipway.Usagef("--undo goes back to what was noted, and takes no --%s", flag)
		}
	}
	name, err := deployment(c)
	if err != nil {
		return err
	}
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	outcome, err := deploy.Undo(c.Context, cluster, deploy.Options{Name: name, Container: c.String("container"), Image: c.String("image")})
	if !outcome.Undone {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, outcome, err)
}

// ours are annotations that the helpers go by themselves.
var ours = []string{"good", "good-revision", "last-good", "before", "canary", "canary-of", "canary-run", "replicas-before-canary"}

func pairs(given []string) (map[string]string, error) {
	record := map[string]string{}
	for _, pair := range given {
		key, value, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return nil, slipway.Usagef("--record %q is not of the form KEY=VALUE", pair)
		}
		if slices.Contains(ours, key) {
			return nil, slipway.Usagef("--record %s: the annotation slipway.dev/%s is kept by the helpers themselves", key, key)
		}
		record[key] = value
	}
	return record, nil
}

func dockerConfig(file string) ([]byte, error) {
	if file == "" {
		file = filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	}
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, slipway.Usagef("the login for --pull-secret cannot be read").
			Because(err).
			Next("name the file with --docker-config, or its folder with DOCKER_CONFIG")
	}
	return body, nil
}

// manifest finds the Deployment of that name in a file of one or more documents.
func manifest(file, name string) (*appsv1.Deployment, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, slipway.Usagef("the file of --create-from cannot be read").Because(err)
	}
	for _, document := range strings.Split("\n"+string(body), "\n---") {
		var what metav1.PartialObjectMetadata
		if err := yaml.Unmarshal([]byte(document), &what); err != nil {
			return nil, slipway.Usagef("%s is no YAML of Kubernetes objects", file).Because(err)
		}
		if what.Kind != "Deployment" || what.Name != name {
			continue
		}
		var deployment appsv1.Deployment
		if err := yaml.UnmarshalStrict([]byte(document), &deployment); err != nil {
			return nil, slipway.Usagef("the Deployment %s in %s is not valid", name, file).Because(err)
		}
		return &deployment, nil
	}
	return nil, slipway.Usagef("%s holds no Deployment %s", file, name)
}
