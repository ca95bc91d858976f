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
	dir = &cli.StringFlag{Name: "dir", Value: "migrations", EnvVars: []string{"SLIPWAY_MIGRATIONS"},
		Usage: "the `FOLDER` of the files: 001_create_users_table.sql"}
	urlFile = &cli.StringFlag{Name: "database-url-file", EnvVars: []string{"SLIPWAY_DATABASE_URL_FILE"},
		Usage: "a `FILE` that holds postgres://USER:PASSWORD@HOST:PORT/DATABASE"}
	historySchema = &cli.StringFlag{Name: "history-schema", EnvVars: []string{"SLIPWAY_HISTORY_SCHEMA"},
		Usage: "the `SCHEMA` of the history; default: where the search_path finds it, else its first schema"}
	outOfOrder = &cli.BoolFlag{Name: "allow-out-of-order", EnvVars: []string{"SLIPWAY_ALLOW_OUT_OF_ORDER"},
		Usage: "take a file that comes before one that is applied already"}
	gaps      = &cli.BoolFlag{Name: "allow-gaps", EnvVars: []string{"SLIPWAY_ALLOW_GAPS"}, Usage: "let a number be missing in a series"}
	lockWait  = &cli.DurationFlag{Name: "lock-wait", Value: time.Minute, Usage: "how long to wait for another run"}
	commit    = &cli.StringFlag{Name: "commit", EnvVars: []string{"GIT_COMMIT"}, Usage: "the `COMMIT` of the files, for the history"}
	reason    = &cli.StringFlag{Name: "reason", Usage: "`WHY`; it is recorded"}
	rehearsed = &cli.StringFlag{Name: "rehearsal", EnvVars: []string{"SLIPWAY_REHEARSAL"},
		Usage: "the `FILE` that rehearse --write has made for this plan; the plan's id covers it"}
	markdown = &cli.StringFlag{Name: "markdown", Usage: "write the whole plan to a `FILE` as Markdown"}
	base     = &cli.StringFlag{Name: "base", EnvVars: []string{"GIT_PREVIOUS_SUCCESSFUL_COMMIT"}, Usage: "the `COMMIT` to compare with"}
)

const database = `The database is named by PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD (or PGPASSFILE), by PGSERVICE, by DATABASE_URL or by --database-url-file.
TLS is demanded unless PGSSLMODE says otherwise; with PGSSLROOTCERT the server's name is verified too.`

// App is the command migrate-diff: flags in, one call, one result out.
func App() *cli.App {
	runtime.GOMAXPROCS(1) // one statement waits for the other: more threads would only wake each other
	return &cli.App{
		Name:        "migrate-diff",
		Usage:       "show which SQL migrations are pending and how risky they are, rehearse them, and apply each of them exactly once",
		Description: database,
		Commands: []*cli.Command{
			{
				Name: "diff", Usage: "show which migrations changed in git since a commit", Action: diff,
				Description: "Compares HEAD with --base. Without a base, or where it is not in this clone, every file counts as added.",
				Flags:       []cli.Flag{dir, base, &cli.BoolFlag{Name: "exit-code", Usage: "exit with 1 if something changed"}},
			},
			{
				Name: "plan", Usage: "show what is pending, the riskiest first, and the id by which it is approved", Action: plan,
				Description: database,
				Flags:       []cli.Flag{dir, urlFile, historySchema, outOfOrder, gaps, rehearsed, markdown},
			},
			{
				Name: "rehearse", Usage: "run what is pending on a throw-away server with the database's schema, and show what that server did",
				Action: rehearse,
				Description: database + "\n\nThe server is one that is started from programs of the database's own version, or, with " +
					"SLIPWAY_REHEARSE_ON or --on-file, a new database " +
					"on a server that is named.\npg_dump --schema-only reads the schema; no row of the database is read, and nothing is written to it.",
				Flags: []cli.Flag{dir, urlFile, historySchema, outOfOrder, gaps, markdown,
					&cli.StringFlag{Name: "on-file", EnvVars: []string{"SLIPWAY_REHEARSE_ON_FILE"},
						Usage: "a `FILE` with the address of another server of the same version, on which the role may create a database"},
					&cli.StringFlag{Name: "programs", EnvVars: []string{"SLIPWAY_POSTGRES"},
						Usage: "the `FOLDER` of initdb, pg_ctl and postgres; default: where packages put them"},
					&cli.StringFlag{Name: "pg-dump", EnvVars: []string{"SLIPWAY_PG_DUMP"},
						Usage: "the `PATH` of pg_dump of the database's version or a newer one; default: where packages put it"},
					&cli.IntFlag{Name: "rows", Value: 1000, Usage: "synthetic rows in each table that the files lock"},
					&cli.StringFlag{Name: "check", EnvVars: []string{"SLIPWAY_REHEARSE_CHECK"},
						Usage: "a `COMMAND` to run on the schema as it is and on the new one, with PGHOST and the like: what fails on the new one alone " +
							"is BREAKING"},
					&cli.StringFlag{Name: "write", Usage: "write what was observed to a `FILE`, for plan and apply: --rehearsal FILE"}},
			},
			{
				Name: "apply", Usage: "apply what is pending, each file once, in its own transaction", Action: apply, Description: database,
				Flags: append([]cli.Flag{dir, urlFile, historySchema, outOfOrder, gaps, lockWait, commit, rehearsed,
					&cli.StringFlag{Name: "image", EnvVars: []string{"SLIPWAY_IMAGE"},
						Usage: "with a policy: the release's `IMAGE`, which the approval named"},
					&cli.StringFlag{Name: "plan-id", EnvVars: []string{"SLIPWAY_PLAN_ID"}, Usage: "apply only if the plan is still the one of this `ID`"},
					&cli.BoolFlag{Name: "allow-breaking", EnvVars: []string{"SLIPWAY_ALLOW_BREAKING"},
						Usage: "also apply changes that break the version that is running"},
					&cli.DurationFlag{Name: "lock-timeout", Value: 3 * time.Second, Usage: "how long one file waits for a lock before it gives way"},
					&cli.IntFlag{Name: "lock-attempts", Value: 5, Usage: "how often a file is tried"},
					&cli.DurationFlag{Name: "statement-timeout", Value: 50 * time.Minute,
						Usage: "how long a statement outside a transaction may take; 0: as long as it needs"},
					&cli.DurationFlag{Name: "timeout", Usage: "how long all of it may take; 0: as long as it needs"}}, policy.Flags...),
			},
			{Name: "status", Usage: "show what was applied, when and by whom, and what is pending", Flags: []cli.Flag{dir, urlFile, historySchema},
				Action: status, Description: database},
			{Name: "verify", Usage: "check that the files and the history match", Flags: []cli.Flag{dir, urlFile,
				historySchema}, Action: verify, Description: database},
			{
				Name: "lint", Usage: "show what is risky about the files; needs no database", ArgsUsage: "[FILE...]", Action: lint,
				Description: "Reads the named files, else those that changed since --base, else all of the folder. A finding is answered for in " +
					"the file, before the statement:\n   -- slipway:ok RULE reason",
				Flags: []cli.Flag{dir, base, &cli.BoolFlag{Name: "rules", Usage: "list the rules"},
					&cli.StringFlag{Name: "fail-on", Value: "danger", Usage: "exit 1 at this `LEVEL` or worse: danger, warning, note or never"}},
			},
			{
				Name: "baseline", Usage: "mark the files up to a version as applied, in a database that has them already", ArgsUsage: "VERSION",
				Action: baseline, Description: database,
				Flags: []cli.Flag{dir, urlFile, historySchema, lockWait, commit, reason,
					&cli.BoolFlag{Name: "adopt", Usage: "instead of VERSION: take over the history of golang-migrate, dbmate, Rails, Ecto, Flyway, " +
						"goose, Liquibase, Alembic, Django or Prisma; its table stays"}},
			},
			{
				Name: "repair", Usage: "correct one version in the history; the reason is recorded", ArgsUsage: "VERSION", Action: repair,
				Description: database,
				Flags: []cli.Flag{dir, urlFile, historySchema, lockWait, commit, reason,
					&cli.BoolFlag{Name: "accept-file", Usage: "the file was changed after it was applied, and is right as it is now"},
					&cli.BoolFlag{Name: "mark-applied", Usage: "what the file does was done by hand"},
					&cli.BoolFlag{Name: "forget", Usage: "what the file did was undone by hand: it is pending again"},
					&cli.StringFlag{Name: "statement", Usage: "of a file that stopped half way outside a transaction: `done` goes on behind that " +
						"statement, again runs it once more"}},
			},
		},
	}
}
