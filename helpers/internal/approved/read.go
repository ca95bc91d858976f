package approved

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// List is what a ConfigMap slipway-approved says.
type List struct{ list }

// Read reads the data of the ConfigMap.
func Read(data map[string]string) (List, error) {
	read, err := parse(data)
	return List{read}, err
}

// Admits says whether the guard lets this image run.
func (l List) Admits(image string) bool { return l.admits(image) }

// Of are the approvals of an image, the newest first. What was there before, and was never approved, is none.
func (l List) Of(image string) []Entry {
	repository, digest, pinned := Parse(image)
	if !pinned {
		return nil
	}
	entries := slices.DeleteFunc(slices.Clone(l.entries[digest]),
		func(e Entry) bool { return e.Repository != repository || e.What == Running })
	slices.SortStableFunc(entries, func(a, b Entry) int { return b.At.Compare(a.At) })
	return entries
}

// Kinds are those of objects that make pods or lead traffic, and that may have gone past the guard.
func Kinds() []schema.GroupVersionResource { return slices.Clone(kinds) }
