package story

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"slipway.dev/slipway/tests/e2e/site"
)

// Measure ships small releases through both pipelines, and says what each run took: without an analysis, and without anybody's waiting.
func Measure(ctx context.Context, s *site.Site, releases int, out io.Writer) error {
	for release := 1; release <= releases; release++ {
		if err := s.Service.Write("app/release.txt", fmt.Sprintln(release)); err != nil {
			return err
		}
		if _, err := s.Service.Commit(ctx, fmt.Sprint("Release ", release)); err != nil {
			return err
		}
		if err := s.Service.Push(ctx, "Staging"); err != nil {
			return err
		}
		for _, jenkinsfile := range []string{"Jenkinsfile", "Jenkinsfile.prod"} {
			steps := &stamped{last: time.Now()}
			run, err := s.Run(ctx, site.Pipeline{Jenkinsfile: jenkinsfile, Answers: []string{"yes"}, Out: steps, Settings: map[string]string{
				"SLIPWAY_HOLD": "1s", "SLIPWAY_CANARY_WEIGHT": "20", "SLIPWAY_QUARANTINE": s.Registry + "/quarantine",
				"SLIPWAY_QUARANTINE_CREDENTIALS_ID": "QUARANTINE"}})
			if err != nil {
				return err
			}
			if run.Result() != "SUCCESS" {
				return fmt.Errorf("release %d: %s ended with %s:\n%s", release, jenkinsfile, run.Result(), run.Console)
			}
			steps.mark(time.Now(), "")
			fmt.Fprintf(out, "release %d %-17s %6.1f s %3d sh %2d pods\n%s", release, jenkinsfile, run.Seconds, run.Shells,
				strings.Count(run.Console, "[Pipeline] node\n"), steps.text.String())
		}
	}
	return nil
}

// stamped is a console of which each step is told that took more than half a second.
type stamped struct {
	last time.Time
	what string
	text bytes.Buffer
}

var begins = regexp.MustCompile(`(?m)^(?:\[Pipeline\] (?:\{ \()?[a-zA-Z]+|\S* ?slipway: ).*$`)

func (s *stamped) Write(text []byte) (int, error) {
	for _, step := range begins.FindAllString(string(text), -1) {
		s.mark(time.Now(), step)
	}
	return len(text), nil
}

func (s *stamped) mark(now time.Time, next string) {
	if took := now.Sub(s.last); took > 500*time.Millisecond {
		fmt.Fprintf(&s.text, "  %6.1f s %s\n", took.Seconds(), s.what)
	}
	s.last, s.what = now, next
}
