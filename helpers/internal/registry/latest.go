package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"sort"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// DefaultPattern captures the build number of the pipelines' tags.
const DefaultPattern = `^latest-([0-9]+)$`

// Search says which image is looked for.
type Search struct {
	Pattern  *regexp.Regexp // captures the number once
	Required []string       // types of evidence; none takes the plain newest tag
	Revision string         // the commit that it must be built from, or empty
	At       string         // only this tag
}

// Candidate is a tag and its number.
type Candidate struct {
	Tag    string
	Number *big.Int
}

// PassedOver is a tag that was newer, and why it was not taken.
type PassedOver struct {
	Tag string `json:"tag"`
	Why string `json:"why"`
}

// Found is what nexus-latest-tag answers.
type Found struct {
	Reference  string       `json:"reference"` // REGISTRY/REPOSITORY:TAG@DIGEST
	Tag        string       `json:"tag"`
	Number     string       `json:"number"`
	Digest     string       `json:"digest"`
	Created    string       `json:"created,omitempty"`
	Revision   string       `json:"revision,omitempty"`
	Platforms  []string     `json:"platforms,omitempty"`
	Evidence   []Evidence   `json:"evidence"`
	Tags       int          `json:"tags"`
	Unmatched  int          `json:"unmatched"`
	PassedOver []PassedOver `json:"passedOver"`
}

// Text is the reference, for $(...).
func (f Found) Text(out io.Writer) error {
	_, err := fmt.Fprintln(out, f.Reference)
	return err
}

// Env gives what a pipeline needs of it.
func (f Found) Env() []slipway.Pair {
	return []slipway.Pair{{Key: "REFERENCE", Value: f.Reference}, {Key: "TAG", Value: f.Tag}, {Key: "NUMBER", Value: f.Number}, {Key: "DIGEST", Value: f.Digest}, {Key: "REVISION", Value: f.Revision}, {Key: "PASSED_OVER", Value: fmt.Sprint(len(f.PassedOver))}}
}

// Order sorts the tags that match by their number, the highest first. Two tags
// of one number are an error: which of them is meant is not for a program to say.
func Order(tags []string, pattern *regexp.Regexp) (ordered []Candidate, unmatched int, err error) {
	for _, tag := range tags {
		match := pattern.FindStringSubmatch(tag)
		if match == nil {
			unmatched++
			continue
		}
		number, ok := new(big.Int).SetString(match[1], 10)
		if !ok {
			return nil, 0, slipway.Usagef("--pattern %s captures %q of the tag %s, and that is no number", pattern, match[1], tag)
		}
		ordered = append(ordered, Candidate{Tag: tag, Number: number})
	}
	sort.Slice(ordered, func(i, j int) bool { return ordered[i].Number.Cmp(ordered[j].Number) > 0 })
	for i := 1; i < len(ordered); i++ {
		if ordered[i].Number.Cmp(ordered[i-1].Number) == 0 {
			return nil, 0, slipway.Errorf(slipway.Conflict, "the tags %s and %s have the same number", ordered[i-1].Tag, ordered[i].Tag).Next("delete the one that is wrong")
		}
	}
	return ordered, unmatched, nil
}

// Latest finds the image of the highest number that has what is required.
func (c *Client) Latest(ctx context.Context, repository name.Repository, search Search) (Found, error) {
	found := Found{PassedOver: []PassedOver{}, Evidence: []Evidence{}}
	var candidates []Candidate
	if search.At != "" {
		match := search.Pattern.FindStringSubmatch(search.At)
		number := "0"
		if match != nil {
			number = match[1]
		}
		value, _ := new(big.Int).SetString(number, 10)
		candidates = []Candidate{{Tag: search.At, Number: value}}
	} else {
		tags, err := c.Tags(ctx, repository)
		if err != nil {
			return found, err
		}
		found.Tags = len(tags)
		if candidates, found.Unmatched, err = Order(tags, search.Pattern); err != nil {
			return found, err
		}
	}
	for _, candidate := range candidates {
		why, err := c.inspect(ctx, repository, candidate, search, &found)
		if err != nil {
			return found, err
		}
		if why == "" {
			return found, nil
		}
		found.PassedOver = append(found.PassedOver, PassedOver{Tag: candidate.Tag, Why: why})
	}
	return found, nothing(repository, search, found)
}

func nothing(repository name.Repository, search Search, found Found) error {
	var why []string
	for _, passed := range found.PassedOver[:min(3, len(found.PassedOver))] {
		why = append(why, passed.Tag+": "+passed.Why)
	}
	if search.At != "" {
		return slipway.Errorf(slipway.No, "%s:%s cannot be promoted", repository, search.At).Because(fmt.Errorf("%s", strings.Join(why, "; "))).
			Next("name a tag that staging has verified")
	}
	if len(found.PassedOver) == 0 {
		return slipway.Errorf(slipway.No, "%s has no tag that matches %s (%d tags)", repository, search.Pattern, found.Tags).Next("let the staging pipeline run once")
	}
	return slipway.Errorf(slipway.No, "no image of %s can be promoted: none of %d has evidence of %s", repository, len(found.PassedOver), strings.Join(search.Required, " and ")).
		Because(fmt.Errorf("%s", strings.Join(why, "; "))).Next("see why staging did not finish; --allow-unverified takes the newest tag as it is")
}

// inspect fills found with the candidate, or says why it is passed over.
func (c *Client) inspect(ctx context.Context, repository name.Repository, candidate Candidate, search Search, found *Found) (why string, err error) {
	doing := "reading " + repository.Tag(candidate.Tag).String()
	got, err := remote.Get(repository.Tag(candidate.Tag), c.remote(remote.WithContext(ctx))...)
	if isMissing(err) {
		return "its manifest is gone", nil
	}
	if err != nil {
		return "", explain(err, repository.RegistryStr(), doing)
	}
	if computed := fmt.Sprintf("sha256:%x", sha256.Sum256(got.Manifest)); computed != got.Digest.String() {
		return "", slipway.Errorf(slipway.Unknown, "%s: the registry says %s, and the manifest that it sent is %s", doing, got.Digest, computed)
	}
	found.Tag, found.Number, found.Digest = candidate.Tag, candidate.Number.String(), got.Digest.String()
	found.Reference = repository.Tag(candidate.Tag).String() + "@" + found.Digest
	if err := describe(got, found); err != nil {
		return "", explain(err, repository.RegistryStr(), doing)
	}
	if search.Revision != "" && found.Revision != search.Revision {
		return fmt.Sprintf("it was built from %q", found.Revision), nil
	}
	if found.Evidence, err = c.Evidence(ctx, repository.Digest(found.Digest), search.Required); err != nil {
		return "", err
	}
	if found.Evidence == nil {
		found.Evidence = []Evidence{}
	}
	if lacking := missing(found.Evidence, search.Required); len(lacking) > 0 {
		return "no evidence of " + strings.Join(lacking, ", "), nil
	}
	return "", nil
}

func describe(got *remote.Descriptor, found *Found) error {
	found.Created, found.Revision, found.Platforms = "", "", nil
	if got.MediaType.IsIndex() {
		var index v1.IndexManifest
		if err := json.Unmarshal(got.Manifest, &index); err != nil {
			return err
		}
		for _, manifest := range index.Manifests {
			if manifest.Platform != nil {
				found.Platforms = append(found.Platforms, manifest.Platform.String())
			}
		}
	}
	image, err := got.Image()
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	if !got.MediaType.IsIndex() {
		found.Platforms = []string{config.OS + "/" + config.Architecture}
	}
	found.Revision = config.Config.Labels["org.opencontainers.image.revision"]
	if !config.Created.IsZero() {
		found.Created = config.Created.UTC().Format("2006-01-02T15:04:05Z")
	}
	return nil
}
