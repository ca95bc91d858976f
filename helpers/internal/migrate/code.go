package migrate

import (
	_ "embed"
	"slices"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// preparation is what PREPARE keeps for EXECUTE.
type preparation struct {
	name      string // of PREPARE
	statement *Statement
	run       string // the name that EXECUTE gives
	forgotten string // the name that DEALLOCATE gives
	all       bool   // DEALLOCATE ALL
}

// function is one that a statement creates.
type function struct {
	name   string
	fickle bool // VOLATILE: it may change the database
	isNew  bool
	signature
}

// classifyCode looks into what runs other statements, and notes the functions that are called.
func classifyCode(node *pgquery.Node, body string, s *Statement) {
	switch n := node.Node.(type) {
	case *pgquery.Node_SelectStmt, *pgquery.Node_InsertStmt, *pgquery.Node_UpdateStmt, *pgquery.Node_DeleteStmt, *pgquery.Node_MergeStmt:
		s.calls(node)
	case *pgquery.Node_CreateTableAsStmt:
		s.inner(n.CreateTableAsStmt.Query, body)
	case *pgquery.Node_DeclareCursorStmt:
		s.inner(n.DeclareCursorStmt.Query, body)
	case *pgquery.Node_CopyStmt:
		if n.CopyStmt.Query != nil {
			s.inner(n.CopyStmt.Query, body)
		}
	case *pgquery.Node_ExplainStmt:
		for _, option := range n.ExplainStmt.Options {
			if option.GetDefElem().GetDefname() == "analyze" && on(option.GetDefElem()) {
				s.Kind = "EXPLAIN ANALYZE"
				s.inner(n.ExplainStmt.Query, body)
			}
		}
	case *pgquery.Node_PrepareStmt:
		prepared := &Statement{text: s.text, Line: s.Line}
		classify(n.PrepareStmt.Query, body, prepared)
		s.made.prepares = preparation{name: n.PrepareStmt.Name, statement: prepared}
	case *pgquery.Node_ExecuteStmt:
		s.made.prepares.run = n.ExecuteStmt.Name
		s.calls(node)
	case *pgquery.Node_DeallocateStmt:
		s.made.prepares.forgotten, s.made.prepares.all = n.DeallocateStmt.Name, n.DeallocateStmt.Isall
	case *pgquery.Node_CreateFunctionStmt:
		classifyFunction(n.CreateFunctionStmt, s)
	case *pgquery.Node_CreateSchemaStmt:
		classifySchema(n.CreateSchemaStmt, body, s)
	case *pgquery.Node_AlterTableStmt:
		for _, command := range n.AlterTableStmt.Cmds {
			switch command.GetAlterTableCmd().GetSubtype() {
			case pgquery.AlterTableType_AT_AddColumn:
				s.calls(command)
			case pgquery.AlterTableType_AT_AlterColumnType: // USING
				s.calls(command.GetAlterTableCmd().GetDef().GetColumnDef().GetRawDefault())
			}
		}
	}
}

// inner classifies a statement that another one runs.
func (s *Statement) inner(node *pgquery.Node, body string) {
	kind, table := s.Kind, s.made.table
	if node != nil {
		classify(node, body, s)
	}
	s.Kind = kind
	if table != "" {
		s.made.table = table
	}
}

// calls notes the functions that run with a statement.
func (s *Statement) calls(node *pgquery.Node) {
	each(node, func(message proto.Message) {
		call, ok := message.(*pgquery.FuncCall)
		if !ok {
			return
		}
		classifyConfig(call, s)
		s.movesSequence(call)
		name := nameOf(call.Funcname)
		if !slices.Contains(s.made.calls, name) {
			s.made.calls = append(s.made.calls, name)
		}
		switch last := lastName(call.Funcname); {
		case serverCalls[last] || strings.HasPrefix(last, "pg_ls_") || strings.HasPrefix(last, "pg_stat_reset"):
			s.find("server", "")
		case runsText[last] || strings.HasPrefix(last, "dblink"):
			s.find("unseen", "")
		}
	})
}

// serverCalls are functions that read or write the server's files, or stop, steer
// or configure it: https://www.postgresql.org/docs/17/functions-admin.html
var serverCalls = set(`pg_read_file pg_read_binary_file pg_stat_file pg_file_write pg_file_sync pg_file_rename pg_file_unlink pg_logdir_ls
	lo_import lo_export lo_unlink pg_terminate_backend pg_cancel_backend pg_reload_conf pg_rotate_logfile pg_switch_wal pg_promote
	pg_create_restore_point pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup pg_wal_replay_pause pg_wal_replay_resume
	pg_create_physical_replication_slot pg_create_logical_replication_slot pg_drop_replication_slot pg_copy_physical_replication_slot
	pg_copy_logical_replication_slot pg_replication_slot_advance pg_logical_slot_get_changes pg_replication_origin_create
	pg_replication_origin_drop pg_replication_origin_advance pg_import_system_collations pg_log_backend_memory_contexts`)

// runsText are functions that run what a text says.
var runsText = set(`query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml ts_stat ts_rewrite crosstab connectby
	xpath_table`)

func set(words string) map[string]bool {
	found := map[string]bool{}
	for _, word := range strings.Fields(words) {
		found[word] = true
	}
	return found
}

// builtin are the functions of pg_catalog that a statement may call by name, in any
// version from 14 to 18, and those of the extensions that people use for keys,
// words and passwords. Without a database any other one is unseen.
//
//go:embed builtin.txt
var builtinText string

var builtin = set(builtinText)

func classifyFunction(n *pgquery.CreateFunctionStmt, s *Statement) {
	made := function{nameOf(n.Funcname), true, !n.Replace, signatureOf(n.Parameters)}
	if !n.Replace {
		s.made.makes = append(s.made.makes, object{kind: "function", name: made.name, types: typesOf(n.Parameters)})
	}
	text, isSQL := "", false
	for _, option := range n.Options {
		element := option.GetDefElem()
		word := element.GetArg().GetString_().GetSval()
		switch element.GetDefname() {
		case "volatility":
			made.fickle = word == "volatile"
		case "security":
			if element.GetArg().GetBoolean().GetBoolval() {
				s.find("privilege", "")
			}
		case "as":
			text = lastName(element.GetArg().GetList().GetItems())
		case "language":
			language := strings.ToLower(word)
			isSQL = language == "sql"
			untrusted := strings.HasPrefix(language, "pl") && strings.HasSuffix(language, "u")
			if untrusted || language == "c" || language == "internal" {
				s.find("program", "")
			}
		}
	}
	if tree, err := pgquery.Parse(text); err == nil && isSQL { // the server reads the body, and locks what it names
		for _, raw := range tree.Stmts {
			s.locksOfQueries(raw.Stmt)
		}
	}
	s.made.functionsMade = append(s.made.functionsMade, made)
}

// classifySchema looks at what CREATE SCHEMA creates and grants with it.
func classifySchema(n *pgquery.CreateSchemaStmt, body string, s *Statement) {
	s.made.setting.schema = identifier(n.Schemaname)
	if !n.IfNotExists {
		s.made.makes = append(s.made.makes, object{kind: "schema", name: s.made.setting.schema})
	}
	if n.Authrole != nil {
		s.find("privilege", "")
	}
	for _, element := range n.SchemaElts {
		part := Statement{text: s.text, Line: s.Line}
		classify(element, body, &part)
		if schema, name := splitName(part.made.table); part.made.table != "" && schema == "" {
			part.rename(name, s.made.setting.schema+"."+name)
		}
		s.made.also = append(s.made.also, part.made.table)
		for _, lock := range part.Locks {
			s.lock(lock.Table, lock.Mode)
		}
		s.Findings = append(s.Findings, part.Findings...)
	}
}

// prepared says at each EXECUTE what was prepared.
func (m *Migration) prepared() {
	known := map[string]*Statement{}
	for i := range m.Statements {
		s := &m.Statements[i]
		p := s.made.prepares
		switch {
		case p.name != "":
			known[p.name] = p.statement
		case p.all:
			clear(known)
		case p.forgotten != "":
			delete(known, p.forgotten)
		case p.run != "" && known[p.run] == nil:
			s.find("unseen", "")
		case p.run != "":
			s.runs(known[p.run])
		}
	}
}

// runs adds to a statement what another one does.
func (s *Statement) runs(other *Statement) {
	for _, lock := range other.Locks {
		s.lock(lock.Table, lock.Mode)
	}
	s.Findings = append(s.Findings, other.Findings...)
	s.Scans = s.Scans || other.Scans
	s.made.calls = append(s.made.calls, other.made.calls...)
	if s.made.writes == "" {
		s.made.writes = other.made.writes
	}
}

// unseen reports the functions that a statement calls, and that may do anything.
func (r *reviewer) unseen(s *Statement) {
	for _, made := range s.made.functionsMade {
		_, last := splitName(made.name)
		r.fickle[last] = r.fickle[last] || made.fickle
		r.newFunctions[made.name] = made.isNew
	}
	older := func(name string) bool { return !r.newFunctions[name] }
	if s.made.revokesOn != nil && !slices.ContainsFunc(s.made.revokesOn, older) {
		s.drop(func(finding Finding) bool { return finding.Name != "revoke" })
	}
	for _, name := range s.made.calls {
		schema, last := splitName(name)
		last = unquoted(last)
		hidden, known := r.hidden[name]
		switch {
		case schema == "pg_catalog":
		case r.fickle[last], known && hidden:
			s.find("unseen", "")
		case known || r.fickleKnown(last):
		case r.hidden == nil && schema == "" && builtin[last]:
		case r.hidden == nil && builtin[last] && (schema == "public" || schema == "extensions"):
		default:
			s.find("unseen", "")
		}
	}
}

func (r *reviewer) fickleKnown(name string) bool {
	_, known := r.fickle[name]
	return known
}
