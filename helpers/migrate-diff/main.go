// Command migrate-diff says what a database still has to go through, how risky
// that is, and takes it through exactly once.
package main

import (
	"os"
	"time"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/migrate"
)

func main() {
	dir := &cli.StringFlag{Name: "dir", Value: "migrations", EnvVars: []string{"SLIPWAY_MIGRATIONS"}, Usage: "the `FOLDER` of the files"}
	outOfOrder := &cli.BoolFlag{Name: "allow-out-of-order", Usage: "apply a file that comes before one that is applied already"}
	slipway.Run(&cli.App{
		Name:        "migrate-diff",
		Usage:       "what a database still has to go through, how risky that is, and going through it exactly once",
		Description: "The database is named by PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD and PGSSLMODE, or by DATABASE_URL.",
		Commands: []*cli.Command{
			{
				Name: "diff", Usage: "what changed in git since a commit; exit 1 with --exit-code where something did", Action: diff,
				Flags: []cli.Flag{dir,
					&cli.StringFlag{Name: "base", EnvVars: []string{"GIT_PREVIOUS_SUCCESSFUL_COMMIT"}, Usage: "the `COMMIT` to compare with; without one everything counts as added"},
					&cli.BoolFlag{Name: "exit-code", Usage: "exit 1 where something changed"}},
			},
			{Name: "plan", Usage: "what is pending, statement by statement, and the id to approve it by", Flags: []cli.Flag{dir, outOfOrder}, Action: plan},
			{
				Name: "apply", Usage: "apply what is pending", Action: apply,
				Flags: []cli.Flag{dir, outOfOrder,
					&cli.StringFlag{Name: "plan-id", EnvVars: []string{"SLIPWAY_PLAN_ID"}, Usage: "apply only if the plan is still the one of this `ID`"},
					&cli.DurationFlag{Name: "lock-wait", Value: time.Minute, Usage: "how long another run is waited for"},
					&cli.DurationFlag{Name: "lock-timeout", Value: 3 * time.Second, Usage: "how long one file waits for a table before others go first"},
					&cli.StringFlag{Name: "commit", EnvVars: []string{"GIT_COMMIT"}, Usage: "the `COMMIT` of the files, for the history"}},
			},
			{Name: "status", Usage: "what was applied, when and by whom, and what is pending", Flags: []cli.Flag{dir, outOfOrder}, Action: status},
			{Name: "verify", Usage: "exit 4 where the files and the history do not belong together", Flags: []cli.Flag{dir, outOfOrder}, Action: status},
		},
	})
}

func diff(c *cli.Context) error {
	changes, err := migrate.DiffGit(c.Context, ".", c.String("dir"), c.String("base"))
	if err == nil && c.Bool("exit-code") && len(changes.Changes) > 0 {
		err = slipway.Errorf(slipway.No, "%d migrations changed since %s", len(changes.Changes), changes.Base)
	}
	return slipway.Finish(c, changes, err)
}

// connect reads the files first: what is wrong with them needs no database.
func connect(c *cli.Context) ([]migrate.Migration, *migrate.Database, error) {
	if c.NArg() > 0 {
		return nil, nil, slipway.Usagef("migrate-diff %s takes no argument, and got %q", c.Command.Name, c.Args().First())
	}
	files, err := migrate.Load(c.String("dir"))
	if err != nil {
		return nil, nil, err
	}
	database, err := migrate.Connect(c.Context, os.Getenv("DATABASE_URL"))
	return files, database, err
}

func plan(c *cli.Context) error {
	files, database, err := connect(c)
	if err != nil {
		return err
	}
	defer database.Close()
	computed, err := database.Plan(c.Context, files, c.Bool("allow-out-of-order"))
	if err != nil {
		return err
	}
	return slipway.Finish(c, computed, nil)
}

func apply(c *cli.Context) error {
	files, database, err := connect(c)
	if err != nil {
		return err
	}
	defer database.Close()
	progress := slipway.NewProgress(c.App.ErrWriter)
	outcome, err := database.Apply(c.Context, files, migrate.Options{
		PlanID: c.String("plan-id"), OutOfOrder: c.Bool("allow-out-of-order"),
		LockWait: c.Duration("lock-wait"), LockTimeout: c.Duration("lock-timeout"),
		AppliedBy: who(), Commit: c.String("commit"),
		Report: func(format string, arguments ...any) { progress.Show(time.Now(), format, arguments...) },
	})
	progress.Done()
	return slipway.Finish(c, outcome, err)
}

// who is the build, where there is one, else the person.
func who() string {
	for _, name := range []string{"BUILD_TAG", "BUILD_URL", "USER"} {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return "unknown"
}

func status(c *cli.Context) error {
	files, database, err := connect(c)
	if err != nil {
		return err
	}
	defer database.Close()
	history, err := database.History(c.Context)
	if err != nil {
		return err
	}
	server, err := database.Server(c.Context)
	if err != nil {
		return err
	}
	computed, err := migrate.Compute(files, history, server, c.Bool("allow-out-of-order"))
	return slipway.Finish(c, migrate.NewStatus(computed, history), err)
}
