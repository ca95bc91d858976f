// A replay and a new build after properties: what each sees of the parameters.
// play: end 1 ; build tag=x ; end 2
@Library('conformance') _
properties([parameters([string(name: 'tag', defaultValue: 'none'), booleanParam(name: 'dry', defaultValue: true), choice(name: 'where', choices: ['staging', 'prod'])]), pipelineTriggers([cron('H 4 * * *')])])
seen "${params.tag} ${params.dry} ${params.where} ${params.dry.getClass().simpleName}"
seen "${env.tag} ${params.missing} ${params.keySet().sort()}"
properties([disableConcurrentBuilds()])
seen "after ${params.tag} ${params.containsKey('dry')}"
