package slipway

/** One run of prodCanaryPipeline: an image that staging verified, and production. */
class ProductionRelease extends Release {
    private static final long serialVersionUID = 1L

    private String reference
    private String commit
    private String plan = ''
    private String planId
    private boolean pending
    private boolean canaryBegun
    private boolean promotionBegun
    private boolean promoted

    ProductionRelease(Script steps, Settings settings) {
        super(steps, settings)
    }

    private Map<String, String> names() {
        return [
            NAMESPACE: settings.value('namespace'), APP: settings.value('app'), STABLE: settings.value('deployment'), CANARY: settings.value('canaryDeployment'),
            IMAGE: reference ?: '', COMMIT: commit ?: '', REGISTRY: settings.value('registry'), WEIGHT: settings.value('canaryWeight'), ROUTER: settings.value('router'),
        ]
    }

    /** Finds what to promote, and checks out the commit that it was built from. */
    void checkOut() {
        steps.properties([steps.disableConcurrentBuilds()])
        steps.milestone()
        helpers.inPod('production', 30) {
            helpers.withRegistry {
                String at = settings.value('imageTag') ? ' --at "$IMAGE_TAG"' : ''
                Map<String, String> found = helpers.run('image to promote', [REPOSITORY: "${settings.value('registry')}/${settings.value('image')}".toString(), IMAGE_TAG: settings.value('imageTag')],
                    'nexus-latest-tag "$REPOSITORY"' + at)
                reference = found.REFERENCE
                commit = found.REVISION
            }
            note('image', reference)
            note('commit', commit)
            steps.echo("promoting ${reference}, built from ${commit}")
            steps.checkout([$class: 'GitSCM', branches: [[name: commit]], userRemoteConfigs: steps.scm.userRemoteConfigs])
            steps.stash(name: 'migrations', includes: "${settings.value('migrationsDir')}/**", allowEmpty: true)
            if (settings.value('imageTag')) {
                steps.echo("imageTag ${settings.value('imageTag')}: the database is left as it is")
            } else {
                helpers.withDatabase {
                    Map<String, String> answer = helpers.run('migration plan', [:], 'migrate-diff plan')
                    plan = answer.PLAN.replace(' | ', '\n')
                    planId = answer.PLAN_ID
                    pending = answer.PENDING != '0'
                }
            }
        }
    }

    /** What is pending is applied after a person has seen it, and only if it is still that. */
    void migrate() {
        if (!pending) {
            steps.echo(plan ?: 'no migration')
            return
        }
        note('planId', planId)
        note('migrationApprovedBy', approve('Migrate', "Apply the plan ${planId} to the production database?", plan))
        helpers.inPod('production', 60) {
            steps.unstash('migrations')
            helpers.withDatabase {
                helpers.run('migration', [SLIPWAY_PLAN_ID: planId, GIT_COMMIT: commit], 'migrate-diff apply')
            }
        }
        note('migrated', true)
    }

    /** Gives the name of who approved. Nobody waits on an agent; a rejection, a time-out and an abort are one. */
    private String approve(String what, String message, String details) {
        steps.echo("${message}\n${details}")
        Object who = null
        steps.timeout(time: settings.value('approvalTimeout') as int, unit: 'MINUTES') {
            who = steps.input(id: what, message: message, ok: what, submitter: settings.value('approvers'), submitterParameter: 'approver')
        }
        return who == null ? 'unknown' : who.toString()
    }

    void deployCanary() {
        helpers.inPod('production', 60) {
            helpers.withRegistry {
                helpers.run('state of stable', names(), 'rollout-wait -n "$NAMESPACE" "deployment/$STABLE" --timeout 5m --mark-good')
                canaryBegun = true
                helpers.run('canary image', names() + [DEPLOYMENT: settings.value('canaryDeployment')], Commands.DEPLOY)
            }
            Map<String, String> set = helpers.run("canary at ${settings.value('canaryWeight')} %", names() + [EXPIRES: settings.value('canaryExpires')], 'canary-weight set "$WEIGHT" --expires "$EXPIRES" -n "$NAMESPACE" --app "$APP" --stable "$STABLE" --canary "$CANARY" --router "$ROUTER"')
            note('canaryShare', set.ACHIEVED)
            judge()
        }
    }

    /** By Prometheus where there is one, else by whether it stays up. */
    private void judge() {
        if (settings.value('prometheusUrl')) {
            Map<String, String> analysis = helpers.run('canary health', names() + [PROMETHEUS_URL: settings.value('prometheusUrl'), DURATION: settings.value('analysisDuration'), INTERVAL: settings.value('analysisInterval'), LEAST: settings.value('analysisMinRequests')],
                'rollout-wait -n "$NAMESPACE" "deployment/$CANARY" --image "$IMAGE" --timeout 2m -o text >&2 && canary-weight analyze -n "$NAMESPACE" --app "$APP" --stable "$STABLE" --canary "$CANARY" --router "$ROUTER" --duration "$DURATION" --interval "$INTERVAL" --min-requests "$LEAST"')
            note('canary', analysis.SUMMARY)
            steps.echo(analysis.SUMMARY)
        } else {
            helpers.run('canary health', names() + [HOLD: settings.value('hold')], 'rollout-wait -n "$NAMESPACE" "deployment/$CANARY" --image "$IMAGE" --hold "$HOLD"')
            note('canary', "stayed up for ${settings.value('hold')}".toString())
        }
    }

    void promote() {
        note('promotionApprovedBy', approve('Promote', "Promote ${settings.value('app')} to production?", "${reference}\n${facts.canary}"))
        steps.milestone()
        helpers.inPod('production', 60) {
            helpers.run('canary before promotion', names(), 'canary-weight verify "$WEIGHT" -n "$NAMESPACE" --app "$APP" --stable "$STABLE" --canary "$CANARY" --router "$ROUTER"')
            promotionBegun = true
            helpers.withRegistry {
                helpers.run('promotion', names() + [DEPLOYMENT: settings.value('deployment')], Commands.DEPLOY)
            }
            helpers.run('rollout', names(), 'rollout-wait -n "$NAMESPACE" "deployment/$STABLE" --image "$IMAGE" --mark-good')
            promoted = true
            helpers.run('canary to 0', names(), Undo.CANARY)
            canaryBegun = false
        }
        steps.currentBuild.description = "${reference}"
        steps.echo("slipway: ${reference} is in production; canary 0")
    }

    /**
     * Whatever stops the body (a failure, a rejection, a time-out, an abort), what it
     * began is undone in a pod of its own, outside every time-out of the body.
     */
    void undoUnlessPromoted(Closure body) {
        Throwable problem = null
        try {
            body()
        } catch (Throwable caught) {
            problem = caught
        }
        if (problem == null) {
            return
        }
        String now = undo()
        note('undone', now)
        String why = problem.message ?: 'stopped: see above'
        String text = "slipway: production run ${steps.env.BUILD_NUMBER} of ${settings.value('app')} was rolled back\n  why    ${why}\n  now    ${now}\n  next   logs: kubectl logs -n ${settings.value('namespace')} deployment/${settings.value('canaryDeployment')} --previous"
        if (problem.class.simpleName == 'FlowInterruptedException') {
            steps.echo(text)
            throw problem
        }
        steps.error(text)
    }

    private String undo() {
        if (!canaryBegun && !promotionBegun) {
            return 'nothing was changed'
        }
        String now = ''
        try {
            helpers.inPod('production', 30) {
                if (promotionBegun && !promoted) {
                    Map<String, String> back = helpers.ask('stable back to its last good revision', names(), 'rollout-wait -n "$NAMESPACE" "deployment/$STABLE" --undo --timeout 10m')
                    now = back.EXIT == '0' ? 'stable runs its last good revision; ' : "${Helpers.sentence('stable', back)}; "
                }
                Map<String, String> aborted = helpers.ask('canary back to 0', names(), Undo.CANARY)
                now += aborted.EXIT == '0' ? "canary 0, ${aborted.STABLE} stable pods (${aborted.NOTE})" : Helpers.sentence('canary', aborted)
            }
        } catch (Throwable failed) {
            now += "the undoing did not finish (${failed.message}); the canary-reaper in ${settings.value('namespace')} will, when the canary's time is over"
        }
        return now
    }
}
