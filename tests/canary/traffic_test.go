//go:build lab

package canary

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/canary/stage"
)

// address is where the users of a site ask, and by which Host.
func (s site) address(t *testing.T) (url, host string) {
	if s.Name != "service" {
		return os.Getenv("LAB_GATEWAY_URL"), stage.Host(s.namespace)
	}
	service := read(t, "/api/v1/namespaces/"+s.namespace+"/services/app")
	return "http://" + service["spec"].(map[string]any)["clusterIP"].(string), ""
}

// asked is how many requests each share is measured by: LAB_REQUESTS, else 2000.
func asked() int64 {
	if number, err := strconv.ParseInt(os.Getenv("LAB_REQUESTS"), 10, 64); err == nil {
		return number
	}
	return 2000
}

// The share that users get is the one that was asked for, and no request breaks
// while it is given and taken back, also on connections that are kept. A fifth of
// a route's traffic is another application's before, meanwhile and after.
func TestUsersGetTheShareAndNoRequestBreaks(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"service", "gateway", "traefik"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSiteOf(t, kind, "users-"+kind, stage.Serving(nil, nil))
			kubectl(t, "", "rollout", "status", "-n", s.namespace, "deployment/other", "--timeout=3m")
			url, host := s.address(t)
			others := 0.0
			if kind != "service" {
				others = 0.2
				require.Eventually(t, func() bool { return routed(url, host) }, waitFor, tick, "the gateway does not know the route")
			}
			kept := stage.Start(url, host, 2, true)
			unbroken := func(what string, users *stage.Users) {
				t.Helper()
				users.End()
				assert.Zero(t, users.Broken.Load(), "%s: of %d requests: %v", what, users.All(), users.First.Load())
			}
			for _, weight := range []int{10, 25, 50} {
				changing := stage.Start(url, host, 2, false)
				began := time.Now()
				done := newAPI(t).run(t, s.arguments("set", fmt.Sprint(weight), "--run", "run-a", "--max-extra", "8")...)
				took := time.Since(began)
				require.Equal(t, 0, done.code, done)
				unbroken("while it is set", changing)
				late := arrives(t, url, host, float64(weight)*(1-others))
				measured := stage.Start(url, host, 4, false)
				measured.Until(asked())
				unbroken("when it is set", measured)
				share := 100 * float64(measured.Canary.Load()) / float64(measured.All())
				other := 100 * float64(measured.Other.Load()) / float64(measured.All())
				t.Logf(
					"%s at %d %%: %.2f %% canary and %.2f %% others of %d requests; set took %.1f s, and users saw it %.1f s later",
					kind,
					weight,
					share,
					other,
					measured.All(),
					took.Seconds(),
					late.Seconds(),
				)
				assert.InDelta(t, float64(weight)*(1-others), share, 4)
				assert.InDelta(t, 100*others, other, 4)
			}
			unbroken("on kept connections while it is set", kept) // before the share is seen: a kept connection stays on its pod
			seen := stage.Start(url, host, 2, false)
			var checked answer
			assert.Eventually(t, func() bool {
				checked = newAPI(t).run(t, s.arguments("verify", "50", "--window", "5s", "--tolerance", "6")...)
				return checked.code == 0
			}, waitFor, time.Second, "%s", &checked)
			seen.End()
			kept, changing := stage.Start(url, host, 2, true), stage.Start(url, host, 2, false)
			kept.Until(50)
			back := newAPI(t).run(t, s.arguments("abort")...)
			require.Equal(t, 0, back.code, back)
			t.Logf("%s undone: users saw it %.1f s later", kind, arrives(t, url, host, 0).Seconds())
			measured := stage.Start(url, host, 2, false)
			measured.Until(300)
			unbroken("when it is undone", measured)
			assert.Zero(t, measured.Canary.Load(), "a request to the canary after abort")
			unbroken("during abort", changing)
			unbroken("on kept connections during abort", kept)
		})
	}
}

// arrives waits until a batch of requests has about this share, and says how long
// that took: a gateway says that it has taken a route before its proxy goes by it.
func arrives(t *testing.T, url, host string, want float64) time.Duration {
	t.Helper()
	began := time.Now()
	require.Eventually(t, func() bool {
		batch := stage.Start(url, host, 4, false)
		batch.Until(150)
		batch.End()
		assert.Zero(t, batch.Broken.Load(), "while the share arrives: of %d requests: %v", batch.All(), batch.First.Load())
		share := 100 * float64(batch.Canary.Load()) / float64(batch.All())
		return math.Abs(share-want) < 8 && (want > 0 || share == 0)
	}, 15*time.Second, 10*time.Millisecond, "the share does not arrive")
	return time.Since(began)
}

// routed says whether everybody behind the route is known there: of a batch, all are answered.
func routed(url, host string) bool {
	batch := stage.Start(url, host, 2, false)
	batch.Until(100)
	batch.End()
	return batch.Broken.Load() == 0 && batch.Stable.Load() > 0 && batch.Other.Load() > 0
}
