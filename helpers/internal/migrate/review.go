package migrate

import (
	"slices"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// catalog is what the database says of the tables that a plan touches. The zero
// value knows nothing: then the text alone decides.
type catalog struct {
	columns  map[string]column // by table and column: "users email"
	proven   map[string]bool   // by table and column: a validated CHECK (... IS NOT NULL)
	checks   map[string]string // by table and constraint: the column that its CHECK says is NOT NULL
	volatile map[string]bool   // of the functions that the plan's defaults call
	indexes  map[string]string // by index: its table
}

type column struct {
	columnType
	notNull bool
}

// review looks at the statements as a whole, in the order in which they run, and
// with what the database says: what the plan itself creates is used by nobody
// yet, and what is proven need not be read again.
func review(migrations []Migration, known catalog) {
	r := reviewer{catalog: known, created: map[string]bool{}, pending: map[string]string{}, shown: map[string]bool{}}
	for i := range migrations {
		r.file(&migrations[i])
	}
}

type reviewer struct {
	catalog
	created map[string]bool
	pending map[string]string // a CHECK (... IS NOT NULL) that the plan adds: its column
	shown   map[string]bool   // columns that the plan itself has proven NOT NULL
}

func (r *reviewer) file(migration *Migration) {
	var enums []string
	var locked []string
	for i := range migration.Statements {
		s := &migration.Statements[i]
		r.statement(s)
		for _, value := range enums {
			if !migration.Alone && migration.uses(s, value) {
				s.find("enum-used", "")
			}
		}
		if s.made.enumValue != "" {
			enums = append(enums, s.made.enumValue)
		}
		if migration.Alone {
			continue
		}
		if len(s.Locks) > 0 && s.Locks[0].Mode == accessExclusive {
			if len(locked) > 0 && !slices.Contains(locked, s.Locks[0].Table) {
				s.find("many-locks", s.Locks[0].Table)
			}
			locked = append(locked, s.Locks[0].Table)
		}
		if len(locked) > 0 && s.made.writes != "" && !r.created[s.made.writes] {
			s.find("ddl-with-data", s.made.writes)
		}
	}
	for i := range migration.Statements {
		s := &migration.Statements[i]
		_ = s.suppress(s.comment) // an error was refused when the file was read
	}
}

func (r *reviewer) statement(s *Statement) {
	if s.made.table != "" {
		r.created[s.made.table] = true
	}
	table := s.table()
	for i, lock := range s.Locks {
		if of, known := r.indexes[lock.Table]; known && lock.Index {
			s.Locks[i].Table, s.Locks[i].Index = of, false
		}
	}
	r.types(s)
	r.notNull(s, table)
	for _, function := range s.made.functions {
		if isVolatile, known := r.volatile[function]; known && isVolatile {
			s.Rewrites = true
			s.find("volatile-default", table)
		}
	}
	// Nobody can be blocked on a table that the same plan creates.
	var locks []Lock
	for _, lock := range s.Locks {
		if !r.created[lock.Table] {
			locks = append(locks, lock)
		}
	}
	if len(locks) < len(s.Locks) {
		s.drop(func(finding Finding) bool { return !finding.users || !r.created[finding.Table] })
	}
	s.Locks = locks
	if s.made.index != "" && r.created[table] {
		r.created[s.made.index] = true
	}
}

// types takes back "it is rewritten" where the catalog says that it is not.
func (r *reviewer) types(s *Statement) {
	if len(s.made.types) == 0 {
		return
	}
	rewrites, narrows, unknown := false, false, false
	for _, change := range s.made.types {
		from, known := r.columns[change.table+" "+change.column]
		if !known || change.using {
			unknown = true
			continue
		}
		writes, less := rewritesFor(from.columnType, change.to)
		rewrites, narrows = rewrites || writes, narrows || less
	}
	if unknown {
		return
	}
	if !rewrites && !narrows {
		s.drop(func(finding Finding) bool { return finding.Name != "alter-type" })
	}
	s.Rewrites = rewrites
	for i := range s.Findings {
		if s.Findings[i].Name == "alter-type" {
			s.Findings[i].Breaking = narrows
		}
	}
}

// notNull takes back "the table is read" where a CHECK proves it.
// https://www.postgresql.org/docs/15/sql-altertable.html, SET NOT NULL
func (r *reviewer) notNull(s *Statement, table string) {
	if s.made.check != "" {
		r.pending[table+" "+s.made.check] = s.made.column
		if !strings.Contains(strings.ToUpper(s.SQL), "NOT VALID") {
			r.shown[table+" "+s.made.column] = true
		}
	}
	if s.made.validated != "" {
		name := table + " " + s.made.validated
		if column := r.pending[name] + r.checks[name]; column != "" {
			r.shown[table+" "+column] = true
		}
	}
	if len(s.made.notNull) == 0 {
		return
	}
	for _, name := range s.made.notNull {
		at := table + " " + name
		if !r.shown[at] && !r.proven[at] && !r.columns[at].notNull {
			return
		}
	}
	s.Scans = false
	s.drop(func(finding Finding) bool { return finding.Name != "set-not-null" })
}

// uses says whether a statement holds a string of that value.
func (m *Migration) uses(s *Statement, value string) bool {
	if !strings.Contains(s.text, value) {
		return false
	}
	tree, err := pgquery.Parse(s.text)
	if err != nil {
		return false
	}
	found := false
	for _, raw := range tree.Stmts {
		each(raw.Stmt, func(message proto.Message) {
			if text, ok := message.(*pgquery.String); ok && text.Sval == value {
				found = true
			}
		})
	}
	return found
}
