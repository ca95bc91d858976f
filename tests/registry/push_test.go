package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/lab/nexus"
)

// pull reads an image back, past the front, and checks every byte of it.
func pull(t *testing.T, reference string) v1.Image {
	t.Helper()
	_, after, _ := strings.Cut(reference, "/")
	parsed, err := name.ParseReference(upstream.Host+"/"+after, name.Insecure)
	require.NoError(t, err)
	image, err := remote.Image(parsed)
	require.NoError(t, err)
	require.NoError(t, validate.Image(image))
	return image
}

func TestWhatIsPushedIsWhatIsInTheTar(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	image := newImage(t, "1234567", 300_000, 3)
	file := writeTar(t, image)
	got := s.helper(t, "nexus-push", "--tar", file, s.Host+"/push/app:latest-1")
	require.Zero(t, got.Code, got.Stderr)
	reference := strings.TrimSpace(got.Stdout)
	assert.Equal(t, s.Host+"/push/app:latest-1@"+digestOf(t, image), reference, "the digest is the one that Kaniko would have pushed")
	pull(t, reference)

	before := s.Requests()
	got = s.helper(t, "nexus-push", "--tar", file, s.Host+"/push/app:latest-1", "-o", "json")
	require.Zero(t, got.Code, got.Stderr)
	assert.Contains(t, got.Stdout, `"already": true`)
	assert.LessOrEqual(t, s.Requests()-before, 3, "nothing is sent again")

	got = s.helper(t, "nexus-push", "--tar", file, s.Host+"/push/app:latest-2", "-o", "json")
	require.Zero(t, got.Code, got.Stderr)
	assert.Contains(t, got.Stdout, `"layersPresent": 3`)
	got = s.helper(t, "nexus-push", "--tar", file, s.Host+"/push/other:latest-1", "--mount-from", "push/app", "-o", "json")
	require.Zero(t, got.Code, got.Stderr)
	assert.Contains(t, got.Stdout, `"layersMounted": 3`)
	pull(t, s.Host+"/push/other:latest-1")

	got = s.helper(t, "nexus-push", "--tar", writeTar(t, newImage(t, "7654321", 1000, 1)), s.Host+"/push/app:latest-1")
	assert.Equal(t, 4, got.Code)
	assert.Contains(t, got.Stderr, "already names another image")
}

// TestALostConnectionGoesOn loses the connection of a layer in its middle; the rest of it is sent.
func TestALostConnectionGoesOn(t *testing.T) {
	t.Parallel()
	for form, write := range map[string]func(*testing.T, v1.Image) string{"compressed": writeTar, "saved": writeSaved} {
		s := newSite(t)
		s.Set(nexus.Dropped, "3000000")
		image := newImage(t, "1234567", 5_000_000, 2)
		got := s.helper(t, "nexus-push", "--tar", write(t, image), s.Host+"/lost/"+form+":latest-1")
		require.Zero(t, got.Code, got.Stderr)
		assert.Equal(t, 1, strings.Count(got.Stderr, "broke off"), got.Stderr)
		assert.Regexp(t, `broke off; going on from byte [3-4][0-9]{6} of 5`, got.Stderr)
		pull(t, strings.TrimSpace(got.Stdout))
	}
}

func TestFaultsDoNotHinderAPush(t *testing.T) {
	for _, fault := range []struct{ name, value string }{{nexus.Busy, "1"}, {nexus.Expiring, "2"}, {nexus.NoHead, "true"}} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.Set(fault.name, fault.value)
			image := newImage(t, "1234567", 300_000, 3)
			got := s.helper(t, "nexus-push", "--tar", writeTar(t, image), s.Host+"/faults/"+fault.name+":latest-1", "--evidence",
				"staging-verified="+statement(t, "{}"))
			require.Zero(t, got.Code, got.Stderr)
			assert.Equal(t, digestOf(t, image), digestOf(t, pull(t, s.Host+"/faults/"+fault.name+":latest-1")))
			got = s.helper(t, "nexus-latest-tag", s.Host+"/faults/"+fault.name)
			require.Zero(t, got.Code, got.Stderr)
			assert.Contains(t, got.Stdout, digestOf(t, image))
		})
	}
}

// TestTwoPushesOfOneTag: one of the two digests, and who lost is told or was first.
func TestTwoPushesOfOneTag(t *testing.T) {
	t.Parallel()
	for round := range 5 {
		s := newSite(t)
		var group sync.WaitGroup
		digests, answers := make([]string, 2), make([]answer, 2)
		reference := s.Host + "/race/app:latest-" + string(rune('1'+round))
		for i := range 2 {
			image := newImage(t, "1234567", 200_000, 2)
			digests[i] = digestOf(t, image)
			file := writeTar(t, image)
			group.Go(func() { answers[i] = s.helper(t, "nexus-push", "--tar", file, reference) })
		}
		group.Wait()
		there := digestOf(t, pull(t, reference))
		assert.Contains(t, digests, there)
		for i, got := range answers {
			switch got.Code {
			case 0:
				assert.Contains(t, got.Stdout, digests[i])
			case 4:
				assert.NotEqual(t, there, digests[i])
				assert.Empty(t, got.Stdout)
			default:
				t.Errorf("exit %d: %s", got.Code, got.Stderr)
			}
			if there == digests[i] {
				assert.Zero(t, got.Code, got.Stderr)
			}
		}
	}
}

func TestTheMemoryIsSmallForAnyImage(t *testing.T) {
	for form, write := range map[string]func(*testing.T, v1.Image) string{"compressed": writeTar, "not compressed": writeSaved} {
		t.Run(form, func(t *testing.T) {
			s := newSite(t)
			got := s.helper(t, "nexus-push", "--tar", write(t, newImage(t, "1234567", 60<<20, 4)),
				s.Host+"/big/app:"+strings.ReplaceAll(form, " ", "-"))
			require.Zero(t, got.Code, got.Stderr)
			assert.Less(t, got.Memory, int64(60<<10), "kB: less than one of the four layers")
		})
	}
}

// writeSaved writes the image as docker save did before version 25 and Buildah's
// docker-archive does: layers that are not compressed, the same one as a link.
func writeSaved(t *testing.T, image v1.Image) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "saved.tar")
	opened, err := os.Create(file)
	require.NoError(t, err)
	defer opened.Close()
	out := tar.NewWriter(opened)
	config, err := image.RawConfigFile()
	require.NoError(t, err)
	hash, err := image.ConfigName()
	require.NoError(t, err)
	write := func(name string, body []byte) {
		require.NoError(t, out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body))}))
		_, err := out.Write(body)
		require.NoError(t, err)
	}
	write(hash.Hex+".json", config)
	layers, err := image.Layers()
	require.NoError(t, err)
	manifest := `[{"Config":"` + hash.Hex + `.json","RepoTags":["app:1"],"Layers":[`
	for i, layer := range layers {
		diff, err := layer.DiffID()
		require.NoError(t, err)
		in, err := layer.Uncompressed()
		require.NoError(t, err)
		temporary, err := os.CreateTemp(t.TempDir(), "layer")
		require.NoError(t, err)
		size, err := io.Copy(temporary, in)
		require.NoError(t, err)
		_, err = temporary.Seek(0, io.SeekStart)
		require.NoError(t, err)
		require.NoError(t, out.WriteHeader(&tar.Header{Name: diff.Hex + "/layer.tar", Mode: 0o644, Size: size}))
		_, err = io.Copy(out, temporary)
		require.NoError(t, err)
		require.NoError(t, temporary.Close())
		path := diff.Hex + "/layer.tar"
		if i == 0 {
			require.NoError(t, out.WriteHeader(&tar.Header{Name: "linked/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../" + path}))
			path = "linked/layer.tar"
		}
		if i > 0 {
			manifest += ","
		}
		manifest += `"` + path + `"`
	}
	write("manifest.json", []byte(manifest+"]}]"))
	require.NoError(t, out.Close())
	return file
}

// writeLayout writes an OCI layout, as Buildah's oci-archive and docker save since version 25 do.
func writeLayout(t *testing.T, images ...v1.Image) string {
	t.Helper()
	folder := t.TempDir()
	path, err := layout.Write(folder, empty.Index)
	require.NoError(t, err)
	for _, image := range images {
		require.NoError(t, path.AppendImage(image))
	}
	file := filepath.Join(t.TempDir(), "layout.tar")
	out, err := exec.Command("tar", "-C", folder, "-cf", file, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return file
}

func TestEveryBuildersTar(t *testing.T) {
	s := newSite(t)
	image := newImage(t, "1234567", 100_000, 2)
	oci := mutate.ConfigMediaType(mutate.MediaType(image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for name, file := range map[string]string{"kaniko": writeTar(t, image), "saved": writeSaved(t, image), "layout": writeLayout(t, oci)} {
		got := s.helper(t, "nexus-push", "--tar", file, s.Host+"/builders/"+name+":latest-1")
		require.Zero(t, got.Code, got.Stderr)
		there := pull(t, strings.TrimSpace(got.Stdout))
		wanted, err := image.ConfigName()
		require.NoError(t, err)
		config, err := there.ConfigName()
		require.NoError(t, err)
		assert.Equal(t, wanted, config, name)
		layers, err := there.Layers()
		require.NoError(t, err)
		for _, layer := range layers {
			packed, err := layer.Compressed()
			require.NoError(t, err)
			_, err = gzip.NewReader(packed)
			assert.NoError(t, err, "a layer is compressed")
			packed.Close()
		}
	}
}

func TestWhatIsNoWholeImageIsRefusedBeforeAnythingIsSent(t *testing.T) {
	image := newImage(t, "1234567", 100_000, 2)
	whole, err := os.ReadFile(writeTar(t, image))
	require.NoError(t, err)
	laid, err := os.ReadFile(writeLayout(t, mutate.ConfigMediaType(mutate.MediaType(image, types.OCIManifestSchema1), types.OCIConfigJSON)))
	require.NoError(t, err)
	var packed bytes.Buffer
	out := gzip.NewWriter(&packed)
	_, err = out.Write(whole)
	require.NoError(t, err)
	require.NoError(t, out.Close())
	layers, err := image.Layers()
	require.NoError(t, err)
	digest, err := layers[1].Digest()
	require.NoError(t, err)
	other, err := newImage(t, "7654321", 100_000, 1).Layers()
	require.NoError(t, err)
	foreign, err := other[0].Compressed()
	require.NoError(t, err)
	otherBody, err := io.ReadAll(foreign)
	require.NoError(t, err)
	config, err := image.ConfigName()
	require.NoError(t, err)

	for name, test := range map[string]struct {
		body []byte
		says string
	}{
		"cut off":          {whole[:len(whole)/2], "cut off"},
		"a layout cut off": {laid[:len(laid)/2], "cut off"},
		"a changed byte":   {flip(whole, len(whole)/3), "layer"},
		"another layer": {rewrite(t, whole,
			func(h *tar.Header, body []byte) (*tar.Header, []byte) { return swap(h, body, digest.Hex, otherBody) }), "the configuration names"},
		"another blob": {rewrite(t, laid,
			func(h *tar.Header, body []byte) (*tar.Header, []byte) { return swap(h, body, digest.Hex, otherBody) }), "layer 2 of 2"},
		"a path out of it": {rewrite(t, whole, func(h *tar.Header, body []byte) (*tar.Header, []byte) {
			return rename(h, body, digest.Hex, "../../etc/cron.d/x")
		}), "leads out of it"},
		"an absolute path": {rewrite(t, whole, func(h *tar.Header, body []byte) (*tar.Header, []byte) {
			return rename(h, body, digest.Hex, "/etc/cron.d/x")
		}), "leads out of it"},
		"a manifest like a bomb": {rewrite(t, whole, func(h *tar.Header, body []byte) (*tar.Header, []byte) {
			return swap(h, body, "manifest.json", make([]byte, 5<<20))
		}), "4 MB is the most"},
		"no configuration": {rewrite(t, whole, func(h *tar.Header, body []byte) (*tar.Header, []byte) {
			return rename(h, body, config.Hex, "elsewhere")
		}), "does not hold it"},
		"compressed as a whole": {packed.Bytes(), "gunzip"},
		"no tar":                {[]byte("hello"), "cannot be read"},
		"empty":                 {nil, "neither docker save's nor an OCI layout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			file := filepath.Join(t.TempDir(), "image.tar")
			require.NoError(t, os.WriteFile(file, test.body, 0o600))
			got := s.helper(t, "nexus-push", "--tar", file, s.Host+"/refused/app:latest-1")
			assert.Equal(t, 2, got.Code, got.Stderr)
			assert.Contains(t, got.Stderr, test.says)
			assert.Contains(t, got.Stderr, "nothing was pushed")
			assert.Zero(t, s.Requests())
		})
	}
}

func flip(body []byte, at int) []byte {
	changed := bytes.Clone(body)
	changed[at] ^= 0xff
	return changed
}

func swap(h *tar.Header, body []byte, name string, other []byte) (*tar.Header, []byte) {
	if strings.Contains(h.Name, name) {
		h.Size = int64(len(other))
		return h, other
	}
	return h, body
}

func rename(h *tar.Header, body []byte, name, other string) (*tar.Header, []byte) {
	if strings.Contains(h.Name, name) {
		h.Name = other
	}
	return h, body
}

func rewrite(t *testing.T, body []byte, change func(*tar.Header, []byte) (*tar.Header, []byte)) []byte {
	t.Helper()
	var changed bytes.Buffer
	in, out := tar.NewReader(bytes.NewReader(body)), tar.NewWriter(&changed)
	for {
		header, err := in.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		content, err := io.ReadAll(in)
		require.NoError(t, err)
		header, content = change(header, content)
		require.NoError(t, out.WriteHeader(header))
		_, err = out.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, out.Close())
	return changed.Bytes()
}
