package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// image is what a tar holds, whole and checked: a manifest, a configuration and layers.
type image struct {
	manifest  manifest
	config    []byte
	layers    []*layer
	archive   *archive
	names     []string // that several images have in the tar
	artifacts []string // what is in the tar beside the image, such as its bill of materials
}

func (i *image) close() { i.archive.file.Close() }

// openImage reads the image in the tar file: an OCI layout, or docker save's form.
// Every layer is read to its end and compared with what names it.
func openImage(ctx context.Context, file string) (*image, error) {
	archive, err := openArchive(file)
	if err != nil {
		return nil, slipway.Usagef("the tar %s cannot be read, and nothing was pushed", file).Because(err)
	}
	i := &image{archive: archive}
	if err := i.read(ctx); err != nil {
		i.close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, errSeveral) {
			return nil, slipway.Usagef("%s holds several images, and nothing was pushed", file).Because(err).
				Next("write the tar of one of them, such as: %s", i.onlyOne(file))
		}
		return nil, slipway.Usagef("%s holds no whole image, and nothing was pushed", file).Because(err).
			Next("build it again; docker save, Buildah and Kaniko write what is needed")
	}
	return i, nil
}

// configOf gives the digest of the configuration of the image in the tar file, by which a scanner knows it.
func configOf(file string) (string, error) {
	archive, err := openArchive(file)
	if err != nil {
		return "", slipway.Usagef("the tar %s cannot be read", file).Because(err)
	}
	i := &image{archive: archive}
	defer i.close()
	if i.isLayout() {
		err = i.readLayout()
	} else {
		err = i.readSaved()
	}
	if err != nil {
		return "", slipway.Usagef("%s holds no image", file).Because(err)
	}
	return i.manifest.content.Config.Digest.String(), nil
}

func (i *image) isLayout() bool { return i.archive.has("oci-layout") && i.archive.has("index.json") }

func (i *image) read(ctx context.Context) error {
	// What has both, as docker save writes it since version 25, names in the OCI
	// layout the digest that the image has already.
	switch {
	case i.isLayout():
		if err := i.readLayout(); err != nil {
			return err
		}
		return i.check(ctx)
	case i.archive.has("manifest.json"):
		if err := i.readSaved(); err != nil {
			return err
		}
		if err := i.check(ctx); err != nil {
			return err
		}
		return i.composeDocker()
	}
	return errors.New("it is a tar, but neither docker save's nor an OCI layout: it has no manifest.json, and no index.json with oci-layout")
}

func blobPath(digest v1.Hash) string { return path.Join("blobs", digest.Algorithm, digest.Hex) }

// readBlob reads a small blob of the layout that must be as its descriptor says.
func (i *image) readBlob(d v1.Descriptor, limit int64) ([]byte, error) {
	body, err := i.archive.read(blobPath(d.Digest), limit)
	if err != nil {
		return nil, err
	}
	if got := descriptorOf("", body); got.Digest != d.Digest || got.Size != d.Size {
		return nil, fmt.Errorf("its %s is %s (%d bytes), and should be of %d bytes", blobPath(d.Digest), got.Digest, got.Size, d.Size)
	}
	return body, nil
}

// readLayout reads https://github.com/opencontainers/image-spec/blob/main/image-layout.md
func (i *image) readLayout() error {
	body, err := i.archive.read("index.json", maxManifest)
	if err != nil {
		return err
	}
	for depth := 0; ; depth++ {
		index, err := parseManifest(body)
		if err != nil {
			return err
		}
		descriptor, err := i.only(index.Manifests)
		if err != nil {
			return err
		}
		if body, err = i.readBlob(descriptor, maxManifest); err != nil {
			return err
		}
		i.manifest = manifest{Body: body, Descriptor: descriptorOf(descriptor.MediaType, body)}
		if err := i.manifest.check(); err != nil {
			return err
		}
		if !i.manifest.content.isIndex() {
			break
		}
		if depth == 3 {
			return errors.New("its indexes are nested too deep")
		}
	}
	c := i.manifest.content
	if i.config, err = i.readBlob(*c.Config, maxConfig); err != nil {
		return err
	}
	for _, descriptor := range c.Layers {
		where, err := i.archive.find(blobPath(descriptor.Digest))
		if err != nil {
			return err
		}
		if where.size != descriptor.Size {
			return fmt.Errorf("its layer %s is %d bytes long, and should be %d", descriptor.Digest, where.size, descriptor.Size)
		}
		i.layers = append(i.layers, &layer{archive: i.archive, entry: where, descriptor: descriptor})
	}
	return nil
}

var errSeveral = errors.New("what is scanned and vouched for is one image, so one is pushed")

// only gives the one image among the manifests: the same one under two names is one,
// and what is not in the tar does not count. Artifacts that lie beside it, most of them
// about it (its subject), are noted.
func (i *image) only(manifests []v1.Descriptor) (v1.Descriptor, error) {
	found := map[v1.Hash]v1.Descriptor{}
	var named []string
	for _, one := range manifests {
		if _, again := found[one.Digest]; again || !i.archive.has(blobPath(one.Digest)) {
			continue
		}
		artifact, err := i.artifact(one)
		if err != nil {
			return v1.Descriptor{}, err
		}
		if artifact != "" {
			i.artifacts = append(i.artifacts, artifact+" "+one.Digest.String())
			continue
		}
		found[one.Digest] = one
		i.names = append(i.names, one.Annotations["org.opencontainers.image.ref.name"])
		if one.Platform != nil {
			named = append(named, one.Platform.String())
		}
	}
	if len(found) > 1 {
		slices.Sort(named)
		return v1.Descriptor{}, fmt.Errorf("it holds %d (%s): %w", len(found), cmp.Or(strings.Join(named, ", "), "of no platform that is named"),
			errSeveral)
	}
	for _, one := range found {
		i.names = nil
		return one, nil
	}
	return v1.Descriptor{}, fmt.Errorf("it is a layout without an image%s", beside(i.artifacts))
}

func beside(artifacts []string) string {
	if len(artifacts) == 0 {
		return ""
	}
	return ", which holds " + strings.Join(artifacts, ", ")
}

// artifact says what a manifest of the layout is where it is no image.
func (i *image) artifact(one v1.Descriptor) (string, error) {
	if one.Platform != nil && one.Platform.OS == "unknown" {
		return "an attestation", nil
	}
	body, err := i.readBlob(one, maxManifest)
	if err != nil {
		return "", err
	}
	c, err := parseManifest(body)
	if err != nil {
		return "", fmt.Errorf("%s: %w", one.Digest, err)
	}
	return c.artifact(), nil
}

// onlyOne is a command that takes one of several images: by its name where they have
// names, else by its platform.
func (i *image) onlyOne(file string) string {
	source, platform := "oci-archive:"+file, ""
	if at := slices.IndexFunc(i.names, func(name string) bool { return name != "" }); at >= 0 {
		source += ":" + i.names[at]
	} else {
		platform = "--override-arch amd64 "
	}
	return "skopeo copy " + platform + source + " oci-archive:one.tar"
}

// readSaved reads docker save's form:
// https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format
func (i *image) readSaved() error {
	body, err := i.archive.read("manifest.json", maxManifest)
	if err != nil {
		return err
	}
	var saved []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(body, &saved); err != nil {
		return fmt.Errorf("its manifest.json cannot be read: %w", err)
	}
	if len(saved) > 1 {
		return fmt.Errorf("its manifest.json names %d: %w", len(saved), errSeveral)
	}
	if len(saved) == 0 {
		return errors.New("its manifest.json names no image")
	}
	if saved[0].Config == "" {
		return errors.New("its manifest.json names no configuration")
	}
	if i.config, err = i.archive.read(saved[0].Config, maxConfig); err != nil {
		return err
	}
	config := descriptorOf(types.DockerConfigJSON, i.config)
	named := strings.TrimSuffix(strings.TrimPrefix(path.Base(saved[0].Config), "sha256:"), ".json")
	if len(named) == 64 && named != config.Digest.Hex {
		return fmt.Errorf("its configuration is %s, and is named %s", config.Digest, saved[0].Config)
	}
	i.manifest.content.Config = &config
	for _, name := range saved[0].Layers {
		where, err := i.archive.find(name)
		if err != nil {
			return err
		}
		i.layers = append(i.layers, &layer{archive: i.archive, entry: where, docker: true})
	}
	return nil
}

// check reads all layers, and compares them with the configuration.
func (i *image) check(ctx context.Context) error {
	var config v1.ConfigFile
	if err := json.Unmarshal(i.config, &config); err != nil {
		return fmt.Errorf("its configuration cannot be read: %w", err)
	}
	if len(i.layers) != len(config.RootFS.DiffIDs) {
		return fmt.Errorf("it has %d layers, and its configuration names %d", len(i.layers), len(config.RootFS.DiffIDs))
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for number, layer := range i.layers {
		group.Go(func() error {
			if err := layer.check(ctx, config.RootFS.DiffIDs[number]); err != nil {
				return fmt.Errorf("layer %d of %d: %w", number+1, len(i.layers), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// composeDocker makes the manifest that docker push would make.
func (i *image) composeDocker() error {
	composed := content{SchemaVersion: 2, MediaType: types.DockerManifestSchema2, Config: i.manifest.content.Config, Layers: []v1.Descriptor{}}
	for _, layer := range i.layers {
		composed.Layers = append(composed.Layers, layer.descriptor)
	}
	body, err := json.Marshal(composed)
	if err != nil {
		return err
	}
	i.manifest = manifest{Descriptor: descriptorOf(composed.MediaType, body), Body: body, content: composed}
	return nil
}
