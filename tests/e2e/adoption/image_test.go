//go:build lab

package adoption

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
)

// The Dockerfile of the agents' image is built on the lab's stand-in, which it has to refuse, and on one that has what
// Jenkins' agent needs.
func TestABaseThatCanNeverConnectIsRefused(t *testing.T) {
	dockerfile, err := os.ReadFile(filepath.Join(root, "helpers/Dockerfile"))
	require.NoError(t, err)
	base := regexp.MustCompile(`(?m)^ARG BASE=.*\n`)
	require.Regexp(t, base, string(dockerfile))
	absolute, err := filepath.Abs(root)
	require.NoError(t, err)
	build := func(before string) error {
		folder := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(folder, "bin"), 0o755))
		require.NoError(t, os.Link(filepath.Join(absolute, "bin/slipway"), filepath.Join(folder, "bin/slipway")))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "Dockerfile"), base.ReplaceAll(dockerfile, []byte(before)), 0o644))
		s := &site.Site{Root: absolute, Dir: t.TempDir(), Registry: os.Getenv("LAB_REGISTRY")}
		_, err := s.Build(t.Context(), folder, s.Registry+"/agent-test:1")
		return err
	}
	const standIn = "lab/stand-in-for-inbound-agent:1"
	assert.ErrorContains(t, build("ARG BASE="+standIn+"\n"), "this base has no java: take jenkins/inbound-agent")
	const java, jar = "touch /usr/bin/java && chmod +x /usr/bin/java", "mkdir -p /usr/share/jenkins && touch /usr/share/jenkins/agent.jar"
	for _, has := range []string{java, jar} {
		assert.ErrorContains(t, build("ARG BASE=base\nFROM "+standIn+" AS base\nUSER root\nRUN "+has+"\n"), "this base has no ", has)
	}
	assert.NoError(t, build("ARG BASE=base\nFROM "+standIn+" AS base\nUSER root\nRUN "+java+" && "+jar+"\n"))
}
