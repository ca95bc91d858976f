package canary

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// Names are what a canary is about.
type Names struct {
	App     string // names the Lease
	Stable  string // a Deployment
	Canary  string // a Deployment
	Router  string // one of Routers, or empty to look what refers to the two versions
	Service string // that selects both, or empty to look for it
	Route   string // the HTTPRoute, TraefikService, VirtualService or canary Ingress, or empty to look for it
}

// Traffic is the traffic of one application, and who gets it.
type Traffic struct {
	cluster *kube.Cluster
	names   Names
	stable  *appsv1.Deployment
	canary  *appsv1.Deployment
	route   Route
	router  router
	seen    map[string]any // the route as the search for it found it, until it is read
	fence   string         // the journal that this call goes by, as it stands in the annotation
	log     func(format string, arguments ...any)
}

// Open reads the two Deployments.
func Open(ctx context.Context, cluster *kube.Cluster, names Names, log func(string, ...any)) (*Traffic, error) {
	if names.Stable == names.Canary {
		return nil, slipway.Usagef("--stable and --canary both name deployment/%s", names.Stable)
	}
	// Few and small objects: JSON can be read on its way, by a proxy or in an audit log.
	cluster.Config.ContentType = runtime.ContentTypeJSON
	t := &Traffic{cluster: cluster, names: names, log: log}
	return t, t.read(ctx)
}

func (t *Traffic) read(ctx context.Context) error {
	deployments := t.cluster.Apps().Deployments(t.cluster.Namespace)
	var err error
	if t.stable, err = deployments.Get(ctx, t.names.Stable, metav1.GetOptions{}); err != nil {
		return kube.Explain(err, "reading deployment/"+t.names.Stable)
	}
	return t.readCanary(ctx)
}

func (t *Traffic) readCanary(ctx context.Context) error {
	var err error
	if t.canary, err = t.cluster.Apps().Deployments(t.cluster.Namespace).Get(ctx, t.names.Canary, metav1.GetOptions{}); err != nil {
		return kube.Explain(err, "reading deployment/"+t.names.Canary)
	}
	return nil
}

// undoCommand is what a person types to undo.
func (t *Traffic) undoCommand() string {
	command := fmt.Sprintf("canary-weight abort -n %s --app %s", t.cluster.Namespace, t.names.App)
	if t.names.Stable != t.names.App {
		command += " --stable " + t.names.Stable
	}
	if t.names.Canary != t.names.Stable+"-canary" {
		command += " --canary " + t.names.Canary
	}
	return command
}

// scaleStable sets stable's replicas; they are marked as a canary's, or the mark is taken off.
func (t *Traffic) scaleStable(ctx context.Context, mark string, wanted func(now int32) int32) error {
	stable := object{deploymentResource, "deployment", t.names.Stable}
	_, err := t.change(ctx, stable, mark, func(found *unstructured.Unstructured) ([]operation, error) {
		now, there, err := unstructured.NestedInt64(found.Object, "spec", "replicas")
		if err != nil || !there {
			return nil, fmt.Errorf("reading the replicas of %s: %w", stable, err)
		}
		to := wanted(int32(now))
		t.stable.Spec.Replicas = &to
		if to == int32(now) {
			return nil, nil
		}
		return []operation{replace("/spec/replicas", to)}, nil
	})
	return err
}

func (t *Traffic) scaleCanary(ctx context.Context, wanted int32) error {
	return t.changeCanary(ctx, fmt.Sprintf("scaling deployment/%s to %d", t.names.Canary, wanted), replace("/spec/replicas", wanted))
}

// give moves the traffic to what is wanted: what grows grows first and is waited
// for, then the route is changed, then what shrinks shrinks, so that no version
// gets requests that it has no pods for.
func (t *Traffic) give(ctx context.Context, wanted State, mark string, timeout time.Duration) (Counts, error) {
	followed := t.endpoints(t.route.Service)
	defer followed.stop()
	ofStable := t.route.Router == "service" // the other routers leave stable's pods alone
	to := func(int32) int32 { return wanted.Stable }
	stableBefore, canaryBefore := replicas(t.stable), replicas(t.canary)
	if ofStable && wanted.Stable > stableBefore {
		if err := t.scaleStable(ctx, mark, to); err != nil {
			return followed.now, err
		}
	}
	if wanted.Canary > canaryBefore {
		if err := t.scaleCanary(ctx, wanted.Canary); err != nil {
			return followed.now, err
		}
	}
	err := followed.until(ctx, timeout, func(c Counts) bool {
		return (!ofStable || c.Stable >= int(wanted.Stable)) && c.Canary >= int(wanted.Canary) && followed.available >= wanted.Canary
	})
	if err != nil {
		return followed.now, err
	}
	if err := t.router.Set(ctx, wanted, mark); err != nil {
		return followed.now, err
	}
	if err := t.router.Accepted(ctx); err != nil {
		return followed.now, err
	}
	if wanted.Canary < canaryBefore {
		if err := t.scaleCanary(ctx, wanted.Canary); err != nil {
			return followed.now, err
		}
	}
	if ofStable && wanted.Stable < stableBefore {
		if err := t.scaleStable(ctx, mark, to); err != nil {
			return followed.now, err
		}
	}
	if !ofStable {
		return followed.now, nil
	}
	err = followed.until(ctx, timeout, func(c Counts) bool {
		return c.Canary <= int(wanted.Canary) && c.Stable <= int(wanted.Stable)
	})
	return followed.now, err
}

// Namespace is where the two Deployments are.
func (t *Traffic) Namespace() string { return t.cluster.Namespace }
