package registry

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// clone is a repository of commits in a row; branch is beside the last one.
func clone(t *testing.T) (folder string, row []string, branch string) {
	t.Helper()
	folder = t.TempDir()
	git := func(arguments ...string) string {
		out, err := exec.Command("git",
			append([]string{"-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.com"}, arguments...)...).CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	for i := range 3 {
		git("commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", fmt.Sprint(i))
		row = append(row, git("rev-parse", "HEAD"))
	}
	git("checkout", "-q", row[0])
	git("commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "beside")
	return folder, row, git("rev-parse", "HEAD")
}

// One image has the highest number and another one is newer: by the time of its
// evidence, or by its commit. Which is meant is for a person to say.
func TestAJobThatIsMadeAnewIsNoticed(t *testing.T) {
	folder, row, branch := clone(t)
	first := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name     string
		high     string        // the commit of latest-412
		low      string        // and of latest-7
		later    time.Duration // latest-7 was verified so much after latest-412
		without  bool          // no clone is given
		conflict string
	}{
		{name: "the numbers are right", high: row[1], low: row[0], later: -time.Hour},
		{name: "made anew", high: row[0], low: row[1], later: time.Hour, conflict: "follows"},
		{name: "made anew, without a clone", high: row[0], low: row[1], later: time.Hour, without: true,
			conflict: "was verified later (2026-01-01T13:00:00Z, and that one 2026-01-01T12:00:00Z)"},
		{name: "made anew, of one commit", high: row[0], low: row[0], later: time.Hour, conflict: "was verified later"},
		{name: "commits that the clone lacks", high: strings.Repeat("a", 40), low: strings.Repeat("b", 40), later: time.Hour,
			conflict: "was verified later"},
		{name: "commits that are none", high: "main", low: "--all", later: time.Hour, conflict: "was verified later"},
		{name: "beside each other", high: branch, low: row[2], later: time.Hour, conflict: "was verified later"},
		{name: "beside each other, in order", high: branch, low: row[2], later: -time.Hour},
		{name: "builds that overlapped", high: row[1], low: row[0], later: time.Minute},
		{name: "an old commit built again", high: row[0], low: row[2], later: -time.Hour,
			conflict: "is built from " + row[2] + ", which follows that one's " + row[0]},
		{name: "at the same time", high: row[0], low: row[0]},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, host := serve(t)
			verified := func(tag, commit string, at time.Time) {
				pushed := push(t, client, host+"/app:"+tag, commit)
				for i, at := range []time.Time{at, at.AddDate(1, 0, 0)} { // verified again: the first time counts
					forge(t, client, host+"/app@"+pushed.Digest, "staging-verified", fmt.Sprint(i),
						map[string]string{annotationCreated: at.Format(time.RFC3339)})
				}
			}
			verified("latest-412", test.high, first)
			verified("latest-7", test.low, first.Add(test.later))
			push(t, client, host+"/app:latest-6", "c6")
			repository, err := client.Repository(host + "/app")
			require.NoError(t, err)
			search := Search{Pattern: standard, Required: []string{"staging-verified"}, Git: folder}
			if test.without {
				search.Git = ""
			}
			found, err := client.Latest(t.Context(), repository, search)
			if test.conflict == "" {
				require.NoError(t, err)
				assert.Equal(t, "latest-412", found.Tag)
				return
			}
			assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code, "%v", err)
			assert.ErrorContains(t, err, test.conflict)
			assert.ErrorContains(t, err, "--at latest-7 or --at latest-412")
			search.At = "latest-7"
			found, err = client.Latest(t.Context(), repository, search)
			require.NoError(t, err)
			assert.Equal(t, "latest-7", found.Tag)
		})
	}
}

// Among hundreds of tags, some are compared: a job that is made anew begins with the lowest.
func TestAJobThatIsMadeAnewIsNoticedAmongHundreds(t *testing.T) {
	client, host := serve(t)
	requests := 0
	front := (&witness{}).server(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		proxyTo(host).ServeHTTP(w, r)
	})
	first := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	verified := func(tag string, at time.Time) {
		pushed := push(t, client, host+"/app:"+tag, "")
		forge(t, client, host+"/app@"+pushed.Digest, "staging-verified", "s", map[string]string{annotationCreated: at.Format(time.RFC3339)})
	}
	push(t, client, host+"/app:latest-100", "")
	repository, err := client.Repository(strings.TrimPrefix(front.URL, "http://") + "/app")
	require.NoError(t, err)
	s, err := client.open(t.Context(), repository, "pull,push")
	require.NoError(t, err)
	failed, err := s.manifest(t.Context(), "latest-100")
	require.NoError(t, err)
	for number := 101; number < 400; number++ {
		_, err := s.putManifest(t.Context(), fmt.Sprintf("latest-%d", number), failed.MediaType, failed.Body)
		require.NoError(t, err)
	}
	verified("latest-400", first.Add(-time.Hour))
	verified("latest-412", first)
	search := Search{Pattern: standard, Required: []string{"staging-verified"}}
	requests = 0
	found, err := client.Latest(t.Context(), repository, search)
	require.NoError(t, err)
	assert.Equal(t, "latest-412", found.Tag)
	assert.LessOrEqual(t, requests, 2*comparedTags+20)

	push(t, client, host+"/app:latest-6", "")
	verified("latest-7", first.Add(time.Hour))
	_, err = client.Latest(t.Context(), repository, search)
	assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code, "%v", err)
	assert.ErrorContains(t, err, "latest-7 was verified later")
}

func TestAFolderThatIsNoCloneIsWrongUsage(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, ".git"), []byte("none"), 0o600))
	client, host := serve(t)
	repository, err := client.Repository(host + "/app")
	require.NoError(t, err)
	_, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Git: folder})
	assert.Equal(t, slipway.Usage, slipway.AsError(err).Code)
}
