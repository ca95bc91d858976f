package registry

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAJobThatIsMadeAnew begins with low numbers while old images have high ones.
func TestAJobThatIsMadeAnew(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	target := s.Host + "/anew/app"
	for _, tag := range []string{"latest-411", "latest-412", "latest-6", "latest-7"} {
		got := s.helper(t, "nexus-push", "--tar", writeTar(t, newImage(t, "1234567", 1000, 1)), target+":"+tag, "-o", "json")
		require.Zero(t, got.Code, got.Stderr)
		var pushed struct{ Reference, Below string }
		got.json(t, &pushed)
		if strings.HasPrefix(tag, "latest-4") {
			assert.Empty(t, pushed.Below)
			assert.Empty(t, got.Stderr)
		} else {
			assert.Equal(t, "latest-412", pushed.Below)
			assert.Contains(t, got.Stderr, tag+" is below latest-412")
		}
		if tag != "latest-6" {
			got = s.helper(t, "image-evidence", "add", "--type", "staging-verified", "--file", statement(t, "{}"), pushed.Reference)
			require.Zero(t, got.Code, got.Stderr)
		}
	}
	got := s.helper(t, "nexus-latest-tag", target)
	assert.Equal(t, 4, got.Code, got.Stdout)
	assert.Contains(t, got.Stderr, "latest-412 has the highest number, and latest-7 was verified later")
	assert.Contains(t, got.Stderr, "--at latest-7 or --at latest-412")
	assert.Empty(t, got.Stdout)
	got = s.helper(t, "nexus-latest-tag", target, "--at", "latest-7")
	require.Zero(t, got.Code, got.Stderr)
	assert.Contains(t, got.Stdout, ":latest-7@sha256:")
}

// TestWhatIsPushedIsFound: one form of tags for who pushes and who looks for the newest.
func TestWhatIsPushedIsFound(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	target, versions := s.Host+"/versions/app", `^([0-9]+)\.([0-9]+)\.([0-9]+)$`
	push := func(tag string, flags ...string) answer {
		return s.helper(t, "nexus-push", append(flags, "--tar", writeTar(t, newImage(t, "1234567", 1000, 1)), target+":"+tag)...)
	}
	got := push("1.4.8")
	require.Zero(t, got.Code, got.Stderr)
	assert.Contains(t, got.Stderr, "the tag 1.4.8 is not of the form ^latest-([0-9]+)$, so nexus-latest-tag does not find it")
	before := s.Requests()
	got = push("latest-7", "--pattern", versions)
	assert.Equal(t, 2, got.Code)
	assert.Equal(t, before, s.Requests(), "nothing was sent")
	require.Zero(t, push("1.10.0", "--pattern", versions).Code)
	got = push("1.9.0", "--pattern", versions)
	require.Zero(t, got.Code)
	assert.Contains(t, got.Stderr, "1.9.0 is below 1.10.0")
	got = s.helper(t, "nexus-latest-tag", target, "--pattern", versions, "--allow-unverified")
	require.Zero(t, got.Code, got.Stderr)
	assert.Contains(t, got.Stdout, ":1.10.0@sha256:")
}
