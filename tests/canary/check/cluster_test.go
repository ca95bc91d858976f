//go:build lab

package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dead is a kubeconfig of a server that is not there.
var dead = filepath.Join(os.TempDir(), "slipway-check-dead")

// prepare makes a site of which nothing is missing: on an empty cluster by --fix, and what --fix leaves to a person by hand.
func prepare(t *testing.T) {
	t.Helper()
	require.NoError(t, os.WriteFile(dead, []byte("apiVersion: v1\nkind: Config\ncurrent-context: dead\n"+
		"clusters: [{name: dead, cluster: {server: \"https://127.0.0.1:1\"}}]\ncontexts: [{name: dead, context: {cluster: dead, user: dead}}]\n"+
		"users: [{name: dead, user: {token: none}}]\n"), 0o600))
	t.Cleanup(func() { os.Remove(dead) })
	empty := check(t, nil)
	assert.Equal(t, 1, empty.Code)
	assert.Equal(t, "missing", empty.of("namespaces").State)
	check(t, nil, "--fix", "--yes", "--only", "cluster")
	// What --fix made is what kubectl would make: kubectl diff ends with 1 where it differs.
	for _, part := range []string{"build", "staging", "prod"} {
		shell("copy=$(mktemp -d); trap 'rm -r $copy' EXIT; cp -r k8s $copy; cd $copy; grep -rlF 10.10.70.84:30051 k8s | " +
			"xargs sed -i \"s#10.10.70.84:30051#$LAB_REGISTRY#g\"; kubectl diff -k k8s/site/" + part)(t)
	}
	run(t, objects, `kubectl apply -f -
kubectl patch node/node1 --subresource=status -p '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
kubectl apply -k k8s/guard
for namespace in jenkins-build jenkins-staging jenkins-prod staging prod; do
`+pulling("$namespace")+`done
for namespace in jenkins-build jenkins-staging jenkins-prod; do `+token("$namespace")+`; done
for namespace in jenkins-staging jenkins-prod; do kubectl create configmap registry-ca -n $namespace --from-file=ca.crt=$LAB_CA; done
kubectl label namespace staging prod pod-security.kubernetes.io/enforce=restricted
kubectl apply -n prod -f k8s/optional/default-deny.yaml
for namespace in staging prod; do
  kubectl set image -n $namespace cronjob/canary-reaper canary-reaper=$LAB_REGISTRY/agent@`+digest+`
  kubectl get -n $namespace cronjob/canary-reaper -o json | sed 's/"fastapi-app/"shop/' | kubectl apply -f -
done
kubectl rollout status -n prod deployment/shop --timeout=1m
`+policy("")+`
kubectl label namespace prod slipway.dev/guard=warn
for tag in 1 2; do bin/nexus-push --tar "$IMAGE" $SLIPWAY_REPOSITORY:latest-$tag; done
bin/slipway guard approve -n prod
kubectl label --overwrite namespace prod slipway.dev/guard=enforce
`+reaped("now"))
}

// objects are a node, a StorageClass and a service, as a team would have them.
var objects = `{apiVersion: v1, kind: Node, metadata: {name: node1}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: none, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: example.org/none
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: prod}
spec:
  replicas: 3
  selector: {matchLabels: {app: shop}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 50%}}
  template:
    metadata: {labels: {app: shop, app.kubernetes.io/name: shop}}
    spec:
      imagePullSecrets: [{name: nexus-pull}]
      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: app
          image: registry.example/shop@` + digest + `
          ports: [{containerPort: 8000}]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          readinessProbe: {httpGet: {path: /readyz, port: 8000}}
          lifecycle: {preStop: {sleep: {seconds: 5}}}
          resources: {requests: {cpu: 20m, memory: 96Mi}, limits: {memory: 256Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: prod}
spec: {selector: {app.kubernetes.io/name: shop}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: shop, namespace: prod}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: shop}}}
`

// policy makes the site's policy anew, changed by a script of sed.
func policy(change string) string {
	return `folder=$(mktemp -d); trap 'rm -r "$folder"' EXIT
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$folder/key" 2>/dev/null
openssl pkey -in "$folder/key" -pubout -out "$folder/staging.pub"
sed '` + change + `' > "$folder/policy.yaml" <<'END'
production:
  approvals:
    migration: {required: 1, from: [dba]}
    promotion: {required: 2, from: [release-managers], notAuthors: true}
  people:
    ada: [ada@example.org]
    bob: [bob@example.org]
  groups:
    release-managers: [ada, bob]
  windows:
    - {deny: "Fri 16:00 - Mon 07:00", timezone: Europe/Berlin, reason: weekend}
  evidence: {keys: [staging.pub]}
END
kubectl delete configmap/slipway-policy -n jenkins-prod --ignore-not-found
kubectl create configmap slipway-policy -n jenkins-prod --from-file="$folder/policy.yaml" --from-file="$folder/staging.pub"
`
}

// policyFaults break what the group policy asks for.
func policyFaults() []fault {
	changed := func(id, state, change string) fault {
		return fault{id: id, state: state, breaks: shell(policy(change)), mend: shell(policy(""))}
	}
	return []fault{
		{id: "policy-present", state: "warning", breaks: shell("kubectl delete configmap/slipway-policy -n jenkins-prod"),
			mend: shell(policy(""))},
		changed("policy-valid", "missing", "s/required: 2/required: many/"),
		changed("policy-keys", "missing", "s/staging.pub/absent.pub/"),
		changed("policy-keys", "warning", "/evidence/d"),
		changed("policy-approvers", "warning", "s/, from: .dba.//"),
		changed("policy-valid", "missing", "s/required: 2/required: 3/"),
		changed("policy-valid", "missing", "/people/,/bob@/d"),
		changed("policy-valid", "missing", `s/^\(.*\)Fri 16:00 - Mon 07:00\(.*\)$/&\n\1Mon 07:00 - Fri 16:00\2/`),
		{id: "policy-waivers", state: "missing", breaks: shell(`kubectl patch configmap/slipway-policy -n jenkins-prod --type=merge -p ` +
			`'{"data":{"waivers.yaml":"waivers:\n- {id: CVE-2024-1, reason: none, owner: ada, until: 2024-02-01}\n"}}'`),
			mend: shell(policy(""))},
	}
}

// token fills the Secret as the controller of tokens would, which this control plane does not have.
func token(namespace string) string {
	return "kubectl patch secret/jenkins-token -n " + namespace + ` -p '{"stringData":{"token":"t"}}'`
}

// digest is that of an image that no registry has: nothing here needs its pods to run.
var digest = "sha256:" + strings.Repeat("4", 64)

// without is a fault by which an object is gone; it is made again as it was.
func without(id, object, namespace string) fault {
	var kept string
	in := ""
	if namespace != "" {
		in = " -n " + namespace
	}
	return fault{id: id, state: "missing", breaks: func(t *testing.T) {
		kept = run(t, "", "kubectl get -o json "+object+in)
		run(t, "", "kubectl delete --wait "+object+in)
	}, mend: func(t *testing.T) {
		run(t, anew(t, kept), "kubectl create -f -")
	}}
}

// anew is an object without what the API server gave it.
func anew(t *testing.T, object string) string {
	t.Helper()
	var content map[string]any
	require.NoError(t, json.Unmarshal([]byte(object), &content))
	for _, field := range []string{"resourceVersion", "uid", "creationTimestamp", "managedFields"} {
		delete(content["metadata"].(map[string]any), field)
	}
	body, err := json.Marshal(content)
	require.NoError(t, err)
	return string(body)
}

// healing is the fault of which --fix has mended what without takes away.
func healing(f fault) fault {
	f.fixed, f.mend = true, func(*testing.T) {}
	return f
}

// clusterFaults break what the groups cluster and guard ask for.
func clusterFaults() []fault {
	const enforce, guard = "pod-security.kubernetes.io/enforce", "slipway.dev/guard"
	return []fault{
		{id: "cluster-reachable", state: "missing", environment: []string{"KUBECONFIG=" + dead}},
		{id: "nodes-ready", state: "missing", breaks: shell("kubectl cordon node1"), mend: shell("kubectl uncordon node1")},
		{id: "storage-class", state: "warning", breaks: shell("kubectl annotate storageclass/none storageclass.kubernetes.io/is-default-class-"),
			mend: shell("kubectl annotate storageclass/none storageclass.kubernetes.io/is-default-class=true")},
		{id: "namespaces", state: "missing", arguments: []string{"--rename", "jenkins-build=elsewhere"}, fixed: true,
			mend: shell("kubectl delete namespace/elsewhere --wait=false")},
		healing(without("accounts", "serviceaccount/slipway-prod", "jenkins-prod")),
		without("controller-token", "secret/jenkins-token", "jenkins-build"),
		healing(without("rights-controller", "rolebinding/slipway-controller", "jenkins-staging")),
		healing(without("rights-delivery", "role/slipway", "prod")),
		{id: "rights-delivery", state: "missing", fixed: true, mend: func(*testing.T) {},
			breaks: shell(`kubectl patch role/slipway -n staging --type=json -p '[{"op": "remove", "path": "/rules/3"}]'`)},
		healing(without("rights-reaper", "rolebinding/canary-reaper", "prod")),
		{id: "rights-apart", state: "missing", mend: shell("kubectl delete rolebinding/too-much -n prod"),
			breaks: shell("kubectl create rolebinding too-much -n prod --clusterrole=cluster-admin " +
				"--serviceaccount=jenkins-staging:slipway-staging")},
		{id: "rights-build", state: "missing", mend: shell("kubectl delete clusterrolebinding/too-much"),
			breaks: shell("kubectl create clusterrolebinding too-much --clusterrole=cluster-admin --serviceaccount=jenkins-build:default")},
		{id: "pod-security-agents", state: "missing", fixed: true, mend: func(*testing.T) {},
			breaks: shell("kubectl label --overwrite namespace jenkins-prod " + enforce + "=privileged")},
		{id: "pod-security-service", state: "warning", breaks: shell("kubectl label namespace staging " + enforce + "-"),
			mend: shell("kubectl label namespace staging " + enforce + "=restricted")},
		healing(without("reaper", "cronjob/canary-reaper", "staging")),
		{id: "reaper", state: "missing", breaks: shell(`kubectl patch cronjob/canary-reaper -n prod -p '{"spec":{"suspend":true}}'`),
			mend: shell(`kubectl patch cronjob/canary-reaper -n prod -p '{"spec":{"suspend":false}}'`)},
		{id: "reaper-recent", state: "missing", breaks: shell(reaped("10 minutes ago")), mend: shell(reaped("now"))},
		without("pull-secret", "secret/nexus-pull", "jenkins-prod"),
		{id: "pull-secret", state: "missing", mend: shell(pulling("staging")),
			breaks: shell("kubectl delete secret/nexus-pull -n staging; kubectl create secret generic nexus-pull -n staging --from-literal=a=b")},
		{id: "pull-secret-registry", state: "missing", mend: shell(pulling("prod")),
			breaks: shell("kubectl delete secret/nexus-pull -n prod; kubectl create secret docker-registry nexus-pull -n prod " +
				"--docker-server=elsewhere.example --docker-username=u --docker-password=p")},
		without("registry-ca", "configmap/registry-ca", "jenkins-prod"),
		healing(without("network-policies", "networkpolicy/default-deny", "jenkins-build")),
		{id: "network-policies", state: "warning",
			mend:   shell(`kubectl patch networkpolicy/default-deny -n jenkins-build --type=json -p '[{"op": "remove", "path": "/spec/ingress"}]'`),
			breaks: shell(`kubectl patch networkpolicy/default-deny -n jenkins-build --type=merge -p '{"spec":{"ingress":[{}]}}'`)},
		func() fault {
			f := without("network-deny-service", "networkpolicy/default-deny", "prod")
			f.state = "warning"
			return f
		}(),
		without("guard-policies", "validatingadmissionpolicy/slipway-list", ""),
		{id: "guard-policies", state: "missing", mend: shell("kubectl apply -k k8s/guard"), breaks: shell(
			`kubectl patch validatingadmissionpolicy/slipway-images --type=json -p '` +
				`[{"op": "remove", "path": "/spec/matchConstraints/resourceRules/0"}]'`)},
		without("guard-bindings", "validatingadmissionpolicybinding/slipway-images-enforce", ""),
		{id: "guard-label", state: "warning", breaks: shell("kubectl label namespace prod " + guard + "-"), fixed: true,
			mend: shell("kubectl label --overwrite namespace prod " + guard + "=enforce")},
		{id: "guard-account", state: "missing",
			breaks: shell("kubectl annotate namespace prod slipway.dev/guard-account=system:serviceaccount:jenkins:jenkins"),
			mend:   shell("kubectl annotate namespace prod slipway.dev/guard-account-")},
		without("approved-list", "configmap/slipway-approved", "prod"),
		{id: "approved-list", state: "missing", fixed: true,
			breaks: shell("kubectl annotate namespace staging slipway.dev/guard-account=system:serviceaccount:jenkins-staging:slipway-staging; " +
				"kubectl label --overwrite namespace staging " + guard + "=warn"),
			mend: shell("kubectl label namespace staging " + guard + "-; kubectl delete configmap/slipway-approved -n staging")},
		{id: "approved-images", state: "missing", mend: shell("kubectl delete deployment/theirs -n prod"),
			breaks: shell("kubectl label --overwrite namespace prod " + guard + "=warn; " +
				"kubectl create deployment theirs -n prod --image=theirs.example/tool:1 --replicas=0; " +
				"kubectl label --overwrite namespace prod " + guard + "=enforce")},
		{id: "break-glass", state: "warning", breaks: shell("kubectl annotate cronjob/canary-reaper -n prod slipway.dev/break-glass=because"),
			mend: shell("kubectl annotate cronjob/canary-reaper -n prod slipway.dev/break-glass-")},
	}
}

// pulling makes the Secret with the nodes' login.
func pulling(namespace string) string {
	return `kubectl delete secret/nexus-pull -n ` + namespace + ` --ignore-not-found
printf '{"auths":{"%s":{"auth":"%s"}}}' "$LAB_REGISTRY" "$(printf 'nodes:%s' "$REGISTRY_PASSWORD" | base64 -w0)" |
  kubectl create secret generic nexus-pull -n ` + namespace + ` --type=kubernetes.io/dockerconfigjson \
    --from-file=.dockerconfigjson=/dev/stdin
`
}

// reaped says when the reaper last succeeded, as the controller of CronJobs would.
func reaped(when string) string {
	return `for namespace in staging prod; do kubectl patch cronjob/canary-reaper -n $namespace --subresource=status --type=merge \
  -p "{\"status\":{\"lastSuccessfulTime\":\"$(date -u +%FT%TZ -d '` + when + `')\"}}"; done
`
}

func faults() []fault {
	return slices.Concat(clusterFaults(), policyFaults(), registryFaults(), prometheusFaults(), serviceFaults())
}
