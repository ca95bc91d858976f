package pipelines

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/pipelines/runner"
)

// running is a build that is at work, or waits.
type running struct {
	build   *runner.Build
	calls   string
	lock    sync.Mutex
	console bytes.Buffer
}

func (r *running) Write(text []byte) (int, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.console.Write(text)
}

func (r *running) text() string {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.console.String()
}

// waiting begins a build that waits for the answers of the promotion's approval; time is the real one.
func (l *local) waiting(t *testing.T, home, calls string) *running {
	t.Helper()
	r := &running{calls: filepath.Join(home, calls)}
	var err error
	r.build, err = l.start(t.Context(), home, calls, "Jenkinsfile.prod", nil, r, "--answer", "migrate=yes", "--answer", "promote=wait")
	require.NoError(t, err)
	return r
}

func (r *running) says(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(r.text(), text) }, 2*time.Minute, 20*time.Millisecond, "it never says %q",
		text)
}

func (r *running) ends(t *testing.T) played {
	t.Helper()
	require.NoError(t, r.build.Wait())
	p := played{console: r.text()}
	require.NoError(t, p.read(r.calls))
	return p
}

// answer answers the approval of a build as its page does.
func (l *local) answer(t *testing.T, home, build, answer string) {
	t.Helper()
	run(t, l.root, filepath.Join(l.root, "tests/runner/run"), "--home", home, "--job", "release", "--build", build, "--request",
		"input Promote "+answer)
}

// noted is a time of the record, whose text sorts as it passes.
func noted(t *testing.T, p played, what string) string {
	t.Helper()
	match := regexp.MustCompile(`"` + what + `":"([^"]+)"`).FindStringSubmatch(recordLine.FindString(p.console))
	require.NotNil(t, match, p.console)
	return match[1]
}

const approval = "Promote fastapi-postgres-app"

// A newer build does not overtake one that waits for its approval: it begins when that
// one is decided, and finds what is true then.
func TestANewerBuildWaitsForTheApprovalOfTheOlderOne(t *testing.T) {
	l := newLocal(t)
	home := filepath.Join(t.TempDir(), "home")
	older := l.waiting(t, home, "older")
	older.says(t, approval)
	newer := l.waiting(t, home, "newer")
	// What waits says nothing: that it has not begun is seen when the older one has ended.
	l.answer(t, home, "1", "abort")
	first := older.ends(t)
	assert.Equal(t, "ABORTED", first.result, first.console)
	assert.Equal(t, "back", after(first.calls).canary)
	newer.says(t, approval)
	l.answer(t, home, "2", "proceed")
	second := newer.ends(t)
	assert.Equal(t, "SUCCESS", second.result, second.console)
	assert.Equal(t, "good", after(second.calls).stable)
	assert.GreaterOrEqual(t, noted(t, second, "began"), noted(t, first, "ended"), "the newer one began before the older one had ended")
}

// firstBuilds begins two builds before the job knows that it wants one at a time, and
// comes back when one waits for its approval. On a busy machine one may begin so late
// that it is queued, without a word: then there was nothing to keep apart, and it is tried again.
func (l *local) firstBuilds(t *testing.T) (home string, holder, waiter *running) {
	t.Helper()
	for range 5 {
		home, holder = filepath.Join(t.TempDir(), "home"), nil
		builds := []*running{l.waiting(t, home, "a"), l.waiting(t, home, "b")}
		require.Eventually(t, func() bool {
			for i, each := range builds {
				if strings.Contains(each.text(), approval) {
					holder, waiter = each, builds[1-i]
				}
			}
			return holder != nil
		}, 2*time.Minute, 20*time.Millisecond)
		if waiter.text() != "" {
			return home, holder, waiter
		}
		l.answer(t, home, "1", "abort")
		holder.ends(t)
		waiter.says(t, approval)
		l.answer(t, home, "2", "abort")
		waiter.ends(t)
	}
	require.Fail(t, "two builds never began at once")
	return home, holder, waiter
}

// Two builds that begin before the job knows that it wants one at a time: the lock keeps them apart.
func TestTwoFirstBuildsAtOnceGoOneAfterTheOther(t *testing.T) {
	l := newLocal(t)
	home, holder, waiter := l.firstBuilds(t)
	waiter.says(t, "is locked by release #")
	assert.NotContains(t, waiter.text(), "image to promote")
	number := "1"
	if strings.Contains(waiter.text(), "is locked by release #2") {
		number = "2"
	}
	l.answer(t, home, number, "abort")
	first := holder.ends(t)
	assert.Equal(t, "ABORTED", first.result, first.console)
	assert.Equal(t, "back", after(first.calls).canary)
	other := map[string]string{"1": "2", "2": "1"}[number]
	// Where the older one comes second, the milestone has been passed by the newer one: it gives way and says so.
	require.Eventually(t, func() bool {
		return strings.Contains(waiter.text(), approval) || finished.MatchString(waiter.text())
	}, 2*time.Minute, 20*time.Millisecond)
	if finished.MatchString(waiter.text()) {
		second := waiter.ends(t)
		assert.Equal(t, "1", other, second.console)
		assert.Equal(t, "NOT_BUILT", second.result, second.console)
		assert.Contains(t, second.console, "Superseded by release#2")
		assert.Empty(t, second.calls)
		return
	}
	l.answer(t, home, other, "proceed")
	second := waiter.ends(t)
	assert.Equal(t, "SUCCESS", second.result, second.console)
}
