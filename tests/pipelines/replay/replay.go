// Package replay is a site without a cluster: helpers that answer what the real
// ones answered in a real run, and a list of what they were asked.
package replay

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Call is one call of a helper, and its answer.
type Call struct {
	Helper    string   `json:"helper"`
	Arguments []string `json:"arguments"`
	Exit      int      `json:"exit"`
	Answer    string   `json:"answer"`
}

// Key says what a call is for: two calls of one key ask the same thing.
func (c Call) Key() string {
	key := c.Helper
	for i, argument := range c.Arguments {
		switch {
		case i == 0 && !strings.HasPrefix(argument, "-") && !strings.ContainsAny(argument, "/."):
			key += " " + argument // the command of migrate-diff, canary-weight, image-evidence
		case strings.HasPrefix(argument, "deployment/"):
			key += " " + argument
		case slices.Contains([]string{"--dry-run", "--expired", "--own", "--undo", "--mark-good", "--rollback", "--hold", "--image", "--at"}, argument):
			key += " " + argument
		}
	}
	return key
}

var recorded = regexp.MustCompile(`(?m)^RECORDED (\S+) (\d+) (\S*) (\S*)$`)

// Read finds the calls in the console of a run whose agents' image records them.
func Read(console string) ([]Call, error) {
	var calls []Call
	for _, match := range recorded.FindAllStringSubmatch(console, -1) {
		code, err := strconv.Atoi(match[2])
		if err != nil {
			return nil, err
		}
		arguments, err := base64.StdEncoding.DecodeString(match[3])
		if err != nil {
			return nil, fmt.Errorf("reading the arguments of %s: %w", match[1], err)
		}
		answer, err := base64.StdEncoding.DecodeString(match[4])
		if err != nil {
			return nil, fmt.Errorf("reading the answer of %s: %w", match[1], err)
		}
		calls = append(calls, Call{Helper: match[1], Arguments: strings.Split(strings.TrimSuffix(string(arguments), "\n"), "\n"), Exit: code, Answer: string(answer)})
	}
	return calls, nil
}

var revision = regexp.MustCompile(`(?m)^REVISION=.*$`)

// At gives the answer as it would be for a commit of another repository.
func (c Call) At(commit string) Call {
	if commit != "" {
		c.Answer = revision.ReplaceAllString(c.Answer, "REVISION="+commit)
	}
	return c
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
