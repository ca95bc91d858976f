package slipway

import com.cloudbees.groovy.cps.NonCPS
import groovy.json.JsonOutput

/** What both pipelines share: the stages, the record, and how a run ends. */
class Release implements Serializable {
    private static final long serialVersionUID = 1L

    protected final Script steps
    protected final Settings settings
    protected final Helpers helpers
    protected final Map<String, Object> facts = [:]
    protected final List<Map<String, Object>> stages = []
    protected final List<Map<String, Object>> approvals = []
    protected boolean kept

    Release(Script steps, Settings settings) {
        this.steps = steps
        this.settings = settings
        this.helpers = new Helpers(steps, settings)
    }

    /** What this run is called in the cluster: by its address, where Jenkins knows its own. */
    protected String run() {
        return steps.env.BUILD_URL ?: "${steps.env.JOB_NAME} #${steps.env.BUILD_NUMBER}".toString()
    }

    /** Notes a fact for the audit record. */
    protected void note(String name, Object value) {
        facts[name] = value
    }

    @NonCPS
    protected String now() {
        Date date = new Date()
        return date.format("yyyy-MM-dd'T'HH:mm:ss'Z'", TimeZone.getTimeZone('UTC'))
    }

    /** A stage, and its line in the record. */
    void stage(String name, Closure body) {
        Map<String, Object> entry = [name: name, outcome: 'stopped', began: now(), ended: '', agents: []]
        stages.add(entry)
        steps.stage(name) {
            try {
                body()
                entry.outcome = 'done'
            } finally {
                entry.ended = now()
            }
        }
    }

    /** Notes on which agent the current stage runs. */
    protected void onAgent() {
        if (!stages.isEmpty()) {
            List<String> agents = stages.last().agents
            agents.add(steps.env.NODE_NAME)
        }
    }

    /**
     * Runs the body. However it ends, what it began is undone, the record is kept, and
     * the last lines say what happened, why, what is true now and what to do.
     */
    void record(Closure body) {
        note('app', settings.value('app'))
        note('build', run())
        note('began', now())
        Throwable problem = null
        try {
            body()
        } catch (Throwable caught) {
            problem = caught
        }
        if (problem != null) {
            takeBack()
        }
        String why = problem == null ? '' : because(problem)
        Throwable late = null
        if (problem != null || !kept) {
            close(problem == null ? 'done' : stopped(problem) ? 'stopped' : 'failed', why)
            late = keep()
        }
        if (problem == null) {
            steps.echo(words("slipway: ${title()} is done", '', []))
            if (late != null) {
                throw late
            }
            return
        }
        String text = words("slipway: ${title()} ${verdict(problem)}", why, advice())
        if (stopped(problem)) {
            steps.echo(text)
            throw problem
        }
        steps.error(text)
    }

    /** An abort, a rejection, a time-out and a lost agent are the same to a pipeline: Jenkins sets the result. */
    protected boolean stopped(Throwable problem) {
        return problem.class.simpleName == 'FlowInterruptedException'
    }

    /** One line for people; a stop has its cause in the lines above. */
    protected String because(Throwable problem) {
        if (stopped(problem)) {
            return "stopped in ${stages.isEmpty() ? 'the beginning' : stages.last().name}: who or what did is told above".toString()
        }
        return (problem.message ?: problem.toString())
    }

    /** 'production run 87 of fastapi-app' */
    protected String title() {
        return "run ${steps.env.BUILD_NUMBER} of ${settings.value('app')}".toString()
    }

    /** How a run that was not to its end is called. */
    protected String verdict(Throwable problem) {
        return stopped(problem) ? 'was stopped' : 'failed'
    }

    /** Takes back what was begun and is not yet, where the stages have not done so themselves. */
    protected void takeBack() {
        // Nothing, unless a pipeline has something.
    }

    /** What is true now, in one line. */
    protected String state() {
        return ''
    }

    /** What to do next, a line each. */
    protected List<String> advice() {
        return helpers.hint ? [helpers.hint] : []
    }

    protected String words(String first, String why, List<String> next) {
        String text = first
        if (why) {
            text += "\n  why    ${why}"
        }
        if (facts.now) {
            text += "\n  now    ${facts.now}"
        }
        next.each { String line -> text += "\n  next   ${line}" }
        return text
    }

    /** The record, as docs/slipway-record.schema.json describes it. */
    protected Map<String, Object> contents() {
        return [version: 1] + facts + [approvals: approvals, stages: stages]
    }

    protected void close(String outcome, String why) {
        note('outcome', outcome)
        note('why', why)
        note('now', state())
        note('ended', now())
    }

    /**
     * Archives the record from the agent at hand, when all is done: one of its own
     * takes seconds. What does not work here is tried there.
     */
    protected void keepHere() {
        stages.last().outcome = 'done'
        stages.last().ended = now()
        close('done', '')
        String json = tell()
        try {
            archive(json)
            kept = true
        } catch (Throwable problem) {
            if (stopped(problem)) {
                throw problem
            }
            steps.echo("the record could not be archived from here: ${problem.message}")
        }
    }

    /**
     * Archives the record from whatever agent can be had; the console has it in any
     * case. Gives what stopped it, if something did: no agent in time is no reason to
     * call a run stopped that has done its work.
     */
    protected Throwable keep() {
        String json = tell()
        int minutes = 5
        long began = System.currentTimeMillis()
        try {
            helpers.inPodAgain('record', minutes) { archive(json) }
        } catch (Throwable problem) {
            steps.echo("the record could not be archived, and stands above: ${problem.message ?: 'stopped'}")
            boolean ranOut = System.currentTimeMillis() - began >= minutes * 60000
            return stopped(problem) && !ranOut ? problem : null
        }
        return null
    }

    protected String tell() {
        String json = JsonOutput.toJson(contents())
        steps.echo("slipway-record: ${json}")
        return json
    }

    protected void archive(String json) {
        steps.writeFile(file: 'slipway-record.json', text: JsonOutput.prettyPrint(json))
        steps.archiveArtifacts(artifacts: 'slipway-record.json')
    }

    /**
     * The plan of the migrations that are pending. A service that has none, and never
     * had, has no database here; one that lost them is refused.
     */
    protected Map<String, String> migrationPlan() {
        String folder = settings.value('migrationsDir')
        if (!folder) {
            return noMigration("migrationsDir is '': no database migration")
        }
        boolean there = false
        helpers.again { there = steps.fileExists(folder) }
        if (!there && !settings.isGiven('migrationsDir')) {
            Map<String, String> past = helpers.run('migrations of the past', [SLIPWAY_MIGRATIONS: folder], Commands.LAST_MIGRATION)
            if (past.LAST) {
                steps.error("migrations: the folder ${folder} is gone, and ${past.LAST} was the last commit that had it; bring it back, or say migrationsDir: '' if the service has no database any more")
            }
            return noMigration("there is no folder ${folder}: this service has no database to migrate")
        }
        Map<String, String> plan = [:]
        helpers.withDatabase { plan = helpers.run('migration plan', [:], Commands.PLAN) }
        note('migration', [planId: plan.PLAN_ID, pending: plan.PENDING.toInteger(), breaking: breaking(plan), current: plan.CURRENT, applied: [], skipped: ''])
        return plan
    }

    protected boolean breaking(Map<String, String> plan) {
        return !(plan.BREAKING in [null, '', '0', 'false'])
    }

    protected Map<String, String> noMigration(String why) {
        steps.echo(why)
        note('migration', [planId: '', pending: 0, breaking: false, current: '', applied: [], skipped: why])
        return [PENDING: '0', PLAN: why, PLAN_ID: '']
    }

    /** Applies exactly the plan of this id. */
    protected void applyPlan(String planId, String commit) {
        helpers.withDatabase {
            Map<String, String> done = helpers.run('migration', [SLIPWAY_PLAN_ID: planId, GIT_COMMIT: commit], Commands.APPLY)
            facts.migration.applied = done.APPLIED ? done.APPLIED.tokenize(' ') : []
            facts.migration.current = done.CURRENT
            steps.echo("applied ${done.APPLIED}: the database is at ${done.CURRENT}")
        }
    }

    protected String database() {
        Map<String, Object> migration = facts.migration
        if (migration == null) {
            return 'the database was not looked at'
        }
        return migration.skipped ? 'no migration was made' : "database at ${migration.current ?: 'nothing'}".toString()
    }

    /** latest-41 (sha256:9f2c1d0a…): what a person says, and enough of what it is. */
    @NonCPS
    protected String shown(String reference) {
        if (!reference) {
            return 'an unknown image'
        }
        int at = reference.indexOf('@')
        String name = at < 0 ? reference : reference.substring(0, at)
        String tag = name.substring(name.lastIndexOf('/') + 1)
        String digest = at < 0 ? '' : reference.substring(at + 1)
        return digest ? "${tag} (${digest.take(19)}…)".toString() : tag
    }
}
