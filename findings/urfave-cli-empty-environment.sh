#!/usr/bin/env bash
# urfave/cli 2.27.7: an environment variable that is set to nothing means five things, by the kind of the flag that names it.
#
# string: replaces the default by "", and counts as given, also for Required; bool: replaces a
# default of true by false; int, duration: as if the variable were not there; string slice: a
# list of one empty text in place of the default; timestamp: an error. Of two variables for
# one flag, the first hides the second although it is empty, for int too.
# CI servers and pod templates set such variables all the time.
#
# Seen:
# string "" set=true | bool false set=true | int 7 set=false | duration 5s set=false | slice [""] set=true
# required string: no error
# required int: Required flag "r" not set
# two variables: string "" int 7
# timestamp: an error
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"
)

func run(show cli.ActionFunc, flags ...cli.Flag) error {
	app := &cli.App{Name: "finding", Flags: flags, Action: show, Writer: io.Discard, ErrWriter: io.Discard}
	return app.Run([]string{"finding"})
}

func main() {
	empty := []string{"EMPTY"}
	check(run(func(c *cli.Context) error {
		fmt.Printf("string %q set=%t | bool %t set=%t | int %d set=%t | duration %s set=%t | slice %q set=%t\n",
			c.String("s"), c.IsSet("s"), c.Bool("b"), c.IsSet("b"), c.Int("i"), c.IsSet("i"),
			c.Duration("d"), c.IsSet("d"), c.StringSlice("l"), c.IsSet("l"))
		return nil
	},
		&cli.StringFlag{Name: "s", Value: "default", EnvVars: empty},
		&cli.BoolFlag{Name: "b", Value: true, EnvVars: empty},
		&cli.IntFlag{Name: "i", Value: 7, EnvVars: empty},
		&cli.DurationFlag{Name: "d", Value: 5 * time.Second, EnvVars: empty},
		&cli.StringSliceFlag{Name: "l", Value: cli.NewStringSlice("a", "b"), EnvVars: empty}))
	nothing := func(*cli.Context) error { return nil }
	check(run(nothing, &cli.StringFlag{Name: "r", Required: true, EnvVars: empty}))
	fmt.Println("required string: no error")
	fmt.Println("required int:", run(nothing, &cli.IntFlag{Name: "r", Required: true, EnvVars: empty}))
	both := []string{"EMPTY", "NUMBER"}
	check(run(func(c *cli.Context) error {
		fmt.Printf("two variables: string %q int %d\n", c.String("s"), c.Int("i"))
		return nil
	}, &cli.StringFlag{Name: "s", Value: "default", EnvVars: both}, &cli.IntFlag{Name: "i", Value: 7, EnvVars: both}))
	if run(nothing, &cli.TimestampFlag{Name: "t", Layout: time.RFC3339, EnvVars: empty}) != nil {
		fmt.Println("timestamp: an error")
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
export GOFLAGS="${GOFLAGS:-} -mod=mod"
go mod init finding >/dev/null 2>&1
go get github.com/urfave/cli/v2@v2.27.7 >/dev/null 2>&1
seen=$(EMPTY='' NUMBER=9 go run .)
echo "$seen"
grep -qxF 'string "" set=true | bool false set=true | int 7 set=false | duration 5s set=false | slice [""] set=true' <<<"$seen"
grep -qxF 'required string: no error' <<<"$seen"
grep -qxF 'required int: Required flag "r" not set' <<<"$seen"
grep -qxF 'two variables: string "" int 7' <<<"$seen"
grep -qxF 'timestamp: an error' <<<"$seen"
