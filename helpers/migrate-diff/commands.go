package migratediff

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/migrate"
	"slipway.dev/slipway/helpers/internal/safe"
)

func diff(c *cli.Context) error {
	if err := words(c, 0); err != nil {
		return err
	}
	changes, err := migrate.DiffGit(c.Context, ".", c.String("dir"), c.String("base"))
	if err != nil {
		return err
	}
	if c.Bool("exit-code") && len(changes.Changes) > 0 {
		err = slipway.Errorf(slipway.No, "since %s migrations have changed: %d", changes.Base, len(changes.Changes))
	}
	return slipway.Finish(c, changes, err)
}

func words(c *cli.Context, most int) error {
	if c.NArg() > most {
		return slipway.Usagef("migrate-diff %s does not know what to do with %q", c.Command.Name,
			c.Args().Get(most)).Next("see migrate-diff %s --help", c.Command.Name)
	}
	return nil
}

// connect reads the files first: what is wrong with them needs no database.
func connect(c *cli.Context, most int) ([]migrate.Migration, *migrate.Database, error) {
	if err := words(c, most); err != nil {
		return nil, nil, err
	}
	files, err := migrate.Load(c.String("dir"))
	if err != nil {
		return nil, nil, err
	}
	address := os.Getenv("DATABASE_URL")
	if name := c.String("database-url-file"); name != "" {
		body, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, slipway.Usagef("the file of the database's address cannot be read").Because(err).Next("check --database-url-file")
		}
		address = strings.TrimSpace(string(body))
	}
	database, err := migrate.Connect(c.Context, address)
	if err != nil {
		return nil, nil, err
	}
	if err := database.UseSchema(c.Context, c.String("history-schema")); err != nil {
		database.Close()
		return nil, nil, err
	}
	return files, database, nil
}

func plan(c *cli.Context) error {
	files, database, err := connect(c, 0)
	if err != nil {
		return err
	}
	defer database.Close()
	computed, err := database.Plan(c.Context, files, allow(c))
	if err != nil {
		return err
	}
	rehearsed, err := rehearsal(c)
	if err == nil && len(computed.Pending) > 0 {
		computed, err = computed.With(rehearsed)
	}
	if err != nil {
		return err
	}
	if err := writeMarkdown(c, computed); err != nil {
		return err
	}
	return slipway.Finish(c, computed, nil)
}

func writeMarkdown(c *cli.Context, computed migrate.Plan) error {
	name := c.String("markdown")
	if name == "" {
		return nil
	}
	if err := writeWhole(name, safe.Visible(computed.Markdown())); err != nil {
		return slipway.Usagef("the plan cannot be written to %s", name).Because(err).Next("name a file in a folder that exists: --markdown " +
			"plan.md")
	}
	return nil
}

// rehearsal is what --rehearsal names; nil where nothing does.
func rehearsal(c *cli.Context) (*migrate.Rehearsal, error) {
	if c.String("rehearsal") == "" {
		return nil, nil
	}
	return migrate.ReadRehearsal(c.String("rehearsal"))
}

func rehearse(c *cli.Context) error {
	stage := migrate.Stage{On: os.Getenv("SLIPWAY_REHEARSE_ON"), Programs: c.String("programs"), PgDump: c.String("pg-dump")}
	if name := c.String("on-file"); name != "" {
		body, err := os.ReadFile(name)
		if err != nil {
			return slipway.Usagef("the file of the rehearsal's address cannot be read").Because(err).Next("check --on-file")
		}
		stage.On = strings.TrimSpace(string(body))
	}
	files, database, err := connect(c, 0)
	if err != nil {
		return err
	}
	defer database.Close()
	progress := slipway.NewProgress(c.App.ErrWriter)
	computed, err := database.Rehearse(c.Context, files, migrate.RehearseOptions{
		Stage: stage, Rows: c.Int("rows"), Check: c.String("check"), Allow: allow(c),
		Report: func(format string, arguments ...any) { progress.Show(time.Now(), format, arguments...) },
	})
	progress.Done()
	if err != nil {
		return err
	}
	if name := c.String("write"); name != "" && computed.Rehearsal != nil {
		body, err := json.MarshalIndent(computed.Rehearsal, "", "  ")
		if err == nil {
			err = writeWhole(name, string(body)+"\n")
		}
		if err != nil {
			return slipway.Usagef("the rehearsal cannot be written to %s", name).Because(err).Next("name a file in a folder that exists: " +
				"--write rehearsal.json")
		}
	}
	if err := writeMarkdown(c, computed); err != nil {
		return err
	}
	if computed.Rehearsal != nil && computed.Rehearsal.Broken() {
		err = slipway.Errorf(slipway.No, "the rehearsal failed").Because(errors.New(computed.Rehearsal.Why())).Next("correct the files, and " +
			"rehearse them again")
	}
	return slipway.Finish(c, computed, err)
}

// writeWhole leaves either the old file or the new one, never a part.
func writeWhole(name, text string) error {
	file, err := os.CreateTemp(filepath.Dir(name), ".plan-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}

func allow(c *cli.Context) migrate.Allow {
	return migrate.Allow{OutOfOrder: c.Bool("allow-out-of-order"), Gaps: c.Bool("allow-gaps")}
}

func apply(c *cli.Context) error {
	if c.Int("lock-attempts") < 1 || c.Duration("lock-timeout") <= 0 {
		return slipway.Usagef("--lock-attempts and --lock-timeout must be more than 0")
	}
	if longest := c.Duration("timeout"); longest > 0 {
		ctx, cancel := context.WithTimeout(c.Context, longest)
		defer cancel()
		c.Context = ctx
	}
	files, database, err := connect(c, 0)
	if err != nil {
		return err
	}
	defer database.Close()
	options := options(c)
	if err := permitted(c, database, files, &options); err != nil {
		return slipway.Finish(c, nil, err)
	}
	progress := slipway.NewProgress(c.App.ErrWriter)
	options.Report = func(format string, arguments ...any) { progress.Show(time.Now(), format, arguments...) }
	if options.Rehearsal, err = rehearsal(c); err != nil {
		return err
	}
	outcome, err := database.Apply(c.Context, files, options)
	progress.Done()
	return slipway.Finish(c, outcome, err)
}

func options(c *cli.Context) migrate.Options {
	return migrate.Options{
		PlanID: c.String("plan-id"), Allow: allow(c), AllowBreaking: c.Bool("allow-breaking"),
		LockWait: c.Duration("lock-wait"), LockTimeout: c.Duration("lock-timeout"), LockAttempts: c.Int("lock-attempts"),
		StatementTimeout: c.Duration("statement-timeout"),
		AppliedBy:        migrate.Who(), Commit: c.String("commit"),
	}
}

func status(c *cli.Context) error {
	files, database, err := connect(c, 0)
	if err != nil {
		return err
	}
	defer database.Close()
	found, err := database.Status(c.Context, files)
	if err != nil {
		return err
	}
	return slipway.Finish(c, found, nil)
}

func verify(c *cli.Context) error {
	files, database, err := connect(c, 0)
	if err != nil {
		return err
	}
	defer database.Close()
	found, err := database.Verify(c.Context, files)
	return slipway.Finish(c, found, err)
}

func lint(c *cli.Context) error {
	if c.Bool("rules") {
		return slipway.Finish(c, migrate.RuleList(migrate.Rules), nil)
	}
	level := c.String("fail-on")
	if !slices.Contains([]string{migrate.Danger, migrate.Warning, migrate.Note, "never"}, level) {
		return slipway.Usagef("--fail-on %q is none of danger, warning, note, never", level)
	}
	files, err := toLint(c)
	if err != nil {
		return err
	}
	found, err := migrate.LintFiles(c.Context, files)
	if err == nil && found.Fails(level) {
		err = slipway.Errorf(slipway.No, "a migration has a finding of the level %s",
			found.Worst()).Next("mend it, or answer for it in the file: -- slipway:ok RULE reason")
	}
	return slipway.Finish(c, found, err)
}

// toLint are the named files, else the changed ones, else all.
func toLint(c *cli.Context) ([]migrate.Migration, error) {
	folder, wanted := c.String("dir"), map[string]bool{}
	for _, name := range c.Args().Slice() {
		if len(wanted) > 0 && filepath.Dir(name) != folder {
			return nil, slipway.Usagef("the files to lint are of more than one folder")
		}
		folder = filepath.Dir(name)
		wanted[filepath.Base(name)] = true
	}
	files, err := migrate.Load(folder)
	if err != nil {
		return nil, err
	}
	if len(wanted) == 0 && c.String("base") == "" {
		return files, nil
	}
	if len(wanted) == 0 {
		changes, err := migrate.DiffGit(c.Context, ".", folder, c.String("base"))
		if err != nil {
			return nil, err
		}
		for _, change := range changes.Changes {
			wanted[filepath.Base(change.File)] = true
		}
		return slices.DeleteFunc(files, func(m migrate.Migration) bool { return !wanted[m.Name] }), nil
	}
	files = slices.DeleteFunc(files, func(m migrate.Migration) bool { return !wanted[m.Name] })
	if len(files) != len(wanted) {
		return nil, slipway.Usagef("of the %d named files %d are migrations in %s", len(wanted), len(files),
			folder).Next("name files such as migrations/001_create_users_table.sql")
	}
	return files, nil
}

func baseline(c *cli.Context) error {
	if (c.NArg() == 1) == c.Bool("adopt") {
		return slipway.Usagef("migrate-diff baseline needs a VERSION, or --adopt").Next("name the last version that the database has: " +
			"migrate-diff baseline 007 --reason ...")
	}
	files, database, err := connect(c, 1)
	if err != nil {
		return err
	}
	defer database.Close()
	written, err := database.Baseline(c.Context, files, c.Args().First(), c.Bool("adopt"), c.String("reason"), options(c))
	if err != nil {
		return err
	}
	return slipway.Finish(c, written, nil)
}

func repair(c *cli.Context) error {
	chosen := 0
	for _, name := range []string{"accept-file", "mark-applied", "forget", "statement"} {
		if c.IsSet(name) {
			chosen++
		}
	}
	if c.NArg() == 0 || chosen != 1 {
		return slipway.Usagef("migrate-diff repair needs a VERSION and one of --accept-file, --mark-applied, --forget, --statement done|again").
			Next("see migrate-diff repair --help")
	}
	if what := c.String("statement"); what != "" && what != "done" && what != "again" {
		return slipway.Usagef("--statement %q is neither done nor again", what)
	}
	files, database, err := connect(c, 1)
	if err != nil {
		return err
	}
	defer database.Close()
	written, err := database.Repair(c.Context, files, migrate.Repair{
		Version: c.Args().First(), Reason: c.String("reason"), AcceptFile: c.Bool("accept-file"),
		MarkApplied: c.Bool("mark-applied"), Forget: c.Bool("forget"), Statement: c.String("statement"),
	}, options(c))
	if err != nil {
		return err
	}
	return slipway.Finish(c, written, nil)
}
