//go:build lab

package adoption

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
)

const root = "../../.."

// commands are the shell blocks of the README's chapter on adoption, in their order.
func commands(t *testing.T) []string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	_, chapter, found := strings.Cut(string(body), "\n## How a team adopts it\n")
	require.True(t, found)
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	var blocks []string
	for _, match := range regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```$").FindAllStringSubmatch(chapter, -1) {
		blocks = append(blocks, match[1])
	}
	require.Len(t, blocks, 6)
	return blocks
}

// follow runs the blocks in one shell, in a copy of the repository, as a person would. What a person types (the registry's
// login, then the superuser's passwords) is on its stdin. The lab can pull no base image: in the place of make image it has its own
// agents' image already.
func follow(t *testing.T, blocks ...string) string {
	t.Helper()
	copied, err := site.CreateRepository(t.Context(), root, t.TempDir(), "file:///nowhere")
	require.NoError(t, err)
	helpers, err := filepath.Abs(filepath.Join(root, "bin"))
	require.NoError(t, err)
	require.NoError(t, os.Symlink(helpers, filepath.Join(copied.Dir, "bin")))
	script := "set -euo pipefail\nmake() { [ \"$*\" = image ] && [ -s bin/slipway-agent.tar ]; }\n" + strings.Join(blocks, "\n")
	typed := strings.Join([]string{os.Getenv("LAB_REGISTRY_USER"), os.Getenv("LAB_REGISTRY_PASSWORD"), superuser, superuser, ""}, "\n")
	shell := site.Command{Dir: copied.Dir, Env: []string{"SSL_CERT_FILE=" + os.Getenv("LAB_CA")}, Stdin: []byte(typed)}
	out, err := shell.Run(t.Context(), "bash", "-c", script)
	require.NoError(t, err, out)
	return out
}

func kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := site.Kubectl(t.Context(), arguments...)
	require.NoError(t, err)
	return strings.TrimSpace(out)
}

const superuser = "password-of-the-servers-that-were-there"

// One lab: first the PostgreSQL of k8s/base, on an empty cluster and in a namespace that is in use. Then, from the beginning, servers
// that were there, and a new service.
func TestTheCommandsOfTheReadmeWorkInTheirOrder(t *testing.T) {
	require.NotContains(t, kubectl(t, "get", "namespaces", "-o", "name"), "jenkins", "an empty cluster")
	require.NoError(t, buildAgent(t))
	blocks := commands(t)
	steps, bundled, own := strings.Join(blocks[:4], "\n"), blocks[4], blocks[5]
	kubectl(t, "create", "namespace", "prod")
	inUse(t, "prod")
	before := others(t, "prod")

	follow(t, steps, bundled)

	identities(t)
	delivered := []string{"staging", "prod"}
	for _, namespace := range delivered {
		assert.Equal(t, "1", kubectl(t, "get", "statefulset/postgres", "-n", namespace, "-o", "jsonpath={.status.readyReplicas}"))
		kubectl(t, "create", "job", "reaped", "-n", namespace, "--from=cronjob/canary-reaper")
		kubectl(t, "wait", "job/reaped", "-n", namespace, "--for=condition=complete", "--timeout=2m")
	}
	assert.Equal(t, before, others(t, "prod"), "what was in the namespace is as it was")
	reachable(t, "prod")
	appliedAgain(t, "prod")
	lastingToken(t)
	kubectl(t, append([]string{"delete", "namespace", "--wait=true"}, append(delivered, site.Agents...)...)...)
	onServersThatWereThere(t, steps, own)
}

// onServersThatWereThere adopts two namespaces that are in use, with a PostgreSQL server each, and delivers a new service to them.
func onServersThatWereThere(t *testing.T, steps, own string) {
	t.Helper()
	before, authorities := map[string]string{}, ""
	for namespace, host := range map[string]string{"staging": "db1.example", "prod": "db2.example"} {
		kubectl(t, "create", "namespace", namespace)
		inUse(t, namespace)
		require.Contains(t, own, namespace+":"+host)
		own = strings.ReplaceAll(own, host, database(t, "db-"+namespace))
		authorities += kubectl(t, "get", "secret/postgres-tls", "-n", "db-"+namespace, "-o",
			`go-template={{index .data "tls.crt" | base64decode}}`) + "\n"
		before[namespace] = others(t, namespace)
	}
	follow(t, steps, "cat >authority.crt <<'END'\n"+authorities+"END\n"+own)
	for namespace := range before {
		reachable(t, namespace)
		assert.Empty(t, kubectl(t, "get", "statefulsets", "-n", namespace, "-o", "name"), "no PostgreSQL of ours")
		connects(t, namespace)
	}
	newService(t)
	for namespace, was := range before {
		assert.Equal(t, was, others(t, namespace), "what was in the namespace %s is as it was", namespace)
	}
}

// database starts a server as a company has one already, with a table that is in use and none of our roles, and gives its host.
func database(t *testing.T, namespace string) string {
	t.Helper()
	host := "postgres-0.postgres." + namespace + ".svc.cluster.local"
	follow(t, strings.NewReplacer("NAMESPACE", namespace, "HOST", host, "PASSWORD", superuser).Replace(`
kubectl create namespace NAMESPACE
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=postgres -addext subjectAltName=DNS:HOST -keyout tls.key -out tls.crt
kubectl create secret tls postgres-tls -n NAMESPACE --cert=tls.crt --key=tls.key
kubectl create secret generic postgres-credentials -n NAMESPACE --from-literal=username=postgres --from-literal=password=PASSWORD
kubectl create secret generic postgres-roles -n NAMESPACE --from-literal=owner= --from-literal=service= --from-literal=exporter=
kubectl create configmap postgres -n NAMESPACE --from-file=k8s/base/postgres/pg_hba.conf \
  --from-literal=roles.sql='CREATE TABLE customers (id int)' --from-literal=passwords.sql='INSERT INTO customers VALUES (1)'
kubectl apply -n NAMESPACE -f k8s/postgres-statefulset.yaml`))
	kubectl(t, "rollout", "status", "statefulset/postgres", "-n", namespace, "--timeout=5m")
	return host
}

// connects says that what the service's pods get from Deployment and Secrets opens the database, as the role that reads and writes
// rows and nothing more.
func connects(t *testing.T, namespace string) {
	t.Helper()
	answer := follow(t, "namespace="+namespace+`
secret() { kubectl get secret $1 -n $namespace -o jsonpath="{.data.$2}" | base64 -d; }
secret postgres-tls 'ca\.crt' >ca.crt
export PGPASSWORD=$(secret postgres-roles service) PGSSLROOTCERT=ca.crt
for name in PGHOST PGDATABASE PGSSLMODE PGUSER; do
  export $name="$(kubectl get deployment/fastapi-app -n $namespace \
    -o jsonpath="{.spec.template.spec.containers[0].env[?(@.name=='$name')].value}")"
done
psql -AXtc 'SELECT current_user, id FROM customers'
! psql -Xc 'DROP TABLE customers' 2>refused
grep -F 'must be owner of table customers' refused`)
	assert.Equal(t, "mydb_service|1\nERROR:  must be owner of table customers", strings.TrimSpace(answer))
}

// identities says that each account may do its own, and nothing of another's.
func identities(t *testing.T) {
	t.Helper()
	may := func(account, verb, resource, namespace string) string {
		answer, _ := site.Kubectl(t.Context(), "auth", "can-i", verb, resource, "-n", namespace, "--as=system:serviceaccount:"+account)
		return strings.TrimSpace(answer)
	}
	delivers := map[string]string{"jenkins-staging:slipway-staging": "staging", "jenkins-prod:slipway-prod": "prod"}
	makes := map[string]string{"jenkins-build:jenkins": "jenkins-build", "jenkins-staging:jenkins": "jenkins-staging",
		"jenkins-prod:jenkins": "jenkins-prod"}
	yes := func(holds bool) string { return map[bool]string{true: "yes", false: "no"}[holds] }
	for _, account := range []string{"jenkins-build:default", "jenkins-build:jenkins", "jenkins-staging:jenkins", "jenkins-prod:jenkins",
		"jenkins-staging:slipway-staging", "jenkins-prod:slipway-prod"} {
		for _, namespace := range []string{"staging", "prod"} {
			assert.Equal(t, yes(delivers[account] == namespace), may(account, "patch", "deployments", namespace), "%s in %s", account, namespace)
			assert.Equal(t, "no", may(account, "create", "pods", namespace), "%s in %s", account, namespace)
			assert.Equal(t, "no", may(account, "list", "secrets", namespace), "%s in %s", account, namespace)
		}
		for _, namespace := range site.Agents {
			assert.Equal(t, yes(makes[account] == namespace), may(account, "create", "pods", namespace), "%s in %s", account, namespace)
			assert.Equal(t, "no", may(account, "get", "secrets", namespace), "%s in %s", account, namespace)
		}
	}
	for namespace, level := range map[string]string{"jenkins-build": "baseline", "jenkins-staging": "restricted",
		"jenkins-prod": "restricted"} {
		assert.Equal(t, level,
			kubectl(t, "get", "namespace", namespace, "-o", `jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}`))
	}
}

// appliedAgain says that the manifests, applied again after a release, leave alone what it has set.
func appliedAgain(t *testing.T, namespace string) {
	t.Helper()
	const set = "jsonpath={.spec.replicas} {.spec.template.spec.containers[*].image}"
	image := "registry.example/fastapi-postgres-app:latest-41@sha256:" + strings.Repeat("4", 64)
	kubectl(t, "set", "image", "deployment/fastapi-app", "-n", namespace, "app="+image)
	kubectl(t, "scale", "deployment/fastapi-app", "-n", namespace, "--replicas=4")
	for range 2 { // the second time there is a last-applied configuration to compare with
		follow(t, "kubectl apply -k k8s/overlays/"+namespace, "kubectl apply -n "+namespace+" -f k8s/app-deployment.yaml")
		assert.Equal(t, "4 "+image, kubectl(t, "get", "deployment/fastapi-app", "-n", namespace, "-o", set))
	}
}

// lastingToken follows docs/jenkins.md for a cloud's credential: the token lets it handle pods in its own namespace alone, and is
// refused as soon as its Secret is gone.
func lastingToken(t *testing.T) {
	t.Helper()
	guide, err := os.ReadFile(filepath.Join(root, "docs/jenkins.md"))
	require.NoError(t, err)
	block := regexp.MustCompile("(?ms)^ *```\n( *for part in build staging prod; do\n.*?)^ *```$").FindSubmatch(guide)
	require.NotNil(t, block, "the commands of docs/jenkins.md")
	follow(t, string(block[1])+`
server=$(kubectl config view --minify --raw -o jsonpath='{.clusters[0].cluster.server}')
controller() { kubectl --kubeconfig /dev/null --server "$server" --certificate-authority ca.crt --token "$(cat "$1.token")" get pods -n "$2"; }
for part in build staging prod; do
  for other in build staging prod; do
    if [ $part = $other ]; then controller $part jenkins-$part; else ! controller $part jenkins-$other 2>refused; grep -q Forbidden refused; fi
  done
done
kubectl delete secret jenkins-token -n jenkins-prod
for try in $(seq 100); do ! controller prod jenkins-prod 2>refused || continue; break; done
cat refused >&2
[[ $(<refused) = *Unauthorized* || $(<refused) = *"must be logged in"* ]]
`)
}

// buildAgent keeps the lab's agents' image where make image would have put the real one.
func buildAgent(t *testing.T) error {
	t.Helper()
	absolute, err := filepath.Abs(root)
	require.NoError(t, err)
	tar := filepath.Join(absolute, "bin", "slipway-agent.tar")
	t.Cleanup(func() { os.Remove(tar) })
	return site.BuildAgentImage(t.Context(), absolute, t.TempDir(), tar)
}

// inUse puts another team's web server and database into the namespace.
func inUse(t *testing.T, namespace string) {
	t.Helper()
	require.NoError(t, site.Apply(t.Context(), `apiVersion: v1
kind: Pod
metadata: {name: theirs, labels: {app: postgres, app.kubernetes.io/name: web}}
spec:
  containers:
    - name: web
      image: tool:1
      command: [python3, -m, http.server, "80"]
      readinessProbe: {httpGet: {port: 80, path: /}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: theirs}
spec: {selector: {app: postgres}, ports: [{port: 80}]}
`, "-n", namespace))
	kubectl(t, "wait", "pod/theirs", "-n", namespace, "--for=condition=Ready", "--timeout=2m")
}

// others are what was in the namespace before: the pod, and whom its Service reaches.
func others(t *testing.T, namespace string) string {
	t.Helper()
	const all = "jsonpath={range .items[*]}{.metadata.uid} {.metadata.labels} {.spec}{end}"
	return kubectl(t, "get", "pod/theirs", "service/theirs", "-n", namespace, "-o", all) +
		kubectl(t, "get", "namespace", namespace, "-o", "jsonpath={.metadata.labels}")
}

// reachable says that no policy of ours selects another team's pod, and that no Service of ours reaches it.
func reachable(t *testing.T, namespace string) {
	t.Helper()
	var policies struct {
		Items []struct {
			Spec struct {
				PodSelector struct{ MatchLabels map[string]string }
			}
		}
	}
	require.NoError(t, site.Get(t.Context(), &policies, "networkpolicies", "-n", namespace))
	require.NotEmpty(t, policies.Items)
	theirs := map[string]string{"app": "postgres", "app.kubernetes.io/name": "web"}
	for _, policy := range policies.Items {
		selects := true
		for key, value := range policy.Spec.PodSelector.MatchLabels {
			selects = selects && theirs[key] == value
		}
		assert.False(t, selects, "a NetworkPolicy selects %v", theirs)
	}
	address := kubectl(t, "get", "pod/theirs", "-n", namespace, "-o", "jsonpath={.status.podIP}")
	for _, service := range []string{"postgres", "fastapi-app", "fastapi-app-stable", "fastapi-app-canary"} {
		endpoints := kubectl(t, "get", "endpointslices", "-n", namespace, "-l", "kubernetes.io/service-name="+service,
			"-o", "jsonpath={.items[*].endpoints[*].addresses[*]}")
		assert.NotContains(t, strings.Fields(endpoints), address, "the Service %s reaches another team's pod", service)
	}
}
