package slipway

import com.cloudbees.groovy.cps.NonCPS

/** One run of prodCanaryPipeline: an image that staging verified, and production. */
class ProductionRelease extends Release {
    private static final long serialVersionUID = 1L

    private String reference = ''
    private String before = ''
    private String commit = ''
    private String commits = ''
    private String undone = ''
    private List<String> byHand = []
    private Map<String, String> plan = [:]
    private boolean changes = true
    private boolean first
    private String replicas = ''
    private boolean canaryBegun
    private boolean promotionBegun
    private boolean promoted

    ProductionRelease(Script steps, Settings settings) {
        super(steps, settings)
        facts.pipeline = 'prodCanaryPipeline'
    }

    private Map<String, String> names() {
        Map<String, Object> migration = facts.migration ?: [:]
        return [
            NAMESPACE: settings.value('namespace'), APP: settings.value('app'), STABLE: settings.value('deployment'), CANARY: settings.value('canaryDeployment'),
            ROUTER: settings.value('router'), WEIGHT: settings.value('canaryWeight'), MAX_EXTRA: settings.value('canaryMaxExtra'), EXPIRES: settings.value('canaryExpires'), RUN: run(),
            REGISTRY: settings.value('registry'), REPOSITORY: "${settings.value('registry')}/${settings.value('image')}".toString(), IMAGE_TAG: settings.value('imageTag'),
            IMAGE: reference, FROM: before, REPLICAS: replicas, COMMIT: commit, PLAN_ID: migration.planId ?: '', SHARE: facts.canary?.achieved ?: '',
            APPROVER: approver('promotion'), MIGRATION_APPROVER: approver('migration'),
        ]
    }

    private String approver(String what) {
        return approvals.find { Map<String, Object> each -> each.what == what }?.by ?: ''
    }

    /** One run of an application at a time, where the plugin for it is there; the Lease in the cluster holds in any case. */
    void alone(Closure body) {
        boolean held = false
        try {
            steps.lock(resource: "slipway-${settings.value('namespace')}-${settings.value('app')}".toString()) {
                held = true
                body()
            }
        } catch (NoSuchMethodError absent) {
            if (held) {
                throw absent
            }
            body()
        }
    }

    /** Finds what to promote, and checks out the commit that it was built from. */
    void checkOut() {
        steps.properties([steps.disableConcurrentBuilds()])
        steps.milestone(label: 'begin')
        helpers.inPodAgain('production', 30) {
            onAgent()
            helpers.withRegistry {
                Map<String, String> found = helpers.run('image to promote', names(), Commands.FIND)
                reference = found.REFERENCE
                commit = found.REVISION
            }
            note('image', reference)
            note('commit', commit)
            note('evidence', ['scan', 'staging-verified'])
            if (!commit) {
                steps.error("image to promote: ${reference} does not say which commit it was built from; build it by stagingPipeline")
            }
            steps.echo("promoting ${reference}, built from ${commit}")
            steps.checkout([$class: 'GitSCM', branches: [[name: commit]], userRemoteConfigs: steps.scm.userRemoteConfigs])
            steps.stash(name: 'migrations', includes: "${settings.value('migrationsDir') ?: 'migrations'}/**", allowEmpty: true)
            helpers.withRegistry { compare() }
            plan = settings.value('imageTag') ? noMigration("imageTag ${settings.value('imageTag')}: the database is left as it is, whatever that image was built with") : migrationPlan()
        }
    }

    private void compare() {
        Map<String, String> now = helpers.run('what would change', names(), Commands.COMPARE)
        before = now.FROM
        first = now.FIRST == 'true'
        changes = first || now.CHANGED == 'true'
        replicas = now.REPLICAS in [null, '0'] ? settings.value('replicas') : now.REPLICAS
        commits = now.COMMITS ? 'commits:\n' + lines(now.COMMITS) : ''
        if (now.TAKEN_BACK) {
            commits += 'commits that are taken back:\n' + lines(now.TAKEN_BACK)
        }
        note('previousImage', before)
        note('previousCommit', now.FROM_COMMIT)
        steps.echo(!changes ? "production runs ${reference} already" : first ? "production runs no pod that is ready, and never ran a good one: this is the first release\n${commits}" : "production runs ${before}\n${commits}")
    }

    @NonCPS
    private static String lines(String joined) {
        return '  ' + joined.replaceAll('\\|$', '').replace('|', '\n  ') + '\n'
    }

    /** What is pending is applied after a person has seen it, and only if it is still that. */
    void migrate() {
        String text = plan.PLAN.replace('\\n', '\n')
        steps.echo(text)
        if (plan.PENDING == '0') {
            return
        }
        boolean breaks = breaking(plan)
        if (breaks && settings.value('allowBreaking') != 'true') {
            helpers.hint = 'split it into steps that both versions can live with, or accept it for this release: allowBreaking: true'
            steps.error("migration: the plan ${plan.PLAN_ID} breaks the version that production runs now, ${shown(before)}: ${plan.BREAKING}")
        }
        approve('migration', 'Migrate', "Apply ${plan.PENDING} migrations to the production database of ${settings.value('app')}?",
            (breaks ? 'BREAKING, and allowed by allowBreaking: the running version may fail until the new one has replaced it.\n' : '') + text)
        helpers.inPod('production', 60) {
            onAgent()
            helpers.again { steps.unstash('migrations') }
            applyPlan(plan.PLAN_ID, commit)
        }
    }

    /** Nobody waits on an agent; a rejection, a time-out and an abort are one. */
    private void approve(String what, String button, String message, String details) {
        String who = settings.value('approvers') ?: 'whoever may build'
        String minutes = settings.value('approvalTimeout')
        String text = "${details}\n\n${who} may approve this for ${minutes} minutes from ${now()}"
        steps.echo("${message}\n${text}")
        Object answer = null
        steps.timeout(time: minutes.toInteger(), unit: 'MINUTES') {
            answer = steps.input(id: button, message: message, ok: button, submitter: settings.value('approvers'), submitterParameter: 'approver',
                parameters: [steps.string(name: 'comment', defaultValue: '', description: text)])
        }
        Map<String, Object> given = answer instanceof Map ? answer : [:]
        String by = given.approver ?: 'unknown'
        approvals.add([what: what, by: by, at: now(), comment: given.comment ?: ''])
        steps.echo("${what} approved by ${by}")
    }

    void deployCanary() {
        if (!changes) {
            steps.echo("production runs ${reference} already: there is nothing to try")
            return
        }
        if (first) {
            steps.echo('no canary: this is the first release, and there is no traffic that it could share or harm')
            return
        }
        helpers.inPod('production', 60) {
            onAgent()
            canaryBegun = true
            helpers.withRegistry {
                helpers.run('canary image', names() + [DEPLOYMENT: settings.value('canaryDeployment')], Commands.CANARY_IMAGE)
            }
            Map<String, String> set = helpers.run("canary at ${settings.value('canaryWeight')} %", names(), Commands.CANARY_SET)
            note('canary', [weight: settings.value('canaryWeight').toInteger(), achieved: set.ACHIEVED, router: set.ROUTER, verdict: ''])
            facts.canary.verdict = judge()
            steps.echo(facts.canary.verdict)
        }
    }

    /** By Prometheus where there is one, else by whether it stays up. */
    private String judge() {
        if (settings.value('prometheusUrl')) {
            Map<String, String> looks = [PROMETHEUS_URL: settings.value('prometheusUrl'), DURATION: settings.value('analysisDuration'), INTERVAL: settings.value('analysisInterval'), LEAST: settings.value('analysisMinRequests')]
            try {
                return helpers.run('canary health', names() + looks, Commands.CANARY_ANALYZE).SUMMARY
            } finally {
                keepReport()
            }
        }
        helpers.run('canary health', names() + [HOLD: settings.value('hold')], Commands.CANARY_HOLD)
        return "canary stayed up for ${settings.value('hold')}".toString()
    }

    /** The analysis' page, whatever the verdict; that it is lost is no reason to stop a run. */
    private void keepReport() {
        try {
            steps.archiveArtifacts(artifacts: Commands.REPORT, allowEmptyArchive: true)
        } catch (Throwable problem) {
            if (stopped(problem)) {
                throw problem
            }
            steps.echo("the analysis' page could not be archived: ${problem.message}")
        }
    }

    void promote() {
        if (!changes) {
            steps.currentBuild.description = "${shown(reference)} was in production already".toString()
            return
        }
        approve('promotion', 'Promote', "Promote ${shown(reference)} of ${settings.value('app')} to production?",
            "from ${before}\nto   ${reference}\n${commits}${tried()}\n${database()}")
        steps.milestone(label: 'promote')
        helpers.inPod('production', 60) {
            onAgent()
            promotionBegun = true
            helpers.withRegistry {
                helpers.run('promotion', names() + [DEPLOYMENT: settings.value('deployment')], first ? Commands.PROMOTE_FIRST : Commands.PROMOTE)
            }
            helpers.run('rollout', names(), Commands.ROLLOUT)
            promoted = true
            if (!first) {
                helpers.run('canary to 0', names(), Commands.CANARY_BACK)
                canaryBegun = false
            }
            steps.currentBuild.description = "${shown(reference)} in production, approved by ${approver('promotion')}".toString()
            keepHere()
        }
    }

    /** What the promotion rests on. */
    private String tried() {
        return first ? "FIRST RELEASE, without a canary: nothing is ready there now; it gets ${replicas} pods" : "canary: ${facts.canary.achieved} % of the traffic; ${facts.canary.verdict}"
    }

    /**
     * Whatever stops the body (a failure, a rejection, a time-out, an abort), what it
     * began is undone in a pod of its own, outside every time-out of the body.
     */
    void undoUnlessPromoted(Closure body) {
        try {
            body()
        } catch (Throwable problem) {
            if (canaryBegun || promotionBegun) {
                undo()
            }
            throw problem
        }
    }

    /** Each half is tried whatever became of the other; what fails says what a person has to do. */
    private void undo() {
        List<String> done = []
        String cluster = "-n ${settings.value('namespace')}"
        try {
            helpers.inPodAgain('production', 30) {
                done = []
                byHand = []
                if (promotionBegun && !promoted) {
                    done.add(stableBack(cluster))
                }
                Map<String, String> taken = helpers.ask('canary back to 0', names(), Commands.CANARY_BACK)
                done.add(taken.EXIT == '0' ? "canary: ${taken.NOTE}".toString() : Helpers.sentence('canary', taken))
                if (taken.EXIT != '0') {
                    byHand.add("canary-weight abort ${cluster} --app ${settings.value('app')}".toString())
                }
            }
        } catch (Throwable failed) {
            done.add("the undoing did not finish (${failed.message ?: 'stopped'}); the CronJob canary-reaper takes the canary back when its ${settings.value('canaryExpires')} are over".toString())
            if (promotionBegun && !promoted) {
                byHand.add(first ? firstByHand(cluster) : "rollout-wait ${cluster} deployment/${settings.value('deployment')} --undo --undo-from ${reference}".toString())
            }
            byHand.add("canary-weight abort ${cluster} --app ${settings.value('app')}".toString())
        }
        undone = done.join('; ')
    }

    /** Back to the last good revision; a first release has none, and goes back to no pod. */
    private String stableBack(String cluster) {
        Map<String, String> back = helpers.ask(first ? 'first release back to no pod' : 'stable back to its last good revision', names(), first ? Commands.FIRST_BACK : Commands.STABLE_BACK)
        if (back.EXIT == '0') {
            return first ? 'no pod runs, as before' : "stable is back on ${shown(before)}".toString()
        }
        if (back.EXIT == '4') {
            return 'stable was left alone: it does not run what this run would have put there'
        }
        byHand.add(first ? firstByHand(cluster) : "rollout-wait ${cluster} deployment/${settings.value('deployment')} --undo".toString())
        return Helpers.sentence('stable', back)
    }

    private String firstByHand(String cluster) {
        return "deploy-image ${cluster} deployment/${settings.value('deployment')} --image ${reference} --replicas 0".toString()
    }

    @Override
    protected String title() {
        return "production run ${steps.env.BUILD_NUMBER} of ${settings.value('app')}".toString()
    }

    @Override
    protected String verdict(Throwable problem) {
        if (promoted) {
            return "promoted ${shown(reference)}, and then ${super.verdict(problem)}".toString()
        }
        return undone ? 'was rolled back' : super.verdict(problem)
    }

    @Override
    protected String state() {
        note('undone', undone)
        List<String> parts = []
        if (!before) {
            parts.add('production was not touched')
        } else if (promoted || !promotionBegun) {
            parts.add(first && !promoted ? 'production runs nothing yet' : "production runs ${shown(promoted ? reference : before)}".toString())
        }
        parts.add(undone ?: promoted ? 'canary 0' : 'no canary')
        parts.add(database())
        return parts.join('; ')
    }

    @Override
    protected List<String> advice() {
        return super.advice() + byHand
    }
}
