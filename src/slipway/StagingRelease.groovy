package slipway

import com.cloudbees.groovy.cps.NonCPS

/** One run of stagingPipeline: a commit, its image, and staging. */
class StagingRelease extends Release {
    private static final long serialVersionUID = 1L

    private String commit = ''
    private String reference = ''
    private String runs = ''
    private String rollback = ''
    private boolean deploys
    private boolean begun

    StagingRelease(Script steps, Settings settings) {
        super(steps, settings)
        facts.pipeline = 'stagingPipeline'
    }

    void inPod(Closure body) {
        steps.properties([steps.disableConcurrentBuilds()])
        helpers.inPod('staging', 90) {
            body()
            keepHere()
        }
    }

    void checkOut() {
        onAgent()
        Map<String, String> source = [:]
        helpers.again { source = steps.checkout(steps.scm) }
        commit = source.GIT_COMMIT
        deploys = steps.env.CHANGE_ID == null && steps.env.BRANCH_NAME == settings.value('branch')
        note('commit', commit)
        note('branch', steps.env.BRANCH_NAME)
        if (!deploys) {
            steps.echo("${steps.env.CHANGE_ID ? "pull request ${steps.env.CHANGE_ID}" : steps.env.BRANCH_NAME} is not ${settings.value('branch')}: validate, build and scan, and nothing more")
        }
    }

    void validate() {
        steps.container('python') {
            steps.withEnv(index() + ["TESTS=${settings.value('tests')}".toString()]) {
                steps.timeout(time: 15, unit: 'MINUTES') {
                    steps.sh(label: 'compile, install and test', script: '''
                        export PYTHONPYCACHEPREFIX=/tmp/pycache
                        if [ -z "$(find . -name '*.py' -print -quit)" ]; then echo 'there is no Python in here: nothing to compile, install or test'; exit 0; fi
                        python3 -m compileall -q .
                        if [ ! -e requirements.txt ]; then echo 'there is no requirements.txt: nothing to install'; exit 0; fi
                        set -- -r requirements.txt
                        if [ -e requirements-test.txt ]; then set -- "$@" -r requirements-test.txt; fi
                        pip install --quiet --no-cache-dir --disable-pip-version-check --root-user-action=ignore --no-compile --target /tmp/packages --require-hashes "$@"
                        if [ ! -d "$TESTS" ]; then echo "there is no $TESTS: no tests to run"; exit 0; fi
                        PYTHONPATH=/tmp/packages:. python3 -m pytest "$TESTS"
                    ''')
                }
            }
        }
    }

    private List<String> index() {
        String url = settings.value('packageIndex')
        return url ? ["PIP_INDEX_URL=${url}".toString(), "PIP_TRUSTED_HOST=${host(url)}".toString()] : []
    }

    @NonCPS
    private static String host(String url) {
        return url.replaceAll('^[a-z]+://', '').replaceAll('[:/].*$', '')
    }

    void buildScanAndPush() {
        String target = "${settings.value('registry')}/${settings.value('image')}:${settings.value('tag')}"
        steps.withEnv(["TARGET=${target}".toString(), "COMMIT=${commit}".toString(), "TAG=${settings.value('tag')}".toString(),
                       "BASE_IMAGES=${settings.value('baseImages')}".toString(), "SEVERITY=${settings.value('severity')}".toString()] + index()) {
            build()
            scan()
        }
        if (deploys) {
            push(target)
        }
    }

    /** To a tar, which is what is scanned, and then pushed. */
    private void build() {
        steps.container(settings.value('builder')) {
            steps.timeout(time: 30, unit: 'MINUTES') {
                steps.sh(label: 'build', script: Commands.BUILD + (settings.value('builder') == 'buildah' ? Commands.BUILDAH : Commands.KANIKO))
            }
        }
    }

    /** Clean, findings, and a scanner that failed are three outcomes; only the first goes on. */
    private void scan() {
        int code = 0
        steps.container('trivy') {
            steps.timeout(time: 15, unit: 'MINUTES') {
                code = steps.sh(label: 'scan', returnStatus: true, script: '''
                    set +xe
                    db=
                    if [ -n "$BASE_IMAGES" ]; then db="--db-repository ${BASE_IMAGES##*=}/aquasecurity/trivy-db:2"; fi
                    trivy --quiet --cache-dir /tmp/trivy image $db --skip-java-db-update --offline-scan --scanners vuln --severity "$SEVERITY" \\
                      --exit-code 7 --format json --output "$WORKSPACE_TMP/trivy.json" --input "$WORKSPACE_TMP/image.tar"
                    code=$?
                    if [ -s "$WORKSPACE_TMP/trivy.json" ]; then
                      trivy --quiet --cache-dir /tmp/trivy version --format json > "$WORKSPACE_TMP/trivy-version.json"
                      chmod a+r "$WORKSPACE_TMP/trivy.json" "$WORKSPACE_TMP/trivy-version.json"
                      trivy --quiet convert --format table --severity "$SEVERITY" "$WORKSPACE_TMP/trivy.json" 2>/dev/null | grep -E 'CVE|GHSA|Total' | head -20
                    fi
                    exit $code
                ''')
            }
        }
        note('scan', [scanner: 'trivy', severity: settings.value('severity'), outcome: code == 0 ? 'clean' : code == 7 ? 'findings' : 'failed'])
        if (code == 7) {
            helpers.hint = 'raise what is listed above to a version without them'
            steps.error("scan: the image has findings of ${settings.value('severity')}, and nothing was pushed")
        }
        if (code != 0) {
            helpers.hint = 'read its own words above; run the build again'
            steps.error("scan: Trivy could not tell (exit code ${code}), and nothing was pushed")
        }
    }

    private void push(String target) {
        helpers.withRegistry {
            Map<String, String> pushed = helpers.run('push', [TARGET: target], 'nexus-push --tar "$WORKSPACE_TMP/image.tar" --evidence "scan=$WORKSPACE_TMP/trivy.json" --scanner "$WORKSPACE_TMP/trivy-version.json" "$TARGET"')
            reference = pushed.REFERENCE
            note('image', reference)
        }
    }

    void migrate() {
        if (!deploys) {
            return
        }
        Map<String, String> plan = migrationPlan()
        steps.echo(plan.PLAN.replace('\\n', '\n'))
        if (plan.PENDING != '0') {
            applyPlan(plan.PLAN_ID, commit)
        }
    }

    void deploy() {
        if (!deploys) {
            return
        }
        Map<String, String> variables = names()
        helpers.withRegistry {
            begun = true
            Map<String, String> deployed = helpers.run('deploy', variables, Commands.DEPLOY)
            runs = deployed.TO
            note('previousImage', deployed.FROM)
            Map<String, String> waited = helpers.ask('rollout', variables, Commands.STAGING_ROLLOUT)
            if (waited.EXIT != '0') {
                helpers.hint = waited.ERROR_HINT ?: ''
                steps.error(Helpers.sentence('rollout', waited))
            }
            helpers.run('smoke test and evidence', variables, Commands.SMOKE_TEST)
            note('evidence', ['scan', 'staging-verified'])
            begun = false
        }
        steps.currentBuild.description = "${shown(reference)} in ${settings.value('namespace')}, verified".toString()
    }

    private Map<String, String> names() {
        return [
            IMAGE: reference, NAMESPACE: settings.value('namespace'), DEPLOYMENT: settings.value('deployment'), STABLE: settings.value('deployment'), COMMIT: commit, RUN: run(),
            REGISTRY: settings.value('registry'), SMOKE_PATH: settings.value('smokePath'), PLAN_ID: facts.migration.planId,
        ]
    }

    /** A version that was not verified does not stay, whatever stopped its verification. */
    @Override
    protected void takeBack() {
        if (!begun) {
            return
        }
        String where = settings.value('namespace')
        try {
            helpers.inPodAgain('production', 30) {
                Map<String, String> back = helpers.ask('staging back to its last good revision', names(), Commands.STABLE_BACK)
                rollback = back.EXIT == '0' ? "${where} is back on its last good revision" : back.EXIT == '4' ? "${where} does not run this run's image" : Helpers.sentence(where, back)
            }
        } catch (Throwable failed) {
            rollback = "${where} may still run an image that is not verified (${failed.message ?: 'stopped'}); the next run replaces it"
        }
        note('undone', rollback)
    }

    @Override
    protected String title() {
        return "staging run ${steps.env.BUILD_NUMBER} of ${settings.value('app')}".toString()
    }

    @Override
    protected String state() {
        List<String> parts = []
        if (!deploys) {
            parts.add('nothing was pushed or deployed')
        } else {
            parts.add(reference ? "pushed ${shown(reference)}".toString() : 'nothing was pushed')
            parts.add(database())
            parts.add(rollback ?: runs ? "${settings.value('namespace')} runs ${shown(runs)}${facts.evidence == null ? ', which is not verified' : ''}".toString() : "${settings.value('namespace')} was not changed".toString())
        }
        return parts.join('; ')
    }
}
