package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Image is a tag as it was met on the way down.
type Image struct {
	Tag       string     `json:"tag"`
	Number    string     `json:"number"`             // without leading zeros, of any length; empty where the tag has none
	Digest    string     `json:"digest,omitempty"`   // of the index, where it has several platforms
	Created   string     `json:"created,omitempty"`  // RFC 3339, UTC, as the builder noted it
	Revision  string     `json:"revision,omitempty"` // org.opencontainers.image.revision, where it is a commit's full id
	Platforms []string   `json:"platforms,omitempty"`
	Evidence  []Evidence `json:"evidence"`
}

// PassedOver is an image that was newer, and why it was not taken.
type PassedOver struct {
	Image
	Why string `json:"why"`
}

// Found is what nexus-latest-tag answers.
type Found struct {
	Repository string `json:"repository"`
	Reference  string `json:"reference"` // REGISTRY/REPOSITORY:TAG@DIGEST
	Image
	Tags       int          `json:"tags"`                 // that the repository has; 0 where one was named
	Unmatched  int          `json:"unmatched"`            // of them, those that are no release's
	Impossible []string     `json:"impossible,omitempty"` // what the registry lists and cannot be a tag
	PassedOver []PassedOver `json:"passedOver"`
}

// Text is the reference, for $(...).
func (f Found) Text(out io.Writer) error {
	_, err := fmt.Fprintln(out, f.Reference)
	return err
}

// Answer gives what a pipeline needs of it.
func (f Found) Answer() slipway.Fields {
	return slipway.Fields{"reference": f.Reference, "tag": f.Tag, "number": f.Number, "digest": f.Digest,
		"revision": f.Revision, "passedOver": len(f.PassedOver)}
}

// Explain writes the whole descent as a table, the highest number first.
func (f Found) Explain(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "TAG\tDIGEST\tCREATED\tREVISION\tEVIDENCE\tVERDICT")
	row := func(image Image, verdict string) {
		var kinds []string
		for _, one := range image.Evidence {
			kinds = append(kinds, one.Type)
		}
		slices.Sort(kinds)
		_, _ = fmt.Fprintln(table,
			strings.Join([]string{image.Tag, orDash(short(image.Digest, 19)), orDash(image.Created), orDash(short(image.Revision, 12)),
				orDash(strings.Join(slices.Compact(kinds), ",")), verdict}, "\t"))
	}
	for _, passed := range f.PassedOver {
		row(passed.Image, "passed over: "+passed.Why)
	}
	if f.Reference != "" {
		row(f.Image, "taken")
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d tags, %d of them no releases\n", f.Tags, f.Unmatched)
	return err
}

func short(text string, length int) string { return text[:min(len(text), length)] }

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

const revisionKey = "org.opencontainers.image.revision"

var commitForm = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// commit reads a revision label: the full id of a commit, or nothing. Others put a
// branch or a tag there, or what a program would take for a flag.
func commit(label string) string {
	id := strings.ToLower(label)
	if !commitForm.MatchString(id) {
		return ""
	}
	return id
}

// describe reads what the image says of itself, and what it is where it is none.
// Where it has several platforms, the first one speaks for all: they are built from
// one commit.
func (s *session) describe(ctx context.Context, got *manifest, image *Image) (artifact string, err error) {
	if artifact := got.content.artifact(); artifact != "" {
		return artifact, nil
	}
	image.Revision = commit(got.content.Annotations[revisionKey])
	first := got
	if got.content.isIndex() {
		images := got.content.images()
		for _, one := range images {
			if one.Platform != nil {
				image.Platforms = append(image.Platforms, one.Platform.String())
			}
		}
		for _, one := range images { // an artifact beside the image may not be named as one
			if first, err = s.manifest(ctx, one.Digest.String()); err != nil {
				return "", err
			}
			if artifact = first.content.artifact(); artifact == "" {
				break
			}
		}
		if artifact != "" {
			return artifact, nil
		}
		if first.content.isIndex() {
			return "", nil
		}
	}
	body, err := s.blob(ctx, *first.content.Config)
	if err != nil {
		return "", err
	}
	var config v1.ConfigFile
	if err := json.Unmarshal(body, &config); err != nil {
		return "", fmt.Errorf("the configuration of %s cannot be read: %w", image.Tag, err)
	}
	if !got.content.isIndex() && config.OS != "" {
		image.Platforms = []string{config.Platform().String()}
	}
	if image.Revision == "" {
		image.Revision = commit(config.Config.Labels[revisionKey])
	}
	if !config.Created.IsZero() {
		image.Created = config.Created.UTC().Format("2006-01-02T15:04:05Z")
	}
	return "", nil
}
