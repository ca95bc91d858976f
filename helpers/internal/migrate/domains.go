package migrate

import (
	"slices"
	"strings"

	pgquery "github.com/pganalyze/pg_query_go/v6"
)

// domainNow is a domain as a statement creates or changes it.
type domainNow struct {
	name, over string
	bounded    bool     // it has a constraint
	functions  []string // of its default
}

func classifyDomain(n *pgquery.CreateDomainStmt, s *Statement) {
	s.Kind = "CREATE DOMAIN"
	s.made.makes = append(s.made.makes, object{kind: "type", name: nameOf(n.Domainname)})
	s.made.domainNow = domainNow{name: nameOf(n.Domainname), over: typeNameOf(n.TypeName)}
	for _, node := range n.Constraints {
		s.made.domainNow.add(node.GetConstraint())
	}
}

// classifyAlterDomain: for the letters see AlterDomainStmt in
// https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/nodes/parsenodes.h
func classifyAlterDomain(n *pgquery.AlterDomainStmt, s *Statement) {
	s.Kind = "ALTER DOMAIN"
	s.made.domainNow = domainNow{name: nameOf(n.TypeName), bounded: strings.Contains("CO", n.Subtype)}
	switch n.Subtype {
	case "C", "O", "V":
		if !n.Def.GetConstraint().GetSkipValidation() {
			s.Scans, s.made.domain = true, nameOf(n.TypeName)
			s.made.newTypes = append(s.made.newTypes, s.made.domain)
			s.find("domain", "")
			s.breaks("domain", n.Subtype == "O")
		}
	case "T":
		s.made.domainNow.functions = functions(n.Def)
		if isNull(n.Def) {
			s.find("drop-default", "")
		}
	case "X":
		s.find("drop-constraint", "")
	}
}

func (d *domainNow) add(constraint *pgquery.Constraint) {
	switch constraint.GetContype() {
	case pgquery.ConstrType_CONSTR_DEFAULT:
		d.functions = functions(constraint.RawExpr)
	case pgquery.ConstrType_CONSTR_CHECK, pgquery.ConstrType_CONSTR_NOTNULL:
		d.bounded = true
	}
}

// domains: a domain with a constraint, or with a default that is another one each time,
// is computed for every row, and one that gets a constraint is looked for in every table.
func (r *reviewer) domains(s *Statement, table string) {
	isVolatile := func(function string) bool { return volatile[function] || r.volatile[function] || r.fickle[function] }
	if d := s.made.domainNow; d.bounded || r.bounded[d.over] || r.limited[d.over] || slices.ContainsFunc(d.functions, isVolatile) {
		r.limited[d.name] = true
	}
	if s.made.domain == "" {
		for _, name := range s.made.newTypes {
			if r.bounded[name] || r.limited[name] {
				s.Rewrites = true
				s.find("volatile-default", table)
			}
		}
		return
	}
	for _, user := range r.users[s.made.domain] {
		s.lock(user, share)
	}
	if r.users != nil && len(s.Locks) == 0 {
		s.Scans = false
		s.drop(func(finding Finding) bool { return finding.Name != "domain" })
	}
}
