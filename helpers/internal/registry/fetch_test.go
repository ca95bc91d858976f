package registry

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// fault answers a GET of a layer in another way than the registry, or leaves it to it.
type fault func(w http.ResponseWriter, r *http.Request, next http.Handler) bool

// serveFault starts a registry in memory whose layers are answered by the fault.
func serveFault(t *testing.T, layer func() string, fault fault) (*Client, string) {
	t.Helper()
	inner := fake.New(fake.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault != nil && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/blobs/"+layer()) && fault(w, r, inner) {
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	client := plain(t)
	client.first = 1
	return client, strings.TrimPrefix(server.URL, "http://")
}

func write(t *testing.T, host string, image v1.Image) name.Digest {
	t.Helper()
	tag, err := name.NewTag(host+"/quarantine/app:build-1", name.Insecure)
	require.NoError(t, err)
	require.NoError(t, remote.Write(tag, image))
	digest, err := image.Digest()
	require.NoError(t, err)
	return tag.Digest(digest.String())
}

// whole reads every layer of the image, and compares it with what the configuration names.
func whole(t *testing.T, image v1.Image) {
	t.Helper()
	layers, err := image.Layers()
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	require.Len(t, layers, len(config.RootFS.DiffIDs))
	for i, layer := range layers {
		in, err := layer.Uncompressed()
		require.NoError(t, err)
		sum := sha256.New()
		_, err = io.Copy(sum, in)
		require.NoError(t, err)
		assert.Equal(t, config.RootFS.DiffIDs[i], hashOf(sum))
	}
}

func TestWhatIsFetchedIsScannedAndPushedAsItIs(t *testing.T) {
	docker, err := random.Image(5000, 3)
	require.NoError(t, err)
	layers, err := docker.Layers()
	require.NoError(t, err)
	twice, err := mutate.AppendLayers(docker, layers[0])
	require.NoError(t, err)
	oci := mutate.ConfigMediaType(mutate.MediaType(docker, types.OCIManifestSchema1), types.OCIConfigJSON)
	for name, image := range map[string]v1.Image{"Docker's form": docker, "OCI": oci, "a layer twice": twice} {
		t.Run(name, func(t *testing.T) {
			client, host := serve(t)
			from := write(t, host, image)
			file := filepath.Join(t.TempDir(), "image.tar")
			fetched, err := client.Fetch(t.Context(), from, file, nil)
			require.NoError(t, err)
			config, err := image.ConfigName()
			require.NoError(t, err)
			assert.Equal(t, config.String(), fetched.Image)
			scanned, err := tarball.ImageFromPath(file, nil) // as Trivy reads it
			require.NoError(t, err)
			whole(t, scanned)
			tag, err := client.Tag(host + "/team/app:latest-1")
			require.NoError(t, err)
			repository := from.Context()
			pushed, err := client.Push(t.Context(), tag, PushOptions{Tar: file, Mount: &repository})
			require.NoError(t, err)
			assert.Equal(t, from.DigestStr(), pushed.Digest, "the digest is the one that was fetched")
			assert.Zero(t, pushed.Sent, "no layer is sent again")
		})
	}
}

func TestTheOneImageOfAnIndexIsFetched(t *testing.T) {
	client, host := serve(t)
	one, err := random.Image(100, 1)
	require.NoError(t, err)
	two, err := random.Image(100, 1)
	require.NoError(t, err)
	attestation := mutate.IndexAddendum{Add: two, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}}
	for i, test := range []struct {
		children []mutate.IndexAddendum
		says     string
	}{
		{[]mutate.IndexAddendum{{Add: one}, attestation}, ""},
		{[]mutate.IndexAddendum{{Add: one}, {Add: two}}, "an index of 2 images"},
		{[]mutate.IndexAddendum{attestation}, "no image"},
	} {
		index := mutate.AppendManifests(empty.Index, test.children...)
		tag, err := name.NewTag(fmt.Sprintf("%s/app:index-%d", host, i), name.Insecure)
		require.NoError(t, err)
		require.NoError(t, remote.WriteIndex(tag, index))
		digest, err := index.Digest()
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "image.tar")
		fetched, err := client.Fetch(t.Context(), tag.Digest(digest.String()), file, nil)
		if test.says == "" {
			require.NoError(t, err)
			wanted, err := one.Digest()
			require.NoError(t, err)
			assert.Equal(t, wanted.String(), fetched.Digest)
			continue
		}
		assert.ErrorContains(t, err, test.says)
		assert.Equal(t, slipway.No, slipway.AsError(err).Code)
		assert.NoFileExists(t, file)
	}
}

// The layer's answer breaks off, is another one, is gone, or is too long: the tar is whole, or there is none and what stood there stays.
func TestNoPartOfAnImageIsLeft(t *testing.T) {
	cut := func(times int64, ranges bool) fault {
		var count atomic.Int64
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
			if !ranges {
				r.Header.Del("Range")
			}
			if count.Add(1) > times {
				return false
			}
			whole := httptest.NewRecorder()
			next.ServeHTTP(whole, r)
			body := whole.Body.Bytes()
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.WriteHeader(whole.Code)
			_, _ = w.Write(body[:len(body)/2])
			panic(http.ErrAbortHandler)
		}
	}
	other := func(change func([]byte) []byte) fault {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
			whole := httptest.NewRecorder()
			next.ServeHTTP(whole, r)
			_, _ = w.Write(change(whole.Body.Bytes()))
			return true
		}
	}
	for name, test := range map[string]struct {
		fault fault
		code  int
		says  string
	}{
		"broken off once":              {cut(1, true), 0, ""},
		"broken off often":             {cut(8, true), 0, ""},
		"broken off, and no ranges":    {cut(2, false), 0, ""},
		"another content":              {other(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), slipway.Unknown, "for the layer"},
		"too short each time":          {other(func(b []byte) []byte { return b[:10] }), slipway.Unknown, ""},
		"longer than it is said to be": {other(func(b []byte) []byte { return append(b, 1) }), 0, ""},
		"nothing at all":               {other(func([]byte) []byte { return nil }), slipway.Unknown, "broke off"},
		"a page for people": {
			other(func([]byte) []byte { return []byte(strings.Repeat("<html>", 1000)) }), slipway.Unknown, "for the layer"},
		"gone": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"errors":[{"code":"BLOB_UNKNOWN"}]}`)
			return true
		}, slipway.No, "has no such thing"},
		"refused": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
			w.WriteHeader(http.StatusForbidden)
			return true
		}, slipway.Unknown, "refuses the login"},
	} {
		t.Run(name, func(t *testing.T) {
			image, err := random.Image(4000, 2)
			require.NoError(t, err)
			layers, err := image.Layers()
			require.NoError(t, err)
			layer, err := layers[1].Digest()
			require.NoError(t, err)
			client, host := serveFault(t, layer.String, test.fault)
			from := write(t, host, image)
			folder := t.TempDir()
			file := filepath.Join(folder, "image.tar")
			require.NoError(t, os.WriteFile(file, []byte("before"), 0o600))
			_, err = client.Fetch(t.Context(), from, file, nil)
			left, readErr := os.ReadDir(folder)
			require.NoError(t, readErr)
			assert.Len(t, left, 1, "nothing but the file itself")
			if test.code == 0 {
				require.NoError(t, err)
				fetched, err := tarball.ImageFromPath(file, nil)
				require.NoError(t, err)
				whole(t, fetched)
				return
			}
			assert.ErrorContains(t, err, test.says)
			assert.Equal(t, test.code, slipway.AsError(err).Code, err)
			body, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, "before", string(body))
		})
	}
}

// A registry may refuse to mount a layer, or say that it did and have it not: then it is sent.
func TestALayerThatCannotBeMountedIsSent(t *testing.T) {
	for name, mount := range map[string]int{"refused": http.StatusForbidden, "not known": http.StatusNotFound,
		"not allowed": http.StatusMethodNotAllowed, "not implemented": http.StatusNotImplemented, "no login for it": http.StatusUnauthorized,
		"said, and not done": http.StatusCreated, "an upload instead": http.StatusAccepted} {
		t.Run(name, func(t *testing.T) {
			inner := fake.New(fake.Logger(log.New(io.Discard, "", 0)))
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && r.URL.Query().Has("mount") {
					if mount != http.StatusAccepted {
						w.WriteHeader(mount)
						return
					}
					r.URL.RawQuery = ""
				}
				inner.ServeHTTP(w, r)
			}))
			defer server.Close()
			client, host := plain(t), strings.TrimPrefix(server.URL, "http://")
			image, file := imageTar(t, "c1")
			other, err := client.Repository(host + "/quarantine/app")
			require.NoError(t, err)
			tag, err := client.Tag(host + "/team/app:latest-1")
			require.NoError(t, err)
			pushed, err := client.Push(t.Context(), tag, PushOptions{Tar: file, Mount: &other})
			require.NoError(t, err)
			assert.Equal(t, 2, pushed.Sent)
			there, err := remote.Image(tag)
			require.NoError(t, err)
			whole(t, there)
			digest, err := image.Digest()
			require.NoError(t, err)
			assert.Equal(t, digest.String(), pushed.Digest)
		})
	}
}
