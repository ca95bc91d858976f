// Big and odd texts on their way through withEnv, sh, a file and an approval.
// play: until "=> asks" ; input odd proceed text=ax20b
@Library('conformance') _
node {
    String odd = 'tab\there "quoted" \'single\' $HOME `id` \\back ü€😀 %s #{x} ${y}'
    withEnv(["ODD=${odd}", 'EMPTY=', 'EQUALS=a=b=c', 'PATH+MORE=/more']) {
        seen sh(returnStdout: true, script: 'printf %s "$ODD"') == odd
        seen sh(returnStdout: true, script: 'printf %s "${EMPTY-unset} $EQUALS"')
        seen sh(returnStdout: true, script: 'printf %s "$PATH"').startsWith('/more:')
        seen env.ODD == odd
    }
    String big = 'x' * 200000 + '\nlast'
    writeFile file: 'big', text: big
    seen readFile('big') == big
    seen sh(returnStdout: true, script: 'wc -c < big').trim()
    seen sh(returnStatus: true, script: 'set +x; exit 300')
    seen sh(returnStdout: true, script: '#!/bin/sh\necho "with a line of its own: $0"').contains('script.sh')
    try { sh script: 'set +x; echo said; exit 7', returnStdout: true } catch (Exception caught) { seen caught.message }
    try { withEnv(['NOTHING']) { seen 'never' } } catch (Exception caught) { seen caught.class.simpleName }
}
seen 'asks'
seen input(id: 'odd', message: 'a\nb', parameters: [text(name: 'text', defaultValue: 'one\ntwo')])
