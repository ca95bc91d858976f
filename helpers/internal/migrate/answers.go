package migrate

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"

	"slipway.dev/slipway/helpers/internal/safe"
)

// Answer is what a statement's author says about a finding:
// -- slipway:ok RULE reason. The finding stays, and stays breaking.
type Answer struct {
	Reason string `json:"reason"`
	Author string `json:"author,omitempty"` // as git blame names the line's author, where git knows

	line int // in the file
}

var answered = regexp.MustCompile(`--[ \t]*slipway:ok[ \t]+(\S+)[ \t]*(.*)`)

// answersIn reads the answers in the comments of a statement; line is that of the
// text's first byte. A rule that does not exist, or a missing reason, is refused:
// it would answer for nothing.
func answersIn(text string, line int) (map[string]*Answer, error) {
	if !strings.Contains(text, "slipway:ok") {
		return nil, nil
	}
	found := map[string]*Answer{}
	for _, comment := range comments(text) {
		match := answered.FindStringSubmatch(text[comment.from:comment.to])
		if match == nil {
			continue
		}
		at := line - 1 + lineOf(text, comment.from)
		if _, known := ruleNamed[match[1]]; !known {
			return nil, errorAt{at, 0, "slipway:ok names no rule: " + safe.Line(match[1])}
		}
		reason := safe.Line(strings.TrimSpace(match[2]))
		if reason == "" {
			return nil, errorAt{at, 0, "slipway:ok " + match[1] + " gives no reason"}
		}
		found[match[1]] = &Answer{Reason: reason, line: at}
	}
	return found, nil
}

type span struct{ from, to int }

// comments finds the comments that begin with --, as PostgreSQL's lexer does: not
// those that a string only seems to hold.
func comments(text string) []span {
	tokens, err := pgquery.Scan(text)
	if err != nil {
		return nil
	}
	var found []span
	for _, token := range tokens.Tokens {
		if token.Token == pgquery.Token_SQL_COMMENT {
			found = append(found, span{int(token.Start), int(token.End)})
		}
	}
	return found
}

// commentAt gives where a pattern matches a whole comment, or -1.
func commentAt(pattern *regexp.Regexp, text string) int {
	if !pattern.MatchString(text) { // the lexer costs more
		return -1
	}
	for _, comment := range comments(text) {
		if pattern.MatchString(text[comment.from:comment.to]) {
			return comment.from
		}
	}
	return -1
}

// answer marks the findings that are answered for.
func (s *Statement) answer() {
	for i := range s.Findings {
		s.Findings[i].Answered = s.answers[s.Findings[i].Name]
	}
}

// authors asks git who wrote the answers. What git cannot tell stays empty.
func authors(ctx context.Context, migrations []Migration) {
	for _, migration := range migrations {
		for _, s := range migration.Statements {
			for _, answer := range s.answers {
				answer.Author = authorOf(ctx, migration.path, answer.line)
			}
		}
	}
}

func authorOf(ctx context.Context, path string, line int) string {
	dir, file := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	var out bytes.Buffer
	if err := git(ctx, dir, &out, "blame", "--porcelain", "-L", fmt.Sprintf("%d,%d", line, line), "--", file); err != nil {
		return ""
	}
	author, boundary := "", false
	for _, field := range strings.Split(out.String(), "\n") {
		if name, found := strings.CutPrefix(field, "author "); found && author == "" {
			author = name
		}
		boundary = boundary || field == "boundary"
	}
	if strings.HasPrefix(out.String(), "00000000") {
		return "" // not committed yet
	}
	if boundary { // of a shallow clone: an older commit may have written it
		out.Reset()
		if err := git(ctx, dir, &out, "rev-parse", "--is-shallow-repository"); err != nil || strings.TrimSpace(out.String()) != "false" {
			return ""
		}
	}
	return safe.Line(author)
}

// note is what is said of a finding behind its message.
func (f Finding) note() string {
	switch {
	case f.Answered == nil:
		return "instead: " + f.Instead
	case f.Answered.Author == "":
		return "answered: " + f.Answered.Reason
	}
	return "answered by " + f.Answered.Author + ": " + f.Answered.Reason
}
