//go:build lab

package rollout

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/rollout/scenes"
)

func TestMain(m *testing.M) {
	if err := scenes.Prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// short is the grace of a scene in the default run: what is tested is that it is
// kept. ROLLOUT_FULL=1 takes the defaults.
func short(grace string) []string {
	if grace == "" || os.Getenv("ROLLOUT_FULL") != "" {
		return nil
	}
	return []string{"--grace-" + grace, "15s"}
}

// TestEachWayToFail has the cluster make each failure and sees that it is named.
func TestEachWayToFail(t *testing.T) {
	t.Parallel()
	for _, scene := range scenes.Failing {
		if scene.NeedsLab == "registry" && os.Getenv("LAB_REGISTRY") == "" {
			continue
		}
		t.Run(scene.Name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, scene.Set(t.Context(), scene.Name))
			answer := Helper(t.Context(), "", "rollout-wait",
				append(short(scene.Grace), "-n", scene.Name, scene.Workload, "--timeout", "5m", "-o", "json")...)
			require.Len(t, answer.Result.Workloads, 1, "%+v", answer)
			found := answer.Result.Workloads[0]
			t.Logf("%.1f s: %s: %s", answer.Seconds, found.Code, found.Cause)
			assert.Equal(t, 1, answer.Exit)
			assert.Equal(t, scene.Code, found.Code, "%s", answer.Stdout)
			assert.Contains(t, found.Cause, scene.Says)
			assert.Contains(t, answer.Result.Error.Message, scene.Code)
			require.NotEmpty(t, found.Failures)
			require.NotNil(t, found.Failures[0].Report)
			assert.NotEmpty(t, found.Failures[0].Report.Try)
			if scene.Log != "" {
				assert.Equal(t, scene.Log, lastLine(found), "%s", answer.Stdout)
				assert.Contains(t, answer.Result.Error.Why, "said last: "+scene.Log)
			}
			record(t, scene)
			_, err := scenes.Kubectl(t.Context(), "", "delete", "namespace", scene.Name, "--wait=false")
			assert.NoError(t, err)
		})
	}
}

// lastLine is what the container of the first failure has written last.
func lastLine(found Workload) string {
	log := found.Failures[0].Report.Log
	if len(log) == 0 {
		return ""
	}
	return log[len(log)-1]
}

// TestWhatOnlyLooksLikeAFailure sees that no failure is told where there is none.
func TestWhatOnlyLooksLikeAFailure(t *testing.T) {
	t.Parallel()
	for _, scene := range scenes.Fine {
		t.Run(scene.Name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, scene.Set(t.Context(), scene.Name))
			answer := Helper(t.Context(), "", "rollout-wait",
				append(short(scene.Grace), "-n", scene.Name, scene.Workload, "--timeout", "5m", "-o", "json")...)
			require.Len(t, answer.Result.Workloads, 1, "%+v", answer)
			assert.Equal(t, "done", answer.Result.Workloads[0].State, "%s", answer.Stdout)
			assert.Zero(t, answer.Exit)
			if os.Getenv("ROLLOUT_RECORD") != "" {
				record(t, scene)
			}
		})
	}
}

// record keeps what the API server shows at the moment of the verdict as a
// fixture of the package that judges: ROLLOUT_RECORD=1.
func record(t *testing.T, scene scenes.Scene) {
	if os.Getenv("ROLLOUT_RECORD") == "" {
		return
	}
	var body string
	require.Eventually(t, func() bool {
		var err error
		body, err = scenes.Kubectl(t.Context(), "", "get",
			"deployments,statefulsets,daemonsets,replicasets,controllerrevisions,pods,events,persistentvolumeclaims", "-n", scene.Name, "-o", "yaml")
		// A crash loop is recorded between two ends, as it is most of the time.
		loops := scene.Code == "CRASH_LOOP" || scene.Code == "OOM_KILLED"
		return err == nil && (!loops || strings.Contains(body, "reason: CrashLoopBackOff") && !strings.Contains(body, "restartCount: 1\n"))
	}, 2*time.Minute, time.Second)
	at := time.Now().UTC().Format(time.RFC3339)
	grace := scene.Grace
	if grace == "" {
		grace = "none"
	}
	head := fmt.Sprintf("# Recorded from the lab's API server by tests/rollout (ROLLOUT_RECORD=1).\n# at: %s\n# code: %s\n# grace: %s\n# says: %s\n", at, scene.Code, grace, scene.Says)
	file := filepath.Join(Root(), "helpers/internal/rollout/testdata", scene.Name+".yaml")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(head+strings.TrimSpace(body)+"\n"), 0o644))
}
