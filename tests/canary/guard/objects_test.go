//go:build lab

package guard

import (
	"context"
	"net/http"
	"strings"
	"time"

	"slipway.dev/slipway/tests/canary/plane"
)

// send asks for a change that is not stored, and gives the answer, what was warned of, and the refusal.
func send(ctx context.Context, p *plane.Plane, method, path string, body any) (map[string]any, string, error) {
	answer, header, err := p.Send(ctx, method, path+"?dryRun=All", body)
	return answer, strings.Join(header.Values("Warning"), "\n"), err
}

func pairs(words ...string) map[string]any {
	all := map[string]any{}
	for i := 0; i+1 < len(words); i += 2 {
		all[words[i]] = words[i+1]
	}
	return all
}

func object(kind, name string, spec any, annotations ...string) map[string]any {
	return map[string]any{"kind": kind, "metadata": map[string]any{"name": name, "annotations": pairs(annotations...)}, "spec": spec}
}

func pod(n int) map[string]any { return running(image(n)) }

func running(image string) map[string]any {
	return map[string]any{"containers": []any{map[string]any{"name": "app", "image": image}}}
}

func template(n int, annotations ...string) map[string]any {
	return templateOf(running(image(n)), annotations...)
}

// templateOf is what a Deployment, a ReplicaSet, a DaemonSet and a StatefulSet have alike.
func templateOf(pod map[string]any, annotations ...string) map[string]any {
	labels := map[string]any{"app": "app"}
	return map[string]any{"selector": map[string]any{"matchLabels": labels},
		"template": map[string]any{"metadata": map[string]any{"labels": labels, "annotations": pairs(annotations...)}, "spec": pod}}
}

func with(spec map[string]any, key string, value any) map[string]any {
	all := map[string]any{key: value}
	for name, each := range spec {
		if name != key {
			all[name] = each
		}
	}
	return all
}

// revision is what the controllers of StatefulSets and DaemonSets go back to.
func revision(annotations ...string) map[string]any {
	return map[string]any{"kind": "ControllerRevision", "metadata": map[string]any{"name": "new"}, "revision": 1,
		"data": map[string]any{"spec": map[string]any{"template": template(9, annotations...)["template"]}}}
}

func once(spec map[string]any) map[string]any { return with(spec, "restartPolicy", "Never") }

func job(n int) map[string]any {
	return map[string]any{"template": map[string]any{"spec": once(pod(n))}}
}

func cron(n int) map[string]any {
	return map[string]any{"schedule": "* * * * *", "jobTemplate": map[string]any{"spec": job(n)}}
}

func ingress(service string) map[string]any {
	return map[string]any{"defaultBackend": map[string]any{"service": map[string]any{"name": service, "port": map[string]any{"number": 80}}}}
}

func annotated(pairs map[string]any) map[string]any {
	return map[string]any{"metadata": map[string]any{"annotations": pairs}}
}

func spec(value map[string]any) map[string]any { return map[string]any{"spec": value} }

// images is a strategic merge patch of a Deployment's one container.
func images(image string) map[string]any {
	return spec(map[string]any{"template": spec(running(image))})
}

const (
	minute = time.Minute
	second = time.Second
	post   = http.MethodPost
	patch  = http.MethodPatch
	remove = http.MethodDelete
)

// as is the plane for that user; without a name it is the administrator's.
func as(user string) *plane.Plane {
	switch {
	case user == "":
		return server
	case user == rescuer:
		return server.As(user, "slipway-break-glass")
	case strings.HasPrefix(user, "system:serviceaccount:"):
		return server.As(user, "system:serviceaccounts")
	}
	return server.As(user)
}
