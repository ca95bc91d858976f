package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Change is one file that differs between two commits.
type Change struct {
	Status string `json:"status"` // added, edited, deleted
	File   string `json:"file"`
}

// Diff is what changed in git.
type Diff struct {
	Base    string   `json:"base"` // a commit, or the empty tree
	Note    string   `json:"note,omitempty"`
	Changes []Change `json:"changes"`
}

// Text lists one file a line.
func (d Diff) Text(out io.Writer) error {
	if d.Note != "" {
		if _, err := fmt.Fprintln(out, "# "+d.Note); err != nil {
			return err
		}
	}
	for _, change := range d.Changes {
		if _, err := fmt.Fprintf(out, "%-8s%s\n", change.Status, change.File); err != nil {
			return err
		}
	}
	return nil
}

// Env counts them.
func (d Diff) Env() []slipway.Pair {
	return []slipway.Pair{{Key: "BASE", Value: d.Base}, {Key: "CHANGES", Value: fmt.Sprint(len(d.Changes))}}
}

// emptyTree is git's name for a tree without files.
const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

// DiffGit compares the folder in HEAD with the base commit, in the repository at
// root. Where there is no base, or it is not here (a shallow clone, a force push),
// everything counts as added and the note says why.
func DiffGit(ctx context.Context, root, dir, base string) (Diff, error) {
	diff := Diff{Base: base, Changes: []Change{}}
	switch {
	case base == "":
		diff.Base, diff.Note = emptyTree, "no base: everything counts as added"
	case !has(ctx, root, base):
		diff.Base, diff.Note = emptyTree, fmt.Sprintf("the base %s is not in this clone: everything counts as added; the database says what is pending", base)
	case git(ctx, root, nil, "merge-base", "--is-ancestor", base, "HEAD") != nil:
		diff.Note = fmt.Sprintf("the base %s is no ancestor of HEAD: the branch was rewritten", base)
	}
	var out bytes.Buffer
	if err := git(ctx, root, &out, "diff", "--name-status", "--no-renames", "-z", diff.Base, "HEAD", "--", dir); err != nil {
		return diff, slipway.Usagef("git cannot compare %s with HEAD in %q", diff.Base, root).Because(err).Next("run it inside a clone")
	}
	fields := strings.Split(strings.TrimSuffix(out.String(), "\x00"), "\x00")
	names := map[string]string{"A": "added", "M": "edited", "D": "deleted", "T": "edited"}
	for i := 0; i+1 < len(fields); i += 2 {
		if strings.HasSuffix(fields[i+1], ".sql") {
			diff.Changes = append(diff.Changes, Change{Status: names[fields[i]], File: path.Clean(fields[i+1])})
		}
	}
	return diff, nil
}

func has(ctx context.Context, root, revision string) bool {
	return git(ctx, root, nil, "cat-file", "-e", revision+"^{commit}") == nil
}

func git(ctx context.Context, root string, out io.Writer, arguments ...string) error {
	command := exec.CommandContext(ctx, "git", append([]string{"-C", root}, arguments...)...)
	var stderr bytes.Buffer
	command.Stdout, command.Stderr = out, &stderr
	if err := command.Run(); err != nil {
		return errors.Join(err, errors.New(strings.TrimSpace(stderr.String())))
	}
	return nil
}
