package policy

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// production reads the one section that a policy has.
func (r *reader) production(node *yaml.Node, path string, into *Production) {
	into.Approvals = map[string]Rule{}
	r.fields(node, path, []field{
		{"approvals", false, func(n *yaml.Node, path string) { r.approvals(n, path, into.Approvals) }},
		{"people", false, func(n *yaml.Node, path string) { into.People = r.named(n, path, address) }},
		{"groups", false, func(n *yaml.Node, path string) { into.Groups = r.named(n, path, identity) }},
		{"windows", false, func(n *yaml.Node, path string) {
			r.list(n, path, func(n *yaml.Node, path string) { r.window(n, path, &into.Windows) })
		}},
		{"override", false, func(n *yaml.Node, path string) { r.override(n, path, into) }},
		{"evidence", false, func(n *yaml.Node, path string) { r.evidence(n, path, &into.Evidence) }},
		{"canary", false, func(n *yaml.Node, path string) { r.canary(n, path, &into.Canary) }},
		{"breaking", false, func(n *yaml.Node, path string) { r.text(n, path, decision, &into.Breaking) }},
		{"privilegedSql", false, func(n *yaml.Node, path string) { r.text(n, path, decision, &into.PrivilegedSQL) }},
	})
	if len(r.mistakes) == 0 { // what follows from several fields
		r.possible(node, path, into)
	}
}

func (r *reader) approvals(node *yaml.Node, path string, into map[string]Rule) {
	rule := func(what string) func(*yaml.Node, string) {
		return func(n *yaml.Node, path string) {
			found := Rule{Required: 1}
			r.fields(n, path, []field{
				r.required(&found), r.from(&found, false),
				{"notAuthors", false, func(n *yaml.Node, path string) { r.flag(n, path, &found.NotAuthors) }},
				{"notStarter", false, func(n *yaml.Node, path string) { r.flag(n, path, &found.NotStarter) }},
			})
			into[what] = found
		}
	}
	r.fields(node, path, []field{{Migration, false, rule(Migration)}, {Promotion, false, rule(Promotion)}})
}

func (r *reader) override(node *yaml.Node, path string, into *Production) {
	found := Rule{Required: 1}
	r.fields(node, path, []field{r.required(&found), r.from(&found, true)})
	into.Override = &found
}

func (r *reader) required(into *Rule) field {
	return field{"required", false, func(n *yaml.Node, path string) { r.number(n, path, 1, 20, &into.Required) }}
}

func (r *reader) from(into *Rule, required bool) field {
	return field{"from", required, func(n *yaml.Node, path string) { r.texts(n, path, identity, &into.From) }}
}

// named reads lists by the names of people or groups.
func (r *reader) named(node *yaml.Node, path string, form form) map[string][]string {
	found := map[string][]string{}
	if !r.mapping(node, path) {
		return found
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		name := strings.ToLower(key.Value)
		if key.Kind != yaml.ScalarNode || !identity.pattern.MatchString(key.Value) {
			r.wrong(key, path, "%s: %q is not %s", path, key.Value, identity.said)
			continue
		}
		if found[name] != nil {
			r.wrong(key, join(path, key.Value), "%s has %q twice: Jenkins does not distinguish capital letters", path, key.Value)
		}
		list := []string{}
		r.texts(node.Content[i+1], join(path, key.Value), form, &list)
		found[name] = list
	}
	return found
}

func (r *reader) window(node *yaml.Node, path string, into *[]Window) {
	var deny, zone string
	var found Window
	r.fields(node, path, []field{
		{"deny", true, func(n *yaml.Node, path string) { r.text(n, path, span, &deny) }},
		{"timezone", true, func(n *yaml.Node, path string) { r.text(n, path, anyLine, &zone) }},
		{"reason", false, func(n *yaml.Node, path string) { r.text(n, path, anyLine, &found.Reason) }},
	})
	if zone != "" {
		location, err := time.LoadLocation(zone)
		if err != nil || zone == "Local" {
			r.wrong(node, join(path, "timezone"), "%s.timezone: %q is not a time zone such as Europe/Berlin or UTC", path, zone)
		}
		found.zone = location
	}
	if deny != "" {
		if why := found.read(deny); why != "" {
			r.wrong(node, join(path, "deny"), "%s.deny: %q %s", path, deny, why)
		}
	}
	*into = append(*into, found)
}

func (r *reader) evidence(node *yaml.Node, path string, into *Evidence) {
	r.fields(node, path, []field{
		{"require", false, func(n *yaml.Node, path string) { r.texts(n, path, evidence, &into.Require) }},
		{"keys", false, func(n *yaml.Node, path string) { r.texts(n, path, keyFile, &into.Keys) }},
		{"scanMaxAge", false, func(n *yaml.Node, path string) { r.duration(n, path, &into.ScanMaxAge) }},
	})
}

func (r *reader) canary(node *yaml.Node, path string, into *Canary) {
	r.fields(node, path, []field{
		{"minWeight", false, func(n *yaml.Node, path string) { r.number(n, path, 1, 99, &into.MinWeight) }},
		{"minDuration", false, func(n *yaml.Node, path string) { r.duration(n, path, &into.MinDuration) }},
		{"minRequests", false, func(n *yaml.Node, path string) { r.number(n, path, 1, 999999, &into.MinRequests) }},
	})
}

// possible says what could never be met.
func (r *reader) possible(node *yaml.Node, path string, p *Production) {
	check := func(where string, rule Rule) {
		members, outside := p.members(rule.From)
		if rule.NotAuthors && len(p.People) == 0 {
			const unknown = "%s.%s.notAuthors needs production.people: without it nobody's commits are known"
			r.wrong(find(node, where), join(path, where), unknown, path, where)
		}
		if len(rule.From) > 0 && len(outside) == 0 && len(members) < rule.Required {
			r.wrong(find(node, where), join(path, where), "%s.%s asks for %d people, and from has only %d", path, where, rule.Required, len(members))
		}
	}
	for _, what := range []string{Migration, Promotion} {
		if rule, ok := p.Approvals[what]; ok {
			check("approvals."+what, rule)
		}
	}
	if p.Override != nil {
		check("override", *p.Override)
		if len(p.Windows) == 0 {
			r.wrong(find(node, "override"), join(path, "override"), "%s.override has nothing to override: there are no windows", path)
		}
	}
	weekly := &Production{Windows: slices.DeleteFunc(slices.Clone(p.Windows), func(w Window) bool { return !w.weekly })}
	if weekly.At(time.Date(2026, 1, 7, 12, 0, 0, 0, time.UTC)).Never {
		r.wrong(find(node, "windows"), join(path, "windows"), "%s.windows leave no time in which production may be changed", path)
	}
}

// find is the node of a field, by its path below a mapping.
func find(node *yaml.Node, path string) *yaml.Node {
	name, rest, more := strings.Cut(path, ".")
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value != name {
			continue
		}
		if more {
			return find(node.Content[i+1], rest)
		}
		return node.Content[i]
	}
	return node
}
