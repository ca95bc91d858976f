// Command slipway is one program with many names: it runs the command that it is called by
// (a link rollout-wait), or the one that its first argument names (slipway rollout-wait).
package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	canaryweight "slipway.dev/slipway/helpers/canary-weight"
	"slipway.dev/slipway/helpers/check"
	deployimage "slipway.dev/slipway/helpers/deploy-image"
	"slipway.dev/slipway/helpers/guard"
	imageevidence "slipway.dev/slipway/helpers/image-evidence"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/metrics"
	migratediff "slipway.dev/slipway/helpers/migrate-diff"
	nexuslatesttag "slipway.dev/slipway/helpers/nexus-latest-tag"
	nexuspush "slipway.dev/slipway/helpers/nexus-push"
	"slipway.dev/slipway/helpers/page"
	"slipway.dev/slipway/helpers/phase"
	"slipway.dev/slipway/helpers/policy"
	rolloutwait "slipway.dev/slipway/helpers/rollout-wait"
	"slipway.dev/slipway/helpers/scaffold"
	"slipway.dev/slipway/helpers/status"
)

// A name makes its App only when it is called: some tune the process to their work.
var commands = map[string]func() *cli.App{
	"canary-weight":    canaryweight.App,
	"deploy-image":     deployimage.App,
	"guard":            guard.App,
	"image-evidence":   imageevidence.App,
	"migrate-diff":     migratediff.App,
	"nexus-latest-tag": nexuslatesttag.App,
	"nexus-push":       nexuspush.App,
	"phase":            phase.App,
	"policy":           policy.App,
	"rollout-wait":     rolloutwait.App,
}

// These are slipway's alone: a program of such a name would stand in the way of another one's.
var own = map[string]func() *cli.App{
	"check":   check.App,
	"init":    scaffold.App,
	"metrics": metrics.App,
	"page":    page.App,
	"status":  status.App,
}

func init() { own["completion"] = completion } // it lists the names, and is one of them

func main() {
	app, arguments := choose(os.Args)
	slipway.Run(app, arguments)
}

// choose finds the command that the arguments name, and the arguments as that command reads them.
func choose(arguments []string) (*cli.App, []string) {
	if app, ok := commands[filepath.Base(arguments[0])]; ok {
		return app(), arguments
	}
	if len(arguments) > 1 {
		for _, known := range []map[string]func() *cli.App{commands, own} {
			if app, ok := known[arguments[1]]; ok {
				return app(), arguments[1:]
			}
		}
	}
	return overview(), arguments
}

// overview answers slipway itself: its help lists the names.
func overview() *cli.App {
	app := &cli.App{
		Name:        "slipway",
		Usage:       "ship a service to Kubernetes: the commands that the pipelines use, for a terminal as well",
		Description: "Each command has its own --help. The first ones are also programs of that name: slipway rollout-wait is rollout-wait.",
		Action:      func(c *cli.Context) error { return slipway.WriteHelp(c.App.Writer, c.App, nil) },
	}
	meant := map[string]string{}
	for _, known := range []map[string]func() *cli.App{commands, own} {
		for _, name := range names(known) {
			each := known[name]()
			app.Commands = append(app.Commands, &cli.Command{Name: name, Usage: each.Usage})
			for _, command := range each.Commands {
				if meant[command.Name] == "" || strings.HasPrefix(meant[command.Name], "phase ") {
					meant[command.Name] = name + " " + command.Name
				}
			}
		}
	}
	app.Commands = append(app.Commands, &cli.Command{Name: "link", Usage: "make a symbolic link to slipway for each name in this folder",
		ArgsUsage: "FOLDER", Action: link})
	app.Metadata = map[string]any{slipway.Synonyms: meant}
	return app
}

// link makes the names of the commands in the folder that slipway itself is in.
func link(c *cli.Context) error {
	if c.NArg() != 1 {
		return slipway.Usagef("slipway link needs one FOLDER, and got %d arguments", c.NArg())
	}
	folder := c.Args().First()
	if _, err := os.Stat(filepath.Join(folder, "slipway")); err != nil {
		return slipway.Usagef("%s does not contain slipway", folder).Because(err).Next("copy slipway there first")
	}
	for _, name := range names(commands) {
		path := filepath.Join(folder, name)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return slipway.Errorf(slipway.No, "%s cannot be replaced", path).Because(err)
		}
		if err := os.Symlink("slipway", path); err != nil {
			return slipway.Errorf(slipway.No, "%s cannot be created", path).Because(err)
		}
	}
	return nil
}

func names(of ...map[string]func() *cli.App) []string {
	var all []string
	for _, each := range of {
		all = slices.AppendSeq(all, maps.Keys(each))
	}
	slices.Sort(all)
	return all
}
