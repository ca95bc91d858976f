package registry

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tool runs a builder's program, with nothing of the machine's own storage or settings.
func tool(t *testing.T, folder, program string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(context.WithoutCancel(t.Context()), program, arguments...)
	command.Dir = folder
	command.Env = append(os.Environ(), "TMPDIR="+folder, "BUILDAH_ISOLATION=chroot", "HOME="+folder, "XDG_RUNTIME_DIR="+folder,
		"XDG_DATA_HOME="+folder, "_CONTAINERS_ROOTLESS_UID=1000") // else they remember layers in root's /var/lib
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", program, arguments, out)
	return strings.TrimSpace(string(out))
}

// TestWhatBuildahAndSkopeoWrite pushes what the programs themselves write, and
// reads back that it is the image that was built.
func TestWhatBuildahAndSkopeoWrite(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "policy.json"), []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "program"), []byte(strings.Repeat("a program\n", 100_000)), 0o700))
	buildah := func(arguments ...string) string {
		return tool(t, folder, "buildah",
			append([]string{"--root", folder + "/root", "--runroot", folder + "/run", "--storage-driver", "vfs"}, arguments...)...)
	}
	container := buildah("from", "scratch")
	buildah("copy", container, filepath.Join(folder, "program"), "/program")
	buildah("config", "--label", "org.opencontainers.image.revision="+fullCommit("1234567"), container)
	buildah("commit", "--signature-policy", folder+"/policy.json", container, "app")
	for _, form := range []string{"oci-archive", "docker-archive"} {
		buildah("push", "--signature-policy", folder+"/policy.json", "app", form+":"+folder+"/buildah-"+form+".tar")
		tool(t, folder, "skopeo", "copy", "--policy", folder+"/policy.json", "oci-archive:buildah-oci-archive.tar",
			form+":skopeo-"+form+".tar:app:1")
	}
	tool(t, folder, "skopeo", "copy", "--policy", folder+"/policy.json", "--dest-compress-format", "zstd", "--dest-compress",
		"oci-archive:buildah-oci-archive.tar", "oci:zstd")
	tool(t, folder, "tar", "-C", "zstd", "-cf", "skopeo-zstd.tar", ".")
	tars, err := filepath.Glob(folder + "/*.tar")
	require.NoError(t, err)
	require.Len(t, tars, 5)
	s := newSite(t)
	for _, tar := range tars {
		got := s.helper(t, "nexus-push", "--tar", tar, s.Host+"/built/"+strings.TrimSuffix(filepath.Base(tar), ".tar")+":latest-1")
		require.Zero(t, got.Code, "%s: %s", tar, got.Stderr)
		reference := strings.Replace(strings.TrimSpace(got.Stdout), s.Host, upstream.Host, 1)
		_, digest, _ := strings.Cut(reference, "@")
		// skopeo reads it back, and compares every layer with its digest.
		tool(t, folder, "skopeo", "copy", "--policy", folder+"/policy.json", "--src-tls-verify=false",
			"docker://"+strings.Replace(reference, ":latest-1@", "@", 1), "dir:back")
		assert.Equal(t, "sha256:"+tool(t, folder, "sha256sum", "back/manifest.json")[:64], digest, tar)
		found := s.helper(t, "nexus-latest-tag", s.Host+"/built/"+strings.TrimSuffix(filepath.Base(tar), ".tar"), "--allow-unverified",
			"--require-revision", "1234567")
		assert.Equal(t, got.Stdout, found.Stdout, found.Stderr)
	}
}

// TestSeveralPlatformsAreRefusedAndTheHintHelps: a tar of an index is not guessed at.
func TestSeveralPlatformsAreRefusedAndTheHintHelps(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	index := v1.ImageIndex(empty.Index)
	for _, architecture := range []string{"amd64", "arm64"} {
		image := mutate.ConfigMediaType(mutate.MediaType(newImage(t, "1234567", 1000, 1), types.OCIManifestSchema1), types.OCIConfigJSON)
		index = mutate.AppendManifests(index,
			mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}})
	}
	path, err := layout.Write(filepath.Join(folder, "layout"), empty.Index)
	require.NoError(t, err)
	require.NoError(t, path.AppendIndex(index))
	tool(t, folder, "skopeo", "--insecure-policy", "copy", "--all", "oci:layout", "oci-archive:both.tar")
	s := newSite(t)
	file := filepath.Join(folder, "both.tar")
	got := s.helper(t, "nexus-push", "--tar", file, s.Host+"/platforms/app:latest-1")
	assert.Equal(t, 2, got.Code)
	assert.Contains(t, got.Stderr, "it holds 2 (linux/amd64, linux/arm64)")
	assert.Zero(t, s.Requests())
	hint := fmt.Sprintf("skopeo copy --override-arch amd64 oci-archive:%s oci-archive:one.tar", file)
	require.Contains(t, got.Stderr, hint)
	words := strings.Fields(hint)
	tool(t, folder, words[0], append([]string{"--insecure-policy"}, words[1:]...)...)
	got = s.helper(t, "nexus-push", "--tar", filepath.Join(folder, "one.tar"), s.Host+"/platforms/app:latest-1")
	require.Zero(t, got.Code, got.Stderr)
	pull(t, strings.TrimSpace(got.Stdout))
}
