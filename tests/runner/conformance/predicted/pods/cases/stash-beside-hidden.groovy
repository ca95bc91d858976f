// A folder that the agent may not read, as a builder that is root leaves one, is not looked into for a file that is named.
@Library('conformance') _
podTemplate(yaml: '''
apiVersion: v1
kind: Pod
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: tool
    image: tool:1
    command: [sleep, infinity]
''') {
    node(POD_LABEL) {
        container('tool') { sh 'set +x; mkdir -m 700 hidden; echo x > hidden/x; echo text > file; id -u' }
        stash(name: 'one', includes: 'file')
        dir('other') {
            unstash('one')
            seen readFile('file').trim()
        }
    }
}
seen 'end'
