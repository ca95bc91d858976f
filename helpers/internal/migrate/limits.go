package migrate

// A file can change the time limits that it runs under.

import (
	"regexp"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
)

// resetAll is what RESET ALL does to a limit.
const resetAll = "RESET ALL"

// limits notes which time limit a SET or RESET changes.
func (s *Statement) limits(set *pgquery.VariableSetStmt) {
	switch {
	case set.Kind == pgquery.VariableSetKind_VAR_RESET_ALL:
		s.limit("lock_timeout", "", resetAll)
		s.limit("statement_timeout", "", resetAll)
	case set.Kind != pgquery.VariableSetKind_VAR_SET_VALUE:
		s.limit(set.Name, "", "RESET")
	case len(set.Args) == 1:
		value := set.Args[0].GetAConst()
		text := value.GetSval().GetSval()
		if number := value.GetIval(); number != nil && number.Ival == 0 {
			text = "0"
		}
		s.limit(set.Name, text, "")
	}
}

// limit notes a time limit that gets another value, or, by a reset, the session's own.
func (s *Statement) limit(name, value, reset string) {
	lifts := noTime.MatchString(value)
	switch strings.ToLower(name) {
	case "lock_timeout":
		if lifts || reset != "" {
			s.find("lock-timeout", "")
		}
	case "statement_timeout", "transaction_timeout":
		s.made.limits = true
		if lifts {
			s.find("statement-timeout", "")
		}
	}
}

var noTime = regexp.MustCompile(`^\s*-?0+(\.0*)?\s*(us|ms|s|min|h|d)?\s*$`)

// limitsOutside: outside a transaction lock_timeout is off, and statement_timeout is that
// of --statement-timeout: any other value replaces it, and SET LOCAL has no effect.
func (s *Statement) limitsOutside() {
	s.drop(func(finding Finding) bool {
		return finding.Name != "lock-timeout" && (finding.Name != "statement-timeout" || !s.made.setting.local)
	})
	if s.made.limits && !s.made.setting.local {
		s.find("statement-timeout", "")
	}
}
