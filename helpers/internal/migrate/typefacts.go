package migrate

import (
	"context"
	"slices"
	"strings"

	"github.com/lib/pq"
	pgquery "github.com/pganalyze/pg_query_go/v6"
)

// typeFact is what the server's catalog says of one change of a column's type.
type typeFact struct {
	from, to columnType // behind domains
	binary   bool       // the bits stay, apart from a length
}

// kept is what ALTER TABLE ... SET LOGGED and the like ask for; where the table is
// like that already nothing is written anew.
type kept struct{ table, what, value, ifThere string }

func (c typeChange) key() string {
	return strings.Join([]string{c.table, c.column, c.typeName}, "\x1f")
}

func keptBy(command *pgquery.AlterTableCmd, table string) kept {
	switch command.Subtype {
	case pgquery.AlterTableType_AT_SetLogged:
		return kept{table: table, what: "persistence", value: "p"}
	case pgquery.AlterTableType_AT_SetUnLogged:
		return kept{table: table, what: "persistence", value: "u"}
	case pgquery.AlterTableType_AT_SetTableSpace:
		return kept{table: table, what: "tablespace", value: command.Name}
	}
	return kept{table: table, what: "method", value: command.Name}
}

// typeNameOf is a type's name for to_regtype, without a length.
func typeNameOf(t *pgquery.TypeName) string {
	return nameOf(t.GetNames()) + strings.Repeat("[]", len(t.GetArrayBounds()))
}

// castsItself says whether a USING expression is no more than the cast that is made
// without it.
func castsItself(using *pgquery.Node, column string, to *pgquery.TypeName) bool {
	if cast := using.GetTypeCast(); cast != nil {
		same := nameOf(cast.TypeName.Names) == nameOf(to.Names) && len(cast.TypeName.ArrayBounds) == len(to.ArrayBounds) &&
			slices.Equal(typeOf(cast.TypeName).mods, typeOf(to).mods)
		return same && castsItself(cast.Arg, column, to)
	}
	fields := using.GetColumnRef().GetFields()
	return len(fields) > 0 && lastName(fields) == column
}

// typeFacts asks which types are the same to the bit: pg_cast says, behind domains.
// https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/commands/tablecmds.c, ATColumnChangeRequiresRewrite
func (d *Database) typeFacts(ctx context.Context, migrations []Migration, known *catalog) error {
	var changes, tables []string
	for _, migration := range migrations {
		for _, s := range migration.Statements {
			for _, change := range s.made.types {
				changes = append(changes, change.key())
			}
			for _, keeps := range slices.Concat(s.made.keeps, s.made.owners, s.made.policies) {
				tables = append(tables, keeps.table)
			}
		}
	}
	known.typeFacts, known.state = map[string]typeFact{}, map[string]string{}
	if len(tables) > 0 {
		err := d.each(ctx, `WITH asked AS (SELECT n.name, c.* FROM unnest($1::text[]) n(name) JOIN pg_class c ON c.oid = to_regclass(n.name))
			SELECT name, 'persistence', relpersistence::text, true FROM asked
			UNION ALL SELECT name, 'owner', pg_get_userbyid(relowner), true FROM asked
			UNION ALL SELECT name, 'row security', relrowsecurity::text, true FROM asked
			UNION ALL SELECT name, 'policy ' || polname, 'there', true FROM asked JOIN pg_policy p ON p.polrelid = asked.oid
			UNION ALL SELECT name, 'method', amname, true FROM asked JOIN pg_am m ON m.oid = relam
			UNION ALL SELECT name, 'tablespace', spcname, true FROM asked JOIN pg_database ON datname = current_database()
				JOIN pg_tablespace t ON t.oid = coalesce(nullif(reltablespace, 0), dattablespace)
			UNION ALL SELECT '', 'method', current_setting('default_table_access_method'), true`,
			pq.Array(tables), func(table, what, value string, _ bool) { known.state[table+" "+what] = value })
		if err != nil {
			return err
		}
	}
	if len(changes) == 0 {
		return nil
	}
	zone := ""
	if err := d.conn.QueryRowContext(ctx, "SELECT current_setting('TimeZone')").Scan(&zone); err != nil {
		return d.explain(err)
	}
	known.utc = isUTC(zone)
	return d.each(ctx, `WITH RECURSIVE parts AS (
			SELECT name, to_regclass(split_part(name, E'\x1f', 1)) AS of, split_part(name, E'\x1f', 2) AS column,
				to_regtype(split_part(name, E'\x1f', 3))::oid AS target FROM unnest($1::text[]) n(name)
		), asked AS (
			SELECT p.*, a.atttypid, a.atttypmod FROM parts p JOIN pg_attribute a ON a.attrelid = p.of AND a.attname = p.column AND NOT a.attisdropped
		), behind AS (
			SELECT name, false AS new, atttypid AS type, atttypmod AS mod, false AS bounded FROM asked
			UNION ALL SELECT name, true, target, -1, false FROM asked
			UNION ALL SELECT b.name, b.new, t.typbasetype, t.typtypmod,
				b.bounded OR b.new AND (t.typnotnull OR EXISTS (SELECT FROM pg_constraint WHERE contypid = t.oid))
			FROM behind b JOIN pg_type t ON t.oid = b.type AND t.typtype = 'd'
		), types AS (SELECT b.*, t.typname FROM behind b JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd')
		SELECT f.name, f.typname || ' ' || format_type(f.type, f.mod), t.typname || ' ' || format_type(t.type, t.mod),
			NOT t.bounded AND (f.type = t.type
				OR EXISTS (SELECT FROM pg_cast WHERE castsource = f.type AND casttarget = t.type AND castmethod = 'b'))
		FROM types f JOIN types t ON t.name = f.name AND t.new AND NOT f.new`,
		pq.Array(changes), func(key, from, to string, binary bool) {
			known.typeFacts[key] = typeFact{declaredAs(from), declaredAs(to), binary}
		})
}

func declaredAs(text string) columnType {
	name, formatted, _ := strings.Cut(text, " ")
	return declared(name, formatted)
}

func isUTC(zone string) bool {
	zone = strings.TrimPrefix(strings.ToUpper(zone), "ETC/")
	return set("UTC GMT UCT ZULU UNIVERSAL GREENWICH GMT0 0 +00 -00 00")[zone]
}

// rewrites says whether a change of a type writes the table anew, narrows it for the
// version that still runs, and needs the column's indexes anew.
func (r *reviewer) rewrites(change typeChange) (writes, narrows, reindexes, known bool) {
	at := change.table + " " + change.column
	from, here := r.columns[at]
	if !here || change.using {
		return false, false, false, false
	}
	fact, asked := r.typeFacts[change.key()]
	if !asked || r.retyped[at] {
		writes, narrows = rewritesFor(from.columnType, change.to)
		return writes, narrows, false, true
	}
	if from.name == change.to.name && from.dims == change.to.dims && len(change.to.mods) == 0 {
		return false, false, false, true // a domain, as it was
	}
	if from.name != fact.from.name {
		fact.from.mods = nil // the server does not look for a length behind a domain
	}
	to := fact.to
	if len(change.to.mods) > 0 {
		to.mods = change.to.mods
	}
	same := fact.from.name == to.name && fact.from.dims == to.dims
	reindexes = !same && !(texts[fact.from.name] && texts[to.name])
	switch {
	case same && slices.Equal(fact.from.mods, to.mods):
		return !fact.binary, !fact.binary, false, true
	case r.utcNow && moments[fact.from.name] && moments[to.name] && !to.dims && !fact.from.dims && !same:
		free := len(to.mods) == 0 || to.mods[0] == 6
		return !free, !free, true, true
	case fact.binary && !same && len(to.mods) == 0:
		return false, false, reindexes, true
	case fact.binary && same:
		writes, narrows = rewritesFor(fact.from, to)
		return writes, narrows, false, true
	}
	_, narrows = rewritesFor(fact.from, to)
	return true, narrows, reindexes, true
}

// moments are the same to the bit where the session's time zone is UTC.
var moments = set("timestamp timestamptz")

// texts have the same order and the same operators.
var texts = set("text varchar")

// types takes back "it is rewritten" where the catalog says that it is not.
func (r *reviewer) types(s *Statement) {
	if s.made.setting.zone != "" {
		r.utcNow = isUTC(s.made.setting.zone)
	}
	if s.made.setting.reset {
		r.utcNow = r.utc
	}
	r.keeps(s)
	r.rights(s)
	if len(s.made.types) == 0 {
		return
	}
	writes, narrows, unknown, indexed := false, false, false, ""
	for _, change := range s.made.types {
		anew, less, reindexes, known := r.rewrites(change)
		writes, narrows, unknown = writes || anew, narrows || less, unknown || !known
		if at := change.table + " " + change.column; reindexes && r.indexed[at] {
			indexed = change.table
		}
	}
	if unknown {
		r.retype(s)
		return
	}
	if !writes {
		r.looksAgain(s)
		if indexed != "" {
			s.Scans = true
			s.find("collation", indexed)
		}
	}
	if !writes && !narrows {
		s.drop(func(finding Finding) bool { return finding.Name != "alter-type" })
	}
	s.Rewrites = writes || s.has("volatile-default", "serial", "generated-column", "rewrite")
	s.breaks("alter-type", narrows)
	r.retype(s)
}

// retype: a later statement finds the new type.
func (r *reviewer) retype(s *Statement) {
	for _, change := range s.made.types {
		at := change.table + " " + change.column
		if was, known := r.columns[at]; known {
			was.columnType = change.to
			r.columns[at], r.retyped[at] = was, true
		}
	}
}

// keeps takes back "it is rewritten" where the table is as it is asked to be.
func (r *reviewer) keeps(s *Statement) {
	if len(s.made.keeps) == 0 || r.state == nil {
		return
	}
	changes := false
	for _, asked := range s.made.keeps {
		value := asked.value
		if value == "" {
			value = r.state[" "+asked.what] // SET ACCESS METHOD DEFAULT
		}
		at := asked.table + " " + asked.what
		changes = changes || r.state[at] != value
		r.state[at] = value
	}
	if !changes {
		s.drop(func(finding Finding) bool { return finding.Name != "rewrite" })
		s.Rewrites = s.has("volatile-default", "serial", "generated-column", "alter-type")
	}
}

// rights takes back "it may lose the right" where the owner stays, and "it sees fewer
// rows" where row security is off.
func (r *reviewer) rights(s *Statement) {
	stays := func(asked kept) bool {
		now := r.state[asked.table+" "+asked.what]
		absent := now != "" && asked.ifThere != "" && r.state[asked.table+" policy "+asked.ifThere] == "" &&
			!r.given[asked.ifThere]
		return now != "" && now == asked.value || absent
	}
	if all(s.made.owners, stays) {
		s.drop(func(finding Finding) bool { return finding.Name != "revoke" })
	}
	if all(s.made.policies, stays) {
		s.drop(func(finding Finding) bool { return finding.Name != "row-security" })
	}
	for _, asked := range s.made.owners {
		if r.state != nil {
			r.state[asked.table+" owner"] = asked.value
		}
	}
	if s.has("row-security") && r.state != nil {
		r.state[s.table()+" row security"] = "true"
	}
}

// all says whether there are some, and each of them does.
func all[T any](of []T, does func(T) bool) bool {
	return len(of) > 0 && !slices.ContainsFunc(of, func(each T) bool { return !does(each) })
}

func (s *Statement) has(rules ...string) bool {
	return slices.ContainsFunc(s.Findings, func(finding Finding) bool { return slices.Contains(rules, finding.Name) })
}
