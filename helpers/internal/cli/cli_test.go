package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
)

type release struct {
	Image string `json:"image"`
	Notes string `json:"notes"`
}

func (r release) Text(w io.Writer) error { _, err := fmt.Fprintln(w, r.Image); return err }
func (r release) Answer() Fields {
	return Fields{"image": r.Image, "lastNotes": r.Notes, "count": 3, "log": "\x1b[2J"}
}

func program(stdout, stderr io.Writer, fail error) *cli.App {
	return &cli.App{
		Name: "ship", Writer: stdout, ErrWriter: stderr,
		Flags: []cli.Flag{&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}}},
		Commands: []*cli.Command{{
			Name:  "set",
			Flags: []cli.Flag{&cli.DurationFlag{Name: "hold"}, &cli.BoolFlag{Name: "now"}},
			Action: func(c *cli.Context) error {
				return Finish(c, release{fmt.Sprintf("%v %s %s %t", c.Args().Slice(), c.String("namespace"), c.Duration("hold"), c.Bool("now")),
					"a\nb"}, fail)
			},
		}},
	}
}

func TestFlagsMayStandAnywhere(t *testing.T) {
	for _, arguments := range [][]string{
		{"ship", "set", "10", "x", "-n", "prod", "--hold", "1m", "--now"},
		{"ship", "-n", "prod", "set", "--now", "--hold=1m", "10", "x"},
		{"ship", "set", "--now", "10", "-n=prod", "--hold", "1m", "--", "x"},
		{"ship", "set", "10", "x", "--now", "--namespace", "prod", "--hold", "1m", "-o", "text"},
	} {
		var stdout, stderr bytes.Buffer
		code := Execute(context.Background(), program(&stdout, &stderr, nil), arguments)
		assert.Equal(t, Done, code, "%v: %s", arguments, stderr.String())
		assert.Equal(t, "[10 x] prod 1m0s true\n", stdout.String(), "%v", arguments)
	}
}

func TestANegativeNumberIsAWord(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Equal(t, Done, Execute(context.Background(), program(&stdout, &stderr, nil), []string{"ship", "set", "-5", "--now"}))
	assert.Contains(t, stdout.String(), "[-5]")
}

func TestWrongUsageIsOneSentenceAndTwo(t *testing.T) {
	for _, arguments := range [][]string{
		{"ship"}, {"ship", "sink"}, {"ship", "set", "--no-such"}, {"ship", "set", "--hold", "long"},
		{"ship", "set", "-o", "yaml"}, {"ship", "set", "--log-level", "loud"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, Usage, Execute(context.Background(), program(&stdout, &stderr, nil), arguments), "%v", arguments)
		assert.Regexp(t, `^error: .+\n(  next: .+\n)?$`, stderr.String(), "%v", arguments)
		assert.Empty(t, stdout.String(), "%v", arguments)
	}
}

func TestAnErrorIsPartOfTheAnswer(t *testing.T) {
	failure := Errorf(Conflict, "the plan changed").Because(errors.New("002 is new")).Next("run plan again")

	var stdout, stderr bytes.Buffer
	assert.Equal(t, Conflict,
		Execute(context.Background(), program(&stdout, &stderr, fmt.Errorf("wrapped: %w", failure)), []string{"ship", "set", "-o", "text"}))
	assert.Equal(t, "[]  0s false\n",
		stdout.String())
	assert.Equal(t, "error: the plan changed\n  why:  002 is new\n  next: run plan again\n", stderr.String())

	stdout.Reset()
	Execute(context.Background(), program(&stdout, &stderr, failure), []string{"ship", "set", "-o", "json"})
	var document struct {
		Image string
		Error Error
	}
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &document))
	assert.Equal(t, "002 is new", document.Error.Why)
	assert.NotEmpty(t, document.Image)
}

type story struct{ release }

func (s story) Story(w io.Writer) error { _, err := fmt.Fprintln(w, "  it sank"); return err }

// What a pipeline keeps, nobody reads; what a person needs of a failure is told all the same.
func TestAStoryIsToldBesideAFailureThatAPipelineKeeps(t *testing.T) {
	failure := Errorf(No, "it did not arrive")
	for _, test := range []struct {
		format string
		fail   error
		told   string
	}{{"answer", failure, "  it sank\nerror: it did not arrive\n"}, {"answer", nil, ""}, {"json", failure, "error: it did not arrive\n"},
		{"text", failure, "error: it did not arrive\n"}} {
		var stdout, stderr bytes.Buffer
		app := &cli.App{Name: "ship", Writer: &stdout, ErrWriter: &stderr,
			Action: func(c *cli.Context) error { return Finish(c, story{}, test.fail) }}
		arguments := []string{"ship", "-o", test.format}
		if test.format == "answer" {
			arguments = []string{"ship", "--answer"}
		}
		Execute(context.Background(), app, arguments)
		assert.Equal(t, test.told, stderr.String(), "%v", test)
		assert.NotContains(t, stdout.String(), "sank", "%v", test)
	}
}

// A pipeline asks for the format by the environment, and most refusals come before there is a result.
func TestAnErrorWithoutAResultIsAnAnswerToo(t *testing.T) {
	t.Setenv("SLIPWAY_OUTPUT", "json")
	app := &cli.App{Name: "ship", Action: func(*cli.Context) error { return Errorf(Unknown, "the harbour does not answer").Next("look out") }}
	var stdout, stderr bytes.Buffer
	app.Writer, app.ErrWriter = &stdout, &stderr
	assert.Equal(t, Unknown, Execute(context.Background(), app, []string{"ship"}))
	assert.JSONEq(t, `{"error": {"code": 3, "message": "the harbour does not answer", "hint": "look out"}}`, stdout.String())
}

// A pipeline reads one document, whatever happens: what it says of the exit code is true, and the process itself ends with 0.
func TestAnAnswerIsOneDocumentAndStatesTheExitCode(t *testing.T) {
	hostile := "a\nFIRST=true\r\x1b[2J\\n|$(id)`\"\u202e\xff"
	failure := Errorf(Conflict, "%s", hostile).Because(errors.New("002 is new")).Next("run plan again")
	for name, test := range map[string]struct {
		arguments []string
		fail      error
		exit      float64
		message   string
		image     any
	}{
		"done":                   {[]string{"ship", "--answer", "set", "1"}, nil, Done, "", "[1]  0s false"},
		"after the command":      {[]string{"ship", "set", "1", "--answer"}, nil, Done, "", "[1]  0s false"},
		"beside a format":        {[]string{"ship", "set", "1", "--answer", "-o", "text"}, nil, Done, "", "[1]  0s false"},
		"refused":                {[]string{"ship", "set", "--answer"}, failure, Conflict, "a\nFIRST=true\\r\\x1b[2J\\n|$(id)`\"\\u202e\\xff", "[]  0s false"},
		"no such flag":           {[]string{"ship", "set", "--answer", "--no-such"}, nil, Usage, "ship set: there is no flag --no-such", nil},
		"no command":             {[]string{"ship", "--answer"}, nil, Usage, "ship needs a command: set", nil},
		"a fault without a code": {[]string{"ship", "set", "--answer"}, io.ErrUnexpectedEOF, Unknown, "unexpected EOF", "[]  0s false"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, Done, Execute(context.Background(), program(&stdout, &stderr, test.fail), test.arguments), name)
		assert.Equal(t, 1, bytes.Count(stdout.Bytes(), []byte("\n")), "%s: one line", name)
		var document struct {
			Exit  float64
			Image any
			Error *struct{ Message, Why, Hint string }
		}
		require.NoError(t, json.Unmarshal(stdout.Bytes(), &document), name)
		assert.Equal(t, test.exit, document.Exit, name)
		assert.Equal(t, test.image, document.Image, name)
		assert.NotContains(t, stdout.String(), "\\u001b", "%s: what a pipeline shows is visible", name)
		if test.message == "" {
			assert.Nil(t, document.Error, name)
			continue
		}
		require.NotNil(t, document.Error, name)
		assert.Equal(t, test.message, document.Error.Message, name)
		assert.Contains(t, stderr.String(), "error: ", "the console has it as well")
	}
}

// What Jenkins masks on its console it does not mask in a build's last line.
func TestNoErrorRepeatsAPasswordThatWasGiven(t *testing.T) {
	for _, name := range []string{"PGPASSWORD", "REGISTRY_PASSWORD", "COSIGN_PASSWORD"} {
		t.Setenv(name, "w0rd of "+name+"/@")
	}
	for _, name := range []string{"PGPASSWORD", "REGISTRY_PASSWORD", "COSIGN_PASSWORD"} {
		secret := "w0rd of " + name + "/@"
		for _, form := range []string{secret, "w0rd%20of%20" + name + "%2F%40", fmt.Sprintf("%q", secret),
			base64.StdEncoding.EncodeToString([]byte("bob:" + secret))} {
			var stdout, stderr bytes.Buffer
			failure := Errorf(No, "the harbour said %s", form).Because(errors.New(form)).Next("%s", form)
			Execute(context.Background(), program(&stdout, &stderr, failure), []string{"ship", "set", "--answer"})
			assert.NotContains(t, stdout.String()+stderr.String(), "w0rd", form)
			assert.NotContains(t, stdout.String()+stderr.String(), base64.StdEncoding.EncodeToString([]byte(secret))[4:20], form)
		}
	}
}

func TestTheEnvironmentAsksForAnAnswerToo(t *testing.T) {
	t.Setenv("SLIPWAY_ANSWER", "true")
	var stdout, stderr bytes.Buffer
	assert.Equal(t, Done, Execute(context.Background(), program(&stdout, &stderr, nil), []string{"ship", "sink"}))
	assert.Contains(t, stdout.String(), `"exit":2`)
	t.Setenv("SLIPWAY_ANSWER", "false")
	assert.Equal(t, Usage, Execute(context.Background(), program(&stdout, &stderr, nil), []string{"ship", "sink"}))
}

func TestAnUnforeseenFaultIsNeverANo(t *testing.T) {
	for _, err := range []error{errors.New("boom"), context.Canceled, context.DeadlineExceeded,
		fmt.Errorf("reading: %w", io.ErrUnexpectedEOF)} {
		assert.Equal(t, Unknown, AsError(err).Code, "%v", err)
	}
}

func TestNothingThatIsWrittenActsOnATerminalOrTellsASecret(t *testing.T) {
	hostile := "a\r\x1b[2J\u202e\x9b password=hunter2 postgres://u:hunter2@h"
	for _, arguments := range [][]string{{"ship", "set"}, {"ship", "set", "-o", "json"}, {"ship", "set", "--answer"}} {
		var stdout, stderr bytes.Buffer
		app := program(&stdout, &stderr, Errorf(No, "%s", hostile).Because(errors.New(hostile)).Next("%s", hostile))
		Execute(context.Background(), app, arguments)
		logrus.Warn(hostile)
		logrus.WithField("address", hostile).Error("it failed")
		progress := NewProgress(&stderr)
		progress.Show(time.Unix(0, 0), "%s", "a\r\x1b[2J\u202e")
		for _, out := range []string{stdout.String(), stderr.String()} {
			assert.NotContains(t, out, "hunter2", "%v", arguments)
			assert.False(t, strings.ContainsAny(out, "\r\x1b\u202e") || !utf8.ValidString(out), "%v: %q", arguments, out)
		}
	}
}

func TestProgressIsQuietInAPipe(t *testing.T) {
	var out bytes.Buffer
	progress := NewProgress(&out)
	start := time.Unix(1000, 0)
	for i := range 25 {
		progress.Show(start.Add(time.Duration(i)*time.Second), "%d of 25", i)
	}
	progress.Done()
	assert.Equal(t, "0 of 25\n10 of 25\n20 of 25\n", out.String())
}

type formatted struct{ Result }

func (f formatted) Format(name string, out io.Writer) error {
	_, err := fmt.Fprintf(out, "<%s>\x1b", name)
	return err
}

func TestAnAppMayHaveFurtherFormats(t *testing.T) {
	for _, test := range []struct {
		further   []string
		asked     string
		code      int
		out, told string
	}{
		{[]string{"html"}, "html", Done, "<html>\\x1b", ""},
		{[]string{"html"}, "text", Done, "", ""},
		{[]string{"html"}, "yaml", Usage, "", `--output "yaml" is none of text, json, html`},
		{nil, "html", Usage, "", `--output "html" is neither text nor json`},
	} {
		var out, told bytes.Buffer
		app := &cli.App{Name: "x", Metadata: map[string]any{Formats: test.further}, Writer: &out, ErrWriter: &told,
			Action: func(c *cli.Context) error { return Finish(c, formatted{nothing{}}, nil) }}
		assert.Equal(t, test.code, Execute(t.Context(), app, []string{"x", "--output", test.asked}), test.asked)
		assert.Equal(t, test.out, out.String(), test.asked)
		assert.Contains(t, told.String(), test.told, test.asked)
	}
}

type nothing struct{}

func (nothing) Text(io.Writer) error { return nil }
func (nothing) Answer() Fields       { return nil }
