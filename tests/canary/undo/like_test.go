//go:build lab

package undo

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// What is tried is what is promoted: stable's live template, whoever made the canary.
func TestACanaryIsLikeStable(t *testing.T) {
	t.Parallel()
	for name, byHand := range map[string]bool{"made": false, "by-hand": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "like-"+name)
			w.build(history{Replicas: 2, Image: image("good", 1), Sidecar: true, Init: true, Foreign: true})
			if byHand {
				labels := map[string]any{"app": "other", "part": "users", "team": "ours"}
				w.do(
					http.MethodPost,
					strings.TrimSuffix(w.deployment(""), "/"),
					map[string]any{"metadata": map[string]any{"name": "app-canary"}, "spec": map[string]any{
						"replicas": 0, "selector": map[string]any{"matchLabels": map[string]any{"app": "other"}},
						"template": map[string]any{"metadata": map[string]any{"labels": labels},
							"spec": map[string]any{
								"containers": []any{map[string]any{"name": "app", "image": "old", "env": []any{map[string]any{"name": "LEVEL", "value": "debug"}}}},
							}}}},
				)
			}
			w.patch(
				map[string]any{
					"template": map[string]any{
						"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "env": []any{map[string]any{"name": "A", "value": "1"}}}}},
					},
				},
			)
			w.settle()
			to := image("good", 2)
			like := []string{"deployment/app-canary", "--like", "app", "--container", "app", "--image", to}
			if w.run(t.Context(), "deploy-image", like...) != 0 {
				t.Fatal(strings.Join(w.said, "\n"))
			}
			if said := w.said[0]; byHand != strings.Contains(said, "template.spec.containers.app.env.LEVEL") || strings.Contains(said, "debug") {
				t.Errorf("each difference is named, and no value: %s", said)
			}
			for container, image := range w.images("app-canary") {
				if want := map[bool]string{true: "envoy:1", false: to}[container == "proxy"]; image != want {
					t.Errorf("%s has %s, and not %s", container, image, want)
				}
			}
			stable, canary := w.template("app"), w.template("app-canary")
			if stable["spec"] == nil || strings.ReplaceAll(asJSON(canary["spec"]), to, image("good", 1)) != asJSON(stable["spec"]) {
				t.Errorf("stable's is %s, the canary's %s", asJSON(stable["spec"]), asJSON(canary["spec"]))
			}
			labels := asJSON(canary["metadata"])
			if byHand != strings.Contains(labels, `"team":"ours"`) || !strings.Contains(labels, `"part":"users"`) ||
				strings.Contains(labels, `"app":"app"`) {
				t.Error(labels)
			}
			if w.run(t.Context(), "deploy-image", like...) != 0 || !strings.Contains(w.said[1], "unchanged") {
				t.Error(w.said[1])
			}
			if w.run(t.Context(), "canary-weight", "set", "33", "--tolerance", "2", "--app", "app", "--run", "run-a", "--timeout", "60s") != 0 {
				t.Error(w.said[2])
			}
			if w.run(t.Context(), "canary-weight", "abort", "--app", "app") != 0 || w.replicas("app-canary") != 0 {
				t.Error(w.said[3])
			}
		})
	}
}

func (w *world) template(name string) map[string]any {
	spec, _ := w.do(http.MethodGet, w.deployment(name), nil)["spec"].(map[string]any)
	template, _ := spec["template"].(map[string]any)
	return template
}

func asJSON(value any) string {
	body, _ := json.Marshal(value)
	return string(body)
}

// A Deployment with a name of 41 or 50 characters has pods whose names are cut.
func TestPodsOfALongNameAreTheirOwners(t *testing.T) {
	t.Parallel()
	for _, length := range []int{41, 50, 58} {
		name := strings.Repeat("a", length-3) + "-bc"
		w := newWorld(t, "long-"+name[:length-20])
		w.build(history{Replicas: 3, Image: image("good", 1)})
		// The application app is beside it, behind the same Service: of neither version.
		labels := map[string]any{"app": name, "part": "users"}
		w.do(
			http.MethodPost,
			strings.TrimSuffix(w.deployment(""), "/"),
			map[string]any{"metadata": map[string]any{"name": name}, "spec": map[string]any{
				"replicas": 2, "selector": map[string]any{"matchLabels": map[string]any{"app": name}},
				"template": map[string]any{"metadata": map[string]any{"labels": labels},
					"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "image": image("good", 1)}}}}}},
		)
		for _, each := range [][]string{
			{"deploy-image", "deployment/" + name + "-canary", "--like", name, "--image", image("good", 2)},
			{"canary-weight", "set", "33", "--max-extra", "1", "--tolerance", "20", "--app", name, "--run", "run-a", "--timeout", "60s"},
			{"canary-weight", "get", "--app", name},
		} {
			if w.run(t.Context(), each[0], each[1:]...) != 0 {
				t.Fatal(strings.Join(w.said, "\n"))
			}
		}
		if said := w.said[2]; !strings.Contains(said, "ready: 2 stable and 1 canary endpoints and 3 of neither") {
			t.Errorf("%d characters: %s", length, said)
		}
		if w.run(t.Context(), "canary-weight", "abort", "--app", name) != 0 {
			t.Error(w.said[3])
		}
	}
}

// A ReplicaSet that is named as one of stable's, and whose pods have the labels of stable's, is of neither version
// where nobody owns it, or another object does.
func TestPodsOfWhatIsOnlyNamedAlikeAreOfNeither(t *testing.T) {
	t.Parallel()
	for name, owned := range map[string]bool{"nobodys": false, "anothers": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "named-"+name)
			w.build(history{Replicas: 2, Image: image("good", 1)})
			labels := map[string]any{"of": "nobody", "part": "users", "pod-template-hash": "777"}
			metadata := map[string]any{"name": "app-777", "labels": labels}
			if owned {
				owner := w.do(http.MethodPost, "/api/v1/namespaces/"+w.namespace+"/configmaps",
					map[string]any{"metadata": map[string]any{"name": "app"}})
				metadata["ownerReferences"] = []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "app", "controller": true,
					"uid": owner["metadata"].(map[string]any)["uid"]}}
			}
			w.do(http.MethodPost, "/apis/apps/v1/namespaces/"+w.namespace+"/replicasets", map[string]any{"metadata": metadata,
				"spec": map[string]any{"replicas": 1, "selector": map[string]any{"matchLabels": map[string]any{"of": "nobody"}},
					"template": map[string]any{"metadata": map[string]any{"labels": labels},
						"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "image": image("good", 1)}}}}}})
			for _, each := range [][]string{
				{"deploy-image", "deployment/app-canary", "--like", "app", "--image", image("good", 2)},
				{"canary-weight", "set", "33", "--max-extra", "1", "--tolerance", "20", "--app", "app", "--run", "run-a", "--timeout", "60s"},
				{"canary-weight", "get", "--app", "app"},
				{"canary-weight", "abort", "--app", "app"},
			} {
				if w.run(t.Context(), each[0], each[1:]...) != 0 {
					t.Fatal(strings.Join(w.said, "\n"))
				}
			}
			if said := w.said[2]; !strings.Contains(said, "ready: 2 stable and 1 canary endpoints and 1 of neither") {
				t.Error(said)
			}
		})
	}
}

// What the flags of an error advise is enough, and what is refused changes nothing.
func TestWhatCannotBePromotedIsNotTried(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "refused")
	w.build(history{Replicas: 3, Image: image("good", 1)})
	refuses := func(say string, arguments ...string) {
		t.Helper()
		code := w.run(t.Context(), arguments[0], arguments[1:]...)
		if said := w.said[len(w.said)-1]; code != 1 || !strings.Contains(said, say) {
			t.Errorf("it does not say %q: %s", say, said)
		}
	}
	set := []string{"canary-weight", "set", "25", "--app", "app", "--run", "run-a", "--timeout", "30s"}
	refuses("deploy-image -n refused deployment/app-canary --like app", set...)
	if w.run(t.Context(), "canary-weight", "abort", "--app", "app") != 0 || w.run(t.Context(), "canary-weight", "get", "--app", "app") != 0 {
		t.Error("without a canary there is nothing to undo:", w.said)
	}
	w.run(t.Context(), "deploy-image", "deployment/app-canary", "--like", "app", "--image", image("good", 2))
	path := "/api/v1/namespaces/" + w.namespace + "/resourcequotas"
	w.do(
		http.MethodPost,
		path,
		map[string]any{"metadata": map[string]any{"name": "few"}, "spec": map[string]any{"hard": map[string]any{"pods": 4}}},
	)
	w.eventually("the quota is not counted", func() bool {
		status, _ := w.do(http.MethodGet, path+"/few", nil)["status"].(map[string]any)
		used, _ := status["used"].(map[string]any)
		return used["pods"] == "3"
	})
	refuses("the promotion of deployment/app needs 1 of them (maxSurge)", set...)
	w.do(http.MethodPatch, path+"/few", map[string]any{"spec": map[string]any{"hard": map[string]any{"pods": "3"}}})
	w.eventually("the quota is not counted", func() bool {
		status, _ := w.do(http.MethodGet, path+"/few", nil)["status"].(map[string]any)
		hard, _ := status["hard"].(map[string]any)
		return hard["pods"] == "3"
	})
	refuses(
		"the promotion would fail: it needs 1 pods beside those of deployment/app (maxSurge), and resourcequota/few leaves room for 0 more pods",
		set...)
	refuses("needs room for 1 more pods (maxSurge)", "deploy-image", "deployment/app", "--image", image("good", 2), "--dry-run")
	w.do(http.MethodDelete, path+"/few", nil)
	w.patch(map[string]any{"paused": true})
	refuses("deployment/app is paused", set...)
	refuses("deployment/app is paused", "deploy-image", "deployment/app", "--image", image("good", 2))
	w.patch(map[string]any{"paused": false})
	w.do(http.MethodPost, "/api/v1/namespaces/"+w.namespace+"/services", map[string]any{"metadata": map[string]any{"name": "metrics"},
		"spec": map[string]any{"selector": map[string]any{"part": "users"}, "ports": []any{map[string]any{"port": 9090}}}})
	if said := w.tell("canary-weight", append(set[1:], "-n", w.namespace)...); !strings.Contains(
		said,
		"several Services select the pods of both",
	) ||
		!strings.Contains(said, "--service") {
		t.Error(said)
	}
	if w.run(t.Context(), "canary-weight", append(set[1:], "--service", "app")...) != 0 {
		t.Error(w.said[len(w.said)-1])
	}
}
