package registry

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

func TestATagIsNotTakenFromAnotherImage(t *testing.T) {
	client, host := serve(t)
	first := push(t, client, host+"/app:latest-1", "c1")
	_, other := imageTar(t, "c2")
	tag, err := client.Tag(host + "/app:latest-1")
	require.NoError(t, err)
	_, err = client.Push(t.Context(), tag, PushOptions{Tar: other})
	assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
	forced, err := client.Push(t.Context(), tag, PushOptions{Tar: other, Force: true})
	require.NoError(t, err)
	assert.NotEqual(t, first.Digest, forced.Digest)
	again, err := client.Push(t.Context(), tag, PushOptions{Tar: other})
	require.NoError(t, err)
	assert.True(t, again.Already)
}

func TestADamagedTarIsRefusedBeforeAnythingIsSent(t *testing.T) {
	_, whole := imageTar(t, "c")
	body, err := os.ReadFile(whole)
	require.NoError(t, err)
	var foreign bytes.Buffer
	out := tar.NewWriter(&foreign)
	require.NoError(t, out.WriteHeader(&tar.Header{Name: "README", Mode: 0o644}))
	require.NoError(t, out.Close())
	damaged := bytes.Clone(body)
	damaged[len(damaged)/3] ^= 0xff
	for name, content := range map[string][]byte{"cut off": body[:len(body)/2], "a changed byte": damaged, "no image": foreign.Bytes(),
		"no tar": []byte("hello"), "empty": nil} {
		t.Run(name, func(t *testing.T) {
			client, host := serve(t)
			file := filepath.Join(t.TempDir(), "image.tar")
			require.NoError(t, os.WriteFile(file, content, 0o600))
			tag, err := client.Tag(host + "/app:latest-1")
			require.NoError(t, err)
			_, err = client.Push(t.Context(), tag, PushOptions{Tar: file})
			assert.Equal(t, slipway.Usage, slipway.AsError(err).Code, "%v", err)
			repository, err := client.Repository(host + "/app")
			require.NoError(t, err)
			tags, err := client.Tags(t.Context(), repository)
			assert.True(t, err != nil || len(tags) == 0)
		})
	}
}

// Production takes the migrations of the commit that the image names: what is pushed for one commit names no other.
func TestAnImageOfAnotherCommitIsNotPushed(t *testing.T) {
	wanted, other := fullCommit("c1"), fullCommit("c2")
	client, host := serve(t)
	_, tar := imageTar(t, wanted)
	tag, err := client.Tag(host + "/app:latest-1")
	require.NoError(t, err)
	_, err = client.Push(t.Context(), tag, PushOptions{Tar: tar, Revision: other})
	assert.Equal(t, slipway.No, slipway.AsError(err).Code)
	assert.ErrorContains(t, err, "says that it was built from "+wanted+", not from "+other)
	_, err = client.Push(t.Context(), tag, PushOptions{Tar: tar, Revision: "c1"})
	assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
	_, err = client.Push(t.Context(), tag, PushOptions{Tar: tar, Revision: wanted})
	require.NoError(t, err)

	label := func(revision string) []byte {
		return []byte(`{"config":{"Labels":{"` + revisionKey + `":"` + revision + `"}}}`)
	}
	for name, c := range map[string]struct {
		annotations map[string]string
		config      []byte
		good        bool
	}{
		"both":                {map[string]string{revisionKey: wanted}, label(wanted), true},
		"in capitals":         {nil, label(strings.ToUpper(wanted)), true},
		"another annotation":  {map[string]string{revisionKey: other}, label(wanted), false},
		"an empty annotation": {map[string]string{revisionKey: ""}, label(wanted), false},
		"the annotation only": {map[string]string{revisionKey: wanted}, []byte("{}"), false},
		"none":                {nil, []byte("{}"), false},
		"a branch":            {nil, label("Staging"), false},
		"its beginning":       {nil, label(wanted[:12]), false},
		"no configuration":    {nil, []byte("x"), false},
	} {
		assert.Equal(t, c.good, checkRevision(wanted, c.annotations, c.config) == nil, name)
	}
	assert.NoError(t, checkRevision("", nil, nil), "nothing is required")
}
