// What vars/ and src/ are held to. Unless they are told otherwise, the Jenkins rules
// look at files named Jenkinsfile alone.
ruleset {
    ruleset('rulesets/jenkins.xml') {
        ['ClassNotSerializable', 'ClosureInGString', 'CpsCallFromNonCpsMethod', 'ExpressionInCpsMethodNotSerializable',
         'ForbiddenCallInCpsMethod', 'ObjectOverrideOnlyNonCpsMethods', 'ParameterOrReturnTypeNotSerializable'].each { String rule ->
            "${rule}" { applyToFileNames = '*.groovy' }
        }
    }
    ruleset('rulesets/basic.xml') { exclude 'EmptyMethod' } // a hook that only one of the pipelines needs
    ruleset('rulesets/braces.xml')
    ruleset('rulesets/exceptions.xml') { exclude 'CatchThrowable' } // an undoing has to
    ruleset('rulesets/groovyism.xml') { exclude 'GStringExpressionWithinString' } // shell is not Groovy
    ruleset('rulesets/imports.xml')
    ruleset('rulesets/naming.xml') { exclude 'FactoryMethodName' } // here, to build is to build an image
    ruleset('rulesets/unnecessary.xml') {
        exclude 'UnnecessaryReturnKeyword'
        exclude 'UnnecessaryGetter' // 'empty' is no property that the sandbox lets one ask for
    }
    ruleset('rulesets/unused.xml')
}
