// A template inherits from the one around it unless it names another one, or none.
@Library('conformance') _
podTemplate(serviceAccount: 'builder', containers: [containerTemplate(name: 'tool', image: 'tool:1', command: 'sleep', args: 'infinity')],
        volumes: [emptyDirVolume(mountPath: '/cache')], envVars: [envVar(key: 'FROM', value: 'outer')], namespace: 'ci') {
    podTemplate(containers: [containerTemplate(name: 'more', image: 'tool:1', command: 'sleep infinity')], envVars: [envVar(key: 'OWN', value: 'inner')]) {
        node(POD_LABEL) {
            container('tool') { seen sh(returnStdout: true, script: 'set +x; echo "$FROM $OWN"; test -d /cache && echo cache').trim().replace('\n', ' ') }
            container('more') { seen sh(returnStdout: true, script: 'set +x; echo "$FROM $OWN"').trim() }
        }
    }
    podTemplate(inheritFrom: '', yaml: '''
spec:
  terminationGracePeriodSeconds: 1
''') {
        node(POD_LABEL) {
            try { container('tool') { sh 'echo never' } } catch (Exception caught) { seen caught.class.simpleName }
            seen sh(returnStdout: true, script: 'set +x; echo "${FROM:-none}"').trim()
        }
    }
    try { podTemplate(containers: [containerTemplate(name: 'No_Name', image: 'tool:1')]) { seen 'never' } } catch (Exception caught) { seen caught.message }
}
