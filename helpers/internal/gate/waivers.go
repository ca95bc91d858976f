package gate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/safe"
)

// How long a waiver may hold, and (Soon) how long before its end that is said; days.
const (
	longest = 90
	Soon    = 7
	day     = time.DateOnly
)

// Waiver lets one finding pass until its end.
type Waiver struct {
	ID      string
	Package string // or empty: of any package
	Reason  string
	Owner   string
	Until   time.Time // the last day on which it holds, UTC
	where   string
}

func (w Waiver) covers(found Finding) bool {
	return w.ID == found.ID && (w.Package == "" || sameName(w.Package, found.Package))
}

// sameName compares names of packages, which Python spells with -, _ and . alike.
func sameName(one, other string) bool {
	plain := func(name string) string {
		return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
	}
	return plain(one) == plain(other)
}

// Read reads files of waivers; one that is not there has none. All mistakes of all files are one error. One that
// has ended refuses the image (exit 1). warnings name those that end within a week.
func Read(files []string, now time.Time) (waivers []Waiver, warnings []string, err error) {
	r := &reader{today: now.UTC().Truncate(24 * time.Hour)}
	for _, file := range files {
		r.file(file)
	}
	if len(r.mistakes) > 0 {
		return nil, nil, slipway.Usagef("the waivers cannot be taken").Because(errors.New(strings.Join(append(r.mistakes, r.ended...), "; "))).
			Next("each has id, reason, owner and until (a day, at most %d days ahead), and may have package", longest)
	}
	if len(r.ended) > 0 {
		return nil, nil, slipway.Errorf(slipway.No, "a waiver has ended").Because(errors.New(strings.Join(r.ended, "; "))).
			Next("raise the package to a version without the finding and remove the waiver; or give it a later end, with a reason that still holds")
	}
	return r.waivers, r.warnings, nil
}

// Parse reads the text of one file of waivers, also those that have ended.
func Parse(name string, body []byte, now time.Time) ([]Waiver, error) {
	r := &reader{today: now.UTC().Truncate(24 * time.Hour), name: name}
	if r.read(body); len(r.mistakes) > 0 {
		return nil, slipway.Usagef("the waivers cannot be taken").Because(errors.New(strings.Join(r.mistakes, "; ")))
	}
	return r.waivers, nil
}

// Left is for how many days after that one a waiver holds; it is negative where it has ended.
func (w Waiver) Left(now time.Time) int {
	return int(w.Until.Sub(now.UTC().Truncate(24*time.Hour)) / (24 * time.Hour))
}

type reader struct {
	today                     time.Time
	name                      string
	waivers                   []Waiver
	mistakes, ended, warnings []string
}

func (r *reader) wrong(node *yaml.Node, format string, arguments ...any) {
	r.mistakes = append(r.mistakes, r.at(node)+": "+safe.Line(fmt.Sprintf(format, arguments...)))
}

func (r *reader) at(node *yaml.Node) string {
	return fmt.Sprintf("%s line %d", r.name, max(node.Line, 1))
}

const largest = 1 << 20

func (r *reader) file(file string) {
	r.name = filepath.Base(file)
	info, err := os.Stat(file)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > largest) {
		err = fmt.Errorf("%s is no file of at most %d MB", r.name, largest>>20)
	}
	var body []byte
	if err == nil {
		body, err = os.ReadFile(file)
	}
	if err != nil {
		r.mistakes = append(r.mistakes, safe.Line(err.Error()))
		return
	}
	r.read(body)
}

func (r *reader) read(body []byte) {
	decoder, root := yaml.NewDecoder(bytes.NewReader(body)), &yaml.Node{}
	switch err := decoder.Decode(root); {
	case errors.Is(err, io.EOF): // an empty one
		return
	case err != nil:
		r.wrong(root, "this is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	if more := (&yaml.Node{}); !errors.Is(decoder.Decode(more), io.EOF) {
		r.wrong(more, "a second document begins here")
	}
	found := r.fields(root.Content[0], "the file", []string{"waivers"}, nil)
	list := found["waivers"]
	if list == nil {
		return
	}
	if list.Kind != yaml.SequenceNode {
		r.wrong(list, "waivers is no list")
		return
	}
	for _, each := range list.Content {
		r.waiver(each)
	}
}

// fields gives the values of a mapping that has these fields and no others, each once.
func (r *reader) fields(node *yaml.Node, what string, required, optional []string) map[string]*yaml.Node {
	found := map[string]*yaml.Node{}
	if node.Kind != yaml.MappingNode {
		r.wrong(node, "%s is no mapping of fields", what)
		return found
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		switch {
		case !slices.Contains(required, key.Value) && !slices.Contains(optional, key.Value):
			r.wrong(key, "%s has no field %q", what, key.Value)
		case found[key.Value] != nil:
			r.wrong(key, "%s has the field %s twice", what, key.Value)
		default:
			found[key.Value] = node.Content[i+1]
		}
	}
	for _, name := range required {
		if found[name] == nil {
			r.wrong(node, "%s lacks the field %s", what, name)
		}
	}
	return found
}

var (
	idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{2,63}$`)
	noName = regexp.MustCompile(`[\s*?]`)
)

func (r *reader) waiver(node *yaml.Node) {
	before := len(r.mistakes)
	found := r.fields(node, "a waiver", []string{"id", "reason", "owner", "until"}, []string{"package"})
	w := Waiver{ID: r.text(found, "id"), Package: r.text(found, "package"), Reason: r.text(found, "reason"), Owner: r.text(found, "owner"),
		where: r.at(node)}
	if w.ID != "" && !idForm.MatchString(w.ID) {
		r.wrong(found["id"], "id %q is no name of one vulnerability, such as CVE-2026-12345", w.ID)
	}
	if noName.MatchString(w.Package) {
		r.wrong(found["package"], "package %q is no name of one package", w.Package)
	}
	if until := r.text(found, "until"); until != "" {
		var err error
		if w.Until, err = time.Parse(day, until); err != nil {
			r.wrong(found["until"], "until %q is no day, such as 2027-01-31", until)
		} else if days := int(w.Until.Sub(r.today) / (24 * time.Hour)); days > longest {
			r.wrong(found["until"], "until %s is %d days ahead, and %d is the most", until, days, longest)
		}
	}
	same := func(o Waiver) bool {
		return o.ID == w.ID && sameName(o.Package, w.Package) && strings.HasPrefix(o.where, r.name+" ")
	}
	if w.ID != "" && slices.ContainsFunc(r.waivers, same) {
		r.wrong(node, "the waiver of %s is there twice", w.ID)
	}
	if len(r.mistakes) > before {
		return
	}
	r.end(w)
	r.waivers = append(r.waivers, w)
}

// end notes a waiver that has ended, or soon will.
func (r *reader) end(w Waiver) {
	days := int(w.Until.Sub(r.today) / (24 * time.Hour))
	whose := fmt.Sprintf("the waiver of %s (%s, owner %s)", w.ID, w.where, safe.Line(w.Owner))
	switch {
	case days < 0:
		r.ended = append(r.ended, fmt.Sprintf("%s ended on %s", whose, w.Until.Format(day)))
	case days <= Soon:
		r.warnings = append(r.warnings, fmt.Sprintf("%s ends on %s: from the day after, the build fails", whose, w.Until.Format(day)))
	}
}

// text is a field's value on one line; a field that is not there is empty.
func (r *reader) text(found map[string]*yaml.Node, name string) string {
	node := found[name]
	if node == nil {
		return ""
	}
	text := strings.TrimSpace(node.Value)
	if node.Kind != yaml.ScalarNode || node.Tag != "!!str" && (name != "until" || node.Tag != "!!timestamp") {
		r.wrong(node, "%s is no text", name)
		return ""
	}
	if text == "" || len(text) > 500 || safe.Line(text) != text {
		r.wrong(node, "%s is empty, or no text on one line of at most 500 characters", name)
		return ""
	}
	return text
}
