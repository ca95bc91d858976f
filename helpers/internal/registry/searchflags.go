package registry

import (
	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// SearchFlags say which image is looked for, beside --require: what a phase requires, no environment loosens.
func SearchFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "pattern", Value: DefaultPattern, EnvVars: []string{"SLIPWAY_TAG_PATTERN"},
			Usage: "the tags' form; its group `captures` the number, or several the parts of a version"},
		VerifyingKey, ScanAge,
		&cli.StringFlag{Name: "require-revision", Usage: "the `COMMIT` that it must be built from, or its first digits"},
		&cli.StringFlag{Name: "git", EnvVars: []string{"SLIPWAY_GIT"},
			Usage: "a clone in `DIR`: the commits must be in the same order as the numbers"},
		&cli.StringFlag{Name: "at", Usage: "check this `TAG` instead of looking for the newest"},
		&cli.IntFlag{Name: "depth", Value: 200, EnvVars: []string{"SLIPWAY_TAG_DEPTH"},
			Usage: "look at no more than this many tags, from the highest number down"},
	}
}

// SearchOf is the search that these flags and --require ask for.
func SearchOf(c *cli.Context) (Search, error) {
	search := Search{Required: c.StringSlice("require"), Revision: c.String("require-revision"), Git: c.String("git"), At: c.String("at"),
		Depth: c.Int("depth"), MaxAge: c.Duration("scan-max-age")}
	if search.Depth < 1 {
		return search, slipway.Usagef("--depth %d is no number of tags", search.Depth)
	}
	var err error
	if search.Pattern, err = Pattern(c.String("pattern")); err != nil {
		return search, err
	}
	search.Key, err = PublicKeyOf(c)
	return search, err
}
