package migrate

import (
	"slices"
)

// review looks at the statements as a whole, in the order in which they run, and
// with what the database says: what the plan itself creates is used by nobody
// yet, and what is proven need not be read again.
func review(migrations []Migration, known catalog) {
	if known.columns == nil {
		known.columns, known.checks, known.unique = map[string]column{}, map[string]check{}, map[string]bool{}
	}
	r := reviewer{
		catalog: known, notNulls: map[string]bool{}, planned: map[string][]string{}, limited: map[string]bool{},
		fickle: map[string]bool{}, newFunctions: map[string]bool{}, retyped: map[string]bool{}, newColumns: map[string]bool{},
		renamed: map[string]bool{}, given: map[string]bool{},
	}
	for i := range migrations {
		r.file(&migrations[i])
	}
}

type reviewer struct {
	catalog
	notNulls     map[string]bool     // by table and column: what the plan has made of NOT NULL
	planned      map[string][]string // by index that the plan creates: its columns
	retyped      map[string]bool     // by table and column: the plan has changed the type
	utcNow       bool                // the session's time zone is UTC
	newFunctions map[string]bool
	fickle       map[string]bool // functions that the plan creates: whether they may change the database
	newColumns   map[string]bool // by table and column: the plan has added it
	renamed      map[string]bool // by table and column: the plan has given a column this name
	given        map[string]bool // names that the plan has given to something
	moved        bool            // the plan has given a table another name or schema
	limited      map[string]bool // domains with a constraint that the plan creates
}

func (r *reviewer) file(migration *Migration) {
	r.utcNow = r.utc
	var enums []newValue
	newTypes := map[string]bool{}
	var locked []string
	held := map[string]string{} // by table: the strongest lock that the file has taken
	for i := range migration.Statements {
		s := &migration.Statements[i]
		r.statement(s)
		for _, value := range enums {
			if !migration.Alone {
				r.enumUsed(s, value)
			}
		}
		newTypes[s.made.enumType] = s.made.enumType != ""
		if added := s.made.enumValue; added.value != "" && !(newTypes[added.of] && r.server >= 17) {
			enums = append(enums, added)
		}
		if migration.Alone {
			s.limitsOutside()
			continue
		}
		s.readsWhileHeld(held)
		if len(s.Locks) > 0 && s.Locks[0].Mode == accessExclusive {
			if len(locked) > 0 && !slices.Contains(locked, s.Locks[0].Table) {
				s.find("many-locks", s.Locks[0].Table)
			}
			locked = append(locked, s.Locks[0].Table)
		}
		if len(locked) > 0 && s.made.writes != "" && !s.made.ours[s.made.writes] {
			s.find("ddl-with-data", s.made.writes)
		}
	}
	for i := range migration.Statements {
		migration.Statements[i].answer()
	}
}

func (r *reviewer) statement(s *Statement) {
	table := s.table()
	for i, lock := range s.Locks {
		of, known := r.indexes[lock.Table]
		switch {
		case known && lock.own:
			s.Locks[i].Of = of
		case known && lock.Index:
			s.Locks[i].Table, s.Locks[i].Index = of, false
		}
	}
	s.skipped()
	r.parts(s)
	r.unseen(s)
	r.overloads(s)
	r.types(s)
	r.notNull(s, table)
	r.domains(s, table)
	r.partitions(s, table)
	for _, function := range s.made.functions {
		if r.volatile[function] || r.fickle[function] {
			s.Rewrites = true
			s.find("volatile-default", table)
		}
	}
	r.refused(s, table)
	r.detached(s)
	r.nothingToDo(s, table)
	r.reachesOf(s)
	r.conflicts(s)
	// Nobody can be blocked on a table that the same plan creates.
	var locks []Lock
	for _, lock := range s.Locks {
		if !s.made.ours[lock.Table] {
			locks = append(locks, lock)
		}
	}
	if len(s.made.ours) > 0 {
		s.drop(func(finding Finding) bool { return !finding.users || !s.made.ours[finding.Table] })
	}
	s.Locks = locks
	if s.made.columns != nil && s.made.index != "" {
		r.planned[s.made.index] = s.made.columns
	}
}

// skipped takes back everything where IF NOT EXISTS finds what it asks for. The table of
// an index is locked before the server looks for the index.
func (s *Statement) skipped() {
	if !s.made.there {
		return
	}
	s.Findings, s.Scans, s.Rewrites = nil, false, false
	s.made.reach, s.made.reached, s.made.calls, s.made.added = nil, nil, nil, nil
	if s.made.index == "" {
		s.Locks = nil
	}
}

// looksAgain: without writing the table anew the server still checks again what
// looks at the column, and builds an index of another order.
func (r *reviewer) looksAgain(s *Statement) {
	for _, change := range s.made.types {
		at := change.table + " " + change.column
		if r.checked[at] {
			s.Scans = true
			s.find("check", change.table)
		}
		if change.collates && r.indexed[at] {
			s.Scans = true
			s.find("collation", change.table)
		}
	}
}

// nothingToDo takes back what the server has no reason to do: a table without rows of
// its own, a constraint that is validated already, a column or a state that is there.
func (r *reviewer) nothingToDo(s *Statement, table string) {
	kind, known := r.kinds[table]
	if !known {
		return
	}
	isValid := func(name string) bool { return r.constraints[table+" "+name].validated }
	for _, name := range s.made.validated {
		if key := r.constraints[table+" "+name]; !key.validated && key.refers != "" {
			s.lock(key.refers, rowShare)
		}
	}
	if all(s.made.validated, isValid) {
		s.Scans = s.readsBeside()
	}
	if s.Rewrites || s.Scans {
		empty := !r.leaves[table] || kind[0] == 'p' && s.made.only
		if empty && s.made.parent == "" && len(s.Locks) > 0 && s.Locks[0].Table == table {
			s.Rewrites, s.Scans = false, false
		}
	}
}

// detached: foreign keys that refer to the partition are checked, since its rows are no
// longer those of the table.
func (r *reviewer) detached(s *Statement) {
	if s.made.detached != "" && r.referenced[s.made.detached] {
		s.Scans = true
		s.find("detach-referenced", s.made.detached)
	}
}

// partitions: a default partition is read, since it may hold what the new one is
// to hold; an index on the partitioned table ONLY is none yet.
func (r *reviewer) partitions(s *Statement, table string) {
	if rest := r.rest[s.made.parent]; rest != "" {
		s.Scans = true
		s.lock(rest, accessExclusive)
		s.find("attach", rest)
	}
	if s.made.columns == nil || !r.partitioned[table] {
		return
	}
	if s.made.only {
		s.Scans = false
		s.drop(func(finding Finding) bool { return finding.Name != "index" })
	}
	for i := range s.Findings {
		if s.Findings[i].Name == "index" {
			s.Findings[i].Instead = "CREATE INDEX ON ONLY it, CREATE INDEX CONCURRENTLY on each partition, ALTER INDEX ... ATTACH PARTITION"
		}
	}
}

// conflicts: INSERT ... ON CONFLICT fails without the unique index that it names.
func (r *reviewer) conflicts(s *Statement) {
	for _, gone := range s.made.lost {
		if r.unique[gone.table+" "+gone.constraint] && gone.constraint != "" {
			s.breaks("drop-constraint", true)
		}
	}
	for _, index := range s.made.gone {
		if r.unique[index] {
			s.breaks("drop-index", true)
		}
	}
}
