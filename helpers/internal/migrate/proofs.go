package migrate

import (
	"maps"
	"slices"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// check is a CHECK constraint, and the columns that it proves to be NOT NULL.
type check struct {
	name, table string
	columns     []string
	valid       bool
}

// addedColumn is one that a statement adds to a table that is there.
type addedColumn struct {
	table, name string
	column
	ifMissing bool // IF NOT EXISTS
}

func newColumn(table string, added *pgquery.ColumnDef, notNull, hasDefault bool) addedColumn {
	return addedColumn{table: table, name: added.Colname, column: column{typeOf(added.TypeName), notNull, hasDefault}}
}

// checkOf names a constraint as the server does where the file gives no name.
// https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/catalog/heap.c, AddRelationNewConstraints
func checkOf(constraint *pgquery.Constraint, table string) check {
	name := constraint.Conname
	if name == "" {
		var columns []string
		each(constraint.RawExpr, func(message proto.Message) {
			if of, ok := message.(*pgquery.ColumnRef); ok && !slices.Contains(columns, lastName(of.Fields)) {
				columns = append(columns, lastName(of.Fields))
			}
		})
		_, last := splitName(table)
		name = unquoted(last) + "_check"
		if len(columns) == 1 {
			name = unquoted(last) + "_" + columns[0] + "_check"
		}
	}
	return check{name, table, notNullBy(constraint.RawExpr, true), !constraint.SkipValidation}
}

// provenBy gives the columns that hold no NULL where a CHECK is true.
func provenBy(definition string) []string {
	tree, err := pgquery.Parse("ALTER TABLE t ADD " + definition)
	if err != nil {
		return nil
	}
	command := tree.Stmts[0].Stmt.GetAlterTableStmt().GetCmds()
	if len(command) == 0 {
		return nil
	}
	return notNullBy(command[0].GetAlterTableCmd().GetDef().GetConstraint().GetRawExpr(), true)
}

// notNullBy looks at an expression as predicate_implied_by in PostgreSQL's
// src/backend/optimizer/util/predtest.c does, behind eval_const_expressions: at
// IS NOT NULL, at what AND joins, and, for NOT, at the opposite. holds is false for
// the opposite.
func notNullBy(expression *pgquery.Node, holds bool) []string {
	var columns []string
	if test := expression.GetNullTest(); test != nil {
		switch {
		case holds != (test.Nulltesttype == pgquery.NullTestType_IS_NOT_NULL):
		case test.Arg.GetColumnRef() != nil:
			columns = append(columns, lastName(test.Arg.GetColumnRef().Fields))
		case holds:
			for _, part := range test.Arg.GetRowExpr().GetArgs() {
				if part.GetColumnRef() != nil {
					columns = append(columns, lastName(part.GetColumnRef().Fields))
				}
			}
		}
		return columns
	}
	logic := expression.GetBoolExpr()
	joins := pgquery.BoolExprType_AND_EXPR
	if !holds {
		joins = pgquery.BoolExprType_OR_EXPR
	}
	switch {
	case logic.GetBoolop() == pgquery.BoolExprType_NOT_EXPR:
		return notNullBy(logic.Args[0], !holds)
	case logic.GetBoolop() == joins && logic != nil:
		for _, part := range logic.Args {
			columns = append(columns, notNullBy(part, holds)...)
		}
	}
	return columns
}

// isProven says whether no row of a table has NULL in a column, as far as is known.
func (r *reviewer) isProven(table, name string) bool {
	if yes, changed := r.notNulls[table+" "+name]; yes || !changed && r.columns[table+" "+name].notNull {
		return true
	}
	for _, known := range r.checks {
		if known.table == table && known.valid && slices.Contains(known.columns, name) {
			return true
		}
	}
	return false
}

// learn follows what a statement changes of what is known about columns.
func (r *reviewer) learn(s *Statement, table string) {
	for _, added := range s.made.checks {
		r.checks[added.table+" "+added.name] = added
	}
	for _, name := range s.made.validated {
		if known, here := r.checks[table+" "+name]; here {
			known.valid = true
			r.checks[table+" "+name] = known
		}
	}
	for _, gone := range s.made.lost {
		switch {
		case gone.constraint != "":
			delete(r.checks, gone.table+" "+gone.constraint)
		case gone.column != "":
			r.forget(gone.table, gone.column)
		}
	}
	if s.made.renamedColumn != "" {
		r.forget(table, s.made.renamedColumn)
	}
	if s.made.from != "" {
		maps.DeleteFunc(r.checks, func(_ string, known check) bool { return known.table == s.made.from })
	}
}

// forget: what was known of a column is known no more.
func (r *reviewer) forget(table, name string) {
	delete(r.columns, table+" "+name)
	delete(r.notNulls, table+" "+name)
	maps.DeleteFunc(r.checks, func(_ string, known check) bool { return known.table == table && slices.Contains(known.columns, name) })
}

// notNull takes back "the table is read" where a CHECK proves it.
// https://www.postgresql.org/docs/15/sql-altertable.html, SET NOT NULL
func (r *reviewer) notNull(s *Statement, table string) {
	r.learn(s, table)
	for _, name := range r.nullable(s.made.usingIndex, table) {
		if !r.isProven(table, name) {
			s.Scans = true
			s.find("set-not-null", table)
		}
	}
	open := slices.ContainsFunc(s.made.notNull, func(name string) bool { return !r.isProven(table, name) })
	r.leftOut(s, table)
	for _, name := range s.made.notNull {
		r.notNulls[table+" "+name] = true
	}
	for _, name := range s.made.dropsNotNull {
		r.notNulls[table+" "+name] = false
	}
	r.defaults(s, table)
	for _, added := range s.made.added {
		r.columns[added.table+" "+added.name] = added.column
	}
	if len(s.made.notNull) == 0 || open {
		return
	}
	s.drop(func(finding Finding) bool { return finding.Name != "set-not-null" })
	s.Scans = s.readsBeside() || len(s.made.validated) > 0
}

// leftOut: the version that still runs leaves out a column that the plan adds, and gets its default.
func (r *reviewer) leftOut(s *Statement, table string) {
	filled := func(name string) bool {
		return r.isProven(table, name) || r.newColumns[table+" "+name] && r.columns[table+" "+name].hasDefault
	}
	if all(s.made.notNull, filled) {
		s.breaks("set-not-null", false)
	}
}

// readsBeside says whether another part of the statement reads a table.
func (s *Statement) readsBeside() bool {
	return s.has("set-not-null", "check", "foreign-key", "unique", "exclude", "attach", "not-null-without-default", "collation",
		"detach-referenced")
}

// nullable are the columns of an index that may be NULL until it is the primary key.
func (r *reviewer) nullable(index, table string) []string {
	names := r.keys[index]
	for _, name := range r.planned[index] {
		if known, here := r.columns[table+" "+name]; here && !known.notNull {
			names = append(names, name)
		}
	}
	return names
}

// defaults: a column that may be NULL gets NULL instead, and where there was no
// default none is lost.
func (r *reviewer) defaults(s *Statement, table string) {
	defer r.defaultsNow(s, table)
	if len(s.made.dropsDefault) == 0 {
		return // that of a domain
	}
	breaks, matters := false, false
	for _, name := range s.made.dropsDefault {
		known, here := r.columns[table+" "+name]
		breaks = breaks || !here || known.hasDefault && r.isProven(table, name)
		matters = matters || !here || known.hasDefault
	}
	switch {
	case !matters:
		s.drop(func(finding Finding) bool { return finding.Name != "drop-default" })
	case !breaks:
		s.breaks("drop-default", false)
		s.level("drop-default", Warning)
	}
}

// defaultsNow: a later statement finds the default that this one has set, or dropped.
func (r *reviewer) defaultsNow(s *Statement, table string) {
	for _, set := range []struct {
		columns []string
		there   bool
	}{{s.made.dropsDefault, false}, {s.made.setsDefault, true}} {
		for _, name := range set.columns {
			if known, here := r.columns[table+" "+name]; here {
				known.hasDefault = set.there
				r.columns[table+" "+name] = known
			}
		}
	}
}
