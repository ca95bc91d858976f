//go:build lab

package undo

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway.dev/slipway/tests/canary/plane"
)

var (
	duration = flag.Duration("duration", 45*time.Second, "how long histories are generated")
	seed     = flag.Int64("seed", 0, "of the first history; 0 takes the time")
	lanes    = flag.Int("lanes", 4, "how many histories at once")
)

var (
	running *plane.Plane
	kubelet *plane.Kubelet
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "plane")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		running, err = plane.Start(ctx, dir)
		if running != nil {
			defer running.Stop()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		kubelet = running.Kubelet(ctx, isReady)
		return m.Run()
	}())
}

func newWorld(t *testing.T, namespace string) *world {
	t.Helper()
	door, err := running.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(door.Close)
	return &world{T: t, plane: running, kubelet: kubelet, door: door, namespace: namespace}
}

// release is what a pipeline does: the canary, its share, then stable. It gives up at the
// first refusal, or when it is killed.
func (w *world) release(ctx context.Context, h history, to, run string) {
	between := func() {
		if h.Autoscaled >= 0 {
			w.patch(map[string]any{"replicas": h.Autoscaled})
		}
		if h.PausedLater {
			w.patch(map[string]any{"paused": true})
		}
	}
	first := !servable(w.images("app"))
	if !first {
		if w.run(
			ctx,
			"deploy-image",
			"deployment/app-canary",
			"--like",
			"app",
			"--container",
			"app",
			"--image",
			to,
			"--record",
			"build="+run,
		) != 0 {
			return
		}
		if w.run(
			ctx,
			"canary-weight",
			"set",
			"30",
			"--tolerance",
			"20",
			"--app",
			"app",
			"--router",
			"service",
			"--run",
			run,
			"--timeout",
			"4s",
		) != 0 {
			return
		}
	}
	between()
	arguments := []string{"deployment/app", "--container", "app", "--image", to, "--record", "build=" + run}
	if first && w.replicas("app") == 0 {
		arguments = append(arguments, "--replicas", "3")
	}
	w.run(ctx, "deploy-image", arguments...)
	if h.Rescaled >= 0 && !maps.Equal(w.images("app"), h.left) {
		w.patch(map[string]any{"replicas": h.Rescaled})
	}
}

// undo is what a pipeline, a person or the reaper does afterwards, whatever was done.
func (w *world) undo(ctx context.Context, to, run string) {
	w.run(ctx, "deploy-image", "deployment/app", "--undo", "--container", "app", "--image", to)
	w.run(ctx, "canary-weight", "abort", "--app", "app", "--run", run, "--timeout", "4s")
}

// killing gives a context that ends at so many further writes.
func (w *world) killing(writes int) context.Context {
	ctx, kill := context.WithCancel(w.Context())
	w.door.After(writes, kill)
	return ctx
}

// before plays what came before the release.
func (w *world) before(h history) {
	w.build(h)
	if h.Earlier {
		w.release(w.Context(), history{Autoscaled: -1, Rescaled: -1}, image("good", 2), "run-earlier")
		w.settle()
		w.run(w.Context(), "rollout-wait", "deployment/app", "--mark-good", "--timeout", "30s")
		w.run(w.Context(), "canary-weight", "abort", "--app", "app", "--run", "run-earlier")
	}
	if h.MarkedGood {
		w.run(w.Context(), "rollout-wait", "deployment/app", "--mark-good", "--timeout", "30s")
	}
	if h.Scaled >= 0 {
		w.patch(map[string]any{"replicas": h.Scaled})
		w.settle()
	}
	if h.Paused {
		w.patch(map[string]any{"paused": true})
	}
	if h.Quota > 0 {
		path := "/api/v1/namespaces/" + w.namespace + "/resourcequotas"
		w.do(
			http.MethodPost,
			path,
			map[string]any{"metadata": map[string]any{"name": "few"}, "spec": map[string]any{"hard": map[string]any{"pods": h.Quota}}},
		)
		w.eventually("the quota is not counted", func() bool {
			status, _ := w.do(http.MethodGet, path+"/few", nil)["status"].(map[string]any)
			return status["used"] != nil
		})
	}
}

// TestUndoNeverLeavesLessThanBefore plays generated histories, each with a release that
// fails, or is killed at one of its writes, and an undoing that may be killed, too.
func TestUndoNeverLeavesLessThanBefore(t *testing.T) {
	first := *seed
	if first == 0 {
		first = time.Now().UnixNano()
	}
	end := time.Now().Add(*duration)
	var next, stops atomic.Int64
	t.Run("lanes", func(t *testing.T) {
		for lane := range *lanes {
			t.Run(fmt.Sprint(lane), func(t *testing.T) {
				t.Parallel()
				for time.Now().Before(end) && !t.Failed() {
					number := first + next.Add(1) - 1
					t.Run(fmt.Sprint("seed=", number), func(t *testing.T) { stops.Add(play(t, number)) })
				}
			})
		}
	})
	t.Logf("%d histories, %d of their runs killed at a write, from seed %d on", next.Load(), stops.Load(), first)
	if next.Load() < 3 {
		t.Errorf("only %d histories in %s", next.Load(), *duration)
	}
}

// TestUndoOfWhatIsKnown plays what generated histories come to seldom: each kind once, to its end.
func TestUndoOfWhatIsKnown(t *testing.T) {
	good := history{Replicas: 3, Image: image("good", 1), Scaled: -1, Autoscaled: -1, Rescaled: -1}
	for name, change := range map[string]func(*history){
		"by-hand":        func(*history) {},
		"to-none":        func(h *history) { h.Rescaled = 0 },
		"fewer":          func(h *history) { h.Rescaled, h.MarkedGood = 1, true },
		"more":           func(h *history) { h.Rescaled, h.Earlier = 5, true },
		"no-sets":        func(h *history) { h.NoHistory, h.Recreate = true, true },
		"blinking":       func(h *history) { h.Blinking = true },
		"several":        func(h *history) { h.Sidecar, h.Init, h.Foreign = true, true, true },
		"first":          func(h *history) { h.Replicas, h.Image = 0, image("bad", 1) },
		"first-with-pod": func(h *history) { h.Image, h.Rescaled = image("bad", 1), 1 },
		"dead":           func(h *history) { h.Dead, h.Rescaled = true, 0 },
		"paused-later":   func(h *history) { h.PausedLater, h.Rescaled = true, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := good
			change(&h)
			playing(t, "known-"+name, h, image("late", 4), 0, 0)
		})
	}
}

func play(t *testing.T, number int64) (killed int64) {
	random := rand.New(rand.NewSource(number))
	kinds := []string{"late", "late", "late", "late", "bad"}
	to := image(kinds[random.Intn(len(kinds))], 4)
	return playing(t, fmt.Sprintf("undo-%d", number), some(random), to, max(0, random.Intn(20)-7), max(0, random.Intn(8)-3))
}

// playing plays one history. The release is killed at its write number at, the undoing at
// the one number again; 0 kills nobody.
func playing(t *testing.T, namespace string, h history, to string, at, again int) (killed int64) {
	const run = "run-now"
	w := newWorld(t, namespace)
	defer func() {
		_, _ = running.Do(context.Background(), http.MethodDelete, "/api/v1/namespaces/"+w.namespace, nil)
	}()
	w.before(h)
	images, replicas := w.images("app"), w.replicas("app")
	if h.Dead {
		w.release(w.Context(), history{Autoscaled: -1, Rescaled: -1}, image("late", 3), "run-dead")
		w.run(w.Context(), "canary-weight", "abort", "--app", "app", "--run", "run-dead") // the reaper's work
	}
	h.left, h.leftAt = w.images("app"), w.replicas("app")
	if h.Blinking {
		if err := w.kubelet.Blink(w.Context(), w.namespace, true); err != nil {
			t.Fatal(err)
		}
	}
	if h.Blinking { // deploy-image must not take it for a first release
		w.run(w.Context(), "deploy-image", "deployment/app", "--container", "app", "--image", to, "--dry-run", "-o", "json")
		if said := w.said[len(w.said)-1]; strings.Contains(said, `"first": true`) && replicas > 0 {
			t.Errorf("what had served is taken for a first release: %+v\n%s", h, said)
		}
	}
	before := w.door.Writes()
	w.release(w.killing(at), h, to, run)
	if h.Blinking {
		if err := w.kubelet.Blink(w.Context(), w.namespace, false); err != nil {
			t.Fatal(err)
		}
	}
	if at > 0 && w.door.Writes()-before >= at {
		killed++
	}
	if again > 0 {
		before = w.door.Writes()
		if w.undo(w.killing(again), to, run); w.door.Writes()-before >= again {
			killed++
		}
	}
	w.door.After(0, nil)
	w.undo(w.Context(), to, run)
	if maps.Equal(w.images("app"), h.left) {
		images = h.left
	}
	w.mustBe(h, images, replicas)
	return killed
}

func (w *world) mustBe(h history, images map[string]string, replicas int) {
	w.Helper()
	story := func() string { return fmt.Sprintf("%+v\n%s", h, strings.Join(w.said, "\n")) }
	for name, image := range w.images("app") {
		if images[name] != image {
			w.Errorf("the container %s has %s, and had %s before\n%s", name, image, images[name], story())
		}
	}
	now, most := w.replicas("app"), max(replicas, int(h.Autoscaled), int(h.Rescaled))
	if maps.Equal(images, h.left) {
		most = max(most, h.leftAt)
	}
	if h.Autoscaled >= 0 {
		replicas = min(replicas, int(h.Autoscaled)) // as it was when stable was changed
	}
	if now < replicas {
		w.Errorf("there are %d replicas, and were %d before\n%s", now, replicas, story())
	}
	if now > most {
		w.Errorf("there are %d replicas, which nobody asked for; before there were %d\n%s", now, replicas, story())
	}
	if canary, err := w.plane.Do(w.Context(), http.MethodGet, w.deployment("app-canary"), nil); err == nil {
		if left, _ := number(canary, "spec", "replicas"); left != 0 {
			w.Errorf("the canary has %d replicas\n%s", left, story())
		}
	}
	if h.PausedLater || h.Paused {
		w.patch(map[string]any{"paused": false})
	}
	if h.Quota == 0 && !w.Failed() {
		w.settle() // and it serves again, where it did
	}
}
