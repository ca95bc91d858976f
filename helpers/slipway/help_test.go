package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

var update = flag.Bool("update", false, "write the help of each command to testdata/help")

// each calls do for slipway, for each of its names and for each of their commands.
func each(t *testing.T, do func(t *testing.T, name string, app *cli.App, command *cli.Command)) {
	t.Helper()
	every := map[string]func() *cli.App{"slipway": overview}
	for _, known := range []map[string]func() *cli.App{commands, own} {
		for name, make := range known {
			every[name] = make
		}
	}
	for name, make := range every {
		app := slipway.Prepare(make())
		app.Setup()
		t.Run(name, func(t *testing.T) { do(t, name, app, nil) })
		for _, command := range app.Commands {
			if command.Action != nil && !command.Hidden {
				t.Run(name+" "+command.Name, func(t *testing.T) { do(t, name, app, command) })
			}
		}
	}
}

func examples(name string, app *cli.App, command *cli.Command) []string {
	if command == nil {
		return slipway.Examples(name, app.Description)
	}
	return slipway.Examples(name+" "+command.Name, command.Description)
}

// A change of words is a decision: go test ./helpers/slipway -run TestHelp -update writes the files anew.
func TestHelpIsAsItWasDecided(t *testing.T) {
	var written []string
	each(t, func(t *testing.T, name string, app *cli.App, command *cli.Command) {
		var out bytes.Buffer
		require.NoError(t, slipway.WriteHelp(&out, app, command))
		file := filepath.Join("testdata/help", strings.ReplaceAll(called(name, command), " ", "-")+".txt")
		written = append(written, file)
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, out.Bytes(), 0o644))
		}
		decided, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, string(decided), out.String(), "if this is meant: go test ./helpers/slipway -run TestHelp -update")
	})
	kept, err := filepath.Glob("testdata/help/*")
	require.NoError(t, err)
	assert.ElementsMatch(t, written, kept, "a file of a command that is gone")
}

func called(name string, command *cli.Command) string {
	if command == nil {
		return name
	}
	return name + " " + command.Name
}

// What --help prints is that help: for an app, and for a command of it.
func TestHelpIsWhatTheFlagPrints(t *testing.T) {
	each(t, func(t *testing.T, name string, app *cli.App, command *cli.Command) {
		var want, got, stderr bytes.Buffer
		require.NoError(t, slipway.WriteHelp(&want, app, command))
		arguments := []string{name, "--help"}
		if command != nil {
			arguments = []string{name, command.Name, "--help"}
		}
		again, left := choose(append([]string{"slipway"}, arguments...))
		if name == "slipway" {
			again, left = choose(arguments)
		}
		again.Writer, again.ErrWriter = &got, &stderr
		require.Equal(t, slipway.Done, slipway.Execute(t.Context(), again, left), stderr.String())
		assert.Equal(t, want.String(), got.String())
	})
}

func TestEachHelpHasASummaryExamplesAndExitCodes(t *testing.T) {
	each(t, func(t *testing.T, name string, app *cli.App, command *cli.Command) {
		var out bytes.Buffer
		require.NoError(t, slipway.WriteHelp(&out, app, command))
		summary, _, _ := strings.Cut(out.String(), "\n")
		assert.LessOrEqual(t, len(summary), 140, "the summary is one line")
		assert.GreaterOrEqual(t, len(examples(name, app, command)), 2, "two examples in examples.txt")
		for _, part := range []string{"\nUsage:\n", "\nExamples:\n", "\nExit codes:\n  0  ", "\n  4  "} {
			assert.Contains(t, out.String(), part)
		}
		for _, line := range strings.Split(out.String(), "\n") {
			assert.NotRegexp(t, `\s$`, line)
		}
	})
}

var quotes = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)

// An example names a command that exists and flags that it has, each with a value of its kind.
func TestEachExampleIsACallThatIsUnderstood(t *testing.T) {
	each(t, func(t *testing.T, name string, app *cli.App, command *cli.Command) {
		for _, example := range examples(name, app, command) {
			call := regexp.MustCompile(` (?:#|>|\|) .*`).ReplaceAllString(example, "")
			words := quotes.FindAllString(regexp.MustCompile(`^(?:[A-Z_]+=\S+ )+`).ReplaceAllString(call, ""), -1)
			app, arguments := choose(words)
			if arguments[0] == "slipway" && arguments[1] != "link" {
				t.Fatalf("%q calls no command", example)
			}
			var called bool
			did := func(*cli.Context) error { called = true; return nil }
			if app.Action != nil {
				app.Action = did
			}
			for _, each := range app.Commands {
				each.Action = did
			}
			var out bytes.Buffer
			app.Writer, app.ErrWriter = &out, &out
			assert.Equal(t, slipway.Done, slipway.Execute(t.Context(), app, arguments), "%s: %s", example, out.String())
			assert.True(t, called, example)
		}
	})
}

func TestAMistypedNameIsAnsweredByTheOneThatWasMeant(t *testing.T) {
	for _, test := range []struct{ given, meant string }{
		{"slipway plicy", "did you mean: slipway policy"},
		{"slipway rolout-wait", "did you mean: slipway rollout-wait"},
		{"slipway plan", "did you mean: slipway migrate-diff plan"},
		{"slipway judge", "did you mean: slipway phase judge"},
		{"slipway xyzzy", "slipway has no command \"xyzzy\"; it has: "},
		{"migrate-diff pln", "did you mean: migrate-diff plan"},
		{"canary-weight stop", "did you mean: canary-weight abort"},
		{"migrate-diff plan --dirr x", "did you mean --dir?"},
		{"rollout-wait --timout 5m deployment/x", "did you mean --timeout?"},
		{"canary-weight get --nemspace prod", "did you mean --namespace?"},
		{"nexus-push --xyzzyxyzzy", "the flags are listed by: nexus-push --help"},
	} {
		var out bytes.Buffer
		app, arguments := choose(strings.Fields(test.given))
		app.Writer, app.ErrWriter = &out, &out
		assert.Equal(t, slipway.Usage, slipway.Execute(t.Context(), app, arguments), test.given)
		assert.Contains(t, out.String(), test.meant, test.given)
	}
}

func TestWordsThatComplete(t *testing.T) {
	for _, test := range []struct {
		words []string
		want  []string
		all   bool // these and no others
	}{
		{[]string{"slipway", ""}, []string{"canary-weight", "init", "link", "completion"}, false},
		{[]string{"slipway", "roll"}, []string{"rollout-wait"}, true},
		{[]string{"slipway", "migrate-diff", "re"}, []string{"rehearse", "repair"}, true},
		{[]string{"/usr/local/bin/migrate-diff", "pl"}, []string{"plan"}, true},
		{[]string{"migrate-diff", "--dir", "x", "pl"}, []string{"plan"}, true},
		{[]string{"migrate-diff", "plan", "--di"}, []string{"--dir"}, true},
		{[]string{"migrate-diff", "plan", "--dir", ""}, nil, true},
		{[]string{"rollout-wait", "-o", ""}, []string{"json", "text"}, true},
		{[]string{"canary-weight", "set", "--router", "ga"}, []string{"gateway"}, true},
		{[]string{"slipway", "completion", ""}, []string{"bash", "fish", "zsh"}, true},
		{[]string{"slipway", "nothing", ""}, nil, true},
		{[]string{"slipway"}, nil, true},
		{nil, nil, true},
	} {
		got := complete(test.words)
		for _, word := range test.want {
			assert.Contains(t, got, word, "%q", test.words)
		}
		if test.all {
			assert.Len(t, got, len(test.want), "%q: %q", test.words, got)
		}
	}
}

const asProgram = "SLIPWAY_TEST_AS_PROGRAM"

// TestMain lets this test be the program slipway itself, for those who call it from a shell.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// The scripts, in the shells themselves; bash is on every machine that builds this.
func TestTheShellsComplete(t *testing.T) {
	folder := t.TempDir()
	program, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(program, filepath.Join(folder, "slipway")))
	t.Setenv(asProgram, "true")
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	for shell, script := range map[string]string{
		"bash": `source <(slipway completion bash); COMP_WORDS=(slipway migrate-diff re); COMP_CWORD=2; _slipway; printf '%s\n' "${COMPREPLY[@]}"
complete -p rollout-wait > /dev/null`,
		"zsh": `compdef() { :; }; compadd() { shift; print -l -- "$@"; }; source <(slipway completion zsh)
words=(slipway migrate-diff re); CURRENT=3; _slipway`,
		"fish": `slipway completion fish | source; complete -C 'slipway migrate-diff re'`,
	} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil && shell != "bash" {
				t.Skip(err)
			}
			out, err := exec.CommandContext(t.Context(), shell, "-c", script).CombinedOutput()
			require.NoError(t, err, string(out))
			assert.Equal(t, []string{"rehearse", "repair"}, strings.Fields(string(out)))
		})
	}
	script, err := exec.CommandContext(t.Context(), filepath.Join(folder, "slipway"), "completion", "bash").Output()
	require.NoError(t, err)
	assert.True(t, slices.Contains(strings.Fields(string(script)), "nexus-latest-tag"))
}
