package canary

import (
	"context"
	"fmt"
	"io"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// Outcome is what set, abort, get and verify answer.
type Outcome struct {
	App        string           `json:"app"`
	Router     string           `json:"router"`
	Route      string           `json:"route,omitempty"` // the object that gives the share
	Run        string           `json:"run,omitempty"`
	Since      time.Time        `json:"since,omitzero"`
	Until      time.Time        `json:"until,omitzero"`
	Undoing    bool             `json:"undoing,omitempty"`
	Requested  int              `json:"requested"`            // percent
	Achievable float64          `json:"achievable,omitempty"` // percent; of set
	Error      float64          `json:"error,omitempty"`      // points between the two; of set
	Achieved   float64          `json:"achieved"`             // percent, what is true
	Stable     int32            `json:"stableReplicas"`
	Canary     int32            `json:"canaryReplicas"`
	Endpoints  Counts           `json:"endpoints"`
	Requests   *Measured        `json:"requests,omitempty"` // of verify with Prometheus
	Undone     bool             `json:"undone,omitempty"`   // of abort: this call has undone what the note names
	Note       string           `json:"note,omitempty"`
	Rollout    *rollout.Results `json:"rollout,omitempty"` // rollout-wait's verdict, where set has failed by it
	undo       string
	now        time.Time
}

// outcome is what the Deployments and the journal say.
func (t *Traffic) outcome(journal *Journal, achieved float64) Outcome {
	o := Outcome{
		App:      t.names.App,
		Router:   t.route.Router,
		Route:    t.route.Name,
		Achieved: achieved,
		Stable:   replicas(t.stable),
		Canary:   replicas(t.canary),
		Rollout:  t.told,
		undo:     t.undoCommand(),
		now:      t.cluster.Now(),
	}
	if journal != nil {
		o.Run, o.Since, o.Until, o.Requested, o.Undoing = journal.Run, journal.StartedAt, journal.ExpiresAt, journal.Weight, journal.Undoing
		o.Router, o.Route = journal.Route.Router, journal.Route.Name
	}
	if o.Route == "" {
		o.Route = t.route.Service
	}
	return o
}

// Get says what is so: by the route's weights, and by the endpoints that are ready.
func (t *Traffic) Get(ctx context.Context) (Outcome, error) {
	journal, err := ReadJournal(t.canary.Annotations)
	if err != nil {
		return Outcome{}, err
	}
	if journal != nil {
		t.names.Router = journal.Route.Router // what is true is where it was begun
	}
	if t.absent {
		outcome := t.outcome(nil, 0)
		outcome.Note = fmt.Sprintf("there is no deployment/%s, and so no canary", t.names.Canary)
		return outcome, nil
	}
	if err := t.choose(ctx); err != nil {
		return Outcome{}, err
	}
	followed := t.endpoints(t.route.Service)
	if _, err := followed.list(ctx); err != nil {
		return Outcome{}, err
	}
	if err := followed.learn(ctx); err != nil {
		return Outcome{}, err
	}
	outcome := t.outcome(journal, followed.now.Share())
	outcome.Endpoints = followed.now
	if t.route.Router == "service" {
		return outcome, nil
	}
	state, err := t.router.Get(ctx)
	outcome.Achieved = shareOf(state.Weights)
	if err == nil && outcome.Achieved > 0 && followed.now.Canary == 0 {
		err = slipway.Errorf(slipway.No, "%s gives %.1f %% to the canary, which has no ready pod: those requests "+
			"fail", t.route.Name, outcome.Achieved).
			Next("take it back: %s", t.undoCommand())
	}
	return outcome, err
}

func (t *Traffic) getCommand() string {
	return "canary-weight get" + t.undoCommand()[len("canary-weight abort"):]
}

// Text tells in five lines who runs, since when, what was asked for and what is
// true, until when, and how to undo.
func (o Outcome) Text(out io.Writer) error {
	if o.Note != "" {
		_, err := fmt.Fprintf(out, "%s: %s (stable %d, canary %d pods asked for)\n", o.App, o.Note, o.Stable, o.Canary)
		return err
	}
	run, asked, until, undo := "nobody has a canary of "+o.App, "nothing", "–", "nothing to undo"
	if o.Run != "" {
		run = fmt.Sprintf("%s, since %s (%s)", o.Run, o.Since.Format(time.RFC3339), o.now.Sub(o.Since).Round(time.Second))
		asked = fmt.Sprintf("%d %%", o.Requested)
		if o.Achievable > 0 {
			asked += fmt.Sprintf(", achievable %.1f %%, error %.1f points", o.Achievable, o.Error)
		}
		until = o.Until.Format(time.RFC3339)
		if left := o.Until.Sub(o.now).Round(time.Second); left < 0 {
			until += fmt.Sprintf(", which was %s ago: anyone may take it back", -left)
		} else {
			until += fmt.Sprintf(", %s from now", left)
		}
		undo = o.undo
		if o.Undoing {
			undo += " (it was begun, and did not finish)"
		}
	}
	truth := fmt.Sprintf("%.1f %% by %s %s; ready: %s", o.Achieved, o.Router, o.Route, o.Endpoints)
	if o.Router != "service" {
		truth = fmt.Sprintf("%.1f %% by %s %s; ready: %d canary endpoints", o.Achieved, o.Router, o.Route, o.Endpoints.Canary)
	}
	if o.Requests != nil {
		truth += "; " + o.Requests.String()
	}
	if _, err := fmt.Fprintf(out, "run       %s\nasked     %s\ntrue      %s\nuntil     %s\nundo      "+
		"%s\n", run, asked, truth, until, undo); err != nil {
		return err
	}
	return o.Story(out)
}

// Story is rollout-wait's, of pods that did not become ready.
func (o Outcome) Story(out io.Writer) error {
	if o.Rollout == nil {
		return nil
	}
	return o.Rollout.Text(out)
}

// Answer tells it to a pipeline.
func (o Outcome) Answer() slipway.Fields {
	until := ""
	if !o.Until.IsZero() {
		until = o.Until.Format(time.RFC3339)
	}
	return slipway.Fields{"router": o.Router, "run": o.Run, "requested": o.Requested, "achieved": fmt.Sprintf("%.1f", o.Achieved),
		"stable": o.Stable, "canary": o.Canary, "until": until, "note": o.Note}
}
