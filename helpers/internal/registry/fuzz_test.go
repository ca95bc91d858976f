package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"
)

func proxyTo(host string) *httputil.ReverseProxy {
	return httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
}

// FuzzNextPage: whatever a Link says, the next request stays on our own path, and
// the parameters are ones that a query can hold.
func FuzzNextPage(f *testing.F) {
	for _, link := range []string{
		``, `</v2/app/tags/list?n=2&last=b>; rel="next"`, `</repository/docker/v2/app/tags/list?last=b&n=1000>; rel=next`,
		`<https://evil.example/v2/?last=x>; rel="next"`, `</v2/a?last=%zz>; rel="next"`,
		`<a>; rel="prev", <?last=c>; rel="next"`, `<?last=c>; rel="nextish"`, `<`,
	} {
		f.Add(link)
	}
	f.Fuzz(func(t *testing.T, link string) {
		next, more := nextPage(link)
		if !more && next != (pageRequest{}) {
			t.Fatalf("no more, and yet %+v", next)
		}
		if next.n != "" && !pageSize.MatchString(next.n) {
			t.Fatalf("n=%q", next.n)
		}
	})
}

// FuzzTags: a list of tags is one, or an error; the pager ends on whatever comes.
func FuzzTags(f *testing.F) {
	for _, body := range []string{`{"name":"a","tags":["latest-1","b"]}`, `{"name":"a","tags":null}`, `{"name":"a"}`, `{}`, `null`, `[]`,
		`<html>`, `{"tags":["a\nb"]}`, `{"tags":[1]}`,
		`{"name":"a","tags":["a"],"tags":["b"]}`, `{"name":"a","tags":["a","a\u0062"]}`, `{"name":"a","tags":[""]}`} {
		f.Add([]byte(body), `<?last=b>; rel="next"`)
	}
	f.Fuzz(func(t *testing.T, body []byte, link string) {
		tags, err := parseTags(body)
		if err != nil {
			return
		}
		var parsed struct{ Tags []string }
		if err := json.Unmarshal(body, &parsed); err != nil || !slices.Equal(tags, parsed.Tags) {
			t.Fatalf("read %q, and a parser %q (%v)", tags, parsed.Tags, err)
		}
		asked := 0
		all, err := collect(func(string, string) ([]string, string, error) {
			if asked++; asked > 3 {
				return nil, "", nil
			}
			return tags, link, nil
		}, func([]string) bool { return false })
		if err == nil && len(all) > len(tags) {
			t.Fatalf("%d tags became %d", len(tags), len(all))
		}
		if _, _, err := Order(all, standard); err != nil {
			return
		}
	})
}

// FuzzManifest: what is taken for a manifest is either an index or an image.
func FuzzManifest(f *testing.F) {
	for _, body := range []string{
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`,
		`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]}`,
		`{"schemaVersion":1}`, `{}`, `[]`, `{"schemaVersion":2,"manifests":[],"layers":[]}`, `{"schemaVersion":2,"config":{"digest":"md5:00"}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := parseManifest(body)
		if err == nil && c.isIndex() == (c.Config != nil) {
			t.Fatalf("index and image, or neither: %+v", c)
		}
	})
}

// FuzzTar: no tar makes the reader fail otherwise than by an error, or leaves its folder.
func FuzzTar(f *testing.F) {
	seeds, err := filepath.Glob("testdata/tars/*.tar")
	require.NoError(f, err)
	require.NotEmpty(f, seeds)
	for _, seed := range seeds {
		body, err := os.ReadFile(seed)
		require.NoError(f, err)
		f.Add(body)
	}
	file := filepath.Join(f.TempDir(), "image.tar")
	f.Fuzz(func(t *testing.T, body []byte) {
		if os.WriteFile(file, body, 0o600) != nil {
			t.Skip()
		}
		image, err := openImage(t.Context(), file)
		if err != nil {
			return
		}
		defer image.close()
		for _, layer := range image.layers {
			if layer.descriptor.Digest.Hex == "" || layer.descriptor.Size == 0 {
				t.Fatalf("a layer without a digest: %+v", layer.descriptor)
			}
		}
	})
}

// FuzzBundle: nothing counts that the key did not sign.
func FuzzBundle(f *testing.F) {
	subject := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}
	own, other := newKey(f), newKey(f)
	signed, err := signBundle(own, subject, map[string]any{annotationType: "approved"})
	require.NoError(f, err)
	key := other.public()
	facts, err := verifyBundle(own.public(), subject, signed)
	require.NoError(f, err)
	require.Equal(f, "approved", facts[annotationType])
	for _, body := range []string{string(signed), `{}`, `null`,
		`{"dsseEnvelope":{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":""}]}}`,
		`{"dsseEnvelope":{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":null}}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if facts, err := verifyBundle(key, subject, body); err == nil {
			t.Fatalf("taken as signed: %v", facts)
		}
	})
}

func newKey(t testing.TB) *PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	fingerprint, err := fingerprintOf(key.Public())
	require.NoError(t, err)
	return &PrivateKey{key, fingerprint}
}

func (k *PrivateKey) public() *PublicKey {
	return &PublicKey{[]accepted{{&k.key.PublicKey, k.fingerprint}}}
}
