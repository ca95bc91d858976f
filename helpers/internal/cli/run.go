// Package cli holds the habits that every helper shares: exit codes, output
// formats, errors of three sentences, logging, signals and the version.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/helpers/internal/safe"
)

const (
	outputFlag   = "output"
	answerFlag   = "answer"
	logLevelFlag = "log-level"

	outputVariable = "SLIPWAY_OUTPUT"
	answerVariable = "SLIPWAY_ANSWER"
)

// Run runs app with these arguments, the first of which is its name, and exits
// with the code that its answer has.
func Run(app *cli.App, arguments []string) {
	os.Exit(Execute(context.Background(), app, arguments))
}

// Execute is Run without the exit: it gives the exit code back.
//
// The first SIGINT or SIGTERM cancels the context of the action, which then has
// ten seconds to end (Jenkins abandons a process after 20 s); a second one ends
// the process at once.
//
// With --answer the code is always Done: the document states the real one, and
// where there is no document the process was killed.
func Execute(ctx context.Context, app *cli.App, arguments []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	Prepare(app)
	dropEmpty(app.Flags, app.Commands)
	err := unknownCommand(app, arguments)
	if err == nil {
		err = app.RunContext(ctx, Interspersed(app, arguments))
	}
	if err == nil {
		return Done
	}
	format, _ := formatIn(app, arguments)
	code := Unknown
	var answered *answeredError
	if errors.As(err, &answered) {
		code = answered.code
	} else {
		failure := AsError(err)
		code = failure.Code
		if err := write(app.Writer, app.ErrWriter, format, nil, failure); err != nil {
			logrus.WithError(err).Error("the answer could not be written")
			return code
		}
	}
	if format == answer {
		return Done
	}
	return code
}

// Prepare gives an app what all helpers have in common: flags, help, errors.
func Prepare(app *cli.App) *cli.App {
	if app.Writer == nil {
		app.Writer = os.Stdout
	}
	if app.ErrWriter == nil {
		app.ErrWriter = os.Stderr
	}
	app.Version = Version().String()
	cli.VersionPrinter = func(c *cli.Context) { _, _ = fmt.Fprintln(c.App.Writer, c.App.Name, c.App.Version) }
	app.ExitErrHandler = func(*cli.Context, error) {}
	app.HideHelpCommand = true
	formats := formatsOf(app)
	most, last := formats[1:len(formats)-1], formats[len(formats)-1]
	app.Flags = append(app.Flags,
		&cli.StringFlag{Name: outputFlag, Aliases: []string{"o"}, Value: "text", EnvVars: []string{outputVariable},
			Usage: "how the result is written to stdout: " + strings.Join(append([]string{"text"}, most...), ", ") + " or " + last +
				", as `FORMAT`"},
		&cli.BoolFlag{Name: answerFlag, EnvVars: []string{answerVariable},
			Usage: "for a pipeline: exit 0, and write one line of JSON with the real exit code, the fields that a pipeline reads, and the error"},
		&cli.StringFlag{Name: logLevelFlag, Value: "info", EnvVars: []string{"SLIPWAY_LOG_LEVEL"},
			Usage: "what is logged to stderr: debug, info, warn or error, as `LEVEL`"},
	)
	app.OnUsageError = usageError
	cli.HelpPrinter = func(out io.Writer, _ string, of any) {
		command, _ := of.(*cli.Command)
		if command != nil && app.Command(command.Name) == nil {
			command = nil // the library makes a command of the app itself
		}
		_ = WriteHelp(out, app, command) // nobody is left to be told
	}
	for _, command := range app.Commands {
		command.OnUsageError = usageError
		command.HideHelpCommand = true
	}
	if len(app.Commands) > 0 && app.Action == nil {
		app.Action = commandMissing
	}
	before := app.Before
	app.Before = func(c *cli.Context) error {
		if err := setUp(c); err != nil {
			return err
		}
		if before == nil {
			return nil
		}
		return before(c)
	}
	return app
}

func setUp(c *cli.Context) error {
	logrus.SetOutput(c.App.ErrWriter)
	logrus.SetFormatter(plainLog{&logrus.TextFormatter{DisableTimestamp: true, DisableLevelTruncation: true}})
	level, err := logrus.ParseLevel(c.String(logLevelFlag))
	if err != nil {
		return Usagef("--log-level %q is none of debug, info, warn, error", c.String(logLevelFlag))
	}
	logrus.SetLevel(level)
	_, err = formatOf(c)
	return err
}

func usageError(c *cli.Context, err error, _ bool) error {
	name := c.App.Name
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != name {
		name += " " + c.Command.Name
	}
	message := strings.Replace(err.Error(), "flag provided but not defined: ", "there is no flag ", 1)
	failure := &Error{Code: Usage, Message: name + ": " + message, Hint: "the flags are listed by: " + name + " --help"}
	if given, unknown := strings.CutPrefix(message, "there is no flag "); unknown {
		failure.Message = name + ": there is no flag --" + strings.TrimLeft(given, "-")
		flags := c.App.Flags
		if c.Command != nil {
			flags = append(slices.Clone(c.Command.Flags), flags...)
		}
		var known []string
		for _, flag := range flags {
			known = append(known, flag.Names()...)
		}
		if meant := Nearest(strings.TrimLeft(given, "-"), known); meant != "" {
			failure.Hint = "did you mean --" + meant + "? All of them: " + name + " --help"
		}
	}
	return failure
}

func commandMissing(c *cli.Context) error {
	if c.NArg() == 0 {
		return Usagef("%s needs a command: %s", c.App.Name, commandNames(c.App))
	}
	return unknownCommand(c.App, []string{c.App.Name, c.Args().First()})
}

// plainLog writes log lines without secrets and without control characters.
type plainLog struct{ logrus.Formatter }

func (f plainLog) Format(entry *logrus.Entry) ([]byte, error) {
	plain := func(text string) string { return safe.Line(safe.Mask(text)) }
	copied := entry.Dup()
	copied.Level, copied.Message = entry.Level, plain(entry.Message)
	for key, value := range copied.Data {
		copied.Data[key] = plain(fmt.Sprint(value))
	}
	return f.Formatter.Format(copied)
}
