package migrate

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// clone is a repository with a first commit.
type clone struct {
	t    *testing.T
	root string
}

func newClone(t *testing.T) clone {
	c := clone{t, t.TempDir()}
	c.git("init", "-q", "-b", "main")
	c.write("1_a.sql", "a")
	c.write(`2 ü"b*.sql`, "b")
	c.write("R__v.sql", "v")
	return c
}

func (c clone) git(arguments ...string) string {
	c.t.Helper()
	command := exec.Command("git", append([]string{"-C", c.root, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c",
		"commit.gpgsign=false"}, arguments...)...)
	out, err := command.CombinedOutput()
	require.NoError(c.t, err, string(out))
	return strings.TrimSpace(string(out))
}

func (c clone) write(name, body string) {
	c.t.Helper()
	path := filepath.Join(c.root, "migrations", name)
	require.NoError(c.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(c.t, os.WriteFile(path, []byte(body), 0o600))
}

func (c clone) commit() string {
	c.t.Helper()
	c.git("add", "-A")
	c.git("commit", "-q", "--allow-empty", "-m", "x")
	return c.git("rev-parse", "HEAD")
}

func (c clone) diff(base string) (Diff, string) {
	c.t.Helper()
	diff, err := DiffGit(c.t.Context(), c.root, "migrations", base)
	require.NoError(c.t, err)
	var lines []string
	for _, change := range diff.Changes {
		line := change.Status + " " + strings.TrimPrefix(change.File, "migrations/")
		if change.From != "" {
			line += " from " + strings.TrimPrefix(change.From, "migrations/")
		}
		if change.Drift {
			line += " drift"
		}
		lines = append(lines, line)
	}
	return diff, strings.Join(lines, "; ")
}

func TestDiffGit(t *testing.T) {
	c := newClone(t)
	base := c.commit()
	c.write("1_a.sql", "edited")
	c.write("3_c.sql", "c")
	c.write("notes.txt", "n")
	c.write("R__v.sql", "v2")
	c.git("mv", `migrations/2 ü"b*.sql`, "migrations/4_renamed.sql")
	c.commit()
	diff, changes := c.diff(base)
	assert.Equal(t, `edited 1_a.sql drift; added 3_c.sql; renamed 4_renamed.sql from 2 ü"b*.sql drift; edited R__v.sql`, changes)
	assert.Empty(t, diff.Note)

	_, changes = c.diff(c.git("rev-parse", "HEAD"))
	assert.Empty(t, changes)
	first, changes := c.diff("")
	assert.Equal(t, 4, len(first.Changes), changes)
	assert.Contains(t, first.Note, "no base")
	gone, _ := c.diff(strings.Repeat("0", 40))
	assert.Contains(t, gone.Note, "is not in this clone")
	assert.Len(t, gone.Changes, 4)
}

func TestDiffGitAfterAForcePushAndAMerge(t *testing.T) {
	c := newClone(t)
	c.commit()
	c.git("checkout", "-q", "-b", "side")
	c.write("3_side.sql", "s")
	side := c.commit()
	c.git("checkout", "-q", "main")
	c.write("4_main.sql", "m")
	base := c.commit()
	rewritten, changes := c.diff(side)
	assert.Contains(t, rewritten.Note, "no ancestor of HEAD")
	assert.Equal(t, "deleted 3_side.sql drift; added 4_main.sql", changes)
	c.git("merge", "-q", "--no-edit", "side")
	merged, changes := c.diff(base)
	assert.Empty(t, merged.Note)
	assert.Equal(t, "added 3_side.sql", changes)
}

func TestDiffGitInAShallowCloneAndWithAutocrlf(t *testing.T) {
	c := newClone(t)
	base := c.commit()
	c.write("3_c.sql", "c\n")
	c.commit()
	shallow := clone{t, filepath.Join(t.TempDir(), "s")}
	out, err := exec.Command("git", "clone", "-q", "--depth", "1", "-c", "core.autocrlf=true", "file://"+c.root, shallow.root).CombinedOutput()
	require.NoError(t, err, string(out))
	found, changes := shallow.diff(base)
	assert.Contains(t, found.Note, "shallow")
	assert.Len(t, found.Changes, 4, changes)
	body, err := os.ReadFile(filepath.Join(shallow.root, "migrations", "3_c.sql"))
	require.NoError(t, err)
	require.Equal(t, "c\r\n", string(body), "the work tree's file is another")
	one, err := hashOf(filepath.Join(shallow.root, "migrations", "3_c.sql"))
	require.NoError(t, err)
	two, err := hashOf(filepath.Join(c.root, "migrations", "3_c.sql"))
	require.NoError(t, err)
	assert.Equal(t, two, one)
	assert.Equal(t, c.git("rev-parse", "HEAD:migrations/3_c.sql"), found.Changes[2].Blob)
}

func TestDiffGitOutsideAClone(t *testing.T) {
	_, err := DiffGit(t.Context(), t.TempDir(), "migrations", "")
	assert.ErrorContains(t, err, "is no clone with a commit")
}
