// Where there is no nohup no sh begins: durable-task starts each with it. Here a PATH without it stands for such an image.
@Library('conformance') _
node {
    sh 'set +x; mkdir -p bin; for each in sh mkdir head wc chmod cp touch sleep mv tail cat rm; do ln -sf "$(command -v $each)" bin/$each; done'
    withEnv(["PATH=${pwd()}/bin"]) {
        try { sh 'echo never' } catch (Exception caught) { seen "${caught.class.simpleName} ${caught.message}" }
    }
    seen sh(returnStdout: true, script: 'echo as before').trim()
}
