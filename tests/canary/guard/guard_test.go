//go:build lab

package guard

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// request is one, and a part of the sentence with which it is refused; without one it is accepted.
type request struct {
	name, user, method, path string
	body                     any
	refused                  string
}

const (
	unlisted  = "its digest is not in the ConfigMap slipway-approved"
	elsewhere = "approved under the name of another repository"
	untold    = "it is not named by its digest"
	traffic   = "may not change the traffic"
	writes    = "may not write the list of approved images"
	noted     = "may not change the annotation slipway.dev/"
)

var paths = map[string]string{
	"Pod": "/api/v1/namespaces/prod/pods", "Service": "/api/v1/namespaces/prod/services",
	"ReplicationController": "/api/v1/namespaces/prod/replicationcontrollers", "PodTemplate": "/api/v1/namespaces/prod/podtemplates",
	"ConfigMap": "/api/v1/namespaces/prod/configmaps", "Endpoints": "/api/v1/namespaces/prod/endpoints",
	"EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/prod/endpointslices",
	"Deployment":    "/apis/apps/v1/namespaces/prod/deployments", "ReplicaSet": "/apis/apps/v1/namespaces/prod/replicasets",
	"StatefulSet": "/apis/apps/v1/namespaces/prod/statefulsets", "DaemonSet": "/apis/apps/v1/namespaces/prod/daemonsets",
	"Job": "/apis/batch/v1/namespaces/prod/jobs", "CronJob": "/apis/batch/v1/namespaces/prod/cronjobs",
	"Ingress":            "/apis/networking.k8s.io/v1/namespaces/prod/ingresses",
	"HTTPRoute":          "/apis/gateway.networking.k8s.io/v1/namespaces/prod/httproutes",
	"TraefikService":     "/apis/traefik.io/v1/namespaces/prod/traefikservices",
	"VirtualService":     "/apis/networking.istio.io/v1/namespaces/prod/virtualservices",
	"GRPCRoute":          "/apis/gateway.networking.k8s.io/v1/namespaces/prod/grpcroutes",
	"IngressRoute":       "/apis/traefik.io/v1/namespaces/prod/ingressroutes",
	"DestinationRule":    "/apis/networking.istio.io/v1/namespaces/prod/destinationrules",
	"ControllerRevision": "/apis/apps/v1/namespaces/prod/controllerrevisions",
}

func workload(kind string, n int) map[string]any {
	switch kind {
	case "Pod":
		return object(kind, "new", pod(n))
	case "PodTemplate":
		return map[string]any{"kind": kind, "metadata": map[string]any{"name": "new"}, "template": template(n)["template"]}
	case "Job":
		return object(kind, "new", job(n))
	case "CronJob":
		return object(kind, "new", cron(n))
	case "ReplicationController":
		return object(kind, "new", with(template(n), "selector", map[string]any{"app": "app"}))
	}
	return object(kind, "new", template(n))
}

// Each kind that makes pods, by each user who may make it.
func TestAnImageThatIsNotApprovedRunsInNoKindOfWorkload(t *testing.T) {
	for _, kind := range []string{
		"Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController", "PodTemplate",
	} {
		for _, user := range []string{developer, account, controller, rescuer, "system:kube-controller-manager"} {
			check(t, request{kind + " by " + user, user, post, paths[kind], workload(kind, 9), unlisted})
			check(t, request{kind + " that ran before, by " + user, user, post, paths[kind], workload(kind, 2), unlisted})
			check(t, request{kind + " that is approved, by " + user, user, post, paths[kind], workload(kind, 1), ""})
		}
	}
}

func TestWhichImagesMayRun(t *testing.T) {
	pods, hex := paths["Pod"], strings.TrimPrefix(digest(1), "sha256:")
	for name, test := range map[string]struct{ image, refused string }{
		"another tag of the digest":      {repository + ":other@" + digest(1), ""},
		"no tag":                         {repository + "@" + digest(1), ""},
		"a tag alone":                    {repository + ":latest-1", untold},
		"nothing but a name":             {repository, untold},
		"another repository":             {"10.10.70.84:30051/evil@" + digest(1), elsewhere},
		"another registry":               {"registry.lab/app@" + digest(1), elsewhere},
		"a port that is a tag":           {"10.10.70.84:30051@" + digest(1), elsewhere},
		"a longer name":                  {repository + "/evil@" + digest(1), elsewhere},
		"a name before it":               {"evil/" + repository + "@" + digest(1), elsewhere},
		"an upper case digest":           {repository + "@sha256:" + strings.ToUpper(strings.Repeat("ab", 32)), untold},
		"another algorithm":              {repository + "@sha512:" + hex + hex, untold},
		"two digests":                    {repository + "@" + digest(9) + "@" + digest(1), unlisted},
		"two digests, the other way":     {repository + "@" + digest(1) + "@" + digest(9), ""},
		"a quote":                        {`x","repository":"` + repository + "@" + digest(1), elsewhere},
		"an administrator's":             {"redis@" + digest(3), ""},
		"an administrator's, with a tag": {"redis:7@" + digest(3), ""},
		"an administrator's digest":      {"evil@" + digest(3), unlisted},
		"a key of the list":              {"others@" + digest(9), unlisted},
		"a line of the administrator's":  {"ingress/intranet", untold},
	} {
		want := test.refused
		if name == "two digests, the other way" {
			want = " " // refused, in whatever words
		}
		check(t, request{name, developer, post, pods, object("Pod", "new", running(test.image)), want})
	}
}

func TestNoContainerOfAPodIsForgotten(t *testing.T) {
	other := []any{map[string]any{"name": "other", "image": image(9)}}
	volume := []any{map[string]any{"name": "files", "image": map[string]any{"reference": image(9)}}}
	listed := []any{map[string]any{"name": "files", "image": map[string]any{"reference": image(1)}}}
	debug := map[string]any{"name": "debug", "image": image(9), "terminationMessagePolicy": "File"}
	for _, r := range []request{
		{"init container", developer, post, paths["Pod"], object("Pod", "new", with(pod(1), "initContainers", other)), unlisted},
		{"second container", developer, post, paths["Pod"], object("Pod", "new", with(pod(1), "containers",
			append(other, map[string]any{"name": "app", "image": image(1)}))), unlisted},
		{"init container of a CronJob", developer, post, paths["CronJob"], object("CronJob", "new", map[string]any{"schedule": "* * * * *",
			"jobTemplate": spec(map[string]any{"template": spec(once(with(pod(1), "initContainers", other)))})}), unlisted},
		{"image volume", developer, post, paths["Pod"], object("Pod", "new", with(pod(1), "volumes", volume)), unlisted},
		{"image volume that is approved", developer, post, paths["Pod"], object("Pod", "new", with(pod(1), "volumes", listed)), ""},
		{"ephemeral container", developer, patch, paths["Pod"] + "/running/ephemeralcontainers",
			spec(map[string]any{"ephemeralContainers": []any{debug}}), unlisted},
		{"ephemeral container of what runs there", developer, patch, paths["Pod"] + "/running/ephemeralcontainers",
			spec(map[string]any{"ephemeralContainers": []any{with(debug, "image", image(2))}}), ""},
		{"ephemeral container that is approved", developer, patch, paths["Pod"] + "/running/ephemeralcontainers",
			spec(map[string]any{"ephemeralContainers": []any{with(debug, "image", image(1))}}), ""},
	} {
		check(t, r)
	}
}

// What ran before there was a guard goes on, and can be changed but for its images.
func TestWhatRunsAlreadyGoesOn(t *testing.T) {
	old := paths["Deployment"] + "/old"
	for _, r := range []request{
		{"kubectl set image", developer, patch, old, images(image(9)), unlisted},
		{"kubectl set image, approved", developer, patch, old, images(image(1)), ""},
		{"its replicas", developer, patch, old, spec(map[string]any{"replicas": 3}), ""},
		{"its scale", developer, patch, old + "/scale", spec(map[string]any{"replicas": 3}), ""},
		{"a label", developer, patch, old, map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}}, ""},
		{"kubectl rollout restart", developer, patch, old, spec(map[string]any{"template": annotated(pairs("restartedAt", "now"))}), ""},
		{"a second container of the same image", developer, patch, old, spec(map[string]any{"template": spec(map[string]any{
			"containers": []any{map[string]any{"name": "more", "image": image(2)}}})}), ""},
		{"a pod's label", controller, patch, paths["Pod"] + "/running", map[string]any{"metadata": map[string]any{
			"labels": map[string]any{"a": "b"}}}, ""},
		{"a pod's image", developer, patch, paths["Pod"] + "/running", spec(running(image(9))), unlisted},
		{"deleting it", developer, remove, old, nil, ""},
		{"deleting its pod", developer, remove, paths["Pod"] + "/running", nil, ""},
		{"deleting all pods", developer, remove, paths["Pod"], nil, ""},
	} {
		check(t, r)
	}
}

func TestWhoMayWriteTheList(t *testing.T) {
	list := paths["ConfigMap"] + "/slipway-approved"
	add := map[string]any{"data": pairs(strings.Replace(digest(9), ":", "-", 1), "[]")}
	others := map[string]any{"data": pairs("others", "evil@"+digest(9))}
	for _, r := range []request{
		{"by the account", account, patch, list, add, ""},
		{"by an administrator", "", patch, list, others, ""},
		{"by a developer", developer, patch, list, add, writes},
		{"by staging's account", "system:serviceaccount:jenkins-staging:slipway-staging", patch, list, add, writes},
		{"by an account of the same name", "system:serviceaccount:prod:slipway-prod", patch, list, add, writes},
		{"by the reaper", reaper, patch, list, add, writes},
		{"by a controller", controller, patch, list, add, writes},
		{"by a member of the group", rescuer, patch, list, add, writes},
		{"the others, by the account", account, patch, list, others, "may not change the key others"},
		{"no others, by the account", account, patch, list, map[string]any{"data": map[string]any{"others": nil}}, "may not change the key"},
		{"an owner, by a developer", developer, patch, list, map[string]any{"metadata": map[string]any{"ownerReferences": []any{
			map[string]any{"apiVersion": "v1", "kind": "Pod", "name": "gone", "uid": "0"}}}}, writes},
		{"deleted by a developer", developer, remove, list, nil, writes},
		{"deleted by the account", account, remove, list, nil, writes},
		{"deleted with all ConfigMaps", developer, remove, paths["ConfigMap"], nil, writes},
		{"deleted by an administrator", "", remove, list, nil, ""},
		{"another ConfigMap", developer, post, paths["ConfigMap"], map[string]any{"metadata": map[string]any{"name": "mine"}}, ""},
	} {
		check(t, r)
	}
}

func TestWhoMayChangeTheTraffic(t *testing.T) {
	for _, kind := range []string{"HTTPRoute", "TraefikService", "VirtualService", "Ingress"} {
		one := paths[kind] + "/app"
		version, change := groups[kind]+"/v1", map[string]any{"weight": 0}
		if kind == "Ingress" {
			version, change = "networking.k8s.io/v1", ingress("evil")
		}
		made := with(object(kind, "new", change), "apiVersion", version)
		for _, r := range []request{
			{kind + " by a developer", developer, patch, one, spec(change), traffic},
			{kind + " by the account", account, patch, one, spec(change), ""},
			{kind + " by the reaper", reaper, patch, one, spec(change), traffic},
			{kind + " of a canary, by the reaper", reaper, patch, paths[kind] + "/marked", spec(change), ""},
			{kind + " of a canary, deleted by the reaper", reaper, remove, paths[kind] + "/marked", nil, traffic},
			{kind + " of a canary, by a developer", developer, patch, paths[kind] + "/marked", spec(change), traffic},
			{kind + " by the reaper of another namespace", "system:serviceaccount:free:canary-reaper", patch, paths[kind] + "/marked",
				spec(change), traffic},
			{kind + " by an administrator", "", patch, one, spec(change), ""},
			{kind + "'s annotation", developer, patch, one, annotated(pairs("nginx.ingress.kubernetes.io/canary-weight", "100")), traffic},
			{kind + "'s owner", developer, patch, one, map[string]any{"metadata": map[string]any{"ownerReferences": []any{
				map[string]any{"apiVersion": "v1", "kind": "Pod", "name": "gone", "uid": "0"}}}}, traffic},
			{kind + "'s label", developer, patch, one, map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}}, ""},
			{kind + " as it is", developer, patch, one, annotated(pairs("kubectl.kubernetes.io/last-applied-configuration", "{}")), ""},
			{kind + " made", developer, post, paths[kind], made, traffic},
			{kind + " deleted", developer, remove, one, nil, traffic},
			{kind + " all deleted", developer, remove, paths[kind], nil, traffic},
			{kind + " in an emergency", rescuer, patch, one, with(spec(change), "metadata", annotated(pairs(
				"slipway.dev/break-glass", "fire"))["metadata"]), ""},
			{kind + " in an emergency without a reason", rescuer, patch, one, with(spec(change), "metadata", annotated(pairs(
				"slipway.dev/break-glass", " "))["metadata"]), " "},
		} {
			check(t, r)
		}
	}
	service := paths["Service"] + "/app"
	slice := map[string]any{"metadata": map[string]any{"name": "evil", "labels": map[string]any{"kubernetes.io/service-name": "app"}},
		"addressType": "IPv4", "endpoints": []any{map[string]any{"addresses": []any{"10.0.0.1"}}}}
	team := with(object("HTTPRoute", "team-a", map[string]any{"weight": 1}), "apiVersion", "gateway.networking.k8s.io/v1")
	for _, r := range []request{
		{"a Service's selector", developer, patch, service, spec(map[string]any{"selector": map[string]any{"app": "evil"}}), " "},
		{"a Service's port", developer, patch, service, spec(map[string]any{"ports": []any{
			map[string]any{"port": 80, "targetPort": 1}}}), traffic},
		{"a Service deleted", developer, remove, service, nil, traffic},
		{"a Service's label", developer, patch, service, map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}}, ""},
		{"a Service made", developer, post, paths["Service"], object("Service", "new", map[string]any{"ports": []any{
			map[string]any{"port": 80}}}), ""},
		{"an EndpointSlice", developer, post, paths["EndpointSlice"], slice, traffic},
		{"an EndpointSlice in an emergency", rescuer, post, paths["EndpointSlice"], map[string]any{"metadata": map[string]any{"name": "evil",
			"annotations": pairs("slipway.dev/break-glass", "fire")}, "addressType": "IPv4", "endpoints": []any{}}, traffic},
		{"an EndpointSlice of a controller's", "system:serviceaccount:kube-system:endpointslice-controller", post, paths["EndpointSlice"],
			slice, ""},
		{"Endpoints", developer, post, paths["Endpoints"], map[string]any{"metadata": map[string]any{"name": "app"}}, traffic},
		{"an Ingress that is listed", developer, patch, paths["Ingress"] + "/intranet", spec(ingress("other")), ""},
		{"a route by its prefix", developer, post, paths["HTTPRoute"], team, ""},
	} {
		check(t, r)
	}
}

func TestWhoMayChangeTheAnnotations(t *testing.T) {
	old, good := paths["Deployment"]+"/old", annotated(pairs("slipway.dev/good", "forged"))
	inTemplate := spec(map[string]any{"template": annotated(pairs("slipway.dev/break-glass", "fire"))})
	for _, r := range []request{
		{"by a developer", developer, patch, old, good, noted + "good"},
		{"by a member of the group", rescuer, patch, old, good, noted + "good"},
		{"by the account", account, patch, old, good, ""},
		{"by the reaper", reaper, patch, old, good, noted + "good"},
		{"a canary's, by the reaper", reaper, patch, old, annotated(pairs("slipway.dev/canary", "{}", "slipway.dev/canary-run", "x")), ""},
		{"by a controller", controller, patch, old, good, ""},
		{"removed", developer, patch, old, annotated(map[string]any{"slipway.dev/good": nil}), noted + "good"},
		{"another one", developer, patch, old, annotated(pairs("slipway.dev/before", "{}")), noted + "before"},
		{"not ours", developer, patch, old, annotated(pairs("team.example.org/good", "x")), ""},
		{"made with one", developer, post, paths["Deployment"], object("Deployment", "new", template(1), "slipway.dev/good", "x"), noted},
		{"of a pod template", developer, patch, old, inTemplate, noted + "break-glass"},
		{"break-glass by a developer", developer, patch, old, annotated(pairs("slipway.dev/break-glass", "fire")), noted + "break-glass"},
		{"a revision of which a controller makes pods", developer, post, paths["ControllerRevision"], revision(
			"slipway.dev/break-glass", "fire"), noted + "break-glass"},
		{"one without it", developer, post, paths["ControllerRevision"], revision("a", "b"), ""},
		{"one by a controller", controller, post, paths["ControllerRevision"], revision("slipway.dev/break-glass", "fire"), ""},
		{"break-glass acknowledged", "", patch, paths["Deployment"] + "/broken", annotated(map[string]any{"slipway.dev/break-glass": nil}), ""},
		{"break-glass removed by who set it", rescuer, patch, paths["Deployment"] + "/broken",
			annotated(map[string]any{"slipway.dev/break-glass": nil}), noted + "break-glass"},
		{"break-glass removed by the account", account, patch, paths["Deployment"] + "/broken",
			annotated(map[string]any{"slipway.dev/break-glass": nil}), noted + "break-glass"},
		{"break-glass removed from a GRPCRoute", rescuer, patch, paths["GRPCRoute"] + "/broken",
			annotated(map[string]any{"slipway.dev/break-glass": nil}), noted + "break-glass"},
		{"break-glass removed from an IngressRoute", rescuer, patch, paths["IngressRoute"] + "/broken",
			annotated(map[string]any{"slipway.dev/break-glass": nil}), noted + "break-glass"},
		{"break-glass removed from a DestinationRule", rescuer, patch, paths["DestinationRule"] + "/broken",
			annotated(map[string]any{"slipway.dev/break-glass": nil}), noted + "break-glass"},
		{"break-glass made empty", rescuer, patch, paths["Deployment"] + "/broken",
			annotated(pairs("slipway.dev/break-glass", "")), noted + "break-glass"},
	} {
		check(t, r)
	}
}

// A Role of the namespace may grant changes of the Namespace itself.
func TestWhoMayChangeTheNamespace(t *testing.T) {
	label := func(value any) map[string]any {
		return map[string]any{"metadata": map[string]any{"labels": map[string]any{"slipway.dev/guard": value}}}
	}
	const space, guarded = "/api/v1/namespaces/prod", "may not change whether the namespace prod is guarded"
	for _, r := range []request{
		{"the label removed", developer, patch, space, label(nil), guarded},
		{"the label changed", developer, patch, space, label("warn"), guarded},
		{"the label of one that is not guarded", developer, patch, "/api/v1/namespaces/free", label("enforce"),
			"may not change whether the namespace free is guarded"},
		{"another account", developer, patch, space, annotated(pairs("slipway.dev/guard-account", "ada")), guarded},
		{"a label of the team's", developer, patch, space, map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}}, ""},
		{"deleted", developer, remove, space, nil, guarded},
		{"one that is not guarded deleted", developer, remove, "/api/v1/namespaces/free", nil, ""},
		{"by an administrator", "", patch, space, label("warn"), ""},
		{"deleted by an administrator", "", remove, space, nil, ""},
	} {
		check(t, r)
	}
}

func TestBreakingTheGlass(t *testing.T) {
	old := paths["Deployment"] + "/old"
	both := func(own, template string) map[string]any {
		change := images(image(9))
		change["metadata"] = annotated(pairs("slipway.dev/break-glass", own))["metadata"]
		change["spec"].(map[string]any)["template"].(map[string]any)["metadata"] = annotated(
			pairs("slipway.dev/break-glass", template))["metadata"]
		return change
	}
	made := object("Pod", "new", pod(9), "slipway.dev/break-glass", "fire")
	for _, r := range []request{
		{"with a reason", rescuer, patch, old, both("fire", "fire"), ""},
		{"by a developer", developer, patch, old, both("fire", "fire"), " "},
		{"by the account", account, patch, old, both("fire", "fire"), unlisted},
		{"without a reason", rescuer, patch, old, both("", ""), " "},
		{"with a blank one", rescuer, patch, old, both(" ", "  "), " "},
		{"on the pods alone", rescuer, patch, old, both("", "fire"), " "},
		{"on the Deployment alone", rescuer, patch, old, both("fire", ""), unlisted},
		{"the controller's ReplicaSet", controller, post, paths["ReplicaSet"], object("ReplicaSet", "new",
			template(9, "slipway.dev/break-glass", "fire")), ""},
		{"the controller's pod", controller, post, paths["Pod"], made, ""},
		{"a pod", rescuer, post, paths["Pod"], made, ""},
		{"a developer's pod", developer, post, paths["Pod"], made, " "},
		{"a later change by a developer", developer, patch, paths["Deployment"] + "/broken", images(image(9)), unlisted},
	} {
		check(t, r)
	}
}

// Who went past the guard, and who was refused, is in the API server's audit log.
func TestTheAuditLogHasWhatWasRefusedAndWhatWentPast(t *testing.T) {
	check(t, request{"past", rescuer, post, paths["Pod"], object("Pod", "audited", pod(9), "slipway.dev/break-glass", "a fire in hall 3"), ""})
	check(t, request{"refused", developer, post, paths["Pod"], object("Pod", "audited", pod(9)), unlisted})
	require.Eventually(t, func() bool {
		log, err := os.ReadFile(audited)
		past := `"slipway-images/break-glass":"eve put ` + image(9) + ` there without approval: a fire in hall 3"`
		return err == nil && strings.Contains(string(log), past) &&
			strings.Contains(string(log), "validation.policy.admission.k8s.io/validation_failure")
	}, minute, second)
}

// A list that is missing denies, whatever is asked for; a namespace to be warned is warned, and one without a label is left alone.
func TestTheModes(t *testing.T) {
	in := func(namespace, kind string) string { return strings.Replace(paths[kind], "prod", namespace, 1) }
	for _, user := range []string{developer, account, controller} {
		_, _, err := send(t.Context(), as(user), post, in("empty", "Pod"), object("Pod", "new", pod(1)))
		require.Error(t, err)
		assert.Contains(t, err.Error(), "slipway-images")
		_, warning, err := send(t.Context(), as(user), post, in("warned", "Pod"), object("Pod", "new", pod(9)))
		require.NoError(t, err)
		assert.Contains(t, warning, unlisted)
		_, warning, err = send(t.Context(), as(user), post, in("free", "Pod"), object("Pod", "new", pod(9)))
		require.NoError(t, err)
		assert.Empty(t, warning)
	}
	for kind, path := range map[string]string{"Ingress": "/app", "Service": "/app", "ConfigMap": "/slipway-approved"} {
		_, warning, err := send(t.Context(), as(developer), remove, in("warned", kind)+path, nil)
		require.NoError(t, err)
		assert.Contains(t, warning, "may not")
		_, warning, err = send(t.Context(), as(developer), remove, in("free", kind)+path, nil)
		require.NoError(t, err)
		assert.Empty(t, warning)
	}
}

func check(t *testing.T, r request) {
	t.Run(r.name, func(t *testing.T) {
		_, _, err := send(t.Context(), as(r.user), r.method, r.path, r.body)
		if r.refused == "" {
			assert.NoError(t, err)
			return
		}
		require.Error(t, err, "accepted: %s", fmt.Sprint(r.body))
		assert.Contains(t, err.Error(), r.refused)
	})
}
