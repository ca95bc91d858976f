package registry

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/lab/nexus"
)

// The releases of the fault matrix: 95 builds and some other tags, ten to a page.
// Of the builds, 90 and 93 were verified in staging.
const (
	repository = "team/app"
	newest     = "latest-95"
	promotable = "latest-93"
)

func prepareReleases(t *testing.T) {
	t.Helper()
	first := newImage(t, "0000000", 100, 1)
	release(t, repository, "latest-1", first)
	seedTags(t, repository, digestOf(t, first), 95)
	for _, tag := range []string{"latest", "v1.2.3", "feature-12", "latest-rc-99"} {
		release(t, repository, tag, first)
	}
	for _, number := range []int{90, 91, 92, 93, 94, 95} {
		release(t, repository, fmt.Sprintf("latest-%d", number), newImage(t, fmt.Sprintf("%07d", number), 100, 1))
	}
	s := newSite(t)
	for _, tag := range []string{"latest-90", promotable} {
		found := s.helper(t, "nexus-latest-tag", s.host+"/"+repository, "--at", tag, "--allow-unverified")
		require.Zero(t, found.code, found.stderr)
		added := s.helper(t, "image-evidence", "add", "--type", "staging-verified", "--file", statement(t, "{}"), strings.TrimSpace(found.stdout))
		require.Zero(t, added.code, added.stderr)
	}
}

// faults are the switches, each with a value under which it shows.
var faults = []struct {
	name, value string
	certain     bool // the right answer can be told all the same
}{
	{nexus.WrongLink, "true", true},
	{nexus.NoLink, "true", true},
	{nexus.NullTags, "true", true},
	{nexus.NoHead, "true", true},
	{nexus.Gone, newest, true},
	{nexus.Busy, "1", true},
	{nexus.BrokenPage, "7", false},
	{nexus.Expiring, "3", true},
	{nexus.Truncated, "true", false},
	{nexus.Repeating, "3", false},
}

func faultySite(t *testing.T, switched ...int) *site {
	s := newSite(t)
	s.PageSize = 10
	s.Set(nexus.WrongLink, "")
	for _, i := range switched {
		s.Set(faults[i].name, faults[i].value)
	}
	return s
}

// TestFaults: alone and two at a time, the right answer or a clear error.
func TestFaults(t *testing.T) {
	prepareReleases(t)
	check := func(switched ...int) {
		names, certain := []string{}, true
		for _, i := range switched {
			names = append(names, faults[i].name)
			certain = certain && faults[i].certain
		}
		t.Run(strings.Join(names, "+"), func(t *testing.T) {
			t.Parallel()
			s := faultySite(t, switched...)
			got := s.helper(t, "nexus-latest-tag", s.host+"/"+repository, "-o", "json")
			if !certain {
				assert.Equal(t, 3, got.code, "%s%s", got.stdout, got.stderr)
				assert.Regexp(t, `(?s)^error: listing the tags of .+\n  why: .+\n  next: .+\n$`, got.stderr)
				assert.NotContains(t, got.stdout, "reference")
				return
			}
			require.Equal(t, 0, got.code, got.stderr)
			var found struct {
				Tag, Digest, Revision string
				Tags, Unmatched       int
				PassedOver            []struct{ Tag, Why string }
			}
			got.json(t, &found)
			assert.Equal(t, promotable, found.Tag)
			assert.Equal(t, "0000093", found.Revision)
			assert.Regexp(t, "^sha256:[0-9a-f]{64}$", found.Digest)
			assert.Equal(t, 95, found.Tags-found.Unmatched)
			require.Len(t, found.PassedOver, 2)
			assert.Equal(t, newest, found.PassedOver[0].Tag)
		})
	}
	for i := range faults {
		check(i)
		for j := range i {
			check(j, i)
		}
	}
	check()
}

func TestACertificateThatNobodyTrusts(t *testing.T) {
	s := newSite(t)
	got := start(t, s.env, "nexus-latest-tag", s.host+"/"+repository)
	assert.Equal(t, 2, got.code)
	assert.Contains(t, got.stderr, "--ca-file FILE")
	assert.Zero(t, s.Requests())
}

func TestPlainHTTPIsSpokenOnlyWhenAskedFor(t *testing.T) {
	front := nexus.New(upstream, username, password)
	var logins int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			logins++
		}
		front.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	env := newSite(t).env
	got := start(t, env, "nexus-latest-tag", host+"/"+repository)
	assert.Equal(t, 2, got.code)
	assert.Contains(t, got.stderr, "speaks plain HTTP")
	assert.Zero(t, logins)
	release(t, "plain/app", "latest-1", newImage(t, "1234567", 100, 1))
	got = start(t, env, "nexus-latest-tag", host+"/plain/app", "--plain-http", "--allow-unverified")
	assert.Equal(t, 0, got.code, got.stderr)
	assert.NotZero(t, logins)
	s := newSite(t)
	got = start(t, env, "nexus-latest-tag", s.host+"/plain/app", "--plain-http")
	assert.Equal(t, 2, got.code)
	assert.Contains(t, got.stderr, "leave --plain-http away")
}

func TestAWrongPasswordNamesTheRealmAndTheAccount(t *testing.T) {
	for _, tokens := range []string{"", "100"} {
		s := newSite(t)
		s.Set(nexus.Expiring, tokens)
		s.env = append(s.env, "REGISTRY_PASSWORD=wrong horse")
		got := s.helper(t, "nexus-latest-tag", s.host+"/"+repository)
		assert.Equal(t, 2, got.code)
		assert.Contains(t, got.stderr, "Sonatype Nexus Repository Manager")
		assert.Contains(t, got.stderr, "asked as jenkins")
		assert.NotContains(t, got.stdout+got.stderr, "horse")
	}
}

func TestDockersLoginIsFound(t *testing.T) {
	release(t, "docker/app", "latest-1", newImage(t, "1234567", 100, 1))
	s := newSite(t)
	folder := t.TempDir()
	config := fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, s.host, username, password)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "config.json"), []byte(config), 0o600))
	got := start(t, []string{"DOCKER_CONFIG=" + folder}, "nexus-latest-tag", s.host+"/docker/app", "--ca-file", s.ca, "--allow-unverified")
	assert.Equal(t, 0, got.code, got.stderr)
	got = start(t, []string{"DOCKER_CONFIG=" + t.TempDir()}, "nexus-latest-tag", s.host+"/docker/app", "--ca-file", s.ca, "--allow-unverified")
	assert.Equal(t, 2, got.code)
	assert.Contains(t, got.stderr, "nobody: there is no login for this registry")
}
