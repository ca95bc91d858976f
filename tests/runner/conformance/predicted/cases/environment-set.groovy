// env: what a program sets, in which blocks it is seen, and in which case of letters.
@Library('conformance') _
env.One = '1'; env.'two-words' = '2'; env.Three = 3; env.Null = null
seen "${env.One} ${env.ONE} ${env.'two-words'} ${env.Three.class.simpleName} '${env.Null}' ${env.Missing}"
withEnv(['One=inner']) { seen env.One; env.One = 'set within'; seen env.One }
seen env.One
node { seen sh(script: 'echo "$One $Three [${Null-unset}]"', returnStdout: true).trim() }
seen currentBuild.buildVariables.keySet().sort().toString()
