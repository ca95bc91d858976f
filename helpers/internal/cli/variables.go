package cli

import (
	"os"

	"github.com/urfave/cli/v2"
)

// dropEmpty removes from the environment the variables of these flags that are set to
// nothing: they count as not set, as a Jenkins job without a value for a parameter means it.
// urfave/cli would replace a text's default by "", take a list for one empty text, and not
// look at the next variable of the flag.
func dropEmpty(flags []cli.Flag, commands []*cli.Command) {
	for _, flag := range flags {
		if documented, is := flag.(cli.DocGenerationFlag); is {
			for _, name := range documented.GetEnvVars() {
				if value, set := os.LookupEnv(name); set && value == "" {
					_ = os.Unsetenv(name)
				}
			}
		}
	}
	for _, command := range commands {
		dropEmpty(command.Flags, command.Subcommands)
	}
}
