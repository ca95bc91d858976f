package registry

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	maxManifest = 4 << 20 // bytes; what registries take at most
	maxConfig   = 8 << 20
)

// content is what manifests and indexes hold, as far as it matters here.
type content struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType,omitempty"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        *v1.Descriptor    `json:"config,omitempty"`
	Layers        []v1.Descriptor   `json:"layers,omitempty"`
	Manifests     []v1.Descriptor   `json:"manifests,omitempty"`
	Subject       *v1.Descriptor    `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// parseManifest reads an image's manifest or an index, and refuses what could be
// taken for either: https://github.com/opencontainers/image-spec/security/advisories/GHSA-77vh-xpmg-72qh
func parseManifest(body []byte) (content, error) {
	var c content
	if len(body) > maxManifest {
		return c, fmt.Errorf("the manifest is %d bytes long, more than %d MB", len(body), maxManifest>>20)
	}
	if err := readOnce(body, &c); err != nil {
		return c, fmt.Errorf("it is no manifest: %w", err)
	}
	switch {
	case c.SchemaVersion == 1:
		return c, errSchema1
	case c.SchemaVersion != 2:
		return c, fmt.Errorf("it is no manifest of schema 2 (schemaVersion %d)", c.SchemaVersion)
	case c.Config != nil && len(c.Manifests) > 0, c.Layers != nil && c.Manifests != nil:
		return c, fmt.Errorf("it is an index and an image at once")
	case c.MediaType.IsIndex() && (c.Config != nil || c.Layers != nil), c.MediaType.IsImage() && c.Manifests != nil:
		return c, fmt.Errorf("its mediaType %s is not what it holds", c.MediaType)
	case c.Manifests == nil && (c.Config == nil || c.Config.Digest.Hex == ""):
		return c, fmt.Errorf("it names no configuration")
	}
	for _, descriptor := range append(append([]v1.Descriptor{}, c.Layers...), c.Manifests...) {
		if descriptor.Size < 0 || descriptor.Digest.Algorithm != "sha256" {
			return c, fmt.Errorf("it names something without a sha256 digest and a size")
		}
	}
	return c, nil
}

var errSchema1 = errors.New("it is a manifest of schema 1, which container runtimes no longer run")

func (c content) isIndex() bool { return c.Manifests != nil }

// images are the ones in an index; attestations beside them name no platform. What go-containerregistry
// writes (crane, ko) names the configuration's media type as an image's artifactType.
func (c content) images() []v1.Descriptor {
	var images []v1.Descriptor
	for _, one := range c.Manifests {
		attestation := one.Platform != nil && one.Platform.OS == "unknown"
		image := one.ArtifactType == "" || types.MediaType(one.ArtifactType).IsConfig()
		if !attestation && image && (one.MediaType.IsImage() || one.MediaType.IsIndex()) {
			images = append(images, one)
		}
	}
	return images
}

// artifact says what it is where it is no image that can be run, and nothing of one that can.
func (c content) artifact() string {
	if c.isIndex() {
		if len(c.images()) == 0 {
			return "an index without an image"
		}
		return ""
	}
	if !c.Config.MediaType.IsConfig() {
		return "an artifact (" + cmp.Or(c.ArtifactType, string(c.Config.MediaType)) + ")"
	}
	for _, layer := range c.Layers {
		if !isLayer(layer.MediaType) {
			return "an artifact (of " + string(layer.MediaType) + ")"
		}
	}
	return ""
}

func isLayer(mediaType types.MediaType) bool {
	return strings.HasPrefix(string(mediaType), "application/vnd.oci.image.layer.") ||
		strings.HasPrefix(string(mediaType), "application/vnd.docker.image.rootfs.")
}

var errForm = errors.New("the manifest cannot be taken")

// check parses the manifest, and settles its media type.
func (m *manifest) check() error {
	c, err := parseManifest(m.Body)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errForm, m.Digest, err)
	}
	switch {
	case c.MediaType != "":
		m.MediaType = c.MediaType
	case c.isIndex():
		m.MediaType = types.OCIImageIndex
	default:
		m.MediaType = types.OCIManifestSchema1
	}
	m.content = c
	return nil
}
