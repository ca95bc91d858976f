// Package approved keeps the list of images that a guarded namespace admits: the ConfigMap slipway-approved, which the policies of
// k8s/guard go by. A key sha256-HEX has the approvals of that digest; the key others is an administrator's.
package approved

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/safe"
)

const (
	// Name of the ConfigMap.
	Name = "slipway-approved"
	// Others is the key of the images that an administrator admits: one REPOSITORY@sha256:HEX a line.
	Others = "others"
	prefix = "sha256-"
)

// Entry is one approval. The policies look for "repository":"..." in its JSON.
type Entry struct {
	Repository string    `json:"repository"`
	Digest     string    `json:"digest"`
	Image      string    `json:"image"`               // as it was approved, with its tag
	What       string    `json:"what"`                // staging, canary, promotion, by hand; running: it was there before
	Hash       string    `json:"hash,omitempty"`      // of what was approved
	Approvers  []string  `json:"approvers,omitempty"` // user ids
	Build      string    `json:"build,omitempty"`
	At         time.Time `json:"at"`
}

const (
	settling   = time.Hour // an approval is this old before its image has to run somewhere
	mostOfOne  = 10        // approvals that are kept of one digest
	longest    = 256       // of one text of an entry, in bytes
	mostOfAll  = 900 << 10 // of all entries together: a ConfigMap holds 1 MiB
	mostPeople = 20
)

var reference = regexp.MustCompile(`^((?:[^/@]+/)*[^/:@]+)(?::[^/@:]+)?@(sha256:[0-9a-f]{64})$`)

// Parse gives an image's repository and digest; pinned is false where it names no digest.
func Parse(image string) (repository, digest string, pinned bool) {
	parts := reference.FindStringSubmatch(image)
	if parts == nil {
		return "", "", false
	}
	return parts[1], parts[2], true
}

func keyOf(digest string) string { return strings.Replace(digest, ":", "-", 1) }

// list is what the ConfigMap's data says.
type list struct {
	entries map[string][]Entry // by digest
	others  []string
}

func parse(data map[string]string) (list, error) {
	l := list{entries: map[string][]Entry{}}
	for key, value := range data {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		var entries []Entry
		if err := json.Unmarshal([]byte(value), &entries); err != nil {
			return l, slipway.Errorf(slipway.Conflict, "the key %s of the ConfigMap %s cannot be read", safe.Line(key), Name).Because(err).
				Next("an administrator removes the key, and approves the image again: slipway guard approve")
		}
		l.entries[strings.Replace(key, "-", ":", 1)] = entries
	}
	for _, line := range strings.Split(data[Others], "\n") {
		if line = strings.TrimSpace(line); line != "" {
			l.others = append(l.others, line)
		}
	}
	return l, nil
}

// admits says whether the policies let this image run.
func (l list) admits(image string) bool {
	repository, digest, pinned := Parse(image)
	if !pinned {
		return false
	}
	return slices.Contains(l.others, image) || slices.Contains(l.others, repository+"@"+digest) ||
		slices.ContainsFunc(l.entries[digest], func(e Entry) bool { return e.Repository == repository })
}

// with adds entries, and takes away what is old and neither runs nor may be gone back to; used is nil where nobody knows what runs.
func (l list) with(entries []Entry, used map[string]bool, now time.Time) {
	for _, entry := range entries {
		entry = entry.short()
		same := func(e Entry) bool {
			return e.Repository == entry.Repository && e.What == entry.What && e.Hash == entry.Hash && e.Build == entry.Build
		}
		if slices.ContainsFunc(l.entries[entry.Digest], same) || entry.What == Running && l.admits(entry.Image) {
			continue
		}
		l.entries[entry.Digest] = newest(append(l.entries[entry.Digest], entry))
	}
	for digest, entries := range l.entries {
		fresh := slices.ContainsFunc(entries, func(e Entry) bool { return now.Sub(e.At) < settling })
		if used != nil && !used[digest] && !fresh {
			delete(l.entries, digest)
		}
	}
}

// newest are the last approvals of a digest, and of each repository's at least one.
func newest(entries []Entry) []Entry {
	for i := 0; len(entries) > mostOfOne && i < len(entries); {
		repository := entries[i].Repository
		if slices.ContainsFunc(entries[i+1:], func(e Entry) bool { return e.Repository == repository }) {
			entries = slices.Delete(entries, i, i+1)
		} else {
			i++
		}
	}
	return entries
}

func (e Entry) short() Entry {
	cut := func(text string) string { return strings.ToValidUTF8(text[:min(len(text), longest)], "") }
	e.What, e.Hash, e.Build = cut(e.What), cut(e.Hash), cut(e.Build)
	var people []string
	for _, each := range e.Approvers[:min(len(e.Approvers), mostPeople)] {
		people = append(people, cut(each))
	}
	e.Approvers = people
	return e
}

// data is the ConfigMap's with these entries; what is not Slipway's in it stays.
func (l list) data(present map[string]string) (map[string]string, error) {
	data, size := map[string]string{}, 0
	for key, value := range present {
		if !strings.HasPrefix(key, prefix) {
			data[key] = value
		}
	}
	for digest, entries := range l.entries {
		value, err := json.Marshal(entries)
		if err != nil {
			return nil, err
		}
		data[keyOf(digest)] = string(value)
		size += len(value) + len(digest)
	}
	if size > mostOfAll {
		return nil, slipway.Errorf(slipway.No, "the list of approved images is full: %d digests run or may be gone back to", len(l.entries)).
			Next("keep fewer revisions: spec.revisionHistoryLimit of the Deployments")
	}
	return data, nil
}
