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
    /** What stopped the run. */
    protected Throwable failure
    /** With which outcome the record is archived already. */
    protected String keptAs = ''
    /** Whether a migration has begun of which no answer has come. */
    protected boolean migrating
    /** Of the stages, the one that runs, or ran last. */
    protected Map<String, Object> current = [:]
    /** What is known of a stop; else the lines above tell it. */
    protected String stopCause = ''
    protected String number = ''

    Release(Script steps, Settings settings) {
        this.steps = steps
        this.settings = settings
        this.helpers = new Helpers(steps, settings)
    }

    /** What this run is called in the cluster: by its address, where Jenkins knows its own. */
    protected String run() {
        return steps.env.BUILD_URL ?: "${steps.env.JOB_NAME} #${steps.env.BUILD_NUMBER}".toString()
    }

    /** One run of an application at a time, where the plugin for it is there; in production the Lease holds in any case. */
    void alone(Closure body) {
        if (!changesSomething()) {
            body()
            return
        }
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

    /** Whether the run may change what others see: what only looks waits for nobody. */
    protected boolean changesSomething() {
        return true
    }

    /** A pod that does not come within its time, as after a controller's restart, is asked for once more. */
    protected void inFreshPod(Closure body) {
        int minutes = 20
        long began = steps.currentBuild.duration
        boolean begun = false
        try {
            helpers.inPodAgain('production', minutes) {
                begun = true
                body()
            }
        } catch (Throwable problem) {
            if (begun || steps.currentBuild.duration - began < minutes * 60000L) {
                throw problem
            }
            steps.echo('no pod came for the undoing: one more is asked for')
            helpers.inPodAgain('production', minutes) { body() }
        }
    }

    /** Where the service's repository is: where the job's script came from, or where the site says. */
    protected Object source() {
        return settings.value('sourceUrl') ? at(settings.value('branch')) : steps.scm
    }

    /** Its sources at a branch or a commit. */
    protected Map<String, Object> at(String revision) {
        String url = settings.value('sourceUrl')
        List remotes = url ? [[url: url, credentialsId: settings.value('sourceCredentialsId')]] : steps.scm.userRemoteConfigs
        return [$class: 'GitSCM', branches: [[name: revision]], userRemoteConfigs: remotes]
    }

    /** The name of what is this call's own: another call of the same build, perhaps beside this one, has another. */
    protected String own(String name) {
        return name + number
    }

    /** A file that this call archives. */
    protected String archived(String name, String suffix) {
        return "${own(name)}.${suffix}".toString()
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

    /** A stage, and its line in the record, which a stage that goes on in another pod has in common. */
    void stage(String name, Closure body) {
        Map<String, Object> entry = stages.find { Map<String, Object> each -> each.name == name }
        if (entry == null) {
            entry = [name: name, began: now(), agents: []]
            stages.add(entry)
        }
        entry.outcome = 'stopped'
        entry.ended = ''
        current = entry
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
        if (current.name) {
            List<String> agents = current.agents
            agents.add(steps.env.NODE_NAME)
        }
    }

    /**
     * Runs the body. However it ends, what it began is undone, the record is kept, and
     * the last lines say what happened, why, what is true now and what to do.
     */
    void record(Closure body) {
        int calls = (steps.env.SLIPWAY_CALLS ?: '0').toInteger() + 1
        steps.env.SLIPWAY_CALLS = calls.toString()
        number = calls == 1 ? '' : "-${calls}".toString()
        note('app', settings.value('app'))
        note('namespace', settings.value('namespace'))
        note('deployment', settings.value('deployment'))
        note('build', run())
        note('began', now())
        List<String> missing = settings.warnings()
        if (!missing.isEmpty()) {
            steps.echo(missing.join('\n'))
        }
        Throwable problem = null
        try {
            body()
        } catch (Throwable caught) {
            problem = caught
        }
        if (problem != null) {
            failure = problem
            takeBack()
        }
        String why = problem == null ? '' : because(problem)
        Throwable late = null
        if (keptAs != outcome(problem)) {
            close(problem)
            late = keep()
        }
        if (problem == null) {
            steps.echo(words("slipway: ${title()} is done", '', []))
            if (late != null) {
                throw late
            }
            return
        }
        String text = words("slipway: ${title()} ${verdict(problem)}", why, advice(problem))
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

    /** One line for people. Of a stop Jenkins tells a library nothing; what is not known here stands in the lines above. */
    protected String because(Throwable problem) {
        if (stopped(problem)) {
            String where = current.name ?: 'the beginning'
            return stopCause ?: "stopped in ${where}: the lines above say by what".toString()
        }
        return Text.visible(problem.message ?: problem.toString())
    }

    /** 'production run 87 of fastapi-app' */
    protected String title() {
        return "run ${steps.env.BUILD_NUMBER} of ${settings.value('app')}".toString()
    }

    /** How a run that was not to its end is called. */
    protected String verdict(Throwable problem) {
        return stopped(problem) ? 'was stopped' : 'failed'
    }

    /** Undoes what was begun, where the stages have not done so themselves. */
    protected void takeBack() {
        // Nothing, unless a pipeline has something.
    }

    /** What is true now, in one line. */
    protected String state() {
        return ''
    }

    /** What to do next, a line each. */
    protected List<String> advice(Throwable failure) {
        return helpers.hint ? [helpers.hint] : stopped(failure) ? ['run the pipeline again'] : []
    }

    protected String words(String first, String why, List<String> next) {
        String text = first
        if (why) {
            text += "\n  why    ${why}"
        }
        if (facts.now) {
            text += "\n  now    ${Text.visible(facts.now)}"
        }
        next.each { String line -> text += "\n  next   ${Text.visible(line)}" }
        return text
    }

    /** The record, as docs/slipway-record.schema.json describes it. */
    protected Map<String, Object> contents() {
        return [version: 1] + facts + [approvals: approvals, stages: stages]
    }

    protected String outcome(Throwable problem) {
        return problem == null ? 'done' : stopped(problem) ? 'stopped' : 'failed'
    }

    protected void close(Throwable problem) {
        note('outcome', outcome(problem))
        note('why', problem == null ? '' : because(problem))
        note('now', state())
        note('ended', now())
    }

    /**
     * Archives the record from the agent at hand, when all is done or undone: one of its own
     * takes seconds. What does not work here is tried there.
     */
    protected void keepHere(Throwable problem = null) {
        if (problem == null) {
            current.outcome = 'done'
            current.ended = now()
        }
        close(problem)
        String json = tell()
        try {
            archive(json)
            keptAs = outcome(problem)
        } catch (Throwable lost) {
            if (stopped(lost)) {
                throw lost
            }
            steps.echo("the record could not be archived from here: ${lost.message}")
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
            recordPod(minutes) { archive(json) }
        } catch (Throwable problem) {
            steps.echo("the record could not be archived, and stands above: ${problem.message ?: 'stopped'}")
            boolean ranOut = System.currentTimeMillis() - began >= minutes * 60000
            return stopped(problem) && !ranOut ? problem : null
        }
        return null
    }

    /** Where nothing is delivered, the cloud that delivers is not asked for a pod: the job may not be allowed to. */
    protected void recordPod(int minutes, Closure body) {
        if (changesSomething()) {
            helpers.inPodAgain('record', minutes, body)
        } else {
            helpers.inBuildPodAgain('record', minutes, body)
        }
    }

    protected String tell() {
        String json = JsonOutput.toJson(contents())
        steps.echo("slipway-record: ${json}")
        return json
    }

    protected void archive(String json) {
        String file = archived('slipway-record', 'json')
        steps.writeFile(file: file, text: JsonOutput.prettyPrint(json))
        List<String> files = [file, archived('slipway-release', 'html'), archived('slipway-release', 'css')]
        steps.archiveArtifacts(artifacts: files.join(','))
    }

    /**
     * What the last command of a run writes the page of the release from: the record as it is when that command is done. So the
     * page takes no command of its own. A record that is too long for a variable has no page.
     */
    protected Map<String, String> page(Throwable problem = null) {
        Object outcome = current.outcome
        Object ended = current.ended
        current.outcome = problem == null ? 'done' : outcome
        current.ended = now()
        close(problem)
        String json = JsonOutput.toJson(contents())
        current.outcome = outcome // the command may fail
        current.ended = ended
        return json.length() > 60000 ? [:] : [SLIPWAY_PAGE: archived('slipway-release', 'html'), SLIPWAY_PAGE_OF: json]
    }

    /** Where the page is, behind the description of a build. */
    protected String pageLink() {
        String build = steps.env.BUILD_URL
        return build ? "; ${build}artifact/${archived('slipway-release', 'html')}".toString() : ''
    }

    /** The plan of the migrations that are pending. */
    protected Map<String, Object> migrationPlan(Map<String, String> permission = [:]) {
        Map<String, Object> plan = helpers.good('migration plan', askDatabase('migration plan', permission, Commands.PLAN, 20))
        noteMigration(plan)
        return plan
    }

    /**
     * Asks about the migrations, with the database's login. A service that has none, and never had, has no database
     * and needs no login; one that lost them is refused.
     */
    protected Map<String, Object> askDatabase(String label, Map<String, String> more, String command, int minutes) {
        String folder = settings.value('migrationsDir')
        Map<String, String> variables = [SLIPWAY_MIGRATIONS: folder, OPTIONAL: "${!settings.isGiven('migrationsDir')}".toString(),
                                         IMAGE: ''] + more
        boolean there = false
        if (folder) {
            helpers.again { there = steps.fileExists(folder) }
        }
        Map<String, Object> answer = [:]
        if (there || folder && settings.isGiven('migrationsDir')) {
            helpers.withDatabase { answer = helpers.ask(label, variables, command, minutes) }
        } else {
            answer = helpers.ask(label, variables, command, minutes)
        }
        return answer
    }

    protected void noteMigration(Map<String, Object> answer) {
        note('migration', [planId: answer.planId, pending: answer.pending, breaking: answer.breaking != '', current: answer.current,
                           applied: answer.applied ? answer.applied.tokenize(' ') : [], skipped: answer.skipped ?: '',
                           plan: answer.pending ? answer.plan ?: '' : ''])
    }

    protected Map<String, Object> noMigration(String why) {
        note('migration', [planId: '', pending: 0, breaking: false, current: '', applied: [], skipped: why])
        return [pending: 0, plan: why, planId: '', breaking: '']
    }

    /** Applies exactly the plan of this id; permission is what a site's policy and the approvals are known by. */
    protected void applyPlan(String planId, String commit, Map<String, String> permission = [:]) {
        helpers.withDatabase {
            Map<String, String> variables = [SLIPWAY_MIGRATIONS: settings.value('migrationsDir'), SLIPWAY_PLAN_ID: planId,
                                             GIT_COMMIT: commit, LONGEST: settings.value('migrationTimeout')] + permission
            migrating = true
            Map<String, Object> done = helpers.ask('migration', variables, Commands.APPLY, settings.minutes('migrationTimeout') + 1)
            migrating = done.exit == -1
            helpers.good('migration', done)
            facts.migration.applied = done.applied ? done.applied.tokenize(' ') : []
            facts.migration.current = done.current
            steps.echo("applied ${done.applied}: the database is at ${done.current}")
        }
    }

    protected String database() {
        if (migrating) {
            return 'the migration was interrupted: slipway migrate-diff status says what is applied'
        }
        Map<String, Object> migration = facts.migration
        if (migration == null) {
            return 'the database was not looked at'
        }
        return migration.skipped ? 'no migration was made' : "database at ${migration.current ?: 'nothing'}".toString()
    }
}
