package attacks

import (
	"fmt"

	"slipway.dev/slipway/tests/e2e/site"
)

// Jenkinsfile is one that anybody who may push can write, and what Jenkins or the cluster refuses it with.
type Jenkinsfile struct {
	Name, Folder, Script, Says string
	Calls                      bool // it calls the production pipeline, which keeps a record
}

// Inside is what a Jenkinsfile of these says where it comes to something that it must not have.
const Inside = "=> inside"

// Recorded is what the record of a production run says that was refused; Jenkins stops a run whose pod the cluster refuses.
const Recorded = `"outcome":"(failed|stopped)".*"now":"production was not touched`

// inPod is a Jenkinsfile that asks for a pod of its own making, and shows what it finds there.
func inPod(registry, options, pod string) string {
	return fmt.Sprintf(`
podTemplate(%s, yaml: '''
apiVersion: v1
kind: Pod
spec:
  imagePullSecrets: [{name: nexus-pull}]
%s
  containers: [{name: jnlp, image: %q, securityContext: {runAsUser: 1000}}]
''') {
  node(POD_LABEL) { sh 'echo "=> inside as $(cat /var/run/secrets/kubernetes.io/serviceaccount/token | cut -c1-10)"' }
}
`, options, pod, registry+"/"+site.Agent)
}

// calling is a Jenkinsfile that calls the production pipeline.
func calling(more string) string {
	return "@Library('slipway@v1') _\nprodCanaryPipeline(app: 'fastapi-app', image: 'fastapi-postgres-app', approvers: '', " +
		"canaryWeight: 1, allowBreaking: true" + more + ")\n"
}

// credential is a Jenkinsfile that reads a login.
func credential(id string) string {
	return "withCredentials([usernamePassword(credentialsId: '" + id + "', usernameVariable: 'U', passwordVariable: 'P')]) {\n" +
		"  node { sh 'echo \"=> inside\"' }\n}\n"
}

// Jenkinsfiles are the attacks by one.
func Jenkinsfiles(registry string) []Jenkinsfile {
	const (
		restricted = "Not authorized to use Kubernetes cloud: production"
		absent     = `serviceaccount "slipway-prod" not found`
		unknown    = "Could not find credentials entry with ID "
	)
	pod := func(options, more string) string { return inPod(registry, options, more) }
	secret := func(id string) string {
		return "withCredentials([string(credentialsId: '" + id + "', variable: 'T')]) { node { sh 'echo \"=> inside\"' } }\n"
	}
	return []Jenkinsfile{
		{"calls the production pipeline", "build", calling(""), restricted, true},
		{"calls the production pipeline from staging", "staging", calling(""), restricted, true},
		{"calls the production pipeline in the cloud of builds", "build", calling(", cloud: 'build'"), absent, true},
		{"calls the production pipeline with staging's account", "staging", calling(", cloud: 'staging', serviceAccount: 'slipway-staging'"),
			"system:serviceaccount:jenkins-staging:slipway-staging may not get deployments", true},
		{"takes production's cloud", "build", pod("cloud: 'production'", ""), restricted, false},
		{"makes a pod in production's agents' namespace", "build", pod("cloud: 'build', namespace: 'jenkins-prod'", ""),
			"cannot create resource", false},
		{"makes a pod in production", "build", pod("cloud: 'build', namespace: 'prod'", ""), "cannot create resource", false},
		{"makes a pod with production's account", "build", pod("cloud: 'build'", "  serviceAccountName: slipway-prod"), absent, false},
		{"makes a pod with the node's files", "build", pod("cloud: 'build'", "  volumes: [{name: node, hostPath: {path: /}}]"),
			"violates PodSecurity", false},
		{"reads the password of production's database", "build", credential("PROD_DB_CRED"), unknown + "'PROD_DB_CRED'", false},
		{"reads it from staging", "staging", credential("PROD_DB_CRED"), unknown + "'PROD_DB_CRED'", false},
		{"reads the registry's login for pushing", "build", credential("a4116a00-2da0-4947-9dcc-86ba51217d6d"), unknown, false},
		{"reads the key that signs evidence", "build", secret("STAGING_SIGNING_KEY"), unknown + "'STAGING_SIGNING_KEY'", false},
		{"reads what a cloud logs in with", "build", secret("kubernetes-production"), unknown + "'kubernetes-production'", false},
	}
}
