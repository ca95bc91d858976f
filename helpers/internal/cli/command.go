package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Synonyms is the name in an App's Metadata of a map[string]string: what people call
// its commands, and what those are called here.
const Synonyms = "synonyms"

// unknownCommand is the error where the first argument is no command of the app: before
// its flags are read, which are a command's and not the app's.
func unknownCommand(app *cli.App, arguments []string) (unknown error) {
	if len(app.Commands) == 0 || len(arguments) < 2 || strings.HasPrefix(arguments[1], "-") {
		return nil
	}
	given := arguments[1]
	if slices.ContainsFunc(app.Commands, func(c *cli.Command) bool { return c.HasName(given) }) {
		return nil
	}
	if slices.Contains([]string{"help", "h"}, given) {
		return nil // the library's own
	}
	err := Usagef("%s has no command %q; it has: %s", app.Name, given, commandNames(app))
	synonyms, _ := app.Metadata[Synonyms].(map[string]string)
	if meant := cmp.Or(synonyms[given], Nearest(given, strings.Split(commandNames(app), ", "))); meant != "" {
		err = err.Next("did you mean: %s", fmt.Sprint(app.Name, " ", meant))
	}
	return err
}

func commandNames(app *cli.App) string {
	var names []string
	for _, command := range app.VisibleCommands() {
		names = append(names, command.Name)
	}
	return strings.Join(names, ", ")
}
