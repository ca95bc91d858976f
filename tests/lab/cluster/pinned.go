package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"slipway.dev/slipway/tests/lab/pins"
)

// pinned gives the lab's own images the names of pins.yaml in containerd: NAME:TAG@DIGEST, with the digest that the
// field's image has. The lab's image has another digest, which no registry can answer under the field's.
func (c *Cluster) pinned(ctx context.Context) error {
	names, err := pins.Read(filepath.Join(c.Source, "..", ".."))
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, pin := range names {
		mirrored := NodeAddress + ":5000/" + pin.Mirrored()
		if !c.shareBlobs(pin.Mirrored()) || !strings.Contains(string(pin), "@") {
			continue
		}
		group.Go(func() error {
			if err := ctr(ctx, "content", "fetch", "--plain-http", mirrored); err != nil {
				return err
			}
			return ctr(ctx, "images", "tag", "--force", mirrored, pin.Resolved())
		})
	}
	return group.Wait()
}

// shareBlobs links an image's blobs from the mirror into containerd, which then has them without copying them.
// It says whether the mirror has the image.
func (c *Cluster) shareBlobs(image string) bool {
	repository, tag, _ := strings.Cut(image, ":")
	registry := filepath.Join(c.Cache, "images", "registry", "docker", "registry", "v2")
	link, err := os.ReadFile(filepath.Join(registry, "repositories", repository, "_manifests", "tags", tag, "current", "link"))
	if err != nil {
		return false
	}
	blob := func(digest string) string {
		algorithm, hex, _ := strings.Cut(digest, ":")
		return filepath.Join(registry, "blobs", algorithm, hex[:2], hex, "data")
	}
	body, err := os.ReadFile(blob(string(link)))
	if err != nil {
		return false
	}
	type descriptor struct{ Digest string }
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	if err := json.Unmarshal(body, &manifest); err != nil {
		return false
	}
	store := filepath.Join(c.Dir, "containerd", "io.containerd.content.v1.content", "blobs", "sha256")
	for _, each := range append(manifest.Layers, manifest.Config) {
		// Where a link cannot be made, containerd fetches the blob.
		_ = os.Link(blob(each.Digest), filepath.Join(store, strings.TrimPrefix(each.Digest, "sha256:")))
	}
	return true
}

func ctr(ctx context.Context, arguments ...string) error {
	out, err := exec.CommandContext(ctx, "ctr", append([]string{"--namespace", "k8s.io"}, arguments...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ctr %s: %w: %s", strings.Join(arguments, " "), err, out)
	}
	return nil
}
