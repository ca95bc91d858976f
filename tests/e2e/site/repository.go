package site

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Repository is a team's clone of its repository, from which it pushes.
type Repository struct {
	Dir string // the work tree
	URL string // the remote
}

// The same files make the same commit, so that what was built of it once can be taken again.
var author = []string{
	"GIT_AUTHOR_DATE=2026-01-05T09:00:00Z", "GIT_COMMITTER_DATE=2026-01-05T09:00:00Z",
	"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com",
	"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
	"GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
}

// CreateRepository makes a repository in dir with the files that are tracked
// below source, and names remote as its origin. Its Dockerfile stands on the lab's base.
func CreateRepository(ctx context.Context, source, dir, remote string) (*Repository, error) {
	tracked, err := Command{Dir: source}.Run(ctx, "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
	if err != nil {
		return nil, fmt.Errorf("listing the files of %s: %w", source, err)
	}
	r := &Repository{Dir: dir, URL: remote}
	for _, name := range strings.Split(strings.TrimSuffix(tracked, "\x00"), "\x00") {
		if err := copyFile(filepath.Join(source, name), filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	if err := onLabsBase(filepath.Join(dir, "Dockerfile")); err != nil {
		return nil, err
	}
	// The lab's Git server takes no request in pieces, which a push of a program would be.
	for _, arguments := range [][]string{{"init", "-q", "-b", "Staging"}, {"remote", "add", "origin", remote},
		{"config", "http.postBuffer", "104857600"}} {
		if _, err := r.git(ctx, arguments...); err != nil {
			return nil, err
		}
	}
	return r, nil
}

var pinnedBase = regexp.MustCompile(`(?m)^(FROM [^\s@]+)@sha256:[0-9a-f]{64}`)

// onLabsBase takes the digest from a Dockerfile's FROM: the lab's own image of that name and tag has another one, and
// a builder checks it. (In pods the names of pins.yaml are as they are: the lab's containerd knows them.)
func onLabsBase(dockerfile string) error {
	body, err := os.ReadFile(dockerfile)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(dockerfile, pinnedBase.ReplaceAll(body, []byte("$1")), 0o644)
}

func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if os.IsNotExist(err) {
		return nil // deleted in the work tree, not yet in the index
	}
	if err != nil {
		return err
	}
	body, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, body, info.Mode().Perm())
}

func (r *Repository) git(ctx context.Context, arguments ...string) (string, error) {
	return Command{Dir: r.Dir, Env: author}.Run(ctx, "git", arguments...)
}

// Commit commits everything that changed and gives the commit's hash.
func (r *Repository) Commit(ctx context.Context, message string) (string, error) {
	for _, arguments := range [][]string{{"add", "-A"}, {"commit", "-q", "--allow-empty", "-m", message}} {
		if _, err := r.git(ctx, arguments...); err != nil {
			return "", err
		}
	}
	hash, err := r.git(ctx, "rev-parse", "HEAD")
	return strings.TrimSpace(hash), err
}

// Push pushes the current commit to branch.
func (r *Repository) Push(ctx context.Context, branch string) error {
	_, err := r.git(ctx, "push", "-q", "origin", "HEAD:refs/heads/"+branch)
	return err
}

// Tag pushes the current commit as tag.
func (r *Repository) Tag(ctx context.Context, tag string) error {
	_, err := r.git(ctx, "push", "-q", "-f", "origin", "HEAD:refs/tags/"+tag)
	return err
}

// Write writes a file of the work tree.
func (r *Repository) Write(name, body string) error {
	path := filepath.Join(r.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(body), 0o644)
}

// Replace replaces old, which must stand exactly once in the file, with new.
func (r *Repository) Replace(name, old, new string) error {
	path := filepath.Join(r.Dir, name)
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if count := strings.Count(string(body), old); count != 1 {
		return fmt.Errorf("%s holds %q %d times, not once", name, old, count)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(body), old, new, 1)), 0o644)
}
