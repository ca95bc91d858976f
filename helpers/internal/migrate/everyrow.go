package migrate

// Statements that change or lock every row of a table.

import (
	"slices"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// classifyMerge: a condition that is the same for every row, or rows that the source
// does not have, without a condition of their own.
func classifyMerge(n *pgquery.MergeStmt, s *Statement) {
	for _, node := range n.MergeWhenClauses {
		when := node.GetMergeWhenClause()
		every := when.MatchKind == pgquery.MergeMatchKind_MERGE_WHEN_NOT_MATCHED_BY_SOURCE ||
			when.MatchKind == pgquery.MergeMatchKind_MERGE_WHEN_MATCHED && isConstant(n.JoinCondition)
		if !every || !isConstant(when.Condition) {
			continue
		}
		switch when.CommandType {
		case pgquery.CmdType_CMD_DELETE:
			s.find("delete-all", s.table())
		case pgquery.CmdType_CMD_UPDATE:
			s.find("update-all", s.table())
		}
	}
}

// locksRows: SELECT ... FOR UPDATE and the like.
func (s *Statement) locksRows(n *pgquery.SelectStmt) {
	if len(n.LockingClause) == 0 {
		return
	}
	every := isConstant(n.WhereClause) && n.LimitCount == nil
	for _, table := range tablesOf(n.FromClause) {
		if !isLocked(n.LockingClause, table) {
			continue
		}
		s.lock(relation(table), rowShare)
		if every {
			s.Scans = true
			s.find("lock-rows", relation(table))
		}
	}
}

// isLocked says whether FOR UPDATE speaks of a table: of each one, or of those behind OF.
func isLocked(clauses []*pgquery.Node, table *pgquery.RangeVar) bool {
	name := table.GetRelname()
	if alias := table.GetAlias().GetAliasname(); alias != "" {
		name = alias
	}
	return slices.ContainsFunc(clauses, func(clause *pgquery.Node) bool {
		named := clause.GetLockingClause().GetLockedRels()
		return len(named) == 0 || slices.ContainsFunc(named, func(one *pgquery.Node) bool { return one.GetRangeVar().GetRelname() == name })
	})
}

// tablesOf are the tables of a FROM, and of its joins.
func tablesOf(from []*pgquery.Node) (tables []*pgquery.RangeVar) {
	for _, node := range from {
		switch {
		case node.GetRangeVar() != nil:
			tables = append(tables, node.GetRangeVar())
		case node.GetJoinExpr() != nil:
			tables = append(tables, tablesOf([]*pgquery.Node{node.GetJoinExpr().Larg, node.GetJoinExpr().Rarg})...)
		}
	}
	return tables
}

// isConstant says whether a condition is the same for every row: there is none, or
// it is true, 1 = 1, id = id, now() > '2000-01-01' and the like.
func isConstant(where *pgquery.Node) bool {
	if logic := where.GetBoolExpr(); logic != nil {
		return !slices.ContainsFunc(logic.Args, func(part *pgquery.Node) bool { return !isConstant(part) })
	}
	if compared := where.GetAExpr(); sameColumn(compared.GetLexpr(), compared.GetRexpr()) {
		return true
	}
	constant := true
	each(where, func(message proto.Message) {
		switch part := message.(type) {
		case *pgquery.ColumnRef, *pgquery.SubLink, *pgquery.CurrentOfExpr, *pgquery.ParamRef:
			constant = false
		case *pgquery.FuncCall:
			constant = constant && builtin[lastName(part.Funcname)] && !volatile[lastName(part.Funcname)]
		}
	})
	return constant
}

func sameColumn(a, b *pgquery.Node) bool {
	name := func(node *pgquery.Node) string { return nameOf(node.GetColumnRef().GetFields()) }
	return name(a) != "" && name(a) == name(b)
}
