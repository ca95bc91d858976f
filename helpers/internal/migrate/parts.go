package migrate

// What the plan itself adds is used by nobody yet, also where it is no table: a column,
// a function, a type, a schema. And what IF EXISTS does not find is not dropped.

import (
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
)

// object is one that is no relation. One of another kind than function, type and schema has none.
type object struct {
	kind, name, types string
	cascade           bool
}

func objectOf(kind pgquery.ObjectType, node *pgquery.Node, cascade bool) object {
	found := object{cascade: cascade}
	switch dropKinds[kind] {
	case "function":
		call := node.GetObjectWithArgs()
		found.kind, found.name, found.types = "function", nameOf(call.GetObjname()), "?"
		if !call.GetArgsUnspecified() {
			found.types = typesOf(call.GetObjargs())
		}
	case "type":
		found.kind, found.name = "type", typeText(node.GetTypeName())
	case "schema":
		found.kind, found.name = "schema", identifier(node.GetString_().GetSval())
	}
	return found
}

// typesOf are the types by which a function is found.
func typesOf(arguments []*pgquery.Node) string {
	var types []string
	for _, argument := range arguments {
		kind := argument.GetTypeName()
		if parameter := argument.GetFunctionParameter(); parameter != nil {
			switch parameter.Mode {
			case pgquery.FunctionParameterMode_FUNC_PARAM_OUT, pgquery.FunctionParameterMode_FUNC_PARAM_TABLE:
				continue
			}
			kind = parameter.ArgType
		}
		types = append(types, typeText(kind))
	}
	return strings.Join(types, ",")
}

// mayMiss notes the relation of ALTER ... IF EXISTS.
func (s *Statement) mayMiss(missingOK bool, name string) {
	if missingOK {
		s.made.mayMiss = name
	}
}

// unmade takes back "it is dropped" where the plan has made it, and nothing else goes
// with it, or where it is not there.
func (in *scope) unmade(s *Statement) {
	full := func(o object) string {
		schema, last := splitName(o.name)
		if o.kind != "schema" && schema == "" {
			schema = in.first(in.path)
		}
		return o.kind + " " + schema + "." + last + "(" + o.types + ")"
	}
	if in.path == nil {
		return
	}
	for _, made := range s.made.makes {
		in.created[full(made)] = true
	}
	nobodys := func(gone object) bool {
		_, last := splitName(gone.name)
		absent := (gone.kind != "schema" && !in.objects[gone.kind+" "+last] || gone.kind == "schema" && !in.schemas[last]) &&
			!in.isGiven(gone.name)
		if in.created[full(gone)] {
			return !gone.cascade
		}
		return gone.kind != "" && s.made.missingOK && in.objects != nil && absent
	}
	if all(s.made.unmakes, nobodys) {
		s.drop(func(finding Finding) bool { return finding.Name != "drop-object" || finding.Table != "" })
	}
	for _, gone := range s.made.unmakes {
		delete(in.created, full(gone))
	}
}

// parts follows the columns that the plan adds, and what IF EXISTS and IF NOT EXISTS ask for.
func (r *reviewer) parts(s *Statement) {
	r.given[unquoted(s.made.gives)] = true
	if s.made.from != "" || s.made.lostPath {
		clear(r.newColumns)
		r.moved = true
	}
	sure := func(table string) bool { _, known := r.kinds[table]; return known && !r.moved }
	there := func(table, name string) bool {
		_, here := r.columns[table+" "+name]
		return here || r.renamed[table+" "+name]
	}
	if s.made.idle && all(s.made.added, func(a addedColumn) bool { return sure(a.table) && there(a.table, a.name) }) {
		s.Rewrites, s.Scans, s.Findings, s.Locks = false, false, nil, s.Locks[:1]
		s.made.added, s.made.functions, s.made.newTypes, s.made.calls = nil, nil, nil, nil
	}
	if all(s.made.lost, func(gone lost) bool { return r.nobodys(gone, sure(gone.table), there(gone.table, gone.column)) }) {
		s.drop(func(finding Finding) bool { return finding.Name != "drop-column" && finding.Name != "drop-constraint" })
	}
	for _, gone := range s.made.lost {
		delete(r.newColumns, gone.table+" "+gone.column)
	}
	for _, added := range s.made.added {
		if s.made.table != "" {
			break // the columns of a table that is created, perhaps IF NOT EXISTS
		}
		if !added.ifMissing || sure(added.table) && !there(added.table, added.name) {
			r.newColumns[added.table+" "+added.name] = true
		}
	}
	r.renamesPart(s)
	if s.made.renamedColumn == "" {
		return
	}
	from, to := s.table()+" "+s.made.renamedColumn, s.table()+" "+s.made.renamed
	if r.newColumns[from] {
		s.drop(func(finding Finding) bool { return finding.Name != "rename" })
	}
	r.newColumns[to], r.renamed[to] = r.newColumns[from], true
	delete(r.newColumns, from)
}

// renamesPart: what is known of a constraint or an index is known of it by its new name.
func (r *reviewer) renamesPart(s *Statement) {
	from, to := s.made.from, s.made.toName
	if s.made.renamedPart != "" {
		from, to = s.table()+" "+s.made.renamedPart, s.table()+" "+unquoted(s.made.gives)
	}
	if from == "" || to == "" {
		return
	}
	if schema, _ := splitName(from); schema != "" && s.made.renamedPart == "" {
		to = schema + "." + to
	}
	r.unique[to] = r.unique[from]
	if key, known := r.constraints[from]; known {
		r.constraints[to] = key
	}
	if table, known := r.indexes[from]; known {
		r.indexes[to] = table
	}
}

// nobodys says whether a column or constraint that goes is one that the plan has added,
// or one that is not there.
func (r *reviewer) nobodys(gone lost, sure, there bool) bool {
	absent := gone.ifThere && sure
	if gone.column != "" {
		return r.newColumns[gone.table+" "+gone.column] || absent && !there
	}
	at := gone.table + " " + gone.constraint
	_, known := r.constraints[at]
	_, planned := r.checks[at]
	return absent && gone.constraint != "" && !known && !planned && !r.given[gone.constraint]
}
