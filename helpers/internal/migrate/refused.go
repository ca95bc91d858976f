package migrate

import (
	"slices"
	"strings"
)

const onEachPartition = "CREATE INDEX ON ONLY it, CREATE INDEX CONCURRENTLY on each partition, ALTER INDEX ... ATTACH PARTITION, each " +
	"in a file of its own"

// refused finds what PostgreSQL does not do with a partitioned table, and replaces
// advice that it would refuse.
func (r *reviewer) refused(s *Statement, table string) {
	index := slices.ContainsFunc(append(s.made.gone, s.made.index), func(name string) bool { return strings.HasPrefix(r.kinds[name], "I") })
	withDefault := r.rest[table] != "" && s.made.detached != ""
	if index {
		s.advise("drop-index", quietTime)
	}
	if withDefault {
		s.advise("detach", quietTime)
	}
	switch {
	case s.Kind == "CREATE INDEX CONCURRENTLY" && r.partitioned[table]:
		s.refuse(table, onEachPartition)
	case s.Kind == "DROP INDEX CONCURRENTLY" && index:
		s.refuse(s.made.index, "DROP INDEX, at a quiet time")
	case strings.Contains(s.Kind, "DETACH PARTITION CONCURRENTLY") && withDefault:
		s.refuse(table, "DETACH PARTITION without CONCURRENTLY, at a quiet time: the table has a default partition")
	}
	if !r.partitioned[table] || !strings.HasPrefix(s.Kind, "ALTER TABLE") {
		return
	}
	const uniqueOnEach = "ALTER TABLE ONLY it ADD CONSTRAINT; on each partition CREATE UNIQUE INDEX CONCURRENTLY, ADD CONSTRAINT ... " +
		"USING INDEX; " +
		"ALTER INDEX ... ATTACH PARTITION, each in a file of its own"
	s.advise("unique", uniqueOnEach)
	if s.made.promotes {
		s.refuse(table, uniqueOnEach)
	}
	if r.server >= 18 {
		return
	}
	const keyOnEach = "the same key NOT VALID on each partition, VALIDATE CONSTRAINT there, then on the table, which takes them over " +
		"without reading"
	s.advise("foreign-key", keyOnEach)
	if s.made.unproven {
		s.refuse(table, keyOnEach)
	}
}

func (s *Statement) refuse(table, instead string) {
	s.find("refused", table)
	s.advise("refused", instead)
}

// advise replaces what a finding says to do instead.
func (s *Statement) advise(rule, instead string) {
	for i := range s.Findings {
		if s.Findings[i].Name == rule {
			s.Findings[i].Instead = instead
		}
	}
}

// readsWhileHeld: a constraint that the same transaction has added, or any lock that it
// took before, is still held while VALIDATE reads the table.
func (s *Statement) readsWhileHeld(held map[string]string) {
	table := s.table()
	if s.Scans && len(s.made.validated) > 0 && !s.made.ours[table] {
		switch mode := held[table]; {
		case mode == accessExclusive:
			s.find("check", table)
		case strength(mode) >= strength(share):
			s.find("foreign-key", table)
		}
	}
	for _, lock := range s.Locks {
		if strength(lock.Mode) > strength(held[lock.Table]) {
			held[lock.Table] = lock.Mode
		}
	}
}
