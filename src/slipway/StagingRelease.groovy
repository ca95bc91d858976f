package slipway

import com.cloudbees.groovy.cps.NonCPS

/** One run of stagingPipeline: a commit, its image, and staging. */
class StagingRelease extends Release {
    private static final long serialVersionUID = 1L

    private String commit = ''
    private String validated = ''
    private String reference = ''
    private String crossing = ''
    private String runs = ''
    private String rollback = ''
    private String notDeployed = ''
    private boolean deploys
    private boolean begun

    StagingRelease(Script steps, Settings settings) {
        super(steps, settings)
        facts.pipeline = 'stagingPipeline'
    }

    /** Where the repository's code runs. It changes nothing, and so a pod that is lost is tried once more. */
    void inBuildPod(Closure body) {
        helpers.inBuildPodAgain('build', 60, body)
    }

    /** Where nothing of the repository runs: it scans, and delivers what is to be delivered. */
    void inDeliveryPod(Closure body) {
        Closure all = {
            body()
            keepHere()
        }
        if (deploys) {
            helpers.inPod('staging', settings.minutes('migrationTimeout') + 60, all)
        } else {
            helpers.inBuildPodAgain('scan', 30, all)
        }
    }

    void checkOut() {
        onAgent()
        Map<String, String> taken = [:]
        helpers.again { taken = steps.checkout(source()) }
        commit = taken.GIT_COMMIT
        String branch = steps.env.BRANCH_NAME ?: ''
        deploys = changesSomething()
        note('commit', commit)
        note('branch', branch)
        if (!deploys) {
            notDeployed = "${built(branch)}: validate, build and scan, and nothing more".toString()
            steps.echo(notDeployed)
        }
    }

    @Override
    protected boolean changesSomething() {
        // A multibranch job calls a tag's name a branch, too.
        return steps.env.CHANGE_ID == null && !steps.env.TAG_NAME && steps.env.BRANCH_NAME == settings.value('branch')
    }

    /** What is built, and why it is not what is deployed. */
    private String built(String branch) {
        if (steps.env.CHANGE_ID) {
            return "pull request ${Text.visible(steps.env.CHANGE_ID)} is not the branch ${settings.value('branch')}".toString()
        }
        if (steps.env.TAG_NAME) {
            return "the tag ${Text.visible(steps.env.TAG_NAME)} is not the branch ${settings.value('branch')}".toString()
        }
        if (!branch) {
            return 'this job has no branch, as only a multibranch job has one, ' +
                "and what is deployed is the branch ${settings.value('branch')}"
        }
        return "the branch ${Text.visible(branch)} is not ${settings.value('branch')}".toString()
    }

    void validate() {
        int code = 0
        steps.container('python') {
            steps.withEnv(index() + ["TESTS=${settings.value('tests')}".toString()]) {
                steps.timeout(time: 15, unit: 'MINUTES') {
                    code = steps.sh(label: 'compile, install and test', returnStatus: true, script: Commands.VALIDATE)
                }
            }
        }
        validated = validation(code, settings.value('tests'))
        note('validation', validated)
        steps.echo("validation: ${validated}")
        if (validated.startsWith('failed')) {
            helpers.hint = 'read what failed above'
            steps.error("validation: ${validated}")
        }
    }

    /** What is not said to be checked was not checked. */
    @NonCPS
    private static String validation(int code, String tests) {
        switch (code) {
            case 0: return 'tests passed'
            case 100: return 'NOT VALIDATED: there is no Python in here, and no other language is known; no tests ran'
            case 101: return 'NOT VALIDATED: compiled only; there is no requirements.txt (Poetry, uv and others are not known); ' +
                'no tests ran'
            case 102: return "NOT VALIDATED: compiled and installed only; there is no folder ${tests}, no tests ran".toString()
            case 103: return 'tests passed; requirements.txt has no hashes: what was installed is not pinned'
            default: return "failed (exit code ${code})".toString()
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

    private String target() {
        return "${settings.value('registry')}/${settings.value('image')}:${settings.value('tag')}".toString()
    }

    /** To a tar, which is all that the other pod takes from this one. */
    void build() {
        List<String> bases = settings.value('baseImages').tokenize(',')
        steps.withEnv(["TARGET=${target()}".toString(), "BUILD_ARGUMENTS=${arguments()}".toString(),
                       "REGISTRY_MAPS=${maps(bases)}".toString(), "REGISTRIES=${registries(bases)}".toString()]) {
            steps.container(settings.value('builder')) {
                steps.timeout(time: 30, unit: 'MINUTES') {
                    steps.sh(label: 'build', script: settings.value('builder') == 'buildah' ? Commands.BUILDAH : Commands.KANIKO)
                }
            }
        }
        handOver()
    }

    /** By its digest where there is a quarantine repository; else, and where nothing is delivered, as a stash. */
    private void handOver() {
        if (!settings.value('quarantine') || !deploys) {
            helpers.again { steps.dir(steps.env.WORKSPACE_TMP) { steps.stash(name: own('image'), includes: 'image.tar') } }
            return
        }
        Map<String, String> variables = [TARGET: "${quarantine()}:${settings.value('tag')}".toString()]
        helpers.withQuarantine {
            crossing = helpers.good('quarantine', helpers.askIn('jnlp', 'quarantine', variables, Commands.QUARANTINE, 20)).reference
        }
    }

    private String quarantine() {
        return "${settings.value('quarantine')}/${settings.value('image')}".toString()
    }

    private void takeOver() {
        if (crossing) {
            helpers.withQuarantine {
                helpers.good('from quarantine', helpers.askTwice('from quarantine', [IMAGE: crossing], Commands.FETCH))
            }
        } else {
            helpers.again { steps.dir(steps.env.WORKSPACE_TMP) { steps.unstash(own('image')) } }
        }
    }

    void scanAndPush() {
        onAgent()
        if (deploys) {
            checkOutWhatWasBuilt()
        } else {
            helpers.again { steps.checkout(source()) } // a pull request's merge has no commit that can be asked for
        }
        takeOver()
        scan()
        if (deploys) {
            push()
        }
    }

    /** The migrations come from the repository, at the commit that was built, and never from the pod that built it. */
    private void checkOutWhatWasBuilt() {
        Map<String, String> taken = [:]
        helpers.again { taken = steps.checkout(at(commit)) }
        if (taken.GIT_COMMIT != commit) {
            helpers.hint = 'run the build again'
            steps.error("checkout: the image was built from ${commit}, and what is checked out to deliver it is ${taken.GIT_COMMIT}")
        }
    }

    /** What both builders take. */
    private String arguments() {
        String tag = settings.value('tag')
        List<String> words = ["VERSION=${tag}", "COMMIT=${commit}"] + index()
        return words.collect { String each -> "--build-arg ${each}" }.join(' ') +
            " --label org.opencontainers.image.version=${tag} --label org.opencontainers.image.revision=${commit}"
    }

    /** Kaniko's arguments: Docker's own registry has two names. */
    private static String maps(List<String> bases) {
        return bases.collect { String pair -> "--registry-map ${pair} --registry-map index.${pair}" }.join(' ')
    }

    /** Buildah's file of registries. A mirror on a private address may speak plain HTTP, as Kaniko too has it. */
    @NonCPS
    private static String registries(List<String> bases) {
        String text = 'unqualified-search-registries = ["docker.io"]\n'
        for (String pair in bases) {
            String mirror = pair.substring(pair.indexOf('=') + 1)
            boolean near = mirror ==~ /(localhost|127\.|10\.|192\.168\.|172\.(1[6-9]|2[0-9]|3[01])\.).*/
            text += "[[registry]]\nprefix = \"${pair.substring(0, pair.indexOf('='))}\"\nlocation = \"${mirror}\"\ninsecure = ${near}\n"
        }
        return text
    }

    /** The scanner reports; what stops an image is decided by the helper, before anything is pushed. */
    private void scan() {
        int code = 0
        List<String> environment = ["SEVERITY=${severity()}".toString()]
        List<String> bases = settings.value('baseImages').tokenize(',')
        if (!bases.isEmpty()) {
            String mirror = bases.last().tokenize('=').last()
            environment.add("TRIVY_DB_REPOSITORY=${mirror}/aquasecurity/trivy-db:2".toString())
            environment.add("TRIVY_JAVA_DB_REPOSITORY=${mirror}/aquasecurity/trivy-java-db:1".toString())
        }
        note('scan', [scanner: 'trivy', severity: severity(), outcome: 'failed'])
        steps.withEnv(environment) {
            steps.container('trivy') {
                steps.timeout(time: 15, unit: 'MINUTES') {
                    code = steps.sh(label: 'scan', returnStatus: true, script: Commands.SCAN)
                }
            }
        }
        if (code != 0) {
            helpers.hint = 'read its own words above; run the build again'
            steps.error("scan: the scanner failed: Trivy could not tell (exit code ${code}), and nothing was pushed")
        }
        facts.scan.outcome = 'undecided'
        if (!deploys) {
            decided('scan', helpers.ask('scan gate', gate(), Commands.GATE))
        }
    }

    private Map<String, String> gate() {
        return [SEVERITY: severity(), SCAN_AGE: '168h']
    }

    /** A call adds severities to the site's, and takes none away. */
    private String severity() {
        List<String> all = settings.ofSite('severity').tokenize(',')
        return (all + settings.value('severity').tokenize(',')).unique().join(',')
    }

    /** Findings, waivers that have ended, a scan that is no evidence: each is a refusal in its own words. */
    private Map<String, Object> decided(String label, Map<String, Object> answer) {
        facts.scan.outcome = answer.scan ?: facts.scan.outcome
        if (answer.waived) {
            note('waived', answer.waived.tokenize('\n'))
            steps.echo("findings that are waived:\n${answer.waived}")
        }
        if (answer.warnings) {
            steps.echo("WARNING: ${answer.warnings}")
        }
        if (answer.exit != 0) {
            helpers.hint = answer.error?.hint ?: ''
            steps.error(Helpers.sentence(answer.scan == 'findings' ? 'scan' : label, answer))
        }
        return answer
    }

    private void push() {
        if (!settings.value('signingCredentialsId')) {
            steps.echo('WARNING: the evidence is not signed: every login that may push can write it. Set signingCredentialsId')
        }
        helpers.withRegistry {
            helpers.withSigningKey {
                Map<String, String> variables = settings.options() + gate() + [
                    TARGET: target(), COMMIT: commit, MOUNT_FROM: crossing ? quarantine() : '',
                ]
                reference = decided('push', helpers.ask('push', variables, Commands.PUSH)).reference
            }
            note('image', reference)
        }
    }

    void migrate() {
        if (!deploys) {
            return
        }
        int minutes = settings.minutes('migrationTimeout') + 1
        Map<String, String> variables = [GIT_COMMIT: commit, LONGEST: settings.value('migrationTimeout')]
        migrating = true
        Map<String, Object> done = askDatabase('migrate', variables, Commands.MIGRATE, minutes)
        migrating = done.exit == -1
        if (done.planId != null) {
            noteMigration(done)
        }
        helpers.good('migration', done)
    }

    /** What runs is asked once; the image that answered is verified. */
    void deploy() {
        if (!deploys) {
            return
        }
        helpers.withRegistry {
            helpers.withSigningKey {
                begun = true
                Map<String, Object> deployed = helpers.ask('deploy', names() + page(), Commands.DEPLOY, 30)
                runs = deployed.to ?: ''
                note('previousImage', deployed.from ?: '')
                helpers.good('deploy', deployed)
            }
            note('evidence', ['scan', 'sbom', 'staging-verified'])
            begun = false
        }
        steps.currentBuild.description = "${Text.shown(reference)} in ${settings.value('namespace')}, verified${pageLink()}".toString()
    }

    private Map<String, String> names() {
        String service = "http://${settings.value('deployment')}.${settings.value('namespace')}.svc.cluster.local"
        return settings.options() + [
            IMAGE: reference, COMMIT: commit, RUN: run(), PLAN_ID: facts.migration.planId,
            SMOKE_URL: service + settings.value('smokePath'),
            SLIPWAY_NAMESPACE: settings.value('namespace'), SLIPWAY_APP: settings.value('app'),
            SLIPWAY_STABLE: settings.value('deployment'),
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
            inFreshPod {
                if (!rollback) {
                    Map<String, Object> back = helpers.askTwice('staging back to its last good revision', names(), Commands.UNDO_STABLE)
                    rollback = back.exit == 0 ? "${where}: ${back.stable}" : Helpers.sentence(where, back)
                    note('undone', rollback)
                }
                keepHere(failure)
            }
        } catch (Throwable failed) {
            if (!rollback) {
                String why = Text.visible(failed.message ?: 'stopped')
                rollback = "${where} may still run an image that is not verified (${why}); the next run replaces it"
                note('undone', rollback)
            }
        }
    }

    @Override
    protected String title() {
        return "staging run ${steps.env.BUILD_NUMBER} of ${settings.value('app')}".toString()
    }

    @Override
    protected String state() {
        List<String> parts = []
        if (validated.startsWith('NOT VALIDATED')) {
            parts.add(validated)
        }
        if (!deploys) {
            parts.add("nothing was pushed or deployed${notDeployed ? ": ${notDeployed}" : ''}".toString())
        } else {
            parts.add(reference ? "pushed ${Text.shown(reference)}".toString() : 'nothing was pushed')
            parts.add(database())
            String where = settings.value('namespace')
            String unverified = facts.evidence == null ? ', which is not verified' : ''
            String now = runs ? "${where} runs ${Text.shown(runs)}${unverified}" : "${where} was not changed"
            parts.add(rollback ?: now)
        }
        return parts.join('; ')
    }
}
