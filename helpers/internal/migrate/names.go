package migrate

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/lib/pq"
	pgquery "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// temporary is the schema of what belongs to the session alone.
const temporary = "pg_temp"

// scope follows, statement by statement, which object a name means: it depends on
// the search path of that moment, and a temporary table hides a real one. The
// zero value knows nothing of a database: then only the plan's own objects are sure.
type scope struct {
	home    []string        // the session's search path
	user    string          // what "$user" in it means
	schemas map[string]bool // those that exist; nil without a database
	exists  map[string]bool // relations, as schema.name; nil without a database
	objects map[string]bool // functions and types, as kind and last name; nil without a database

	path    []string // the search path now; nil where it is unknown
	as      string   // the role now
	created map[string]bool
	saved   []savepoint

	follows   follower
	partsGone bool // the plan drops parts of tables, or with CASCADE: an index that there was may be gone
}

// savepoint is what ROLLBACK TO goes back to.
type savepoint struct {
	name string
	at   scope
}

// made by SET search_path, SET ROLE and the like.
type setting struct {
	path          []string
	reset         bool // to the session's own path
	unknown       bool // to what an expression says
	local         bool
	role          string
	resetRole     bool
	save, back    string // SAVEPOINT, ROLLBACK TO
	discard       bool   // DISCARD TEMP
	zone          string // SET timezone
	schema        string // CREATE SCHEMA
	droppedSchema []string
}

func newScope(home []string, user string, schemas, exists map[string]bool) *scope {
	return &scope{home: home, user: user, schemas: schemas, exists: exists, created: map[string]bool{}, follows: newFollower()}
}

// resolve marks in every statement what the plan itself has created by then, and
// writes the schema of a name wherever it is not the session's own search path
// that finds it.
func resolve(migrations []Migration, in *scope) {
	for i := range migrations {
		in.path, in.as, in.saved = in.home, in.user, nil
		for k := range migrations[i].Statements {
			in.statement(&migrations[i].Statements[k], migrations[i].Alone)
		}
		in.discard()
	}
}

func (in *scope) discard() {
	maps.DeleteFunc(in.created, func(name string, _ bool) bool { return strings.HasPrefix(name, temporary+".") })
}

func (in *scope) statement(s *Statement, alone bool) {
	in.set(s.made.setting, alone)
	s.made.ours = map[string]bool{}
	if s.made.table != "" {
		s.rename(s.made.table, in.create(s, alone))
	}
	for _, name := range s.made.also {
		if name != "" {
			in.created[name] = true
		}
	}
	for _, name := range s.names() {
		full := in.find(name)
		mayMiss := s.made.missingOK && slices.Contains(s.made.gone, name) || s.made.mayMiss == name
		absent := in.exists != nil && in.path != nil && mayMiss && !in.exists[full] && !in.isGiven(full)
		if in.path != nil && (in.created[full] || !slices.Equal(in.path, in.home)) {
			s.rename(name, in.shown(full))
		}
		if in.created[full] || absent { // IF EXISTS, and it does not
			s.made.ours[in.shown(full)] = true
		}
	}
	if table := s.table(); s.made.index != "" && !s.made.dropped {
		schema, _ := splitName(in.find(table))
		_, index := splitName(s.made.index)
		s.made.there = s.made.indexIfMissing && in.exists[schema+"."+index] && !in.partsGone
		if s.made.ours[table] {
			in.created[schema+"."+index] = true
		}
	}
	in.partsGone = in.partsGone || len(s.made.lost) > 0 || slices.ContainsFunc(s.made.reach, func(r reach) bool { return r.cascade })
	s.made.lostPath = in.path == nil
	in.behind(s)
	in.bind(s)
	in.unmade(s)
	in.moved(s)
	in.emptied(s.made.setting.droppedSchema)
}

// shown is a full name as people write it: without the schema that is looked into
// first, unless the file looks elsewhere.
func (in *scope) shown(full string) string {
	if slices.Equal(in.path, in.home) {
		return strings.TrimPrefix(full, in.first(in.home)+".")
	}
	return full
}

// first is the schema of a path in which something new is made.
func (in *scope) first(path []string) string {
	for _, schema := range path {
		if schema == `"$user"` {
			schema = identifier(in.as)
			if in.schemas == nil {
				continue
			}
		}
		if in.schemas == nil || in.schemas[schema] || schema == temporary {
			return schema
		}
	}
	return "public"
}

// create notes the new relation of a statement, and gives its name as it is shown.
func (in *scope) create(s *Statement, alone bool) string {
	schema, name := splitName(s.made.table)
	hidden := s.made.temp || slices.ContainsFunc(s.made.reads, func(read string) bool {
		return strings.HasPrefix(in.find(read), temporary+".") && s.Kind == "CREATE VIEW"
	})
	switch {
	case hidden:
		schema = temporary
	case schema == "" && in.path == nil:
		return s.made.table // nobody knows where it goes
	case schema == "":
		schema = in.first(in.path)
	}
	full := schema + "." + name
	s.made.there = s.made.ifMissing && s.Kind != "CREATE VIEW" && (in.exists[full] || in.created[full])
	unsure := !in.created[full] && (s.made.ifMissing && in.exists == nil && schema != temporary || in.exists[full])
	if gone := alone && s.made.dropsItself; !unsure && !gone {
		in.created[full] = true
	}
	return in.shown(full)
}

// find gives the full name of what a name means now; without a database, of what
// it would mean if the first schema had it.
func (in *scope) find(name string) string {
	schema, last := splitName(name)
	if schema != "" {
		return name
	}
	path := in.path
	if !slices.Contains(path, temporary) {
		path = append([]string{temporary}, path...)
	}
	for _, schema := range path {
		if schema == `"$user"` {
			schema = identifier(in.as)
		}
		full := schema + "." + last
		if in.created[full] || in.exists[full] {
			return full
		}
		if in.exists == nil && schema != temporary && schema != identifier(in.as) {
			return full
		}
	}
	if in.path == nil {
		return "?." + last
	}
	return in.first(in.path) + "." + last
}

// set follows the settings by which a later name means something else.
func (in *scope) set(change setting, alone bool) {
	if change.local && alone {
		return // outside a transaction it ends with its statement
	}
	switch {
	case change.path != nil:
		in.path = change.path
	case change.reset:
		in.path = in.home
	case change.unknown:
		in.path = nil
	case change.role != "":
		in.as = change.role
	case change.resetRole:
		in.as = in.user
	case change.discard:
		in.discard()
	case change.save != "":
		in.saved = append(in.saved, savepoint{change.save, in.clone()})
	case change.back != "":
		for i := len(in.saved) - 1; i >= 0; i-- {
			if in.saved[i].name == change.back {
				saved := append(in.saved[:i:i], in.saved[i])
				*in = in.saved[i].at.clone()
				in.saved = saved
				break
			}
		}
	}
	if change.schema != "" && in.schemas != nil {
		in.schemas[change.schema] = true
	}
}

// emptied forgets the schemas that a statement drops, and what is in them.
func (in *scope) emptied(schemas []string) {
	for _, schema := range schemas {
		delete(in.schemas, schema)
		for _, known := range []map[string]bool{in.created, in.exists} {
			maps.DeleteFunc(known, func(name string, _ bool) bool { return strings.HasPrefix(name, schema+".") })
		}
	}
}

func (in *scope) clone() scope {
	copied := *in
	copied.created, copied.exists, copied.schemas = maps.Clone(in.created), maps.Clone(in.exists), maps.Clone(in.schemas)
	copied.follows = in.follows.clone()
	return copied
}

// moved follows what is dropped or gets another name or schema.
func (in *scope) moved(s *Statement) {
	for _, gone := range s.made.gone {
		full := in.find(gone)
		delete(in.created, full)
		delete(in.exists, full)
		_, last := splitName(full)
		delete(in.follows.given, last)
	}
	if s.made.from == "" {
		return
	}
	from := in.find(s.made.from)
	schema, name := splitName(from)
	if s.made.toSchema != "" {
		schema = s.made.toSchema
	} else {
		name = s.made.toName
	}
	in.renames(from, schema+"."+name)
	for _, known := range []map[string]bool{in.created, in.exists} {
		if known[from] {
			delete(known, from)
			known[schema+"."+name] = true
		}
	}
}

// names are all relations that the statement says something of.
func (s *Statement) names() []string {
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, lock := range s.Locks {
		add(lock.Table)
	}
	for _, finding := range s.Findings {
		add(finding.Table)
	}
	for _, gone := range s.made.lost {
		add(gone.table)
	}
	for _, change := range s.made.types {
		add(change.table)
	}
	for _, asked := range s.made.reach {
		if asked.ofRelation() {
			add(asked.name)
		}
	}
	own := []string{s.made.writes, s.made.parent, s.made.detached, s.made.usingIndex, s.made.from}
	for _, name := range slices.Concat(own, s.made.gone, s.made.reads) {
		add(name)
	}
	return names
}

// rename writes another name wherever the statement has that one.
func (s *Statement) rename(from, to string) {
	if from == to {
		return
	}
	swap := func(name *string) {
		if *name == from {
			*name = to
		}
	}
	for i := range s.Locks {
		swap(&s.Locks[i].Table)
	}
	for i := range s.Findings {
		swap(&s.Findings[i].Table)
	}
	for i := range s.made.lost {
		swap(&s.made.lost[i].table)
	}
	for i := range s.made.reach {
		if s.made.reach[i].ofRelation() {
			swap(&s.made.reach[i].name)
		}
	}
	for i := range s.made.types {
		swap(&s.made.types[i].table)
	}
	for i := range s.made.gone {
		swap(&s.made.gone[i])
	}
	for i := range s.made.reads {
		swap(&s.made.reads[i])
	}
	for i := range s.made.keeps {
		swap(&s.made.keeps[i].table)
	}
	for i := range s.made.owners {
		swap(&s.made.owners[i].table)
	}
	for i := range s.made.policies {
		swap(&s.made.policies[i].table)
	}
	for i := range s.made.checks {
		swap(&s.made.checks[i].table)
	}
	for i := range s.made.added {
		swap(&s.made.added[i].table)
	}
	for _, name := range []*string{&s.made.table, &s.made.writes, &s.made.parent, &s.made.detached, &s.made.usingIndex, &s.made.from} {
		swap(name)
	}
}

// splitName parts a name as relation writes it.
func splitName(name string) (schema, last string) {
	quoted := false
	for i, c := range name {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '.' && !quoted:
			return name[:i], name[i+1:]
		}
	}
	return "", name
}

// unquoted is a part of a name as the catalog has it.
func unquoted(part string) string { return strings.ReplaceAll(strings.Trim(part, `"`), `""`, `"`) }

// readsOf are the tables and views that a statement names anywhere.
func readsOf(node *pgquery.Node) []string {
	var names []string
	each(node, func(message proto.Message) {
		if table, ok := message.(*pgquery.RangeVar); ok && !slices.Contains(names, relation(table)) {
			names = append(names, relation(table))
		}
	})
	return names
}

// classifySetting notes what changes the meaning of the names that follow.
func classifySetting(set *pgquery.VariableSetStmt, s *Statement) {
	s.made.setting.local = set.IsLocal
	value := pgquery.VariableSetKind_VAR_SET_VALUE
	s.limits(set)
	switch {
	case set.Kind == pgquery.VariableSetKind_VAR_RESET_ALL:
		s.made.setting.reset = true
	case strings.EqualFold(set.Name, "timezone"):
		s.made.setting.zone = "unknown"
		if set.Kind == value && len(set.Args) == 1 {
			switch zone := set.Args[0].GetAConst(); {
			case zone.GetSval() != nil:
				s.made.setting.zone = zone.GetSval().Sval
			case zone.GetIval() != nil && zone.GetIval().Ival == 0:
				s.made.setting.zone = "UTC"
			}
		}
	case set.Name == "search_path" && set.Kind != value:
		s.made.setting.reset = true
	case set.Name == "search_path":
		s.made.setting.path = []string{}
		for _, argument := range set.Args {
			s.made.setting.path = append(s.made.setting.path, pathEntry(argument.GetAConst().GetSval().GetSval()))
		}
	case set.Name == "role" || set.Name == "session_authorization":
		s.find("privilege", "")
		if role := set.Args; set.Kind == value && len(role) == 1 && role[0].GetAConst().GetSval().GetSval() != "none" {
			s.made.setting.role = role[0].GetAConst().GetSval().GetSval()
		} else {
			s.made.setting.resetRole = true
		}
	}
}

func pathEntry(name string) string { return identifier(name) }

// classifyConfig: set_config('search_path', ..., ...) is SET as a function.
func classifyConfig(call *pgquery.FuncCall, s *Statement) {
	if lastName(call.Funcname) != "set_config" || len(call.Args) != 3 {
		return
	}
	name, value := call.Args[0].GetAConst().GetSval(), call.Args[1].GetAConst().GetSval()
	s.privilegedSetting(name.GetSval(), value.GetSval())
	s.limit(name.GetSval(), value.GetSval(), "")
	switch {
	case name == nil || strings.EqualFold(name.Sval, "search_path") && value == nil:
		s.made.setting.unknown = true
	case strings.EqualFold(name.Sval, "search_path"):
		s.made.setting.path = splitPath(value.Sval)
	}
	local := call.Args[2].GetAConst()
	s.made.setting.local = local.GetBoolval().GetBoolval()
}

// splitPath reads the value of search_path as the server does.
func splitPath(value string) []string {
	path := []string{}
	for _, part := range strings.Split(value, ",") {
		part = strings.TrimSpace(part)
		switch {
		case part == "":
		case strings.HasPrefix(part, `"`):
			path = append(path, identifier(unquoted(part)))
		default:
			path = append(path, identifier(strings.ToLower(part)))
		}
	}
	return path
}

// scope reads what the database has of the names that the plan uses.
func (d *Database) scope(ctx context.Context, migrations []Migration) (*scope, error) {
	var names []string
	for _, migration := range migrations {
		for i := range migration.Statements {
			s := &migration.Statements[i]
			for _, gone := range s.made.unmakes {
				_, last := splitName(gone.name)
				names = append(names, unquoted(last))
			}
			for _, name := range append(s.names(), s.made.table, s.made.index) {
				if _, last := splitName(name); last != "" {
					names = append(names, unquoted(last))
				}
			}
		}
	}
	var user, path string
	if err := d.conn.QueryRowContext(ctx, "SELECT current_user, current_setting('search_path')").Scan(&user, &path); err != nil {
		return nil, d.explain(err)
	}
	in := newScope(splitPath(path), user, map[string]bool{}, map[string]bool{})
	in.objects = map[string]bool{}
	slices.Sort(names)
	err := d.each(ctx, `SELECT nspname, '', '', true FROM pg_namespace WHERE $1::text[] IS NOT NULL UNION ALL
		SELECT nspname, relname, '', true FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relname = ANY($1) UNION ALL
		SELECT 'function', proname, 'object', true FROM pg_proc WHERE proname = ANY($1) UNION ALL
		SELECT 'type', typname, 'object', true FROM pg_type WHERE typname = ANY($1)`,
		pq.Array(slices.Compact(names)), func(schema, name, what string, _ bool) {
			if what == "object" {
				in.objects[schema+" "+identifier(name)] = true
			} else if name == "" {
				in.schemas[identifier(schema)] = true
			} else {
				in.exists[qualified(schema, name)] = true
			}
		})
	return in, err
}
