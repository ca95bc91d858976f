package migrate

import (
	"regexp"
	"slices"
	"strings"

	"github.com/lib/pq"
	pgquery "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// Lock modes: https://www.postgresql.org/docs/15/explicit-locking.html#LOCKING-TABLES
const (
	accessShare          = "AccessShareLock"
	rowShare             = "RowShareLock"
	rowExclusive         = "RowExclusiveLock"
	shareUpdateExclusive = "ShareUpdateExclusiveLock"
	share                = "ShareLock"
	shareRowExclusive    = "ShareRowExclusiveLock"
	exclusive            = "ExclusiveLock"
	accessExclusive      = "AccessExclusiveLock"
)

// modes are in the order of their strength; LOCK TABLE counts them from 1.
var modes = []string{"", accessShare, rowShare, rowExclusive, shareUpdateExclusive, share, shareRowExclusive, exclusive, accessExclusive}

// lockName is a mode as PostgreSQL's documentation and LOCK TABLE write it: ACCESS EXCLUSIVE.
func lockName(mode string) string {
	return strings.ToUpper(inWords.ReplaceAllString(strings.TrimSuffix(mode, "Lock"), "$1 $2"))
}

var inWords = regexp.MustCompile(`([a-z])([A-Z])`)

// lock notes a table and its mode; of two on one table the stronger stays.
func (s *Statement) lock(table, mode string) {
	if table == "" {
		return
	}
	for i, known := range s.Locks {
		if known.Table == table && !known.Index {
			if strength(mode) > strength(known.Mode) {
				s.Locks[i].Mode = mode
			}
			return
		}
	}
	s.Locks = append(s.Locks, Lock{Table: table, Mode: mode})
}

func strength(mode string) int {
	for i, known := range modes {
		if known == mode {
			return i
		}
	}
	return 0
}

func (s *Statement) lockIndex(index, mode string) {
	s.Locks = append(s.Locks, Lock{Table: index, Mode: mode, Index: true})
}

// table is the one that the statement is first of all about.
func (s *Statement) table() string {
	if len(s.Locks) > 0 {
		return s.Locks[0].Table
	}
	return s.made.table
}

// classify says what a statement is, what it locks, and what is risky about it
// as far as its text tells; review looks at the rest of the plan and the catalog.
func classify(node *pgquery.Node, body string, s *Statement) {
	classifyOne(node, body, s)
	classifyCode(node, body, s)
	classifyPrivileged(node, s)
	for _, with := range []*pgquery.WithClause{
		node.GetSelectStmt().GetWithClause(), node.GetInsertStmt().GetWithClause(), node.GetUpdateStmt().GetWithClause(),
		node.GetDeleteStmt().GetWithClause(), node.GetMergeStmt().GetWithClause(),
	} {
		for _, part := range with.GetCtes() { // WITH gone AS (DELETE ...)
			kind, writes := s.Kind, s.made.writes
			classify(part.GetCommonTableExpr().GetCtequery(), body, s)
			s.Kind = kind
			if writes != "" {
				s.made.writes = writes
			}
		}
	}
}

func classifyOne(node *pgquery.Node, body string, s *Statement) {
	switch n := node.Node.(type) {
	case *pgquery.Node_CreateStmt:
		classifyCreate(n.CreateStmt, s)
	case *pgquery.Node_CreateForeignTableStmt:
		classifyCreate(n.CreateForeignTableStmt.BaseStmt, s)
		s.Kind = "CREATE FOREIGN TABLE"
	case *pgquery.Node_CreateTableAsStmt:
		s.Kind = "CREATE TABLE AS"
		s.creates(n.CreateTableAsStmt.Into.Rel, n.CreateTableAsStmt.IfNotExists)
		s.made.dropsItself = n.CreateTableAsStmt.Into.OnCommit == pgquery.OnCommitAction_ONCOMMIT_DROP
		if n.CreateTableAsStmt.Objtype == pgquery.ObjectType_OBJECT_MATVIEW {
			s.Kind = "CREATE MATERIALIZED VIEW"
		}
	case *pgquery.Node_SelectStmt:
		s.Kind = "SELECT"
		if into := n.SelectStmt.GetIntoClause(); into != nil {
			s.creates(into.Rel, false)
		}
		s.locksRows(n.SelectStmt)
	case *pgquery.Node_ViewStmt:
		s.Kind = "CREATE VIEW"
		s.creates(n.ViewStmt.View, n.ViewStmt.Replace)
		s.made.reads = readsOf(n.ViewStmt.Query)
		if n.ViewStmt.Replace {
			s.lock(relation(n.ViewStmt.View), accessExclusive)
		}
	case *pgquery.Node_CreateSeqStmt:
		s.Kind = "CREATE SEQUENCE"
		s.creates(n.CreateSeqStmt.Sequence, n.CreateSeqStmt.IfNotExists)
	case *pgquery.Node_CreateStatsStmt:
		s.Kind = "CREATE STATISTICS"
		for _, each := range n.CreateStatsStmt.Relations {
			s.lock(relation(each.GetRangeVar()), shareUpdateExclusive)
		}
	case *pgquery.Node_CreateDomainStmt:
		classifyDomain(n.CreateDomainStmt, s)
	case *pgquery.Node_AlterDomainStmt:
		classifyAlterDomain(n.AlterDomainStmt, s)
	case *pgquery.Node_DropOwnedStmt:
		s.Kind = "DROP OWNED"
		s.find("drop-object", "")
		for _, role := range n.DropOwnedStmt.Roles {
			s.drops("owned", role.GetRoleSpec().GetRolename(), "", n.DropOwnedStmt.Behavior == pgquery.DropBehavior_DROP_CASCADE)
		}
	case *pgquery.Node_ReassignOwnedStmt:
		s.Kind = "REASSIGN OWNED"
		s.find("revoke", "")
		for _, role := range n.ReassignOwnedStmt.Roles {
			s.walk("relations of", role.GetRoleSpec().GetRolename(), accessExclusive)
		}
	case *pgquery.Node_IndexStmt:
		classifyIndex(n.IndexStmt, s)
	case *pgquery.Node_AlterTableStmt:
		classifyAlterTable(n.AlterTableStmt, s)
	case *pgquery.Node_DropStmt:
		classifyDrop(n.DropStmt, s)
	case *pgquery.Node_RenameStmt:
		classifyRename(n.RenameStmt, s)
	case *pgquery.Node_AlterObjectSchemaStmt:
		s.Kind = "ALTER ... SET SCHEMA"
		s.made.from, s.made.toSchema = relation(n.AlterObjectSchemaStmt.Relation), identifier(n.AlterObjectSchemaStmt.Newschema)
		s.lock(relation(n.AlterObjectSchemaStmt.Relation), accessExclusive)
		s.walk("sequences", relation(n.AlterObjectSchemaStmt.Relation), accessExclusive)
		s.find("rename", s.table())
	case *pgquery.Node_TruncateStmt:
		s.Kind = "TRUNCATE"
		for _, each := range n.TruncateStmt.Relations {
			s.lock(relation(each.GetRangeVar()), accessExclusive)
			s.find("truncate", relation(each.GetRangeVar()))
			if each.GetRangeVar().GetInh() {
				s.walk("heirs", relation(each.GetRangeVar()), accessExclusive)
			}
			if n.TruncateStmt.RestartSeqs {
				s.walk("sequences", relation(each.GetRangeVar()), accessExclusive)
			}
			if n.TruncateStmt.Behavior == pgquery.DropBehavior_DROP_CASCADE {
				s.walk("emptied", relation(each.GetRangeVar()), accessExclusive)
			}
		}
		if n.TruncateStmt.Behavior == pgquery.DropBehavior_DROP_CASCADE {
			s.find("truncate-cascade", s.table())
		}
	case *pgquery.Node_ReindexStmt:
		classifyReindex(n.ReindexStmt, s)
	case *pgquery.Node_VacuumStmt:
		classifyVacuum(n.VacuumStmt, s)
	case *pgquery.Node_ClusterStmt:
		s.Kind, s.Rewrites, s.Alone = "CLUSTER", true, n.ClusterStmt.Relation == nil
		s.lock(relation(n.ClusterStmt.Relation), accessExclusive)
		s.find("cluster", s.table())
	case *pgquery.Node_UpdateStmt:
		s.Kind = "UPDATE"
		s.changesRows(n.UpdateStmt.Relation)
		if isConstant(n.UpdateStmt.WhereClause) {
			s.Scans = true
			s.find("update-all", s.table())
		}
	case *pgquery.Node_DeleteStmt:
		s.Kind = "DELETE"
		s.changesRows(n.DeleteStmt.Relation)
		if isConstant(n.DeleteStmt.WhereClause) {
			s.Scans = true
			s.find("delete-all", s.table())
		}
	case *pgquery.Node_InsertStmt:
		s.Kind = "INSERT"
		s.changesRows(n.InsertStmt.Relation)
	case *pgquery.Node_MergeStmt:
		s.Kind = "MERGE"
		s.changesRows(n.MergeStmt.Relation)
		classifyMerge(n.MergeStmt, s)
	case *pgquery.Node_LockStmt:
		s.Kind = "LOCK TABLE"
		for _, each := range n.LockStmt.Relations {
			mode := modes[min(max(int(n.LockStmt.Mode), 0), len(modes)-1)]
			s.lock(relation(each.GetRangeVar()), mode)
			if each.GetRangeVar().GetInh() {
				s.walk("heirs", relation(each.GetRangeVar()), mode)
			}
			s.walk("seen", relation(each.GetRangeVar()), mode)
			if strength(mode) >= strength(share) {
				s.find("lock-table", relation(each.GetRangeVar()))
			}
		}
	case *pgquery.Node_RefreshMatViewStmt:
		s.Kind = "REFRESH MATERIALIZED VIEW"
		if n.RefreshMatViewStmt.Concurrent {
			s.Scans = true
			s.lock(relation(n.RefreshMatViewStmt.Relation), exclusive)
			break
		}
		s.lock(relation(n.RefreshMatViewStmt.Relation), accessExclusive)
		s.Rewrites = true
		s.find("refresh", s.table())
		s.breaks("refresh", n.RefreshMatViewStmt.SkipData) // then every query of it fails
	case *pgquery.Node_CreateTrigStmt:
		s.Kind = "CREATE TRIGGER"
		s.lock(relation(n.CreateTrigStmt.Relation), shareRowExclusive)
		if n.CreateTrigStmt.Row {
			s.walk("partitions", relation(n.CreateTrigStmt.Relation), shareRowExclusive)
		}
		s.find("trigger", s.table())
	case *pgquery.Node_CreatePolicyStmt:
		s.access("CREATE POLICY", n.CreatePolicyStmt.Table)
		if !n.CreatePolicyStmt.Permissive {
			s.hides(s.table(), "")
		}
	case *pgquery.Node_AlterPolicyStmt:
		s.access("ALTER POLICY", n.AlterPolicyStmt.Table)
		s.hides(s.table(), "")
	case *pgquery.Node_RuleStmt:
		s.access("CREATE RULE", n.RuleStmt.Relation)
		s.breaks("access", n.RuleStmt.Instead) // rows go elsewhere, or nowhere
		for _, action := range n.RuleStmt.Actions {
			s.locksOfQueries(action)
		}
	case *pgquery.Node_CreateFunctionStmt:
		s.Kind = kindOf(body)
		s.locksOfQueries(n.CreateFunctionStmt.SqlBody)
	case *pgquery.Node_CreatePublicationStmt:
		s.Kind = "CREATE PUBLICATION"
		s.publishes(n.CreatePublicationStmt.Pubobjects)
	case *pgquery.Node_AlterPublicationStmt:
		s.Kind = "ALTER PUBLICATION"
		s.publishes(n.AlterPublicationStmt.Pubobjects)
		if n.AlterPublicationStmt.Action == pgquery.AlterPublicationAction_AP_SetObjects { // those that it has now may go
			s.walk("published", n.AlterPublicationStmt.Pubname, shareUpdateExclusive)
		}
	case *pgquery.Node_AlterObjectDependsStmt:
		classifyDepends(n.AlterObjectDependsStmt, body, s)
	case *pgquery.Node_AlterSeqStmt:
		s.Kind = "ALTER SEQUENCE"
		s.lock(relation(n.AlterSeqStmt.Sequence), shareRowExclusive)
	case *pgquery.Node_CommentStmt:
		s.Kind = "COMMENT ON"
		parts := n.CommentStmt.Object.GetList().GetItems()
		switch n.CommentStmt.Objtype {
		case pgquery.ObjectType_OBJECT_TABLE, pgquery.ObjectType_OBJECT_VIEW, pgquery.ObjectType_OBJECT_MATVIEW,
			pgquery.ObjectType_OBJECT_SEQUENCE, pgquery.ObjectType_OBJECT_FOREIGN_TABLE:
			s.lock(nameOf(parts), shareUpdateExclusive)
		case pgquery.ObjectType_OBJECT_COLUMN:
			s.lock(nameOf(parts[:max(len(parts)-1, 0)]), shareUpdateExclusive)
		}
	case *pgquery.Node_CreateEnumStmt:
		s.Kind, s.made.enumType = "CREATE TYPE", lastName(n.CreateEnumStmt.TypeName)
		s.made.makes = append(s.made.makes, object{kind: "type", name: nameOf(n.CreateEnumStmt.TypeName)})
	case *pgquery.Node_CompositeTypeStmt:
		s.Kind = "CREATE TYPE"
		s.creates(n.CompositeTypeStmt.Typevar, false)
		s.made.makes = append(s.made.makes, object{kind: "type", name: relation(n.CompositeTypeStmt.Typevar)})
	case *pgquery.Node_CreateRangeStmt:
		s.Kind = "CREATE TYPE"
		s.made.makes = append(s.made.makes, object{kind: "type", name: nameOf(n.CreateRangeStmt.TypeName)})
	case *pgquery.Node_AlterEnumStmt:
		s.Kind = "ALTER TYPE"
		if n.AlterEnumStmt.OldVal != "" {
			s.find("rename", "")
		} else {
			s.made.enumValue = newValue{lastName(n.AlterEnumStmt.TypeName), n.AlterEnumStmt.NewVal}
		}
	default:
		classifyRest(node, body, s)
	}
}

// classifyRest are the statements that lock no table.
func classifyRest(node *pgquery.Node, body string, s *Statement) {
	s.Kind = kindOf(body)
	switch n := node.Node.(type) {
	case *pgquery.Node_TransactionStmt:
		switch n.TransactionStmt.Kind {
		case pgquery.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
			s.made.setting.save = n.TransactionStmt.SavepointName
		case pgquery.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
			s.made.setting.back = n.TransactionStmt.SavepointName
		case pgquery.TransactionStmtKind_TRANS_STMT_RELEASE:
		default:
			s.made.control = true
			s.Kind = strings.ReplaceAll(strings.TrimPrefix(n.TransactionStmt.Kind.String(), "TRANS_STMT_"), "_", " ")
		}
	case *pgquery.Node_DiscardStmt:
		s.made.control = n.DiscardStmt.Target == pgquery.DiscardMode_DISCARD_ALL
		s.made.setting.discard = n.DiscardStmt.Target == pgquery.DiscardMode_DISCARD_TEMP
	case *pgquery.Node_CopyStmt:
		s.made.copies = n.CopyStmt.Filename == ""
		if n.CopyStmt.IsFrom {
			s.changesRows(n.CopyStmt.Relation)
		}
	case *pgquery.Node_VariableSetStmt:
		classifySetting(n.VariableSetStmt, s)
		s.made.session, s.made.misread = true, misreads(n.VariableSetStmt)
	case *pgquery.Node_CallStmt, *pgquery.Node_DoStmt:
		s.made.procedural = true
		s.find("unseen", "")
	case *pgquery.Node_CreatedbStmt:
		s.Alone, s.made.database = true, n.CreatedbStmt.Dbname
	case *pgquery.Node_DropdbStmt:
		s.Alone, s.made.database, s.made.dropped = true, n.DropdbStmt.Dbname, true
		s.find("drop-object", "")
	case *pgquery.Node_AlterDatabaseStmt:
		for _, option := range n.AlterDatabaseStmt.Options {
			s.Alone = s.Alone || option.GetDefElem().GetDefname() == "tablespace"
		}
	case *pgquery.Node_DropSubscriptionStmt, *pgquery.Node_CreateSubscriptionStmt, *pgquery.Node_AlterSubscriptionStmt,
		*pgquery.Node_AlterSystemStmt, *pgquery.Node_CreateTableSpaceStmt, *pgquery.Node_DropTableSpaceStmt:
		s.Alone = true
	}
}

// misreads names the setting by which the server would read the rest of the file
// otherwise than the parser did.
func misreads(set *pgquery.VariableSetStmt) string {
	right, known := map[string]string{"standard_conforming_strings": "on true yes 1", "client_encoding": "utf8 utf-8 unicode"}[set.Name]
	if !known || len(set.Args) != 1 {
		return ""
	}
	value := set.Args[0].GetAConst()
	if slices.Contains(strings.Fields(right), strings.ToLower(value.GetSval().GetSval())) || value.GetIval().GetIval() == 1 {
		return ""
	}
	return set.Name
}

// creates notes a new relation.
func (s *Statement) creates(table *pgquery.RangeVar, ifMissing bool) {
	s.made.table, s.made.ifMissing, s.made.temp = relation(table), ifMissing, table.GetRelpersistence() == "t"
}

func (s *Statement) changesRows(table *pgquery.RangeVar) {
	s.lock(relation(table), rowExclusive)
	s.made.writes = relation(table)
}

// locksOfQueries: a rule, and a function whose body is read at once, lock the tables
// that they will write to.
func (s *Statement) locksOfQueries(node *pgquery.Node) {
	each(node, func(message proto.Message) {
		switch n := message.(type) {
		case *pgquery.InsertStmt:
			s.lock(relation(n.Relation), rowExclusive)
		case *pgquery.UpdateStmt:
			s.lock(relation(n.Relation), rowExclusive)
		case *pgquery.DeleteStmt:
			s.lock(relation(n.Relation), rowExclusive)
		}
	})
}

// publishes: the tables that a publication gets or loses, with what inherits from them.
func (s *Statement) publishes(objects []*pgquery.Node) {
	for _, object := range objects {
		table := object.GetPublicationObjSpec().GetPubtable().GetRelation()
		s.lock(relation(table), shareUpdateExclusive)
		if table.GetInh() {
			s.walk("inherited", relation(table), shareUpdateExclusive)
		}
	}
}

func (s *Statement) access(kind string, table *pgquery.RangeVar) {
	s.Kind = kind
	s.lock(relation(table), accessExclusive)
	s.find("access", s.table())
}

// hides notes a policy by which rows may be hidden; ifThere is one that is dropped IF EXISTS.
func (s *Statement) hides(table, ifThere string) {
	s.find("row-security", table)
	s.made.policies = append(s.made.policies, kept{table: table, what: "row security", value: "false", ifThere: ifThere})
}

func concurrently(options []*pgquery.Node) bool {
	for _, option := range options {
		if element := option.GetDefElem(); element.GetDefname() == "concurrently" {
			return on(element)
		}
	}
	return false
}

// on reads an option such as FULL, FULL true or FULL off.
// https://www.postgresql.org/docs/15/sql-vacuum.html: boolean
func on(option *pgquery.DefElem) bool {
	switch strings.ToLower(option.GetArg().GetString_().GetSval()) {
	case "off", "false", "0", "no":
		return false
	}
	number := option.GetArg().GetInteger()
	return number == nil || number.Ival != 0
}

func relation(r *pgquery.RangeVar) string {
	if r == nil {
		return ""
	}
	return qualified(r.Schemaname, r.Relname)
}

func qualified(schema, name string) string {
	if schema == "" {
		return identifier(name)
	}
	return identifier(schema) + "." + identifier(name)
}

var plain = regexp.MustCompile(`^[a-z_][a-z0-9_$]*$`)

func identifier(name string) string {
	if plain.MatchString(name) {
		return name
	}
	return pq.QuoteIdentifier(name)
}

// nameOf joins the parts of a qualified name, of which there are up to two.
func nameOf(parts []*pgquery.Node) string {
	if len(parts) == 0 {
		return ""
	}
	last := parts[len(parts)-1].GetString_().GetSval()
	if len(parts) == 1 {
		return identifier(last)
	}
	return qualified(parts[len(parts)-2].GetString_().GetSval(), last)
}

func lastName(names []*pgquery.Node) string {
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1].GetString_().GetSval()
}

var firstWords = regexp.MustCompile(`^[A-Za-z]+(?:\s+[A-Za-z]+)?`)

// kindOf gives the first two words, of which the first alone tells where it is
// no CREATE, ALTER or DROP.
func kindOf(body string) string {
	words := strings.Fields(strings.ToUpper(firstWords.FindString(body)))
	if len(words) == 2 && words[0] != "CREATE" && words[0] != "ALTER" && words[0] != "DROP" {
		words = words[:1]
	}
	return strings.Join(words, " ")
}
