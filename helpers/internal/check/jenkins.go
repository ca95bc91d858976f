package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	repository "slipway.dev/slipway"
)

var jenkinsChecks = []Check{
	{"jenkins-reachable", Jenkins, "Jenkins answers at JENKINS_URL", "nothing is built or released", jenkinsAnswers},
	{"jenkins-login", Jenkins, "it accepts the API token", "the other checks of Jenkins cannot be asked", jenkinsLogin},
	{"jenkins-version", Jenkins, "its version is the tested one, or newer",
		"a step or a parameter of the pipelines may not exist", jenkinsVersion},
	{"jenkins-clock", Jenkins, "its clock and this machine's agree", "records and windows of the policy go by it", jenkinsClock},
	{"jenkins-running", Jenkins, "it is not about to shut down", "no new build starts", onRoot(quietOf)},
	{"jenkins-security", Jenkins, "it has security, and CSRF protection", "anybody can start a release", onRoot(securityOf)},
	{"jenkins-anonymous", Jenkins, "who is not logged in may read nothing", "consoles and names of secrets are public", jenkinsAnonymous},
	{"jenkins-url", Jenkins, "its own URL is set, and is the one that is asked",
		"links in records and evidence lead nowhere; agents may not connect", onExport(urlOf)},
	{"jenkins-zone", Jenkins, "its time zone is one of the policy's windows",
		"consoles show other times than the windows close at", jenkinsZone},
	{"jenkins-executors", Jenkins, "the controller itself runs no builds",
		"a Jenkinsfile could read Jenkins' own files", jenkinsExecutors},
	{"jenkins-agents", Jenkins, "an agent's pod connects", "every build waits for an agent", jenkinsAgents},
	{"jenkins-plugins", Jenkins, "the plugins that the pipelines need are there and active",
		"a pipeline fails with: No such DSL method", jenkinsPlugins},
	{"jenkins-plugin-versions", Jenkins, "their versions are the tested ones, or newer",
		"a parameter of a step may not exist", jenkinsPluginVersions},
	{"jenkins-folders", Jenkins, "the folders build, staging and production are there",
		"any job can use production's cloud and credentials", jenkinsFolders},
	{"jenkins-credentials", Jenkins, "each folder has the credentials of docs/jenkins.yaml",
		"a stage fails with: Could not find credentials entry", jenkinsCredentials},
	{"jenkins-credentials-global", Jenkins, "no credential of a folder is a global one, too", "any branch can use it", jenkinsGlobal},
	{"jenkins-clouds", Jenkins, "the clouds build, staging and production are there, each with its namespace",
		"no pod is made for an agent",
		onExport(func(s *Site, e export) Finding { return cloudsOf(e, s) })},
	{"jenkins-clouds-restricted", Jenkins, "each cloud is restricted to the folders that are permitted to use it",
		"any branch can start a pod where production's account is", onExport(restrictedOf)},
	{"jenkins-library", Jenkins, "the global library slipway is there, with a default version",
		"production's job does not load it", onExport(libraryOf)},
	{"jenkins-library-override", Jenkins, "a script cannot name another version of the library",
		"who may change a script can run any code outside the sandbox", onExport(overrideOf)},
	{"jenkins-webhook", Jenkins, "it takes web hooks of the Git server, with a token",
		"a push is noticed late, or anybody can start builds", jenkinsWebhook},
}

// Jenkins is how it is asked. Its API: https://www.jenkins.io/doc/book/using/remote-access-api/
type jenkins struct {
	address, user, token string
	http                 *http.Client
}

// said is one answer.
type said struct {
	status int
	header http.Header
	body   []byte
}

const mostOfJenkins = 8 << 20 // bytes of one answer

func (j *jenkins) ask(ctx context.Context, method, path string, login bool) (said, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(j.address, "/")+path, nil)
	if err != nil {
		return said{}, fmt.Errorf("JENKINS_URL is no address")
	}
	if login && j.token != "" {
		request.SetBasicAuth(j.user, j.token)
	}
	response, err := j.http.Do(request)
	if err != nil {
		var address *url.Error
		if errors.As(err, &address) {
			err = address.Err
		}
		return said{}, fmt.Errorf("no answer from Jenkins: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostOfJenkins))
	return said{response.StatusCode, response.Header, body}, err
}

// read asks as who has the token, and reads JSON.
func (s *Site) read(ctx context.Context, path string, into any) *Finding {
	if found := s.refusedLogin(ctx); found != nil {
		return found
	}
	answer, err := s.Jenkins.ask(ctx, http.MethodGet, path, true)
	switch {
	case err != nil:
		found := silent(err)
		return &found
	case answer.status == http.StatusForbidden || answer.status == http.StatusUnauthorized:
		found := skipped("%s may not read it (Overall/Administer, or SystemRead and Credentials/View)", s.Jenkins.user)
		return &found
	case answer.status == http.StatusNotFound:
		return &notThere
	case answer.status != http.StatusOK:
		found := silent(fmt.Errorf("the answer of Jenkins is %d", answer.status))
		return &found
	}
	if err := json.Unmarshal(answer.body, into); err != nil {
		found := silent(errors.New("what Jenkins answers is no JSON"))
		return &found
	}
	return nil
}

// notThere is told from the other findings by its address.
var notThere = Finding{State: Missing, Found: "there is no such page"}

// rooted is what /api/json says, with the header.
type rooted struct {
	said
	UseSecurity, UseCrumbs, QuietingDown bool
}

func (s *Site) root(ctx context.Context) (rooted, error) {
	return s.jenkinsRoot.get(ctx, s.limit, func(ctx context.Context) (r rooted, err error) {
		// https://javadoc.jenkins.io/jenkins/model/Jenkins.html: the fields are its exported properties.
		if r.said, err = s.Jenkins.ask(ctx, http.MethodGet, "/api/json?tree=useSecurity,useCrumbs,quietingDown", true); err == nil {
			_ = json.Unmarshal(r.body, &r)
		}
		return r, err
	})
}

func jenkinsAnswers(ctx context.Context, s *Site) Finding {
	root, err := s.root(ctx)
	switch {
	case err != nil:
		found := missing("%s", oneLine(err)).with("look whether it runs, and whether %s can be reached from here", s.Jenkins.address)
		found.Unknown = true
		return found
	case root.header.Get("X-Jenkins") == "":
		return missing("what answers at JENKINS_URL is no Jenkins: it has no header X-Jenkins").
			with("set JENKINS_URL to its address, with the path where it has one")
	}
	return ok("Jenkins %s", root.header.Get("X-Jenkins"))
}

// isJenkins is nil where Jenkins answers.
func (s *Site) isJenkins(ctx context.Context) *Finding {
	if jenkinsAnswers(ctx, s).State != OK {
		found := skipped("Jenkins does not answer: jenkins-reachable")
		return &found
	}
	return nil
}

// whoami is https://javadoc.jenkins.io/hudson/security/WhoAmI.html
type whoami struct {
	Name          string
	Authenticated bool
	Anonymous     bool
}

func (s *Site) who(ctx context.Context) (whoami, error) {
	return s.jenkinsWho.get(ctx, s.limit, func(ctx context.Context) (w whoami, err error) {
		answer, err := s.Jenkins.ask(ctx, http.MethodGet, "/whoAmI/api/json", true)
		if err == nil && answer.status == http.StatusOK {
			err = json.Unmarshal(answer.body, &w)
		}
		return w, err
	})
}

func jenkinsLogin(ctx context.Context, s *Site) Finding {
	if found := s.isJenkins(ctx); found != nil {
		return *found
	}
	const fix = "make an API token (your name, Security), and set JENKINS_USER_ID and JENKINS_API_TOKEN"
	if s.Jenkins.token == "" {
		return skipped("no API token is given: JENKINS_USER_ID and JENKINS_API_TOKEN")
	}
	who, err := s.who(ctx)
	switch {
	case err != nil:
		return silent(err)
	case !who.Authenticated || who.Anonymous:
		return missing("it refuses the token of %s", s.Jenkins.user).with(fix)
	}
	return ok("as %s", who.Name)
}

// refusedLogin is nil where the token is accepted.
func (s *Site) refusedLogin(ctx context.Context) *Finding {
	if found := s.isJenkins(ctx); found != nil {
		return found
	}
	switch found := jenkinsLogin(ctx, s); {
	case s.Jenkins.token == "":
		return &found
	case found.State != OK:
		found = skipped("there is no login that Jenkins accepts: jenkins-login")
		return &found
	}
	return nil
}

// tested are the versions of pins.yaml.
func tested() (version string, plugins map[string]string, err error) {
	body, err := repository.Files.ReadFile("pins.yaml")
	if err != nil {
		return "", nil, err
	}
	var pins struct {
		Jenkins struct {
			Version string
			Plugins map[string]string
		}
	}
	err = yaml.Unmarshal(body, &pins)
	return pins.Jenkins.Version, pins.Jenkins.Plugins, err
}

var digits = regexp.MustCompile(`\d+`)

// older compares two versions by the numbers at their beginning; what follows a number with letters, as in 4253.v7700d91739e5, is a
// commit, which has no order.
func older(version, than string) bool {
	one, other := numbers(version), numbers(than)
	for i := range min(len(one), len(other)) {
		if one[i] != other[i] {
			return one[i] < other[i]
		}
	}
	return len(one) < len(other)
}

func numbers(version string) (found []int) {
	for _, part := range strings.FieldsFunc(version, func(r rune) bool { return r == '.' || r == '-' }) {
		number := digits.FindString(part)
		if number == "" || !strings.HasPrefix(part, number) {
			break
		}
		value, err := strconv.Atoi(number)
		if err != nil {
			break
		}
		found = append(found, value)
		if number != part {
			break
		}
	}
	return found
}

func jenkinsVersion(ctx context.Context, s *Site) Finding {
	if found := s.isJenkins(ctx); found != nil {
		return *found
	}
	root, _ := s.root(ctx)
	version, _, err := tested()
	if err != nil {
		return silent(err)
	}
	if running := root.header.Get("X-Jenkins"); older(running, version) {
		return warning("Jenkins %s is older than %s, with which the pipelines were tested", running, version).
			with("upgrade to %s or later", version)
	}
	return ok("Jenkins %s", root.header.Get("X-Jenkins"))
}

func jenkinsClock(ctx context.Context, s *Site) Finding {
	if found := s.isJenkins(ctx); found != nil {
		return *found
	}
	answer, err := s.Jenkins.ask(ctx, http.MethodGet, "/login", false)
	now, parsed := http.ParseTime(answer.header.Get("Date"))
	if err != nil || parsed != nil {
		return skipped("its answer has no Date")
	}
	return clockOf(time.Until(now), "Jenkins", "the controller")
}

func onRoot(judge func(rooted) Finding) func(context.Context, *Site) Finding {
	return func(ctx context.Context, s *Site) Finding {
		if found := s.refusedLogin(ctx); found != nil {
			return *found
		}
		root, err := s.root(ctx)
		if err != nil {
			return silent(err)
		}
		return judge(root)
	}
}

func quietOf(root rooted) Finding {
	if root.QuietingDown {
		return missing("it is preparing for shutdown").with("Manage Jenkins, Cancel Shutdown; or POST to /cancelQuietDown")
	}
	return ok("it runs")
}

func securityOf(root rooted) Finding {
	switch {
	case !root.UseSecurity:
		return missing("useSecurity is false: everybody is an administrator").
			with("configure securityRealm and authorizationStrategy as docs/jenkins.yaml does")
	case !root.UseCrumbs:
		return warning("useCrumbs is false: there is no CSRF protection").
			with("configure jenkins.crumbIssuer.standard in Configuration as Code")
	}
	return ok("both")
}

func jenkinsAnonymous(ctx context.Context, s *Site) Finding {
	if found := s.isJenkins(ctx); found != nil {
		return *found
	}
	answer, err := s.Jenkins.ask(ctx, http.MethodGet, "/api/json?tree=mode", false)
	switch {
	case err != nil:
		return silent(err)
	case answer.status == http.StatusOK:
		return warning("GET /api/json is answered without a login").
			with("take the permissions from anonymous: authorizationStrategy in docs/jenkins.yaml")
	}
	return ok("it answers %d without a login", answer.status)
}

// zoneAfter finds the value of the property user.timezone on the page System Information:
// https://github.com/jenkinsci/jenkins/blob/master/core/src/main/resources/jenkins/model/Jenkins/systemInfo.jelly
var (
	zoneAfter = regexp.MustCompile(`(?s)>\s*user\.timezone\s*<(.{0,600})`)
	tags      = regexp.MustCompile(`(?s)<[^>]*>`)
	zoneForm  = regexp.MustCompile(`\b(?:[A-Z][A-Za-z]+/[A-Za-z0-9_+/-]+|UTC|GMT)\b`)
)

func zoneIn(page string) string {
	match := zoneAfter.FindStringSubmatch(page)
	if match == nil {
		return ""
	}
	row, _, _ := strings.Cut(match[1], "</tr>")
	return zoneForm.FindString(tags.ReplaceAllString("<"+row, " "))
}

func jenkinsZone(ctx context.Context, s *Site) Finding {
	if found := s.refusedLogin(ctx); found != nil {
		return *found
	}
	answer, err := s.Jenkins.ask(ctx, http.MethodGet, "/systemInfo", true)
	if err != nil {
		return silent(err)
	}
	zone := zoneIn(string(answer.body))
	if answer.status != http.StatusOK || zone == "" {
		return skipped("the page systemInfo does not show user.timezone to %s", s.Jenkins.user)
	}
	var wanted []string
	if s.NoKube == "" || s.PolicyFile != "" {
		if found, err := s.policyOf(ctx); err == nil && found.site != nil {
			for _, window := range found.site.Production.Windows {
				wanted = append(wanted, window.Zone())
			}
		}
	}
	return zoneOf(zone, wanted)
}

func zoneOf(zone string, wanted []string) Finding {
	if len(wanted) > 0 && !slices.Contains(wanted, zone) {
		slices.Sort(wanted)
		return warning("it is %s, and the policy's windows are in %s", zone, all(slices.Compact(wanted))).
			with("start the controller with -Duser.timezone=%s", wanted[0])
	}
	return ok("%s", zone)
}

// jenkinsWebhook asks without a token, which the Git plugin refuses since 4.11.4:
// https://plugins.jenkins.io/git/#plugin-content-push-notification-from-repository
func jenkinsWebhook(ctx context.Context, s *Site) Finding {
	if found := s.isJenkins(ctx); found != nil {
		return *found
	}
	answer, err := s.Jenkins.ask(ctx, http.MethodGet, "/git/notifyCommit?url=https://slipway.invalid/check.git", false)
	switch {
	case err != nil:
		return silent(err)
	case answer.status == http.StatusNotFound:
		return missing("there is no /git/notifyCommit").with("install the plugin git, and make the web hook as docs/jenkins.md says")
	case answer.status == http.StatusOK:
		return warning("/git/notifyCommit is answered without a token").
			with("upgrade the plugin git, and remove hudson.plugins.git.GitStatus.NOTIFY_COMMIT_ACCESS_CONTROL")
	}
	return ok("without a token it answers %d", answer.status)
}
