package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"slipway.dev/slipway/helpers/internal/safe"
)

// Result is a helper's answer. Its JSON form is encoding/json's of the value itself.
type Result interface {
	// Text writes the answer for a person, or for $(...).
	Text(w io.Writer) error
	// Answer gives the few fields that a pipeline reads, flat; what is long belongs into a file.
	Answer() Fields
}

// Story is a Result of which a person needs more than an error and the fields of an
// answer can say: pods' last words, say, which are gone when the pipeline has undone what it did.
type Story interface {
	Result
	// Story writes it: where a pipeline keeps the answer, to stderr, above the error.
	Story(w io.Writer) error
}

// Formats is the name in an App's Metadata of a []string: what --output knows there beside text and json. Its results are Formatted.
const Formats = "formats"

// Formatted is a Result that has further formats.
type Formatted interface {
	Result
	// Format writes it in one of them.
	Format(name string, w io.Writer) error
}

// Fields are those of an answer, by name: texts, numbers, true and false.
type Fields map[string]any

type format string

const (
	text   format = "text"
	asJSON format = "json"
	answer format = "answer" // of --answer: one document, and the exit code in it
)

func formatsOf(app *cli.App) []string {
	further, _ := app.Metadata[Formats].([]string)
	return append([]string{string(text), string(asJSON)}, further...)
}

func parseFormat(app *cli.App, name string) (format, error) {
	known := formatsOf(app)
	if slices.Contains(known, name) {
		return format(name), nil
	}
	if len(known) == 2 {
		return text, Usagef("--output %q is neither text nor json", name)
	}
	return text, Usagef("--output %q is none of %s", name, strings.Join(known, ", "))
}

// formatOf is what the parsed command line asks for.
func formatOf(c *cli.Context) (format, error) {
	if c.Bool(answerFlag) {
		return answer, nil
	}
	return parseFormat(c.App, c.String(outputFlag))
}

// formatIn finds the format without a parsed command line, for errors that
// happen before there is one, or that never came to Finish.
func formatIn(app *cli.App, arguments []string) (format, error) {
	found := text
	if asked, err := strconv.ParseBool(os.Getenv(answerVariable)); err == nil && asked {
		return answer, nil
	}
	if given := os.Getenv(outputVariable); given != "" {
		parsed, err := parseFormat(app, given)
		if err != nil {
			return text, err
		}
		found = parsed
	}
	for i, argument := range arguments {
		name, value, joined := strings.Cut(argument, "=")
		switch strings.TrimPrefix(name, "-") {
		case "-" + answerFlag, answerFlag:
			if asked, err := strconv.ParseBool(value); !joined || err == nil && asked {
				return answer, nil
			}
		case "o", outputFlag, "-" + outputFlag:
			if !joined && i+1 < len(arguments) {
				value = arguments[i+1]
			}
			parsed, err := parseFormat(app, value)
			if err != nil {
				return text, err
			}
			found = parsed
		}
	}
	return found, nil
}

// answeredError says that the answer is written already; only its code is left.
type answeredError struct {
	code  int
	cause error
}

func (e *answeredError) Error() string { return e.cause.Error() }
func (e *answeredError) Unwrap() error { return e.cause }

// Finish writes the result to stdout in the chosen format, and what err says:
// to stderr for people, and in json also into the answer on stdout, so
// that one call gives a pipeline the result and the error. A nil result is not
// written. The error it returns carries the exit code and is written already.
func Finish(c *cli.Context, result Result, err error) error {
	format, formatErr := formatOf(c)
	if formatErr != nil {
		return formatErr
	}
	var failure *Error
	if err != nil {
		failure = AsError(err)
	}
	if writeErr := write(c.App.Writer, c.App.ErrWriter, format, result, failure); writeErr != nil {
		return Errorf(Unknown, "the answer could not be written").Because(writeErr)
	}
	if failure != nil {
		return &answeredError{failure.Code, failure}
	}
	return nil
}

// write is where every answer leaves: text without control characters, errors without secrets.
func write(stdout, stderr io.Writer, format format, result Result, failure *Error) error {
	var out, told bytes.Buffer
	var err error
	if failure != nil {
		failure = failure.shown()
	}
	switch format {
	case asJSON:
		err = writeJSON(&out, result, failure)
	case answer:
		err = writeAnswer(&out, result, failure)
		if story, ok := result.(Story); ok && failure != nil && err == nil {
			err = story.Story(&told)
		}
	default:
		if formatted, ok := result.(Formatted); ok && format != text {
			err = formatted.Format(string(format), &out)
		} else if result != nil {
			err = result.Text(&out)
		}
	}
	if err != nil {
		return err
	}
	shown := safe.Visible
	if format == asJSON || format == answer {
		shown = safe.JSON
	}
	if _, err := io.WriteString(stdout, shown(out.String())); err != nil {
		return err
	}
	if failure != nil {
		told.Write(failure.lines())
	}
	_, err = io.WriteString(stderr, safe.Visible(told.String()))
	return err
}

// lines is the error as a person reads it: what, why, what next.
func (e *Error) lines() []byte {
	var out bytes.Buffer
	fmt.Fprintln(&out, "error:", e.Message)
	if e.Why != "" {
		fmt.Fprintln(&out, "  why: ", e.Why)
	}
	if e.Hint != "" {
		fmt.Fprintln(&out, "  next:", e.Hint)
	}
	return out.Bytes()
}

func writeJSON(out *bytes.Buffer, result Result, failure *Error) error {
	document := map[string]json.RawMessage{}
	if result != nil {
		body, err := json.Marshal(result)
		if err != nil {
			return fmt.Errorf("writing the result as JSON: %w", err)
		}
		if failure == nil {
			return indent(out, body)
		}
		if err := json.Unmarshal(body, &document); err != nil {
			return fmt.Errorf("a result must be a JSON object: %w", err)
		}
	}
	if failure != nil {
		body, err := json.Marshal(failure)
		if err != nil {
			return fmt.Errorf("writing the error as JSON: %w", err)
		}
		document["error"] = body
	}
	body, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("writing the answer as JSON: %w", err)
	}
	return indent(out, body)
}

func indent(out *bytes.Buffer, body []byte) error {
	if err := json.Indent(out, body, "", "  "); err != nil {
		return err
	}
	return out.WriteByte('\n')
}

// writeAnswer writes the one line of --answer: the exit code, the fields, and the error.
func writeAnswer(out *bytes.Buffer, result Result, failure *Error) error {
	document := Fields{}
	if result != nil {
		maps.Copy(document, result.Answer())
	}
	for name, value := range document { // a pipeline shows what it reads
		if said, ok := value.(string); ok {
			document[name] = safe.Visible(said)
		}
	}
	document["exit"] = Done
	if failure != nil {
		document["exit"] = failure.Code
		document["error"] = map[string]string{"message": failure.Message, "why": failure.Why, "hint": failure.Hint}
	}
	return json.NewEncoder(out).Encode(document)
}
