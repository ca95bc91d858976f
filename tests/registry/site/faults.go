package site

import "slipway.dev/slipway/tests/lab/nexus"

// Fault is a switch of the front, with a value under which it shows where a list
// has 99 tags, ten to a page, and the newest is latest-95.
type Fault struct {
	Name, Value string
	Certain     bool // the right answer can be told all the same
}

// Newest is the newest tag of the list on which the faults show, which has that many builds.
const (
	Newest = "latest-95"
	Builds = 95
)

// Faults are those of a list of tags and of what it leads to.
var Faults = []Fault{
	{nexus.WrongLink, "true", true},
	{nexus.NoLink, "true", true},
	{nexus.NullTags, "true", true},
	{nexus.NoHead, "true", true},
	{nexus.Gone, Newest, true},
	{nexus.Busy, "1", true},
	{nexus.BrokenPage, "7", false},
	{nexus.Expiring, "3", true},
	{nexus.Truncated, "true", false},
	{nexus.Repeating, "3", false},
}

// Switch makes the front one of small pages, with these faults and no others.
func (f *Front) Switch(faults ...Fault) {
	f.PageSize = 10
	f.Set(nexus.WrongLink, "")
	for _, fault := range faults {
		f.Set(fault.Name, fault.Value)
	}
}
