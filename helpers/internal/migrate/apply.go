package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Options of one application.
type Options struct {
	PlanID        string // refuse any other plan; empty takes what is there
	Rehearsal     *Rehearsal
	Allow         Allow
	AllowBreaking bool          // apply also what the running version would not survive
	LockWait      time.Duration // for another runner
	LockTimeout   time.Duration // for the locks of one file, before it is tried again
	LockAttempts  int           // how often one file is tried
	// StatementTimeout bounds a statement that runs outside a transaction; 0 does not.
	StatementTimeout time.Duration
	AppliedBy        string
	Commit           string
	Report           func(format string, arguments ...any) // told after each file
}

func (o Options) report(format string, arguments ...any) {
	if o.Report != nil {
		o.Report(format, arguments...)
	}
}

// Outcome is what apply answers.
type Outcome struct {
	PlanID  string   `json:"planId"`
	Applied []string `json:"applied"` // the files' names
	Current string   `json:"current"`
	// Left are the files that were pending and are not applied.
	Left []string `json:"left"`
}

// Text tells it in a line or two.
func (o Outcome) Text(out io.Writer) error {
	if o.PlanID == "" {
		return nil
	}
	line := fmt.Sprintf("nothing was applied: the database is at %s", orNothing(o.Current))
	switch {
	case len(o.Applied) > 0:
		line = fmt.Sprintf("applied %s: the database is at %s", shorten(o.Applied), orNothing(o.Current))
	case len(o.Left) == 0:
		line = fmt.Sprintf("nothing was pending: the database is at %s", orNothing(o.Current))
	}
	if len(o.Left) > 0 {
		line += "\nstill pending: " + shorten(o.Left)
	}
	_, err := fmt.Fprintln(out, line)
	return err
}

func shorten(names []string) string {
	if len(names) > 6 {
		names = append(append([]string{}, names[:3]...), fmt.Sprintf("%d more", len(names)-4), names[len(names)-1])
	}
	return strings.Join(names, ", ")
}

// Answer tells it to a pipeline.
func (o Outcome) Answer() slipway.Fields {
	return slipway.Fields{"planId": o.PlanID, "applied": strings.Join(o.Applied, " "), "pending": len(o.Left), "current": o.Current}
}

// Plan computes what is pending in this database, and reads the pending files:
// what is wrong with one of them is known before anything runs.
func (d *Database) Plan(ctx context.Context, files []Migration, allow Allow) (plan Plan, err error) {
	err = d.bounded(ctx, func() error {
		plan, err = d.plan(ctx, files, allow)
		return err
	})
	return plan, err
}

func (d *Database) plan(ctx context.Context, files []Migration, allow Allow) (Plan, error) {
	server, err := d.Server(ctx)
	if err != nil {
		return Plan{}, err
	}
	history, err := d.History(ctx)
	if err != nil {
		return Plan{}, err
	}
	if err := d.mine(files, history); err != nil {
		return Plan{}, err
	}
	plan, err := Compute(files, history, server, allow)
	if err != nil {
		return plan, err
	}
	interrupted, err := d.interrupted(ctx)
	if err != nil {
		return plan, err
	}
	for i := range plan.Pending {
		if err := plan.Pending[i].Parse(); err != nil {
			return plan, err
		}
	}
	if err := plan.goesOn(interrupted); err != nil {
		return plan, err
	}
	if err := d.checkSyntax(ctx, server, plan.Pending); err != nil {
		return plan, err
	}
	notAnalysed(server, plan.Pending)
	authors(ctx, plan.Pending)
	in, err := d.scope(ctx, plan.Pending)
	if err != nil {
		return plan, err
	}
	resolve(plan.Pending, in)
	if plan.Begins, err = d.begun(ctx, plan.Pending); err != nil {
		return plan, err
	}
	known, err := d.catalog(ctx, plan.Pending)
	if err != nil {
		return plan, err
	}
	known.server = server
	if err := d.typeFacts(ctx, plan.Pending, &known); err != nil {
		return plan, err
	}
	review(plan.Pending, known)
	return plan, d.facts(ctx, &plan)
}

// goesOn makes sure that what stopped half way outside a transaction is what goes on.
func (p *Plan) goesOn(interrupted []progress) error {
	for _, begun := range interrupted {
		at := slices.IndexFunc(p.Pending, func(file Migration) bool {
			return file.Version == begun.version && file.Checksum == begun.checksum && file.Alone
		})
		if at < 0 {
			return slipway.Errorf(slipway.Conflict, "version %s stopped half way in an earlier run, before statement %d, and its file is not "+
				"here as it was then", begun.version, begun.statement+1).
				Next("restore the file; or undo by hand what it did and: migrate-diff repair %s --forget --reason ...", begun.version)
		}
		p.GoesOn = append(p.GoesOn, fmt.Sprintf("%s stopped half way in an earlier run, and goes on at statement %d of %d",
			p.Pending[at].Name, begun.statement+1, len(p.Pending[at].Statements)))
	}
	return nil
}

// Apply takes the database through what is pending, one runner at a time. What
// was applied before an error stays applied, and the answer names it.
func (d *Database) Apply(ctx context.Context, files []Migration, options Options) (outcome Outcome, err error) {
	outcome.Applied, outcome.Left = []string{}, []string{}
	err = d.locked(ctx, options, func() error {
		plan, err := d.Plan(ctx, files, options.Allow)
		if err == nil && len(plan.Pending) > 0 {
			plan, err = plan.With(options.Rehearsal)
		}
		outcome.PlanID, outcome.Current = plan.ID, plan.Current
		for _, file := range plan.Pending {
			outcome.Left = append(outcome.Left, file.Name)
		}
		if err != nil {
			return err
		}
		if err := options.accepts(plan); err != nil || len(plan.Pending) == 0 {
			return err
		}
		if err := d.createHistory(ctx); err != nil {
			return err
		}
		for _, file := range plan.Pending {
			start := time.Now()
			run := runner{d, file, options, plan.ID, plan.Server >= 14, plan.Server, start}
			if err := run.apply(ctx); err != nil {
				return err
			}
			outcome.Applied, outcome.Left = append(outcome.Applied, file.Name), outcome.Left[1:]
			if !file.Repeatable && (outcome.Current == "" || compare(file.Version, outcome.Current) > 0) {
				outcome.Current = file.Version
			}
			options.report("applied %s in %s", file.Name, time.Since(start).Round(time.Millisecond))
		}
		return nil
	})
	return outcome, err
}

// accepts refuses a plan that nobody approved.
func (o Options) accepts(plan Plan) error {
	if o.PlanID != "" && o.PlanID != plan.ID {
		return slipway.Errorf(slipway.Conflict, "the plan %s was approved, and the plan is now %s", o.PlanID, plan.ID).
			Because(errors.New("files, history, server or the version of this tool have changed since; now: " +
				plan.Summary())).Next("look at the new plan and approve it: migrate-diff plan")
	}
	if plan.Rehearsal.Broken() && !o.AllowBreaking {
		return slipway.Errorf(slipway.No, "the rehearsal of the plan failed").Because(errors.New(plan.Rehearsal.Why())).Next("correct the " +
			"files and rehearse them again")
	}
	if breaking := plan.Breaking(); len(breaking) > 0 && !o.AllowBreaking {
		found := plan.rows()
		return slipway.Errorf(slipway.No, "the version that still runs would not survive %s", strings.Join(breaking, ", ")).
			Because(fmt.Errorf("%s: %s", found[0].at, found[0].about)).Next("do it a release later; where nothing runs that could break: " +
			"--allow-breaking")
	}
	return nil
}

// locked runs while no other runner does.
func (d *Database) locked(ctx context.Context, options Options, run func() error) (err error) {
	if err := d.Lock(ctx, options.LockWait); err != nil {
		return err
	}
	defer func() {
		// Also after a cancelled context the lock goes back; with the session it would in any case.
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if unlockErr := d.Unlock(release); err == nil {
			err = unlockErr
		}
	}()
	return run()
}
