package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/safe"
)

// Mistake is one thing that is wrong with a policy, and where.
type Mistake struct {
	Line  int    `json:"line"`
	Field string `json:"field"` // production.canary.minWeight
	Text  string `json:"text"`
}

func (m Mistake) String() string { return fmt.Sprintf("line %d: %s", m.Line, m.Text) }

// Mistakes are all that is wrong with a policy.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	var lines []string
	for _, each := range m {
		lines = append(lines, each.String())
	}
	return strings.Join(lines, "; ")
}

// Largest is the size of the largest policy that is read: a ConfigMap holds no more.
const Largest = 1 << 20

// Parse reads a policy. Its error is Mistakes, in the order of their lines.
func Parse(body []byte) (*Policy, error) {
	r := &reader{}
	found := r.document(body)
	slices.SortStableFunc(r.mistakes, func(a, b Mistake) int { return a.Line - b.Line })
	if len(r.mistakes) > 0 {
		return nil, r.mistakes
	}
	return found, nil
}

type reader struct{ mistakes Mistakes }

func (r *reader) wrong(node *yaml.Node, path, format string, arguments ...any) {
	text := safe.Line(fmt.Sprintf(format, arguments...))
	r.mistakes = append(r.mistakes, Mistake{Line: max(node.Line, 1), Field: path, Text: text})
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func (r *reader) document(body []byte) *Policy {
	whole := &yaml.Node{Line: 1}
	if len(body) > Largest {
		r.wrong(whole, "", "the policy is larger than %d bytes", Largest)
		return nil
	}
	decoder, node := yaml.NewDecoder(bytes.NewReader(body)), &yaml.Node{}
	switch err := decoder.Decode(node); {
	case errors.Is(err, io.EOF):
		r.wrong(whole, "", "the policy is empty: it needs the field production")
		return nil
	case err != nil:
		text := err.Error()
		if match := yamlLine.FindStringSubmatch(text); match != nil {
			whole.Line, _ = strconv.Atoi("0" + match[1])
			text = match[2]
		}
		r.wrong(whole, "", "this is not YAML: %s", text)
		return nil
	}
	if more := (&yaml.Node{}); !errors.Is(decoder.Decode(more), io.EOF) {
		r.wrong(more, "", "a second document begins here: a policy is one document")
		return nil
	}
	found := &Policy{}
	r.fields(node.Content[0], "", []field{{"production", true, func(n *yaml.Node, path string) { r.production(n, path, &found.Production) }}})
	return found
}

// field is one name that a mapping may have.
type field struct {
	name     string
	required bool
	read     func(node *yaml.Node, path string)
}

// fields reads a mapping: what it does not know, has twice or lacks is a mistake.
func (r *reader) fields(node *yaml.Node, path string, known []field) {
	if !r.mapping(node, path) {
		return
	}
	var names []string
	for _, each := range known {
		names = append(names, each.name)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		at := slices.Index(names, key.Value)
		switch {
		case at < 0 || key.Kind != yaml.ScalarNode:
			r.wrong(key, join(path, key.Value), "%s has no field %q%s", orPolicy(path), key.Value, meant(key.Value, names))
		case seen[key.Value]:
			r.wrong(key, join(path, key.Value), "%s has the field %q twice", orPolicy(path), key.Value)
		default:
			known[at].read(node.Content[i+1], join(path, key.Value))
		}
		seen[key.Value] = true
	}
	for _, each := range known {
		if each.required && !seen[each.name] {
			r.wrong(node, join(path, each.name), "%s lacks the field %q", orPolicy(path), each.name)
		}
	}
}

func (r *reader) mapping(node *yaml.Node, path string) bool {
	if node.Kind != yaml.MappingNode {
		r.wrong(node, path, "%s is %s, and must be a mapping of fields", orPolicy(path), kind(node))
		return false
	}
	return true
}

// list reads a sequence of at least one value.
func (r *reader) list(node *yaml.Node, path string, each func(node *yaml.Node, path string)) {
	if node.Kind != yaml.SequenceNode {
		r.wrong(node, path, "%s is %s, and must be a list", path, kind(node))
		return
	}
	if len(node.Content) == 0 {
		r.wrong(node, path, "%s is an empty list: leave it out instead", path)
	}
	for i, one := range node.Content {
		each(one, fmt.Sprintf("%s[%d]", path, i))
	}
}

// texts reads a list of different texts of this form.
func (r *reader) texts(node *yaml.Node, path string, form form, into *[]string) {
	seen := map[string]bool{}
	r.list(node, path, func(one *yaml.Node, path string) {
		var text string
		if r.text(one, path, form, &text); text == "" {
			return
		}
		if seen[text] {
			r.wrong(one, path, "%s: %q is in the list twice", path, text)
		}
		seen[text] = true
		*into = append(*into, text)
	})
}

// form is what a text must look like, and how that is said.
type form struct {
	pattern *regexp.Regexp
	said    string
}

var (
	identity = form{regexp.MustCompile(`^[^,\s\x00-\x1f]([^,\x00-\x1f]*[^,\s\x00-\x1f])?$`),
		"a user id or group: no comma, and no whitespace at its ends"}
	address = form{regexp.MustCompile(`^[^\s<>@]+@[^\s<>@]+$`), "an address such as ada@example.org"}
	keyFile = form{regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*$`),
		"the name of a file beside the policy, such as staging.pub"}
	evidence = form{regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`), "a type of evidence: small letters, digits and -"}
	anyLine  = form{regexp.MustCompile(`^[^\x00-\x1f\x7f]+$`), "one line"}
	length   = form{regexp.MustCompile(`^([0-9]+[wdhms])+$`), "a duration such as 10m, 36h or 7d"}
	decision = form{regexp.MustCompile(`^(refuse|approve)$`), "one of refuse, approve"}
)

func (r *reader) text(node *yaml.Node, path string, form form, into *string) {
	switch {
	case node.Kind != yaml.ScalarNode || node.ShortTag() != "!!str" && node.ShortTag() != "!!timestamp":
		r.wrong(node, path, "%s is %s, and must be a text: %s", path, kind(node), form.said)
	case !form.pattern.MatchString(node.Value):
		r.wrong(node, path, "%s: %q is not %s", path, node.Value, form.said)
	default:
		*into = node.Value
	}
}

func (r *reader) number(node *yaml.Node, path string, least, most int, into *int) {
	if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!int" {
		r.wrong(node, path, "%s is %s, and must be a whole number from %d to %d", path, kind(node), least, most)
		return
	}
	number, err := strconv.Atoi(node.Value)
	if err != nil || number < least || number > most {
		r.wrong(node, path, "%s: %s is not a whole number from %d to %d", path, node.Value, least, most)
		return
	}
	*into = number
}

func (r *reader) flag(node *yaml.Node, path string, into *bool) {
	if node.Kind != yaml.ScalarNode || node.Value != "true" && node.Value != "false" || node.ShortTag() != "!!bool" {
		r.wrong(node, path, "%s is %s, and must be true or false", path, kind(node))
		return
	}
	*into = node.Value == "true"
}

func (r *reader) duration(node *yaml.Node, path string, into *time.Duration) {
	var text string
	if r.text(node, path, length, &text); text == "" {
		return
	}
	found, ok := Duration(text)
	if !ok {
		r.wrong(node, path, "%s: %q is not a duration from 1s to 10000d", path, text)
		return
	}
	*into = found
}

var units = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}

// Duration reads a duration such as 7d or 1d12h: from 1s to 10000d.
func Duration(text string) (time.Duration, bool) {
	const most = 10000 * 24 * time.Hour
	if !length.pattern.MatchString(text) {
		return 0, false
	}
	var sum time.Duration
	for text != "" {
		end := strings.IndexAny(text, "wdhms")
		number, err := strconv.Atoi(text[:end])
		unit := units[text[end]]
		if err != nil || number > int(most/unit) {
			return 0, false
		}
		sum += time.Duration(number) * unit
		text = text[end+1:]
		if sum > most {
			return 0, false
		}
	}
	return sum, sum > 0
}

func kind(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias, which a policy does not use"
	}
	switch node.ShortTag() {
	case "!!null":
		return "empty"
	case "!!int", "!!float":
		return "the number " + node.Value
	case "!!bool":
		return "the flag " + node.Value
	case "!!str":
		return "the text " + strconv.Quote(node.Value)
	}
	return node.Value + " with the tag " + node.ShortTag()
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func orPolicy(path string) string {
	if path == "" {
		return "the policy"
	}
	return path
}

// meant is the known name that needs the fewest changes, if they are few.
func meant(name string, known []string) string {
	best := slipway.Nearest(name, known)
	if best == "" {
		return "; it has: " + strings.Join(known, ", ")
	}
	return fmt.Sprintf(", did you mean %q?", best)
}
