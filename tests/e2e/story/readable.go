package story

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
)

// readable passes on of a console what tells a reader something: stages, what was said, results. Jenkins' own markers,
// the shells' traces and the record's JSON stay in the build's log. While nothing is said for a while, it says so itself.
type readable struct {
	out   io.Writer
	stop  chan struct{}
	ended sync.WaitGroup

	lock  sync.Mutex
	rest  []byte // the beginning of a line
	stage string
	since time.Time // of the stage
	spoke time.Time
}

// silence is how long a reader is left alone.
const silence = 5 * time.Second

func newReadable(out io.Writer, clock <-chan time.Time) *readable {
	now := time.Now()
	r := &readable{out: out, stop: make(chan struct{}), stage: "Starting", since: now, spoke: now}
	r.ended.Go(func() {
		for {
			select {
			case now := <-clock:
				r.progress(now)
			case <-r.stop:
				return
			}
		}
	})
	return r
}

func (r *readable) Close() error {
	close(r.stop)
	r.ended.Wait()
	return nil
}

func (r *readable) progress(now time.Time) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if now.Sub(r.spoke) >= silence {
		r.spoke = now
		fmt.Fprintf(r.out, "  … %s, %.0f s\n", r.stage, now.Sub(r.since).Seconds())
	}
}

func (r *readable) Write(text []byte) (int, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.rest = append(r.rest, text...)
	for {
		line, rest, found := bytes.Cut(r.rest, []byte("\n"))
		if !found {
			return len(text), nil
		}
		r.rest = rest
		if shown, is := r.line(string(line)); is {
			r.spoke = time.Now()
			if _, err := fmt.Fprintln(r.out, shown); err != nil {
				return 0, err
			}
		}
	}
}

var (
	stageBegins = regexp.MustCompile(`^\[Pipeline\] \{ \((.+)\)$`)
	// Of Jenkins, of git, of the agents' pods; the list of sh at the end.
	machinery = regexp.MustCompile(`^(\[Pipeline\]|\+ |slipway-record: |Loading library |Running (on|in) |Agent |Created Pod: |Still waiting |` +
		`Masking supported |Stashed |Archiving artifacts|Recording |Obtained |Selected |Checking out |Commit message: |The recommended git tool|` +
		` *> git |using credential |Cloning |Fetching |\[Bitbucket\]|Also:|$)`)
)

// line is what a reader sees of a line, if anything.
func (r *readable) line(line string) (string, bool) {
	if match := stageBegins.FindStringSubmatch(line); match != nil {
		r.stage, r.since = match[1], time.Now()
		return "\n  " + r.stage, true
	}
	if machinery.MatchString(line) {
		return "", false
	}
	return "    " + strings.TrimRight(line, " \r"), true
}
