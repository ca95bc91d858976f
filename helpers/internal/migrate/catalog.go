package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lib/pq"
)

// catalog is what the database says of the objects that a plan names, each as the
// plan writes it. The zero value knows nothing: then the text alone decides.
type catalog struct {
	schema      string                 // which an unqualified name is in
	columns     map[string]column      // by table and column: "users email"
	checks      map[string]check       // by table and constraint
	checked     map[string]bool        // by table and column: a validated CHECK looks at it
	indexed     map[string]bool        // by table and column
	volatile    map[string]bool        // of the functions that the plan's defaults call
	unique      map[string]bool        // by index, and by table and constraint: ON CONFLICT may name it
	signatures  map[string][]signature // by function
	hidden      map[string]bool        // by function, with and without its schema: nobody knows what it does
	indexes     map[string]string      // by index: its table
	keys        map[string][]string    // by index: its columns that may be NULL
	exists      map[string]bool        // the tables that the plan creates IF NOT EXISTS
	partitioned map[string]bool        // of the tables
	rest        map[string]string      // by partitioned table: its default partition
	names       map[string]string      // of the tables and indexes, as the catalog writes them
	kinds       map[string]string      // of the tables: relkind and relpersistence of pg_class, such as rp
	leaves      map[string]bool        // the tables that have, or whose heirs have, rows of their own
	constraints map[string]constraint  // by table and name
	bounded     map[string]bool        // of the types: a domain with a constraint
	users       map[string][]string    // by domain: the tables with such a column
	referenced  map[string]bool        // of the tables: a foreign key refers to it
	typeFacts   map[string]typeFact    // by change of a type
	state       map[string]string      // by table and what is kept
	server      int                    // the major version; 0 without a database
	utc         bool                   // the session's time zone is UTC
}

type column struct {
	columnType
	notNull, hasDefault bool
}

// constraint is one that a table has.
type constraint struct {
	kind                 string // contype of pg_constraint
	validated, noInherit bool
	refers               string // the table that a foreign key refers to
}

// catalog reads what review needs to know of what the migrations name.
func (d *Database) catalog(ctx context.Context, migrations []Migration) (catalog, error) {
	known := catalog{
		schema: d.place.schema, columns: map[string]column{}, checks: map[string]check{}, checked: map[string]bool{}, indexed: map[string]bool{},
		volatile: map[string]bool{}, hidden: map[string]bool{}, unique: map[string]bool{}, indexes: map[string]string{},
		keys: map[string][]string{}, exists: map[string]bool{}, partitioned: map[string]bool{}, rest: map[string]string{},
		names: map[string]string{}, kinds: map[string]string{}, leaves: map[string]bool{}, constraints: map[string]constraint{},
		bounded: map[string]bool{}, users: map[string][]string{}, referenced: map[string]bool{},
		signatures: map[string][]signature{},
	}
	var tables, functions, overloaded, indexes, types []string
	for _, migration := range migrations {
		for _, s := range migration.Statements {
			for _, lock := range s.Locks {
				if lock.Index {
					indexes = append(indexes, lock.Table)
				} else {
					tables = append(tables, lock.Table)
				}
			}
			if s.made.ifMissing {
				tables = append(tables, s.made.table)
			}
			functions = append(functions, s.made.functions...)
			for _, name := range s.made.calls {
				_, last := splitName(name)
				functions = append(functions, unquoted(last))
			}
			tables = append(tables, s.made.reads...)
			for _, made := range s.made.functionsMade {
				_, last := splitName(made.name)
				overloaded = append(overloaded, unquoted(last))
			}
			types = append(append(types, s.made.newTypes...), s.made.domainNow.over)
			functions = append(functions, s.made.domainNow.functions...)
			indexes = append(indexes, s.made.usingIndex, s.made.from)
		}
	}
	for _, query := range []struct {
		names []string
		sql   string
		take  func(a, b, c string, yes bool)
	}{
		{slices.Concat(tables, indexes), `SELECT n.name, c.oid::regclass::text, concat(c.relkind, c.relpersistence), c.relkind = 'p'
			FROM unnest($1::text[]) n(name) JOIN pg_class c ON c.oid = to_regclass(n.name)`,
			func(table, name, kind string, partitioned bool) {
				known.exists[table], known.partitioned[table], known.names[table], known.kinds[table] = true, partitioned, name, kind
			}},
		{tables, `WITH RECURSIVE family(name, member) AS (SELECT n.name, to_regclass(n.name)::oid FROM unnest($1::text[]) n(name) UNION
			SELECT f.name, i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.member)
			SELECT DISTINCT f.name, '', '', true FROM family f JOIN pg_class c ON c.oid = f.member WHERE c.relkind IN ('r', 'm')`,
			func(table, _, _ string, _ bool) { known.leaves[table] = true }},
		{tables, `SELECT n.name, k.conname, concat_ws(' ', k.contype, k.convalidated, nullif(k.confrelid, 0)::regclass), k.connoinherit
			FROM unnest($1::text[]) n(name) JOIN pg_constraint k ON k.conrelid = to_regclass(n.name)`,
			func(table, name, kind string, noInherit bool) {
				fields := strings.SplitN(kind+"  ", " ", 3)
				known.constraints[table+" "+name] = constraint{fields[0], fields[1] == "t", noInherit, strings.TrimSpace(fields[2])}
			}},
		{tables, `SELECT n.name, a.attname, concat(t.typname, ' ', a.atthasdef OR a.attidentity <> '', ' ', format_type(a.atttypid, a.atttypmod)),
				a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND NOT k.convalidated
					AND k.conkey[1] = a.attnum)
			FROM unnest($1::text[]) n(name) JOIN pg_attribute a ON a.attrelid = to_regclass(n.name) AND a.attnum > 0 AND NOT a.attisdropped
				JOIN pg_type t ON t.oid = a.atttypid`,
			func(table, name, kind string, notNull bool) {
				parts := strings.SplitN(kind, " ", 3)
				known.columns[table+" "+name] = column{declared(parts[0], parts[2]), notNull, parts[1] == "t"}
			}},
		{tables, `SELECT n.name, c.conname, pg_get_constraintdef(c.oid), c.convalidated FROM unnest($1::text[]) n(name)
			JOIN pg_constraint c ON c.conrelid = to_regclass(n.name) AND c.contype = 'c'`,
			func(table, name, definition string, validated bool) {
				known.checks[table+" "+name] = check{name, table, provenBy(definition), validated}
			}},
		{tables, `SELECT n.name, a.attname, '', true FROM unnest($1::text[]) n(name)
			JOIN pg_constraint c ON c.conrelid = to_regclass(n.name) AND c.contype = 'c' AND c.convalidated
			JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)`,
			func(table, column, _ string, _ bool) { known.checked[table+" "+column] = true }},
		{tables, `SELECT n.name, a.attname, '', true FROM unnest($1::text[]) n(name) JOIN pg_index i ON i.indrelid = to_regclass(n.name)
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)`,
			func(table, column, _ string, _ bool) { known.indexed[table+" "+column] = true }},
		{tables, `SELECT n.name, c.conname, '', true FROM unnest($1::text[]) n(name)
			JOIN pg_constraint c ON c.conrelid = to_regclass(n.name) AND c.contype IN ('p', 'u', 'x')`,
			func(table, name, _ string, _ bool) { known.unique[table+" "+name] = true }},
		{tables, `SELECT DISTINCT n.name, '', '', true FROM unnest($1::text[]) n(name)
			JOIN pg_constraint k ON k.confrelid = to_regclass(n.name) AND k.contype = 'f'`,
			func(table, _, _ string, _ bool) { known.referenced[table] = true }},
		{indexes, `SELECT n.name, '', '', true FROM unnest($1::text[]) n(name) JOIN pg_index i ON i.indexrelid = to_regclass(n.name)
			AND i.indisunique`,
			func(index, _, _ string, _ bool) { known.unique[index] = true }},
		{tables, `SELECT n.name, p.partdefid::regclass::text, '', true FROM unnest($1::text[]) n(name)
			JOIN pg_partitioned_table p ON p.partrelid = to_regclass(n.name) AND p.partdefid <> 0`,
			func(table, rest, _ string, _ bool) { known.rest[table] = rest }},
		{functions, `SELECT proname, '', '', bool_or(provolatile = 'v' OR pronargdefaults > 0 AND
			EXISTS (SELECT FROM pg_proc v WHERE v.provolatile = 'v' AND pg_get_function_arguments(p.oid) ~ ('\m' || v.proname || '\(')))
				FROM pg_proc p WHERE proname = ANY($1) GROUP BY 1
			UNION ALL SELECT oprname, '', '', bool_or(provolatile = 'v') FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
				WHERE oprname = ANY($1) GROUP BY 1`,
			func(name, _, _ string, yes bool) { known.volatile[name] = yes }},
		{functions, `SELECT proname, nspname, '', bool_or(provolatile = 'v' AND lanname NOT IN ('c', 'internal') AND nspname <> 'pg_catalog')
			FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace JOIN pg_language l ON l.oid = prolang WHERE proname = ANY($1) GROUP BY 1, 2`,
			func(name, schema, _ string, hidden bool) {
				known.hidden[identifier(name)] = known.hidden[identifier(name)] || hidden
				known.hidden[qualified(schema, name)] = hidden
			}},
		{overloaded, `SELECT proname, nspname, concat_ws(' ', pronargs - pronargdefaults, (SELECT string_agg(typname, ' ' ORDER BY o)
				FROM unnest(proargtypes) WITH ORDINALITY a(t, o) JOIN pg_type y ON y.oid = t)), pg_function_is_visible(p.oid)
			FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE proname = ANY($1) AND provariadic = 0 AND prokind IN ('f', 'p')`,
			known.known},
		{indexes, `SELECT n.name, i.indrelid::regclass::text, '', true FROM unnest($1::text[]) n(name)
			JOIN pg_index i ON i.indexrelid = to_regclass(n.name)`,
			func(index, table, _ string, _ bool) { known.indexes[index] = table }},
		{indexes, `SELECT n.name, a.attname, '', true FROM unnest($1::text[]) n(name) JOIN pg_index i ON i.indexrelid = to_regclass(n.name)
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) AND NOT a.attnotnull`,
			func(index, column, _ string, _ bool) { known.keys[index] = append(known.keys[index], column) }},
		{types, `WITH RECURSIVE behind(name, type) AS (SELECT n.name, to_regtype(n.name)::oid FROM unnest($1::text[]) n(name)
				UNION SELECT b.name, t.typbasetype FROM behind b JOIN pg_type t ON t.oid = b.type AND t.typtype = 'd')
			SELECT DISTINCT b.name, '', '', true FROM behind b JOIN pg_type t ON t.oid = b.type AND t.typtype = 'd'
			WHERE t.typnotnull OR EXISTS (SELECT FROM pg_constraint c WHERE c.contypid = t.oid)
				OR EXISTS (SELECT FROM pg_proc p WHERE p.provolatile = 'v' AND t.typdefault ~ ('\m' || p.proname || '\('))`,
			func(name, _, _ string, _ bool) { known.bounded[name] = true }},
		{types, `WITH RECURSIVE above(name, type) AS (SELECT n.name, t.oid FROM unnest($1::text[]) n(name)
			JOIN pg_type t ON t.oid = to_regtype(n.name) AND t.typtype = 'd'
				UNION SELECT a.name, t.oid FROM above a JOIN pg_type t ON t.typbasetype = a.type AND t.typtype = 'd')
			SELECT DISTINCT n.name, c.oid::regclass::text, '', true FROM above n
			JOIN pg_attribute a ON a.atttypid = n.type AND NOT a.attisdropped JOIN pg_class c ON c.oid = a.attrelid
				AND c.relkind IN ('r', 'm', 'p') ORDER BY 2`,
			func(name, table, _ string, _ bool) { known.users[name] = append(known.users[name], table) }},
	} {
		names := slices.Compact(slices.Sorted(slices.Values(query.names)))
		names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
		if len(names) == 0 {
			continue
		}
		if err := d.each(ctx, query.sql, pq.Array(names), query.take); err != nil {
			return known, err
		}
	}
	return known, d.reached(ctx, migrations)
}

func (d *Database) each(ctx context.Context, query string, names any, take func(a, b, c string, yes bool)) error {
	rows, err := d.conn.QueryContext(ctx, query, names)
	if err != nil {
		return d.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var a, b, c string
		var yes bool
		if err := rows.Scan(&a, &b, &c, &yes); err != nil {
			return fmt.Errorf("reading the catalog: %w", err)
		}
		take(a, b, c, yes)
	}
	return d.explain(rows.Err())
}
