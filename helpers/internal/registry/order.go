package registry

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// DefaultPattern captures the build number of the pipelines' tags.
const DefaultPattern = `^latest-([0-9]+)$`

// Pattern reads the form of a release's tag: an expression with one group, for the number.
func Pattern(text string) (*regexp.Regexp, error) {
	pattern, err := regexp.Compile(text)
	if err != nil {
		return nil, slipway.Usagef("--pattern %q is no regular expression", text).Because(err)
	}
	if pattern.NumSubexp() != 1 {
		return nil, slipway.Usagef("--pattern %q has %d groups, and one is needed, around the number: %s", text, pattern.NumSubexp(), DefaultPattern)
	}
	return pattern, nil
}

// Candidate is a tag and its number, as decimal digits without leading zeros.
type Candidate struct {
	Tag    string
	Number string
}

// Order sorts the tags that match by their number, the highest first. Two tags
// of one number are an error: which of them is meant is not for a program to say.
func Order(tags []string, pattern *regexp.Regexp) (ordered []Candidate, unmatched int, err error) {
	ordered = make([]Candidate, 0, len(tags))
	capture := capturer(pattern)
	for _, tag := range tags {
		captured, matches := capture(tag)
		if !matches {
			unmatched++
			continue
		}
		number, ok := digits(captured)
		if !ok {
			return nil, 0, slipway.Usagef("--pattern %s captures %q of the tag %s, and that is no number", pattern, captured, tag)
		}
		ordered = append(ordered, Candidate{Tag: tag, Number: number})
	}
	slices.SortFunc(ordered, func(a, b Candidate) int { return compareNumbers(b.Number, a.Number) })
	for i := 1; i < len(ordered); i++ {
		if ordered[i].Number == ordered[i-1].Number {
			one, other := min(ordered[i-1].Tag, ordered[i].Tag), max(ordered[i-1].Tag, ordered[i].Tag)
			return nil, 0, slipway.Errorf(slipway.Conflict, "the tags %s and %s have the same number", one, other).Next("delete the one that is wrong")
		}
	}
	return ordered, unmatched, nil
}

// capturer gives what the pattern captures of a tag. The usual form, plain letters
// and then a number, is read without the expression: of a hundred thousand tags
// that is a tenth of the whole answer's time.
func capturer(pattern *regexp.Regexp) func(tag string) (captured string, matches bool) {
	start := plainStart(pattern)
	if pattern.String() == "^"+start+"([0-9]+)$" {
		return func(tag string) (string, bool) {
			number, begins := strings.CutPrefix(tag, start)
			_, ok := digits(number)
			return number, begins && ok
		}
	}
	return func(tag string) (string, bool) {
		at := pattern.FindStringSubmatchIndex(tag)
		if at == nil || at[2] < 0 {
			return "", false
		}
		return tag[at[2]:at[3]], true
	}
}

func digits(text string) (string, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return "", false
	}
	return cmp.Or(strings.TrimLeft(text, "0"), "0"), true
}

func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// middle guesses a tag that others of the pattern's form stand before and behind;
// empty where the form does not begin with plain letters.
func middle(pattern *regexp.Regexp) string {
	if start := plainStart(pattern); start != "" {
		return start + "8"
	}
	return ""
}

// plainStart is what stands before the number and means just itself; empty where there is no such.
func plainStart(pattern *regexp.Regexp) string {
	start, _, _ := strings.Cut(strings.TrimPrefix(pattern.String(), "^"), "(")
	if regexp.QuoteMeta(start) != start || !isTag(start) {
		return ""
	}
	return start
}
