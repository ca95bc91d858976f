package plane

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Pod is what the loop needs to know of one.
type Pod struct {
	Metadata struct {
		Name, Namespace   string
		DeletionTimestamp string
		Labels            map[string]string
	}
	Spec struct {
		Containers, InitContainers []struct{ Name, Image string }
	}
	Status struct{ PodIP string }
}

func (p Pod) path() string {
	return "/api/v1/namespaces/" + p.Metadata.Namespace + "/pods/" + p.Metadata.Name
}

// node is where all pods are.
const node = "node1"

// Kubelet is the loop.
type Kubelet struct {
	plane *Plane
	ready func(Pod) bool
	began time.Time

	lock    sync.Mutex
	unready map[string]bool // namespaces in which every pod has just lost its readiness
	next    int             // for addresses
}

// Kubelet says of each pod what ready says, until the context ends.
func (p *Plane) Kubelet(ctx context.Context, ready func(Pod) bool) *Kubelet {
	k := &Kubelet{plane: p, ready: ready, began: time.Now(), unready: map[string]bool{}}
	go func() {
		for ctx.Err() == nil {
			_ = k.follow(ctx) // the watch ends now and then, and is begun anew
		}
	}()
	return k
}

func (k *Kubelet) follow(ctx context.Context) error {
	response, err := k.plane.open(ctx, http.MethodGet, "/api/v1/pods?watch=true", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	events := json.NewDecoder(response.Body)
	// Endpoints are those of pods on a Node; that there is one already is as good.
	_, _ = k.plane.Do(ctx, http.MethodPost, "/api/v1/nodes", map[string]any{"metadata": map[string]any{"name": node}})
	for {
		var event struct {
			Type   string
			Object Pod
		}
		if err := events.Decode(&event); err != nil {
			return err
		}
		pod := event.Object
		switch {
		case event.Type == "DELETED" || event.Type == "ERROR":
		case pod.Metadata.DeletionTimestamp != "":
			_, _ = k.plane.Do(ctx, http.MethodDelete, pod.path()+"?gracePeriodSeconds=0", nil) // gone already is as good
		case pod.Status.PodIP == "":
			// A pod that is gone again needs nothing.
			_, _ = k.plane.Do(ctx, http.MethodPost, pod.path()+"/binding",
				map[string]any{"metadata": map[string]any{"name": pod.Metadata.Name}, "target": map[string]any{"kind": "Node", "name": node}})
			_ = k.say(ctx, pod, true)
		}
	}
}

// say writes the status of a pod that runs.
func (k *Kubelet) say(ctx context.Context, pod Pod, begins bool) error {
	k.lock.Lock()
	k.next++
	address := fmt.Sprintf("10.%d.%d.%d", 1+k.next>>16&0x7f, k.next>>8&0xff, k.next&0xff)
	up := k.ready(pod) && !k.unready[pod.Metadata.Namespace]
	k.lock.Unlock()
	now := time.Now().UTC().Format(time.RFC3339)
	word := map[bool]string{true: "True", false: "False"}[up]
	condition := func(kind, status string) map[string]any {
		return map[string]any{"type": kind, "status": status, "lastTransitionTime": now}
	}
	status := map[string]any{
		"phase": "Running",
		"conditions": []any{
			condition("PodScheduled", "True"),
			condition("Initialized", "True"),
			condition("ContainersReady", word),
			condition("Ready", word),
		},
	}
	if begins {
		status["startTime"], status["podIP"], status["podIPs"] = now, address, []any{map[string]any{"ip": address}}
	}
	var containers []any
	for _, container := range pod.Spec.Containers {
		containers = append(
			containers,
			map[string]any{
				"name":         container.Name,
				"image":        container.Image,
				"imageID":      container.Image,
				"ready":        up,
				"started":      true,
				"restartCount": 0,
				"state":        map[string]any{"running": map[string]any{"startedAt": k.began.UTC().Format(time.RFC3339)}},
			},
		)
	}
	status["containerStatuses"] = containers
	_, err := k.plane.Do(ctx, http.MethodPatch, pod.path()+"/status", map[string]any{"status": status})
	return err
}

// Blink takes the readiness of all pods of the namespace away, or gives it back.
func (k *Kubelet) Blink(ctx context.Context, namespace string, away bool) error {
	k.lock.Lock()
	k.unready[namespace] = away
	k.lock.Unlock()
	list, err := k.plane.Do(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods", nil)
	if err != nil {
		return err
	}
	body, err := json.Marshal(list["items"])
	if err != nil {
		return err
	}
	var pods []Pod
	if err := json.Unmarshal(body, &pods); err != nil {
		return err
	}
	for _, pod := range pods {
		if err := k.say(ctx, pod, false); err != nil && !strings.Contains(err.Error(), "404") {
			return err
		}
	}
	return nil
}
