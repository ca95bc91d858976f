package migrate

import (
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
)

// classifyPrivileged finds what needs an administrator's eye: roles and rights, the
// server's settings and files, programs.
func classifyPrivileged(node *pgquery.Node, s *Statement) {
	switch n := node.Node.(type) {
	case *pgquery.Node_CreateRoleStmt, *pgquery.Node_ReassignOwnedStmt, *pgquery.Node_SecLabelStmt, *pgquery.Node_CreateUserMappingStmt,
		*pgquery.Node_AlterUserMappingStmt, *pgquery.Node_DropUserMappingStmt:
		s.find("privilege", "")
	case *pgquery.Node_AlterOwnerStmt:
		s.find("privilege", "")
	case *pgquery.Node_RenameStmt:
		if n.RenameStmt.RenameType == pgquery.ObjectType_OBJECT_ROLE {
			s.find("privilege", "")
		}
	case *pgquery.Node_AlterSeqStmt:
		for _, option := range n.AlterSeqStmt.Options {
			if name := option.GetDefElem().GetDefname(); name == "restart" || name == "maxvalue" || name == "as" {
				s.find("sequence", relation(n.AlterSeqStmt.Sequence))
			}
		}
	case *pgquery.Node_DropRoleStmt:
		s.find("privilege", "")
		s.find("revoke", "")
	case *pgquery.Node_DropOwnedStmt:
		s.find("privilege", "")
		s.find("revoke", "")
	case *pgquery.Node_AlterRoleStmt:
		s.find("privilege", "")
		for _, option := range n.AlterRoleStmt.Options {
			if locksOut(option.GetDefElem()) {
				s.find("revoke", "")
			}
		}
	case *pgquery.Node_AlterRoleSetStmt, *pgquery.Node_AlterDatabaseSetStmt:
		s.find("server", "")
		s.level("server", Warning)
	case *pgquery.Node_GrantRoleStmt:
		s.find("privilege", "")
		if !n.GrantRoleStmt.IsGrant {
			s.find("revoke", "")
		}
	case *pgquery.Node_GrantStmt:
		classifyGrant(n.GrantStmt, s)
	case *pgquery.Node_AlterDefaultPrivilegesStmt:
		s.find("privilege", "")
		if n.AlterDefaultPrivilegesStmt.Action.GetIsGrant() && !toPublic(n.AlterDefaultPrivilegesStmt.Action) {
			s.level("privilege", Note)
		}
	case *pgquery.Node_CopyStmt:
		switch {
		case n.CopyStmt.IsProgram:
			s.find("program", "")
		case n.CopyStmt.Filename != "":
			s.find("server", "")
		}
	case *pgquery.Node_LoadStmt:
		s.find("program", "")
	case *pgquery.Node_CreatePlangStmt:
		s.find("program", "")
	case *pgquery.Node_CreateExtensionStmt, *pgquery.Node_AlterExtensionStmt:
		s.find("server", "")
		s.level("server", Warning)
	case *pgquery.Node_AlterExtensionContentsStmt:
		s.find("server", "")
		s.level("server", Warning)
		if relations[pgquery.ObjectType(n.AlterExtensionContentsStmt.Objtype)] {
			s.lock(nameOf(n.AlterExtensionContentsStmt.Object.GetList().GetItems()), shareUpdateExclusive)
		}
	case *pgquery.Node_AlterSystemStmt, *pgquery.Node_CreateTableSpaceStmt, *pgquery.Node_DropTableSpaceStmt,
		*pgquery.Node_AlterTableSpaceOptionsStmt, *pgquery.Node_CheckPointStmt,
		*pgquery.Node_CreateSubscriptionStmt, *pgquery.Node_AlterSubscriptionStmt, *pgquery.Node_DropSubscriptionStmt,
		*pgquery.Node_CreateForeignTableStmt, *pgquery.Node_CreateForeignServerStmt, *pgquery.Node_AlterForeignServerStmt,
		*pgquery.Node_CreateFdwStmt, *pgquery.Node_AlterFdwStmt,
		*pgquery.Node_ImportForeignSchemaStmt, *pgquery.Node_CreateEventTrigStmt, *pgquery.Node_AlterEventTrigStmt,
		*pgquery.Node_CreatedbStmt, *pgquery.Node_DropdbStmt, *pgquery.Node_AlterDatabaseStmt, *pgquery.Node_CreateAmStmt:
		s.find("server", "")
	case *pgquery.Node_AlterFunctionStmt:
		for _, option := range n.AlterFunctionStmt.Actions {
			if element := option.GetDefElem(); element.GetDefname() == "security" && element.GetArg().GetBoolean().GetBoolval() {
				s.find("privilege", "")
			}
		}
	case *pgquery.Node_VariableSetStmt:
		if n.VariableSetStmt.Kind == pgquery.VariableSetKind_VAR_SET_VALUE && len(n.VariableSetStmt.Args) == 1 {
			s.privilegedSetting(n.VariableSetStmt.Name, n.VariableSetStmt.Args[0].GetAConst().GetSval().GetSval())
		}
	}
	if strings.HasPrefix(s.made.writes, "pg_catalog.") || strings.HasPrefix(s.made.writes, "pg_") && !strings.Contains(s.made.writes, ".") {
		s.find("server", s.made.writes) // what DDL keeps consistent is written by hand
	}
}

// privilegedSetting: SET and set_config can turn triggers off, and change the role.
func (s *Statement) privilegedSetting(name, value string) {
	switch strings.ToLower(name) {
	case "session_replication_role":
		if !strings.EqualFold(value, "origin") {
			s.find("triggers-off", "")
		}
	case "role", "session_authorization":
		s.find("privilege", "")
	}
}

// relations are the kinds of objects that pg_class has.
var relations = map[pgquery.ObjectType]bool{
	pgquery.ObjectType_OBJECT_TABLE: true, pgquery.ObjectType_OBJECT_FOREIGN_TABLE: true, pgquery.ObjectType_OBJECT_VIEW: true,
	pgquery.ObjectType_OBJECT_MATVIEW: true, pgquery.ObjectType_OBJECT_SEQUENCE: true,
}

// locksOut says whether an option of ALTER ROLE can end the role's login.
func locksOut(option *pgquery.DefElem) bool {
	switch option.GetDefname() {
	case "canlogin", "inherit", "superuser", "bypassrls":
		return !option.GetArg().GetBoolean().GetBoolval()
	case "password", "connectionlimit", "validUntil":
		return true
	}
	return false
}

// classifyGrant: a right on one object for a named role is noted; one for everybody,
// or one that can be handed on, is for an administrator; one that is lost may be needed.
func classifyGrant(n *pgquery.GrantStmt, s *Statement) {
	var tables []string
	for _, object := range n.Objects {
		if table := object.GetRangeVar(); table != nil && n.Objtype == pgquery.ObjectType_OBJECT_TABLE {
			tables = append(tables, relation(table))
		}
		if called := object.GetObjectWithArgs(); called != nil && !n.IsGrant {
			s.made.revokesOn = append(s.made.revokesOn, nameOf(called.Objname))
		}
	}
	if len(tables) == 0 {
		tables = []string{""}
	}
	s.find("privilege", "")
	if n.IsGrant && !n.GrantOption && !toPublic(n) || !n.IsGrant {
		s.level("privilege", Note)
	}
	if n.IsGrant {
		return
	}
	for _, table := range tables {
		if takesUse(n) {
			s.find("revoke", table)
		}
	}
}

func toPublic(n *pgquery.GrantStmt) bool {
	for _, role := range n.Grantees {
		if role.GetRoleSpec().GetRoletype() == pgquery.RoleSpecType_ROLESPEC_PUBLIC {
			return true
		}
	}
	return false
}

// takesUse says whether a REVOKE takes more than the right to create things, which
// a service that runs does not need.
func takesUse(n *pgquery.GrantStmt) bool {
	if n.GrantOption {
		return false
	}
	for _, right := range n.Privileges {
		switch strings.ToLower(right.GetAccessPriv().GetPrivName()) {
		case "create", "references", "trigger", "maintain":
		case "temporary", "temp":
			if n.Objtype != pgquery.ObjectType_OBJECT_DATABASE {
				return true
			}
		default:
			return true
		}
	}
	return len(n.Privileges) == 0
}

// level gives a finding another level than its rule's.
func (s *Statement) level(rule, level string) {
	for i := range s.Findings {
		if s.Findings[i].Name == rule {
			s.Findings[i].Level = level
		}
	}
}

// breaks sets whether a finding is breaking.
func (s *Statement) breaks(rule string, yes bool) {
	for i := range s.Findings {
		if s.Findings[i].Name == rule {
			s.Findings[i].Breaking = yes
		}
	}
}
