package policy

import (
	"context"
	"regexp"
	"strings"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/git"
)

var commitID = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// coAuthor is the trailer, wherever it stands in a message: a squashed commit has it in the middle.
var coAuthor = regexp.MustCompile(`(?im)^[ \t]*co-authored-by[ \t]*:(?:[^<\n]*<([^>\n]*)>|[ \t]*(\S+@\S+))`)

// Authors are those of the commits between two, and their co-authors: a commit by each address, as git wrote it. Without a from
// they are those of the whole history, since all of it comes. Merges count: they may change files, too.
func Authors(ctx context.Context, clone, from, to string) (map[string]string, error) {
	span := to
	if from != "" {
		span = from + ".." + to
	}
	for _, commit := range []string{from, to} {
		if commit != "" && !commitID.MatchString(commit) || to == "" {
			return nil, slipway.Usagef("%q is no commit", commit)
		}
	}
	unknown := func(err error) error {
		const notKnown = "the authors of this release are not known, and the policy excludes them (notAuthors)"
		return slipway.Errorf(slipway.Unknown, notKnown).Because(err).
			Next("let the job clone the whole history, which has %s", span)
	}
	shallow, err := git.Run(ctx, clone, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return nil, unknown(err)
	}
	if strings.TrimSpace(shallow) == "true" {
		limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		if _, err := git.Run(limited, clone, "fetch", "--quiet", "--unshallow"); err != nil {
			return nil, unknown(err)
		}
	}
	// %ae is the address as it was committed: the repository's own .mailmap changes nothing.
	out, err := git.Run(ctx, clone, "log", "-z", "--format=%h%x00%ae%x00%B", span, "--")
	if err != nil {
		return nil, unknown(err)
	}
	found := map[string]string{}
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i+2 < len(fields); i += 3 {
		found[fields[i+1]] = fields[i]
		for _, match := range coAuthor.FindAllStringSubmatch(fields[i+2], -1) {
			found[strings.TrimSpace(match[1]+match[2])] = fields[i]
		}
	}
	delete(found, "")
	return found, nil
}

// Commit is the commit of a name that a person gives, such as HEAD.
func Commit(ctx context.Context, clone, name string) (string, error) {
	out, err := git.Run(ctx, clone, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	if err != nil {
		return "", slipway.Usagef("the clone %s has no commit %s", clone, name)
	}
	return strings.TrimSpace(out), nil
}
