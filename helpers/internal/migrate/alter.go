package migrate

import (
	"slices"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
)

// weaker are the commands of ALTER TABLE that take less than ACCESS EXCLUSIVE:
// AlterTableGetLockLevel in PostgreSQL's src/backend/commands/tablecmds.c.
var weaker = map[pgquery.AlterTableType]string{
	pgquery.AlterTableType_AT_SetStatistics:      shareUpdateExclusive,
	pgquery.AlterTableType_AT_SetOptions:         shareUpdateExclusive,
	pgquery.AlterTableType_AT_ResetOptions:       shareUpdateExclusive,
	pgquery.AlterTableType_AT_ValidateConstraint: shareUpdateExclusive,
	pgquery.AlterTableType_AT_ClusterOn:          shareUpdateExclusive,
	pgquery.AlterTableType_AT_DropCluster:        shareUpdateExclusive,
	pgquery.AlterTableType_AT_AttachPartition:    shareUpdateExclusive,
	pgquery.AlterTableType_AT_EnableTrig:         shareRowExclusive,
	pgquery.AlterTableType_AT_EnableAlwaysTrig:   shareRowExclusive,
	pgquery.AlterTableType_AT_EnableReplicaTrig:  shareRowExclusive,
	pgquery.AlterTableType_AT_EnableTrigAll:      shareRowExclusive,
	pgquery.AlterTableType_AT_EnableTrigUser:     shareRowExclusive,
	pgquery.AlterTableType_AT_DisableTrig:        shareRowExclusive,
	pgquery.AlterTableType_AT_DisableTrigAll:     shareRowExclusive,
	pgquery.AlterTableType_AT_DisableTrigUser:    shareRowExclusive,
}

// optionsWeak are the storage parameters that need no ACCESS EXCLUSIVE:
// https://www.postgresql.org/docs/15/sql-altertable.html, SET ( storage_parameter )
func optionsWeak(command *pgquery.AlterTableCmd) bool {
	for _, option := range command.Def.GetList().GetItems() {
		name := option.GetDefElem().GetDefname()
		weak := name == "fillfactor" || name == "toast_tuple_target" || name == "parallel_workers" || name == "log_autovacuum_min_duration"
		if !weak && !strings.HasPrefix(name, "autovacuum_") && !strings.HasPrefix(name, "vacuum_") {
			return false
		}
	}
	return true
}

func classifyAlterTable(n *pgquery.AlterTableStmt, s *Statement) {
	table := relation(n.Relation)
	s.Kind = "ALTER " + strings.ReplaceAll(strings.TrimPrefix(n.Objtype.String(), "OBJECT_"), "_", " ")
	s.made.only, s.made.idle = !n.Relation.GetInh(), len(n.Cmds) > 0
	s.mayMiss(n.MissingOk, table)
	if n.Objtype == pgquery.ObjectType_OBJECT_INDEX {
		classifyAlterIndex(n, s)
		return
	}
	for _, node := range n.Cmds {
		command := node.GetAlterTableCmd()
		s.made.idle = s.made.idle && command.GetSubtype() == pgquery.AlterTableType_AT_AddColumn && command.GetMissingOk()
		mode, known := weaker[command.GetSubtype()]
		switch {
		case command.GetSubtype() == pgquery.AlterTableType_AT_AddConstraint &&
			command.Def.GetConstraint().GetContype() == pgquery.ConstrType_CONSTR_FOREIGN:
			mode = shareRowExclusive
		case (command.GetSubtype() == pgquery.AlterTableType_AT_SetRelOptions ||
			command.GetSubtype() == pgquery.AlterTableType_AT_ResetRelOptions) && optionsWeak(command):
			mode = shareUpdateExclusive
		case command.GetSubtype() == pgquery.AlterTableType_AT_DetachPartition && command.Def.GetPartitionCmd().GetConcurrent():
			mode = shareUpdateExclusive
		case !known:
			mode = accessExclusive
		}
		s.lock(table, mode)
		classifyCommand(command, table, s)
		s.reachOf(command, n.Relation, mode)
		if key := command.Def.GetConstraint(); key.GetContype() == pgquery.ConstrType_CONSTR_PRIMARY && key.GetIndexname() != "" {
			s.made.usingIndex = qualified(n.Relation.GetSchemaname(), key.Indexname)
		}
	}
}

// classifyAlterIndex: whoever plans a query on a table opens all of its indexes.
func classifyAlterIndex(n *pgquery.AlterTableStmt, s *Statement) {
	for _, node := range n.Cmds {
		command := node.GetAlterTableCmd()
		switch command.GetSubtype() {
		case pgquery.AlterTableType_AT_AttachPartition:
			s.ownIndex(relation(command.Def.GetPartitionCmd().GetName()))
		case pgquery.AlterTableType_AT_SetTableSpace, pgquery.AlterTableType_AT_SetLogged, pgquery.AlterTableType_AT_SetUnLogged,
			pgquery.AlterTableType_AT_ChangeOwner:
			s.ownIndex(relation(n.Relation))
		case pgquery.AlterTableType_AT_SetRelOptions, pgquery.AlterTableType_AT_ResetRelOptions:
			if !optionsWeak(command) {
				s.ownIndex(relation(n.Relation))
			}
		}
	}
}

// ownIndex notes ACCESS EXCLUSIVE on an index, while its table is open to others.
func (s *Statement) ownIndex(index string) {
	s.Locks = append(s.Locks, Lock{Table: index, Mode: accessExclusive, Index: true, own: true})
	s.find("index-lock", index)
}

// classifyCommand knows the sub-commands that hurt.
func classifyCommand(command *pgquery.AlterTableCmd, table string, s *Statement) {
	switch command.GetSubtype() {
	case pgquery.AlterTableType_AT_AddColumn, pgquery.AlterTableType_AT_AlterColumnType:
		if s.Kind == "ALTER TYPE" {
			s.noteColumn(command.Def.GetColumnDef())
			s.find("attribute", table)
			return
		}
	}
	switch command.GetSubtype() {
	case pgquery.AlterTableType_AT_AddColumn:
		classifyColumn(command.Def.GetColumnDef(), table, s)
		s.made.added[len(s.made.added)-1].ifMissing = command.MissingOk
	case pgquery.AlterTableType_AT_AlterColumnType:
		column := command.Def.GetColumnDef()
		s.noteColumn(column)
		s.Rewrites = true
		s.find("alter-type", table)
		using := column.GetRawDefault()
		s.made.types = append(s.made.types, typeChange{
			table: table, column: command.Name, to: typeOf(column.GetTypeName()), typeName: typeNameOf(column.GetTypeName()),
			using: using != nil && !castsItself(using, command.Name, column.GetTypeName()), collates: column.GetCollClause() != nil,
		})
	case pgquery.AlterTableType_AT_SetExpression:
		s.Rewrites = true
		s.find("generated-column", table)
	case pgquery.AlterTableType_AT_SetNotNull:
		s.Scans = true
		s.made.notNull = append(s.made.notNull, command.Name)
		s.find("set-not-null", table)
	case pgquery.AlterTableType_AT_ColumnDefault:
		if isNull(command.Def) {
			s.find("drop-default", table)
			s.made.dropsDefault = append(s.made.dropsDefault, command.Name)
		} else {
			s.made.setsDefault = append(s.made.setsDefault, command.Name)
		}
	case pgquery.AlterTableType_AT_DropIdentity, pgquery.AlterTableType_AT_DropExpression:
		s.find("identity", table)
	case pgquery.AlterTableType_AT_AddIdentity:
		if command.Def.GetConstraint().GetGeneratedWhen() == "a" {
			s.find("identity", table)
		}
	case pgquery.AlterTableType_AT_SetIdentity:
		for _, option := range command.Def.GetList().GetItems() {
			if name := option.GetDefElem().GetDefname(); name == "restart" || name == "maxvalue" {
				s.find("sequence", table)
			}
			if element := option.GetDefElem(); element.GetDefname() == "generated" && element.GetArg().GetInteger().GetIval() == 'a' {
				s.find("identity", table)
			}
		}
	case pgquery.AlterTableType_AT_DropNotNull:
		s.made.dropsNotNull = append(s.made.dropsNotNull, command.Name)
	case pgquery.AlterTableType_AT_DropColumn:
		s.find("drop-column", table)
		s.made.lost = append(s.made.lost, lost{table: table, column: command.Name, ifThere: command.MissingOk})
	case pgquery.AlterTableType_AT_DropConstraint:
		s.find("drop-constraint", table)
		s.made.lost = append(s.made.lost, lost{table: table, constraint: command.Name, ifThere: command.MissingOk})
	case pgquery.AlterTableType_AT_AddConstraint:
		classifyConstraint(command.Def.GetConstraint(), table, s)
	case pgquery.AlterTableType_AT_ValidateConstraint:
		s.Scans = true
		s.made.validated = append(s.made.validated, command.Name)
	case pgquery.AlterTableType_AT_AttachPartition:
		partition := relation(command.Def.GetPartitionCmd().GetName())
		s.lock(partition, accessExclusive)
		s.Scans, s.made.parent = true, table
		s.made.bonds = append(s.made.bonds, bond{from: partition, to: table, ofPartitions: true})
		s.find("attach", partition)
	case pgquery.AlterTableType_AT_DetachPartition:
		s.made.detached = relation(command.Def.GetPartitionCmd().GetName())
		s.lock(s.made.detached, accessExclusive)
		if command.Def.GetPartitionCmd().GetConcurrent() {
			s.Kind, s.Alone = "ALTER TABLE ... DETACH PARTITION CONCURRENTLY", true
			return
		}
		s.find("detach", table)
	case pgquery.AlterTableType_AT_DetachPartitionFinalize:
		s.Alone = false
	case pgquery.AlterTableType_AT_SetLogged, pgquery.AlterTableType_AT_SetUnLogged, pgquery.AlterTableType_AT_SetTableSpace,
		pgquery.AlterTableType_AT_SetAccessMethod:
		s.made.keeps = append(s.made.keeps, keptBy(command, table))
		s.Rewrites = true
		s.find("rewrite", table)
	case pgquery.AlterTableType_AT_EnableRowSecurity, pgquery.AlterTableType_AT_ForceRowSecurity:
		s.find("row-security", table)
	case pgquery.AlterTableType_AT_DisableTrig, pgquery.AlterTableType_AT_DisableTrigAll, pgquery.AlterTableType_AT_DisableTrigUser,
		pgquery.AlterTableType_AT_EnableReplicaTrig:
		s.find("triggers-off", table)
	case pgquery.AlterTableType_AT_DisableRule, pgquery.AlterTableType_AT_EnableReplicaRule:
		s.find("access", table)
	case pgquery.AlterTableType_AT_DropInherit:
		s.find("detach", table)
	case pgquery.AlterTableType_AT_ChangeOwner: // who owned it loses every right that was not granted
		s.find("access", table)
		s.find("revoke", table)
		s.made.owners = append(s.made.owners, kept{table: table, what: "owner", value: command.Newowner.GetRolename()})
	case pgquery.AlterTableType_AT_ReplicaIdentity,
		pgquery.AlterTableType_AT_DisableRowSecurity, pgquery.AlterTableType_AT_NoForceRowSecurity:
		s.find("access", table)
	}
}

func classifyColumn(column *pgquery.ColumnDef, table string, s *Statement) {
	var notNull, hasDefault bool
	s.noteColumn(column)
	if names := column.GetTypeName().GetNames(); len(names) > 0 && names[0].GetString_().GetSval() != "pg_catalog" &&
		len(column.GetTypeName().GetArrayBounds()) == 0 {
		s.made.newTypes = append(s.made.newTypes, nameOf(names))
	}
	for _, node := range column.GetConstraints() {
		constraint := node.GetConstraint()
		switch constraint.GetContype() {
		case pgquery.ConstrType_CONSTR_NOTNULL:
			notNull = true
		case pgquery.ConstrType_CONSTR_DEFAULT:
			hasDefault = !isNull(constraint.RawExpr)
			s.made.functions = append(s.made.functions, functions(constraint.RawExpr)...)
			for _, function := range s.made.functions {
				if volatile[function] {
					s.Rewrites = true
					s.find("volatile-default", table)
				}
			}
		case pgquery.ConstrType_CONSTR_IDENTITY, pgquery.ConstrType_CONSTR_GENERATED:
			notNull = notNull || constraint.GetContype() == pgquery.ConstrType_CONSTR_IDENTITY
			hasDefault, s.Rewrites = true, true
			s.find("generated-column", table)
		case pgquery.ConstrType_CONSTR_UNIQUE, pgquery.ConstrType_CONSTR_PRIMARY:
			notNull = notNull || constraint.GetContype() == pgquery.ConstrType_CONSTR_PRIMARY
			s.Scans = true
			s.find("unique", table)
		case pgquery.ConstrType_CONSTR_CHECK:
			s.Scans = true
			s.find("check", table)
		case pgquery.ConstrType_CONSTR_FOREIGN:
			s.lock(relation(constraint.Pktable), shareRowExclusive)
			s.find("references", relation(constraint.Pktable))
			s.binds(table, constraint, column.Colname)
		}
	}
	if strings.Contains(lastName(column.GetTypeName().GetNames()), "serial") {
		notNull, hasDefault, s.Rewrites = true, true, true
		s.find("serial", table)
	}
	if hasDefault && slices.ContainsFunc(s.Findings, func(f Finding) bool { return f.Name == "references" }) { // each row is looked up
		s.Scans = true
		s.find("foreign-key", table)
	}
	s.made.added = append(s.made.added, newColumn(table, column, notNull, hasDefault))
	if notNull && !hasDefault {
		s.Scans = true
		s.find("not-null-without-default", table)
	}
}

func classifyConstraint(constraint *pgquery.Constraint, table string, s *Statement) {
	switch constraint.GetContype() {
	case pgquery.ConstrType_CONSTR_FOREIGN:
		other := relation(constraint.Pktable)
		s.lock(other, shareRowExclusive)
		s.binds(table, constraint, "")
		if constraint.SkipValidation {
			s.made.unproven = true
			s.find("references", other)
			return
		}
		s.Scans = true
		s.find("foreign-key", table)
	case pgquery.ConstrType_CONSTR_CHECK:
		s.made.checks = append(s.made.checks, checkOf(constraint, table))
		if !constraint.SkipValidation {
			s.Scans = true
			s.find("check", table)
		}
	case pgquery.ConstrType_CONSTR_UNIQUE, pgquery.ConstrType_CONSTR_PRIMARY:
		s.made.promotes = s.made.promotes || constraint.Indexname != ""
		if constraint.Indexname == "" {
			s.Scans = true
			s.find("unique", table)
		}
	case pgquery.ConstrType_CONSTR_EXCLUSION:
		s.Scans = true
		s.find("exclude", table)
	}
}

// volatile are the functions of pg_catalog, and of the extensions that people
// use for keys, that give another value each time:
// SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v'.
var volatile = map[string]bool{
	"random_normal": true, "uuidv4": true, "uuidv7": true, "uuid_generate_v6": true, "uuid_generate_v7": true, "pg_current_wal_lsn": true,
	"txid_current":       true,
	"pg_current_xact_id": true, "gen_uuid_v7": true, "nanoid": true, "ulid_generate": true, "gen_ulid": true,
	"random": true, "clock_timestamp": true, "timeofday": true, "gen_random_uuid": true, "nextval": true, "setval": true, "currval": true,
	"lastval":          true,
	"uuid_generate_v1": true, "uuid_generate_v1mc": true, "uuid_generate_v4": true, "gen_random_bytes": true, "gen_salt": true,
}

// isNull says whether a default is none: there is no expression, or it is NULL or NULL::int.
func isNull(expression *pgquery.Node) bool {
	for expression.GetTypeCast() != nil {
		expression = expression.GetTypeCast().Arg
	}
	return expression == nil || expression.GetAConst().GetIsnull()
}

// functions are the names of all functions and operators of an expression.
func functions(expression *pgquery.Node) []string {
	var names []string
	each(expression, func(message proto.Message) {
		switch part := message.(type) {
		case *pgquery.FuncCall:
			names = append(names, lastName(part.Funcname))
		case *pgquery.A_Expr:
			names = append(names, lastName(part.Name))
		}
	})
	return names
}

// each visits every node of a tree.
func each(node *pgquery.Node, visit func(proto.Message)) {
	if node == nil {
		return
	}
	_ = protorange.Range(node.ProtoReflect(), func(values protopath.Values) error {
		if message, ok := values.Index(-1).Value.Interface().(interface{ Interface() proto.Message }); ok {
			visit(message.Interface())
		}
		return nil
	})
}

func (s *Statement) reachOfConstraint(constraint *pgquery.Constraint, on *pgquery.RangeVar, mode string) {
	table := relation(on)
	if on.GetInh() {
		s.walk("heirs since 18", table, mode)
	}
	switch constraint.GetContype() {
	case pgquery.ConstrType_CONSTR_PRIMARY: // of partitions NOT NULL is checked, for ONLY as well
		s.walk("heirs", table, mode)
	case pgquery.ConstrType_CONSTR_CHECK, pgquery.ConstrType_CONSTR_NOTNULL:
		if on.GetInh() && !constraint.IsNoInherit {
			s.walk("heirs", table, mode)
		}
	case pgquery.ConstrType_CONSTR_UNIQUE, pgquery.ConstrType_CONSTR_EXCLUSION:
		if on.GetInh() {
			s.walk("partitions", table, map[bool]string{true: shareRowExclusive, false: share}[constraint.Deferrable])
		}
	case pgquery.ConstrType_CONSTR_FOREIGN:
		s.walk("partitions", table, mode)
		s.walk("partitions", relation(constraint.Pktable), shareRowExclusive)
		s.walkOf("again", table, relation(constraint.Pktable), accessExclusive)
	}
}
