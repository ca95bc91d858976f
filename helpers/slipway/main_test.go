package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		given []string
		name  string
		left  []string
	}{
		{[]string{"/usr/local/bin/rollout-wait", "-n", "prod"}, "rollout-wait", []string{"/usr/local/bin/rollout-wait", "-n", "prod"}},
		{[]string{"slipway", "migrate-diff", "plan"}, "migrate-diff", []string{"migrate-diff", "plan"}},
		{[]string{"slipway"}, "slipway", []string{"slipway"}},
		{[]string{"slipway", "--help"}, "slipway", []string{"slipway", "--help"}},
		{[]string{"slipway", "rollout"}, "slipway", []string{"slipway", "rollout"}},
		{[]string{"slipway", "init", "--dry-run"}, "init", []string{"init", "--dry-run"}},
		{[]string{"/sbin/init", "--dry-run"}, "slipway", []string{"/sbin/init", "--dry-run"}},
		{[]string{"another-name", "nexus-push"}, "nexus-push", []string{"nexus-push"}},
	} {
		app, left := choose(test.given)
		assert.Equal(t, test.name, app.Name, "%v", test.given)
		assert.Equal(t, test.left, left, "%v", test.given)
	}
}

func TestEachNameIsItsApp(t *testing.T) {
	for _, known := range []map[string]func() *cli.App{commands, own} {
		for name, app := range known {
			assert.Equal(t, name, app().Name)
		}
	}
}

func TestLink(t *testing.T) {
	folder := t.TempDir()
	run := func() int { return slipway.Execute(t.Context(), overview(), []string{"slipway", "link", folder}) }
	assert.Equal(t, slipway.Usage, run(), "a folder without slipway")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "slipway"), nil, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "nexus-push"), []byte("an older program"), 0o755))
	for range 2 {
		require.Equal(t, slipway.Done, run())
		for _, name := range names(commands) {
			to, err := os.Readlink(filepath.Join(folder, name))
			require.NoError(t, err)
			assert.Equal(t, "slipway", to)
		}
	}
}
