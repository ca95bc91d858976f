package migrate

import (
	"slices"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// newValue is a value that ALTER TYPE adds to an enum, which cannot be used before
// its transaction ends.
type newValue struct{ of, value string }

// readEnums notes, behind an ALTER TYPE ... ADD VALUE, which tables are named beside
// a string of that value.
func (m *Migration) readEnums() {
	var values []string
	for i := range m.Statements {
		s := &m.Statements[i]
		if slices.ContainsFunc(values, func(value string) bool { return strings.Contains(s.text, value) }) {
			if node, err := parseOne(s.text); err == nil && node != nil {
				s.made.reads = readsOf(node)
			}
		}
		if s.made.enumValue.value != "" {
			values = append(values, strings.ReplaceAll(s.made.enumValue.value, "'", "''"))
		}
	}
}

// enumUsed finds a string of the new value where it is of the enum's type: cast to
// it, or beside a column of that type. Without a database it may be one.
func (r *reviewer) enumUsed(s *Statement, added newValue) {
	if !strings.Contains(s.text, strings.ReplaceAll(added.value, "'", "''")) {
		return
	}
	node, err := parseOne(s.text)
	if err != nil || node == nil {
		return
	}
	there, cast := false, false
	each(node, func(message proto.Message) {
		switch part := message.(type) {
		case *pgquery.A_Const:
			there = there || part.GetSval() != nil && part.GetSval().Sval == added.value
		case *pgquery.TypeName:
			cast = cast || lastName(part.Names) == added.of
		}
	})
	if !there {
		return
	}
	if cast || s.made.enumType == added.of {
		s.find("enum-used", "")
		return
	}
	for _, table := range s.made.reads {
		known, has := r.hasColumn(table, added.of)
		switch {
		case has:
			s.find("enum-used", "")
		case !known && r.server == 0 && !s.has("enum-used"):
			s.find("enum-used", "")
			s.level("enum-used", Warning)
		}
	}
}

// hasColumn says whether a table's columns are known, and whether one is of a type.
func (r *reviewer) hasColumn(table, of string) (known, has bool) {
	for at, column := range r.columns {
		if strings.HasPrefix(at, table+" ") {
			known, has = true, has || column.name == of
		}
	}
	return known, has
}
