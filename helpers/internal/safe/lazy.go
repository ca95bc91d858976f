package safe

import (
	"regexp"
	"sync"
)

// lazy is a regular expression that is compiled when it is first used: there are nearly a hundred, and most runs of a
// program mask nothing.
type lazy func() *regexp.Regexp

func lazily(expression string) lazy {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

func (l lazy) MatchString(text string) bool              { return l().MatchString(text) }
func (l lazy) FindString(text string) string             { return l().FindString(text) }
func (l lazy) FindStringIndex(text string) []int         { return l().FindStringIndex(text) }
func (l lazy) FindStringSubmatch(text string) []string   { return l().FindStringSubmatch(text) }
func (l lazy) FindStringSubmatchIndex(text string) []int { return l().FindStringSubmatchIndex(text) }
func (l lazy) ReplaceAllString(text, replacement string) string {
	return l().ReplaceAllString(text, replacement)
}

func (l lazy) ReplaceAllStringFunc(text string, replace func(string) string) string {
	return l().ReplaceAllStringFunc(text, replace)
}
