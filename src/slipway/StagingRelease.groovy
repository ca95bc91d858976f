package slipway

/** One run of stagingPipeline: a commit, its image, and staging. */
class StagingRelease extends Release {
    private static final long serialVersionUID = 1L

    private String commit
    private String reference
    private boolean deploys

    StagingRelease(Script steps, Settings settings) {
        super(steps, settings)
    }

    void inPod(Closure body) {
        helpers.inPod('staging', 60, body)
    }

    void checkOut() {
        Map<String, String> source = steps.checkout(steps.scm)
        commit = source.GIT_COMMIT
        deploys = steps.env.CHANGE_ID == null && steps.env.BRANCH_NAME == settings.value('branch')
        note('commit', commit)
        steps.stash(name: 'sources', includes: "${settings.value('migrationsDir')}/**", allowEmpty: true)
        if (!deploys) {
            steps.echo("${steps.env.BRANCH_NAME} is not ${settings.value('branch')}: validate, build and scan, and nothing more")
        }
    }

    void validate() {
        steps.container('python') {
            steps.withEnv(index() + ["TESTS=${settings.value('tests')}".toString()]) {
                steps.timeout(time: 15, unit: 'MINUTES') {
                    steps.sh(label: 'compile, install and test', script: '''
                        export PYTHONPYCACHEPREFIX=/tmp/pycache
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
        steps.container('kaniko') {
            steps.timeout(time: 30, unit: 'MINUTES') {
                steps.sh(label: 'build', script: '''
                    mkdir -p "$WORKSPACE_TMP"
                    maps=
                    if [ -n "$BASE_IMAGES" ]; then for pair in $(echo "$BASE_IMAGES" | tr , ' '); do maps="$maps --registry-map $pair --registry-map index.$pair"; done; fi
                    set -- $maps
                    if [ -n "${PIP_INDEX_URL:-}" ]; then set -- "$@" --build-arg "PIP_INDEX_URL=$PIP_INDEX_URL" --build-arg "PIP_TRUSTED_HOST=$PIP_TRUSTED_HOST"; fi
                    /kaniko/executor --log-format text --verbosity warn --context "dir://$WORKSPACE" --no-push --tar-path "$WORKSPACE_TMP/image.tar" --destination "$TARGET" \\
                      --build-arg "VERSION=$TAG" --build-arg "COMMIT=$COMMIT" "$@"
                    chmod a+r "$WORKSPACE_TMP/image.tar"
                ''')
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
                      chmod a+r "$WORKSPACE_TMP/trivy.json"
                      trivy --quiet convert --format table --severity "$SEVERITY" "$WORKSPACE_TMP/trivy.json" 2>/dev/null | grep -E 'CVE|GHSA|Total' | head -20
                    fi
                    exit $code
                ''')
            }
        }
        note('scan', code == 0 ? 'clean' : code == 7 ? 'findings' : 'scanner failed')
        if (code == 7) {
            steps.error("scan: the image has findings of ${settings.value('severity')}, and nothing was pushed\n  next   raise what is listed above to a version without them")
        }
        if (code != 0) {
            steps.error("scan: Trivy could not tell (exit code ${code}), and nothing was pushed\n  next   read its own words above; run the build again")
        }
    }

    private void push(String target) {
        helpers.withRegistry {
            Map<String, String> pushed = helpers.run('push', [TARGET: target], 'nexus-push --tar "$WORKSPACE_TMP/image.tar" --evidence "scan=$WORKSPACE_TMP/trivy.json" "$TARGET"')
            reference = pushed.REFERENCE
            note('image', reference)
        }
    }

    void migrate() {
        if (!deploys) {
            return
        }
        helpers.withDatabase {
            Map<String, String> plan = helpers.run('migration plan', [:], 'migrate-diff plan')
            steps.echo(plan.PLAN.replace(' | ', '\n'))
            note('planId', plan.PLAN_ID)
            if (plan.PENDING != '0') {
                helpers.run('migration', [SLIPWAY_PLAN_ID: plan.PLAN_ID, GIT_COMMIT: commit], 'migrate-diff apply')
            }
        }
    }

    void deploy() {
        if (!deploys) {
            return
        }
        Map<String, String> variables = [IMAGE: reference, NAMESPACE: settings.value('namespace'), DEPLOYMENT: settings.value('deployment'), COMMIT: commit, REGISTRY: settings.value('registry'), SMOKE_PATH: settings.value('smokePath')]
        helpers.withRegistry {
            helpers.run('deploy', variables, Commands.DEPLOY)
            Map<String, String> waited = helpers.ask('rollout', variables, 'rollout-wait -n "$NAMESPACE" "deployment/$DEPLOYMENT" --image "$IMAGE" --rollback --mark-good')
            if (waited.EXIT != '0') {
                steps.error(Helpers.sentence('rollout', waited) + (waited.ROLLBACK ? "\n  now    rollback: ${waited.ROLLBACK}" : ''))
            }
            helpers.run('smoke test and evidence', variables + [TAG: settings.value('tag')], '''
                body=$(mktemp)
                curl --silent --show-error --fail --max-time 20 --retry 3 --retry-connrefused "http://$DEPLOYMENT.$NAMESPACE.svc.cluster.local$SMOKE_PATH" > "$body" &&
                image-evidence add --type staging-verified --file "$body" "$IMAGE"''')
        }
        steps.currentBuild.description = "${reference}"
        steps.echo("slipway: ${reference} runs in ${settings.value('namespace')}, verified")
    }
}
