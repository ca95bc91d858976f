// Runs job-dsl scripts (from the standard input, separated by a line of four dashes) with
// what job-dsl knows of the blocks that docs/jenkins.yaml uses, and prints what they make:
// one line a value, with the blocks around it. A name at a place where job-dsl has none is an error.
class Block {
    static final Map GIT = [id: String, remote: String, credentialsId: String, traits: [gitBranchDiscovery: [:], gitTagDiscovery: [:],
        headWildcardFilter: [includes: String, excludes: String]]]
    static final Map KNOWN = [
        folder: [
            properties: [
                kubernetes: [permittedClouds: List],
                folderCredentialsProperty: [domainCredentials: [domainCredentials: [
                    domain: [name: String, description: String],
                    credentials: [usernamePassword: [scope: String, id: String, description: String, username: String, password: String]],
                ]]],
                folderLibraries: [libraries: [libraryConfiguration: [
                    name: String, defaultVersion: String, implicit: Boolean, allowVersionOverride: Boolean,
                    retriever: [modernSCM: [scm: [git: GIT]]],
                ]]],
            ],
        ],
        pipelineJob: [definition: [cps: [script: String, sandbox: Boolean]]],
        multibranchPipelineJob: [
            branchSources: [branchSource: [
                source: [git: GIT],
                strategy: [allBranchesSame: [props: [suppressAutomaticTriggering: [triggeredBranchesRegex: String]]]],
            ]],
            factory: [workflowBranchProjectFactory: [scriptPath: String]],
            orphanedItemStrategy: [discardOldItems: [numToKeep: Integer]],
        ],
    ]
    String path
    Map known

    Object methodMissing(String name, Object given) {
        List arguments = given as List
        if (!known.containsKey(name)) {
            throw new IllegalArgumentException("job-dsl has no ${name} in ${path ?: 'a script'}")
        }
        Object expected = known[name]
        if (expected instanceof Class) {
            if (arguments.size() != 1 || !expected.isInstance(arguments[0])) {
                throw new IllegalArgumentException("${path}/${name} takes one ${expected.simpleName}: ${arguments}")
            }
            println "${path}/${name}=${arguments[0].toString().trim().replaceAll(/\s+/, ' ')}"
            return null
        }
        String inner = "${path}/${name}"
        if (!path) {
            inner = arguments.remove(0)
        }
        Closure body = arguments ? arguments[0] as Closure : { }
        body.delegate = new Block(path: inner, known: expected)
        body.resolveStrategy = Closure.DELEGATE_ONLY
        body()
        return null
    }
}

System.in.text.split('\n----\n').each { String text ->
    Script script = new GroovyShell().parse(text)
    Block top = new Block(path: '', known: Block.KNOWN)
    script.metaClass.methodMissing = { String name, Object arguments -> top.methodMissing(name, arguments) }
    script.run()
}
