package slipway

/** One run of slipway check, in a pod of the template with which a pipeline delivers. */
class SiteCheck implements Serializable {
    private static final long serialVersionUID = 1L

    private final Script steps
    private final Settings settings
    private final Helpers helpers
    private final String jenkins

    /** jenkins is the id of a credential, a user id and an API token; empty: Jenkins is asked without a login. */
    SiteCheck(Script steps, Settings settings, String jenkins) {
        this.steps = steps
        this.settings = settings
        this.helpers = new Helpers(steps, settings)
        this.jenkins = jenkins
    }

    void run(String template) {
        helpers.inPodAgain(template, 15) {
            helpers.withRegistry {
                helpers.withDatabase {
                    withJenkins { ask() }
                }
            }
        }
    }

    private void ask() {
        Map<String, Object> answer = helpers.run('check', [
            SLIPWAY_APP: settings.value('app'),
            SLIPWAY_NAMESPACE: settings.value('namespace'),
            SLIPWAY_STABLE: settings.value('deployment'),
            SLIPWAY_CANARY: settings.value('canaryDeployment'),
            SLIPWAY_REPOSITORY: "${settings.value('registry')}/${settings.value('image')}".toString(),
            SLIPWAY_QUARANTINE: settings.value('quarantine') ? "${settings.value('quarantine')}/${settings.value('image')}".toString() : '',
            SLIPWAY_AGENT_IMAGE: settings.value('agentImage'),
            PROMETHEUS_URL: settings.value('prometheusUrl'),
            SLIPWAY_METRIC: settings.value('metric'),
            SLIPWAY_ERRORS: settings.value('errors'),
            SLIPWAY_HISTOGRAM: settings.value('histogram'),
            SLIPWAY_SELECTOR: settings.value('selector'),
            INTERVAL: settings.value('analysisInterval'),
        ], Commands.CHECK, 5)
        if (answer.warnings) {
            steps.echo("check: nothing is missing; warnings: ${answer.warnings}".toString())
        }
    }

    private void withJenkins(Closure body) {
        if (!jenkins) {
            body()
            return
        }
        steps.withCredentials([steps.usernamePassword(credentialsId: jenkins,
                                                      usernameVariable: 'JENKINS_USER_ID', passwordVariable: 'JENKINS_API_TOKEN')]) {
            body()
        }
    }
}
