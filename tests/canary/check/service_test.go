//go:build lab

package check

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// refusing has the registry refuse what it says.
func refusing(what func(user string, r *http.Request) bool) (breaks, mend func(*testing.T)) {
	return func(*testing.T) { registry.refuse.Store(what) },
		func(*testing.T) { registry.refuse.Store(func(string, *http.Request) bool { return false }) }
}

// registryFaults break what the group registry asks for without --probe-registry.
func registryFaults() []fault {
	noPush, all := refusing(func(_ string, r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/v2/shop/")
	})
	noTags, all2 := refusing(func(_ string, r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/tags/list") })
	noPages, all3 := refusing(func(_ string, r *http.Request) bool { return r.URL.Query().Get("last") != "" })
	noQuarantine, all4 := refusing(func(_ string, r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/v2/quarantine/")
	})
	return []fault{
		{id: "registry-reachable", state: "missing", breaks: func(*testing.T) { registry.gone.Store(true) },
			mend: func(*testing.T) { registry.gone.Store(false) }},
		{id: "registry-tls", state: "missing", environment: []string{"SLIPWAY_CA_FILE="}},
		{id: "registry-login", state: "missing", environment: []string{"REGISTRY_PASSWORD=another"}},
		{id: "registry-push", state: "missing", breaks: noPush, mend: all},
		{id: "registry-tags", state: "missing", breaks: noTags, mend: all2},
		{id: "registry-tags", state: "missing", breaks: noPages, mend: all3},
		{id: "registry-node-login", state: "warning", breaks: shell(strings.Replace(pulling("prod"), "nodes:", "builder:", 1)),
			mend: shell(pulling("prod"))},
		{id: "registry-quarantine", state: "missing", breaks: noQuarantine, mend: all4},
		{id: "registry-quarantine", state: "warning", environment: []string{"SLIPWAY_QUARANTINE="}},
	}
}

// targets has the second target of Prometheus answer so, until Prometheus knows how many are down.
func targets(status int, down string) func(*testing.T) {
	return func(t *testing.T) {
		second.Store(int64(status))
		require.Eventually(t, func() bool {
			const query = `curl -sf "$PROMETHEUS_URL/api/v1/query" --data-urlencode 'query=count(up == 0) or vector(0)'`
			return strings.Contains(run(t, "", query), `"`+down+`"]`)
		}, time.Minute, 100*time.Millisecond)
	}
}

func prometheusFaults() []fault {
	return []fault{
		{id: "prometheus-reachable", state: "missing", environment: []string{"PROMETHEUS_URL=http://127.0.0.1:1"}},
		{id: "prometheus-metric", state: "missing", arguments: []string{"--metric", "shop_requests_total"}},
		{id: "prometheus-labels", state: "missing", arguments: []string{"--errors", `code=~"5.."`}},
		{id: "prometheus-versions", state: "missing", arguments: []string{"--selector", `namespace="$namespace",app="shop-$deployment"`}},
		{id: "prometheus-interval", state: "missing", arguments: []string{"--interval", "300ms"}},
		{id: "prometheus-histogram", state: "warning", arguments: []string{"--histogram", "shop_seconds"}},
		{id: "prometheus-targets", state: "warning", breaks: targets(http.StatusInternalServerError, "1"), mend: targets(http.StatusOK, "0")},
	}
}

// patched is a fault of the Deployment, which becomes again what it was.
func patched(id, state, kind, patch string) fault {
	var kept string
	return fault{id: id, state: state, breaks: func(t *testing.T) {
		kept = anew(t, run(t, "", "kubectl get deployment/shop -n prod -o json"))
		run(t, "", "kubectl patch deployment/shop -n prod --type="+kind+" -p '"+patch+"'")
	}, mend: func(t *testing.T) {
		run(t, kept, "kubectl replace -f -; kubectl rollout status -n prod deployment/shop --timeout=1m")
	}}
}

func serviceFaults() []fault {
	const pod = "/spec/template/spec/containers/0"
	remove := func(id, state, path string) fault {
		return patched(id, state, "json", `[{"op": "remove", "path": "`+path+`"}]`)
	}
	quota := func(id, manifest, name string) fault {
		return fault{id: id, state: "missing", breaks: func(t *testing.T) { run(t, manifest, "kubectl create -n prod -f -") },
			mend: shell("kubectl delete -n prod " + name)}
	}
	return []fault{
		func() fault {
			f := without("service-deployment", "deployment/shop", "prod")
			again := f.mend
			f.mend = func(t *testing.T) {
				again(t)
				run(t, "", "kubectl rollout status -n prod deployment/shop --timeout=1m")
			}
			return f
		}(),
		patched("service-replicas", "warning", "merge", `{"spec":{"replicas":1}}`),
		remove("service-readiness", "missing", pod+"/readinessProbe"),
		remove("service-prestop", "warning", pod+"/lifecycle"),
		patched("service-grace", "missing", "merge", `{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":5}}}}`),
		patched("service-unavailable", "missing", "merge", `{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}`),
		patched("service-gitops", "warning", "merge", `{"metadata":{"annotations":{"argocd.argoproj.io/tracking-id":"shop:apps/Deployment"}}}`),
		remove("service-pull-secret", "warning", "/spec/template/spec/imagePullSecrets"),
		remove("service-resources", "warning", pod+"/resources/requests/cpu"),
		without("service-selected", "service/shop", "prod"),
		{id: "service-labels", state: "warning",
			breaks: shell(`kubectl patch service/shop -n prod -p '{"spec":{"selector":{"app":"shop"}}}'`),
			mend:   shell(`kubectl patch service/shop -n prod --type=json -p '[{"op": "remove", "path": "/spec/selector/app"}]'`)},
		{id: "service-canary", state: "missing", breaks: shell("kubectl get deployment/shop -n prod -o json | " +
			`sed 's/"name": "shop"/"name": "shop-canary"/; /"resourceVersion"/d; /"uid"/d' | kubectl create -f -`),
			mend: shell("kubectl delete deployment/shop-canary -n prod")},
		func() fault {
			f := without("service-budget", "poddisruptionbudget/shop", "prod")
			f.state = "warning"
			return f
		}(),
		{id: "service-budget", state: "missing", breaks: shell(`kubectl patch -n prod pdb/shop -p '{"spec":{"maxUnavailable":0}}'`),
			mend: shell(`kubectl patch -n prod pdb/shop -p '{"spec":{"maxUnavailable":1}}'`)},
		{id: "service-autoscaler", state: "warning", breaks: shell("kubectl autoscale deployment/shop -n prod --min=1 --max=9"),
			mend: shell("kubectl delete hpa/shop -n prod")},
		quota("service-quota", "{apiVersion: v1, kind: ResourceQuota, metadata: {name: tight}, spec: {hard: {pods: 0}}}", "resourcequota/tight"),
		quota("service-limits", "{apiVersion: v1, kind: LimitRange, metadata: {name: tight}, "+
			"spec: {limits: [{type: Container, max: {memory: 128Mi}}]}}", "limitrange/tight"),
		{id: "service-reaper", state: "missing", environment: []string{"SLIPWAY_APP=other", "SLIPWAY_STABLE=shop", "SLIPWAY_CANARY=shop-canary"}},
	}
}
