package nexus

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// serveTags gives a page of tags, with a Link to the next one.
func (f *Front) serveTags(w http.ResponseWriter, r *http.Request) {
	all, status, err := f.allTags(r.URL.Path)
	if err != nil || status != http.StatusOK {
		refuse(w, status, "NAME_UNKNOWN", "repository name not known to registry")
		return
	}
	first := 0
	if last := r.URL.Query().Get("last"); last != "" {
		position, found := slices.BinarySearch(all, last)
		if first = position; found {
			first++
		}
	}
	size := f.PageSize
	if n, err := strconv.Atoi(r.URL.Query().Get("n")); err == nil && n > 0 {
		size = min(n, size)
	}
	number := first/f.PageSize + 1
	if number == f.number(BrokenPage) {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", "java.lang.NullPointerException")
		return
	}
	if repeated := f.number(Repeating); repeated > 0 && number > repeated {
		first = (repeated - 1) * f.PageSize
	}
	page := all[min(first, len(all)):min(first+size, len(all))]
	if first+size < len(all) && f.fault(NoLink) == "" {
		path := r.URL.Path
		if f.fault(WrongLink) != "" {
			path = "/repository/docker-hosted" + path
		}
		next := url.Values{"n": {strconv.Itoa(size)}, "last": {page[len(page)-1]}}
		w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, path, next.Encode()))
	}
	body, err := json.Marshal(map[string]any{"name": strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v2/"), "/tags/list"), "tags": page})
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if len(page) == 0 && f.fault(NullTags) != "" {
		body = []byte(strings.Replace(string(body), `"tags":[]`, `"tags":null`, 1))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if f.fault(Truncated) != "" && len(page) > 0 {
		body = body[:len(body)/2]
	}
	_, _ = w.Write(body)
}

func (f *Front) allTags(path string) ([]string, int, error) {
	response, err := http.Get(f.upstream.JoinPath(path).String())
	if err != nil {
		return nil, http.StatusBadGateway, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return nil, response.StatusCode, err
	}
	var list struct{ Tags []string }
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, http.StatusBadGateway, err
	}
	slices.Sort(list.Tags)
	if list.Tags == nil {
		list.Tags = []string{}
	}
	return list.Tags, http.StatusOK, nil
}
