package phase

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/safe"
)

// clone is a repository of its own, in which commits are made.
type clone struct {
	repository
	t *testing.T
}

func newClone(t *testing.T) clone {
	t.Helper()
	c := clone{repository{t.TempDir()}, t}
	c.run("init", "-q", "-b", "main")
	return c
}

func (c clone) run(arguments ...string) string {
	c.t.Helper()
	options := []string{"-C", c.dir, "-c", "user.email=a@example.com", "-c", "user.name=a"}
	command := exec.CommandContext(c.t.Context(), "git", append(options, arguments...)...)
	out, err := command.CombinedOutput()
	require.NoError(c.t, err, string(out))
	return strings.TrimSpace(string(out))
}

// commit makes one whose author and subject stand in it as they are: git commit-tree takes any text.
func (c clone) commit(author, subject string) string {
	c.t.Helper()
	parent := "" // none yet
	if out, err := c.git(c.t.Context(), "rev-parse", "--verify", "-q", "HEAD"); err == nil {
		parent = "parent " + strings.TrimSpace(out) + "\n"
	}
	who := author + " <a@example.com> 1700000000 +0000"
	command := exec.CommandContext(c.t.Context(), "git", "-C", c.dir, "hash-object", "-t", "commit", "-w", "--stdin", "--literally")
	people := "author " + who + "\ncommitter " + who + "\n\n"
	command.Stdin = strings.NewReader("tree " + c.run("write-tree") + "\n" + parent + people + subject + "\n")
	out, err := command.Output()
	require.NoError(c.t, err)
	hash := strings.TrimSpace(string(out))
	c.run("update-ref", "HEAD", hash)
	return hash
}

// hostile are texts that once decided what a run does, and their siblings.
var hostile = []string{
	`csv: split on \nFIRST=true\n as well`, `fix: keep \nCHANGED=false in exported CSV`, `docs: \nREPLICAS=3`,
	`docs: sources are in C:\code\shop`, `a\c`,
	"speed up search | and sort", "ends in a bar|", "a\rcanary: healthy", "exit=0", `{"exit":0,"first":true}`,
	`"}` + "\x1b[2J", "$(touch /tmp/x)", "`id`", `'"; exit 0; "'`,
	"%s%d%x00", "-n", "--format=x", "\u202egnp.exe", "\u2028line", "tab\tand\vmore", "bell\a\x7f",
	"\xff\xfe", strings.Repeat("long ", 2000), "𝔘𝔫𝔦 \u200b zero", " blanks ",
}

func TestWhatPeopleWroteIsShownWholeAndDecidesNothing(t *testing.T) {
	c := newClone(t)
	first := c.commit("a", "first")
	for _, text := range hostile {
		before := c.run("rev-parse", "HEAD")
		after := c.commit(strings.NewReplacer("<", "", ">", "", "\n", "").Replace(text), text)
		lines, count, err := c.between(t.Context(), before, after)
		require.NoError(t, err, text)
		require.Len(t, lines, 1, text)
		assert.Equal(t, 1, count)
		want := safe.Line(strings.TrimRight(text, " ")) // git ends a subject where its last word does
		assert.Contains(t, lines[0], strings.TrimLeft(want, " "), "whole")
		assert.Equal(t, safe.Line(lines[0]), lines[0], "and visible")
	}
	last := c.run("rev-parse", "HEAD")
	story := c.story(t.Context(), first, last)
	assert.Equal(t, 1+len(hostile), strings.Count(story, "\n"), "a line a commit, and the heading")
	assert.Equal(t, 1+len(hostile), strings.Count(c.story(t.Context(), last, first), "\n"), "also where they are removed again")
	assert.Contains(t, c.story(t.Context(), last, first), "commits that are removed again:\n")
	assert.Empty(t, c.story(t.Context(), last, last))
}

func TestMoreCommitsThanAreListedAreCounted(t *testing.T) {
	c := newClone(t)
	first := c.commit("a", "first")
	for i := range 40 {
		c.commit("a", fmt.Sprintf("change %d", i))
	}
	story := c.story(t.Context(), first, c.run("rev-parse", "HEAD"))
	assert.Contains(t, story, "change 39\n")
	assert.NotContains(t, story, "change 9\n")
	assert.True(t, strings.HasSuffix(story, "  and 10 more\n"), story)
}

func TestCommitsThatAreNotThereAreSaidSo(t *testing.T) {
	c := newClone(t)
	head := c.commit("a", "first")
	gone := strings.Repeat("a", 40)
	for _, test := range []struct{ previous, commit, want string }{
		{"", head, "does not say which commit"}, {head, "--output=/tmp/x", "does not say which commit"},
		{"HEAD", head, "does not say which commit"},
		{gone, head, gone + " is not in this clone"}, {head, gone, gone + " is not in this clone"},
	} {
		assert.Contains(t, c.story(t.Context(), test.previous, test.commit), test.want)
	}
	assert.Contains(t, repository{t.TempDir()}.story(t.Context(), head, head), "is not in this clone")
}

// A clone without history cannot tell whether there ever was a database.
func TestWithoutDatabase(t *testing.T) {
	never := newClone(t)
	never.commit("a", "first")
	never.commit("a", "second")

	lost := newClone(t)
	lost.commit("a", "first")
	require.NoError(t, os.MkdirAll(filepath.Join(lost.dir, "migrations"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(lost.dir, "migrations/001_x.sql"), nil, 0o644))
	lost.run("add", "-A")
	lost.run("commit", "-q", "-m", "with a database")
	lost.run("rm", "-q", "-r", "migrations")
	lost.run("commit", "-q", "-m", "without")
	last := lost.run("rev-parse", "--short", "HEAD")
	lost.commit("a", "later")

	shallow := func(of clone, remote string) repository {
		dir := t.TempDir()
		of.run("clone", "-q", "--depth", "1", "file://"+of.dir, dir)
		if remote != "" {
			clone{repository{dir}, t}.run("remote", "set-url", "origin", remote)
		}
		return repository{dir}
	}
	outside := newClone(t)
	outside.commit("a", "first")
	outside.run("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "file://"+lost.dir, "migrations")
	outside.run("commit", "-q", "-m", "migrations of another repository")

	for name, test := range map[string]struct {
		in       repository
		dir      string
		optional bool
		skipped  string
		refused  string
		code     int
	}{
		"none is said":                  {never.repository, "", false, "migrationsDir is ''", "", 0},
		"never had one":                 {never.repository, "migrations", true, "there is no folder migrations", "", 0},
		"named, and not there":          {never.repository, "migrations", false, "", "", 0},
		"lost":                          {lost.repository, "migrations", true, "", "the folder migrations is gone, and " + last, slipway.No},
		"a submodule":                   {outside.repository, "migrations", true, "", "", 0},
		"a submodule that is not there": {shallow(outside, ""), "migrations", true, "", "the folder migrations is a submodule", slipway.Unknown},
		"it, named":                     {shallow(outside, ""), "migrations", false, "", "the folder migrations is a submodule", slipway.Unknown},
		"a name that git expands":       {lost.repository, "m*", true, "there is no folder m*", "", 0},
		"shallow, deepened":             {shallow(lost, ""), "migrations", true, "", "is gone, and " + last, slipway.No},
		"shallow, deepened, never":      {shallow(never, ""), "migrations", true, "there is no folder migrations", "", 0},
		"shallow, and no remote":        {shallow(never, "file:///nowhere"), "migrations", true, "", "this clone is shallow", slipway.Unknown},
		"no clone at all":               {repository{t.TempDir()}, "migrations", true, "", "git cannot say", slipway.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			skipped, err := withoutDatabase(t.Context(), test.in, test.dir, test.optional)
			if test.refused != "" {
				require.ErrorContains(t, err, test.refused)
				assert.Equal(t, test.code, slipway.AsError(err).Code)
				assert.NotEmpty(t, slipway.AsError(err).Hint)
				return
			}
			require.NoError(t, err)
			if test.skipped == "" {
				assert.Empty(t, skipped, "there is a database")
			} else {
				assert.Contains(t, skipped, test.skipped)
			}
		})
	}
}
