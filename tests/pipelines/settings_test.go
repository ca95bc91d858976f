package pipelines

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A site's value for one pipeline wins over its value for both, and loses against the call's.
func TestASiteHasValuesOfItsOwnForEachPipeline(t *testing.T) {
	l := newLocal(t)
	l.with(t, "Jenkinsfile.prod-given", "@Library('slipway@v1') _\nprodCanaryPipeline(app: 'fastapi-app', approvalTimeout: 6)\n")
	for name, c := range map[string]struct {
		jenkinsfile string
		site        []string
		says        string
	}{
		"both": {"Jenkinsfile.prod", []string{"SLIPWAY_APPROVAL_TIMEOUT=8"}, "timed out after 8 min\n"},
		"its own": {"Jenkinsfile.prod", []string{"SLIPWAY_PRODUCTION_APPROVAL_TIMEOUT=7", "SLIPWAY_APPROVAL_TIMEOUT=8"},
			"timed out after 7 min\n"},
		"its own is empty": {"Jenkinsfile.prod", []string{"SLIPWAY_PRODUCTION_APPROVAL_TIMEOUT=", "SLIPWAY_APPROVAL_TIMEOUT=8"},
			"timed out after 8 min\n"},
		"the other pipeline's": {"Jenkinsfile.prod", []string{"SLIPWAY_STAGING_APPROVAL_TIMEOUT=9"}, "timed out after 30 min\n"},
		"the call's":           {"Jenkinsfile.prod-given", []string{"SLIPWAY_PRODUCTION_APPROVAL_TIMEOUT=7"}, "timed out after 6 min\n"},
		"a mistake of its own": {"Jenkinsfile.prod", []string{"SLIPWAY_PRODUCTION_HOLD=long"},
			"hold 'long' (the site's SLIPWAY_PRODUCTION_HOLD) is not a duration"},
		"a mistake for staging": {"Jenkinsfile", []string{"SLIPWAY_STAGING_DB_NAME=mydb ", "SLIPWAY_DB_NAME=x"},
			"(the site's SLIPWAY_STAGING_DB_NAME) is not a text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arguments := []string{"--answer", "migrate=timeout"}
			for _, variable := range c.site {
				arguments = append(arguments, "--env", variable)
			}
			p := l.mustPlay(t, filepath.Join(t.TempDir(), "home"), c.jenkinsfile, nil, arguments...)
			assert.Contains(t, p.console, c.says, p.console)
		})
	}
}

// Whatever a call gives: each mistake is named, together with the others, and no value reaches a command that is none.
func TestEachMistakeOfACallIsNamed(t *testing.T) {
	script := filepath.Join(t.TempDir(), "settings.groovy")
	require.NoError(t, os.WriteFile(script, []byte(`
import slipway.Settings
class Steps extends Script {
    Map env = [BUILD_NUMBER: '7']
    Object run() { null }
    void error(String text) { throw new IllegalStateException(text) }
}
String refused(String step, Map given, Map site = [:]) {
    Steps steps = new Steps()
    steps.env.putAll(site)
    try {
        new Settings(steps, step, given).check()
        return ''
    } catch (IllegalStateException problem) {
        return problem.message
    }
}
String rest = 'x' * 300
[
    [[app: "${'a'}p"], ''], [[("${'app'}"): 'a'], ''], [[app: 7], ''], [null, "'app' is missing"], [[:], "'app' is missing"], [[app: ''], "'app' is missing"],
    [[app: null], "'app' is null"], [[app: ['a']], "'app' is neither a text"], [[app: [a: 1]], "'app' is neither"], [[app: { 'a' }], "'app' is neither"],
    [[app: new Date()], "'app' is neither"], [[app: 'a' as char], "'app' is neither a text"], [[app: 'A'], "app 'A' is not"], [[app: 'a b'], "app 'a b' is not"],
    [[app: 'a\n'], 'app ' + "'a\\u000a' is not"], [[app: 'a;id'], 'is not a name'], [[app: '-a'], 'is not a name'], [[app: 'a-'], 'is not a name'],
    [[app: 'é'], 'is not a name'], [[app: 'a' * 51], 'is not a name'], [[app: 'a' * 50], ''], [[app: '$(id)'], 'is not a name'], [[app: "a'b"], 'is not a name'],
    [[app: 'a\u202eb'], 'a\\u202eb'], [[app: 'a', apps: 'b'], "no parameter 'apps', did you mean 'app'?"], [[app: 'a', 7: 'b'], "no parameter '7'"],
    [[app: 'a', (null): 'b'], "no parameter 'null'"], [[app: 'a', canaryWieght: 5], "did you mean 'canaryWeight'?"], [[app: 'a', APPROVERS: 'b'], "did you mean 'approvers'?"],
    [[app: 'a', (rest): 'b'], "there is no parameter"], [[app: 'a', nameSpace: 'b'], "did you mean 'namespace'?"], [[app: 'a', 'na\nme': 'b'], 'na\\u000ame'],
    [[app: 'a', image: 'team/service'], ''], [[app: 'a', image: 'a__b.c-d'], ''], [[app: 'a', image: 'a//b'], 'is not a repository'],
    [[app: 'a', image: 'a..b'], 'is not a repository'], [[app: 'a', image: '../a'], 'is not a repository'], [[app: 'a', image: 'a:1'], 'is not a repository'],
    [[app: 'a', image: ''], "'image' is empty"], [[app: 'a', namespace: ''], "'namespace' is empty"], [[app: 'a', tag: ''], "'tag' is empty"],
    [[app: 'a', deployment: ''], "'deployment' is empty"], [[app: 'a', registry: ''], "'registry' is empty"], [[app: 'a', branch: ''], "'branch' is empty"],
    [[app: 'a', migrationsDir: ''], ''], [[app: 'a', imageTag: ''], ''], [[app: 'a', approvers: ''], ''], [[app: 'a', prometheusUrl: ''], ''],
    [[app: 'a', registry: 'nexus.example:5000/team'], ''], [[app: 'a', registry: 'https://nexus.example'], 'without a scheme'], [[app: 'a', registry: '-x'], 'without a scheme'],
    [[app: 'a', registry: 'a:123456'], 'without a scheme'], [[app: 'a', registry: 'a/../b'], 'without a scheme'], [[app: 'a', registry: 'u:p@h'], 'without a scheme'],
    [[app: 'a', dbHost: '-oProxyCommand=x'], 'is not the name of a host'], [[app: 'a', dbHost: 'a b'], 'is not the name of a host'],
    [[app: 'a', migrationsDir: '..'], 'is not a folder inside'], [[app: 'a', migrationsDir: 'a/../../b'], 'is not a folder inside'], [[app: 'a', migrationsDir: '/etc'], 'is not a folder'],
    [[app: 'a', tests: '-h'], 'is not a folder inside'], [[app: 'a', tests: 'a..b/c'], ''], [[app: 'a', tests: '.'], ''], [[app: 'a', tests: 'a b'], 'is not a folder inside'],
    [[app: 'a', hold: 60], "hold '60' is not a duration, such as 90s"], [[app: 'a', hold: '60'], 'is not a duration'], [[app: 'a', hold: '-1m'], 'is not a duration'],
    [[app: 'a', hold: '1 m'], 'is not a duration'], [[app: 'a', hold: '1d'], 'is not a duration'], [[app: 'a', hold: '1h30m'], ''], [[app: 'a', hold: '1.5m'], ''],
    [[app: 'a', hold: '0s'], 'of more than 0s'], [[app: 'a', hold: '0.0h0m'], 'of more than 0s'], [[app: 'a', hold: '169h'], 'at most 168h'], [[app: 'a', hold: '168h'], ''],
    [[app: 'a', migrationTimeout: '99999999999999h'], 'at most 168h'], [[app: 'a', migrationTimeout: '9' * 400 + 'h'], 'at most 168h'], [[app: 'a', hold: 1.5], 'is not a duration'],
    [[app: 'a', canaryWeight: 10L], ''], [[app: 'a', canaryWeight: '10'], ''], [[app: 'a', canaryWeight: 10.0], "canaryWeight '10.0' is not a whole number from 1 to 99"],
    [[app: 'a', canaryWeight: '10%'], 'is not a whole number'], [[app: 'a', canaryWeight: 0], 'is not a whole'], [[app: 'a', canaryWeight: 100], 'is not a whole'],
    [[app: 'a', canaryWeight: -5], 'is not a whole'], [[app: 'a', canaryWeight: true], 'is not a whole'], [[app: 'a', canaryWeight: [5]], 'is neither'], [[app: 'a', canaryWeight: '٥'], 'is not a whole'],
    [[app: 'a', replicas: 9999999999999], 'is not a whole number'], [[app: 'a', replicas: -1], 'is not a whole number'], [[app: 'a', approvalTimeout: '30m'], 'is not a whole number'],
    [[app: 'a', tolerance: 0.5], ''], [[app: 'a', tolerance: 1e9], 'is not a number'], [[app: 'a', tolerance: Double.NaN], 'is not a number'], [[app: 'a', tolerance: -1], 'is not a number'],
    [[app: 'a', plainHttp: true], ''], [[app: 'a', plainHttp: 'true'], ''], [[app: 'a', plainHttp: 'yes'], 'is not true or false'], [[app: 'a', plainHttp: 1], 'is not true or false'],
    [[app: 'a', severity: 'HIGH'], ''], [[app: 'a', severity: 'high'], 'is not a list of'], [[app: 'a', severity: 'HIGH, CRITICAL'], 'is not a list of'], [[app: 'a', severity: ['HIGH']], 'is neither'],
    [[app: 'a', packageIndex: 'https://pypi.example/simple/@x'], ''], [[app: 'a', packageIndex: 'https://[::1]:8080/simple'], ''], [[app: 'a', packageIndex: 'pypi.example'], 'is not a URL'],
    [[app: 'a', packageIndex: 'file:///etc'], 'is not a URL'], [[app: 'a', prometheusUrl: 'http://h:99999999'], 'is not a URL'], [[app: 'a', prometheusUrl: 'http://'], 'is not a URL'],
    [[app: 'a', smokePath: '/health?x=1'], ''], [[app: 'a', smokePath: 'version'], 'begins with /'], [[app: 'a', smokePath: '/a b'], 'begins with /'], [[app: 'a', smokePath: '/a\u0001'], 'begins with /'],
    [[app: 'a', branch: 'feature/x y'], ''], [[app: 'a', branch: ' Staging'], 'is not a text'], [[app: 'a', branch: 'a\nb'], 'is not a text'], [[app: 'a', tag: 'v1 '], 'is not a tag'],
    [[app: 'a', tag: 'latest@sha256'], 'is not a tag'], [[app: 'a', imageTag: '../x'], 'is not a tag'], [[app: 'a', builder: 'docker'], 'one of kaniko, buildah'], [[app: 'a', router: 'Service'], 'one of service'],
    [[app: 'a', baseImages: 'docker.io'], 'is not a list'], [[app: 'a', baseImages: 'docker.io=m:1,ghcr.io=n'], ''], [[app: 'a', baseImages: 'a=b --x=y'], 'is not a list'],
    [[app: 'a', sourceUrl: '--upload-pack=x'], 'is not the URL'], [[app: 'a', dbSslMode: 'REQUIRE'], 'is not one of'], [[app: 'a', metric: 'a-b'], 'the name of a metric'],
].each { List row ->
    for (String step in ['stagingPipeline', 'prodCanaryPipeline']) {
        String said = refused(step, row[0])
        assert row[1] ? said.contains(row[1]) : !said : "${row[0]}: ${said}"
    }
}
['https://ada:s3cret@pypi.example/', 'https://ada:s3/cret@h/', 'https://s3cret@h', 'http://s3cret:@h/x@y'].each { String url ->
    String said = refused('stagingPipeline', [app: 'a', packageIndex: url])
    assert said.contains('without a login') && !said.contains('s3') : said
}
String all = refused('prodCanaryPipeline', [app: 'A', hold: 5, replicas: -1, wieght: 3, tag: null], [SLIPWAY_ROUTER: 'x', SLIPWAY_PRODUCTION_ANALYSIS_DURATION: '0m'])
assert all.readLines().size() == 9 : all
assert all.contains("(the site's SLIPWAY_ROUTER)")
println 'as it must be'
`), 0o600))
	groovy(t, script)
}
