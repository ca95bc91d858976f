package migrate

import (
	"fmt"
	"slices"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
)

// signature is a function's parameters: their types, and how many of them a call has to give.
type signature struct {
	schema  string
	types   []string
	least   int
	visible bool // without its schema
}

// signatureOf reads the parameters of CREATE FUNCTION.
func signatureOf(parameters []*pgquery.Node) (s signature) {
	for _, node := range parameters {
		parameter := node.GetFunctionParameter()
		switch parameter.GetMode() {
		case pgquery.FunctionParameterMode_FUNC_PARAM_OUT, pgquery.FunctionParameterMode_FUNC_PARAM_TABLE:
			continue
		}
		name := lastName(parameter.GetArgType().GetNames())
		if len(parameter.GetArgType().GetArrayBounds()) > 0 {
			name = "_" + name // as in pg_type
		}
		s.types = append(s.types, name)
		if parameter.GetDefexpr() == nil {
			s.least = len(s.types)
		}
	}
	return s
}

// rivals says whether a call fits both: of as many values as both take, of the same types.
func (s signature) rivals(other signature) bool {
	if slices.Equal(s.types, other.types) {
		return false // it is the same function
	}
	for count := max(s.least, other.least); count <= min(len(s.types), len(other.types)); count++ {
		if slices.Equal(s.types[:count], other.types[:count]) {
			return true
		}
	}
	return false
}

// overloads: a function with a default beside one without it makes the calls of the older one ambiguous.
// https://www.postgresql.org/docs/15/typeconv-func.html
func (r *reviewer) overloads(s *Statement) {
	for _, gone := range s.made.unmakes {
		if _, last := splitName(gone.name); gone.kind == "function" {
			delete(r.signatures, unquoted(last))
		}
	}
	for _, made := range s.made.functionsMade {
		schema, last := splitName(made.name)
		for _, known := range r.signatures[unquoted(last)] {
			if (schema == known.schema || schema == "" && known.visible) && made.signature.rivals(known) {
				s.find("overload", "")
			}
		}
	}
}

// known keeps a function that the catalog has; text is its least number of values and its types.
func (c *catalog) known(name, schema, text string, visible bool) {
	fields := strings.Fields(text)
	found := signature{schema: identifier(schema), types: fields[1:], visible: visible}
	_, _ = fmt.Sscan(fields[0], &found.least)
	c.signatures[name] = append(c.signatures[name], found)
}
