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
	"slipway.dev/slipway/tests/registry/site"
)

// The releases of the fault matrix: 95 builds and some other tags, ten to a page.
// Of the builds, 90 and 93 were verified in staging.
const (
	repository = "team/app"
	newest     = site.Newest
	promotable = "latest-93"
)

func prepareReleases(t *testing.T) {
	t.Helper()
	first := newImage(t, "0000000", 100, 1)
	release(t, repository, "latest-1", first)
	require.NoError(t, distribution.SeedTags(repository, digestOf(t, first), site.Builds))
	for _, tag := range []string{"latest", "v1.2.3", "feature-12", "latest-rc-99"} {
		release(t, repository, tag, first)
	}
	for _, number := range []int{90, 91, 92, 93, 94, 95} {
		release(t, repository, fmt.Sprintf("latest-%d", number), newImage(t, fmt.Sprintf("%07d", number), 100, 1))
	}
	s := newSite(t)
	for _, tag := range []string{"latest-90", promotable} {
		found := s.helper(t, "nexus-latest-tag", s.Host+"/"+repository, "--at", tag, "--allow-unverified")
		require.Zero(t, found.Code, found.Stderr)
		added := s.helper(t, "image-evidence", "add", "--type", "staging-verified", "--file", statement(t, "{}"), strings.TrimSpace(found.Stdout))
		require.Zero(t, added.Code, added.Stderr)
	}
}

func faultySite(t *testing.T, switched ...int) *front {
	s := newSite(t)
	var faults []site.Fault
	for _, i := range switched {
		faults = append(faults, site.Faults[i])
	}
	s.Switch(faults...)
	return s
}

// TestFaults: alone and two at a time, the right answer or a clear error.
func TestFaults(t *testing.T) {
	prepareReleases(t)
	check := func(switched ...int) {
		names, certain := []string{}, true
		for _, i := range switched {
			names = append(names, site.Faults[i].Name)
			certain = certain && site.Faults[i].Certain
		}
		t.Run(strings.Join(names, "+"), func(t *testing.T) {
			t.Parallel()
			s := faultySite(t, switched...)
			got := s.helper(t, "nexus-latest-tag", s.Host+"/"+repository, "-o", "json")
			if !certain {
				assert.Equal(t, 3, got.Code, "%s%s", got.Stdout, got.Stderr)
				assert.Regexp(t, `(?s)^error: listing the tags of .+\n  why: .+\n  next: .+\n$`, got.Stderr)
				assert.NotContains(t, got.Stdout, "reference")
				return
			}
			require.Equal(t, 0, got.Code, got.Stderr)
			var found struct {
				Tag, Digest, Revision string
				Tags, Unmatched       int
				PassedOver            []struct{ Tag, Why string }
			}
			got.json(t, &found)
			assert.Equal(t, promotable, found.Tag)
			assert.Equal(t, fullCommit("0000093"), found.Revision)
			assert.Regexp(t, "^sha256:[0-9a-f]{64}$", found.Digest)
			assert.Equal(t, 95, found.Tags-found.Unmatched)
			require.Len(t, found.PassedOver, 2)
			assert.Equal(t, newest, found.PassedOver[0].Tag)
		})
	}
	for i := range site.Faults {
		check(i)
		for j := range i {
			check(j, i)
		}
	}
	check()
}

func TestACertificateThatNobodyTrusts(t *testing.T) {
	s := newSite(t)
	got := start(t, s.env, "nexus-latest-tag", s.Host+"/"+repository)
	assert.Equal(t, 2, got.Code)
	assert.Contains(t, got.Stderr, "--ca-file FILE")
	assert.Zero(t, s.Requests())
}

func TestPlainHTTPIsSpokenOnlyWhenAskedFor(t *testing.T) {
	front := nexus.New(upstream, site.Username, site.Password)
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
	assert.Equal(t, 2, got.Code)
	assert.Contains(t, got.Stderr, "speaks plain HTTP")
	assert.Zero(t, logins)
	release(t, "plain/app", "latest-1", newImage(t, "1234567", 100, 1))
	got = start(t, env, "nexus-latest-tag", host+"/plain/app", "--plain-http", "--allow-unverified")
	assert.Equal(t, 0, got.Code, got.Stderr)
	assert.NotZero(t, logins)
	s := newSite(t)
	got = start(t, env, "nexus-latest-tag", s.Host+"/plain/app", "--plain-http")
	assert.Equal(t, 2, got.Code)
	assert.Contains(t, got.Stderr, "leave --plain-http away")
}

func TestAWrongPasswordNamesTheRealmAndTheAccount(t *testing.T) {
	for _, tokens := range []string{"", "100"} {
		s := newSite(t)
		s.Set(nexus.Expiring, tokens)
		s.env = append(s.env, "REGISTRY_PASSWORD=wrong horse")
		got := s.helper(t, "nexus-latest-tag", s.Host+"/"+repository)
		assert.Equal(t, 2, got.Code)
		assert.Contains(t, got.Stderr, "Sonatype Nexus Repository Manager")
		assert.Contains(t, got.Stderr, "asked as jenkins")
		assert.NotContains(t, got.Stdout+got.Stderr, "horse")
	}
}

func TestDockersLoginIsFound(t *testing.T) {
	release(t, "docker/app", "latest-1", newImage(t, "1234567", 100, 1))
	s := newSite(t)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "config.json"), site.DockerConfig(s.Host, site.Password), 0o600))
	got := start(t, []string{"DOCKER_CONFIG=" + folder}, "nexus-latest-tag", s.Host+"/docker/app", "--ca-file", s.CA, "--allow-unverified")
	assert.Equal(t, 0, got.Code, got.Stderr)
	got = start(t, []string{"DOCKER_CONFIG=" + t.TempDir()}, "nexus-latest-tag", s.Host+"/docker/app", "--ca-file", s.CA, "--allow-unverified")
	assert.Equal(t, 2, got.Code)
	assert.Contains(t, got.Stderr, "nobody: there is no login for this registry")
}

// TestAHundredThousandTags: at once from the registry itself, and in a hundred
// pages, whose Link leads astray, from Nexus.
func TestAHundredThousandTags(t *testing.T) {
	t.Parallel()
	require.NoError(t, distribution.Seed("many/app", 100_000))
	s := newSite(t)
	for host, flags := range map[string][]string{upstream.Host: {"--plain-http"}, s.Host: {"--ca-file", s.CA}} {
		got := start(t, s.env, "nexus-latest-tag", append(flags, host+"/many/app", "--allow-unverified", "-o", "json")...)
		require.Zero(t, got.Code, got.Stderr)
		var found struct {
			Tag  string
			Tags int
		}
		got.json(t, &found)
		assert.Equal(t, "latest-100000", found.Tag)
		assert.Equal(t, 100_000, found.Tags)
	}
	assert.Greater(t, s.Requests(), 100, "all pages were read")
}
