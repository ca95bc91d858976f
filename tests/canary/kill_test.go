//go:build lab

package canary

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/canary/stage"
)

// Every write of set, and every write of abort, is the process' last one once.
// After that one abort, by somebody else, makes everything as it was.
func TestKilledAtEveryWrite(t *testing.T) {
	for kind := range stage.Routers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind, "kill-"+kind)
			before := s.state(t)
			whole := newAPI(t)
			done := whole.run(t, s.setArguments("run-0")...)
			require.Equal(t, 0, done.code, "set: %s", done)
			given := s.state(t)
			t.Logf(
				"set: %d requests, %d of them writes; it changed: %s",
				len(whole.requests),
				whole.writes,
				strings.Join(changed(before, given), " | "),
			)
			// Pods that take more than three seconds are looked at as rollout-wait does, which asks for more.
			requests := strings.Join(whole.requests, "\n")
			if !strings.Contains(requests, "WATCH /api/v1/namespaces/"+s.namespace+"/pods") {
				assert.LessOrEqual(t, len(whole.requests), 16, "requests of one set: %s", requests)
			}
			sets := whole.writes
			undoing := newAPI(t)
			undone := undoing.run(t, s.arguments("abort")...)
			require.Equal(t, 0, undone.code, undone)
			s.mustBe(t, before, "after set and abort")
			aborts := undoing.writes
			require.Greater(t, sets, 2)
			require.Greater(t, aborts, 2)
			for i := 1; i <= sets; i++ {
				killed := newAPI(t)
				killed.killAt = i
				require.Equal(t, -1, killed.run(t, s.setArguments(fmt.Sprintf("run-set-%d", i))...).code)
				back := newAPI(t).run(t, s.arguments("abort")...)
				require.Equal(t, 0, back.code, "abort: %s", back)
				s.mustBe(t, before, fmt.Sprintf("set killed at write %d, then abort: %s", i, back))
			}
			for i := 1; i <= aborts; i++ {
				done := newAPI(t).run(t, s.setArguments(fmt.Sprintf("run-abort-%d", i))...)
				require.Equal(t, 0, done.code, "set: %s", done)
				killed := newAPI(t)
				killed.killAt = i
				require.Equal(t, -1, killed.run(t, s.arguments("abort")...).code)
				back := newAPI(t).run(t, s.arguments("abort")...)
				require.Equal(t, 0, back.code, "abort: %s", back)
				s.mustBe(t, before, fmt.Sprintf("abort killed at write %d, then abort: %s", i, back))
			}
			t.Logf("%d deaths of set, %d of abort: each undone", sets, aborts)
		})
	}
}
