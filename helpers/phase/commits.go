package phase

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway.dev/slipway/helpers/internal/git"
	"slipway.dev/slipway/helpers/internal/safe"
)

const mostCommits = 30 // that a person reads at an approval

// repository is a clone, asked by git.
type repository struct{ dir string }

func (r repository) git(ctx context.Context, arguments ...string) (string, error) {
	return git.Run(ctx, r.dir, arguments...)
}

func (r repository) isClone(ctx context.Context) bool {
	_, err := r.git(ctx, "rev-parse", "--git-dir")
	return err == nil
}

func (r repository) has(ctx context.Context, commit string) bool {
	_, err := r.git(ctx, "cat-file", "-e", commit+"^{commit}")
	return err == nil
}

// whole says whether the clone has all of its history; a shallow one is deepened where its remote allows it.
func (r repository) whole(ctx context.Context) (bool, error) {
	shallow, err := r.git(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return false, err
	}
	if strings.TrimSpace(shallow) != "true" {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	_, err = r.git(ctx, "fetch", "--quiet", "--unshallow")
	return err == nil, nil
}

// lastTouching is the commit that last touched the folder, or empty where none ever did.
func (r repository) lastTouching(ctx context.Context, folder string) (string, error) {
	out, err := r.git(ctx, "log", "-1", "--format=%h", "--", ":(top,literal)"+folder)
	return strings.TrimSpace(out), err
}

// lacksSubmodule says whether the folder is a submodule that was not checked out: git leaves an empty folder in its place.
func (r repository) lacksSubmodule(ctx context.Context, folder string) bool {
	files, err := os.ReadDir(filepath.Join(r.dir, folder))
	if err != nil || len(files) > 0 {
		return false
	}
	out, err := r.git(ctx, "ls-files", "--stage", "--", ":(top,literal)"+folder)
	return err == nil && strings.HasPrefix(out, "160000 ")
}

// between are the commits of from..to that are no merges: the newest ones, and how many there are.
// What people wrote is parted by NUL, which git lets into none of it.
func (r repository) between(ctx context.Context, from, to string) (lines []string, count int, err error) {
	span := from + ".." + to
	out, err := r.git(ctx, "rev-list", "--count", "--no-merges", span)
	if err != nil {
		return nil, 0, err
	}
	if _, err := fmt.Sscan(out, &count); err != nil {
		return nil, 0, fmt.Errorf("git rev-list: %w", err)
	}
	out, err = r.git(ctx, "log", "-z", "--no-merges", fmt.Sprintf("--max-count=%d", mostCommits), "--format=%h%x00%an%x00%s", span)
	if err != nil {
		return nil, 0, err
	}
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i+2 < len(fields); i += 3 {
		lines = append(lines, fmt.Sprintf("%s %s: %s", fields[i], safe.Line(fields[i+1]), safe.Line(fields[i+2])))
	}
	return lines, count, nil
}

// listed is a list under its heading; empty where there is nothing in it.
func listed(heading string, lines []string, count int) string {
	if count == 0 {
		return ""
	}
	text := heading + ":\n"
	for _, line := range lines {
		text += "  " + line + "\n"
	}
	if count > len(lines) {
		text += fmt.Sprintf("  and %d more\n", count-len(lines))
	}
	return text
}

// story tells the commits that come, and those that are taken back, or why nobody knows them.
func (r repository) story(ctx context.Context, previous, commit string) string {
	for _, each := range []string{previous, commit} {
		if !commitID.MatchString(each) {
			return "the commits between are not known: an image does not say which commit it was built from\n"
		}
		if r.has(ctx, each) {
			continue
		}
		if _, err := r.whole(ctx); err != nil || !r.has(ctx, each) {
			return "the commits between are not known: " + each + " is not in this clone\n"
		}
	}
	comes, many, err := r.between(ctx, previous, commit)
	if err == nil {
		var back []string
		var gone int
		if back, gone, err = r.between(ctx, commit, previous); err == nil {
			return listed("commits", comes, many) + listed("commits that are removed again", back, gone)
		}
	}
	return "the commits between are not known: " + safe.Line(err.Error()) + "\n"
}
