package undo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway.dev/slipway/tests/canary/plane"
)

// image n of the application: a pod of a bad one never is ready, one of a late one only
// as a canary, so that it fails when it is promoted.
func image(kind string, n int) string {
	return fmt.Sprintf("registry.example/app:%s-%d@sha256:%064x", kind, n, n)
}

func isReady(pod plane.Pod) bool {
	for _, container := range append(pod.Spec.Containers, pod.Spec.InitContainers...) {
		if strings.Contains(container.Image, ":bad") ||
			strings.Contains(container.Image, ":late") && pod.Metadata.Labels["slipway.dev/track"] == "" {
			return false
		}
	}
	return true
}

// history is one that a Deployment may have when a release comes.
type history struct {
	Replicas    int32  // at first
	Image       string // at first: of a first release one that never is ready
	Sidecar     bool   // of the same image
	Init        bool   // an init container of the same image
	Foreign     bool   // a container of another image
	NoHistory   bool   // revisionHistoryLimit: 0
	Recreate    bool
	MarkedGood  bool
	Earlier     bool  // a release before it was promoted
	Dead        bool  // a run before it died when it had changed stable, and nobody undid it
	Scaled      int32 // what somebody scaled it to before the release; -1 for nobody
	Autoscaled  int32 // what an autoscaler asks for after the canary has begun, and before stable is changed; -1 for none
	Rescaled    int32 // what one asks for after stable was changed; -1 for none
	Paused      bool
	Blinking    bool // no pod is ready when the release begins
	Quota       int  // of pods; 0 for none
	PausedLater bool // somebody pauses it while the release goes on

	// Images and replicas when the release began: a run that changes nothing leaves what a dead one has left.
	left   map[string]string
	leftAt int
}

func some(random *rand.Rand) history {
	chance := func(percent int) bool { return random.Intn(100) < percent }
	h := history{Replicas: int32(1 + random.Intn(4)), Image: image("good", 1), Scaled: -1, Autoscaled: -1, Rescaled: -1,
		Sidecar: chance(
			20,
		), Init: chance(20), Foreign: chance(20), NoHistory: chance(25), Recreate: chance(15), MarkedGood: chance(50), Earlier: chance(30),
		Dead: chance(20), Paused: chance(10), Blinking: chance(25), PausedLater: chance(10)}
	if chance(20) { // a first release
		h.Image, h.MarkedGood, h.Earlier, h.Blinking = image("bad", 1), false, false, false
		if chance(50) {
			h.Replicas = 0
		}
	}
	if chance(25) {
		h.Scaled = int32(random.Intn(6))
	}
	if chance(20) {
		h.Autoscaled = int32(1 + random.Intn(6))
	}
	if chance(40) {
		h.Rescaled = int32(random.Intn(6))
	}
	if chance(15) {
		h.Quota = int(h.Replicas) + random.Intn(4)
	}
	return h
}

// world is a namespace with that history, and a way to its API server.
type world struct {
	*testing.T
	plane     *plane.Plane
	kubelet   *plane.Kubelet
	door      *plane.Door
	namespace string
	said      []string // what the helpers said, for when it fails
}

func (w *world) deployment(name string) string {
	return "/apis/apps/v1/namespaces/" + w.namespace + "/deployments/" + name
}

func (w *world) do(method, path string, body any) map[string]any {
	w.Helper()
	object, err := w.plane.Do(w.Context(), method, path, body)
	if err != nil {
		w.Fatalf("%v\n%s", err, strings.Join(w.said, "\n"))
	}
	return object
}

func (w *world) patch(spec map[string]any) {
	w.do(http.MethodPatch, w.deployment("app"), map[string]any{"spec": spec})
}

// build makes the namespace, and the Deployment as a team does by hand.
func (w *world) build(h history) {
	w.do(http.MethodPost, "/api/v1/namespaces", map[string]any{"metadata": map[string]any{"name": w.namespace}})
	container := func(name, image string) map[string]any {
		return map[string]any{"name": name, "image": image, "readinessProbe": map[string]any{"httpGet": map[string]any{"port": 80}}}
	}
	pod := map[string]any{}
	containers := []any{container("app", h.Image)}
	if h.Sidecar {
		containers = append(containers, container("worker", h.Image))
	}
	if h.Foreign {
		containers = append(containers, container("proxy", "envoy:1"))
	}
	if h.Init {
		pod["initContainers"] = []any{map[string]any{"name": "migrate", "image": h.Image}}
	}
	pod["containers"] = containers
	labels := map[string]any{"app": "app", "part": "users"}
	spec := map[string]any{
		"replicas": h.Replicas,
		"selector": map[string]any{"matchLabels": map[string]any{"app": "app"}},
		"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": pod},
	}
	if h.NoHistory {
		spec["revisionHistoryLimit"] = 0
	}
	if h.Recreate {
		spec["strategy"] = map[string]any{"type": "Recreate"}
	}
	w.do(http.MethodPost, "/api/v1/namespaces/"+w.namespace+"/services", map[string]any{"metadata": map[string]any{"name": "app"},
		"spec": map[string]any{"selector": map[string]any{"part": "users"}, "ports": []any{map[string]any{"port": 80}}}})
	w.do(http.MethodPost, strings.TrimSuffix(w.deployment(""), "/"), map[string]any{"metadata": map[string]any{"name": "app"}, "spec": spec})
	w.settle()
}

// settle waits until the controllers have done what they can: all is ready, or never will be.
func (w *world) settle() {
	w.Helper()
	w.eventually("the controllers have not caught up", func() bool {
		object := w.do(http.MethodGet, w.deployment("app"), nil)
		wanted, _ := number(object, "spec", "replicas")
		seen, _ := number(object, "status", "observedGeneration")
		generation, _ := number(object, "metadata", "generation")
		ready, _ := number(object, "status", "readyReplicas")
		return seen >= generation && (ready >= wanted || !servable(w.images("app")) || paused(object))
	})
}

func paused(object map[string]any) bool {
	spec, _ := object["spec"].(map[string]any)
	is, _ := spec["paused"].(bool)
	return is
}

func servable(images map[string]string) bool {
	for _, each := range images {
		if strings.Contains(each, ":bad") || strings.Contains(each, ":late") {
			return false
		}
	}
	return true
}

func (w *world) eventually(complaint string, is func() bool) {
	w.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(time.Minute); !is(); <-ticker.C {
		if time.Now().After(deadline) {
			state, _ := json.Marshal(w.do(http.MethodGet, w.deployment("app"), nil))
			w.Fatalf("%s: %s\n%s", complaint, state, strings.Join(w.said, "\n"))
		}
	}
}

func number(object map[string]any, section, name string) (int, bool) {
	part, _ := object[section].(map[string]any)
	value, found := part[name].(float64)
	return int(value), found
}

func (w *world) replicas(name string) int {
	count, _ := number(w.do(http.MethodGet, w.deployment(name), nil), "spec", "replicas")
	return count
}

// images are those that a Deployment asks for, by container.
func (w *world) images(name string) map[string]string {
	body, err := json.Marshal(w.do(http.MethodGet, w.deployment(name), nil))
	if err != nil {
		w.Fatal(err)
	}
	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers, InitContainers []struct{ Name, Image string }
				}
			}
		}
	}
	if err := json.Unmarshal(body, &deployment); err != nil {
		w.Fatal(err)
	}
	found := map[string]string{}
	for _, container := range append(deployment.Spec.Template.Spec.Containers, deployment.Spec.Template.Spec.InitContainers...) {
		found[container.Name] = container.Image
	}
	return found
}

// programs is where make build puts them.
var programs, _ = filepath.Abs("../../../bin")

// run is one call of a helper; it gives the exit code, -1 where it was killed. Nothing is
// called wrongly.
func (w *world) run(ctx context.Context, helper string, arguments ...string) int {
	w.Helper()
	said, code := w.call(ctx, helper, append(arguments, "-n", w.namespace)...)
	w.said = append(w.said, said)
	if code == 2 {
		w.Errorf("%s", strings.Join(w.said, "\n"))
	}
	return code
}

// tell is what a helper says.
func (w *world) tell(helper string, arguments ...string) string {
	said, _ := w.call(w.Context(), helper, arguments...)
	return said
}

func (w *world) call(ctx context.Context, helper string, arguments ...string) (said string, code int) {
	var out bytes.Buffer
	command := exec.CommandContext(ctx, filepath.Join(programs, helper), arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+w.door.Kubeconfig, "BUILD_URL=")
	command.Stdout, command.Stderr = &out, &out
	_ = command.Run() // its exit code tells
	code = command.ProcessState.ExitCode()
	return fmt.Sprintf("$ %s %s: exit %d\n%s", helper, strings.Join(arguments, " "), code, out.String()), code
}
