// Package nexuspush is the command nexus-push, which pushes the image in a tar file, and says by which digest it is known from then on.
package nexuspush

import (
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/registry"
)

// App is the command nexus-push: flags in, one call, one result out.
func App() *cli.App {
	debug.SetGCPercent(50) // an image of any size in at most 40 MB
	return &cli.App{
		Name:      "nexus-push",
		Usage:     "push the image in a tar file, and print its reference with its digest",
		ArgsUsage: "REGISTRY/REPOSITORY:TAG",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "tar", Usage: "the image, as `FILE` that Kaniko, Buildah or docker save wrote"},
			&cli.StringFlag{Name: "require-revision", Usage: "the `COMMIT` that the image must say it was built from"},
			&cli.StringSliceFlag{Name: "evidence", Usage: "attach a file to the pushed digest: `TYPE=FILE`"},
			&cli.StringFlag{Name: "build-url", EnvVars: []string{"BUILD_URL"}, Usage: "the build's `URL`, noted in the evidence"},
			registry.SigningKey,
			&cli.StringFlag{Name: "mount-from", Usage: "a `REPOSITORY` of the same registry that may have layers already, such as the base image's"},
			&cli.StringFlag{Name: "pattern", Value: registry.DefaultPattern, EnvVars: []string{"SLIPWAY_TAG_PATTERN"},
				Usage: "the form of the tags that nexus-latest-tag finds; where it is given, a tag that does not match is refused"},
			&cli.BoolFlag{Name: "force", Usage: "overwrite a tag that names another image"},
		}, registry.GateFlags(), registry.Flags(time.Hour)),
		Action: run,
	}
}

func run(c *cli.Context) error {
	if c.NArg() != 1 {
		return slipway.Usagef("nexus-push needs one REGISTRY/REPOSITORY:TAG, and got %d arguments", c.NArg())
	}
	if c.String("tar") == "" {
		return slipway.Usagef("nexus-push needs the image: --tar FILE")
	}
	key, err := registry.PrivateKeyOf(c)
	if err != nil {
		return err
	}
	client, err := registry.Connect(c)
	if err != nil {
		return err
	}
	defer client.Close()
	tag, err := client.Tag(c.Args().First())
	if err != nil {
		return err
	}
	pattern, err := registry.Pattern(c.String("pattern"))
	if err != nil {
		return err
	}
	if c.IsSet("pattern") && !registry.IsRelease(tag, pattern) {
		return slipway.Usagef("the tag %q is not of the form %s, so nexus-latest-tag would not find it", tag.TagStr(), pattern).
			Next("choose a tag of that form, or let --pattern of both commands match the tags that are pushed")
	}
	gate, warnings, err := registry.GateOf(c)
	if err != nil {
		return refused(c, err)
	}
	options := registry.PushOptions{Pattern: pattern, Tar: c.String("tar"), Revision: c.String("require-revision"), Force: c.Bool("force"),
		Progress: slipway.NewProgress(c.App.ErrWriter)}
	for _, given := range c.StringSlice("evidence") {
		kind, file, found := strings.Cut(given, "=")
		if !found {
			return slipway.Usagef("--evidence %q is not of the form TYPE=FILE", given)
		}
		options.Evidence = append(options.Evidence,
			registry.Statement{Type: kind, File: file, Scanner: c.String("scanner"), MaxAge: c.Duration("scan-max-age"),
				Build: c.String("build-url"), Key: key, Gate: gate})
	}
	if scans := func(s registry.Statement) bool { return s.Type == "scan" }; gate != nil && !slices.ContainsFunc(options.Evidence, scans) {
		return slipway.Usagef("--severity refuses what a scan found, and there is none: --evidence scan=FILE")
	}
	if options.Mount, err = mounted(client, tag, c.String("mount-from")); err != nil {
		return err
	}
	pushed, err := client.Push(c.Context, tag, options)
	if pushed == nil {
		return refused(c, err)
	}
	pushed.Warnings = warnings
	for _, artifact := range pushed.Artifacts {
		logrus.Warnf("the tar holds %s as well, which was not pushed", artifact)
	}
	if pushed.Unfound {
		logrus.Warnf("the tag %s is not of the form %s, so nexus-latest-tag does not find it", tag.TagStr(), pattern)
	}
	if pushed.Below != "" {
		logrus.Warnf("%s is below %s, which has the highest number, so nexus-latest-tag does not take it as the newest: "+
			"set the job's next build number above that one", tag.TagStr(), pushed.Below)
	}
	return slipway.Finish(c, pushed, err)
}

// refused ends a push before anything was sent, and says by which of its checks.
func refused(c *cli.Context, err error) error {
	return slipway.Finish(c, registry.Refusal(err), err)
}

// mounted is the repository that --mount-from names, with or without the registry. Blobs of another registry cannot be mounted.
func mounted(client *registry.Client, tag name.Tag, from string) (*name.Repository, error) {
	if from == "" {
		return nil, nil
	}
	host, _, _ := strings.Cut(from, "/")
	if host != from && host != tag.RegistryStr() && (strings.Contains(host, ":") || host == "localhost") {
		logrus.Warnf("--mount-from %s is of another registry than %s: all layers are sent", from, tag)
		return nil, nil
	}
	other, err := client.Repository(tag.RegistryStr() + "/" + strings.TrimPrefix(from, tag.RegistryStr()+"/"))
	return &other, err
}
