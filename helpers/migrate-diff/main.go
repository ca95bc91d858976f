// Package migratediff is the command migrate-diff, which says what a database still has to go through, how risky
// that is, and takes it through exactly once.
package migratediff

import (
	"runtime"
	"time"

	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/helpers/internal/policy"
)

var (
	dir           = &cli.StringFlag{Name: "dir", Value: "migrations", EnvVars: []string{"SLIPWAY_MIGRATIONS"}, Usage: "the `FOLDER` of the files: 001_create_users_table.sql"}
	urlFile       = &cli.StringFlag{Name: "database-url-file", EnvVars: []string{"SLIPWAY_DATABASE_URL_FILE"}, Usage: "a `FILE` that holds postgres://USER:PASSWORD@HOST:PORT/DATABASE"}
	historySchema = &cli.StringFlag{Name: "history-schema", EnvVars: []string{"SLIPWAY_HISTORY_SCHEMA"}, Usage: "the `SCHEMA` of the history; default: where the search_path finds it, else its first schema"}
	outOfOrder    = &cli.BoolFlag{Name: "allow-out-of-order", EnvVars: []string{"SLIPWAY_ALLOW_OUT_OF_ORDER"}, Usage: "take a file that comes before one that is applied already"}
	gaps          = &cli.BoolFlag{Name: "allow-gaps", EnvVars: []string{"SLIPWAY_ALLOW_GAPS"}, Usage: "let a number be missing in a series"}
	lockWait      = &cli.DurationFlag{Name: "lock-wait", Value: time.Minute, Usage: "how long another run is waited for"}
	commit        = &cli.StringFlag{Name: "commit", EnvVars: []string{"GIT_COMMIT"}, Usage: "the `COMMIT` of the files, for the history"}
	reason        = &cli.StringFlag{Name: "reason", Usage: "`WHY`; it is recorded"}
	base          = &cli.StringFlag{Name: "base", EnvVars: []string{"GIT_PREVIOUS_SUCCESSFUL_COMMIT"}, Usage: "the `COMMIT` to compare with"}
)

const database = `The database is named by PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD (or PGPASSFILE), by PGSERVICE, by DATABASE_URL or by --database-url-file.
TLS is demanded unless PGSSLMODE says otherwise; with PGSSLROOTCERT the server's name is verified too.`

// App is the command migrate-diff: flags in, one call, one result out.
func App() *cli.App {
	runtime.GOMAXPROCS(1) // one statement waits for the other: more threads would only wake each other
	return &cli.App{
		Name:        "migrate-diff",
		Usage:       "what a database still has to go through, how risky that is, and going through it exactly once",
		Description: database + "\n\nExit: 0 done, 1 no (a file failed, a finding, something changed), 2 wrong usage, 3 could not tell, 4 conflict (another run, another plan, drift).",
		Commands: []*cli.Command{
			{
				Name: "diff", Usage: "what changed in git since a commit", Action: diff,
				Description: "Compares HEAD with --base. Without a base, or where it is not in this clone, every file counts as added.",
				Flags:       []cli.Flag{dir, base, &cli.BoolFlag{Name: "exit-code", Usage: "exit 1 where something changed"}},
			},
			{
				Name: "plan", Usage: "what is pending, the worst first, and the id to approve it by", Action: plan, Description: database,
				Flags: []cli.Flag{dir, urlFile, historySchema, outOfOrder, gaps, &cli.StringFlag{Name: "markdown", Usage: "write the whole plan to a `FILE` as Markdown"}},
			},
			{
				Name: "apply", Usage: "apply what is pending, each file once, in its own transaction", Action: apply, Description: database,
				Flags: append([]cli.Flag{dir, urlFile, historySchema, outOfOrder, gaps, lockWait, commit,
					&cli.StringFlag{Name: "image", EnvVars: []string{"SLIPWAY_IMAGE"}, Usage: "with a policy: the release's `IMAGE`, which the approval named"},
					&cli.StringFlag{Name: "plan-id", EnvVars: []string{"SLIPWAY_PLAN_ID"}, Usage: "apply only if the plan is still the one of this `ID`"},
					&cli.BoolFlag{Name: "allow-breaking", EnvVars: []string{"SLIPWAY_ALLOW_BREAKING"}, Usage: "apply also what the version that still runs would not survive"},
					&cli.DurationFlag{Name: "lock-timeout", Value: 3 * time.Second, Usage: "how long one file waits for a table before others go first"},
					&cli.IntFlag{Name: "lock-attempts", Value: 5, Usage: "how often it is tried"},
					&cli.DurationFlag{Name: "statement-timeout", Value: 50 * time.Minute,
						Usage: "how long a statement outside a transaction may take; 0: as long as it needs"},
					&cli.DurationFlag{Name: "timeout", Usage: "how long all of it may take; 0: as long as it needs"}}, policy.Flags...),
			},
			{Name: "status", Usage: "what was applied, when and by whom, and what is pending", Flags: []cli.Flag{dir, urlFile, historySchema}, Action: status, Description: database},
			{Name: "verify", Usage: "exit 4 where the files and the history do not belong together", Flags: []cli.Flag{dir, urlFile, historySchema}, Action: verify, Description: database},
			{
				Name: "lint", Usage: "what is risky about the files; needs no database", ArgsUsage: "[FILE...]", Action: lint,
				Description: "Reads the named files, else those that changed since --base, else all of the folder. A finding is answered for in the file, before the statement:\n   -- slipway:ok RULE reason",
				Flags: []cli.Flag{dir, base, &cli.BoolFlag{Name: "rules", Usage: "list the rules"},
					&cli.StringFlag{Name: "fail-on", Value: "danger", Usage: "exit 1 at this `LEVEL` or worse: danger, warning, note or never"}},
			},
			{
				Name: "baseline", Usage: "mark the files up to a version as applied, in a database that has them already", ArgsUsage: "VERSION", Action: baseline, Description: database,
				Flags: []cli.Flag{dir, urlFile, historySchema, lockWait, commit, reason,
					&cli.BoolFlag{Name: "adopt", Usage: "instead of VERSION: take over the schema_migrations of golang-migrate, dbmate, Rails or Ecto; it stays as schema_migrations_before_slipway"}},
			},
			{
				Name: "repair", Usage: "put one version right in the history, for a reason that is recorded", ArgsUsage: "VERSION", Action: repair, Description: database,
				Flags: []cli.Flag{dir, urlFile, historySchema, lockWait, commit, reason,
					&cli.BoolFlag{Name: "accept-file", Usage: "the file was changed after it was applied, and is right as it is now"},
					&cli.BoolFlag{Name: "mark-applied", Usage: "what the file does was done by hand"},
					&cli.BoolFlag{Name: "forget", Usage: "what the file did was undone by hand: it is pending again"},
					&cli.StringFlag{Name: "statement", Usage: "of a file that stopped half way outside a transaction: `done` goes on behind that statement, again runs it once more"}},
			},
		},
	}
}
