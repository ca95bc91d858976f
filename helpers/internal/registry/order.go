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

// Pattern reads the form of a release's tag: an expression with a group for the number,
// or with several for the parts of a version, the first of which counts most.
func Pattern(text string) (*regexp.Regexp, error) {
	pattern, err := regexp.Compile(text)
	if err != nil {
		return nil, slipway.Usagef("--pattern %q is no regular expression", text).Because(err)
	}
	if pattern.NumSubexp() == 0 {
		return nil, slipway.Usagef("--pattern %q has no group, and one is needed around each number, as in %s", text, DefaultPattern)
	}
	return pattern, nil
}

// Order sorts the tags that match by their number, the highest first. Two tags
// of one number are an error: which of them is meant is not for a program to say.
//
// A registry sends them in the order of their letters, in which numbers of the same
// length are sorted: so they are put by their length, and sorted where that was not all.
func Order(tags []string, pattern *regexp.Regexp) (ordered []string, unmatched int, err error) {
	number := numberOf(pattern)
	var end [maxTag + 1]int // of the numbers with so many digits
	for _, tag := range tags {
		digits, matches := number(tag)
		switch {
		case !matches:
			unmatched++
		case digits == "":
			return nil, 0, slipway.Usagef("--pattern %s captures something else than a number of the tag %s, or nothing in one of its groups",
				pattern, tag)
		default:
			end[len(digits)]++
		}
	}
	for length := maxTag - 1; length > 0; length-- {
		end[length] += end[length+1]
	}
	ordered = make([]string, len(tags)-unmatched)
	for _, tag := range tags {
		if digits, matches := number(tag); matches {
			end[len(digits)]--
			ordered[end[len(digits)]] = tag
		}
	}
	of := func(tag string) string { digits, _ := number(tag); return digits }
	if !slices.IsSortedFunc(ordered, func(a, b string) int { return compareNumbers(of(b), of(a)) }) {
		numbers := make(map[string]string, len(ordered))
		for _, tag := range ordered {
			numbers[tag] = of(tag)
		}
		slices.SortFunc(ordered, func(a, b string) int { return compareNumbers(numbers[b], numbers[a]) })
	}
	for i := 1; i < len(ordered); i++ {
		if of(ordered[i]) == of(ordered[i-1]) {
			one, other := min(ordered[i-1], ordered[i]), max(ordered[i-1], ordered[i])
			return nil, 0, slipway.Errorf(slipway.Conflict, "the tags %s and %s have the same number", one, other).
				Next("delete the one that is wrong")
		}
	}
	return ordered, unmatched, nil
}

// numberOf gives what reads a tag's number, as decimal digits without leading zeros
// (of a version, with dots between its parts); empty where the pattern captures
// something else of a tag that matches, or nothing in one of several groups: v2.0.0
// would be passed over for v2.0.0-rc.1.
// The usual form, plain letters and then a number, is read without the expression:
// of a hundred thousand tags that would be a tenth of the whole answer's time.
func numberOf(pattern *regexp.Regexp) func(tag string) (number string, matches bool) {
	start := plainStart(pattern)
	if pattern.String() == "^"+start+"([0-9]+)$" {
		return func(tag string) (string, bool) {
			rest, begins := strings.CutPrefix(tag, start)
			number := digits(rest)
			return number, begins && number != ""
		}
	}
	return func(tag string) (string, bool) {
		groups := pattern.FindStringSubmatch(tag)
		if groups == nil {
			return "", false
		}
		captured := strings.Join(groups[1:], "") != ""
		for i, group := range groups[1:] {
			if groups[i+1] = digits(group); groups[i+1] == "" {
				return "", captured
			}
		}
		return strings.Join(groups[1:], "."), true
	}
}

// digits is the number without leading zeros, and empty where the text is none.
func digits(text string) string {
	zeros := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return ""
		}
		if text[i] == '0' && i == zeros && i < len(text)-1 {
			zeros++
		}
	}
	return text[zeros:]
}

// compareNumbers compares two numbers, or two versions part by part.
func compareNumbers(a, b string) int {
	for {
		one, restA, moreA := strings.Cut(a, ".")
		other, restB, moreB := strings.Cut(b, ".")
		if order := cmp.Or(cmp.Compare(len(one), len(other)), cmp.Compare(one, other)); order != 0 || !moreA || !moreB {
			return order
		}
		a, b = restA, restB
	}
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
