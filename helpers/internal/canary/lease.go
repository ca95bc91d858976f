package canary

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

func (t *Traffic) leaseName() string { return "slipway-" + t.names.App }

// lock takes the Lease that keeps two runs apart. One that another run holds is
// taken only when it has expired by the API server's clock, or by force.
// https://kubernetes.io/docs/concepts/architecture/leases/
func (t *Traffic) lock(ctx context.Context, run string, length time.Duration, force bool) error {
	leases := t.cluster.Coordination().Leases(t.cluster.Namespace)
	seconds := int32(length.Seconds())
	for attempt := 0; ; attempt++ {
		var held *coordinationv1.Lease
		var err error
		if attempt > 0 { // mostly there is none, and to ask first costs a request
			held, err = leases.Get(ctx, t.leaseName(), metav1.GetOptions{})
		}
		now := metav1.NewMicroTime(t.cluster.Now())
		wanted := coordinationv1.LeaseSpec{HolderIdentity: &run, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now}
		switch {
		case attempt == 0 || apierrors.IsNotFound(err):
			err = t.write(ctx, func(ctx context.Context) error {
				made := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: t.leaseName()}, Spec: wanted}
				_, err := leases.Create(ctx, made, metav1.CreateOptions{})
				return err
			})
		case err != nil:
		case !force && holder(held) != run && !expired(held, now.Time):
			return t.heldBy(holder(held), held.Spec.RenewTime.Add(duration(held)))
		default:
			held.Spec = wanted
			err = t.write(ctx, func(ctx context.Context) error {
				_, err := leases.Update(ctx, held, metav1.UpdateOptions{})
				return err
			})
		}
		if err == nil {
			return nil
		}
		// Somebody else was faster: look again who it was.
		if (apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)) && attempt < 4 {
			continue
		}
		return kube.Explain(err, "taking the lease "+t.leaseName())
	}
}

func (t *Traffic) heldBy(run string, until time.Time) error {
	return slipway.Errorf(slipway.Conflict, "another run has the canary of %s: %s, until "+
		"%s", t.names.App, run, until.UTC().Format(time.RFC3339)).
		Next("let it finish, or undo it: %s", t.undoCommand())
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

// holding tells who holds the Lease, and until when; nobody where it is free or expired.
func (t *Traffic) holding(ctx context.Context) (*coordinationv1.Lease, bool, error) {
	held, err := t.cluster.Coordination().Leases(t.cluster.Namespace).Get(ctx, t.leaseName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, kube.Explain(err, "reading the lease "+t.leaseName())
	}
	return held, !expired(held, t.cluster.Now()), nil
}

// unlock lets go of the Lease where may says so of its holder.
func (t *Traffic) unlock(ctx context.Context, may func(holder string, live bool) bool) error {
	held, live, err := t.holding(ctx)
	if err != nil || held == nil || !may(holder(held), live) {
		return err
	}
	err = t.write(ctx, func(ctx context.Context) error {
		return t.cluster.Coordination().
			Leases(t.cluster.Namespace).
			Delete(ctx, t.leaseName(),
				metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &held.UID, ResourceVersion: &held.ResourceVersion}})
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return kube.Explain(err, "letting go of the lease "+t.leaseName())
	}
	return nil
}

func heldByRun(run string) func(string, bool) bool {
	return func(holder string, _ bool) bool { return holder == run }
}
