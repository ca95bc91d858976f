package registry

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sirupsen/logrus"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Fetched is an image that a tar file holds.
type Fetched struct {
	Digest string // of the image's manifest, which is what the tar holds of an index
	Image  string // the digest of its configuration, by which Trivy knows it
	Layers int
	Bytes  int64
}

// Fetch writes the image of that digest to a tar file in both forms that are read: an OCI
// layout, from which a push gives the same digest, and docker save's, which Trivy reads.
// Each byte is compared with the digest that was asked for. The file appears when it is
// whole; what stood under its name before is replaced then, and else left alone.
func (c *Client) Fetch(ctx context.Context, reference name.Digest, file string, progress *slipway.Progress) (Fetched, error) {
	s, err := c.open(ctx, reference.Context(), transport.PullScope)
	if err != nil {
		return Fetched{}, err
	}
	out, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return Fetched{}, slipway.Usagef("the file %s cannot be written", file).Because(err)
	}
	defer os.Remove(out.Name()) // it has another name when it is whole
	defer out.Close()
	w := &fetch{session: s, file: out, tar: tar.NewWriter(out), progress: progress}
	fetched, err := w.image(ctx, reference.DigestStr())
	if progress != nil {
		progress.Done()
	}
	if err != nil {
		return Fetched{}, s.explain(err, "fetching "+reference.String())
	}
	err = errors.Join(w.tar.Close(), out.Chmod(0o644), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), file)
	}
	if err != nil {
		return Fetched{}, unwritten(err)
	}
	return fetched, nil
}

// unwritten is what a full disk leads to.
func unwritten(err error) *slipway.Error {
	return slipway.Errorf(slipway.Unknown, "the tar cannot be written").Because(err).Next("see how much room its folder has")
}

// fetch is a tar that is being written.
type fetch struct {
	session     *session
	file        *os.File
	tar         *tar.Writer
	progress    *slipway.Progress
	done, total int64
}

func (f *fetch) image(ctx context.Context, digest string) (Fetched, error) {
	got, err := f.session.onlyImage(ctx, digest)
	if err != nil {
		return Fetched{}, err
	}
	c := got.content
	config, err := f.session.blob(ctx, *c.Config)
	if err != nil {
		return Fetched{}, err
	}
	names := []string{}
	for _, layer := range c.Layers {
		names = append(names, blobPath(layer.Digest))
		f.total += layer.Size
	}
	index := content{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{got.Descriptor}}
	saved := []map[string]any{{"Config": blobPath(c.Config.Digest), "RepoTags": []string{}, "Layers": names}}
	for _, each := range []struct {
		name string
		body any
	}{
		{"oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}}, {"index.json", index}, {"manifest.json", saved},
		{blobPath(got.Digest), json.RawMessage(got.Body)}, {blobPath(c.Config.Digest), json.RawMessage(config)},
	} {
		if err := f.document(each.name, each.body); err != nil {
			return Fetched{}, err
		}
	}
	seen := map[v1.Hash]bool{c.Config.Digest: true}
	for number, layer := range c.Layers {
		if seen[layer.Digest] {
			continue
		}
		seen[layer.Digest] = true
		if err := f.layer(ctx, layer); err != nil {
			return Fetched{}, fmt.Errorf("layer %d of %d: %w", number+1, len(c.Layers), err)
		}
	}
	return Fetched{Digest: got.Digest.String(), Image: c.Config.Digest.String(), Layers: len(c.Layers), Bytes: f.total}, nil
}

// onlyImage gives the manifest of the one image that the digest names.
func (s *session) onlyImage(ctx context.Context, digest string) (*manifest, error) {
	for range 3 {
		got, err := s.manifest(ctx, digest)
		if err != nil {
			return nil, err
		}
		if artifact := got.content.artifact(); artifact != "" {
			return nil, slipway.Errorf(slipway.No, "%s@%s is no image, but %s", s.repository, digest, artifact)
		}
		if !got.content.isIndex() {
			return got, nil
		}
		images := got.content.images()
		if len(images) > 1 {
			return nil, slipway.Errorf(slipway.No, "%s@%s is an index of %d images", s.repository, digest, len(images)).Because(errSeveral).
				Next("name the digest of one of them")
		}
		digest = images[0].Digest.String()
	}
	return nil, slipway.Errorf(slipway.No, "%s@%s: its indexes are nested too deep", s.repository, digest)
}

// document writes a small entry: a text as it is, and all else as JSON.
func (f *fetch) document(name string, body any) error {
	text, raw := body.(json.RawMessage)
	if !raw {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	if err := f.header(name, int64(len(text))); err != nil {
		return err
	}
	if _, err := f.tar.Write(text); err != nil {
		return unwritten(err)
	}
	return nil
}

func (f *fetch) header(name string, size int64) error {
	err := f.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Typeflag: tar.TypeReg, Format: tar.FormatPAX,
		ModTime: time.Unix(0, 0)})
	if err != nil {
		return unwritten(err)
	}
	return nil
}

// layer writes a layer. What breaks off goes on where it ended.
func (f *fetch) layer(ctx context.Context, d v1.Descriptor) error {
	if err := f.header(blobPath(d.Digest), d.Size); err != nil {
		return err
	}
	sum := sha256.New()
	failures := 0
	for written := int64(0); written < d.Size; {
		n, err := f.part(ctx, d, written, sum)
		written += n
		if err == nil {
			continue
		}
		if n > 0 {
			failures = 0
		}
		if failures++; ctx.Err() != nil || failures == attempts || isMissing(err) || !again(err) {
			return err
		}
		if err := sleep(ctx, f.session.first<<(failures-1)); err != nil {
			return err
		}
		logrus.Warnf("layer %s broke off; going on from byte %d of %d: %v", d.Digest.Hex[:12], written, d.Size, err)
	}
	if got := hashOf(sum); got != d.Digest {
		return slipway.Errorf(slipway.Unknown, "the registry sent %s for the layer %s", got, d.Digest).
			Next("push the image again: what the registry holds of it is damaged")
	}
	return nil
}

// part writes what comes of the layer from an offset on.
func (f *fetch) part(ctx context.Context, d v1.Descriptor, offset int64, sum hash.Hash) (int64, error) {
	header := http.Header{}
	if offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, d.Size-1))
	}
	response, err := f.session.do(ctx, http.MethodGet, "blobs/"+d.Digest.String(), nil, header, nil, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if offset > 0 && response.StatusCode == http.StatusOK { // it does not know ranges, and sends all of it
		if _, err := io.CopyN(io.Discard, response.Body, offset); err != nil {
			return 0, fmt.Errorf("the answer broke off: %w", err)
		}
	}
	kept := &keeper{fetch: f, sum: sum}
	n, err := io.CopyBuffer(kept, io.LimitReader(response.Body, d.Size-offset), make([]byte, chunk))
	switch {
	case kept.err != nil:
		return n, unwritten(kept.err)
	case err != nil:
		return n, fmt.Errorf("the answer broke off: %w", err)
	case n < d.Size-offset:
		return n, fmt.Errorf("the answer broke off: %w", io.ErrUnexpectedEOF)
	}
	return n, nil
}

// keeper writes into the tar, and knows whether that failed.
type keeper struct {
	*fetch
	sum hash.Hash
	err error
}

func (k *keeper) Write(p []byte) (int, error) {
	n, err := k.tar.Write(p)
	k.sum.Write(p[:n])
	k.err = err
	if k.done += int64(n); k.progress != nil && k.total>>20 > 0 {
		k.progress.Show(time.Now(), "fetching: %d of %d MB", k.done>>20, k.total>>20)
	}
	return n, err
}
