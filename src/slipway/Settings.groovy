package slipway

/** The parameters of a call: call, then site, then default. All that is wrong is told at once. */
class Settings implements Serializable {
    private static final long serialVersionUID = 1L

    private final Script steps
    private final String step
    private final Map<String, Object> given

    Settings(Script steps, String step, Map<String, Object> given) {
        this.steps = steps
        this.step = step
        this.given = given
    }

    /** Names of all parameters, and their defaults as text; null is none. */
    static Map<String, String> defaults(String step) {
        boolean production = step == 'prodCanaryPipeline'
        return [
            app: null,
            image: null,
            registry: '10.10.70.84:30051',
            registryCredentialsId: 'a4116a00-2da0-4947-9dcc-86ba51217d6d',
            dbCredentialsId: production ? 'PROD_DB_CRED' : 'STAGING_DB_CRED',
            dbHost: null,
            dbName: 'mydb',
            dbSslMode: 'require',
            namespace: production ? 'prod' : 'staging',
            deployment: null,
            canaryDeployment: null,
            branch: 'Staging',
            tag: null,
            severity: 'HIGH,CRITICAL',
            tests: 'tests/app',
            migrationsDir: 'migrations',
            canaryWeight: '10',
            canaryExpires: '2h',
            router: 'service',
            prometheusUrl: '',
            analysisDuration: '5m',
            analysisInterval: '30s',
            analysisMinRequests: '500',
            hold: '60s',
            approvers: '',
            approvalTimeout: '30',
            baseImages: '',
            packageIndex: '',
            registryCa: '',
            plainHttp: 'false',
            imageTag: '',
            smokePath: '/version',
            agentImage: '',
            cloud: 'kubernetes',
        ]
    }

    /** Refuses, in one error, every mistake of the call. */
    void check() {
        List<String> mistakes = []
        List<String> known = []
        Map<String, String> initial = defaults(step)
        for (String name in (initial.keySet() as List)) {
            known.add(name)
        }
        for (String name in (given.keySet() as List)) {
            if (!known.contains(name)) {
                String meant = nearest(name, known)
                mistakes.add("there is no parameter '${name}'${meant == null ? '' : ", did you mean '${meant}'?"}".toString())
            } else if (!(given[name] instanceof CharSequence) && !(given[name] instanceof Number) && !(given[name] instanceof Boolean)) {
                mistakes.add("the parameter '${name}' is neither text nor a number".toString())
            }
        }
        if (!value('app')) {
            mistakes.add("the parameter 'app' is missing")
        } else if (!(value('app') ==~ /[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?/)) {
            mistakes.add("app '${value('app')}' is no name that Kubernetes allows".toString())
        }
        if (!(value('canaryWeight') ==~ /[1-9][0-9]?/)) {
            mistakes.add("canaryWeight '${value('canaryWeight')}' is no whole number from 1 to 99".toString())
        }
        if (!(value('approvalTimeout') ==~ /[1-9][0-9]*/)) {
            mistakes.add("approvalTimeout '${value('approvalTimeout')}' is no number of minutes".toString())
        }
        if (!(value('router') in ['service', 'gateway'])) {
            mistakes.add("router '${value('router')}' is none of service, gateway".toString())
        }
        if (value('imageTag') && !(value('imageTag') ==~ /[A-Za-z0-9_][A-Za-z0-9_.-]*/)) {
            mistakes.add("imageTag '${value('imageTag')}' is no tag".toString())
        }
        if (!mistakes.isEmpty()) {
            steps.error("${step} cannot start:\n  ${mistakes.join('\n  ')}\nSee the parameters in docs/pipelines.md.")
        }
    }

    /** The value of a parameter, or an empty text. */
    String value(String name) {
        if (given[name] != null) {
            return given[name].toString()
        }
        String site = steps.env."${siteName(name)}"
        if (site) {
            return site
        }
        return defaults(step)[name] ?: derived(name)
    }

    private String derived(String name) {
        switch (name) {
            case 'image': return value('app')
            case 'deployment': return value('app')
            case 'canaryDeployment': return value('deployment') + '-canary'
            case 'dbHost': return "postgres-0.postgres.${value('namespace')}.svc.cluster.local".toString()
            case 'tag': return "latest-${steps.env.BUILD_NUMBER}".toString()
            case 'agentImage': return value('registry') + '/slipway-agent:v1'
            default: return ''
        }
    }

    /** registryCa is SLIPWAY_REGISTRY_CA in the site's environment. */
    @NonCPS
    static String siteName(String name) {
        return 'SLIPWAY_' + name.replaceAll('([A-Z])', '_$1').toUpperCase()
    }

    /** The known name that needs the fewest changes, if they are few. */
    @NonCPS
    static String nearest(String name, List<String> known) {
        String best = null
        int least = 4
        for (String candidate in known) {
            int distance = changes(name.toLowerCase(), candidate.toLowerCase())
            if (distance < least) {
                least = distance
                best = candidate
            }
        }
        return best
    }

    @NonCPS
    private static int changes(String a, String b) {
        List<Integer> row = []
        for (int j = 0; j <= b.length(); j++) {
            row.add(j)
        }
        for (int i = 1; i <= a.length(); i++) {
            List<Integer> next = [i]
            for (int j = 1; j <= b.length(); j++) {
                int replaced = row[j - 1] + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1)
                int shorter = row[j] + 1 < next[j - 1] + 1 ? row[j] + 1 : next[j - 1] + 1
                next.add(replaced < shorter ? replaced : shorter)
            }
            row = next
        }
        return row[b.length()]
    }
}
