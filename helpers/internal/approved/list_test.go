package approved

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

func TestParse(t *testing.T) {
	for image, want := range map[string]string{
		"app@" + digest(1):                          "app",
		"app:7@" + digest(1):                        "app",
		"10.10.70.84:30051/app@" + digest(1):        "10.10.70.84:30051/app",
		"10.10.70.84:30051/a/b:7@" + digest(1):      "10.10.70.84:30051/a/b",
		"app:7":                                     "",
		"10.10.70.84:30051/app":                     "",
		"@" + digest(1):                             "",
		"app@" + digest(1) + "@" + digest(2):        "",
		"app@sha256:" + strings.Repeat("A", 64):     "",
		"app@sha512:" + strings.Repeat("a", 128):    "",
		"app@" + digest(1) + "\n":                   "",
		"app:7:8@" + digest(1):                      "",
		"ghcr.io/a_b/c-d.e:v1.2-debug@" + digest(2): "ghcr.io/a_b/c-d.e",
	} {
		repository, _, pinned := Parse(image)
		assert.Equal(t, want, repository, image)
		assert.Equal(t, want != "", pinned, image)
	}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func entry(repository string, n int, what string, age time.Duration) Entry {
	return Entry{Repository: repository, Digest: digest(n), Image: repository + ":1@" + digest(n), What: what, At: noon.Add(-age)}
}

func listed(t *testing.T, entries ...Entry) map[string]string {
	l := list{entries: map[string][]Entry{}}
	for _, each := range entries {
		l.entries[each.Digest] = append(l.entries[each.Digest], each)
	}
	data, err := l.data(map[string]string{Others: "redis@" + digest(90) + "\n", "note": "ours"})
	require.NoError(t, err)
	return data
}

func TestWhatStaysOnTheList(t *testing.T) {
	old := 3 * time.Hour
	for name, test := range map[string]struct {
		before, added []Entry
		used          map[string]bool
		want          []int
	}{
		"the first approval": {nil, []Entry{entry("r/a", 1, "canary", 0)}, map[string]bool{}, []int{1}},
		"what runs stays": {[]Entry{entry("r/a", 1, "promotion", old), entry("r/a", 2, "promotion", old)},
			[]Entry{entry("r/a", 3, "canary", 0)}, map[string]bool{digest(1): true}, []int{1, 3}},
		"what another run approved a moment ago stays": {[]Entry{entry("r/b", 1, "canary", time.Minute)},
			[]Entry{entry("r/a", 2, "canary", 0)}, map[string]bool{}, []int{1, 2}},
		"nobody knows what runs": {[]Entry{entry("r/a", 1, "canary", old)}, []Entry{entry("r/a", 2, "canary", 0)}, nil, []int{1, 2}},
		"what runs is listed already": {[]Entry{entry("r/a", 1, "promotion", old)}, []Entry{entry("r/a", 1, Running, 0)},
			map[string]bool{digest(1): true}, []int{1}},
		"an administrator's image runs": {nil, []Entry{{Repository: "redis", Digest: digest(90), Image: "redis@" + digest(90),
			What: Running, At: noon}}, map[string]bool{digest(90): true}, nil},
	} {
		present := listed(t, test.before...)
		l, err := parse(present)
		require.NoError(t, err, name)
		l.with(test.added, test.used, noon)
		data, err := l.data(present)
		require.NoError(t, err, name)
		want := []string{Others, "note"}
		for _, n := range test.want {
			want = append(want, keyOf(digest(n)))
		}
		var keys []string
		for key := range data {
			keys = append(keys, key)
		}
		assert.ElementsMatch(t, want, keys, name)
		assert.Equal(t, present[Others], data[Others], name)
	}
}

// The policies find a repository by its text in the JSON: no other text of an entry may look like one.
func TestNoTextOfAnEntryLooksLikeARepository(t *testing.T) {
	forged := `x","repository":"evil`
	one := Entry{Repository: "r/a", Digest: digest(1), Image: forged, What: forged, Hash: forged, Approvers: []string{forged}, Build: forged}
	l := list{entries: map[string][]Entry{}}
	l.with([]Entry{one}, nil, noon)
	data, err := l.data(nil)
	require.NoError(t, err)
	value := data[keyOf(digest(1))]
	assert.Contains(t, value, `"repository":"r/a"`)
	assert.NotContains(t, value, `"repository":"evil"`)
	var back []Entry
	require.NoError(t, json.Unmarshal([]byte(value), &back))
	assert.Equal(t, forged, back[0].Build)
}

func TestTheListIsBounded(t *testing.T) {
	l := list{entries: map[string][]Entry{}}
	people := make([]string, 1000)
	for i := range people {
		people[i] = strings.Repeat("ä", 1000)
	}
	for i := range 300 {
		each := entry(fmt.Sprintf("r/%d", i%2), 1, "promotion", 0)
		each.Build, each.Approvers = fmt.Sprint(i, strings.Repeat("b", 5000)), people
		l.with([]Entry{each}, nil, noon)
	}
	assert.Len(t, l.entries[digest(1)], mostOfOne)
	data, err := l.data(nil)
	require.NoError(t, err)
	assert.Less(t, len(data[keyOf(digest(1))]), 128<<10)
	assert.True(t, l.admits("r/0:1@"+digest(1)))
	for i := range 3000 {
		l.with([]Entry{entry("r/a", i, strings.Repeat("x", 250), 0)}, nil, noon)
	}
	_, err = l.data(nil)
	require.ErrorContains(t, err, "is full")
	assert.Equal(t, slipway.No, slipway.AsError(err).Code)
}

// An approval of one repository never pushes another's off a digest that both have.
func TestEachRepositoryKeepsItsLastApproval(t *testing.T) {
	l := list{entries: map[string][]Entry{}}
	l.with([]Entry{entry("r/rare", 1, "promotion", 0)}, nil, noon)
	for i := range 50 {
		each := entry("r/often", 1, "promotion", 0)
		each.Build = fmt.Sprint(i)
		l.with([]Entry{each}, nil, noon)
	}
	assert.True(t, l.admits("r/rare@"+digest(1)))
	assert.Equal(t, "49", l.entries[digest(1)][len(l.entries[digest(1)])-1].Build)
}

func TestAListThatCannotBeReadIsNamed(t *testing.T) {
	_, err := parse(map[string]string{keyOf(digest(1)): "by hand"})
	require.ErrorContains(t, err, keyOf(digest(1)))
	assert.Equal(t, slipway.Conflict, slipway.AsError(err).Code)
}
