package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// Progress shows how long work goes on: on a terminal one live line, elsewhere
// at most one line every ten seconds, so that a build's console stays short.
type Progress struct {
	out      io.Writer
	terminal bool
	last     time.Time
	shown    string
}

const quiet = 10 * time.Second

// NewProgress writes to out, which is a terminal only if it is such a file.
func NewProgress(out io.Writer) *Progress {
	file, ok := out.(*os.File)
	return &Progress{out: out, terminal: ok && term.IsTerminal(int(file.Fd()))}
}

// Show tells the state at this instant; what has not changed is not told again.
func (p *Progress) Show(now time.Time, format string, arguments ...any) {
	line := fmt.Sprintf(format, arguments...)
	if line == p.shown {
		return
	}
	if p.terminal {
		_, _ = fmt.Fprintf(p.out, "\r\x1b[K%s", line)
	} else {
		if now.Sub(p.last) < quiet {
			return
		}
		_, _ = fmt.Fprintln(p.out, line)
	}
	p.last, p.shown = now, line
}

// Done clears the live line, so that what follows begins on a clean one.
func (p *Progress) Done() {
	if p.terminal && p.shown != "" {
		_, _ = fmt.Fprint(p.out, "\r\x1b[K")
	}
}
