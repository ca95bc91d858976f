package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Gate is what one kind of approval asks for in one run.
type Gate struct {
	Required  int               `json:"required"`  // 0: there is none, and nobody can approve it
	From      string            `json:"from"`      // as Jenkins' input takes a submitter
	Who       string            `json:"who"`       // the same for people
	Members   map[string]string `json:"members"`   // by user id in small letters: as what they approve
	Others    string            `json:"others"`    // as what anybody else approves whom Jenkins lets
	Excluded  map[string]string `json:"excluded"`  // by user id in small letters: why they may not
	Strangers string            `json:"strangers"` // why nobody may who is not in Known; empty: they may
	Known     map[string]string `json:"known"`
}

// Run is what is known of one run and of the release that it is about.
type Run struct {
	Approvers string            // of the call: user ids and groups, separated by commas
	Authors   map[string]string // a commit, by the address of its author
	Starters  []string          // user ids
}

// Gate says what the run needs for an approval. Without a policy it is one named user.
func (p *Production) Gate(what string, run Run) (gate Gate, raised string) {
	rule := p.rule(what)
	gate = Gate{Required: rule.Required, Members: map[string]string{}, Excluded: map[string]string{}, Known: map[string]string{}}
	if rule.Required == 0 {
		return gate, ""
	}
	from := rule.From
	if asked := split(run.Approvers); len(asked) > 0 && what != Override {
		from, raised = p.narrowed(what, rule.From, asked)
	}
	members, outside := p.members(from)
	gate.Members = members
	gate.From = strings.Join(append(slices.Sorted(maps.Keys(members)), outside...), ",")
	gate.Others = others(from, outside)
	people := "person"
	if rule.Required > 1 {
		people = "different people"
	}
	gate.Who = fmt.Sprintf("%d %s", rule.Required, people)
	if len(from) > 0 {
		gate.Who += " of " + strings.Join(from, ", ")
	}
	var not []string
	if rule.NotStarter {
		not = append(not, "who started this run")
		for _, id := range run.Starters {
			gate.Excluded[strings.ToLower(id)] = "started this run"
		}
	}
	if rule.NotAuthors {
		not = append([]string{"an author of this release"}, not...)
		gate.Strangers = "is not among the people of the policy: which commits are theirs is not known"
		for id := range p.People {
			gate.Known[id] = "people"
			if commit := p.wrote(id, run.Authors); commit != "" {
				gate.Excluded[id] = "is an author of this release (" + commit + ")"
			}
		}
	}
	if len(not) > 0 {
		gate.Who += ", not " + strings.Join(not, ", not ")
	}
	return gate, raised
}

func (p *Production) rule(what string) Rule {
	switch rule, ok := p.Approvals[what]; {
	case what == Override && p.Override == nil:
		return Rule{}
	case what == Override:
		return *p.Override
	case ok:
		return rule
	}
	return Rule{Required: 1}
}

// narrowed are those of the call's approvers whom the policy names too; where there are none, the policy's.
func (p *Production) narrowed(what string, from, asked []string) (left []string, raised string) {
	if len(from) == 0 {
		return asked, ""
	}
	members, outside := p.members(from)
	for _, name := range asked {
		same := func(each string) bool { return strings.EqualFold(each, name) }
		if members[strings.ToLower(name)] != "" || slices.ContainsFunc(from, same) || slices.ContainsFunc(outside, same) {
			left = append(left, name)
		}
	}
	members, outside = p.members(left)
	if len(members) < p.rule(what).Required && len(outside) == 0 {
		left = from
	}
	if slices.Equal(left, asked) {
		return left, ""
	}
	return left, fmt.Sprintf("approvers of the %s: %s by the policy, not %s", what, strings.Join(left, ", "), strings.Join(asked, ", "))
}

// members are the user ids that the names stand for, as what each is counted; outside are names that only Jenkins knows.
func (p *Production) members(from []string) (members map[string]string, outside []string) {
	members = map[string]string{}
	for _, name := range from {
		id := strings.ToLower(name)
		if group, ok := p.Groups[id]; ok {
			for _, one := range group {
				if _, named := members[strings.ToLower(one)]; !named {
					members[strings.ToLower(one)] = "group " + name
				}
			}
			continue
		}
		if _, known := p.People[id]; known || p.inAGroup(id) {
			members[id] = "user"
			continue
		}
		outside = append(outside, name)
	}
	return members, outside
}

func (p *Production) inAGroup(id string) bool {
	for _, group := range p.Groups {
		if slices.ContainsFunc(group, func(one string) bool { return strings.EqualFold(one, id) }) {
			return true
		}
	}
	return false
}

// others says what Jenkins' answer means for an id that is no member: it lets those of the submitter, and administrators always.
func others(from, outside []string) string {
	switch {
	case len(from) == 0:
		return "may build"
	case len(outside) == 0:
		return "administrator"
	}
	return strings.Join(outside, ", ") + " or administrator"
}

// wrote names a commit of which one of the person's addresses is an author.
func (p *Production) wrote(id string, authors map[string]string) string {
	for _, address := range p.People[id] {
		for author, commit := range authors {
			if strings.EqualFold(address, author) {
				return commit
			}
		}
	}
	return ""
}

// Unmapped are the authors' addresses that nobody in people has.
func (p *Production) Unmapped(authors map[string]string) []string {
	var found []string
	for author := range authors {
		mine := func(known string) bool { return strings.EqualFold(known, author) }
		if !slices.ContainsFunc(slices.Concat(slices.Collect(maps.Values(p.People))...), mine) {
			found = append(found, author)
		}
	}
	slices.Sort(found)
	return found
}

// AsksForAuthors says whether an approval depends on who wrote the commits.
func (p *Production) AsksForAuthors() bool {
	return p.Approvals[Migration].NotAuthors || p.Approvals[Promotion].NotAuthors
}

// AsksForStarter says whether an approval depends on who started the run.
func (p *Production) AsksForStarter() bool {
	return p.Approvals[Migration].NotStarter || p.Approvals[Promotion].NotStarter
}

func split(names string) []string {
	var found []string
	for _, name := range strings.Split(names, ",") {
		if name = strings.TrimSpace(name); name != "" {
			found = append(found, name)
		}
	}
	return found
}

// Refusal says why the user's answer does not count after those that do; empty where it counts.
func (g Gate) Refusal(by string, before []string) string {
	id := strings.ToLower(strings.TrimSpace(by))
	switch {
	case g.Required == 0:
		return "the policy knows no such approval"
	case id == "" || id == "anonymous" || id == "system" || id == "unknown":
		return "the answer names no user"
	case g.Excluded[id] != "":
		return by + " " + g.Excluded[id]
	case g.Strangers != "" && g.Known[id] == "":
		return by + " " + g.Strangers
	case slices.ContainsFunc(before, func(other string) bool { return strings.EqualFold(other, by) }):
		return by + " has approved already"
	}
	return ""
}
