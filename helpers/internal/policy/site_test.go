package policy

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

func of(t *testing.T, file string) (*Site, error) {
	t.Helper()
	var site *Site
	var err error
	app := &cli.App{Name: "test", Flags: []cli.Flag{Flag}, Action: func(c *cli.Context) error { site, err = Of(c); return nil }}
	require.NoError(t, app.RunContext(context.Background(), []string{"test", "--policy", file}))
	return site, err
}

func TestAPolicyThatIsAbsentIsNoneAndOneThatIsElsewhereIsAMistake(t *testing.T) {
	folder := t.TempDir()
	for _, file := range []string{"", filepath.Join(folder, "policy.yaml"), filepath.Join(folder, "absent", "policy.yaml")} {
		site, err := of(t, file)
		require.NoError(t, err, file)
		assert.Empty(t, site.Hash)
		assert.Len(t, site.Missing(), 1)
	}
	require.NoError(t, os.Mkdir(filepath.Join(folder, "..data"), 0o755), "as Kubernetes mounts a ConfigMap")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "waivers.yaml"), nil, 0o600), "the scan's")
	_, err := of(t, filepath.Join(folder, "policy.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "policy.yml"), []byte("production: {}"), 0o600))
	_, err = of(t, filepath.Join(folder, "policy.yaml"))
	require.Error(t, err, "the ConfigMap has another key")
	assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
}

func TestThePolicysHashCoversItsKeys(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "policy.yaml")
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	write("policy.yaml", "production: {evidence: {keys: [staging.pub, next.pub]}}")
	write("staging.pub", "a")
	_, err := Load(file)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "next.pub")
	write("next.pub", "b")
	one, err := Load(file)
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(folder, "staging.pub"), filepath.Join(folder, "next.pub")}, one.Keys())
	write("next.pub", "c")
	two, err := Load(file)
	require.NoError(t, err)
	assert.NotEqual(t, one.Hash, two.Hash)
	write("policy.yaml", "production: {breaking: no}")
	_, err = Load(file)
	assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
}

func TestACanaryIsTriedAtLeastAsThePolicySays(t *testing.T) {
	least := Canary{MinWeight: 5, MinDuration: 10 * time.Minute, MinRequests: 500}
	asked := Trial{Weight: 1, Prometheus: true, Hold: time.Minute, Duration: 5 * time.Minute, MinRequests: 100}
	trial, raised, err := least.Raise(asked)
	require.NoError(t, err)
	assert.Equal(t, Trial{Weight: 5, Prometheus: true, Hold: time.Minute, Duration: 10 * time.Minute, MinRequests: 500}, trial)
	assert.Equal(t, []string{
		"canaryWeight: 5 by the policy's canary.minWeight, not 1", "analysisDuration: 10m by the policy's canary.minDuration, not 5m",
		"analysisMinRequests: 500 by the policy's canary.minRequests, not 100",
	}, raised)
	require.Error(t, least.Enough(asked))
	require.NoError(t, least.Enough(trial))
	strict := Trial{Weight: 50, Prometheus: true, Duration: time.Hour, MinRequests: 9000}
	same, raised, err := least.Raise(strict)
	require.NoError(t, err)
	assert.Empty(t, raised)
	assert.Equal(t, strict, same, "a call may ask for more")
	asked.Prometheus = false
	_, _, err = least.Raise(asked)
	assert.Equal(t, slipway.Usage, slipway.AsError(err).Code, "nothing counts the requests")
	trial, _, err = Canary{MinDuration: 10 * time.Minute}.Raise(asked)
	require.NoError(t, err)
	assert.Equal(t, 10*time.Minute, trial.Hold)
	_, raised, err = Canary{}.Raise(asked)
	require.NoError(t, err)
	assert.Empty(t, raised)
}
