package slipway

/** Runs helpers: one sh each, which gives back the result and the error in one answer. */
class Helpers implements Serializable {
    private static final long serialVersionUID = 1L

    private final Script steps
    private final Settings settings

    Helpers(Script steps, Settings settings) {
        this.steps = steps
        this.settings = settings
    }

    /**
     * Runs the command in the container that has the cluster's account, with these
     * variables. A refusal ends the pipeline in the helper's own words.
     */
    Map<String, String> run(String label, Map<String, String> variables, String command) {
        Map<String, String> answer = ask(label, variables, command)
        if (answer.EXIT != '0') {
            steps.error(sentence(label, answer))
        }
        return answer
    }

    /** The same, but a refusal is an answer: EXIT is the exit code. */
    Map<String, String> ask(String label, Map<String, String> variables, String command) {
        List<String> environment = ['SLIPWAY_OUTPUT=env']
        for (String name in (variables.keySet() as List)) {
            environment.add(name + '=' + variables[name])
        }
        String out = ''
        steps.withEnv(environment) {
            steps.container('helpers') {
                steps.timeout(time: 20, unit: 'MINUTES') {
                    out = steps.sh(label: label, returnStdout: true, script: 'set +xe\n' + command + '\necho "EXIT=$?"')
                }
            }
        }
        return parse(out)
    }

    /** What a person reads: what happened, why, what to do. */
    static String sentence(String label, Map<String, String> answer) {
        String text = "${label}: ${answer.ERROR_MESSAGE ?: "it ended with exit code ${answer.EXIT}"}"
        if (answer.ERROR_WHY) {
            text += "\n  why    ${answer.ERROR_WHY}"
        }
        if (answer.ERROR_HINT) {
            text += "\n  next   ${answer.ERROR_HINT}"
        }
        return text
    }

    @NonCPS
    static Map<String, String> parse(String text) {
        Map<String, String> answer = [:]
        for (String line in text.split('\n')) {
            int equals = line.indexOf('=')
            if (equals > 0) {
                answer[line.substring(0, equals)] = line.substring(equals + 1)
            }
        }
        return answer
    }

    /** The registry's login, for the commands inside. */
    void withRegistry(Closure body) {
        steps.withCredentials([steps.usernamePassword(credentialsId: settings.value('registryCredentialsId'), usernameVariable: 'REGISTRY_USERNAME', passwordVariable: 'REGISTRY_PASSWORD')]) {
            steps.withEnv(registry()) { body() }
        }
    }

    private List<String> registry() {
        List<String> environment = ["SLIPWAY_PLAIN_HTTP=${settings.value('plainHttp')}".toString()]
        if (settings.value('registryCa')) {
            environment.add('SLIPWAY_REGISTRY_CA=/etc/slipway/ca/ca.crt')
        }
        return environment
    }

    /** The database's address and login, for the commands inside. */
    void withDatabase(Closure body) {
        steps.withCredentials([steps.usernamePassword(credentialsId: settings.value('dbCredentialsId'), usernameVariable: 'PGUSER', passwordVariable: 'PGPASSWORD')]) {
            steps.withEnv([
                "PGHOST=${settings.value('dbHost')}".toString(),
                "PGDATABASE=${settings.value('dbName')}".toString(),
                "PGSSLMODE=${settings.value('dbSslMode')}".toString(),
                "SLIPWAY_MIGRATIONS=${settings.value('migrationsDir')}".toString(),
            ]) { body() }
        }
    }

    /** Runs the body in a new pod of the template, with the time that a phase may take. */
    void inPod(String template, int minutes, Closure body) {
        String yaml = steps.libraryResource("slipway/${template}.yaml")
            .replace('AGENT_IMAGE', settings.value('agentImage'))
            .replace('REGISTRY_CA', settings.value('registryCa') ?: 'none')
        steps.podTemplate(cloud: settings.value('cloud'), yaml: yaml, slaveConnectTimeout: 90) {
            steps.timeout(time: minutes, unit: 'MINUTES') {
                steps.node(steps.POD_LABEL) { body() }
            }
        }
    }
}
