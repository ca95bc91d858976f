//go:build lab

package canary

import (
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOfTwoRunsAtOnceOneWinsAndTheOtherNamesIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, "service", "two-runs")
	before := s.state(t)
	_, first := newAPI(t).begin(t, s.setArguments("run-a")...)
	_, second := newAPI(t).begin(t, s.setArguments("run-b")...)
	a, b := first(), second()
	if a.code != 0 {
		a, b = b, a
	}
	assert.Equal(t, 0, a.code, a)
	assert.Equal(t, 4, b.code, b)
	winner := "run-a"
	if strings.Contains(a.out, "run-b") {
		winner = "run-b"
	}
	assert.Contains(t, b.errors, "another run has the canary of app: "+winner)
	loser := map[string]string{"run-a": "run-b", "run-b": "run-a"}[winner]
	given := s.state(t)
	left := newAPI(t).run(t, s.arguments("abort", "--run", loser)...)
	assert.Equal(t, 0, left.code, left)
	assert.Contains(t, left.out, "another run's, and was left alone: "+winner)
	s.mustBe(t, given, "after the loser's abort")
	shown := newAPI(t).run(t, s.arguments("get")...)
	assert.Equal(t, 5, strings.Count(shown.out, "\n"), shown)
	t.Logf("get:\n%s", shown.out)
	assert.Equal(t, 0, newAPI(t).run(t, s.arguments("abort", "--run", winner)...).code)
	s.mustBe(t, before, "after the winner's abort")
}

func TestAClockThatIsWrongByAnHourDoesNoHarm(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "service", "clock-"+name)
			before := s.state(t)
			wrong := newAPI(t)
			wrong.ahead = ahead
			done := wrong.run(t, s.setArguments("run-wrong", "--expires", "10m")...)
			require.Equal(t, 0, done.code, done)
			given := s.state(t)
			other := newAPI(t).run(t, s.setArguments("run-right")...)
			assert.Equal(t, 4, other.code, other)
			reaper := newAPI(t).run(t, s.arguments("abort", "--expired")...)
			assert.Contains(t, reaper.out, "may stay until")
			s.mustBe(t, given, "what the wrong clock wrote has its ten minutes")
			require.Equal(t, 0, newAPI(t).run(t, s.arguments("abort")...).code)

			require.Equal(t, 0, newAPI(t).run(t, s.setArguments("run-right", "--expires", "10m")...).code)
			other = wrong.run(t, s.setArguments("run-wrong")...)
			assert.Equal(t, 4, other.code, other)
			assert.Contains(t, wrong.run(t, s.arguments("abort", "--expired")...).out, "may stay until")
			require.Equal(t, 0, newAPI(t).run(t, s.setArguments("run-right", "--expires", "1s")...).code)
			require.Eventually(
				t,
				func() bool { return strings.Contains(wrong.run(t, s.arguments("abort", "--expired")...).out, "undone") },
				waitFor,
				tick,
			)
			s.mustBe(t, before, "after the wrong clock's reaper")
		})
	}
}

func TestADeadRunsCanaryIsTakenOverWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, "service", "dead-run")
	dead := newAPI(t)
	dead.killAt = 2
	require.Equal(t, -1, dead.run(t, s.setArguments("run-dead", "--expires", "1s")...).code)
	var next answer
	require.Eventually(t, func() bool { next = newAPI(t).run(t, s.setArguments("run-next")...); return next.code == 0 }, waitFor, tick)
	assert.Equal(t, 0, newAPI(t).run(t, s.arguments("get", "--run", "run-next")...).code, "as the pipelines call it")
	assert.Contains(t, next.errors, "the run run-dead left a canary behind: undoing it first")
	assert.Contains(t, next.out, "run-next")
	left := newAPI(t).run(t, s.arguments("abort", "--run", "run-dead")...)
	assert.Contains(t, left.out, "left alone: run-next")
	require.Equal(t, 0, newAPI(t).run(t, s.setArguments("run-next", "--expires", "1s")...).code)
	require.Eventually(t, func() bool {
		return strings.Contains(newAPI(t).run(t, s.arguments("abort", "--expired", "--run", "run-third")...).out, "undone what run-next began")
	}, waitFor, tick, "whoever's it is")
}

// waiting has a set that waits for pods which never come.
func waiting(t *testing.T, s site, more ...string) (*api, func(syscall.Signal), func() answer) {
	kubectl(t, "", "set", "image", "-n", s.namespace, "deployment/app-canary", "c=registry.k8s.io/none:1")
	a := newAPI(t)
	process, wait := a.begin(t, s.setArguments("run-a", more...)...)
	deadline := time.After(time.Minute)
	for {
		select {
		case line := <-a.seen:
			if strings.HasPrefix(line, "WATCH ") && strings.Contains(line, "/deployments") {
				return a, func(signal syscall.Signal) { require.NoError(t, process.Signal(signal)) }, wait
			}
		case <-deadline:
			t.Fatal("set does not wait for pods")
		}
	}
}

func TestASetThatIsUndoneWhileItWaitsStopsAndChangesNothingMore(t *testing.T) {
	t.Parallel()
	s := newSite(t, "traefik", "fenced")
	_, _, wait := waiting(t, s)
	undone := newAPI(t).run(t, s.arguments("abort", "--run", "run-a")...)
	require.Equal(t, 0, undone.code, undone)
	after := s.state(t)
	ended := wait()
	assert.Equal(t, 4, ended.code, ended)
	assert.Contains(t, ended.errors, "somebody undid or took over the canary")
	s.mustBe(t, after, "nothing after the undoing")
	assert.NotContains(t, after, "slipway.dev/")
}

func TestASignal(t *testing.T) {
	t.Parallel()
	s := newSite(t, "service", "signal")
	_, kill, wait := waiting(t, s)
	kill(syscall.SIGTERM)
	ended := wait()
	assert.Equal(t, 3, ended.code, ended)
	assert.Contains(t, ended.errors, "stopped by a signal")
	assert.Contains(t, ended.errors, "canary-weight abort -n signal --app app")
	require.Equal(t, 0, newAPI(t).run(t, s.arguments("abort")...).code)
	before := s.state(t)
	_, kill, wait = waiting(t, s, "--abort-on-signal")
	kill(syscall.SIGTERM)
	ended = wait()
	assert.Equal(t, 3, ended.code, ended)
	assert.Contains(t, ended.errors, "all traffic is on stable")
	s.mustBe(t, before, "undone on the signal")
}

func TestSomebodyScalesStableMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t, "service", "scaled")
	require.Equal(t, 0, newAPI(t).run(t, s.setArguments("run-a")...).code) // stable 2 becomes 3
	kubectl(t, "", "scale", "-n", s.namespace, "deployment/app", "--replicas=5")
	back := newAPI(t).run(t, s.arguments("abort")...)
	require.Equal(t, 0, back.code, back)
	assert.Contains(t, back.errors, "stable has 5 replicas, which no canary asked for: left as they are")
	assert.EqualValues(t, 5, s.deployment(t, "app")["spec"].(map[string]any)["replicas"])
}

func TestWhatIsBadIsSaidInOneSentence(t *testing.T) {
	t.Parallel()
	s := newSite(t, "traefik", "mistakes")
	kubectl(t, "", "delete", "-n", s.namespace, "service/app-canary")
	page := "http://" + servePage(t, 200, "<!doctype html><title>log in</title>")
	for name, test := range map[string]struct {
		arguments []string
		say       string
	}{
		"over 100":       {s.arguments("set", "101"), `the weight "101" is no whole number from 0 to 100`},
		"negative":       {s.arguments("set", "-1"), `the weight "-1" is no whole number from 0 to 100`},
		"no number":      {s.arguments("set", "ten"), `the weight "ten" is no whole number`},
		"the same twice": {s.arguments("set", "10", "--canary", "app"), "--stable and --canary both name deployment/app"},
		"no name":        {[]string{"set", "10", "-n", s.namespace}, "canary-weight set needs the application's name"},
		"no such router": {[]string{"set", "10", "-n", s.namespace, "--app", "app", "--router", "nginx"},
			`--router "nginx" is none of service, gateway, ingress-nginx, traefik, istio`},
		"no Service of its own": {s.arguments("set", "10"), "no Service selects the pods of deployment/app-canary and not the other version's"},
		"a Service of one": {[]string{"set", "10", "-n", s.namespace, "--app", "app", "--router", "service", "--service", "app-stable"},
			"service/app-stable does not select the pods of both"},
		"HTML for Prometheus": {s.arguments("analyze", "--prometheus", page, "--interval", "1s", "--duration", "1s"), "what " +
			"answers at --prometheus is no Prometheus"},
		"a query that is wrong": {s.arguments("analyze", "--prometheus", page, "--query", "x"), `--query "x" is not NAME=PROMQL`},
		"no room for one look": {s.arguments("analyze", "--prometheus", page, "--duration", "1s"), "--duration 1s has no room for " +
			"one --interval 30s"},
		"percent that is not so": {s.arguments("analyze", "--prometheus", page, "--max-error-rate", "x"),
			`--max-error-rate "x" is no percentage`},
	} {
		said := newAPI(t).run(t, test.arguments...)
		assert.Equal(t, 2, said.code, "%s: %s", name, said)
		assert.Contains(t, said.errors, test.say, name)
	}
	s2 := newSite(t, "traefik", "mistakes-route")
	kubectl(
		t,
		"",
		"patch",
		"-n",
		s2.namespace,
		"traefikservice/app",
		"--type=json",
		"-p",
		`[{"op":"remove","path":"/spec/weighted/services/1"}]`,
	)
	said := newAPI(t).run(t, s2.arguments("set", "10")...)
	assert.Equal(t, 2, said.code, said)
	assert.Contains(t, said.errors, "no object of traefikservices refers to both service/app-stable and service/app-canary")
	assert.Nil(t, s2.lease(t))
}

func TestAShareThatCannotBeHadIsNotPretended(t *testing.T) {
	t.Parallel()
	s := newSite(t, "service", "too-few")
	before := s.state(t)
	said := newAPI(t).run(t, s.arguments("set", "10", "--max-extra", "2")...)
	assert.Equal(t, 1, said.code, said)
	assert.Contains(t, said.errors, "10 % cannot be had: achievable 25.0 % (3 stable and 1 canary pods), error 15.0 points")
	kubectl(t, "", "create", "quota", "-n", s.namespace, "few", "--hard=pods=4")
	require.Eventually(t, func() bool {
		said = newAPI(t).run(t, s.arguments("set", "25")...)
		return strings.Contains(said.errors, "resourcequota/few leaves room for 2 more pods by pods")
	}, waitFor, tick, "the quota's controller fills in what is used")
	assert.Equal(t, 1, said.code, said)
	assert.Contains(t, said.errors, "achievable 33.3 %")
	assert.Contains(t, said.errors, "the promotion of deployment/app needs 1 of them (maxSurge)")
	for hard, say := range map[string]string{"3": "there is no room for a pod of the canary beside the 2 of " +
		"deployment/app", "2": "the promotion would fail: it needs 1 pods beside those of deployment/app"} {
		kubectl(t, "", "patch", "quota", "-n", s.namespace, "few", "-p", `{"spec":{"hard":{"pods":"`+hard+`"}}}`)
		require.Eventually(t, func() bool {
			said = newAPI(t).run(t, s.arguments("set", "33")...)
			return strings.Contains(said.errors, say)
		}, waitFor, tick, "%s: %s", hard, &said)
		assert.Equal(t, 1, said.code, said)
	}
	kubectl(t, "", "autoscale", "-n", s.namespace, "deployment/app-canary", "--max=3", "--cpu-percent=50")
	said = newAPI(t).run(t, s.arguments("set", "33")...)
	assert.Equal(t, 2, said.code, said)
	assert.Contains(t, said.errors, "horizontalpodautoscaler/app-canary owns the replicas")
	kubectl(t, "", "delete", "-n", s.namespace, "hpa/app-canary", "quota/few")
	s.mustBe(t, before, "nothing was changed")
}

func TestTheRouterIsFoundByWhatRefersToBothVersions(t *testing.T) {
	for kind, say := range map[string]string{"service": "router service: service/app selects both versions", "traefik": "router " +
		"traefik: app refers to", "istio": "router istio: app refers to", "ingress-nginx": "router ingress-nginx: app-canary refers to"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind, "found-"+kind)
			whole := newAPI(t)
			found := whole.run(t, "get", "-n", s.namespace, "--app", "app")
			assert.Equal(t, 0, found.code, found)
			assert.Contains(t, found.errors, say)
			t.Logf("%d requests", len(whole.requests))
		})
	}
}

func servePage(t *testing.T, status int, page string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(page))
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}
