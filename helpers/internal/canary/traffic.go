package canary

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
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
	absent  bool // there is no canary's Deployment
	route   Route
	router  router
	seen    map[string]any          // the route as the search for it found it, until it is read
	fence   string                  // the journal that this call goes by, as it stands in the annotation
	sets    map[types.UID]types.UID // the ReplicaSets that were seen, and the Deployments that own them
	told    *rollout.Results        // rollout-wait's verdict, where set has failed by it
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

// readCanary reads the canary's Deployment. Before the first release that tries one, there
// is none, and so nothing to undo.
func (t *Traffic) readCanary(ctx context.Context) error {
	canary, err := t.cluster.Apps().Deployments(t.cluster.Namespace).Get(ctx, t.names.Canary, metav1.GetOptions{})
	if t.absent = apierrors.IsNotFound(err); t.absent {
		none := int32(0)
		t.canary = &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: t.names.Canary}, Spec: appsv1.DeploymentSpec{Replicas: &none}}
		return nil
	}
	if err != nil {
		return kube.Explain(err, "reading deployment/"+t.names.Canary)
	}
	t.canary = canary
	return nil
}

// noCanary is the answer to what needs one.
func (t *Traffic) noCanary() error {
	return slipway.Errorf(slipway.No, "there is no deployment/%s in the namespace %s", t.names.Canary, t.cluster.Namespace).
		Next("make it from stable's: deploy-image -n %s deployment/%s --like %s --image "+
			"REPOSITORY:TAG@DIGEST", t.cluster.Namespace, t.names.Canary, t.names.Stable)
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
		var operations []operation
		switch _, noted := found.GetAnnotations()[rollout.CanaryReplicasAnnotation]; {
		case mark == "" && noted:
			operations = append(operations, operation{Op: "remove", Path: replicasBeforePath})
		case mark != "" && !noted && to != int32(now):
			operations = append(operations, operation{"add", replicasBeforePath, fmt.Sprint(now)})
		}
		if to != int32(now) {
			operations = append(operations, replace("/spec/replicas", to))
		}
		return operations, nil
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
	err := t.grown(ctx, followed, timeout, ofStable && wanted.Stable > stableBefore, func(c Counts) bool {
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

// grown waits until the pods that were asked for are there, or rollout-wait knows why
// they will not be.
func (t *Traffic) grown(ctx context.Context, followed *endpoints, timeout time.Duration, ofStable bool, wanted func(Counts) bool) error {
	judging, stop := context.WithCancel(ctx)
	defer stop()
	growing := []string{t.names.Canary}
	if ofStable {
		growing = append(growing, t.names.Stable)
	}
	followed.verdict = t.judge(judging, timeout, growing...)
	defer func() {
		followed.verdict.stop()
		followed.verdict = nil
	}()
	return followed.until(ctx, timeout, wanted)
}

// Namespace is where the two Deployments are.
func (t *Traffic) Namespace() string { return t.cluster.Namespace }
