package phase

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/migrate"
	"slipway.dev/slipway/helpers/internal/policy"
	"slipway.dev/slipway/helpers/internal/safe"
)

func plan(c *cli.Context) error {
	if c.NArg() > 0 {
		return slipway.Usagef("phase plan does not know what to do with %q", c.Args().First())
	}
	site, err := policy.Of(c)
	if err != nil {
		return err
	}
	skipped, err := withoutDatabase(c.Context, repository{"."}, c.String("dir"), c.Bool("optional"))
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	if skipped != "" {
		fields := noMigration(skipped)
		fields["approval"] = approvalOf(c, site, "", "")
		return slipway.Finish(c, said{skipped, fields}, nil)
	}
	files, database, err := connect(c)
	if err != nil {
		return err
	}
	defer database.Close()
	computed, err := database.Plan(c.Context, files, allowed(c))
	if err != nil {
		return err
	}
	if name := c.String("markdown"); name != "" {
		if err := os.WriteFile(name, []byte(computed.Markdown()), 0o644); err != nil {
			return slipway.Usagef("the plan cannot be written to %s", name).Because(err)
		}
	}
	fields := slipway.Fields{"approval": approvalOf(c, site, computed.ID, "")}
	return slipway.Finish(c, and{computed, fields}, site.Refused(computed.Breaking(), computed.Privileged()))
}

// migrateNow shows the plan and applies it, in one command: where a policy asks for approvals, people have to see the plan first.
func migrateNow(c *cli.Context) error {
	if c.NArg() > 0 {
		return slipway.Usagef("phase migrate does not know what to do with %q", c.Args().First())
	}
	if site, err := policy.Of(c); err != nil {
		return err
	} else if site.Hash != "" {
		return slipway.Usagef("phase migrate applies what nobody has approved, and there is a policy").
			Next("use slipway phase plan, and slipway migrate-diff apply with the plan's id")
	}
	skipped, err := withoutDatabase(c.Context, repository{"."}, c.String("dir"), c.Bool("optional"))
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	if skipped != "" {
		tell(c, "%s", skipped)
		return slipway.Finish(c, said{skipped, noMigration(skipped)}, nil)
	}
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	c.Context = ctx
	files, database, err := connect(c)
	if err != nil {
		return err
	}
	defer database.Close()
	computed, err := database.Plan(c.Context, files, allowed(c))
	if err != nil {
		return err
	}
	fields := computed.Answer()
	fields["applied"] = ""
	tell(c, "%s", safe.Visible(fmt.Sprint(fields["plan"])))
	if len(computed.Pending) == 0 {
		return slipway.Finish(c, said{computed.Summary(), fields}, nil)
	}
	progress := slipway.NewProgress(c.App.ErrWriter)
	outcome, err := database.Apply(c.Context, files, migrate.Options{
		PlanID: computed.ID, Allow: allowed(c), AllowBreaking: c.Bool("allow-breaking"),
		LockWait: time.Minute, LockTimeout: 3 * time.Second, LockAttempts: 5, StatementTimeout: c.Duration("timeout"),
		AppliedBy: migrate.Who(), Commit: c.String("commit"),
		Report: func(format string, arguments ...any) { progress.Show(time.Now(), format, arguments...) },
	})
	progress.Done()
	fields["applied"] = strings.Join(outcome.Applied, " ")
	if len(outcome.Applied) > 0 {
		fields["current"] = outcome.Current
	}
	return slipway.Finish(c, said{fmt.Sprintf("applied %s: the database is at %s", fields["applied"], fields["current"]), fields}, err)
}

func allowed(c *cli.Context) migrate.Allow {
	return migrate.Allow{OutOfOrder: c.Bool("allow-out-of-order"), Gaps: c.Bool("allow-gaps")}
}

func connect(c *cli.Context) ([]migrate.Migration, *migrate.Database, error) {
	files, err := migrate.Load(c.String("dir"))
	if err != nil {
		return nil, nil, err
	}
	database, err := migrate.Connect(c.Context, os.Getenv("DATABASE_URL"))
	return files, database, err
}

func noMigration(why string) slipway.Fields {
	return slipway.Fields{"skipped": why, "planId": "", "pending": 0, "current": "", "breaking": "", "plan": why, "applied": ""}
}

// withoutDatabase says why there is no database to migrate; empty where there is one. A service
// that lost its migrations is refused, and so is a clone that cannot tell.
func withoutDatabase(ctx context.Context, clone repository, dir string, optional bool) (string, error) {
	if dir == "" {
		return "migrationsDir is '': no database migration", nil
	}
	if clone.lacksSubmodule(ctx, dir) {
		return "", slipway.Errorf(slipway.Unknown, "the folder %s is a submodule that is not checked out: its migrations cannot be known", dir).
			Next("keep the migrations in the service's own repository")
	}
	if _, err := os.Stat(clone.dir + "/" + dir); !optional || !errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	last, err := clone.lastTouching(ctx, dir)
	if err != nil {
		return "", slipway.Errorf(slipway.Unknown, "git cannot say whether there ever was a folder %s", dir).Because(err).
			Next("run it inside a clone")
	}
	if last != "" {
		return "", slipway.Errorf(slipway.No, "the folder %s is gone, and %s was the last commit that had it", dir, last).
			Next("bring it back, or say migrationsDir: '' if the service has no database any more")
	}
	whole, err := clone.whole(ctx)
	if err != nil {
		return "", slipway.Errorf(slipway.Unknown, "git cannot say whether there ever was a folder %s", dir).Because(err).
			Next("run it inside a clone")
	}
	if !whole {
		return "", slipway.Errorf(slipway.Unknown, "this clone is shallow: whether there ever was a folder %s cannot be told", dir).
			Next("let the job clone the whole history, or say migrationsDir: '' if the service has no database")
	}
	if last, err = clone.lastTouching(ctx, dir); err == nil && last != "" { // it may just have been deepened
		return withoutDatabase(ctx, clone, dir, optional)
	}
	return "there is no folder " + dir + ": this service has no database to migrate", err
}
