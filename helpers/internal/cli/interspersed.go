package cli

import (
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Interspersed orders arguments as urfave/cli v2 needs them, which stops at the
// first word that is no flag: flags may stand before or after a command's words
// (rollout-wait deployment/app -n prod), and the app's own flags also after the
// command (migrate-diff plan -o json).
func Interspersed(app *cli.App, arguments []string) []string {
	if len(arguments) == 0 {
		return arguments
	}
	var appFlags, commandFlags, words []string
	var command *cli.Command
	rest := arguments[1:]
	for len(rest) > 0 {
		argument := rest[0]
		rest = rest[1:]
		if argument == "--" {
			words = append(words, rest...)
			break
		}
		if !isFlag(argument) {
			if command == nil && len(words) == 0 {
				if command = app.Command(argument); command != nil {
					continue
				}
			}
			words = append(words, argument)
			continue
		}
		name, _, joined := strings.Cut(strings.TrimLeft(argument, "-"), "=")
		taken := []string{argument}
		flag, ofCommand := find(app, command, name)
		if flag != nil && !joined && takesValue(flag) && len(rest) > 0 {
			taken = append(taken, rest[0])
			rest = rest[1:]
		}
		if ofCommand || (flag == nil && command != nil) {
			commandFlags = append(commandFlags, taken...)
		} else {
			appFlags = append(appFlags, taken...)
		}
	}
	ordered := append([]string{arguments[0]}, appFlags...)
	if command != nil {
		ordered = append(append(ordered, command.Name), commandFlags...)
	}
	if len(words) == 0 {
		return ordered
	}
	return append(append(ordered, "--"), words...)
}

var number = regexp.MustCompile(`^-[0-9]`)

func isFlag(argument string) bool {
	return len(argument) > 1 && argument[0] == '-' && !number.MatchString(argument)
}

func find(app *cli.App, command *cli.Command, name string) (flag cli.Flag, ofCommand bool) {
	has := func(flag cli.Flag) bool { return slices.Contains(flag.Names(), name) }
	if command != nil {
		if i := slices.IndexFunc(command.Flags, has); i >= 0 {
			return command.Flags[i], true
		}
	}
	if i := slices.IndexFunc(app.Flags, has); i >= 0 {
		return app.Flags[i], false
	}
	return nil, command != nil && (name == "help" || name == "h")
}

func takesValue(flag cli.Flag) bool {
	documented, ok := flag.(cli.DocGenerationFlag)
	return ok && documented.TakesValue()
}
