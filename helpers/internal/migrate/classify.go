package migrate

import (
	"regexp"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
)

// Lock modes: https://www.postgresql.org/docs/15/explicit-locking.html#LOCKING-TABLES
const (
	accessExclusive      = "AccessExclusiveLock"
	share                = "ShareLock"
	shareRowExclusive    = "ShareRowExclusiveLock"
	shareUpdateExclusive = "ShareUpdateExclusiveLock"
	rowExclusive         = "RowExclusiveLock"
)

// Levels of a finding.
const (
	Danger  = "danger"
	Warning = "warning"
	Note    = "note"
)

// Finding is what a rule says of a statement.
type Finding struct {
	Rule    string `json:"rule"`
	Level   string `json:"level"`
	Message string `json:"message"`
	Instead string `json:"instead"` // the safer way
}

func (s *Statement) find(rule, level, message, instead string) {
	s.Findings = append(s.Findings, Finding{Rule: rule, Level: level, Message: message, Instead: instead})
}

// classify says what a statement is, what it locks, and what is risky about it.
// The locks are those of https://www.postgresql.org/docs/15/sql-altertable.html and its sister pages.
func classify(node *pgquery.Node, s *Statement) {
	switch n := node.Node.(type) {
	case *pgquery.Node_CreateStmt:
		s.Kind, s.created, s.Table = "CREATE TABLE", relation(n.CreateStmt.Relation), relation(n.CreateStmt.Relation)
		s.Lock = accessExclusive
	case *pgquery.Node_IndexStmt:
		classifyIndex(n.IndexStmt, s)
	case *pgquery.Node_AlterTableStmt:
		s.Kind, s.Table, s.Lock = "ALTER TABLE", relation(n.AlterTableStmt.Relation), accessExclusive
		if n.AlterTableStmt.Objtype == pgquery.ObjectType_OBJECT_TABLE {
			for _, command := range n.AlterTableStmt.Cmds {
				classifyAlter(command.GetAlterTableCmd(), s)
			}
		}
	case *pgquery.Node_DropStmt:
		classifyDrop(n.DropStmt, s)
	case *pgquery.Node_RenameStmt:
		s.Kind, s.Table, s.Lock = "ALTER ... RENAME", relation(n.RenameStmt.Relation), accessExclusive
		s.find("rename", Danger, "the version that still runs asks for the old name, and fails at once", "add the new one beside it, move over, drop the old one a release later")
	case *pgquery.Node_TruncateStmt:
		s.Kind, s.Lock = "TRUNCATE", accessExclusive
		s.find("truncate", Danger, "all rows go, and nobody can read meanwhile", "delete in batches")
	case *pgquery.Node_ReindexStmt:
		s.Kind, s.Lock = "REINDEX", share
		if concurrently(n.ReindexStmt.Params) {
			s.Kind, s.Lock, s.Alone = "REINDEX CONCURRENTLY", shareUpdateExclusive, true
		} else {
			s.find("reindex", Danger, "nobody can write until the index is built", "REINDEX CONCURRENTLY")
		}
	case *pgquery.Node_VacuumStmt:
		s.Kind, s.Alone, s.Lock = "VACUUM", n.VacuumStmt.IsVacuumcmd, shareUpdateExclusive
		for _, option := range n.VacuumStmt.Options {
			if option.GetDefElem().GetDefname() == "full" {
				s.Kind, s.Lock = "VACUUM FULL", accessExclusive
				s.find("vacuum-full", Danger, "nobody can read until the table is rewritten", "VACUUM, or pg_repack")
			}
		}
	case *pgquery.Node_ClusterStmt:
		s.Kind, s.Lock = "CLUSTER", accessExclusive
		s.find("cluster", Danger, "nobody can read until the table is rewritten", "pg_repack")
	case *pgquery.Node_CreatedbStmt:
		s.Kind, s.Alone = "CREATE DATABASE", true
	case *pgquery.Node_DropdbStmt:
		s.Kind, s.Alone = "DROP DATABASE", true
	case *pgquery.Node_AlterSystemStmt:
		s.Kind, s.Alone = "ALTER SYSTEM", true
	case *pgquery.Node_TransactionStmt:
		s.Kind, s.control = strings.TrimPrefix(n.TransactionStmt.Kind.String(), "TRANS_STMT_"), true
	case *pgquery.Node_CopyStmt:
		s.Kind, s.copies = "COPY", n.CopyStmt.IsFrom && n.CopyStmt.Filename == "" && !n.CopyStmt.IsProgram
	case *pgquery.Node_UpdateStmt:
		s.Kind, s.Table, s.Lock = "UPDATE", relation(n.UpdateStmt.Relation), rowExclusive
		if n.UpdateStmt.WhereClause == nil {
			s.find("update-all", Warning, "every row is written in one transaction, and stays locked until it ends", "update in batches, in a file of its own")
		}
	case *pgquery.Node_DeleteStmt:
		s.Kind, s.Table, s.Lock = "DELETE", relation(n.DeleteStmt.Relation), rowExclusive
		if n.DeleteStmt.WhereClause == nil {
			s.find("delete-all", Danger, "every row goes", "say which rows, in a WHERE")
		}
	case *pgquery.Node_InsertStmt:
		s.Kind, s.Table, s.Lock = "INSERT", relation(n.InsertStmt.Relation), rowExclusive
	case *pgquery.Node_RefreshMatViewStmt:
		s.Kind, s.Table, s.Lock = "REFRESH MATERIALIZED VIEW", relation(n.RefreshMatViewStmt.Relation), accessExclusive
		if n.RefreshMatViewStmt.Concurrent {
			s.Lock = "ExclusiveLock"
		} else {
			s.find("refresh", Warning, "nobody can read the view until it is filled", "REFRESH MATERIALIZED VIEW CONCURRENTLY")
		}
	case *pgquery.Node_CreateTrigStmt:
		s.Kind, s.Table, s.Lock = "CREATE TRIGGER", relation(n.CreateTrigStmt.Relation), shareRowExclusive
		s.find("trigger", Warning, "nobody can write while it waits for its lock", "run it at a quiet time; lock_timeout ends the wait")
	default:
		s.Kind = kindOf(s.SQL)
	}
}

func concurrently(options []*pgquery.Node) bool {
	for _, option := range options {
		if option.GetDefElem().GetDefname() == "concurrently" {
			return true
		}
	}
	return false
}

func classifyIndex(n *pgquery.IndexStmt, s *Statement) {
	s.Kind, s.Table, s.Lock, s.index = "CREATE INDEX", relation(n.Relation), share, n.Idxname
	if n.Concurrent {
		s.Kind, s.Lock, s.Alone = "CREATE INDEX CONCURRENTLY", shareUpdateExclusive, true
		if n.Idxname == "" {
			s.find("index-name", Warning, "an index without a name cannot be found again when its building was interrupted", "name it")
		}
		return
	}
	s.find("index", Danger, "nobody can write to the table until the index is built", "CREATE INDEX CONCURRENTLY, in a file of its own")
}

func classifyDrop(n *pgquery.DropStmt, s *Statement) {
	what := strings.ReplaceAll(strings.TrimPrefix(n.RemoveType.String(), "OBJECT_"), "_", " ")
	s.Kind, s.Lock = "DROP "+what, accessExclusive
	switch n.RemoveType {
	case pgquery.ObjectType_OBJECT_INDEX:
		if n.Concurrent {
			s.Kind, s.Lock, s.Alone = "DROP INDEX CONCURRENTLY", shareUpdateExclusive, true
			return
		}
		s.find("drop-index", Warning, "it waits for everybody who reads the table, and who comes after waits for it", "DROP INDEX CONCURRENTLY, in a file of its own")
	case pgquery.ObjectType_OBJECT_TABLE:
		s.find("drop-table", Danger, "the version that still runs asks for it; the rows are gone for good", "drop it a release after the last version that uses it")
	}
}

var volatileDefault = regexp.MustCompile(`(?i)\b(?:random|clock_timestamp|timeofday|gen_random_uuid|uuid_generate_v[14]|nextval)\s*\(`)

// classifyAlter knows the sub-commands that hurt.
func classifyAlter(command *pgquery.AlterTableCmd, s *Statement) {
	switch command.GetSubtype() {
	case pgquery.AlterTableType_AT_AddColumn:
		classifyColumn(command.Def.GetColumnDef(), s)
	case pgquery.AlterTableType_AT_AlterColumnType:
		s.find("alter-type", Danger, "the table may be rewritten, and nobody can read meanwhile", "add a column of the new type, fill it in batches, move over")
	case pgquery.AlterTableType_AT_SetNotNull:
		s.find("set-not-null", Danger, "the whole table is read while nobody can use it", "ADD CONSTRAINT ... CHECK (... IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT, then SET NOT NULL")
	case pgquery.AlterTableType_AT_DropColumn:
		s.find("drop-column", Danger, "the version that still runs asks for it", "drop it a release after the last version that uses it")
	case pgquery.AlterTableType_AT_DropConstraint:
		s.find("drop-constraint", Warning, "what it kept out can come in from now on", "be sure that nothing relies on it")
	case pgquery.AlterTableType_AT_AddConstraint:
		classifyConstraint(command.Def.GetConstraint(), s)
	case pgquery.AlterTableType_AT_ValidateConstraint:
		s.Lock = shareUpdateExclusive
	case pgquery.AlterTableType_AT_DetachPartition:
		if command.Def.GetPartitionCmd().GetConcurrent() {
			s.Alone, s.Lock = true, shareUpdateExclusive
			return
		}
		s.find("detach", Warning, "nobody can use the table meanwhile", "DETACH PARTITION ... CONCURRENTLY, in a file of its own")
	}
}

func classifyColumn(column *pgquery.ColumnDef, s *Statement) {
	var notNull, hasDefault bool
	for _, node := range column.GetConstraints() {
		switch node.GetConstraint().GetContype() {
		case pgquery.ConstrType_CONSTR_NOTNULL:
			notNull = true
		case pgquery.ConstrType_CONSTR_DEFAULT:
			hasDefault = true
			if volatileDefault.MatchString(s.SQL) {
				s.find("volatile-default", Danger, "the table is rewritten, and nobody can read meanwhile", "add the column without it, set the default, fill the old rows in batches")
			}
		case pgquery.ConstrType_CONSTR_IDENTITY, pgquery.ConstrType_CONSTR_GENERATED:
			hasDefault = true
			s.find("generated-column", Danger, "the table is rewritten, and nobody can read meanwhile", "add a plain column and fill it in batches")
		case pgquery.ConstrType_CONSTR_UNIQUE, pgquery.ConstrType_CONSTR_PRIMARY:
			s.find("unique", Danger, "its index is built while nobody can use the table", "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... USING INDEX")
		}
	}
	if notNull && !hasDefault {
		s.find("not-null-without-default", Danger, "it fails as soon as the table has a row", "give it a default")
	}
	if name := lastName(column.GetTypeName().GetNames()); strings.HasSuffix(name, "serial") {
		s.find("serial", Danger, "the table is rewritten, and nobody can read meanwhile", "add a plain column and fill it in batches")
	}
}

func lastName(names []*pgquery.Node) string {
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1].GetString_().GetSval()
}

func classifyConstraint(constraint *pgquery.Constraint, s *Statement) {
	switch constraint.GetContype() {
	case pgquery.ConstrType_CONSTR_FOREIGN:
		s.Lock = shareRowExclusive
		if !constraint.SkipValidation {
			s.find("foreign-key", Danger, "both tables are read and cannot be written to meanwhile", "ADD CONSTRAINT ... NOT VALID, then VALIDATE CONSTRAINT in a later file")
		}
	case pgquery.ConstrType_CONSTR_CHECK:
		if !constraint.SkipValidation {
			s.find("check", Danger, "the whole table is read while nobody can use it", "ADD CONSTRAINT ... NOT VALID, then VALIDATE CONSTRAINT in a later file")
		}
	case pgquery.ConstrType_CONSTR_UNIQUE, pgquery.ConstrType_CONSTR_PRIMARY:
		if constraint.Indexname == "" {
			s.find("unique", Danger, "its index is built while nobody can use the table", "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... USING INDEX")
		}
	case pgquery.ConstrType_CONSTR_EXCLUSION:
		s.find("exclude", Danger, "its index is built while nobody can use the table", "there is no way around it: choose a quiet time")
	}
}

var firstWords = regexp.MustCompile(`^[A-Za-z]+(?:\s+[A-Za-z]+)?`)

func kindOf(sql string) string {
	return strings.ToUpper(strings.Join(strings.Fields(firstWords.FindString(skipComments(sql))), " "))
}

var allowed = regexp.MustCompile(`(?m)--\s*slipway:ok\s+(\S+)\s+(\S.*)$`)

// suppress drops the findings that the file's author answered for: -- slipway:ok RULE reason.
func suppress(sql string, findings []Finding) []Finding {
	answered := map[string]bool{}
	for _, match := range allowed.FindAllStringSubmatch(sql, -1) {
		answered[match[1]] = true
	}
	var left []Finding
	for _, finding := range findings {
		if !answered[finding.Rule] {
			left = append(left, finding)
		}
	}
	return left
}
