package main

import (
	"embed"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// The scripts ask slipway itself for the words that fit, so that they never differ from its commands.
//
//go:embed completion
var scripts embed.FS

func completion() *cli.App {
	shells := []string{"bash", "zsh", "fish"}
	return &cli.App{
		Name:      "completion",
		Usage:     "print the script by which a shell completes slipway and its names",
		ArgsUsage: strings.Join(shells, "|"),
		Action: func(c *cli.Context) error {
			shell := c.Args().First()
			if shell == "words" {
				for _, word := range complete(c.Args().Tail()) {
					if _, err := fmt.Fprintln(c.App.Writer, word); err != nil {
						return err
					}
				}
				return nil
			}
			if c.NArg() != 1 || !slices.Contains(shells, shell) {
				return slipway.Usagef("slipway completion needs one of %s", strings.Join(shells, ", "))
			}
			script, err := scripts.ReadFile("completion/" + shell)
			if err != nil {
				return err
			}
			all := strings.Join(append([]string{"slipway"}, names(commands)...), " ")
			_, err = fmt.Fprint(c.App.Writer, strings.ReplaceAll(string(script), "NAMES", all))
			return err
		},
	}
}

// values are those of the flags that have a few.
var values = map[string][]string{
	"output":    {"text", "json"},
	"o":         {"text", "json"},
	"log-level": {"debug", "info", "warn", "error"},
	"router":    {"service", "gateway", "ingress-nginx", "traefik", "istio"},
}

// complete gives the words that may stand in the place of the last one. Where none is known, the shell offers files.
func complete(words []string) []string {
	if len(words) < 2 {
		return nil
	}
	last, before := words[len(words)-1], words[1:len(words)-1]
	make, called := commands[filepath.Base(words[0])]
	if !called {
		if len(before) == 0 {
			return fitting(append(names(commands, own), "link"), last)
		}
		if make = commands[before[0]]; make == nil {
			make = own[before[0]]
		}
		if make == nil {
			return nil
		}
		before = before[1:]
	}
	app := slipway.Prepare(make())
	app.Setup()
	if len(before) > 0 && strings.HasPrefix(before[len(before)-1], "-") {
		if takes, known := takesValue(app, before); takes {
			return fitting(known, last)
		}
	}
	if app.Name == "completion" {
		return fitting([]string{"bash", "zsh", "fish"}, last)
	}
	flags, command := app.Flags, chosen(app, before)
	if command != nil {
		flags = slices.Concat(command.Flags, flags)
	}
	if strings.HasPrefix(last, "-") {
		var found []string
		for _, flag := range flags {
			found = append(found, "--"+flag.Names()[0])
		}
		return fitting(found, last)
	}
	if command == nil {
		var found []string
		for _, each := range app.VisibleCommands() {
			found = append(found, each.Name)
		}
		return fitting(found, last)
	}
	return nil
}

// chosen is the app's command among the words.
func chosen(app *cli.App, words []string) *cli.Command {
	for _, word := range words {
		if command := app.Command(word); command != nil {
			return command
		}
	}
	return nil
}

// takesValue says whether the last of the words is a flag that the next one is the value of, and the values that are known.
func takesValue(app *cli.App, words []string) (bool, []string) {
	flags := app.Flags
	if command := chosen(app, words); command != nil {
		flags = slices.Concat(command.Flags, flags)
	}
	name := strings.TrimLeft(words[len(words)-1], "-")
	for _, flag := range flags {
		documented, is := flag.(cli.DocGenerationFlag)
		if is && documented.TakesValue() && slices.Contains(flag.Names(), name) {
			return true, values[name]
		}
	}
	return false, nil
}

func fitting(words []string, begin string) []string {
	words = slices.DeleteFunc(slices.Clone(words), func(word string) bool { return !strings.HasPrefix(word, begin) })
	slices.Sort(words)
	return slices.Compact(words)
}
