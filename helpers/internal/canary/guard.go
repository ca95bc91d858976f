package canary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/helpers/internal/kube"
)

// A set that somebody undoes while it still runs must not change anything after
// the undoing. The journal is the guard. Whoever undoes rewrites it first; what
// changes the canary's Deployment tests it in the same request. Another object
// is marked first, then the journal is read again, then the object is changed if
// it is still as it was marked: whoever undoes has either seen the mark, and took
// it off, or had rewritten the journal before it was read.

// MarkAnnotation names the run on an object that a canary has changed beside the canary's Deployment.
const MarkAnnotation = "slipway.dev/canary-run"

// errSuperseded says that the journal is no longer the one that this call goes by.
var errSuperseded = errors.New("the canary's journal was changed by somebody else")

// operation is one of a JSON patch. https://www.rfc-editor.org/rfc/rfc6902
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

func test(path string, value any) operation    { return operation{"test", path, value} }
func replace(path string, value any) operation { return operation{"replace", path, value} }

// A value of 0 must be written, which omitempty would leave out.
func (o operation) MarshalJSON() ([]byte, error) {
	if o.Op == "remove" {
		return json.Marshal(map[string]any{"op": o.Op, "path": o.Path})
	}
	return json.Marshal(map[string]any{"op": o.Op, "path": o.Path, "value": o.Value})
}

const (
	journalPath = "/metadata/annotations/slipway.dev~1canary"
	markPath    = "/metadata/annotations/slipway.dev~1canary-run"
	// of rollout.CanaryReplicasAnnotation
	replicasBeforePath = "/metadata/annotations/slipway.dev~1replicas-before-canary"
)

// write sends one request that a signal does not cut short; after a signal none is begun.
func (t *Traffic) write(ctx context.Context, send func(context.Context) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	unhurried, cancel := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second)
	defer cancel()
	return send(unhurried)
}

// changeCanary changes the canary's Deployment if the journal on it is the one this call goes by.
func (t *Traffic) changeCanary(ctx context.Context, doing string, operations ...operation) error {
	patch, err := json.Marshal(append([]operation{test(journalPath, t.fence)}, operations...))
	if err != nil {
		return err
	}
	err = t.write(ctx, func(ctx context.Context) error {
		changed, err := t.cluster.Apps().
			Deployments(t.cluster.Namespace).
			Patch(ctx, t.names.Canary, types.JSONPatchType, patch, metav1.PatchOptions{})
		if err == nil {
			t.canary = changed
		}
		return err
	})
	if apierrors.IsInvalid(err) {
		if guardErr := t.guard(ctx); guardErr != nil {
			return guardErr
		}
	}
	if err != nil {
		return kube.Explain(err, doing)
	}
	return nil
}

// guard reads the journal again.
func (t *Traffic) guard(ctx context.Context) error {
	canary, err := t.cluster.Apps().Deployments(t.cluster.Namespace).Get(ctx, t.names.Canary, metav1.GetOptions{})
	if err != nil {
		return kube.Explain(err, "reading deployment/"+t.names.Canary)
	}
	if canary.Annotations[JournalAnnotation] != t.fence {
		return errSuperseded
	}
	return nil
}

// object is one that is changed beside the canary's Deployment.
type object struct {
	resource schema.GroupVersionResource
	kind     string // as kubectl names it
	name     string
}

func (o object) String() string { return o.kind + "/" + o.name }

func (t *Traffic) readObject(ctx context.Context, o object) (*unstructured.Unstructured, error) {
	found, err := t.cluster.Dynamic().Resource(o.resource).Namespace(t.cluster.Namespace).Get(ctx, o.name, metav1.GetOptions{})
	if err != nil {
		return nil, kube.Explain(err, "reading "+o.String())
	}
	return found, nil
}

// markObject says on the object whose canary it is.
func (t *Traffic) markObject(ctx context.Context, o object, mark string) (*unstructured.Unstructured, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{MarkAnnotation: mark}}})
	if err != nil {
		return nil, err
	}
	var marked *unstructured.Unstructured
	err = t.write(ctx, func(ctx context.Context) error {
		marked, err = t.cluster.Dynamic().
			Resource(o.resource).
			Namespace(t.cluster.Namespace).
			Patch(ctx, o.name, types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
	if err != nil {
		return nil, kube.Explain(err, "marking "+o.String())
	}
	return marked, nil
}

// change makes of the object what build says, where anything is to be changed,
// if neither it nor the journal has changed since it was read. With a mark it is
// set's, which marks first; without one it is the undoing, which takes the mark off.
func (t *Traffic) change(
	ctx context.Context,
	o object,
	mark string,
	build func(*unstructured.Unstructured) ([]operation, error),
) (*unstructured.Unstructured, error) {
	const attempts = 10
	for attempt := 1; ; attempt++ {
		var before *unstructured.Unstructured
		var err error
		if mark != "" {
			before, err = t.markObject(ctx, o, mark)
		} else {
			before, err = t.readObject(ctx, o)
		}
		if err != nil {
			return nil, err
		}
		operations, err := build(before)
		if err != nil {
			return nil, err
		}
		if _, marked := before.GetAnnotations()[MarkAnnotation]; marked && mark == "" {
			operations = append(operations, operation{Op: "remove", Path: markPath})
		}
		if len(operations) == 0 {
			return before, nil
		}
		if err := t.guard(ctx); err != nil {
			if mark != "" && errors.Is(err, errSuperseded) {
				err = errors.Join(err, t.unmark(ctx, o, mark))
			}
			return nil, err
		}
		patch, err := json.Marshal(append(unchanged(o, before, mark), operations...))
		if err != nil {
			return nil, err
		}
		var changed *unstructured.Unstructured
		err = t.write(ctx, func(ctx context.Context) error {
			changed, err = t.cluster.Dynamic().
				Resource(o.resource).
				Namespace(t.cluster.Namespace).
				Patch(ctx, o.name, types.JSONPatchType, patch, metav1.PatchOptions{})
			return err
		})
		switch {
		case err == nil:
			return changed, nil
		case (apierrors.IsInvalid(err) || apierrors.IsConflict(err)) && attempt < attempts:
		default:
			return nil, kube.Explain(err, "changing "+o.String())
		}
	}
}

// unchanged tests that an object is as it was read. A Deployment's status changes
// with each pod, which is nobody's change: its spec and the mark are what counts.
func unchanged(o object, read *unstructured.Unstructured, mark string) []operation {
	if o.resource != deploymentResource {
		return []operation{test("/metadata/resourceVersion", read.GetResourceVersion())}
	}
	tests := []operation{test("/metadata/generation", read.GetGeneration())}
	if mark != "" {
		tests = append(tests, test(markPath, mark))
	}
	return tests
}

// unmark takes this call's own mark off again, and no other.
func (t *Traffic) unmark(ctx context.Context, o object, mark string) error {
	patch, err := json.Marshal([]operation{test(markPath, mark), {Op: "remove", Path: markPath}})
	if err != nil {
		return err
	}
	err = t.write(ctx, func(ctx context.Context) error {
		_, err := t.cluster.Dynamic().
			Resource(o.resource).
			Namespace(t.cluster.Namespace).
			Patch(ctx, o.name, types.JSONPatchType, patch, metav1.PatchOptions{})
		return err
	})
	if err != nil && !apierrors.IsInvalid(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("taking the mark off %s: %w", o, err)
	}
	return nil
}
