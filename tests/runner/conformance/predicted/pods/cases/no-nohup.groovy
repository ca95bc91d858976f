// An image without nohup: durable-task starts every sh with it, so the shell never begins.
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
        container('tool') {
            sh 'set +x; for each in $(which -a nohup); do rm -f "$each"; done'
            try { sh 'echo never' } catch (Exception caught) { seen "${caught.class.simpleName} ${caught.message}" }
            seen sh(returnStatus: true, script: 'echo never')
        }
        sh 'set +x; echo the agent has it'
    }
}
seen 'end'
