package slipway

import com.cloudbees.groovy.cps.NonCPS

/** The parameters of a call: call, then the pipeline's own site value, then the site's, then default. All that is wrong is told at once. */
class Settings implements Serializable {
    private static final long serialVersionUID = 1L

    private static final int MOST_MINUTES = 10080

    private final Script steps
    private final String step
    private final Map<String, Object> given

    Settings(Script steps, String step, Map<String, Object> given) {
        this.steps = steps
        this.step = step
        this.given = named(given)
    }

    /** The arguments by their names as texts: a GString is another key of a map than the same String. */
    @NonCPS
    private static Map<String, Object> named(Map<?, Object> given) {
        Map<String, Object> arguments = [:]
        Map<?, Object> all = given ?: [:]
        for (Map.Entry<?, Object> each in all.entrySet()) {
            arguments[String.valueOf(each.key)] = each.value
        }
        return arguments
    }

    /** Every parameter, the same for both pipelines: its kind, and its default; what depends on others is in derived. */
    static Map<String, List<String>> parameters(String step) {
        boolean production = step == 'prodCanaryPipeline'
        return [
            app: ['name', ''],
            image: ['repository', ''],
            registry: ['registry', '10.10.70.84:30051'],
            registryCredentialsId: ['text', 'a4116a00-2da0-4947-9dcc-86ba51217d6d'],
            quarantine: ['registry', ''],
            quarantineCredentialsId: ['text', ''],
            registryCa: ['name', ''],
            plainHttp: ['flag', 'false'],
            dbCredentialsId: ['text', production ? 'PROD_DB_CRED' : 'STAGING_DB_CRED'],
            dbHost: ['host', ''],
            dbName: ['text', 'mydb'],
            dbSslMode: ['sslMode', 'require'],
            namespace: ['name', production ? 'prod' : 'staging'],
            deployment: ['name', ''],
            container: ['name', ''],
            migrationsDir: ['path', 'migrations'],
            allowOutOfOrder: ['flag', 'false'],
            allowGaps: ['flag', 'false'],
            migrationTimeout: ['duration', '50m'],
            allowBreaking: ['flag', production ? 'false' : 'true'],
            agentImage: ['image', ''],
            cloud: ['text', 'kubernetes'],
            buildCloud: ['text', ''],
            serviceAccount: ['name', 'slipway'],
            canaryDeployment: ['name', ''],
            replicas: ['number', '2'],
            canaryWeight: ['percent', '10'],
            canaryMaxExtra: ['number', '5'],
            canaryExpires: ['duration', ''],
            router: ['router', 'service'],
            service: ['name', ''],
            route: ['name', ''],
            tolerance: ['decimal', ''],
            minStable: ['count', ''],
            prometheusUrl: ['url', ''],
            analysisDuration: ['duration', '5m'],
            analysisInterval: ['duration', '30s'],
            analysisMinRequests: ['number', '500'],
            metric: ['metric', ''],
            errors: ['text', ''],
            histogram: ['metric', ''],
            selector: ['text', ''],
            hold: ['duration', '60s'],
            approvers: ['text', ''],
            approvalTimeout: ['number', '30'],
            imageTag: ['tag', ''],
            branch: ['text', 'Staging'],
            sourceUrl: ['remote', ''],
            sourceCredentialsId: ['text', ''],
            tag: ['tag', ''],
            tagPattern: ['text', ''],
            tagDepth: ['number', ''],
            severity: ['severity', 'HIGH,CRITICAL'],
            signingCredentialsId: ['text', ''],
            signingPasswordCredentialsId: ['text', ''],
            tests: ['path', 'tests/app'],
            builder: ['builder', 'kaniko'],
            baseImages: ['images', ''],
            packageIndex: ['url', ''],
            smokePath: ['urlPath', '/version'],
        ]
    }

    /** What a value of a kind looks like, and how that is said. */
    private static List<String> kind(String name) {
        Map<String, List<String>> kinds = [
            name: ['[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?', 'a name that Kubernetes allows: small letters, digits and -, at most 50'],
            repository: ['[a-z0-9]+(([.]|_{1,2}|-+|/)[a-z0-9]+)*', 'a repository in a registry, such as team/service'],
            registry: ['[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[1-9][0-9]{0,4})?(/[a-z0-9]+(([.]|_{1,2}|-+|/)[a-z0-9]+)*)?',
                       'HOST, HOST:PORT or HOST:PORT/PATH, without a scheme'],
            image: ['[^@\\s:/]+(:[0-9]+)?(/[^@\\s:]+)*(:[\\w.-]+)?(@sha256:[0-9a-f]{64})?', 'an image, such as HOST/slipway-agent:v1'],
            text: ['[^\\s\\p{Cc}]([^\\p{Cc}]*[^\\s\\p{Cc}])?', 'a text: one line that neither begins nor ends with whitespace'],
            host: ['[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?', 'the name of a host'],
            sslMode: ['disable|allow|prefer|require|verify-ca|verify-full',
                      'one of disable, allow, prefer, require, verify-ca, verify-full'],
            path: ['(?!-)(?!(.*/)?[.][.](/|$))[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*', 'a folder inside the repository'],
            urlPath: ['/[^\\s\\p{Cc}]*', 'a path that begins with /'],
            flag: ['true|false', 'true or false'],
            percent: ['[1-9][0-9]?', 'a whole number from 1 to 99'],
            number: ['[1-9][0-9]{0,5}', 'a whole number from 1 on'],
            count: ['[0-9]{1,6}', 'a whole number from 0 on'],
            decimal: ['[0-9]{1,6}(\\.[0-9]{1,6})?', 'a number, such as 2 or 0.5'],
            metric: ['[a-zA-Z_:][a-zA-Z0-9_:]*', 'the name of a metric'],
            duration: ['([0-9]+(\\.[0-9]+)?(s|m|h))+', 'a duration, such as 90s, 5m or 1h30m'],
            builder: ['kaniko|buildah', 'one of kaniko, buildah'],
            router: ['service|gateway|ingress-nginx|traefik|istio', 'one of service, gateway, ingress-nginx, traefik, istio'],
            url: ['https?://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:]+\\])(:[0-9]{1,5})?([/?#][^\\s\\p{Cc}]*)?',
                   'a URL that begins with http:// or https://, without a login'],
            remote: ['(?!-)(?![a-z]+://[^/@]*:)[A-Za-z0-9@./:+_~-]+', 'the URL of a Git repository, without a password'],
            tag: ['[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}', 'a tag'],
            severity: ['(UNKNOWN|LOW|MEDIUM|HIGH|CRITICAL)(,(UNKNOWN|LOW|MEDIUM|HIGH|CRITICAL))*',
                       'a list of UNKNOWN, LOW, MEDIUM, HIGH, CRITICAL'],
            images: ['[A-Za-z0-9._:/-]+=[A-Za-z0-9._:/-]+(,[A-Za-z0-9._:/-]+=[A-Za-z0-9._:/-]+)*',
                     'a list such as docker.io=nexus.example:8083'],
        ]
        return kinds[name]
    }

    /** Refuses, in one error, every mistake of the call and of the site. */
    void check() {
        List<String> mistakes = []
        Map<String, List<String>> known = parameters(step)
        List<String> names = known.keySet() as List
        given.each { String name, Object value ->
            if (!known.containsKey(name)) {
                String meant = nearest(name, names)
                mistakes.add("there is no parameter '${Text.visible(name)}'${meant == null ? '' : ", did you mean '${meant}'?"}".toString())
            } else if (value == null) {
                mistakes.add("the parameter '${name}' is null".toString())
            } else if (!isPlain(name)) {
                mistakes.add("the parameter '${name}' is neither a text nor a number nor true or false".toString())
            }
        }
        names.each { String name ->
            String text = isGiven(name) ? given[name].toString() : site(name)
            List<String> expected = kind(known[name][0])
            if (isGiven(name) && !text && name != 'migrationsDir' && (known[name][1] || derived(name))) {
                mistakes.add("the parameter '${name}' is empty: leave it out for its default".toString())
            }
            if (known[name][0] == 'duration' && text ==~ expected[0] && (inMinutes(text) < 1 || inMinutes(text) > MOST_MINUTES)) {
                mistakes.add("${name} '${text}' is not a duration of more than 0s and at most 168h".toString())
            }
            if (text && isPlain(name) && !(text ==~ expected[0])) {
                String whose = isGiven(name) ? '' : " (the site's ${variable(name)})"
                mistakes.add("${name} '${withoutLogin(Text.visible(text))}'${whose} is not ${expected[1]}".toString())
            }
        }
        if (value('quarantine') && !value('quarantineCredentialsId')) {
            mistakes.add('quarantine has no login: set quarantineCredentialsId')
        }
        if (!value('app')) {
            mistakes.add("the parameter 'app' is missing")
        }
        if (!mistakes.isEmpty()) {
            steps.error("${step} cannot start:\n  ${mistakes.join('\n  ')}\nThe parameters are those of docs/pipelines.md.")
        }
    }

    /** What is refused because a login stands in it is not shown with it. */
    @NonCPS
    private static String withoutLogin(String text) {
        return text.replaceAll('://.*@', '://***@')
    }

    /** Whether the call itself names the parameter. */
    boolean isGiven(String name) {
        return given[name] != null
    }

    private boolean isPlain(String name) {
        Object value = given[name]
        return value == null || value instanceof CharSequence || value instanceof Number || value instanceof Boolean
    }

    private String site(String name) {
        return steps.env."${variable(name)}" ?: ''
    }

    /** The variable of the site that counts: this pipeline's own, where it is set, else the one of both pipelines. */
    private String variable(String name) {
        String own = (step == 'prodCanaryPipeline' ? 'SLIPWAY_PRODUCTION_' : 'SLIPWAY_STAGING_') + inCapitals(name)
        return steps.env."${own}" ? own : siteName(name)
    }

    /** What the site has not set up, by its names. The run goes on as if all were one. */
    List<String> warnings() {
        List<String> missing = []
        if (step == 'stagingPipeline' && value('buildCloud') == value('cloud')) {
            missing.add('WARNING: buildCloud is not set: the code of the repository is built and tested in the cloud that delivers, ' +
                value('cloud') + ' (deprecated, works until 2027-06-30)')
        }
        if (!isGiven('serviceAccount') && !site('serviceAccount')) {
            missing.add('WARNING: serviceAccount is not set: every pipeline delivers as the ServiceAccount ' + value('serviceAccount') +
                ' (deprecated, works until 2027-06-30)')
        }
        return missing
    }

    /** The value of a parameter, or an empty text. */
    String value(String name) {
        if (isGiven(name)) {
            return given[name].toString()
        }
        return site(name) ?: parameters(step)[name]?.get(1) ?: derived(name)
    }

    /** What the site says, whatever the call does. */
    String ofSite(String name) {
        return site(name) ?: parameters(step)[name][1]
    }

    /** A duration in whole minutes, rounded up. */
    int minutes(String name) {
        return inMinutes(value(name))
    }

    @NonCPS
    static int inMinutes(String duration) {
        double minutes = 0
        String number = ''
        for (int i = 0; i < duration.length(); i++) {
            String each = duration.substring(i, i + 1)
            if (each ==~ /[0-9.]/) {
                number += each
            } else {
                minutes += number.toDouble() * (each == 'h' ? 60 : each == 'm' ? 1 : 1 / 60)
                number = ''
            }
        }
        return (int) Math.ceil(minutes)
    }

    private String derived(String name) {
        switch (name) {
            case 'image': return value('app')
            case 'deployment': return value('app')
            case 'canaryDeployment': return value('deployment') + '-canary'
            case 'dbHost': return "postgres-0.postgres.${value('namespace')}.svc.cluster.local".toString()
            case 'tag': return "latest-${steps.env.BUILD_NUMBER}".toString()
            case 'buildCloud': return value('cloud')
            case 'agentImage': return value('registry') + '/slipway-agent:v1'
            case 'canaryExpires': return canaryExpires()
            default: return ''
        }
    }

    /** Longer than the approval may take, or the reaper would take the canary from under it: each phase begins it anew. */
    private String canaryExpires() {
        String minutes = value('approvalTimeout')
        return minutes.isInteger() ? "${minutes.toInteger() + 30}m".toString() : ''
    }

    /** Those for the helpers that have a default of their own, by the names that they read in the environment. */
    Map<String, String> options() {
        Map<String, String> options = [:]
        for (String name in ['container', 'service', 'route', 'tolerance', 'minStable', 'metric', 'errors', 'histogram', 'selector',
                             'tagPattern', 'tagDepth']) {
            if (value(name)) {
                options[siteName(name)] = value(name)
            }
        }
        return options
    }

    /** registryCa is SLIPWAY_REGISTRY_CA in the site's environment. */
    @NonCPS
    static String siteName(String name) {
        return 'SLIPWAY_' + inCapitals(name)
    }

    @NonCPS
    private static String inCapitals(String name) {
        return name.replaceAll('([A-Z])', '_$1').toUpperCase()
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
