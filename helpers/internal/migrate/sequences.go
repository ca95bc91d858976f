package migrate

import (
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
)

// movesSequence: nextval and setval lock the sequence. A number that setval is given may be
// in use by the time it runs; one that a query computes is mostly the largest.
func (s *Statement) movesSequence(call *pgquery.FuncCall) {
	function := lastName(call.Funcname)
	if function != "setval" && function != "nextval" || len(call.Args) == 0 {
		return
	}
	name := call.Args[0]
	if cast := name.GetTypeCast(); cast != nil { // 'users_id_seq'::regclass
		name = cast.Arg
	}
	sequence := regclass(name.GetAConst().GetSval().GetSval())
	s.lock(sequence, rowExclusive)
	if function == "nextval" || len(call.Args) < 2 {
		return
	}
	s.find("sequence", sequence)
	if call.Args[1].GetAConst() == nil {
		s.level("sequence", Note)
	}
}

// regclass is the relation that a text names, as the server reads it.
func regclass(text string) string {
	schema, last := splitName(text)
	for _, part := range []*string{&schema, &last} {
		if !strings.HasPrefix(*part, `"`) {
			*part = strings.ToLower(*part)
		}
		*part = unquoted(*part)
	}
	if last == "" {
		return ""
	}
	return qualified(schema, last)
}

// classifyDepends: an object that is to go with an extension is locked as if it was dropped.
func classifyDepends(n *pgquery.AlterObjectDependsStmt, body string, s *Statement) {
	s.Kind = kindOf(body)
	switch n.ObjectType {
	case pgquery.ObjectType_OBJECT_INDEX:
		s.ownIndex(relation(n.Relation))
	case pgquery.ObjectType_OBJECT_MATVIEW, pgquery.ObjectType_OBJECT_TRIGGER:
		s.lock(relation(n.Relation), accessExclusive)
		s.find("access", s.table())
	}
}
