package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// serve starts a registry in memory; the real one is met on the lab.
func serve(t *testing.T, options ...fake.Option) (client *Client, host string) {
	t.Helper()
	server := httptest.NewServer(fake.New(append(options, fake.Logger(log.New(io.Discard, "", 0)))...))
	t.Cleanup(server.Close)
	return plain(t), strings.TrimPrefix(server.URL, "http://")
}

func plain(t *testing.T) *Client {
	t.Helper()
	client, err := New(Options{PlainHTTP: true, UserAgent: "test"})
	require.NoError(t, err)
	return client
}

func imageTar(t *testing.T, revision string) (v1.Image, string) {
	t.Helper()
	made, err := random.Image(1000, 2)
	require.NoError(t, err)
	file, err := made.ConfigFile()
	require.NoError(t, err)
	file = file.DeepCopy()
	file.Config.Labels = map[string]string{"org.opencontainers.image.revision": revision}
	made, err = mutate.ConfigFile(made, file)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "image.tar")
	tag, err := name.NewTag("example.com/app:1")
	require.NoError(t, err)
	require.NoError(t, tarball.WriteToFile(path, tag, made))
	return made, path
}

func push(t *testing.T, client *Client, reference, revision string, evidence ...string) *Pushed {
	t.Helper()
	_, file := imageTar(t, revision)
	tag, err := client.Tag(reference)
	require.NoError(t, err)
	pushed, err := client.Push(t.Context(), tag, PushOptions{Tar: file})
	require.NoError(t, err)
	statement := filepath.Join(t.TempDir(), "statement.json")
	require.NoError(t, os.WriteFile(statement, []byte(`{"SchemaVersion":2}`), 0o600))
	for _, kind := range evidence {
		_, err := client.AddEvidence(t.Context(), tag.Digest(pushed.Digest), Statement{Type: kind, File: statement, Build: "https://jenkins.example/1"})
		require.NoError(t, err)
	}
	return pushed
}

var standard = regexp.MustCompile(DefaultPattern)

func TestTheNewestWithEvidenceIsTakenAndWhatIsNewerIsNamed(t *testing.T) {
	client, host := serve(t)
	push(t, client, host+"/app:latest-9", "c9c9c9c9c9c9", "staging-verified")
	verified := push(t, client, host+"/app:latest-10", "c10", "scan", "staging-verified")
	push(t, client, host+"/app:latest-11", "c11", "scan")
	push(t, client, host+"/app:feature", "x")
	repository, err := client.Repository(host + "/app")
	require.NoError(t, err)

	found, err := client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}})
	require.NoError(t, err)
	assert.Equal(t, verified.Reference, found.Reference)
	assert.Equal(t, "c10", found.Revision)
	require.Len(t, found.PassedOver, 1)
	assert.Equal(t, "latest-11", found.PassedOver[0].Tag)
	assert.Equal(t, "no evidence of staging-verified", found.PassedOver[0].Why)
	assert.Len(t, found.Evidence, 2)

	found, err = client.Latest(t.Context(), repository, Search{Pattern: standard})
	require.NoError(t, err)
	assert.Equal(t, "latest-11", found.Tag)

	found, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}, At: "latest-9"})
	require.NoError(t, err)
	assert.Equal(t, "latest-9", found.Tag)

	_, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}, At: "latest-11"})
	assert.Equal(t, slipway.No, slipway.AsError(err).Code)
	_, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"signed"}})
	assert.ErrorContains(t, err, "no image of")
	_, err = client.Latest(t.Context(), repository, Search{Pattern: standard, Required: []string{"staging-verified"}, Revision: "c9c9c9c9"})
	require.NoError(t, err)
}

func TestOrder(t *testing.T) {
	for _, test := range []struct {
		name      string
		tags      []string
		want      []string
		unmatched int
		fails     string
	}{
		{name: "by number, not by letter", tags: []string{"latest-9", "latest-10", "latest-100"}, want: []string{"latest-100", "latest-10", "latest-9"}},
		{name: "numbers of any length", tags: []string{"latest-99999999999999999999", "latest-100000000000000000000"}, want: []string{"latest-100000000000000000000", "latest-99999999999999999999"}},
		{name: "others are counted", tags: []string{"latest", "v1", "latest-1", "latest-1b"}, want: []string{"latest-1"}, unmatched: 3},
		{name: "one number twice", tags: []string{"latest-7", "latest-007"}, fails: "have the same number"},
		{name: "none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ordered, unmatched, err := Order(test.tags, standard)
			if test.fails != "" {
				assert.ErrorContains(t, err, test.fails)
				return
			}
			require.NoError(t, err)
			var got []string
			for _, candidate := range ordered {
				got = append(got, candidate.Tag)
			}
			assert.Equal(t, test.want, got)
			assert.Equal(t, test.unmatched, unmatched)
		})
	}
}

// pages serves tags as a registry with the fault that answer describes.
func pages(t *testing.T, answer func(w http.ResponseWriter, last string, request int)) (*Client, name.Repository) {
	t.Helper()
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/tags/list") {
			answer(w, r.URL.Query().Get("last"), int(requests.Add(1)))
		}
	}))
	t.Cleanup(server.Close)
	client := plain(t)
	repository, err := client.Repository(strings.TrimPrefix(server.URL, "http://") + "/app")
	require.NoError(t, err)
	return client, repository
}

func list(w io.Writer, tags ...string) {
	_ = json.NewEncoder(w).Encode(map[string]any{"name": "app", "tags": tags})
}

func TestAListIsWholeOrAnError(t *testing.T) {
	two := func(w http.ResponseWriter, last string) {
		switch last {
		case "":
			list(w, "a", "b")
		case "b":
			list(w, "c")
		default:
			list(w)
		}
	}
	for _, test := range []struct {
		name   string
		answer func(w http.ResponseWriter, last string, request int)
		want   []string
		fails  string
	}{
		{name: "no Link at all", answer: func(w http.ResponseWriter, last string, _ int) { two(w, last) }, want: []string{"a", "b", "c"}},
		{name: "a Link with Nexus' path", answer: func(w http.ResponseWriter, last string, _ int) {
			if last == "" {
				w.Header().Set("Link", `</repository/docker/v2/app/tags/list?n=2&last=b>; rel="next"`)
			}
			two(w, last)
		}, want: []string{"a", "b", "c"}},
		{name: "null", answer: func(w http.ResponseWriter, _ string, _ int) { fmt.Fprint(w, `{"name":"app","tags":null}`) }},
		{name: "the same page again", answer: func(w http.ResponseWriter, _ string, _ int) { list(w, "a", "b") }, want: []string{"a", "b"}},
		{name: "busy, then not", answer: func(w http.ResponseWriter, last string, request int) {
			if request == 2 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			two(w, last)
		}, want: []string{"a", "b", "c"}},
		{name: "an error on a later page", answer: func(w http.ResponseWriter, last string, _ int) {
			if last != "" {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			two(w, last)
		}, fails: "fails (404)"},
		{name: "HTML from a proxy", answer: func(w http.ResponseWriter, _ string, _ int) { fmt.Fprint(w, "<html>") }, fails: "no list of tags"},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, repository := pages(t, test.answer)
			tags, err := client.Tags(t.Context(), repository)
			if test.fails != "" {
				assert.ErrorContains(t, err, test.fails)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, tags)
		})
	}
}

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
	for name, content := range map[string][]byte{"cut off": body[:len(body)/2], "a changed byte": damaged, "no image": foreign.Bytes(), "no tar": []byte("hello"), "empty": nil} {
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

func TestEvidenceAddedAtOnceIsAllThere(t *testing.T) {
	for name, options := range map[string][]fake.Option{"with the referrers API": {fake.WithReferrersSupport(true)}, "with the fallback tag": nil} {
		t.Run(name, func(t *testing.T) {
			client, host := serve(t, options...)
			pushed := push(t, client, host+"/app:latest-1", "c1")
			digest, err := client.Digest(host + "/app@" + pushed.Digest)
			require.NoError(t, err)
			statement := filepath.Join(t.TempDir(), "s")
			require.NoError(t, os.WriteFile(statement, []byte("s"), 0o600))
			var group sync.WaitGroup
			for i := range 4 {
				group.Go(func() {
					_, err := client.AddEvidence(context.Background(), digest, Statement{Type: fmt.Sprintf("kind-%d", i), File: statement})
					assert.NoError(t, err)
				})
			}
			group.Wait()
			listed, err := client.List(t.Context(), digest, nil)
			require.NoError(t, err)
			assert.Len(t, listed.Evidence, 4)
			_, err = client.Verify(t.Context(), digest, []string{"kind-0", "kind-9"}, nil)
			assert.ErrorContains(t, err, "no evidence of the type kind-9")
		})
	}
}

func TestCredentialsNeverGoOverASchemeThatWasNotAskedFor(t *testing.T) {
	var asked atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	defer server.Close()
	client, err := New(Options{Username: "u", Password: "p"})
	require.NoError(t, err)
	repository, err := client.Repository(strings.TrimPrefix(server.URL, "http://") + "/app")
	require.NoError(t, err)
	_, err = client.Tags(t.Context(), repository)
	require.Error(t, err)
	assert.False(t, asked.Load(), "a request was sent in clear")
	assert.NotContains(t, err.Error(), "p@")
}

func TestNamesAreCheckedAtTheBorder(t *testing.T) {
	client := plain(t)
	for _, text := range []string{"app", "team/app", "nexus.example/App", ""} {
		_, err := client.Repository(text)
		var known *slipway.Error
		require.True(t, errors.As(err, &known), text)
		assert.Equal(t, slipway.Usage, known.Code)
	}
	_, err := client.Digest("nexus.example/app:latest-1")
	assert.ErrorContains(t, err, "never a tag")
	digest, err := client.Digest("nexus.example:8083/app:latest-1@sha256:" + strings.Repeat("a", 64))
	require.NoError(t, err)
	assert.Equal(t, "nexus.example:8083/app@sha256:"+strings.Repeat("a", 64), digest.String())
}
