package migrate

// What the plan itself makes or renames is not yet in the catalog, and a later statement
// locks what is behind it all the same: the other end of a foreign key, the partitioned
// table, and what belongs to a relation under its former name.

import (
	"maps"
	"slices"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
)

// bond is a foreign key, or a partition's place, that a statement makes.
type bond struct {
	from, to     string
	constraint   string
	columns      []string
	ofPartitions bool
}

// bonds are those that the plan has made so far, by full names.
type bonds []bond

// follower follows names that the catalog does not have yet.
type follower struct {
	bonds  bonds
	origin map[string]string // by full name of a relation, or that and a part of it: the name that the catalog has
	given  map[string]bool   // names that the plan has given to what was there
}

func newFollower() follower { return follower{origin: map[string]string{}, given: map[string]bool{}} }

func (f follower) clone() follower {
	return follower{slices.Clone(f.bonds), maps.Clone(f.origin), maps.Clone(f.given)}
}

// binds notes a foreign key of a table.
func (s *Statement) binds(table string, constraint *pgquery.Constraint, column string) {
	if constraint.GetContype() != pgquery.ConstrType_CONSTR_FOREIGN {
		return
	}
	made := bond{from: table, to: relation(constraint.Pktable), constraint: constraint.Conname, columns: []string{column}}
	if column == "" {
		made.columns = nil
		for _, attribute := range constraint.FkAttrs {
			made.columns = append(made.columns, attribute.GetString_().GetSval())
		}
	}
	if made.constraint == "" { // as the server names it
		_, last := splitName(table)
		made.constraint = strings.Join(append([]string{unquoted(last)}, made.columns...), "_") + "_fkey"
	}
	s.made.bonds = append(s.made.bonds, made)
}

// isNamed says whether a constraint may have that name; the server adds a number to one that is taken.
func (b bond) isNamed(constraint string) bool {
	return !b.ofPartitions && (constraint == b.constraint || strings.TrimRight(constraint, "0123456789") == b.constraint)
}

// behind adds to a statement what it locks behind the names that the plan has made or given.
func (in *scope) behind(s *Statement) {
	if in.path == nil {
		return
	}
	locks := func(name string) {
		if !in.created[name] {
			s.lock(in.shown(name), accessExclusive)
		}
	}
	for _, known := range in.follows.bonds {
		for _, asked := range s.made.reach {
			full := in.find(asked.name)
			switch {
			case asked.how == "relation" && full == known.from:
				locks(known.to)
				if known.ofPartitions {
					s.walk("default", in.shown(known.to), accessExclusive)
				}
			case asked.how == "relation" && full == known.to && asked.cascade, asked.how == "emptied" && full == known.to:
				locks(known.from)
			case asked.how == "constraint" && full == known.from && known.isNamed(asked.part),
				strings.HasSuffix(asked.how, "column") && full == known.from && slices.Contains(known.columns, asked.part):
				locks(known.to)
			case full == known.to && asked.cascade && asked.part != "":
				locks(known.from)
			}
		}
	}
	for i, asked := range s.made.reach {
		switch {
		case asked.how == "schema", asked.how == "type":
			_, last := splitName(asked.name)
			s.made.reach[i].was = in.follows.origin[asked.how+" "+last]
		case asked.how == "function":
			s.made.reach[i].wasPart = in.follows.origin[asked.how+" "+identifier(asked.part)]
		}
		if !asked.ofRelation() {
			continue
		}
		full := in.find(asked.name)
		s.made.reach[i].was = in.follows.origin[full]
		s.made.reach[i].wasPart = in.follows.origin[full+" "+asked.part]
	}
	for _, schema := range s.made.setting.droppedSchema {
		for name, was := range in.follows.origin {
			if now, _ := splitName(name); now == schema && !strings.Contains(name, " ") {
				s.made.reach = append(s.made.reach, reach{how: "relation", name: name, was: was, cascade: true})
			}
		}
	}
}

// bind keeps what a statement has made and renamed.
func (in *scope) bind(s *Statement) {
	if in.path == nil {
		return
	}
	f := &in.follows
	for _, made := range s.made.bonds {
		if s.made.there {
			break
		}
		made.from, made.to = in.find(made.from), in.find(made.to)
		f.bonds = append(f.bonds, made)
	}
	if s.made.gives != "" {
		f.given[s.made.gives] = true
	}
	if kind := s.made.renamedKind; kind != "" {
		_, last := splitName(s.made.renamedName)
		was := f.origin[kind+" "+last]
		if was == "" {
			was = map[bool]string{true: unquoted(last), false: s.made.renamedName}[kind == "function"]
		}
		f.origin[kind+" "+s.made.gives] = was
		if kind == "schema" {
			in.renamesSchema(last, s.made.gives)
		}
	}
	if s.made.renamedPart != "" {
		table := in.find(s.table())
		was := f.origin[table+" "+s.made.renamedPart]
		if was == "" {
			was = s.made.renamedPart
		}
		f.origin[table+" "+unquoted(s.made.gives)] = was
	}
}

// renamesSchema: everything in it gets another name with it.
func (in *scope) renamesSchema(from, to string) {
	for _, known := range []map[string]bool{in.created, in.exists} {
		for name := range known {
			if last, is := strings.CutPrefix(name, from+"."); is {
				in.renames(name, to+"."+last)
				delete(known, name)
				known[to+"."+last] = true
			}
		}
	}
	if in.schemas[from] {
		delete(in.schemas, from)
		in.schemas[to] = true
	}
}

// renames follows a relation that gets another name.
func (in *scope) renames(from, to string) {
	f := &in.follows
	for i := range f.bonds {
		for _, end := range []*string{&f.bonds[i].from, &f.bonds[i].to} {
			if *end == from {
				*end = to
			}
		}
	}
	was := f.origin[from]
	if was == "" {
		was = from
	}
	delete(f.origin, from)
	delete(f.origin, to)
	if in.exists[from] && !in.created[from] {
		f.origin[to] = was
	}
	for part, origin := range f.origin {
		if rest, is := strings.CutPrefix(part, from+" "); is {
			delete(f.origin, part)
			f.origin[to+" "+rest] = origin
		}
	}
}

// isGiven says whether the plan has given this name, or its schema's, to something.
func (in *scope) isGiven(full string) bool {
	schema, last := splitName(full)
	return in.follows.given[schema] || in.follows.given[last]
}
