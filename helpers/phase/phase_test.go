package phase

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/deploy"
)

const (
	older = "r/app:1@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	newer = "r/app:2@sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

func code(err error) int {
	if err == nil {
		return slipway.Done
	}
	return slipway.AsError(err).Code
}

func TestAnImageWithoutItsCommitIsPromotedOnlyByItsTag(t *testing.T) {
	for revision, good := range map[string]bool{
		strings.Repeat("a", 40): true, "0123abc": true, "": false, "main": false, "--upload-pack=x": false,
		"abc": false, "0123ABC": false, "0123abc\n": false,
	} {
		assert.Equal(t, good, knowsItsCommit(newer, revision, false) == nil, "%q", revision)
		assert.NoError(t, knowsItsCommit(newer, revision, true), "%q", revision)
	}
}

func TestComparison(t *testing.T) {
	for name, test := range map[string]struct {
		now            deploy.Outcome
		changes, first bool
		replicas       int
		says           string
	}{
		"another image": {deploy.Outcome{From: older, To: newer, Changed: true, Replicas: 3}, true, false, 3, "production runs " + older},
		"this one":      {deploy.Outcome{From: newer, To: newer, Replicas: 3}, false, false, 3, "production runs " + newer + " already"},
		"at 0": {deploy.Outcome{Deployment: "app", From: older, To: newer, Changed: true}, true, false, 2,
			"production runs no pod: deployment/app has spec.replicas 0, and the image " + older},
		"first, at 0":        {deploy.Outcome{From: older, To: newer, Changed: true, First: true}, true, true, 2, "first release"},
		"first, asked for 4": {deploy.Outcome{From: older, To: newer, Changed: true, First: true, Replicas: 4}, true, true, 4, "first release"},
		"first, this one":    {deploy.Outcome{From: newer, To: newer, First: true}, true, true, 2, "first release"},
	} {
		fields := comparison(test.now, 2)
		assert.Equal(t, []any{test.changes, test.first, test.replicas}, []any{fields["changes"], fields["first"], fields["replicas"]}, name)
		assert.Contains(t, fields["says"], test.says, name)
	}
}

func TestWhatWasApprovedHasToBeTrueStill(t *testing.T) {
	for name, test := range map[string]struct {
		now   deploy.Outcome
		first bool
		code  int
	}{
		"as approved":                    {deploy.Outcome{From: older}, false, slipway.Done},
		"first, and still":               {deploy.Outcome{From: older, First: true}, true, slipway.Done},
		"another image":                  {deploy.Outcome{From: newer}, false, slipway.Conflict},
		"it served meanwhile":            {deploy.Outcome{From: older}, true, slipway.Conflict},
		"the same tag of another digest": {deploy.Outcome{From: strings.Replace(older, "1111", "1112", 1)}, false, slipway.Conflict},
	} {
		assert.Equal(t, test.code, code(still(test.now, older, test.first)), name)
	}
}

func TestAnotherRunsCanaryIsAConflict(t *testing.T) {
	assert.NoError(t, heldByAnother("", "me", "app", "prod"))
	assert.NoError(t, heldByAnother("me", "me", "app", "prod"))
	err := heldByAnother("https://jenkins/7/", "me", "app", "prod")
	assert.Equal(t, slipway.Conflict, code(err))
	assert.ErrorContains(t, err, "canary-weight abort -n prod --app app")
}

func TestOnlyWhatCouldNotBeToldIsTriedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		errs  []error
		tries int
		code  int
	}{
		"at once":            {[]error{nil}, 1, slipway.Done},
		"the second time":    {[]error{slipway.Errorf(slipway.Unknown, "away"), nil}, 2, slipway.Done},
		"a no":               {[]error{slipway.Errorf(slipway.No, "no")}, 1, slipway.No},
		"a conflict":         {[]error{slipway.Errorf(slipway.Conflict, "another")}, 1, slipway.Conflict},
		"away for ever":      {[]error{errors.New("a"), errors.New("b"), errors.New("c"), errors.New("d")}, 4, slipway.Unknown},
		"away, and then not": {[]error{errors.New("a"), slipway.Errorf(slipway.No, "no")}, 2, slipway.No},
	} {
		tries := 0
		err := again(t.Context(), []time.Duration{0, 0, 0}, func() error { tries++; return test.errs[tries-1] })
		assert.Equal(t, test.tries, tries, name)
		assert.Equal(t, test.code, code(err), name)
	}
}

func TestHowAnUndoingIsTold(t *testing.T) {
	for name, test := range map[string]struct {
		outcome deploy.Outcome
		err     error
		want    string
		code    int
	}{
		"back": {deploy.Outcome{To: older, Changed: true, Replicas: 3}, nil,
			"stable is back on app:1 (sha256:111111111111…), with 3 replicas", slipway.Done},
		"no pod": {deploy.Outcome{To: older, Changed: true}, nil, "and no pod runs, as before", slipway.Done},
		"nothing to undo": {deploy.Outcome{To: older, Replicas: 3}, nil,
			"stable has app:1 (sha256:111111111111…) and 3 replicas: there is nothing to undo", slipway.Done},
		"somebody's":  {deploy.Outcome{}, slipway.Errorf(slipway.Conflict, "x"), "stable was left alone", slipway.Done},
		"not undone":  {deploy.Outcome{}, slipway.Errorf(slipway.No, "x"), "", slipway.No},
		"not reached": {deploy.Outcome{To: older, Replicas: 3}, errors.New("away"), "", slipway.Unknown},
	} {
		story, err := backStory(test.outcome, test.err)
		assert.Equal(t, test.code, code(err), name)
		assert.Contains(t, story, test.want, name)
		assert.Equal(t, test.want == "", story == "", name)
	}
}

func TestTheLoginIsForTheHostAlone(t *testing.T) {
	for image, host := range map[string]string{
		"nexus.example:8443/docker-hosted/team/app:1@sha256:0": "nexus.example:8443",
		"10.10.70.84:30051/app:1":                              "10.10.70.84:30051", "hub.example/app": "hub.example",
	} {
		body, err := login(image, "bob", `p"a\s:s`+"\n")
		require.NoError(t, err)
		var config struct {
			Auths map[string]struct{ Auth string }
		}
		require.NoError(t, json.Unmarshal(body, &config))
		require.Contains(t, config.Auths, host)
		auth, err := base64.StdEncoding.DecodeString(config.Auths[host].Auth)
		require.NoError(t, err)
		assert.Equal(t, `bob:p"a\s:s`+"\n", string(auth))
	}
}

func TestTagOf(t *testing.T) {
	for reference, want := range map[string]string{
		"r:80/team/app:latest-4@sha256:0": "latest-4", "r:80/team/app@sha256:0": "", "r:80/team/app:latest-4": "",
		"other/team/app:1@sha256:0": "", "r:80/team/app-2:1@sha256:0": "", "": "",
	} {
		tag, digest, ours := tagOf("r:80/team/app", reference)
		assert.Equal(t, want != "", ours, reference)
		if ours {
			assert.Equal(t, want, tag)
			assert.Equal(t, "sha256:0", digest)
		}
	}
}

func TestAServiceIsAskedUntilItAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		answers []int
		asked   int
		code    int
	}{
		"at once": {[]int{200}, 1, slipway.Done}, "a redirect is an answer": {[]int{302}, 1, slipway.Done},
		"warming up": {[]int{503, 500, 200}, 3, slipway.Done},
		"never":      {[]int{500, 500, 500, 500}, 4, slipway.No}, "not found stays so": {[]int{404, 200}, 1, slipway.No},
		"too many requests pass": {[]int{429, 200}, 2, slipway.Done},
	} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(test.answers[asked])
			asked++
			_, _ = w.Write([]byte("said"))
		}))
		body, err := ask(t.Context(), server.URL+"/version", time.Millisecond)
		server.Close()
		assert.Equal(t, test.code, code(err), name)
		assert.Equal(t, test.asked, asked, name)
		if err == nil {
			assert.Equal(t, "said", string(body), name)
		} else {
			assert.ErrorContains(t, err, server.URL+"/version does not answer as it should", name)
		}
	}
	server := httptest.NewServer(nil)
	server.Close()
	_, err := ask(t.Context(), server.URL, time.Millisecond)
	assert.Equal(t, slipway.No, code(err), "nobody listens")
	for _, address := range []string{"", "file:///etc/passwd", "service/version", "http://"} {
		_, err := ask(t.Context(), address, time.Millisecond)
		assert.Equal(t, slipway.Usage, code(err), address)
	}
}

// What is missing is one sentence, before anything is connected to.
func TestWrongUsageOfAPhase(t *testing.T) {
	for _, words := range []string{
		"", "sink", "find", "find a b", "compare r/app", "compare", "plan x", "deploy", "smoke", "smoke http://x", "canary",
		"canary 0 --image x", "canary 100 --image x", "canary ten --image x",
		"judge", "promote 10", "undo", "undo all", "undo stable --app a --run r", "undo canary --app a", "undo canary --run r",
	} {
		t.Setenv("BUILD_URL", "")
		var stdout, stderr bytes.Buffer
		app := App()
		app.Writer, app.ErrWriter = &stdout, &stderr
		arguments := append([]string{"phase", "--answer"}, strings.Fields(words)...)
		assert.Equal(t, slipway.Done, slipway.Execute(t.Context(), app, arguments), words)
		var document struct {
			Exit  int
			Error struct{ Message string }
		}
		require.NoError(t, json.Unmarshal(stdout.Bytes(), &document), words)
		assert.Equal(t, slipway.Usage, document.Exit, "%s: %s", words, document.Error.Message)
		assert.NotEmpty(t, document.Error.Message, words)
	}
}

// The flags that a phase shares with the command that does the same alone are checked alike.
func TestSharedFlagsAreCheckedAlike(t *testing.T) {
	judge := "judge --app a --run r --image x --prometheus http://x "
	for words, says := range map[string]string{
		"find --depth 0 r/app":            "--depth 0 is no number of tags",
		"find --depth -5 r/app":           "--depth -5 is no number of tags",
		"find --pattern latest r/app":     "pattern",
		judge + "--interval 0s":           "has no room for one --interval",
		judge + "--duration 1s":           "has no room for one --interval",
		judge + "--max-error-rate much":   "is no percentage",
		judge + "--max-error-rate NaN":    "is no percentage",
		judge + "--max-error-rate=-1%":    "is no percentage",
		judge + "--query http_errors":     "is not NAME=PROMQL",
		judge + "--query =vector(1)":      "is not NAME=PROMQL",
		"judge --image x --app a --run=":  "needs --run",
		"judge --run r --app a --image= ": "needs --image",
	} {
		t.Setenv("BUILD_URL", "")
		var stdout, stderr bytes.Buffer
		app := App()
		app.Writer, app.ErrWriter = &stdout, &stderr
		code := slipway.Execute(t.Context(), app, append([]string{"phase"}, strings.Fields(words)...))
		assert.Equal(t, slipway.Usage, code, "%s: %s", words, stderr.String())
		assert.Contains(t, stderr.String(), says, words)
	}
}

func TestOnlyAnUnhealthyCanaryIsReadAboutInItsReport(t *testing.T) {
	require.NoError(t, withReport(nil, "report.html"), "a healthy one")
	unhealthy := slipway.Errorf(slipway.No, "canary unhealthy")
	assert.Contains(t, slipway.AsError(withReport(unhealthy, "report.html")).Hint, "report.html")
	unknown := slipway.Errorf(slipway.Unknown, "too few requests").Next("send more")
	assert.Equal(t, "send more", slipway.AsError(withReport(unknown, "report.html")).Hint)
	assert.Empty(t, slipway.AsError(withReport(slipway.Errorf(slipway.No, "canary unhealthy"), "")).Hint, "without a report")
}
