// Properties, parameters and what a build sees of them.
// play: end 1 ; build A=given ; end 2
@Library('conformance') _
properties([parameters([string(name: 'A', defaultValue: 'one'), booleanParam(name: 'B', defaultValue: true), choice(name: 'C', choices: ['x', 'y'])]), disableConcurrentBuilds()])
seen "${params.A} ${params.B} ${params.C} ${params.D}"
seen "${params.A?.class?.simpleName} ${params.B?.class?.simpleName}"
seen "${env.A} ${env.B} ${env.C}"
try { params.A = 'x' } catch (Exception refused) { seen refused.class.simpleName }
seen params.containsKey('A')
