package story

import (
	"bytes"
	"io"

	"slipway.dev/slipway/tests/e2e/site"
)

// window passes the console on, and counts the answers between two of its lines.
type window struct {
	out         io.Writer
	traffic     *site.Traffic
	from, until string
	begin, end  *site.Counts
}

func (w *window) Write(line []byte) (int, error) {
	if w.begin == nil && bytes.Contains(line, []byte(w.from)) {
		counts := w.traffic.Counts()
		w.begin = &counts
	} else if w.begin != nil && w.end == nil && bytes.Contains(line, []byte(w.until)) {
		counts := w.traffic.Counts()
		w.end = &counts
	}
	return w.out.Write(line)
}

// share is how many requests a version answered meanwhile, and of how many.
func (w *window) share(version string) (answered, all int) {
	if w.begin == nil || w.end == nil {
		return 0, 0
	}
	return w.end.Versions[version] - w.begin.Versions[version], w.end.Total() - w.begin.Total()
}
