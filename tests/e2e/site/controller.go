package site

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Controller is one process that plays one build after the other, as a Jenkins
// is: only its first build loads the engine.
type Controller struct {
	site    *Site
	command *exec.Cmd
	in      io.WriteCloser
	answers *bufio.Reader
	errors  bytes.Buffer
}

// StartController starts it; Stop ends it.
func (s *Site) StartController(ctx context.Context) (*Controller, error) {
	c := &Controller{site: s, command: exec.CommandContext(ctx, filepath.Join(s.Root, "tests/runner/run"), "--controller")}
	c.command.Env = s.environment(Pipeline{})
	c.command.Stderr = &c.errors
	var err error
	if c.in, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.answers = bufio.NewReader(out)
	if err := c.command.Start(); err != nil {
		return nil, fmt.Errorf("starting the runner: %w", err)
	}
	return c, nil
}

// Stop ends the process; a build that it plays is left as by the end of a Jenkins.
func (c *Controller) Stop() {
	c.in.Close()
	_ = c.command.Wait()
}

// Run plays a pipeline to its end. Its approvals have to be answered by the
// options: nobody can be asked.
func (c *Controller) Run(p Pipeline) (Run, error) {
	const console = "console"
	begin := time.Now()
	if _, err := fmt.Fprintln(c.in, strings.Join(append(c.site.arguments(&p), "--tell", console), "\t")); err != nil {
		return Run{}, c.broken(err)
	}
	var said strings.Builder
	for {
		line, err := c.answers.ReadString('\n')
		if err != nil {
			return Run{Console: said.String()}, c.broken(err)
		}
		kind, text, _ := strings.Cut(line, " ")
		switch kind {
		case console:
			said.WriteString(text)
			if p.Out != nil {
				_, _ = io.WriteString(p.Out, text)
			}
		case "ended":
			return c.site.ended(p, begin, said.String()), nil
		case "failed":
			return Run{Console: said.String()}, errors.New("running the pipeline: " + strings.TrimSpace(text))
		}
	}
}

func (c *Controller) broken(err error) error {
	_ = c.command.Wait()
	return fmt.Errorf("the runner's process is gone (%s): %w\n%s", c.command.ProcessState, err, c.errors.String())
}
