package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeJenkins is no Jenkins: Jenkins cannot run in these tests. It answers at the addresses, and with the shapes, that Jenkins and
// its plugins document (the code beside it names the pages), so that everything up to the HTTP request is the program's own.
type fakeJenkins struct {
	pages  map[string]string // by path; what is not there answers 404
	status map[string]int    // by path, where it is not 200
	header map[string]string
	open   bool // who is not logged in may read
}

func newFakeJenkins(t *testing.T) *fakeJenkins {
	t.Helper()
	_, plugins, err := tested()
	require.NoError(t, err)
	f := &fakeJenkins{status: map[string]int{}, header: map[string]string{"X-Jenkins": "2.426.3"}, pages: map[string]string{
		"/api/json":             `{"_class":"hudson.model.Hudson","useSecurity":true,"useCrumbs":true,"quietingDown":false}`,
		"/whoAmI/api/json":      `{"_class":"hudson.security.WhoAmI","name":"ada","anonymous":false,"authenticated":true}`,
		"/login":                "<html></html>",
		"/systemInfo":           `<tr><td class="pane">user.timezone</td><td class="pane">Europe/Berlin</td></tr>`,
		"/git/notifyCommit":     "An access token is required.",
		"/job/build/api/json":   `{"name":"build"}`,
		"/job/staging/api/json": `{"name":"staging"}`, "/job/production/api/json": `{"name":"production"}`,
		"/computer/api/json": `{"computer":[
			{"_class":"hudson.model.Hudson$MasterComputer","displayName":"Built-In Node","numExecutors":0,"offline":false},
			{"_class":"org.csanchez.jenkins.plugins.kubernetes.KubernetesComputer","displayName":"build-1","numExecutors":1,"offline":false}]}`,
		"/pluginManager/api/json":                     pluginsOf(plugins, ""),
		"/credentials/store/system/domain/_/api/json": `{"credentials":[{"id":"gitee"},{"id":"kubernetes-build"}]}`,
		"/job/staging/credentials/store/folder/domain/_/api/json": `{"credentials":[{"id":"a4116a00-2da0-4947-9dcc-86ba51217d6d"},
			{"id":"QUARANTINE"},{"id":"STAGING_DB_CRED"}]}`,
		"/job/production/credentials/store/folder/domain/_/api/json": `{"credentials":[{"id":"a4116a00-2da0-4947-9dcc-86ba51217d6d"},
			{"id":"PROD_DB_CRED"}]}`,
		"/configuration-as-code/export": `jenkins:
  clouds:
  - kubernetes: {name: build, namespace: jenkins-build, usageRestricted: true}
  - kubernetes: {name: staging, namespace: jenkins-staging, usageRestricted: true}
  - kubernetes: {name: production, namespace: jenkins-prod, usageRestricted: true}
unclassified:
  location: {adminAddress: "ada@example.org", url: "URL/"}
  globalLibraries:
    libraries:
    - {name: slipway, defaultVersion: v1, allowVersionOverride: false}
`,
	}}
	f.status["/git/notifyCommit"] = http.StatusUnauthorized
	return f
}

func pluginsOf(versions map[string]string, without string) string {
	var list []map[string]any
	for name, version := range versions {
		list = append(list, map[string]any{"shortName": name, "version": version, "active": name != without, "enabled": true})
	}
	body, _ := json.Marshal(map[string]any{"plugins": list})
	return string(body)
}

const apiToken = "110123456789abcdef"

func (f *fakeJenkins) serve(t *testing.T) string {
	t.Helper()
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for key, value := range f.header {
			w.Header().Set(key, value)
		}
		user, token, given := r.BasicAuth()
		body, there := f.pages[r.URL.Path]
		public := r.URL.Path == "/login" || r.URL.Path == "/git/notifyCommit"
		switch {
		case given && (user != "ada" || token != apiToken):
			w.WriteHeader(http.StatusUnauthorized)
		case !given && !public && !f.open:
			w.WriteHeader(http.StatusForbidden)
		case !there:
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Path == "/configuration-as-code/export" && r.Method != http.MethodPost:
			w.WriteHeader(http.StatusMethodNotAllowed)
		default:
			if code := f.status[r.URL.Path]; code != 0 {
				w.WriteHeader(code)
			}
			fmt.Fprint(w, strings.ReplaceAll(body, "URL", server.URL))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestWhatJenkinsLacksIsFoundAlone(t *testing.T) {
	t.Setenv("JENKINS_AGENT_NAME", "")
	var fake *fakeJenkins
	site := func() *Site {
		fake = newFakeJenkins(t)
		s := &Site{NoKube: "no cluster"}
		s.AskJenkins(fake.serve(t), "ada", apiToken)
		return s
	}
	page := func(path, old, new string) func(*testing.T, *Site) {
		return func(t *testing.T, _ *Site) {
			require.Contains(t, fake.pages[path], old)
			fake.pages[path] = strings.ReplaceAll(fake.pages[path], old, new)
		}
	}
	_, plugins, err := tested()
	require.NoError(t, err)
	without := func(name string) func(*testing.T, *Site) {
		return func(*testing.T, *Site) { fake.pages["/pluginManager/api/json"] = pluginsOf(plugins, name) }
	}
	older := maps.Clone(plugins)
	older["kubernetes"] = "4174.v4230d0ccd951"
	const export, production = "/configuration-as-code/export", "/job/production/credentials/store/folder/domain/_/api/json"
	gone := func(path string) func(*testing.T, *Site) {
		return func(*testing.T, *Site) { delete(fake.pages, path) }
	}
	eachAlone(t, jenkinsChecks, site, []string{"jenkins-clock", "jenkins-zone"}, []broken{
		{"jenkins-reachable", Missing, func(_ *testing.T, s *Site) { s.Jenkins.address = "http://127.0.0.1:1" }, nil},
		{"jenkins-reachable", Missing, func(*testing.T, *Site) { fake.header = nil }, nil},
		{"jenkins-login", Missing, func(_ *testing.T, s *Site) { s.Jenkins.token = "another" }, nil},
		{"jenkins-version", Warning, func(*testing.T, *Site) { fake.header["X-Jenkins"] = "2.401.1" }, nil},
		{"jenkins-running", Missing, page("/api/json", `"quietingDown":false`, `"quietingDown":true`), nil},
		{"jenkins-security", Missing, page("/api/json", `"useSecurity":true`, `"useSecurity":false`), nil},
		{"jenkins-security", Warning, page("/api/json", `"useCrumbs":true`, `"useCrumbs":false`), nil},
		{"jenkins-anonymous", Warning, func(*testing.T, *Site) { fake.open = true }, nil},
		{"jenkins-url", Missing, page(export, `url: "URL/"`, `url: ""`), nil},
		{"jenkins-url", Warning, page(export, `url: "URL/"`, `url: "https://elsewhere.example/"`), nil},
		{"jenkins-executors", Missing, page("/computer/api/json", `"numExecutors":0`, `"numExecutors":2`), nil},
		{"jenkins-agents", Warning, page("/computer/api/json", `"numExecutors":1,"offline":false`, `"numExecutors":1,"offline":true`), nil},
		{"jenkins-plugins", Missing, without("workflow-cps"), nil},
		{"jenkins-plugins", Warning, without("lockable-resources"), nil},
		{"jenkins-plugin-versions", Warning,
			func(*testing.T, *Site) { fake.pages["/pluginManager/api/json"] = pluginsOf(older, "") }, nil},
		{"jenkins-folders", Missing, gone("/job/build/api/json"), nil},
		{"jenkins-credentials", Missing, page(production, "PROD_DB_CRED", "OTHER"), nil},
		{"jenkins-credentials-global", Missing, page("/credentials/store/system/domain/_/api/json", "gitee", "PROD_DB_CRED"), nil},
		{"jenkins-clouds", Missing, page(export, "namespace: jenkins-prod", "namespace: jenkins-staging"), nil},
		{"jenkins-clouds", Missing, page(export, "name: staging", "name: other"), nil},
		{"jenkins-clouds-restricted", Missing, page(export, "namespace: jenkins-prod, usageRestricted: true", "namespace: jenkins-prod"), nil},
		{"jenkins-library", Missing, page(export, "name: slipway", "name: other"), nil},
		{"jenkins-library", Missing, page(export, "defaultVersion: v1, ", ""), nil},
		{"jenkins-library-override", Missing, page(export, ", allowVersionOverride: false", ""), nil},
		{"jenkins-webhook", Missing, gone("/git/notifyCommit"), nil},
		{"jenkins-webhook", Warning, func(*testing.T, *Site) { fake.status["/git/notifyCommit"] = http.StatusOK }, nil},
	})
}

// The token is sent to Jenkins and shown nowhere; a redirect does not take it elsewhere.
func TestTheTokenStaysWithJenkins(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was asked", r.URL)
	}))
	defer elsewhere.Close()
	leading := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer leading.Close()
	for _, address := range []string{leading.URL, "http://127.0.0.1:1", "http://[::1]:namedport"} {
		s := &Site{NoKube: "no cluster"}
		s.AskJenkins(address, "ada", apiToken)
		for _, result := range Run(t.Context(), s, jenkinsChecks, nil) {
			assert.NotContains(t, result.Found+result.Fix, apiToken)
			assert.NotEqual(t, OK, result.State, result.ID)
		}
	}
}

func TestVersionsOfPlugins(t *testing.T) {
	for _, each := range []struct {
		one, other string
		older      bool
	}{
		{"4253.v7700d91739e5", "4253.v7700d91739e5", false}, {"4174.v4230d0ccd951", "4253.v7700d91739e5", true},
		{"4300.vabc", "4253.v7700d91739e5", false}, {"5.2.1", "5.2.2", true}, {"5.10.0", "5.2.2", false}, {"1.9", "1.87", true},
		{"1245.1247.vea_384d871c85", "1245.1248.v0", true}, {"2.426.3", "2.440", true}, {"2.440", "2.426.3", false}, {"3.2", "3.2.2", true},
		{"3.2.2-rc1", "3.2.2", false}, {"", "1", true},
	} {
		assert.Equal(t, each.older, older(each.one, each.other), "%s than %s", each.one, each.other)
	}
}

func TestTheZoneIsFoundOnThePage(t *testing.T) {
	for page, zone := range map[string]string{
		`<tr><td class="pane">user.timezone</td><td class="pane" style="white-space: normal">Europe/Berlin</td></tr>`: "Europe/Berlin",
		"<tr><td> user.timezone </td>\n<td><div class='x'>Etc/UTC</div></td></tr>":                                    "Etc/UTC",
		"<tr><td>user.timezone</td><td></td></tr><tr><td>a</td><td>Europe/Berlin</td></tr>":                           "",
		"<tr><td>user.home</td><td>/root</td></tr>":                                                                   "",
	} {
		assert.Equal(t, zone, zoneIn(page), page)
	}
	assert.Equal(t, OK, zoneOf("Europe/Berlin", []string{"Europe/Berlin", "Asia/Tokyo"}).State)
	assert.Equal(t, OK, zoneOf("Europe/Berlin", nil).State)
	assert.Equal(t, Warning, zoneOf("Etc/UTC", []string{"Europe/Berlin"}).State)
}
