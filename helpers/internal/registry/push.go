package registry

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Pushed is what nexus-push answers.
type Pushed struct {
	Reference string     `json:"reference"` // REGISTRY/REPOSITORY:TAG@DIGEST
	Digest    string     `json:"digest"`
	Already   bool       `json:"already"` // the tag named this digest before
	Evidence  []Evidence `json:"evidence,omitempty"`
}

// Text is the reference, for $(...).
func (p Pushed) Text(out io.Writer) error {
	_, err := fmt.Fprintln(out, p.Reference)
	return err
}

// Env gives the reference and the digest.
func (p Pushed) Env() []slipway.Pair {
	return []slipway.Pair{{Key: "REFERENCE", Value: p.Reference}, {Key: "DIGEST", Value: p.Digest}, {Key: "ALREADY", Value: fmt.Sprint(p.Already)}}
}

// Push pushes the image in the tar file as tag. A tag that names another digest
// is left alone, unless force. Nothing is sent before the tar was read to its end.
func (c *Client) Push(ctx context.Context, file string, tag name.Tag, force bool) (Pushed, error) {
	doing := "pushing " + tag.String()
	image, release, err := open(file)
	if err != nil {
		return Pushed{}, err
	}
	defer release()
	if err := check(image); err != nil {
		return Pushed{}, slipway.Usagef("%s is damaged, and nothing was pushed", file).Because(err).Next("build it again")
	}
	digest, err := image.Digest()
	if err != nil {
		return Pushed{}, slipway.Usagef("%s is damaged, and nothing was pushed", file).Because(err)
	}
	pushed := Pushed{Reference: tag.String() + "@" + digest.String(), Digest: digest.String()}
	present, err := remote.Get(tag, c.remote(remote.WithContext(ctx))...)
	switch {
	case err == nil && present.Digest == digest:
		pushed.Already = true
		return pushed, nil
	case err == nil && !force:
		return Pushed{}, slipway.Errorf(slipway.Conflict, "%s already names another image, %s", tag, present.Digest).
			Next("choose another tag; --force overwrites this one, for everybody who uses it")
	case err != nil && !isMissing(err):
		return Pushed{}, explain(err, tag.RegistryStr(), doing)
	}
	if err := remote.Write(tag, image, c.remote(remote.WithContext(ctx))...); err != nil {
		return Pushed{}, explain(err, tag.RegistryStr(), doing)
	}
	return pushed, nil
}

// open reads the image of a docker-save or an OCI tar.
func open(file string) (v1.Image, func(), error) {
	nothing := func() {}
	names, err := entries(file)
	if err != nil {
		return nil, nothing, slipway.Usagef("%s is no whole tar file, and nothing was pushed", file).Because(err).Next("build it again")
	}
	switch {
	case names["manifest.json"]:
		image, err := tarball.ImageFromPath(file, nil)
		if err != nil {
			return nil, nothing, slipway.Usagef("%s holds no single image, and nothing was pushed", file).Because(err)
		}
		return image, nothing, nil
	case names["index.json"]:
		return openOCI(file)
	default:
		return nil, nothing, slipway.Usagef("%s is a tar, but neither docker save's nor an OCI layout: it has no manifest.json and no index.json", file)
	}
}

// entries reads the tar to its end and names what is in it.
func entries(file string) (map[string]bool, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	names := map[string]bool{}
	for in := tar.NewReader(opened); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		names[strings.TrimPrefix(header.Name, "./")] = true
	}
}

func openOCI(file string) (v1.Image, func(), error) {
	dir, err := os.MkdirTemp("", "nexus-push")
	if err != nil {
		return nil, func() {}, err
	}
	release := func() { os.RemoveAll(dir) }
	image, err := extractOCI(file, dir)
	if err != nil {
		release()
		return nil, func() {}, slipway.Usagef("%s holds no single OCI image, and nothing was pushed", file).Because(err)
	}
	return image, release, nil
}

func extractOCI(file, dir string) (v1.Image, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	root, err := os.OpenRoot(dir) // no entry of the tar gets out of it
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for in := tar.NewReader(opened); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if err := root.MkdirAll(filepath.Dir(header.Name), 0o755); err != nil {
			return nil, err
		}
		out, err := root.Create(header.Name)
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(out, in)
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return nil, err
		}
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("there are %d images in it, not one", len(manifest.Manifests))
	}
	return index.Image(manifest.Manifests[0].Digest)
}

// check reads every layer and compares it with what the configuration says of it.
func check(image v1.Image) error {
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	if len(layers) != len(config.RootFS.DiffIDs) {
		return fmt.Errorf("there are %d layers, and the configuration names %d", len(layers), len(config.RootFS.DiffIDs))
	}
	for i, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			return fmt.Errorf("layer %d: %w", i+1, err)
		}
		hash, _, err := v1.SHA256(content)
		content.Close()
		if err != nil {
			return fmt.Errorf("layer %d: %w", i+1, err)
		}
		if hash != config.RootFS.DiffIDs[i] {
			return fmt.Errorf("layer %d is %s, and the configuration names %s", i+1, hash, config.RootFS.DiffIDs[i])
		}
	}
	return nil
}
