package canary

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// JournalAnnotation is on the canary's Deployment while there is something to undo.
const JournalAnnotation = "slipway.dev/canary"

// Journal says how to undo, and until when the canary may stay. It is written
// before the first change and removed after the last.
type Journal struct {
	Run       string    `json:"run"` // who began: a build's URL, or a person at a host
	Router    string    `json:"router"`
	Weight    int       `json:"weight"` // asked for, in percent
	StartedAt time.Time `json:"startedAt"`
	ExpiresAt time.Time `json:"expiresAt"`
	Previous  State     `json:"previous"`
}

// State is what set changes.
type State struct {
	Stable  int32 `json:"stable"`  // replicas
	Canary  int32 `json:"canary"`  // replicas
	Weights []int `json:"weights"` // of a route: stable's, canary's; none with the service router
}

func readJournal(annotations map[string]string) (*Journal, error) {
	body, found := annotations[JournalAnnotation]
	if !found {
		return nil, nil
	}
	var journal Journal
	if err := json.Unmarshal([]byte(body), &journal); err != nil {
		return nil, slipway.Errorf(slipway.Conflict, "the annotation %s cannot be read, so that nobody knows what to undo", JournalAnnotation).Because(err).
			Next("set the canary's and stable's replicas and the route's weights by hand, then remove the annotation")
	}
	return &journal, nil
}

// writeJournal writes it, or removes it where journal is nil.
func (t *Traffic) writeJournal(ctx context.Context, journal *Journal) error {
	var value any
	if journal != nil {
		body, err := json.Marshal(journal)
		if err != nil {
			return err
		}
		value = string(body)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{JournalAnnotation: value}}})
	if err != nil {
		return err
	}
	if _, err := t.cluster.Apps().Deployments(t.cluster.Namespace).Patch(ctx, t.names.Canary, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return kube.Explain(err, "writing down how to undo, on deployment/"+t.names.Canary)
	}
	return nil
}

func (t *Traffic) leaseName() string { return "slipway-" + t.names.App }

// lock takes the Lease that keeps two runs apart. One that another run holds is
// taken only when it has expired by the API server's clock, or by force.
func (t *Traffic) lock(ctx context.Context, run string, length time.Duration, force bool) error {
	leases := t.cluster.Coordination().Leases(t.cluster.Namespace)
	doing := "taking the lease " + t.leaseName()
	seconds := int32(length.Seconds())
	for attempt := 0; ; attempt++ {
		held, err := leases.Get(ctx, t.leaseName(), metav1.GetOptions{})
		now := metav1.NewMicroTime(t.cluster.Now())
		wanted := coordinationv1.LeaseSpec{HolderIdentity: &run, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now}
		switch {
		case apierrors.IsNotFound(err):
			_, err = leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: t.leaseName()}, Spec: wanted}, metav1.CreateOptions{})
		case err != nil:
		case !force && holder(held) != run && !expired(held, now.Time):
			return slipway.Errorf(slipway.Conflict, "another run holds the traffic of %s: %s, until %s", t.names.App, holder(held), held.Spec.RenewTime.Add(duration(held)).UTC().Format(time.RFC3339)).
				Next("let it finish, or undo it: canary-weight abort")
		default:
			held.Spec = wanted
			_, err = leases.Update(ctx, held, metav1.UpdateOptions{})
		}
		if err == nil {
			return nil
		}
		// Somebody else was faster: look again who it was.
		if (apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)) && attempt < 3 {
			continue
		}
		return kube.Explain(err, doing)
	}
}

func holder(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

func duration(lease *coordinationv1.Lease) time.Duration {
	if lease.Spec.LeaseDurationSeconds == nil {
		return 0
	}
	return time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second
}

func expired(lease *coordinationv1.Lease, now time.Time) bool {
	return lease.Spec.RenewTime == nil || lease.Spec.RenewTime.Add(duration(lease)).Before(now)
}

// unlock lets go of the Lease, if it is still this run's.
func (t *Traffic) unlock(ctx context.Context, run string) error {
	leases := t.cluster.Coordination().Leases(t.cluster.Namespace)
	held, err := leases.Get(ctx, t.leaseName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && holder(held) != run {
		return nil
	}
	if err == nil {
		err = leases.Delete(ctx, t.leaseName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &held.UID, ResourceVersion: &held.ResourceVersion}})
	}
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return kube.Explain(err, fmt.Sprintf("letting go of the lease %s", t.leaseName()))
	}
	return nil
}
