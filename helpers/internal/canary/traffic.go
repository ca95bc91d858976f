package canary

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// Names are what a canary is about.
type Names struct {
	App     string // names the Lease
	Stable  string // a Deployment
	Canary  string // a Deployment
	Service string // that selects both, or empty to look for it
	Route   string // an HTTPRoute, or empty to look for it
}

// Traffic is the traffic of one application, and who gets it.
type Traffic struct {
	cluster *kube.Cluster
	names   Names
	stable  *appsv1.Deployment
	canary  *appsv1.Deployment
	router  router
	log     func(format string, arguments ...any)
}

// router is how a share of the traffic is given.
type router interface {
	name() string
	// plan says what to change for the weight, and the share that this will give, in percent.
	plan(weight int, previous State, limits Limits) (State, float64)
	// state reads what is so now.
	state(ctx context.Context) (State, error)
	// put makes it so; it returns when it is in effect.
	put(ctx context.Context, wanted State) error
	// measured is the share that is true now, in percent.
	measured(ctx context.Context) (float64, error)
}

// Open reads the two Deployments and chooses the router: the one that is named,
// else a gateway's route that names the two Services, else the shared Service.
func Open(ctx context.Context, cluster *kube.Cluster, names Names, routerName string, log func(string, ...any)) (*Traffic, error) {
	if names.Stable == names.Canary {
		return nil, slipway.Usagef("--stable and --canary both name deployment/%s", names.Stable)
	}
	t := &Traffic{cluster: cluster, names: names, log: log}
	if err := t.read(ctx); err != nil {
		return nil, err
	}
	var err error
	switch routerName {
	case "service":
		t.router, err = newServiceRouter(ctx, t)
	case "gateway":
		t.router, err = newGatewayRouter(ctx, t)
	case "":
		t.router, err = t.detect(ctx)
	default:
		err = slipway.Usagef("--router %q is none of service, gateway", routerName)
	}
	return t, err
}

func (t *Traffic) detect(ctx context.Context) (router, error) {
	if journal, err := readJournal(t.canary.Annotations); err == nil && journal != nil && journal.Router == "service" {
		return newServiceRouter(ctx, t) // what was begun with one router is ended with it
	}
	gateway, err := newGatewayRouter(ctx, t)
	if err == nil {
		t.log("router gateway: httproute/%s refers to both Services", gateway.route)
		return gateway, nil
	}
	return newServiceRouter(ctx, t)
}

func (t *Traffic) read(ctx context.Context) error {
	deployments := t.cluster.Apps().Deployments(t.cluster.Namespace)
	var err error
	if t.stable, err = deployments.Get(ctx, t.names.Stable, metav1.GetOptions{}); err != nil {
		return kube.Explain(err, "reading deployment/"+t.names.Stable)
	}
	if t.canary, err = deployments.Get(ctx, t.names.Canary, metav1.GetOptions{}); err != nil {
		return kube.Explain(err, "reading deployment/"+t.names.Canary)
	}
	return nil
}

func replicas(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// scale sets a Deployment's replicas, where they differ, through the scale
// subresource, so that the right to do it is the right to do just that.
func (t *Traffic) scale(ctx context.Context, name string, wanted int32) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"replicas": wanted}})
	if err != nil {
		return err
	}
	if _, err := t.cluster.Apps().Deployments(t.cluster.Namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}, "scale"); err != nil {
		return kube.Explain(err, fmt.Sprintf("scaling deployment/%s to %d", name, wanted))
	}
	return nil
}

// SetOptions say how much, and under whose name.
type SetOptions struct {
	Weight    int // 0 to 100
	Run       string
	Expires   time.Duration
	Tolerance float64 // points
	Limits    Limits  // Stable is filled in
}

// Outcome is what set, abort and get answer.
type Outcome struct {
	App       string    `json:"app"`
	Router    string    `json:"router"`
	Run       string    `json:"run,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	Until     time.Time `json:"until,omitzero"`
	Requested int       `json:"requested"`
	Achieved  float64   `json:"achieved"` // percent
	Stable    int32     `json:"stableReplicas"`
	Canary    int32     `json:"canaryReplicas"`
	Note      string    `json:"note,omitempty"`
}

// Set gives the canary its share: first the journal, then the change. It
// returns when the share is in effect, or with what stands in the way.
func (t *Traffic) Set(ctx context.Context, options SetOptions) (Outcome, error) {
	if options.Weight == 0 {
		return t.Abort(ctx, AbortOptions{Run: options.Run})
	}
	if replicas(t.stable) == 0 {
		return Outcome{}, slipway.Errorf(slipway.No, "deployment/%s runs no pod: there is nothing that a canary could share the traffic with", t.names.Stable).
			Next("a first release goes there by itself: deploy-image -n %s deployment/%s --image REPOSITORY:TAG@DIGEST --replicas N", t.cluster.Namespace, t.names.Stable)
	}
	if err := t.lock(ctx, options.Run, options.Expires, false); err != nil {
		return Outcome{}, err
	}
	journal, err := readJournal(t.canary.Annotations)
	if err != nil {
		return Outcome{}, err
	}
	if journal != nil && journal.Run != options.Run {
		t.log("the run %s left a canary behind: undoing it first", journal.Run)
		if err := t.undo(ctx, journal); err != nil {
			return Outcome{}, err
		}
		if err := t.read(ctx); err != nil {
			return Outcome{}, err
		}
		journal = nil
	}
	now := t.cluster.Now().UTC().Truncate(time.Second)
	if journal == nil {
		previous, err := t.router.state(ctx)
		if err != nil {
			return Outcome{}, err
		}
		journal = &Journal{Run: options.Run, Router: t.router.name(), StartedAt: now, Previous: previous}
	}
	limits := options.Limits
	limits.Stable = int(journal.Previous.Stable)
	if limits.MinStable < 0 {
		limits.MinStable = limits.Stable
	}
	wanted, achievable := t.router.plan(options.Weight, journal.Previous, limits)
	if distance := abs64(achievable - float64(options.Weight)); distance > options.Tolerance {
		return Outcome{}, t.withoutChange(ctx, options.Run, journal, slipway.Errorf(slipway.No, "%d %% cannot be had: the nearest is %.1f %% with %d stable and %d canary pods, %.1f points off", options.Weight, achievable, wanted.Stable, wanted.Canary, distance).
			Next("allow more pods (--max-extra), a greater --tolerance, or choose --router gateway"))
	}
	journal.Weight, journal.ExpiresAt = options.Weight, now.Add(options.Expires)
	if err := t.writeJournal(ctx, journal); err != nil {
		return Outcome{}, err
	}
	if err := t.router.put(ctx, wanted); err != nil {
		return Outcome{}, err
	}
	achieved, err := t.router.measured(ctx)
	outcome := t.outcome(journal, wanted, achieved)
	if err == nil && abs64(achieved-float64(options.Weight)) > options.Tolerance {
		err = slipway.Errorf(slipway.No, "asked for %d %%, and %.1f %% is what is true", options.Weight, achieved).Next("look at the endpoints: canary-weight verify")
	}
	return outcome, err
}

// withoutChange lets go of what set took before it changed anything.
func (t *Traffic) withoutChange(ctx context.Context, run string, journal *Journal, cause error) error {
	if journal.Weight == 0 { // nothing of this run stands
		if err := t.unlock(ctx, run); err != nil {
			return err
		}
	}
	return cause
}

func abs64(x float64) float64 { return max(x, -x) }

func (t *Traffic) outcome(journal *Journal, state State, achieved float64) Outcome {
	o := Outcome{App: t.names.App, Router: t.router.name(), Achieved: achieved, Stable: state.Stable, Canary: state.Canary}
	if journal != nil {
		o.Run, o.Since, o.Until, o.Requested = journal.Run, journal.StartedAt, journal.ExpiresAt, journal.Weight
	}
	return o
}

// AbortOptions say whose canary to undo.
type AbortOptions struct {
	Run     string // only what this run began; empty undoes whoever's it is
	Expired bool   // only what is past its time
}

// Abort takes all traffic back to stable and puts the replicas back. It can be
// killed and run again at any instant, and it does nothing where there is nothing to undo.
func (t *Traffic) Abort(ctx context.Context, options AbortOptions) (Outcome, error) {
	journal, err := readJournal(t.canary.Annotations)
	if err != nil {
		return Outcome{}, err
	}
	state, err := t.router.state(ctx)
	if err != nil {
		return Outcome{}, err
	}
	outcome := t.outcome(journal, state, 0)
	if outcome.Achieved, err = t.router.measured(ctx); err != nil {
		return outcome, err
	}
	switch {
	case journal == nil:
		outcome.Note = "there is nothing to undo"
		return outcome, t.unlock(ctx, options.Run)
	case options.Run != "" && journal.Run != options.Run:
		outcome.Note = "the canary is another run's, and was left alone: " + journal.Run
		return outcome, nil
	case options.Expired && t.cluster.Now().Before(journal.ExpiresAt):
		outcome.Note = fmt.Sprintf("the canary of %s may stay until %s", journal.Run, journal.ExpiresAt.Format(time.RFC3339))
		return outcome, nil
	}
	// Whoever undoes takes the Lease from whom it undoes.
	if err := t.lock(ctx, journal.Run, time.Minute, true); err != nil {
		return outcome, err
	}
	if err := t.undo(ctx, journal); err != nil {
		return outcome, err
	}
	if err := t.unlock(ctx, journal.Run); err != nil {
		return outcome, err
	}
	outcome.Stable, outcome.Canary, outcome.Achieved, outcome.Requested = journal.Previous.Stable, journal.Previous.Canary, 0, 0
	outcome.Note = fmt.Sprintf("all traffic is on stable again; undone what %s began", journal.Run)
	return outcome, nil
}

// undo puts back what the journal says, then forgets it.
func (t *Traffic) undo(ctx context.Context, journal *Journal) error {
	if err := t.router.put(ctx, journal.Previous); err != nil {
		return err
	}
	return t.writeJournal(ctx, nil)
}

// Get says what is so, in a few lines.
func (t *Traffic) Get(ctx context.Context) (Outcome, error) {
	journal, err := readJournal(t.canary.Annotations)
	if err != nil {
		return Outcome{}, err
	}
	state, err := t.router.state(ctx)
	if err != nil {
		return Outcome{}, err
	}
	achieved, err := t.router.measured(ctx)
	return t.outcome(journal, state, achieved), err
}
