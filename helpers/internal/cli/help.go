package cli

import (
	_ "embed"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// group is what a flag is for; the help lists flags by it. What is not in here is the command's own.
var group = map[string]string{}

func init() {
	for title, names := range map[string]string{
		"The cluster":  "namespace kubeconfig context",
		"The registry": "ca-file insecure-skip-verify plain-http token-host",
		"The versions": "app stable canary container router service route",
		"The database": "database-url-file history-schema",
		"The files":    "dir allow-out-of-order allow-gaps",
		"The evidence": "key require scan-max-age scanner severity waivers require-revision pattern depth at git",
		"Prometheus":   "prometheus metric errors histogram selector query window",
		"The analysis": "duration interval min-requests max-error-rate max-p95-ratio p95-floor",
		"The approval": "policy approvals approvers rule verdict plan plan-id started-by",
		"Who and why":  "run record reason commit build-url",
		"Time limits":  "timeout hold lock-timeout lock-wait lock-attempts statement-timeout api-grace wait-for-create proof expires",
		"The output":   "output answer log-level markdown report explain logs exit-code help version dry-run",
		"Grace periods": "grace-pull grace-pull-refused grace-config grace-crash grace-create grace-unschedulable grace-claim grace-quota " +
			"grace-webhook grace-stuck",
	} {
		for _, name := range strings.Fields(names) {
			group[name] = title
		}
	}
}

const width = 110 // of the help

//go:embed examples.txt
var examplesText string

// page is what examples.txt has of one command.
type page struct {
	examples []string
	exits    map[string]string
}

var pages = readPages(examplesText)

func readPages(text string) map[string]page {
	found := map[string]page{}
	name := ""
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		trimmed := strings.TrimSpace(line)
		if trimmed == line {
			name, found[line] = line, page{exits: map[string]string{}}
			continue
		}
		p := found[name]
		if rest, is := strings.CutPrefix(trimmed, "exit "); is {
			p.exits[rest[:1]] = rest[2:]
		} else {
			p.examples = append(p.examples, trimmed)
		}
		found[name] = p
	}
	return found
}

// Examples are those of a command: of examples.txt by its name ("migrate-diff plan"), else of the end of its description.
func Examples(name, description string) []string {
	if found := pages[name].examples; len(found) > 0 {
		return found
	}
	_, list, _ := strings.Cut(description, examplesTitle)
	var found []string
	for _, line := range strings.Split(list, "\n") {
		if strings.HasPrefix(line, " ") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

const examplesTitle = "\nExamples:\n"

// WriteHelp writes the help of an app, or of one of its commands.
func WriteHelp(out io.Writer, app *cli.App, command *cli.Command) error {
	h := &help{}
	name, usage, description, arguments, flags := app.Name, app.Usage, app.Description, app.ArgsUsage, app.Flags
	if command != nil {
		name, usage, description = app.Name+" "+command.Name, command.Usage, command.Description
		arguments, flags = command.ArgsUsage, slices.Concat(command.Flags, app.Flags)
	}
	h.printf("%s: %s\n", name, usage)
	h.title("Usage")
	called := name
	examples := Examples(name, description)
	description, _, _ = strings.Cut(description, examplesTitle)
	if len(examples) > 0 && strings.HasPrefix(examples[0], "slipway "+name) {
		called = "slipway " + name
	}
	if command == nil && len(app.Commands) > 0 {
		called += " COMMAND"
	}
	h.printf("  %s\n", strings.TrimSpace(called+" [FLAGS] "+arguments))
	if description != "" {
		h.printf("\n")
		for _, line := range strings.Split(joined.ReplaceAllString(strings.TrimSpace(description), "$1 $2"), "\n") {
			h.wrapped(line)
		}
	}
	if command == nil {
		h.commands(app.VisibleCommands())
	}
	h.title("Examples")
	for _, example := range examples {
		h.printf("  %s\n", example)
	}
	h.flags(flags)
	h.exits(name)
	_, err := io.WriteString(out, h.text.String())
	return err
}

// joined is where a sentence of a description goes on in its next line.
var joined = regexp.MustCompile(`(\S)\n(\S)`)

type help struct{ text strings.Builder }

func (h *help) printf(format string, arguments ...any) { fmt.Fprintf(&h.text, format, arguments...) }
func (h *help) title(title string)                     { h.printf("\n%s:\n", title) }

func (h *help) commands(commands []*cli.Command) {
	if len(commands) == 0 {
		return
	}
	h.title("Commands")
	column := 0
	for _, command := range commands {
		column = max(column, len(command.Name))
	}
	for _, command := range commands {
		h.row(column, command.Name, command.Usage)
	}
}

// row is a name and its text, wrapped beside it.
func (h *help) row(column int, name, text string) {
	h.wrap("  "+name+strings.Repeat(" ", max(column-len(name), 0))+"  ", strings.Repeat(" ", column+4), text)
}

// wrapped is a line of text; what it is indented by stays.
func (h *help) wrapped(line string) {
	text := strings.TrimLeft(line, " ")
	indent := line[:len(line)-len(text)]
	h.wrap(indent, indent, text)
}

func (h *help) wrap(line, indent, text string) {
	for i, word := range strings.Fields(text) {
		if i > 0 && len(line)+len(word) > width {
			h.printf("%s\n", strings.TrimRight(line, " "))
			line = indent
		}
		line += word + " "
	}
	h.printf("%s\n", strings.TrimRight(line, " "))
}

// flags are listed by what they are for: the command's own first, the output last.
func (h *help) flags(all []cli.Flag) {
	const own, output = "Flags", "The output"
	titles := []string{own}
	of := map[string][]cli.Flag{}
	for _, flag := range all {
		if flag == cli.HelpFlag || flag == cli.VersionFlag {
			continue // the library adds them here or there
		}
		title := own
		if sorted, ok := flag.(cli.CategorizableFlag); ok && sorted.GetCategory() != "" {
			title = sorted.GetCategory()
		} else if known := group[flag.Names()[0]]; known != "" {
			title = known
		}
		if !slices.Contains(titles, title) && title != output {
			titles = append(titles, title)
		}
		of[title] = append(of[title], flag)
	}
	for _, title := range append(titles, output) {
		if len(of[title]) == 0 {
			continue
		}
		h.title(title)
		for _, flag := range of[title] {
			left, right := describe(flag)
			if len(left) > 32 {
				h.printf("  %s\n", left)
				left = ""
			}
			h.row(32, left, right)
		}
	}
	h.row(32, "-h, --help", "show this help")
	h.row(32, "-v, --version", "print the version")
}

// describe is a flag's name with what it takes, and its text with default and environment variable.
func describe(flag cli.Flag) (left, right string) {
	documented := flag.(cli.DocGenerationFlag)
	for _, name := range slices.Backward(flag.Names()) {
		dashes := "--"
		if len(name) == 1 {
			dashes = "-"
		}
		left = strings.TrimPrefix(left+", "+dashes+name, ", ")
	}
	if len(flag.Names()) == 1 {
		left = "    " + left
	}
	usage := documented.GetUsage()
	if _, rest, quoted := strings.Cut(usage, "`"); quoted {
		placeholder, _, _ := strings.Cut(rest, "`")
		usage = strings.ReplaceAll(usage, "`", "")
		left += " " + placeholder
	} else if takesValue(flag) {
		left += " " + kind(flag)
	}
	if value := byDefault(documented); value != "" {
		usage += " (default " + value + ")"
	}
	for _, variable := range documented.GetEnvVars() {
		usage += " [$" + variable + "]"
	}
	return left, usage
}

func kind(flag cli.Flag) string {
	switch flag.(type) {
	case *cli.DurationFlag:
		return "DURATION"
	case *cli.IntFlag, *cli.Int64Flag, *cli.Float64Flag:
		return "NUMBER"
	}
	return "TEXT"
}

// byDefault is the value that counts without the flag; empty where it is none, or where the text of the flag says it.
func byDefault(flag cli.DocGenerationFlag) string {
	if !flag.TakesValue() || strings.Contains(flag.GetUsage(), "default") {
		return ""
	}
	value := strings.Trim(flag.GetDefaultText(), `"`)
	if value == "" || value == "0" || strings.HasPrefix(value, "-") || value == "0s" {
		return ""
	}
	if strings.HasSuffix(value, "m0s") {
		value = strings.TrimSuffix(value, "0s")
	}
	if strings.HasSuffix(value, "h0m") {
		value = strings.TrimSuffix(value, "0m")
	}
	return value
}

func (h *help) exits(name string) {
	h.title("Exit codes")
	for code, meaning := range [...]string{Done: "done", No: "the answer is no", Usage: "wrong usage or configuration", Unknown: "could not tell",
		Conflict: "conflict with somebody else's change"} {
		number := fmt.Sprint(code)
		if own := pages[name].exits[number]; own != "" {
			meaning = own
		}
		h.printf("  %s  %s\n", number, meaning)
	}
}
