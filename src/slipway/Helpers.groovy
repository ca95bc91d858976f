package slipway

import com.cloudbees.groovy.cps.NonCPS

/** Runs helpers: one sh each, which gives back the result and the error in one answer. */
class Helpers implements Serializable {
    private static final long serialVersionUID = 1L

    /** What the last refusal advises; the end of the run tells it. */
    String hint = ''

    private final Script steps
    private final Settings settings

    Helpers(Script steps, Settings settings) {
        this.steps = steps
        this.settings = settings
    }

    /** The same as ask, but a refusal ends the pipeline in the helper's own words. */
    Map<String, Object> run(String label, Map<String, String> variables, String command, int minutes = 20) {
        return good(label, ask(label, variables, command, minutes))
    }

    /** The answer, unless it is a refusal. */
    Map<String, Object> good(String label, Map<String, Object> answer) {
        if (answer.exit != 0) {
            hint = answer.error?.hint ?: ''
            steps.error(sentence(label, answer))
        }
        return answer
    }

    /**
     * Runs the command in the container that has the cluster's account, with these variables,
     * and gives its answer: exit is its exit code, error what it says of a refusal. The command has a bound
     * of its own that is shorter than these minutes, so that it ends first, and answers.
     */
    Map<String, Object> ask(String label, Map<String, String> variables, String command, int minutes = 20) {
        return askIn('helpers', label, variables, command, minutes)
    }

    /** The same in another container that has the helpers. */
    Map<String, Object> askIn(String container, String label, Map<String, String> variables, String command, int minutes) {
        List<String> environment = ['SLIPWAY_ANSWER=true']
        variables.each { String name, String value -> environment.add("${name}=${value}".toString()) }
        String out = ''
        steps.withEnv(environment) {
            steps.container(container) {
                steps.timeout(time: minutes, unit: 'MINUTES') {
                    out = steps.sh(label: label, returnStdout: true, script: 'set +x\n' + command + ' || true')
                }
            }
        }
        return Text.answer(out)
    }

    /** The same once more where the helper was killed: for what may be done twice. */
    Map<String, Object> askTwice(String label, Map<String, String> variables, String command) {
        Map<String, Object> answer = ask(label, variables, command)
        return answer.exit == -1 ? ask(label, variables, command) : answer
    }

    /** What happened and why, in one line. */
    static String sentence(String label, Map<String, Object> answer) {
        Map<String, String> error = answer.error ?: [:]
        String what = error.message ?: 'it ended without an answer, as what is killed does: its own words are above'
        return "${label}: ${what}${error.why ? ": ${error.why}" : ''}".toString()
    }

    /** The registry's login, for the commands inside. */
    void withRegistry(Closure body) {
        withLogin(settings.value('registryCredentialsId'), body)
    }

    /** The login of the repository in which an image crosses from the build to the delivery. */
    void withQuarantine(Closure body) {
        withLogin(settings.value('quarantineCredentialsId'), body)
    }

    private void withLogin(String id, Closure body) {
        List<String> environment = ["SLIPWAY_PLAIN_HTTP=${settings.value('plainHttp')}".toString()]
        if (settings.value('registryCa')) {
            environment.add('SLIPWAY_CA_FILE=/etc/slipway/ca/ca.crt')
        }
        steps.withCredentials([steps.usernamePassword(credentialsId: id,
                                                      usernameVariable: 'REGISTRY_USERNAME', passwordVariable: 'REGISTRY_PASSWORD')]) {
            steps.withEnv(environment) { body() }
        }
    }

    /** The key that signs evidence, and the password that opens it; without a key nothing is signed. */
    void withSigningKey(Closure body) {
        String key = settings.value('signingCredentialsId')
        if (!key) {
            body()
            return
        }
        List<Object> secrets = [steps.string(credentialsId: key, variable: 'COSIGN_PRIVATE_KEY')]
        if (settings.value('signingPasswordCredentialsId')) {
            secrets.add(steps.string(credentialsId: settings.value('signingPasswordCredentialsId'), variable: 'COSIGN_PASSWORD'))
        }
        steps.withCredentials(secrets) {
            steps.withEnv(['SLIPWAY_SIGNING_KEY=env://COSIGN_PRIVATE_KEY']) { body() }
        }
    }

    /** The database's address and login, for the commands inside. */
    void withDatabase(Closure body) {
        steps.withCredentials([steps.usernamePassword(credentialsId: settings.value('dbCredentialsId'),
                                                      usernameVariable: 'PGUSER', passwordVariable: 'PGPASSWORD')]) {
            steps.withEnv([
                "PGHOST=${settings.value('dbHost')}".toString(),
                "PGDATABASE=${settings.value('dbName')}".toString(),
                "PGSSLMODE=${settings.value('dbSslMode')}".toString(),
                "SLIPWAY_ALLOW_OUT_OF_ORDER=${settings.value('allowOutOfOrder')}".toString(),
                "SLIPWAY_ALLOW_GAPS=${settings.value('allowGaps')}".toString(),
                "SLIPWAY_ALLOW_BREAKING=${settings.value('allowBreaking')}".toString(),
            ]) { body() }
        }
    }

    /** Runs the body in a new pod of the template, with the time that a phase may take. A pod that never comes is tried once more. */
    void inPod(String template, int minutes, Closure body) {
        inPodWhile(template, minutes, { false }, body)
    }

    /** The same; a pod that is lost is tried once more as long as repeatable says that the body may be run again. */
    void inPodWhile(String template, int minutes, Closure<Boolean> repeatable, Closure body) {
        boolean over = false
        Throwable failure = null
        inPodAgain(template, minutes) {
            if (over) { // the end of the pod was what failed
                return
            }
            over = !repeatable()
            try {
                body()
                over = true
            } catch (Throwable problem) {
                if (repeatable()) {
                    throw problem
                }
                over = true
                failure = problem
            }
        }
        if (failure != null) {
            throw failure
        }
    }

    /** The same, for what may be done twice: a pod that is lost is tried once more, too. */
    void inPodAgain(String template, int minutes, Closure body) {
        inCloud(settings.value('cloud'), template, minutes, body)
    }

    /** The same in the cloud of the builds, which has no account and no secret. */
    void inBuildPodAgain(String template, int minutes, Closure body) {
        inCloud(settings.value('buildCloud'), template, minutes, body)
    }

    private void inCloud(String cloud, String template, int minutes, Closure body) {
        steps.podTemplate(cloud: cloud, yaml: yaml(template), showRawYaml: false, slaveConnectTimeout: 90) {
            steps.retry(count: 2, conditions: [steps.kubernetesAgent(), steps.nonresumable()]) {
                steps.timeout(time: minutes, unit: 'MINUTES') {
                    steps.node(steps.POD_LABEL) { body() }
                }
            }
        }
    }

    /** For a step that a controller's restart cuts off, and that may be done twice. */
    void again(Closure body) {
        steps.retry(count: 2, conditions: [steps.nonresumable()]) { body() }
    }

    private String yaml(String template) {
        return without(settings.value('builder') == 'kaniko' ? 'buildah' : 'kaniko', steps.libraryResource("slipway/${template}.yaml"))
            .replace('AGENT_IMAGE', settings.value('agentImage'))
            .replace('SERVICE_ACCOUNT', settings.value('serviceAccount'))
            .replace('REGISTRY_CA', settings.value('registryCa') ?: 'none')
    }

    /** The pod without that container. */
    @NonCPS
    private static String without(String container, String yaml) {
        return yaml.replaceAll("(?m)^    - name: ${container}\n(?:      .*\n)+", '')
    }
}
