package pipelines

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The agents' image needs a builder of images; in its place a make that writes a file, or fails.
const (
	builds = "#!/bin/sh\nmkdir -p bin && echo \"$*\" > bin/slipway-agent.tar\n"
	fails  = "#!/bin/sh\nexit 7\n"
)

// releasable is a repository with .ci/release, a changelog and one commit.
func releasable(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "library")
	for name, text := range map[string]string{".ci/release": read(t, ".ci/release"), ".gitignore": read(t, ".gitignore"),
		"CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- A new thing.\n\n## v1.0.0 (2026-01-05)\n\n- The first thing.\n"} {
		path := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o755))
	}
	for _, arguments := range [][]string{{"init", "-q", "-b", "main"}, {"config", "user.name", "Ada"},
		{"config", "user.email", "ada@example.com"},
		{"add", "-A"}, {"commit", "-q", "-m", "The library"}, {"tag", "v1.0.0"}, {"tag", "v1"}, {"commit", "-q", "--allow-empty", "-m", "More"}} {
		run(t, folder, "git", arguments...)
	}
	return folder
}

func release(t *testing.T, folder, version, maker string) (string, int) {
	t.Helper()
	stub := filepath.Join(t.TempDir(), "make")
	require.NoError(t, os.WriteFile(stub, []byte(maker), 0o755))
	command := exec.CommandContext(t.Context(), filepath.Join(folder, ".ci/release"), version)
	command.Env = append(os.Environ(), "MAKE="+stub)
	out, err := command.CombinedOutput()
	if err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), command.ProcessState.ExitCode()
}

func TestAReleaseIsACommitTwoTagsAnImageAndABundle(t *testing.T) {
	folder := releasable(t)
	out, code := release(t, folder, "v1.1.0", builds)
	require.Zero(t, code, out)
	assert.Contains(t, run(t, folder, "git", "show", "v1.1.0:CHANGELOG.md"), "## Unreleased\n\n## v1.1.0 (20")
	assert.Contains(t, run(t, folder, "git", "tag", "-l", "--format=%(contents)", "v1.1.0"), "- A new thing.")
	assert.Equal(t, run(t, folder, "git", "rev-parse", "HEAD"), run(t, folder, "git", "rev-parse", "v1^{commit}"))
	assert.Empty(t, run(t, folder, "git", "status", "--porcelain"))
	made := filepath.Join(folder, "bin/release/v1.1.0")
	run(t, made, "sha256sum", "--check", "--strict", "SHA256SUMS")
	image, err := os.ReadFile(filepath.Join(made, "slipway-agent-v1.1.0.tar"))
	require.NoError(t, err)
	assert.Equal(t, "image VERSION=v1.1.0\n", string(image))
	clone := filepath.Join(t.TempDir(), "clone")
	run(t, folder, "git", "clone", "-q", "-b", "v1", filepath.Join(made, "slipway-v1.1.0.bundle"), clone)
	assert.Contains(t, run(t, clone, "git", "tag"), "v1.1.0")

	out, code = release(t, folder, "v1.1.0", builds)
	assert.Equal(t, 4, code)
	assert.Contains(t, out, "the tag v1.1.0 exists")
	out, code = release(t, folder, "v1.1.1", builds)
	assert.Equal(t, 2, code, "nothing changed since")
	assert.Contains(t, out, "has nothing below '## Unreleased'")
}

func TestAReleaseThatIsRefusedOrFailsChangesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		version, maker, says string
		code                 int
		dirty                bool
	}{
		"a dirty tree":              {"v1.1.0", builds, "not committed", 2, true},
		"no version":                {"", builds, "must be of the form v1.2.0", 2, false},
		"another form":              {"1.1.0", builds, "must be of the form v1.2.0", 2, false},
		"a leading zero":            {"v1.01.0", builds, "must be of the form v1.2.0", 2, false},
		"a word that is a command":  {"v1.1.0; true", builds, "must be of the form v1.2.0", 2, false},
		"a tag that exists":         {"v1.0.0", builds, "the tag v1.0.0 exists", 4, false},
		"the image cannot be built": {"v1.1.0", fails, "commit and tags are as before", 7, false},
		"the first of a major":      {"v2.0.0", fails, "commit and tags are as before", 7, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := releasable(t)
			if test.dirty {
				require.NoError(t, os.WriteFile(filepath.Join(folder, "new"), nil, 0o644))
			}
			state := func() string {
				return strings.Join([]string{run(t, folder, "git", "rev-parse", "HEAD"), run(t, folder, "git", "show-ref", "--tags"),
					run(t, folder, "git", "status", "--porcelain")}, "\n")
			}
			before := state()
			out, code := release(t, folder, test.version, test.maker)
			assert.Equal(t, test.code, code, out)
			assert.Contains(t, out, test.says)
			assert.Equal(t, before, state())
			assert.NoDirExists(t, filepath.Join(folder, "bin/release/"+test.version+"/"))
		})
	}
}
