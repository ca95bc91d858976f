package phase

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/helpers/internal/canary"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/deploy"
	"slipway.dev/slipway/helpers/internal/kube"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// undo takes back each half, whatever becomes of the other, and only what this run put there.
func undo(c *cli.Context) error {
	halves := c.Args().Slice()
	for _, half := range halves {
		if half != "stable" && half != "canary" {
			return slipway.Usagef("phase undo does not know %q: it takes back stable, canary or both", half)
		}
	}
	if len(halves) == 0 {
		return slipway.Usagef("phase undo needs what to take back: stable, canary or both")
	}
	names, err := namesOf(c)
	if err == nil && slices.Contains(halves, "stable") {
		err = needs(c, "image") // without it another run's change could be undone
	}
	if err != nil {
		return err
	}
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	fields, failed, undone := slipway.Fields{"stable": "", "canary": ""}, error(nil), false
	var lines []string
	for _, half := range []string{"stable", "canary"} {
		if !slices.Contains(halves, half) {
			continue
		}
		var story string
		err := again(c.Context, pauses, func() (err error) {
			var changed bool
			if half == "stable" {
				story, changed, err = stableBack(c, cluster, names.Stable)
			} else {
				story, changed, err = canaryBack(c, cluster)
			}
			undone = undone || changed
			return err
		})
		fields[half] = story
		lines = append(lines, half+": "+story)
		switch {
		case err != nil && failed == nil:
			failed = err
		case err != nil:
			tell(c, "%s: %v", half, err)
		}
	}
	writePage(c, failed, takenBack(failed, lines))
	fields["undone"] = undone // false where there was nothing to undo, or it is another run's
	return slipway.Finish(c, said{strings.Join(lines, "\n"), fields}, failed)
}

var pauses = []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second}

// again tries once more where it could not be told: an API server that is away for a moment is no
// reason to leave something half undone.
func again(ctx context.Context, pauses []time.Duration, do func() error) error {
	for _, pause := range pauses {
		err := do()
		if err == nil || slipway.AsError(err).Code != slipway.Unknown {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
	return do()
}

func canaryBack(c *cli.Context, cluster *kube.Cluster) (story string, changed bool, err error) {
	opened, err := open(c, cluster)
	if err != nil {
		return "", false, err
	}
	outcome, err := opened.Abort(c.Context, canary.AbortOptions{Run: c.String("run"), Timeout: c.Duration("timeout")})
	return outcome.Note, outcome.Undone, err
}

// stableBack goes back to what was there before, if stable has this run's image, and waits for it.
func stableBack(c *cli.Context, cluster *kube.Cluster, name string) (story string, changed bool, err error) {
	outcome, err := deploy.Undo(c.Context, cluster, deploy.Options{Name: name, Container: c.String("container"), Image: c.String("image")})
	if err == nil && outcome.Replicas > 0 {
		err = wait(c.Context, c, cluster, name, rollout.Options{Timeout: c.Duration("timeout")})
	}
	story, err = backStory(outcome, err)
	return story, outcome.Changed, err
}

// backStory is how it ended, in a sentence; what somebody else has changed is theirs, and no failure.
func backStory(outcome deploy.Outcome, err error) (string, error) {
	switch {
	case err != nil && slipway.AsError(err).Code == slipway.Conflict:
		return "stable was left alone: it does not run what this run would have put there", nil
	case err != nil:
		return "", err
	case !outcome.Changed:
		return fmt.Sprintf("stable has %s and %d replicas: there is nothing to undo", shown(outcome.To), outcome.Replicas), nil
	case outcome.Replicas == 0:
		return fmt.Sprintf("stable is back on %s, and no pod runs, as before", shown(outcome.To)), nil
	}
	return fmt.Sprintf("stable is back on %s, with %d replicas", shown(outcome.To), outcome.Replicas), nil
}
