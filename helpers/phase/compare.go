package phase

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/helpers/internal/approved"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/deploy"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/registry"
	"slipway.dev/slipway/helpers/internal/safe"
)

func compare(c *cli.Context) error {
	name, err := argument(c, "REGISTRY/REPOSITORY")
	if err == nil {
		err = needs(c, "stable", "image")
	}
	if err != nil {
		return err
	}
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	client, err := registry.Connect(c)
	if err != nil {
		return err
	}
	defer client.Close()
	now, err := wouldChange(c, cluster)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	previous, unknown := builtFrom(c.Context, client, name, now.From)
	commits := ""
	switch {
	case unknown != "":
		commits = "the commits between are not known: " + safe.Line(unknown) + "\n"
	case previous != c.String("commit"):
		commits = repository{"."}.story(c.Context, previous, c.String("commit"))
	}
	since := previous
	if now.First {
		since = "" // all of its history comes
	}
	asked, err := needsOf(c, since)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	broken, err := approved.Broken(c.Context, cluster)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	for _, each := range broken {
		asked.Warnings = append(asked.Warnings,
			safe.Line(fmt.Sprintf("guard: %s went past the guard, which no administrator has acknowledged: %s",
				each.Object, each.Why)))
	}
	fields := comparison(now, c.Int("replicas"))
	maps.Copy(fields, asked.Fields())
	fields["previousCommit"], fields["commits"] = previous, commits
	return slipway.Finish(c, said{strings.TrimSpace(fmt.Sprintf("%s\n%s", fields["says"], commits)), fields}, nil)
}

// comparison is what a pipeline has to know of the present state.
func comparison(now deploy.Outcome, replicas int) slipway.Fields {
	says := "production runs " + now.From
	switch {
	case now.First:
		says = "production never ran a good revision, and no pod of it: this is the first release"
	case now.Replicas == 0:
		says = fmt.Sprintf("production runs no pod: deployment/%s has spec.replicas 0, and the image %s", now.Deployment, now.From)
	case !now.Changed:
		says = "production runs " + now.To + " already"
	}
	idle := now.Replicas == 0 && !now.First // a first release has no pod, or none that was ever ready
	if now.Replicas > 0 {
		replicas = int(now.Replicas)
	}
	return slipway.Fields{
		"from": now.From, "changes": now.First || now.Changed, "first": now.First, "idle": idle, "replicas": replicas, "says": says,
	}
}

// wouldChange asks the API server what the image would change, and changes nothing.
func wouldChange(c *cli.Context, cluster *kube.Cluster) (deploy.Outcome, error) {
	return deploy.Deploy(c.Context, cluster, deploy.Options{
		Name: c.String("stable"), Container: c.String("container"), Image: c.String("image"), DryRun: true,
	})
}

// builtFrom is the commit of the image that runs, and why nobody knows it: a tag of another digest says nothing about it.
func builtFrom(ctx context.Context, client *registry.Client, name, running string) (commit, unknown string) {
	tag, digest, ours := tagOf(name, running)
	if !ours {
		return "", running + " is not of " + name + ", or says no tag and digest"
	}
	repository, err := client.Repository(name)
	if err != nil {
		return "", err.Error()
	}
	pattern, err := registry.Pattern(registry.DefaultPattern)
	if err != nil {
		return "", err.Error()
	}
	found, err := client.Latest(ctx, repository, registry.Search{Pattern: pattern, At: tag})
	switch {
	case err != nil:
		return "", err.Error()
	case found.Digest != digest:
		return "", "the tag " + tag + " names another image by now"
	case !commitID.MatchString(found.Revision):
		return "", running + " does not say which commit it was built from"
	}
	return found.Revision, ""
}

// tagOf takes a reference of that repository apart.
func tagOf(repository, reference string) (tag, digest string, ours bool) {
	name, digest, pinned := strings.Cut(reference, "@")
	tag, tagged := strings.CutPrefix(name, repository+":")
	return tag, digest, pinned && tagged && tag != ""
}
