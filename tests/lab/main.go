// Command lab runs a command on a real Kubernetes cluster that lives in
// namespaces of its own for as long as the command does.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/tests/lab/run"
	"slipway.dev/slipway/tests/lab/setup"
)

// source is where the lab's sources are, set when it is built.
var source string

func main() {
	if len(os.Args) > 1 && run.Inside(os.Args[1]) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	with := &cli.StringFlag{Name: "with", Usage: "what to start beside the cluster: " + strings.Join(run.Extras, ", ")}
	logs := &cli.StringFlag{Name: "keep-logs", Usage: "copy the programs' logs to this `FOLDER` at the end"}
	app := &cli.App{
		Name:           "lab",
		Usage:          "a real Kubernetes cluster without Docker, for as long as a command runs",
		ExitErrHandler: func(*cli.Context, error) {},
		Before: func(*cli.Context) error {
			return setup.Needs()
		},
		Commands: []*cli.Command{
			{
				Name: "setup", Usage: "install, build and download everything that a run needs", ArgsUsage: "[PART...]",
				Action: func(c *cli.Context) error {
					return setup.Everything(c.Context, source, c.Args().Slice(), os.Stderr)
				},
			},
			{
				Name: "run", Usage: "start a cluster, run a command on it, take it away", ArgsUsage: "-- COMMAND [ARGUMENT...]",
				Flags: []cli.Flag{with, logs},
				Action: func(c *cli.Context) error {
					return start(c, c.Args().Slice())
				},
			},
			{
				Name: "shell", Usage: "the same with a shell", Flags: []cli.Flag{with, logs},
				Action: func(c *cli.Context) error {
					shell := os.Getenv("SHELL")
					if shell == "" {
						shell = "/bin/bash"
					}
					return start(c, []string{shell})
				},
			},
		},
	}
	err := app.RunContext(ctx, os.Args)
	// Only as it is, it is the command's: wrapped, it is a program's that the lab itself needed.
	if ended, isOfCommand := err.(*exec.ExitError); isOfCommand {
		os.Exit(ended.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab: "+err.Error())
		os.Exit(2)
	}
}

func start(c *cli.Context, command []string) error {
	if len(command) == 0 {
		return errors.New("there is no command: lab run -- COMMAND")
	}
	options := run.Options{Source: source, Command: command, KeepLogs: c.String("keep-logs")}
	if with := c.String("with"); with != "" {
		options.With = strings.Split(with, ",")
	}
	if options.KeepLogs != "" {
		var err error
		if options.KeepLogs, err = filepath.Abs(options.KeepLogs); err != nil {
			return err
		}
	}
	return run.Run(c.Context, options)
}
