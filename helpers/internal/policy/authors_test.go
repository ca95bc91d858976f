package policy

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

type history struct {
	t   *testing.T
	dir string
}

func (h history) git(in string, arguments ...string) string {
	h.t.Helper()
	command := exec.CommandContext(h.t.Context(), "git",
		append([]string{"-C", h.dir, "-c", "user.name=a", "-c", "user.email=a@b.example"}, arguments...)...)
	command.Stdin = strings.NewReader(in)
	out, err := command.Output()
	require.NoError(h.t, err, arguments)
	return strings.TrimSpace(string(out))
}

// commit makes one as git would never let a person write it, and as other programs do.
func (h history) commit(address, message string, parents ...string) string {
	h.t.Helper()
	body := "tree " + h.git("", "write-tree") + "\n"
	for _, parent := range parents {
		body += "parent " + parent + "\n"
	}
	body += "author A <" + address + "> 1700000000 +0000\ncommitter C <committer@example.org> 1700000000 +0000\n\n" + message + "\n"
	hash := h.git(body, "hash-object", "-t", "commit", "-w", "--stdin", "--literally")
	h.git("", "update-ref", "refs/heads/main", hash)
	return hash
}

func TestAuthorsOfARelease(t *testing.T) {
	h := history{t, t.TempDir()}
	h.git("", "init", "-q", "-b", "main")
	first := h.commit("old@example.org", "the first")
	second := h.commit("Ada+git@Example.org", "a fix\n\nCo-authored-by: Bob Doe <bob@example.org>\nco-AUTHORED-by: eve@example.org\n"+
		"  Co-authored-by: \"X\" <x@example.org>\r\n\nit goes on, as a squashed commit does\nnot-Co-authored-by: no <no@example.org>", first)
	side := h.commit("side@example.org", "beside it\n\nCo-authored-by: a <bad", first)
	merged := h.commit("merger@example.org", "Merge", second, side)
	authors := func(from, to string) []string {
		t.Helper()
		found, err := Authors(t.Context(), h.dir, from, to)
		require.NoError(t, err)
		for address, commit := range found {
			assert.NotEmpty(t, address)
			assert.Regexp(t, commitID, commit)
		}
		return slices.Sorted(maps.Keys(found))
	}
	assert.Equal(t, []string{"Ada+git@Example.org", "bob@example.org", "eve@example.org", "x@example.org"}, authors(first, second))
	assert.Equal(t, []string{"Ada+git@Example.org", "bob@example.org", "eve@example.org", "merger@example.org", "side@example.org",
		"x@example.org"}, authors(first, merged))
	assert.Equal(t, []string{"old@example.org", "side@example.org"}, authors("", side), "without a from all of the history comes")
	assert.Empty(t, authors(merged, first), "going back brings nobody's commits")

	for _, c := range []struct {
		from, to string
		code     int
	}{
		{"", strings.Repeat("0123", 10), slipway.Unknown}, {strings.Repeat("0123", 10), merged, slipway.Unknown},
		{"", "", slipway.Usage}, {"--all", merged, slipway.Usage}, {"", "main", slipway.Usage},
	} {
		_, err := Authors(t.Context(), h.dir, c.from, c.to)
		require.Error(t, err, "%v", c)
		assert.Equal(t, c.code, slipway.AsError(err).Code, "%v", c)
	}
	_, err := Authors(t.Context(), t.TempDir(), "", merged)
	assert.Equal(t, slipway.Unknown, slipway.AsError(err).Code, "no clone")
}

// A shallow clone knows only some of the authors: it is completed, and where that fails nothing is said.
func TestAuthorsInAShallowClone(t *testing.T) {
	h := history{t, t.TempDir()}
	h.git("", "init", "-q", "-b", "main")
	last := h.commit("ada@example.org", "the second", h.commit("bob@example.org", "the first"))
	shallow := history{t, t.TempDir()}
	h.git("", "clone", "-q", "--depth", "1", "file://"+h.dir, shallow.dir)
	shallow.git("", "remote", "set-url", "origin", "file:///nowhere")
	_, err := Authors(t.Context(), shallow.dir, "", last)
	assert.Equal(t, slipway.Unknown, slipway.AsError(err).Code)
	shallow.git("", "remote", "set-url", "origin", "file://"+h.dir)
	found, err := Authors(t.Context(), shallow.dir, "", last)
	require.NoError(t, err)
	assert.Len(t, found, 2)
}
