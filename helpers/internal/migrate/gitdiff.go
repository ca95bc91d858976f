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
	Status string `json:"status"` // added, edited, deleted, renamed
	File   string `json:"file"`
	From   string `json:"from,omitempty"` // of a renamed one
	Blob   string `json:"blob,omitempty"` // git's hash of what is there now
	// Drift says that an applied file of the base is gone or another: the
	// database will refuse it.
	Drift bool `json:"drift"`
}

// Diff is what changed in git.
type Diff struct {
	Base    string   `json:"base"` // a commit, or the empty tree
	Note    string   `json:"note,omitempty"`
	Changes []Change `json:"changes"`
}

// Text lists one file a line.
func (d Diff) Text(out io.Writer) error {
	var text strings.Builder
	if d.Note != "" {
		fmt.Fprintln(&text, "# "+d.Note)
	}
	for _, change := range d.Changes {
		fmt.Fprintf(&text, "%-8s %s", change.Status, printable(change.File))
		if change.From != "" {
			fmt.Fprintf(&text, " from %s", printable(change.From))
		}
		if change.Drift {
			text.WriteString("  (where it is applied already, that is refused)")
		}
		text.WriteString("\n")
	}
	if len(d.Changes) == 0 {
		text.WriteString("no migration changed\n")
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// printable quotes a name that would break the line.
func printable(name string) string {
	for _, r := range name {
		if r < ' ' || r == 0x7f {
			return fmt.Sprintf("%q", name)
		}
	}
	return name
}

// Answer counts them.
func (d Diff) Answer() slipway.Fields {
	drift := 0
	for _, change := range d.Changes {
		if change.Drift {
			drift++
		}
	}
	return slipway.Fields{"base": d.Base, "changes": len(d.Changes), "drift": drift}
}

// DiffGit compares the folder in HEAD with the base commit, in the repository at
// root. Where there is no base, or it is not here (a shallow clone, a force push),
// everything counts as added and the note says why.
func DiffGit(ctx context.Context, root, dir, base string) (Diff, error) {
	diff := Diff{Base: base, Changes: []Change{}}
	if err := git(ctx, root, nil, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"); err != nil {
		return diff, slipway.Usagef("%q is no clone with a commit", root).Because(err).Next("run it inside a clone, after git checkout")
	}
	known := base != "" && git(ctx, root, nil, "cat-file", "-e", base+"^{commit}") == nil
	switch {
	case base == "":
		diff.Note = "no base: everything counts as added; the database says what is pending"
	case !known:
		diff.Note = fmt.Sprintf("the base %s is not in this clone (shallow, or rewritten): everything counts as added; the database says "+
			"what is pending", base)
	case git(ctx, root, nil, "merge-base", "--is-ancestor", base, "HEAD") != nil:
		diff.Note = fmt.Sprintf("the base %s is no ancestor of HEAD: the branch was rewritten, or the clone is shallow; the database says "+
			"what is pending", base)
	}
	if !known {
		var err error
		if diff.Base, err = emptyTree(ctx, root); err != nil {
			return diff, err
		}
	}
	var out bytes.Buffer
	if err := git(ctx, root, &out, "-c", "diff.ignoreSubmodules=all", "diff", "--raw", "--no-abbrev", "--no-renames", "--no-relative",
		"--no-ext-diff", "-z", diff.Base, "HEAD", "--", pathspec(dir)); err != nil {
		return diff, slipway.Usagef("git cannot compare %s with HEAD in %q", diff.Base,
			root).Because(err).Next("run it inside a clone; --dir is the folder in it")
	}
	diff.Changes = renamed(rawChanges(out.String()))
	return diff, nil
}

// pathspec takes the folder's name as it is: * and [ in it mean themselves.
func pathspec(dir string) string { return ":(literal)" + path.Clean(dir) }

// emptyTree is git's name for a tree without files, which depends on the
// repository's hash.
func emptyTree(ctx context.Context, root string) (string, error) {
	var out bytes.Buffer
	if err := git(ctx, root, &out, "hash-object", "-t", "tree", "/dev/null"); err != nil {
		return "", slipway.Usagef("git does not work in %q", root).Because(err).Next("run it inside a clone")
	}
	return strings.TrimSpace(out.String()), nil
}

// rawChanges reads git diff --raw -z: ":mode mode blob blob status NUL path NUL".
// https://git-scm.com/docs/git-diff#_raw_output_format
func rawChanges(out string) []Change {
	names := map[string]string{"A": "added", "M": "edited", "D": "deleted", "T": "edited"}
	changes := []Change{}
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		words := strings.Fields(fields[i])
		if len(words) < 5 || !strings.HasSuffix(fields[i+1], ".sql") {
			continue
		}
		change := Change{Status: names[words[4][:1]], File: path.Clean(fields[i+1]), Blob: words[3]}
		if change.Status == "deleted" {
			change.Blob = words[2]
		}
		versioned := !strings.HasSuffix(change.File, ".down.sql") && !repeatable.MatchString(path.Base(change.File))
		change.Drift = versioned && (change.Status == "edited" || change.Status == "deleted")
		changes = append(changes, change)
	}
	return changes
}

// renamed joins a deleted and an added file of the same blob.
func renamed(changes []Change) []Change {
	joined := []Change{}
	taken := map[int]bool{}
	for i, change := range changes {
		if change.Status != "added" {
			continue
		}
		for k, other := range changes {
			if other.Status == "deleted" && other.Blob == change.Blob && !taken[k] {
				changes[i] = Change{Status: "renamed", File: change.File, From: other.File, Blob: change.Blob,
					Drift: versionOf(other.File) != versionOf(change.File)}
				taken[k] = true
				break
			}
		}
	}
	for i, change := range changes {
		if !taken[i] {
			joined = append(joined, change)
		}
	}
	return joined
}

func versionOf(file string) string {
	if match := fileName.FindStringSubmatch(path.Base(file)); match != nil {
		return match[1]
	}
	return file
}

func git(ctx context.Context, root string, out io.Writer, arguments ...string) error {
	command := exec.CommandContext(ctx, "git", append([]string{"-C", root}, arguments...)...)
	var stderr bytes.Buffer
	command.Stdout, command.Stderr = out, &stderr
	if err := command.Run(); err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			return errors.New(text)
		}
		return err
	}
	return nil
}
