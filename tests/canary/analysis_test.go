//go:build lab

package canary

import (
	"encoding/json"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/canary/stage"
)

// judging is a site whose canary has a quarter of the traffic of users that ask all the time.
func judging(t *testing.T, name string, stable, canary map[string]string) (site, *stage.Users) {
	if os.Getenv("PROMETHEUS_URL") == "" {
		t.Skip("needs bin/lab run --with prometheus")
	}
	for _, variables := range []map[string]string{stable, canary} {
		variables["DELAY"] = "0.02"
	}
	s := newSiteOf(t, "service", "analysis-"+name, stage.Serving(stable, canary))
	require.Equal(t, 0, newAPI(t).run(t, s.arguments("set", "25", "--run", "https://jenkins.example/job/app/87/")...).code)
	url, host := s.address(t)
	users := stage.Start(url, host, 3, false)
	t.Cleanup(users.End)
	return s, users
}

// analysed is what analyze found, in its JSON.
type analysed struct {
	Verdict, Why string
	Looks        []struct {
		Canary, Stable struct{ Requests, Errors, P95 float64 }
	}
	LastWords *struct {
		Pod, Container string
		Previous       bool
		Lines          []string
	}
}

func (s site) analyze(t *testing.T, more ...string) (answer, analysed) {
	t.Helper()
	said := newAPI(
		t,
	).run(t, s.arguments("analyze",
		append([]string{"-o", "json", "--interval", "3s", "--duration", "15s", "--min-requests", "50", "--max-p95-ratio", "5"}, more...)...)...)
	var result analysed
	require.NoError(t, json.Unmarshal([]byte(said.out), &result), said)
	return said, result
}

// at asks the first pod of a version itself.
func (s site) at(t *testing.T, app, path string) {
	t.Helper()
	address := kubectl(t, "", "get", "pods", "-n", s.namespace, "-l", "app="+app, "-o", "jsonpath={.items[0].status.podIP}")
	response, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + address + ":8000" + path)
	if err == nil { // a pod that ends does not answer
		_ = response.Body.Close()
	}
}

// Prometheus judges: healthy, unhealthy with a report, and inconclusive for silence.
func TestAnalysis(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fails  string
		native string
		code   int
	}{"good": {"0.002", "", 0}, "native-histograms": {"0.002", "1", 0}, "bad": {"0.08", "", 1}, "all-fail": {"1", "", 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, users := judging(
				t,
				name,
				map[string]string{"FAIL": "0.002", "NATIVE": test.native},
				map[string]string{"FAIL": test.fails, "NATIVE": test.native},
			)
			report := os.Getenv("LAB_REPORT")
			if report == "" || name != "bad" {
				report = t.TempDir() + "/report.html"
			}
			before := users.All()
			judged, result := s.analyze(t, "--report", report, "--query", `up=min(up{namespace="$namespace",app="$deployment"}) > bool 0`)
			asked := float64(users.All() - before)
			t.Log(judged.errors, result.Verdict, result.Why)
			require.Equal(t, test.code, judged.code, judged)
			assert.FileExists(t, report)
			last := result.Looks[len(result.Looks)-1]
			if test.code == 0 {
				assert.InDelta(
					t,
					asked,
					last.Canary.Requests+last.Stable.Requests,
					0.4*asked,
					"Prometheus sees what was asked, but for the first and the last seconds",
				)
				assert.Greater(t, last.Canary.P95, 0.04, "of durations whose 95th percentile is 60 ms and more")
				assert.Less(t, last.Canary.P95, 0.4)
			}
			if name == "good" {
				s.mistakes(t)
			}
		})
	}
}

// mistakes are those that only a Prometheus with this application's series shows.
func (s site) mistakes(t *testing.T) {
	for _, test := range []struct {
		arguments []string
		code      int
		say       string
	}{
		{[]string{"--query", "many=http_requests_total"}, 2, "series where one number is needed"},
		{[]string{"--selector", `namespace="$namespace"`}, 2, "the same series for both versions"},
		{[]string{"--query", "wrong=sum("}, 2, "prometheus does not understand"},
		{[]string{"--query", "none=absent_metric"}, 3, "the query none has no answer"},
		{[]string{"--query", "zero=vector(0)"}, 1, "the query zero does not hold"},
		{[]string{"--metric", "no_such_metric"}, 3, "it got too few requests to tell"},
		{[]string{"--histogram", "no_such_metric"}, 0, ""},
	} {
		said, _ := s.analyze(
			t,
			append([]string{"--interval", "2s", "--duration", "2s", "--min-requests", "1", "--max-error-rate", "100"}, test.arguments...)...)
		assert.Equal(t, test.code, said.code, "%v: %s", test.arguments, said)
		assert.Contains(t, said.out+said.errors, test.say)
	}
}

// What goes wrong while it is analysed, in the canary's pods, in stable's, and in the numbers.
func TestAnalysisOfWhatGoesWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		app, path string
		code      int
		say       string
	}{
		"restart":   {"app-canary", "/fault/exit", 1, "restarted 1 times (Error, exit code 3)"},
		"memory":    {"app-canary", "/fault/memory", 1, "OOMKilled"},
		"unready":   {"app-canary", "/fault/unready", 1, "1 of its 1 pods are not ready"},
		"nan":       {"app-canary", "/fault/nan", 3, "has a value that is no number"},
		"reset":     {"app", "/fault/exit", 0, "it does not fail more often than stable"},
		"after-nan": {"app", "/fault/nan", 3, "has a value that is no number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, users := judging(t, name, map[string]string{}, map[string]string{})
			before := users.All()
			timer := time.AfterFunc(5*time.Second, func() { s.at(t, test.app, test.path) })
			defer timer.Stop()
			said, result := s.analyze(t)
			t.Log(said.errors, result.Verdict, result.Why)
			assert.Equal(t, test.code, said.code, said)
			assert.Contains(t, said.out+said.errors, test.say)
			assert.Equal(t, test.code == 1, result.LastWords != nil, "of an unhealthy canary there is a pod's log")
			if name == "restart" {
				assert.True(t, result.LastWords.Previous, "%+v", result.LastWords)
				assert.Contains(t, result.LastWords.Lines, "ending, as I was told to; token=****")
			}
			if name == "reset" {
				last := result.Looks[len(result.Looks)-1]
				asked := float64(users.All() - before)
				assert.InDelta(
					t,
					asked,
					last.Canary.Requests+last.Stable.Requests,
					0.4*asked,
					"a counter that begins again at 0 loses no more than its last second",
				)
				assert.Contains(
					t,
					kubectl(
						t,
						"",
						"get",
						"pods",
						"-n",
						s.namespace,
						"-l",
						"app=app",
						"-o",
						"jsonpath={.items[*].status.containerStatuses[0].restartCount}",
					),
					"1",
				)
			}
		})
	}
}

// Silence, a login page and a gateway's own page are no verdict.
func TestAPrometheusThatDoesNotAnswerAsOne(t *testing.T) {
	t.Parallel()
	s := newSite(t, "service", "no-prometheus")
	kubectl(t, "", "scale", "-n", s.namespace, "deployment/app-canary", "--replicas=1") // without a pod nobody is asked
	kubectl(t, "", "rollout", "status", "-n", s.namespace, "deployment/app-canary", "--timeout=3m")
	for name, test := range map[string]struct {
		status int
		body   string
		code   int
		say    string
	}{
		"a login page":     {200, "<!doctype html><title>log in</title>", 2, "what answers at --prometheus is no Prometheus"},
		"a gateway's page": {502, "<html>Bad Gateway</html>", 3, "Prometheus did not answer as it should"},
		"is away":          {0, "", 3, "Prometheus did not answer as it should"},
		"says nothing":     {200, "", 3, "it got too few requests to tell"},
	} {
		address := os.Getenv("PROMETHEUS_URL")
		switch {
		case test.status == 0:
			address = "http://127.0.0.1:1"
		case test.body != "":
			address = "http://" + servePage(t, test.status, test.body)
		case address == "":
			continue
		}
		said := newAPI(t).run(t, s.arguments("analyze", "--prometheus", address, "--interval", "1s", "--duration", "2s")...)
		assert.Equal(t, test.code, said.code, "%s: %s", name, said)
		assert.Contains(t, said.errors, test.say, name)
	}
}
