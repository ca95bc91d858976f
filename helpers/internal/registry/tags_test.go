package registry

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

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

// promised answers with a page that has a Link, and then with the body.
func promised(body string) func(w http.ResponseWriter, last string, request int) {
	return func(w http.ResponseWriter, last string, _ int) {
		if last == "" {
			w.Header().Set("Link", `</v2/app/tags/list?n=2&last=b>; rel="next"`)
			list(w, "a", "b")
			return
		}
		fmt.Fprint(w, body)
	}
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
		{name: "a page that a Link promised is empty", answer: promised(`{"name":"app","tags":[]}`),
			fails: "page 2, which a Link promised, has no further tag"},
		{name: "a page that a Link promised is null", answer: promised(`{"name":"app","tags":null}`), fails: "may be incomplete"},
		{name: "a page that a Link promised has no tags", answer: promised(`{"name":"app"}`), fails: "may be incomplete"},
		{name: "a page that a Link promised is the first again", answer: promised(`{"name":"app","tags":["a","b"]}`), fails: "may be incomplete"},
		{name: "what cannot be a tag", answer: func(w http.ResponseWriter, last string, _ int) {
			if last == "" {
				list(w, "a", "b c")
				return
			}
			if last == "b c" {
				list(w, "d")
				return
			}
			list(w)
		}, want: []string{"a", "d"}},
		{name: "nothing but what cannot be a tag", answer: func(w http.ResponseWriter, last string, _ int) {
			if last == "" {
				w.Header().Set("Link", `<?last=%2B>; rel=next`)
				list(w, "*", "+")
				return
			}
			if last == "+" {
				list(w, "d")
				return
			}
			list(w)
		}, want: []string{"d"}},
		{name: "what cannot be a tag on every page", answer: func(w http.ResponseWriter, last string, _ int) {
			switch last {
			case "":
				list(w, "a b", "a", "b")
			case "a":
				list(w, "a b", "b")
			default:
				list(w, "a b")
			}
		}, want: []string{"a", "b"}},
		{name: "the login is withdrawn after two pages", answer: func(w http.ResponseWriter, last string, _ int) {
			switch last {
			case "":
				w.Header().Set("Link", `<?last=b>; rel=next`)
				list(w, "a", "b")
			case "b":
				w.Header().Set("Link", `<?last=d>; rel=next`)
				list(w, "c", "d")
			default:
				w.WriteHeader(http.StatusUnauthorized)
			}
		}, fails: "refuses the login that it took a moment ago (401"},
		{name: "HTML from a proxy", answer: func(w http.ResponseWriter, _ string, _ int) { fmt.Fprint(w, "<html>") }, fails: "no list of tags"},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, repository := pages(t, test.answer)
			tags, err := client.Tags(t.Context(), repository)
			if test.fails != "" {
				assert.ErrorContains(t, err, test.fails)
				assert.Equal(t, slipway.Unknown, slipway.AsError(err).Code)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, tags)
		})
	}
}

// A registry that ends every page after so many tags, without a word, is found
// out by the page that begins later; a list that ends alike in both is whole.
func TestAPageIsTheListOnlyWhereTwoEndAlike(t *testing.T) {
	all := []string{"latest-1", "latest-10", "latest-8", "latest-80", "latest-9", "v1"}
	body := func(tags []string) []byte {
		text, err := json.Marshal(map[string]any{"name": "app", "tags": tags})
		require.NoError(t, err)
		return text
	}
	capped := func(after int, limit int) []string { return all[after:min(after+limit, len(all))] }
	for limit := 1; limit <= len(all)+1; limit++ {
		for after := 0; after <= len(all); after++ {
			last := "" // all follow it
			if after > 0 {
				last = all[after-1]
			}
			assert.Equal(t, limit >= len(all) && after > 0 && after < len(all), endsAlike(capped(0, limit), last, body(capped(after, limit))),
				"%d tags a page, asked behind %q", limit, last)
		}
	}
	assert.True(t, endsAlike([]string{"a", "c"}, "b", body([]string{"c"})), "a tag that is not there")
	assert.False(t, endsAlike([]string{"a", "c"}, "b", body([]string{"a", "c"})), "a registry that knows no last")
	assert.False(t, endsAlike([]string{"c", "a", "d"}, "b", body([]string{"d"})), "a registry that does not sort")
	for _, text := range []string{"", "{}", `{"tags":null}`, `{"tags":["c"`, `{"tags":["c" ]}`, `{"tags":["cc"]}`, `{"tags":["c","d"]}`,
		`{"tags":{"c":1}}`} {
		assert.False(t, endsAlike([]string{"a", "c"}, "b", []byte(text)), text)
	}
}

func TestPagesInAnyOrderAreOneList(t *testing.T) {
	var tags []string
	for _, page := range [][]string{{"c", "a"}, nil, {"d", "e"}, {"e", "b"}, {"f", "f"}} {
		tags = merge(tags, page)
	}
	assert.Equal(t, []string{"a", "b", "c", "d", "e", "f"}, tags)
}

func TestMiddle(t *testing.T) {
	for pattern, want := range map[string]string{DefaultPattern: "latest-8", `^build([0-9]+)-rc$`: "build8", `^v1\.([0-9]+)$`: "",
		`([0-9]+)`: ""} {
		assert.Equal(t, want, middle(regexp.MustCompile(pattern)), pattern)
	}
}

func TestAListOfTagsIsReadAlikeHoweverItIsWritten(t *testing.T) {
	long := strings.Repeat("x", 128)
	for body, want := range map[string][]string{
		`{"name":"a","tags":["latest-1","b"]}`:          {"latest-1", "b"},
		`{"name":"a","tags":[ "latest-1" ,	"b" ]}`:      {"latest-1", "b"},
		`{"name":"a","tags":["l\u0061test-1","b"]}`:     {"latest-1", "b"},
		`{"tags":["_a.b-c","` + long + `"],"name":"a"}`: {"_a.b-c", long},
		`{"name":"a","tags":[]}`:                        {},
		`{"name":"a","tags":null}`:                      nil,
		`{"name":"a"}`:                                  nil,
	} {
		tags, err := parseTags([]byte(body))
		require.NoError(t, err, body)
		assert.Equal(t, want, tags, body)
	}
	for body, want := range map[string][]string{ // what cannot be a tag is read as well: the list goes on behind it
		`{"name":"a","tags":[""]}`: {""}, `{"name":"a","tags":["-a"]}`: {"-a"},
		`{"name":"a","tags":[".a"]}`: {".a"}, `{"name":"a","tags":["a b"]}`: {"a b"},
		`{"name":"a","tags":["a","",""]}`: {"a", "", ""}, `{"name":"a","tags":["ä"]}`: {"ä"},
		`{"name":"a","tags":["` + long + `x"]}`: {long + "x"},
		`{"name":"a","tags":["a",null]}`:        {"a", ""},
	} {
		tags, err := parseTags([]byte(body))
		require.NoError(t, err, body)
		assert.Equal(t, want, tags, body)
	}
	for body, why := range map[string]string{
		`{}`: "neither name nor tags", `[]`: "no list", `<html>`: "no list",
		`{"name":"a","tags":"b"}`: "no list", `{"name":"a","tags":[1]}`: "no list",
		`{"name":"a","tags":["a","b]}`: "no list", `{"name":"a","tags":1}`: "no list",
		`{"name":"a","tags":true}`: "no list", `{"name":"a","tags":{}}`: "no list",
		`{"name":"a","tags":["latest-10"],"tags":["latest-1"]}`: "duplicate field",
		`{"name":"a","tags":["a"]}{"name":"a","tags":["b"]}`:    "no list",
	} {
		_, err := parseTags([]byte(body))
		assert.ErrorContains(t, err, why, body)
	}
}
