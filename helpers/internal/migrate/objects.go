package migrate

import (
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
)

func classifyCreate(n *pgquery.CreateStmt, s *Statement) {
	s.Kind = "CREATE TABLE"
	s.creates(n.Relation, n.IfNotExists)
	s.made.dropsItself = n.Oncommit == pgquery.OnCommitAction_ONCOMMIT_DROP
	for _, parent := range n.InhRelations {
		if n.Partbound != nil {
			s.made.parent = relation(parent.GetRangeVar())
			s.made.bonds = append(s.made.bonds, bond{from: s.made.table, to: s.made.parent, ofPartitions: true})
			s.lock(relation(parent.GetRangeVar()), accessExclusive)
			s.find("partition-of", relation(parent.GetRangeVar()))
			s.walk("default", relation(parent.GetRangeVar()), accessExclusive)
			s.walk("keys", relation(parent.GetRangeVar()), shareRowExclusive)
		} else {
			s.lock(relation(parent.GetRangeVar()), shareUpdateExclusive)
		}
	}
	s.checkName(n.Relation.GetRelname())
	var primary, integers []string
	for _, element := range n.TableElts {
		if constraint := element.GetConstraint(); constraint != nil {
			s.reference(constraint)
			s.binds(s.made.table, constraint, "")
			if constraint.Contype == pgquery.ConstrType_CONSTR_PRIMARY && len(constraint.Keys) == 1 {
				primary = append(primary, lastName(constraint.Keys))
			}
		}
		column := element.GetColumnDef()
		if column == nil {
			continue
		}
		s.noteColumn(column)
		s.made.added = append(s.made.added, newColumn(s.made.table, column, false, false))
		switch lastName(column.GetTypeName().GetNames()) {
		case "int4", "serial", "serial4", "int2", "smallserial":
			integers = append(integers, column.Colname)
		}
		for _, node := range column.Constraints {
			s.reference(node.GetConstraint())
			s.binds(s.made.table, node.GetConstraint(), column.Colname)
			if node.GetConstraint().GetContype() == pgquery.ConstrType_CONSTR_PRIMARY {
				primary = append(primary, column.Colname)
			}
		}
	}
	for _, key := range primary {
		for _, column := range integers {
			if key == column {
				s.find("int-primary-key", s.made.table)
			}
		}
	}
}

// reference notes the lock on the table that a foreign key refers to.
func (s *Statement) reference(constraint *pgquery.Constraint) {
	if constraint.GetContype() == pgquery.ConstrType_CONSTR_FOREIGN && relation(constraint.Pktable) != s.made.table {
		s.lock(relation(constraint.Pktable), shareRowExclusive)
		s.walk("partitions", relation(constraint.Pktable), shareRowExclusive)
		s.find("references", relation(constraint.Pktable))
	}
}

// noteColumn gives the notes that are about a column's type and name.
func (s *Statement) noteColumn(column *pgquery.ColumnDef) {
	s.checkName(column.Colname)
	switch lastName(column.GetTypeName().GetNames()) {
	case "json":
		s.find("json", "")
	case "bpchar":
		s.find("char", "")
	case "timestamp":
		s.find("timestamp", "")
	}
}

// checkName: the parser cuts a name to 63 bytes as the server does, so that 63
// bytes is all that is left of a longer one; the text tells.
func (s *Statement) checkName(name string) {
	if len(name) >= 63 {
		at := strings.Index(s.text, name)
		if at >= 0 && at+len(name) < len(s.text) && isNameByte(s.text[at+len(name)]) {
			s.find("long-name", "")
		}
	}
}

func isNameByte(b byte) bool {
	return b == '_' || b == '$' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80
}

func classifyIndex(n *pgquery.IndexStmt, s *Statement) {
	s.Kind = "CREATE INDEX"
	s.checkName(n.Idxname)
	if n.Idxname != "" {
		s.made.index = qualified(n.Relation.GetSchemaname(), n.Idxname)
	}
	s.Scans, s.made.only, s.made.indexIfMissing = true, !n.Relation.GetInh(), n.IfNotExists
	for _, parameter := range n.IndexParams {
		s.made.columns = append(s.made.columns, parameter.GetIndexElem().GetName())
	}
	if n.Relation.GetInh() && !n.Concurrent {
		s.walk("partitions", relation(n.Relation), share)
	}
	if n.Concurrent {
		s.Kind, s.Alone = "CREATE INDEX CONCURRENTLY", true
		s.lock(relation(n.Relation), shareUpdateExclusive)
		if n.Idxname == "" {
			s.find("index-name", s.table())
		}
		return
	}
	s.lock(relation(n.Relation), share)
	s.find("index", s.table())
}

func classifyReindex(n *pgquery.ReindexStmt, s *Statement) {
	s.Kind, s.Scans = "REINDEX", true
	mode := share
	concurrent := concurrently(n.Params)
	if concurrent {
		s.Kind, mode = "REINDEX CONCURRENTLY", shareUpdateExclusive
	}
	switch n.Kind {
	case pgquery.ReindexObjectType_REINDEX_OBJECT_TABLE:
		s.lock(relation(n.Relation), mode)
		if !concurrent {
			s.walk("indexes", relation(n.Relation), accessExclusive)
		}
	case pgquery.ReindexObjectType_REINDEX_OBJECT_INDEX:
		s.lockIndex(relation(n.Relation), mode)
		if !concurrent {
			s.walk("self", relation(n.Relation), accessExclusive)
		}
		s.made.index = relation(n.Relation)
	default:
		s.Alone = true
	}
	if concurrent {
		s.Alone = true
		return
	}
	s.find("reindex", s.table())
}

func classifyVacuum(n *pgquery.VacuumStmt, s *Statement) {
	s.Kind, s.Alone = "VACUUM", n.IsVacuumcmd
	if !n.IsVacuumcmd {
		s.Kind = "ANALYZE"
	}
	mode := shareUpdateExclusive
	for _, option := range n.Options {
		if option.GetDefElem().GetDefname() == "full" && on(option.GetDefElem()) {
			s.Kind, mode, s.Rewrites = "VACUUM FULL", accessExclusive, true
		}
	}
	for _, each := range n.Rels {
		s.lock(relation(each.GetVacuumRelation().GetRelation()), mode)
		s.walk("partitions", relation(each.GetVacuumRelation().GetRelation()), mode)
	}
	if s.Rewrites {
		s.find("vacuum-full", s.table())
	}
}

func classifyDrop(n *pgquery.DropStmt, s *Statement) {
	what := strings.ReplaceAll(strings.TrimPrefix(n.RemoveType.String(), "OBJECT_"), "_", " ")
	s.Kind = "DROP " + strings.Replace(what, "MATVIEW", "MATERIALIZED VIEW", 1)
	cascade := n.Behavior == pgquery.DropBehavior_DROP_CASCADE
	s.made.missingOK = n.MissingOk
	for _, object := range n.Objects {
		parts := object.GetList().GetItems()
		switch n.RemoveType {
		case pgquery.ObjectType_OBJECT_INDEX, pgquery.ObjectType_OBJECT_TABLE, pgquery.ObjectType_OBJECT_FOREIGN_TABLE,
			pgquery.ObjectType_OBJECT_VIEW, pgquery.ObjectType_OBJECT_MATVIEW, pgquery.ObjectType_OBJECT_SEQUENCE:
			s.made.gone = append(s.made.gone, nameOf(parts))
		case pgquery.ObjectType_OBJECT_SCHEMA:
			s.made.setting.droppedSchema = append(s.made.setting.droppedSchema, identifier(object.GetString_().GetSval()))
		}
		switch n.RemoveType {
		case pgquery.ObjectType_OBJECT_INDEX:
			if n.Concurrent {
				s.Kind, s.Alone = "DROP INDEX CONCURRENTLY", true
				s.lockIndex(nameOf(parts), shareUpdateExclusive)
				s.made.index, s.made.dropped = nameOf(parts), true
				continue
			}
			s.lockIndex(nameOf(parts), accessExclusive)
			s.find("drop-index", nameOf(parts))
			s.drops("relation", nameOf(parts), "", cascade)
			s.walk("above", nameOf(parts), accessExclusive)
		case pgquery.ObjectType_OBJECT_TABLE, pgquery.ObjectType_OBJECT_FOREIGN_TABLE:
			s.lock(nameOf(parts), accessExclusive)
			s.find("drop-table", nameOf(parts))
			s.drops("relation", nameOf(parts), "", cascade)
		case pgquery.ObjectType_OBJECT_VIEW, pgquery.ObjectType_OBJECT_MATVIEW, pgquery.ObjectType_OBJECT_SEQUENCE:
			s.lock(nameOf(parts), accessExclusive)
			s.find("drop-object", nameOf(parts))
			s.drops("relation", nameOf(parts), "", cascade)
		case pgquery.ObjectType_OBJECT_TRIGGER, pgquery.ObjectType_OBJECT_POLICY, pgquery.ObjectType_OBJECT_RULE:
			if len(parts) > 1 { // the last part is its own name
				s.lock(nameOf(parts[:len(parts)-1]), accessExclusive)
				s.find("access", nameOf(parts[:len(parts)-1]))
				if n.RemoveType == pgquery.ObjectType_OBJECT_POLICY {
					s.hides(nameOf(parts[:len(parts)-1]), map[bool]string{true: lastName(parts)}[n.MissingOk])
				}
				s.drops(strings.ToLower(what), nameOf(parts[:len(parts)-1]), lastName(parts), cascade)
			}
		case pgquery.ObjectType_OBJECT_STATISTIC_EXT, pgquery.ObjectType_OBJECT_EVENT_TRIGGER, pgquery.ObjectType_OBJECT_PUBLICATION:
			s.dropsObject(n.RemoveType, object, cascade)
		default:
			s.find("drop-object", "")
			s.dropsObject(n.RemoveType, object, cascade)
			s.made.unmakes = append(s.made.unmakes, objectOf(n.RemoveType, object, cascade))
		}
	}
}

func classifyRename(n *pgquery.RenameStmt, s *Statement) {
	s.Kind, s.made.gives, s.made.renamedPart = "ALTER ... RENAME", identifier(n.Newname), n.Subname
	s.mayMiss(n.MissingOk, relation(n.Relation))
	switch n.RenameType {
	case pgquery.ObjectType_OBJECT_SCHEMA:
		s.made.renamedKind, s.made.renamedName, s.made.renamedPart = "schema", identifier(n.Subname), ""
	case pgquery.ObjectType_OBJECT_TYPE, pgquery.ObjectType_OBJECT_DOMAIN:
		s.made.renamedKind, s.made.renamedName = "type", nameOf(n.Object.GetList().GetItems())
	case pgquery.ObjectType_OBJECT_FUNCTION, pgquery.ObjectType_OBJECT_PROCEDURE, pgquery.ObjectType_OBJECT_ROUTINE,
		pgquery.ObjectType_OBJECT_AGGREGATE:
		s.made.renamedKind, s.made.renamedName = "function", nameOf(n.Object.GetObjectWithArgs().GetObjname())
	case pgquery.ObjectType_OBJECT_INDEX, pgquery.ObjectType_OBJECT_TABLE, pgquery.ObjectType_OBJECT_FOREIGN_TABLE,
		pgquery.ObjectType_OBJECT_VIEW, pgquery.ObjectType_OBJECT_MATVIEW, pgquery.ObjectType_OBJECT_SEQUENCE:
		s.made.from, s.made.toName = relation(n.Relation), identifier(n.Newname)
	}
	switch n.RenameType {
	case pgquery.ObjectType_OBJECT_INDEX:
		s.lockIndex(relation(n.Relation), accessShare)
		s.Locks = nil // the index alone, and that without stopping anybody
	case pgquery.ObjectType_OBJECT_TABCONSTRAINT, pgquery.ObjectType_OBJECT_TRIGGER, pgquery.ObjectType_OBJECT_POLICY,
		pgquery.ObjectType_OBJECT_RULE:
		s.lock(relation(n.Relation), accessExclusive)
		s.find("access", s.table())
		if n.RenameType == pgquery.ObjectType_OBJECT_TRIGGER {
			s.walk("partitions", relation(n.Relation), accessExclusive)
		}
		if n.RenameType == pgquery.ObjectType_OBJECT_TABCONSTRAINT && n.Relation.GetInh() {
			s.walkOf("inheriting", relation(n.Relation), n.Subname, accessExclusive)
		}
	default:
		if n.RenameType == pgquery.ObjectType_OBJECT_COLUMN {
			s.made.renamedColumn, s.made.renamed = n.Subname, n.Newname
		}
		s.lock(relation(n.Relation), accessExclusive)
		s.find("rename", s.table())
		if n.RenameType == pgquery.ObjectType_OBJECT_TYPE { // a composite type is a relation, too
			s.walk("self", nameOf(n.Object.GetList().GetItems()), accessExclusive)
		}
		if n.RenameType == pgquery.ObjectType_OBJECT_COLUMN {
			s.walk("heirs", relation(n.Relation), accessExclusive)
		}
		if n.RenameType == pgquery.ObjectType_OBJECT_ATTRIBUTE && n.Behavior == pgquery.DropBehavior_DROP_CASCADE {
			s.walk("typed", relation(n.Relation), accessExclusive)
		}
	}
}
