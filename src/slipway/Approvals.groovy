package slipway

import com.cloudbees.groovy.cps.NonCPS
import groovy.json.JsonOutput

/** Asks people by the rules that phase compare answered. What counts is decided once more by the program that changes production. */
class Approvals implements Serializable {
    private static final long serialVersionUID = 1L

    /** Those that count, and those that do not, as the record has them. */
    final List<Map<String, Object>> given
    final List<Map<String, Object>> refused = []

    private final Script steps
    private final Settings settings
    private final Helpers helpers
    private final Map<String, String> rules = [:]
    private String window = ''
    private long learned
    private long closesIn
    private long opensIn

    Approvals(Script steps, Settings settings, Helpers helpers, List<Map<String, Object>> given) {
        this.steps = steps
        this.settings = settings
        this.helpers = helpers
        this.given = given
    }

    /** What phase compare answered. */
    void learn(Map<String, Object> now) {
        for (String what in ['migration', 'promotion', 'override']) {
            rules[what] = now["${what}Rule".toString()] ?: ''
        }
        window = now.window ?: ''
        closesIn = now.closesIn ?: 0L
        opensIn = now.opensIn ?: 0L
        learned = steps.currentBuild.duration
    }

    /** The rule as phase compare answered it, for the program that decides. */
    String rule(String what) {
        return rules[what] ?: ''
    }

    /** The users whose answers count. */
    List<String> by(String what) {
        List<String> users = []
        for (Map<String, Object> each in given) {
            if (each.what == what) {
                users.add(each.by)
            }
        }
        return users
    }

    /** Those that were given, for the environment of a command: of a comment as much as shows that there is one. */
    String json() {
        List<Map<String, Object>> briefly = []
        for (Map<String, Object> each in given) {
            String comment = each.comment
            briefly.add(each + [comment: comment.take(100)])
        }
        return JsonOutput.toJson([approvals: briefly])
    }

    /** Who may approve, for people. */
    String who(String what) {
        Map<String, Object> rule = Text.answer(rule(what))
        return rule.from || required(rule) > 1 ? rule.who : 'every user who may build'
    }

    private static int required(Map<String, Object> rule) {
        return rule.required == null ? 1 : rule.required
    }

    /** One input after the other, until enough different people have approved. Production is open before each, and after the last. */
    void ask(String what, String button, String message, String text, String hash, String release) {
        Map<String, Object> rule = Text.answer(rule(what))
        while (by(what).size() < required(rule)) {
            whenOpen(release)
            one(what, button, message, text, hash)
        }
        whenOpen(release)
    }

    private void one(String what, String button, String message, String text, String hash) {
        Map<String, Object> rule = Text.answer(rule(what))
        List<String> before = by(what)
        String so = before.isEmpty() ? '' : "approved by ${before.join(', ')}; needs ${required(rule) - before.size()} more\n".toString()
        if (so) {
            steps.echo("${what} ${so}".toString())
        }
        Object answer = steps.input(id: button, message: message, ok: button,
            submitter: rule.exit == -1 && rule.from ? rule.from : '', submitterParameter: 'approver',
            parameters: [steps.string(name: 'comment', defaultValue: '', description: so + text)])
        String user = Text.approver(answer, 'approver')
        String comment = Text.comment(answer, 'comment')
        String why = refusal(rule, user, before, what == 'override' && !comment.trim())
        String seen = Text.visible(user)
        if (why) {
            refused.add([what: what, by: user, at: now(), why: why])
            steps.echo("${what}: ${why}, and approves nothing: ".toString() +
                (user ? 'it is asked for again' : 'log in, and answer on the page of the build'))
            return
        }
        given.add([what: what, by: user, at: now(), hash: hash, comment: comment,
                   'as': rule.members?.get(user.toLowerCase()) ?: rule.others ?: 'may build'])
        int count = before.size() + 1
        steps.echo("${what} approved by ${seen}${required(rule) > 1 ? " (${count} of ${required(rule)})" : ''}".toString())
    }

    /** Why an answer does not count; empty where it does. The same as Gate.Refusal of the helpers decides. */
    @NonCPS
    private static String refusal(Map<String, Object> rule, String user, List<String> before, boolean unreasoned) {
        String id = user.toLowerCase()
        if (!id || id == 'unknown') {
            return 'the answer names no user'
        }
        String seen = Text.visible(user)
        Map<String, String> excluded = rule.excluded ?: [:]
        Map<String, String> known = rule.known ?: [:]
        if (excluded[id]) {
            return "${seen} ${excluded[id]}".toString()
        }
        if (rule.strangers && !known[id]) {
            return "${seen} ${rule.strangers}".toString()
        }
        for (String other in before) {
            if (other.toLowerCase() == id) {
                return "${seen} has approved already".toString()
            }
        }
        return unreasoned ? "${seen} gives no reason as the comment".toString() : ''
    }

    /** Returns when production may be changed: at once, when its window opens, or when somebody who may has opened it. */
    void whenOpen(String release) {
        if (!closed()) {
            return
        }
        Map<String, Object> rule = Text.answer(rule('override'))
        if (rule.required) {
            String message = "Change production of ${settings.value('app')} although its window is closed?"
            String text = "production is ${window}\nThe comment is the reason, and is recorded.\n\n" +
                "${rule.who} may open it\napproved: ${release}"
            steps.echo("${message}\n${text}".toString())
            while (closed()) {
                one('override', 'Override', message, text.toString(), release)
            }
            return
        }
        long left = opensIn - passed()
        if (left > settings.value('approvalTimeout').toInteger() * 60000L) {
            helpers.hint = 'run the pipeline again when it is open'
            steps.error("production is ${window}")
        }
        steps.echo("production is ${window}: this run waits until then")
        steps.sleep(time: left.intdiv(1000) + 1, unit: 'SECONDS')
    }

    private long passed() {
        return steps.currentBuild.duration - learned
    }

    /** Whether production is closed now, and nobody has opened it. */
    boolean closed() {
        Map<String, Object> rule = Text.answer(rule('override'))
        boolean overridden = rule.required && by('override').size() >= rule.required
        return !overridden && opensIn > 0 && passed() >= closesIn && passed() < opensIn
    }

    /** The users who started the run; unknown says what did where Jenkins names no user: https://plugins.jenkins.io/pipeline-build-step/ */
    String starters() {
        return JsonOutput.toJson(startedBy(steps.currentBuild.getBuildCauses()))
    }

    @NonCPS
    private static Map<String, Object> startedBy(Object causes) {
        List<String> ids = []
        String unknown = ''
        for (Object cause in causes) {
            String kind = cause['_class'] ?: ''
            if (cause['userId']) {
                ids.add(cause['userId'].toString())
            } else if (kind.contains('Upstream') || kind.contains('UserIdCause') || kind.contains('RemoteCause')) {
                unknown = cause['shortDescription'] ?: kind
            }
        }
        return [ids: ids, unknown: unknown]
    }

    @NonCPS
    private static String now() {
        Date date = new Date()
        return date.format("yyyy-MM-dd'T'HH:mm:ss'Z'", TimeZone.getTimeZone('UTC'))
    }
}
