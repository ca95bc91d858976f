package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"slipway.dev/slipway/helpers/internal/safe"
)

// Progress shows how long work goes on: on a terminal one live line, elsewhere
// at most one line every ten seconds, so that a build's console stays short.
type Progress struct {
	out      io.Writer
	terminal bool
	last     time.Time
	shown    string
	rows     int // of the picture on the terminal
}

const quiet = 10 * time.Second

// NewProgress writes to out, which is a terminal only if it is such a file.
func NewProgress(out io.Writer) *Progress {
	file, ok := out.(*os.File)
	return &Progress{out: out, terminal: ok && term.IsTerminal(int(file.Fd()))}
}

// Terminal says that there is a person who watches.
func (p *Progress) Terminal() bool { return p.terminal }

// Show tells the state at this instant; what has not changed is not told again.
func (p *Progress) Show(now time.Time, format string, arguments ...any) {
	line := safe.Line(fmt.Sprintf(format, arguments...))
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

// Picture shows several lines: on a terminal all of them, where the last picture
// was; elsewhere the first one alone, as Show does.
func (p *Progress) Picture(now time.Time, lines []string) {
	if !p.terminal {
		p.Show(now, "%s", lines[0])
		return
	}
	text := safe.Visible(strings.Join(lines, "\n"))
	if text == p.shown {
		return
	}
	_, _ = fmt.Fprint(p.out, p.wiped()+text)
	p.last, p.shown, p.rows = now, text, len(lines)-1
}

// wiped goes back to the picture's first line and clears all below. A line that
// is wider than the terminal would be two, so it is cut there: no wrapping meanwhile.
func (p *Progress) wiped() string {
	up := ""
	if p.rows > 0 {
		up = fmt.Sprintf("\x1b[%dA", p.rows)
	}
	return "\x1b[?7l\r" + up + "\x1b[J"
}

// Done clears the live line, so that what follows begins on a clean one.
func (p *Progress) Done() {
	if p.terminal && p.shown != "" {
		_, _ = fmt.Fprint(p.out, p.wiped()+"\x1b[?7h")
		p.rows, p.shown = 0, ""
	}
}
