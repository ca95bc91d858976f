// Package replay is a site without a cluster: helpers that answer what the real
// ones answered in a real run, and a list of what they were asked.
package replay

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Call is one call of slipway, and its answer.
type Call struct {
	Helper    string   `json:"helper"` // a name of slipway's
	Arguments []string `json:"arguments"`
	Answer    string   `json:"answer"` // the document
}

// Key says what a call is for: two calls of one key ask the same thing.
func (c Call) Key() string {
	key := c.Helper
	if (c.Helper == "phase" || c.Helper == "migrate-diff") && len(c.Arguments) > 0 {
		key += " " + c.Arguments[0]
	}
	if key == "phase undo" {
		for _, argument := range c.Arguments[1:] {
			if argument == "stable" || argument == "canary" {
				key += " " + argument
			}
		}
	}
	return key
}

// Exit is the exit code that the document states; -1 where there is none.
func (c Call) Exit() int {
	document := struct{ Exit int }{-1}
	if json.Unmarshal([]byte(c.Answer), &document) != nil {
		return -1
	}
	return document.Exit
}

var recorded = regexp.MustCompile(`(?m)^RECORDED (\S+) (\S*) (\S*)$`)

// Read finds the calls in the console of a run whose agents' image records them.
func Read(console string) ([]Call, error) {
	var calls []Call
	for _, match := range recorded.FindAllStringSubmatch(console, -1) {
		arguments, err := base64.StdEncoding.DecodeString(match[2])
		if err != nil {
			return nil, fmt.Errorf("reading the arguments of %s: %w", match[1], err)
		}
		answer, err := base64.StdEncoding.DecodeString(match[3])
		if err != nil {
			return nil, fmt.Errorf("reading the answer of %s: %w", match[1], err)
		}
		calls = append(calls,
			Call{Helper: match[1], Arguments: strings.Split(strings.TrimSuffix(string(arguments), "\n"), "\n"), Answer: string(answer)})
	}
	return calls, nil
}

var built = regexp.MustCompile(`"commit":"[0-9a-f]*"`)

// At gives the answer as it would be for a commit of another repository.
func (c Call) At(commit string) Call {
	if commit != "" {
		c.Answer = built.ReplaceAllString(c.Answer, `"commit":"`+commit+`"`)
	}
	return c
}

// words are the fields of an answer in which others' words may stand.
var words = []string{"commits", "plan", "summary", "note", "canary", "stable", "skipped"}

// Visible is the text as the helpers' answers have it: what a terminal would obey, or not show, is an escape.
func Visible(text string) string {
	var out strings.Builder
	for _, r := range strings.ReplaceAll(text, "\r\n", "\n") {
		switch {
		case r == utf8.RuneError:
			out.WriteString(`\xff`)
		case r == '\n' || r == '\t' || unicode.IsGraphic(r):
			out.WriteRune(r)
		default:
			fmt.Fprintf(&out, `\U%08x`, r)
		}
	}
	return out.String()
}

// Saying gives the answer with this text in the place of others' words, and refused where it is to be.
func (c Call) Saying(text string, refused bool) (Call, error) {
	text = Visible(text)
	document := map[string]any{}
	if err := json.Unmarshal([]byte(c.Answer), &document); err != nil {
		return c, err
	}
	for _, name := range words {
		if said, ok := document[name].(string); ok && said != "" {
			document[name] = text
		}
	}
	if refused {
		document["exit"] = 1
		document["error"] = map[string]string{"message": text, "why": text, "hint": text}
	}
	body, err := json.Marshal(document)
	c.Answer = string(body) + "\n"
	return c, err
}

// Load reads a file of calls.
func Load(file string) ([]Call, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var calls []Call
	if err := json.Unmarshal(body, &calls); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return calls, nil
}

// Answer is what was answered to the same question; found is false where nobody asked it.
func Answer(calls []Call, asked Call) (answer Call, found bool) {
	for _, call := range calls {
		if call.Key() == asked.Key() {
			return call, true
		}
	}
	return Call{}, false
}
