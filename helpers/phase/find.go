package phase

import (
	"context"
	"regexp"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/registry"
)

// commitID is what git is given: a label of an image is text from outside, and git takes options where it expects a commit.
var commitID = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

func find(c *cli.Context) error {
	name, err := argument(c, "REGISTRY/REPOSITORY")
	if err != nil {
		return err
	}
	search, err := registry.SearchOf(c)
	if err != nil {
		return err
	}
	search.Git = known(c.Context, search.Git)
	if err := bySite(c, &search); err != nil {
		return err
	}
	client, err := registry.Connect(c)
	if err != nil {
		return err
	}
	defer client.Close()
	images, err := client.Repository(name)
	if err != nil {
		return err
	}
	found, err := client.Latest(c.Context, images, search)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, said{found.Reference, slipway.Fields{
		"reference": found.Reference, "commit": found.Revision, "tag": found.Tag, "waived": registry.WaivedOf(found.Evidence)}},
		knowsItsCommit(found.Reference, found.Revision, c.String("at") != ""))
}

// known is the clone that knows which commit follows which: the folder that is named, else this one, if it is one.
func known(ctx context.Context, named string) string {
	here := repository{"."}
	if named != "" || !here.isClone(ctx) {
		return named
	}
	return here.dir
}

// knowsItsCommit refuses an image whose migrations cannot be known. Going back to a tag needs none.
func knowsItsCommit(reference, revision string, at bool) error {
	switch {
	case commitID.MatchString(revision), at:
		return nil
	case revision == "":
		return slipway.Errorf(slipway.No, "%s does not say which commit it was built from", reference).
			Next("build it by stagingPipeline, which labels it")
	}
	return slipway.Errorf(slipway.No, "%s says that it was built from %q, which is no commit", reference, revision).
		Next("build it by stagingPipeline, which labels it")
}
