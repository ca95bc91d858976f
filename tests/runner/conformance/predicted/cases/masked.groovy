// What the console masks of a credential, in which form and where; a folder's credential, one of the site, one of another folder.
@Library('conformance') _
node {
    withCredentials([string(credentialsId: 'folder-token', variable: 'TOKEN'), usernamePassword(credentialsId: 'the-login', usernameVariable: 'NAME', passwordVariable: 'PASS')]) {
        sh 'set +x; echo "plain $TOKEN and $PASS of $NAME"; printf %s "$TOKEN" | base64; printf "%s\\n" "a$TOKEN" | base64 | head -c 8; echo; echo "$TOKEN" | rev; echo "${TOKEN%er}"'
        sh 'true "$TOKEN"'
        withCredentials([usernameColonPassword(credentialsId: 'the-login', variable: 'BOTH')]) { sh 'set +x; echo "both $BOTH"' }
        echo "in echo: ${env.TOKEN}"
        try { error "in an error: ${env.TOKEN}" } catch (Exception caught) { seen caught.message.length() }
        withEnv(["COPY=${env.TOKEN}"]) { sh 'set +x; echo "copy $COPY"' }
    }
    try { withCredentials([string(credentialsId: 'other-token', variable: 'T')]) { seen 'never' } } catch (Exception caught) { seen "${caught.class.simpleName} ${caught.message}" }
    try { withCredentials([string(credentialsId: 'the-login', variable: 'T')]) { seen 'never' } } catch (Exception caught) { seen caught.class.simpleName }
    seen env.TOKEN
}
