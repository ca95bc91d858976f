package slipway

/** One run of prodCanaryPipeline: an image that staging verified, and production. */
class ProductionRelease extends Release {
    private static final long serialVersionUID = 1L

    private final Approvals people
    /** What the policy leaves of the call's canary, by the names of phase compare's answer. */
    private final Map<String, String> bound = [:]
    private String breakingSql = ''
    private String authors = ''
    /** The hash of the release, by which a window is opened, and of what is approved next: of the release and its canary's verdict. */
    private String release = ''
    private String approval = ''
    private String reference = ''
    private String before = ''
    private String commit = ''
    private String commits = ''
    private String waived = ''
    private String undone = ''
    private boolean rolledBack
    private boolean idle
    private List<String> byHand = []
    private Map<String, Object> plan = [:]
    private boolean changes = true
    private boolean waits
    private boolean migrationBegun
    private boolean first
    private String replicas = ''
    private boolean canaryBegun
    private boolean promotionBegun
    private boolean promoted

    ProductionRelease(Script steps, Settings settings) {
        super(steps, settings)
        facts.pipeline = 'prodCanaryPipeline'
        people = new Approvals(steps, settings, helpers, approvals)
    }

    private Map<String, String> names() {
        Map<String, Object> migration = facts.migration ?: [:]
        return settings.options() + permission('promotion') + [
            SLIPWAY_NAMESPACE: settings.value('namespace'), SLIPWAY_APP: settings.value('app'),
            SLIPWAY_STABLE: settings.value('deployment'),
            SLIPWAY_CANARY: settings.value('canaryDeployment'), SLIPWAY_ROUTER: settings.value('router'), RUN: run(),
            WEIGHT: weight(), MAX_EXTRA: settings.value('canaryMaxExtra'), EXPIRES: settings.value('canaryExpires'),
            REPOSITORY: "${settings.value('registry')}/${settings.value('image')}".toString(), IMAGE_TAG: settings.value('imageTag'),
            IMAGE: reference, FROM: before, FIRST: first.toString(), REPLICAS: replicas ?: settings.value('replicas'), COMMIT: commit,
            PLAN_ID: migration.planId ?: '', SHARE: facts.canary?.achieved ?: '', SLIPWAY_PLAN_ID: migration.planId ?: '',
            APPROVER: approver('promotion'), MIGRATION_APPROVER: approver('migration'),
        ]
    }

    private String approver(String what) {
        return people.by(what).join(', ')
    }

    private String weight() {
        return bound.weight ?: settings.value('canaryWeight')
    }

    /** The policy is the pod's own file, whatever the environment around the call says. */
    private Map<String, String> permission(String what) {
        return [
            SLIPWAY_POLICY: '/etc/slipway/policy/policy.yaml', SLIPWAY_APPROVALS: people.json(), SLIPWAY_RULE: people.rule(what),
            SLIPWAY_VERDICT: facts.canary?.verdict ?: '', IMAGE: reference, SLIPWAY_IMAGE: reference,
            SLIPWAY_ALLOW_BREAKING: mayBreak().toString(),
        ]
    }

    /** What the policy refuses the plan's phase has refused already; a call may say no to what it lets people approve. */
    private boolean mayBreak() {
        return settings.value('allowBreaking') == 'true' || breakingSql == 'approve' && !settings.isGiven('allowBreaking')
    }

    /** The pod of a phase. One that is lost is tried once more, as long as nothing of production can have been changed. */
    void inPod(Closure body) {
        int minutes = looksFor() + 90 + (migrationPending() ? settings.minutes('migrationTimeout') + 10 : 0)
        helpers.inPodWhile('production', minutes, { !migrationBegun && !canaryBegun }, body)
    }

    private boolean migrationPending() {
        return plan.pending != null && plan.pending != 0
    }

    /** Whether the run has to wait: for a person, for its window, or for a pod that has the time that the policy asks of the canary. */
    boolean hasToWait() {
        return waits
    }

    /** Finds what to promote, checks out the commit that it was built from, and says what would change. */
    void checkOut() {
        int time = looksFor()
        onAgent()
        steps.checkout(source()) // what knows which of two builds that overlapped has the later commit
        helpers.withRegistry {
            Map<String, Object> found = helpers.run('image to promote', names(), Commands.FIND)
            reference = found.reference
            commit = found.commit
            waived = found.waived ?: ''
        }
        note('image', reference)
        note('commit', commit)
        if (waived) {
            note('waived', waived.tokenize('\n'))
        }
        note('evidence', ['scan', 'staging-verified'])
        helpers.withSigningKey { // a key that is missing is known now, and not after the approvals
            steps.echo("promoting ${Text.visible(reference)}, built from ${commit ?: 'a commit that is not known'}")
        }
        checkOutSource()
        helpers.withRegistry { compare() }
        String tag = settings.value('imageTag')
        plan = tag ? noMigration("imageTag ${tag}: the database is left as it is, whatever that image was built with") :
            migrationPlan(permission('migration'))
        release = plan.approval ?: approval
        approval = release
        if (migrationPending()) {
            steps.stash(name: own('migrations'), includes: "${settings.value('migrationsDir') ?: 'migrations'}/**", allowEmpty: true)
        }
        waits = migrationPending() || changes && people.closed() || looksFor() > time
    }

    /** Going back to an image takes no commit, which may be gone by then; its migrations are not applied. */
    private void checkOutSource() {
        if (settings.value('imageTag')) {
            return
        }
        try {
            steps.checkout(at(commit))
        } catch (Throwable problem) {
            if (problem.class.simpleName == 'AbortException') {
                helpers.hint = 'build and verify a commit that the repository has; or go back to an image by its tag: imageTag'
                String why = Text.visible(problem.message ?: '')
                steps.error("checkout: the commit ${commit}, of which ${reference} was built, cannot be had: ${why}")
            }
            throw problem
        }
    }

    private void compare() {
        Map<String, Object> now = helpers.run('what would change', names() + looks() + [
            STARTED_BY: people.starters(), APPROVERS: settings.value('approvers')], Commands.COMPARE)
        before = now.from
        first = now.first
        changes = now.changes
        replicas = now.replicas.toString()
        idle = now.idle == true
        commits = now.commits
        obey(now)
        note('previousImage', before)
        note('previousCommit', now.previousCommit)
        note('commits', commits)
        steps.echo("${now.says}\n${commits}")
    }

    /** What the site's policy asks for, and what it does not. */
    private void obey(Map<String, Object> now) {
        people.learn(now)
        for (String field in ['weight', 'hold', 'duration', 'minRequests']) {
            bound[field] = now[field] ?: ''
        }
        breakingSql = now.breakingSql ?: ''
        approval = now.approval ?: ''
        authors = now.authors ?: ''
        List<String> warnings = now.warnings ? now.warnings.tokenize('\n') : []
        note('policy', now.policy ?: '')
        note('warnings', warnings)
        if (now.raised) {
            steps.echo("by the site's policy:\n${now.raised}")
        }
        if (!settings.value('signingCredentialsId')) {
            warnings.add('the approvals are recorded, and not signed: set signingCredentialsId')
        }
        if (!warnings.isEmpty()) {
            steps.echo('WARNING: ' + warnings.join('\nWARNING: '))
        }
    }

    /** What is pending is applied after a person has seen it, and only if it is still that. */
    void approveMigration() {
        if (changes || migrationPending()) {
            waiting('window') { people.whenOpen(release) }
        }
        String text = plan.plan
        steps.echo(text)
        if (!migrationPending()) {
            return
        }
        boolean breaks = plan.breaking != ''
        if (breaks && !mayBreak()) {
            helpers.hint = 'split it into steps that both versions can live with, or accept it for this release: allowBreaking: true'
            String now = Text.shown(before)
            steps.error("migration: the plan ${plan.planId} breaks the version that production runs now, ${now}: ${plan.breaking}")
        }
        approve('migration', 'Migrate', "Apply ${plan.pending} migrations to the production database of ${settings.value('app')}?",
            (breaks ? "BREAKING, and allowed by ${breakingSql ? 'the policy' : 'allowBreaking'}: the running version may fail until" +
                ' the new one has replaced it.\n' : '') + text, release)
    }

    void migrate() {
        onAgent()
        if (!waits) {
            steps.echo(plan.plan)
        }
        if (migrationPending()) {
            helpers.again { steps.unstash(own('migrations')) }
            migrationBegun = true
            applyPlan(plan.planId, commit, permission('migration'))
        }
    }

    /** Nobody waits on an agent. People see what they approve, its hash, who may, and until when. */
    private void approve(String what, String button, String message, String details, String hash) {
        String minutes = settings.value('approvalTimeout')
        String text = "${details}\n\n${people.who(what)} may approve this for ${minutes} minutes from ${now()}\napproved: ${hash}"
        steps.echo("${message}\n${text}")
        waiting("approval of the ${what}") { people.ask(what, button, message, text, hash, release) }
    }

    /** Waits for people, for as long as an approval may take; a rejection, a time-out and an abort are one. */
    private void waiting(String reason, Closure body) {
        int minutes = settings.value('approvalTimeout').toInteger()
        long began = steps.currentBuild.duration
        try {
            steps.timeout(time: minutes, unit: 'MINUTES') { body() }
        } catch (Throwable problem) {
            if (stopped(problem)) {
                boolean late = steps.currentBuild.duration - began >= minutes * 60000L
                stopCause = late ? "the ${reason} timed out after ${minutes} min" :
                    "stopped while the ${reason} waited: the lines above say whether it was rejected or aborted, and by whom"
                helpers.hint = late ? 'run the pipeline again when somebody can approve it;' +
                    ' approvalTimeout says for how many minutes it waits' : ''
            }
            throw problem
        }
    }

    void deployCanary() {
        if (!changes) {
            steps.echo("production runs ${Text.visible(reference)} already: there is nothing to try")
            return
        }
        if (first) {
            steps.echo('no canary: this is the first release, and there is no traffic that it could share or harm')
            return
        }
        onAgent()
        canaryBegun = true
        Map<String, Object> set = [:]
        helpers.withRegistry { set = helpers.run("canary at ${weight()} %", names(), Commands.CANARY) }
        note('canary', [weight: weight().toInteger(), achieved: set.achieved, router: set.router, verdict: ''])
        facts.canary.verdict = judge()
        steps.echo(facts.canary.verdict)
    }

    /** For how many minutes the canary is looked at. */
    private int looksFor() {
        Map<String, String> looks = looks()
        return Settings.inMinutes(looks.PROMETHEUS ? looks.DURATION : looks.HOLD)
    }

    private Map<String, String> looks() {
        return [
            PROMETHEUS: settings.value('prometheusUrl'), DURATION: bound.duration ?: settings.value('analysisDuration'),
            INTERVAL: settings.value('analysisInterval'), LEAST: bound.minRequests ?: settings.value('analysisMinRequests'),
            HOLD: bound.hold ?: settings.value('hold'), REPORT: archived('canary-report', 'html'),
        ]
    }

    /** By Prometheus where there is one, else by whether it stays up. */
    private String judge() {
        try {
            Map<String, Object> judged = helpers.run('canary health', names() + looks(), Commands.JUDGE, looksFor() + 20)
            approval = judged.approval ?: approval
            if (judged.course) {
                facts.canary.course = judged.course
            }
            return judged.summary
        } finally {
            if (settings.value('prometheusUrl')) {
                keepReport()
            }
        }
    }

    /** The analysis' page, whatever the verdict; that it is lost is no reason to stop a run. */
    private void keepReport() {
        try {
            // Of a page, Jenkins applies only a style that is a file beside it.
            List<String> files = [archived('canary-report', 'html'), archived('canary-report', 'css')]
            steps.archiveArtifacts(artifacts: files.join(','), allowEmptyArchive: true)
        } catch (Throwable problem) {
            if (stopped(problem)) {
                throw problem
            }
            steps.echo("the analysis' page could not be archived: ${Text.visible(problem.message ?: '')}")
        }
    }

    void promote() {
        if (!changes) {
            steps.currentBuild.description = "${Text.shown(reference)} was in production already".toString()
            return
        }
        approve('promotion', 'Promote', "Promote ${Text.shown(reference)} of ${settings.value('app')} to production?",
            "from ${before}\nto   ${reference}\n${commits}${authors ? "${authors}\n" : ''}${tried()}\n${database()}", approval)
        steps.milestone(label: 'promote')
        helpers.inPod('production', 60) {
            onAgent()
            promotionBegun = true
            Map<String, Object> done = [:]
            Map<String, String> last = first ? page() : [:]
            helpers.withRegistry { helpers.withSigningKey { done = helpers.ask('promotion', names() + last, Commands.PROMOTE) } }
            if (done.signed) {
                note('signed', done.signed)
            }
            helpers.good('promotion', done)
            promoted = true
            if (!first) {
                Map<String, Object> ended = helpers.askTwice('canary to 0', names() + page(), Commands.UNDO_CANARY)
                if (ended.exit != 0) {
                    helpers.hint = ended.error?.hint ?: ''
                    steps.error(Helpers.sentence('canary to 0', ended))
                }
                canaryBegun = false
            }
            String by = Text.visible(approver('promotion'))
            steps.currentBuild.description = "${Text.shown(reference)} in production, approved by ${by}${pageLink()}".toString()
            keepHere()
        }
    }

    /** What the promotion rests on. */
    private String tried() {
        String canary = first ? "FIRST RELEASE, without a canary: production never ran a good revision; it gets ${replicas} pods" :
            "canary: ${facts.canary.achieved} % of the traffic; ${facts.canary.verdict}"
        return canary + (waived ? "\nfindings of the scan that are waived:\n${waived}" : '')
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
                undo(problem)
            }
            throw problem
        }
    }

    /** Each half is tried, whatever the other's result; what fails says what a person has to do. The record is archived from here, too. */
    private void undo(Throwable problem) {
        try {
            inFreshPod {
                if (!undone) {
                    undone = undoHere(problem)
                }
                keepHere(problem)
            }
        } catch (Throwable failed) {
            if (!undone) {
                String why = Text.visible(failed.message ?: 'stopped')
                undone = "the undoing did not finish (${why}); ".toString() +
                    "the CronJob canary-reaper takes the canary back when its ${settings.value('canaryExpires')} are over".toString()
                byHand = [undoByHand()]
            }
        }
    }

    private String undoHere(Throwable problem) {
        String both = promotionBegun && !promoted ? Commands.UNDO_BOTH : Commands.UNDO_CANARY
        Map<String, Object> back = helpers.askTwice('undo', names() + page(problem), both)
        rolledBack = back.exit == 0 && back.undone == true
        List<String> done = [back.stable, back.canary ? "canary: ${back.canary}" : ''].findAll { Object each -> each } as List<String>
        if (back.exit != 0) {
            done.add(Helpers.sentence('undo', back))
            byHand.add(undoByHand())
        }
        return done.join('; ')
    }

    /** What a person types who does the same. */
    private String undoByHand() {
        String half = promotionBegun && !promoted ? "stable canary --image ${reference}" : 'canary'
        String names = "-n ${settings.value('namespace')} --app ${settings.value('app')} --stable ${settings.value('deployment')}"
        String mine = run().replace("'", "'\\''") // a job's name may hold a quote
        return "slipway phase undo ${names} --canary ${settings.value('canaryDeployment')} --run '${mine}' ${half}".toString()
    }

    @Override
    protected Map<String, Object> contents() {
        return super.contents() + [refused: people.refused]
    }

    @Override
    protected String title() {
        return "production run ${steps.env.BUILD_NUMBER} of ${settings.value('app')}".toString()
    }

    @Override
    protected String verdict(Throwable problem) {
        if (promoted) {
            return "promoted ${Text.shown(reference)}, and then ${super.verdict(problem)}".toString()
        }
        return rolledBack ? 'was rolled back' : super.verdict(problem)
    }

    @Override
    protected String state() {
        note('undone', undone)
        List<String> parts = []
        if (!before) {
            parts.add('production was not touched')
        } else if (promoted || !promotionBegun) {
            String runs = Text.shown(promoted ? reference : before)
            String none = first ? 'production runs nothing yet' : "production runs no pod, and has the image ${runs}".toString()
            parts.add(!promoted && (first || idle) ? none : "production runs ${runs}".toString())
        }
        parts.add(undone ?: promoted ? 'canary 0' : 'no canary')
        parts.add(database())
        return parts.join('; ')
    }

    @Override
    protected List<String> advice(Throwable failure) {
        return super.advice(failure) + byHand
    }
}
