package canary

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Extend lets the run's own canary stay for so long from now. A run gives its canary a short
// time, and a longer one only with each step that it comes to.
func (t *Traffic) Extend(ctx context.Context, run string, length time.Duration) error {
	for attempt := 0; ; attempt++ {
		journal, err := ReadJournal(t.canary.Annotations)
		if err != nil {
			return err
		}
		if journal == nil || journal.Run != run || journal.Undoing {
			return slipway.Errorf(slipway.Conflict, "the canary of %s is not this run's any more", t.names.App).
				Next("see who has it: %s", t.getCommand())
		}
		if err := t.lock(ctx, run, length, false); err != nil {
			return err
		}
		journal.ExpiresAt = t.cluster.Now().UTC().Truncate(time.Second).Add(length)
		err = t.writeJournal(ctx, journal)
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) || attempt >= 8 {
			return t.writingJournal(err)
		}
		if err := t.readCanary(ctx); err != nil {
			return err
		}
	}
}
