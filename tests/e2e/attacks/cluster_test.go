//go:build lab

package attacks

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/e2e/site"
)

// attack is one by kubectl, and what it is refused with.
type attack struct {
	name, user string
	arguments  []string
	manifest   string // of what is applied
	says       string
}

const (
	notListed = "its digest is not in the ConfigMap slipway-approved"
	forbidden = "is forbidden: User"
)

func run(t *testing.T, a attack) string {
	t.Helper()
	arguments := append([]string{"--as", a.user}, a.arguments...)
	if a.manifest != "" {
		arguments = append(arguments, "-f", "-")
	}
	out, err := site.Command{Stdin: []byte(a.manifest)}.Run(t.Context(), "kubectl", arguments...)
	require.Error(t, err, "accepted: %s", out)
	return err.Error()
}

// What somebody can do to production with kubectl who may do everything in its namespace.
func TestAttacksOnTheCluster(t *testing.T) {
	running := stable(t)
	repository, digest, _ := strings.Cut(running, "@")
	repository = repository[:strings.LastIndex(repository, ":")]
	evil := repository + "@sha256:" + strings.Repeat("e", 64)
	pod := kubectl(t, "get", "pods", "-n", "prod", "-l", "app="+site.App, "-o", "jsonpath={.items[0].metadata.name}")
	deployment := "deployment/" + site.App
	set := func(image string) []string { return []string{"set", "image", "-n", "prod", deployment, "app=" + image} }
	patch := func(what, body string) []string {
		return []string{"patch", "-n", "prod", what, "--type=merge", "-p", body}
	}
	annotate := func(what, pair string) []string { return []string{"annotate", "--overwrite", "-n", "prod", what, pair} }
	apply := []string{"apply", "-n", "prod"}
	// Such a pod keeps to the namespace's Pod Security, which would be what refuses otherwise.
	spec := func(image string) string {
		return `{"containers": [{"name": "app", "image": "` + image + `", "securityContext": {"allowPrivilegeEscalation": false,
			"runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}}], "restartPolicy": "Never"}`
	}
	template := func(image string) string {
		return `{metadata: {labels: {a: b}}, spec: ` + strings.Replace(spec(image), "Never", "Always", 1) + `}`
	}
	object := func(kind, version, spec string) string {
		return fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {name: evil}, spec: %s}", version, kind, spec)
	}
	for _, a := range []attack{
		{"kubectl set image", developer, set(evil), "", notListed},
		{"server-side apply", developer, []string{"apply", "--server-side", "--force-conflicts", "-n", "prod"}, strings.Replace(object(
			"Deployment", "apps/v1", `{template: {spec: {containers: [{name: app, image: "`+evil+`"}]}}}`), "name: evil", "name: "+site.App, 1),
			notListed},
		{"a JSON patch", developer, []string{"patch", "-n", "prod", deployment, "--type=json", "-p",
			`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"` + evil + `"}]`}, "", notListed},
		{"kubectl rollout undo to an image from before the guard", developer, []string{"rollout", "undo", "-n", "prod", deployment,
			"--to-revision=1"}, "", "it is not named by its digest"},
		{"a tag instead of the digest", developer, set(repository + ":day-0"), "", "it is not named by its digest"},
		{"an approved digest under another name", developer, set("10.10.70.84:30051/evil@" + digest), "",
			"this digest is approved under the name of another repository"},
		{"an ephemeral container", developer, []string{"debug", "--profile", "restricted", "-n", "prod", pod, "--image",
			evil, "--", "sh"}, "", notListed},
		{"an init container", developer, patch(deployment, `{"spec":{"template":{"spec":{"initContainers":[{"name":"evil","image":"`+
			evil+`"}]}}}}`), "", notListed},
		{"a bare pod", developer, apply, object("Pod", "v1", spec(evil)), notListed},
		{"a Job", developer, apply, object("Job", "batch/v1", `{template: {spec: `+spec(evil)+`}}`), notListed},
		{"a CronJob", developer, apply, object("CronJob", "batch/v1", `{schedule: "* * * * *", jobTemplate: {spec: {template: {spec: `+
			spec(evil)+`}}}}`), notListed},
		{"a DaemonSet", developer, apply, object("DaemonSet", "apps/v1", `{selector: {matchLabels: {a: b}}, template: `+template(evil)+`}`),
			notListed},
		{"a StatefulSet", developer, apply, object("StatefulSet", "apps/v1", `{serviceName: evil, selector: {matchLabels: {a: b}}, template: `+
			template(evil)+`}`), notListed},
		{"a ReplicaSet", developer, apply, object("ReplicaSet", "apps/v1", `{selector: {matchLabels: {a: b}}, template: `+template(evil)+`}`),
			notListed},
		{"a revision that goes past the guard", developer, apply, `{apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: evil},
			revision: 1, data: {spec: {template: {metadata: {annotations: {slipway.dev/break-glass: fire}}, spec: ` + spec(evil) + `}}}}`,
			"ada may not change the annotation slipway.dev/break-glass"},
		{"an approved image as production's account", developer, apply, object("Pod", "v1", strings.Replace(spec(running), "{",
			`{"serviceAccountName": "slipway-prod", `, 1)), `serviceaccount "slipway-prod" not found`},
		{"kubectl run beside it", developer, []string{"run", "evil", "-n", "prod", "--image", evil, "--overrides", `{"spec": ` +
			spec(evil) + `}`}, "", notListed},
		{"the pipeline's own account, without an approval", deliverer, set(evil), "", notListed},
		{"the list, by a developer", developer, patch("configmap/slipway-approved", `{"data":{"others":"`+evil+`"}}`), "",
			"ada may not write the list of approved images of the namespace prod"},
		{"the list, by server-side apply", developer, []string{"apply", "--server-side", "--force-conflicts", "-n", "prod"},
			`{apiVersion: v1, kind: ConfigMap, metadata: {name: slipway-approved}, data: {others: "` + evil + `"}}`,
			"ada may not write the list of approved images of the namespace prod"},
		{"the list, by the reaper", "system:serviceaccount:prod:canary-reaper", patch("configmap/slipway-approved",
			`{"data":{"others":"`+evil+`"}}`), "", "may not write the list"},
		{"an administrator's part of the list, by the pipeline's account", deliverer, []string{"replace", "-n", "prod"},
			`{apiVersion: v1, kind: ConfigMap, metadata: {name: slipway-approved}, data: {others: evil}}`, "may not change the key others"},
		{"the list deleted", developer, []string{"delete", "configmap/slipway-approved", "-n", "prod"}, "", "may not write the list"},
		{"all ConfigMaps deleted", developer, []string{"delete", "configmaps", "--all", "-n", "prod"}, "", "may not write the list"},
		{"the traffic to other pods", developer, patch("service/"+site.App, `{"spec":{"selector":{"app":"evil"}}}`), "",
			"ada may not change the traffic of the namespace prod (service/fastapi-app)"},
		{"an Ingress to another Service", developer, patch("ingress/"+site.App, `{"spec":{"defaultBackend":{"service":{"name":"evil"}}}}`), "",
			"may not change the traffic"},
		{"an EndpointSlice of the Service", developer, apply, `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: evil,
			labels: {kubernetes.io/service-name: ` + site.App + `}}, addressType: IPv4, endpoints: [{addresses: [10.244.9.9]}]}`,
			"may not change the traffic"},
		{"the Service deleted", developer, []string{"delete", "service/" + site.App, "-n", "prod"}, "", "may not change the traffic"},
		{"a forged mark of a good revision", developer, annotate(deployment, "slipway.dev/good=evil"), "",
			"ada may not change the annotation slipway.dev/good"},
		{"a forged way back", developer, annotate(deployment, "slipway.dev/before={}"), "",
			"ada may not change the annotation slipway.dev/before"},
		{"break glass by somebody else", developer, patch(deployment, `{"metadata":{"annotations":{"slipway.dev/break-glass":"fire"}},
			"spec":{"template":{"metadata":{"annotations":{"slipway.dev/break-glass":"fire"}},
			"spec":{"containers":[{"name":"app","image":"`+evil+`"}]}}}}`), "", "denied request"},
		{"the namespace relabelled by a developer", developer, []string{"label", "namespace", "prod", "slipway.dev/guard-"}, "",
			"ada may not change whether the namespace prod is guarded"},
		{"another account named as the one that delivers", developer, []string{"annotate", "namespace", "prod", "slipway.dev/guard-account=ada"},
			"", "ada may not change whether the namespace prod is guarded"},
		{"the namespace deleted", developer, []string{"delete", "namespace", "prod"}, "", "may not change whether the namespace prod is guarded"},
		{"the namespace relabelled by the pipeline's account", deliverer, []string{"label", "namespace", "prod", "slipway.dev/guard-"}, "",
			forbidden},
		{"the policies deleted by a developer", developer, []string{"delete", "validatingadmissionpolicies", "slipway-images"}, "", forbidden},
		{"the policies' bindings deleted by the pipeline's account", deliverer, []string{"delete", "validatingadmissionpolicybindings",
			"slipway-images-enforce"}, "", forbidden},
		{"a shell, by who may look", onlooker, []string{"exec", "-n", "prod", pod, "--", "sh"}, "", `cannot create resource "pods/exec"`},
		{"a file copied into a pod, by who may look", onlooker, []string{"cp", "/etc/hostname", "prod/" + pod + ":/tmp/evil"}, "",
			`cannot create resource "pods/exec"`},
		{"the Secrets, by who may look", onlooker, []string{"get", "secrets", "-n", "prod"}, "", `cannot list resource "secrets"`},
		{"the scale, by who may look", onlooker, []string{"scale", "-n", "prod", deployment, "--replicas=0"}, "",
			`cannot patch resource "deployments/scale"`},
		{"another account's rights", deliverer, []string{"create", "rolebinding", "evil", "-n", "prod", "--clusterrole=cluster-admin",
			"--user=ada"}, "", forbidden},
	} {
		t.Run(a.name, func(t *testing.T) {
			untouched(t, func() { assert.Contains(t, run(t, a), a.says) })
		})
	}
}

// token is what a pod of this account has.
func token(t *testing.T, namespace, account string) string {
	t.Helper()
	return kubectl(t, "create", "token", account, "-n", namespace, "--duration=1h")
}

// as is kubectl for who has this token and nothing else.
func as(t *testing.T, token string, arguments ...string) (string, error) {
	t.Helper()
	server := kubectl(t, "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
	return site.Kubectl(t.Context(), append([]string{"--token", token, "--kubeconfig", "/dev/null", "--server", server,
		"--insecure-skip-tls-verify"}, arguments...)...)
}

// A token of staging opens nothing in production, whatever it is used with.
func TestTheTokenOfStagingIsUsedInProduction(t *testing.T) {
	untouched(t, func() {
		stolen := token(t, "jenkins-staging", "slipway-staging")
		for _, arguments := range [][]string{
			{"set", "image", "-n", "prod", "deployment/" + site.App, "app=evil"},
			{"get", "secrets", "-n", "prod"},
			{"get", "configmap/slipway-approved", "-n", "prod"},
			{"create", "token", "slipway-prod", "-n", "jenkins-prod"},
			{"get", "pods", "-n", "jenkins-prod"},
		} {
			_, err := as(t, stolen, arguments...)
			require.ErrorContains(t, err, `User "system:serviceaccount:jenkins-staging:slipway-staging" cannot`, "%v", arguments)
		}
	})
}

// An account of production's namespace with all rights there cannot be the one that delivers.
func TestAnAccountOfProductionIsUsedAsTheOneThatDelivers(t *testing.T) {
	untouched(t, func() {
		_, err := as(t, token(t, "prod", "canary-reaper"), "--as", deliverer, "set", "image", "-n", "prod", "deployment/"+site.App, "app=evil")
		require.ErrorContains(t, err, `cannot impersonate resource "serviceaccounts"`)
	})
}

// The scale of a ReplicaSet is a number, which no policy sees; the pods that its controller makes of an image from before the guard
// are refused.
func TestAnOldReplicaSetIsScaledUp(t *testing.T) {
	old := kubectl(t, "get", "replicasets", "-n", "prod", "-l", "app="+site.App, "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.spec.template.spec.containers[0].image}{"\n"}{end}`)
	name := ""
	for _, line := range strings.Split(old, "\n") {
		if !strings.Contains(line, "@sha256:") {
			name, _, _ = strings.Cut(line, " ")
		}
	}
	require.NotEmpty(t, name, old)
	before := production(t)
	_, err := site.Kubectl(t.Context(), "--as", developer, "scale", "-n", "prod", "replicaset/"+name, "--replicas=1")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return strings.Contains(kubectl(t, "get", "events", "-n", "prod", "--field-selector", "reason=FailedCreate,involvedObject.name="+name,
			"-o", "jsonpath={.items[*].message}"), "it is not named by its digest")
	}, time.Minute, time.Second)
	require.Eventually(t, func() bool { return production(t) == before }, time.Minute, time.Second, "production was changed")
}

// A member of the group goes past the guard, which is seen until an administrator acknowledges it.
func TestTheGlassIsBrokenAndAcknowledged(t *testing.T) {
	slipway := filepath.Join(prepared.Root, "bin/slipway")
	running, deployment := stable(t), "deployment/"+site.App
	tagged := running[:strings.LastIndex(running, "@")]
	const reason = `{"annotations":{"slipway.dev/break-glass":"the registry lost the digest"}}`
	body := `{"metadata":` + reason + `,"spec":{"template":{"metadata":` + reason + `,"spec":{"containers":[{"name":"app","image":"` +
		tagged + `"}]}}}}`
	eve := func(arguments ...string) error {
		_, err := site.Kubectl(t.Context(), append([]string{"--as", "eve", "--as-group", "slipway-break-glass"}, arguments...)...)
		return err
	}
	kubectl(t, "create", "rolebinding", "rescuers", "-n", "prod", "--clusterrole=edit", "--group=slipway-break-glass")
	require.NoError(t, eve("patch", "-n", "prod", deployment, "-p", body))
	kubectl(t, "rollout", "status", "-n", "prod", deployment, "--timeout=3m")
	out, err := site.Command{}.Run(t.Context(), slipway, "guard", "status", "-n", "prod")
	require.ErrorContains(t, err, "1 objects of the namespace prod went past the guard")
	assert.Contains(t, out, "the registry lost the digest")
	require.ErrorContains(t, eve("annotate", "-n", "prod", deployment, "slipway.dev/break-glass-"), "an administrator removes it")
	kubectl(t, "set", "image", "-n", "prod", deployment, "app="+running)
	kubectl(t, "patch", "-n", "prod", deployment, "-p", `{"spec":{"template":{"metadata":{"annotations":{"slipway.dev/break-glass":null}}}}}`)
	kubectl(t, "annotate", "-n", "prod", deployment, "slipway.dev/break-glass-")
	kubectl(t, "rollout", "status", "-n", "prod", deployment, "--timeout=3m")
	kubectl(t, "delete", "rolebinding", "rescuers", "-n", "prod")
	out, _ = site.Command{}.Run(t.Context(), slipway, "guard", "status", "-n", "prod")
	assert.NotContains(t, out, "BREAK GLASS")
}

// A drain deletes pods; those of what is approved come again.
func TestPodsOfAnApprovedReleaseAreMadeAnew(t *testing.T) {
	kubectl(t, "delete", "pods", "-n", "prod", "-l", "app="+site.App)
	kubectl(t, "rollout", "status", "-n", "prod", "deployment/"+site.App, "--timeout=3m")
}
