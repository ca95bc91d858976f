package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"slipway.dev/slipway/tests/pipelines/matrix"
	"slipway.dev/slipway/tests/pipelines/replay"
)

// suspending are the steps at which a build waits for something outside, and so can be
// stopped, killed or restarted.
var suspending = map[string]bool{
	"node": true, "sh": true, "input": true, "lock": true, "checkout": true, "stash": true, "unstash": true,
	"archiveArtifacts": true, "writeFile": true, "fileExists": true, "milestone": true,
}

// stop is one way to stop a build.
type stop struct {
	name string
	at   func(s step) (arguments, environment []string) // nil where it cannot happen at that step
	judge
}

// judge says whether the result is right, given how the cluster is left.
type judge func(p played, s state, at step) bool

func at(what string) func(step) ([]string, []string) {
	return func(s step) ([]string, []string) { return []string{"--at", fmt.Sprintf("%d=%s", s.number, what)}, nil }
}

// whileItWaits is the same, and nobody answers an approval meanwhile.
func whileItWaits(what string) func(step) ([]string, []string) {
	return func(s step) ([]string, []string) {
		arguments, _ := at(what)(s)
		if id := approvals[s.stage]; s.function == "input" {
			arguments = append(arguments, "--answer", id+"=wait")
		}
		return arguments, nil
	}
}

var approvals = map[string]string{"Database Migration": "migrate", "Promote to Production": "promote"}

// neverPromoted says whether nothing new was left everywhere by a run that was stopped;
// the promotion is over when the canary goes to 0. A stop at a step that waits for
// nothing is lost in Jenkins too: the build goes on, and is ABORTED all the same.
func neverPromoted(s state, at step) bool {
	over := at.label == "canary to 0" || at.function == "writeFile" || at.function == "archiveArtifacts"
	instant := at.function == "lock" || at.function == "milestone"
	return s.stable != "good" || over || instant
}

// complete says whether nothing was left to do but keeping the record.
func complete(p played, s state) bool {
	return strings.Contains(p.console, " is done\n") && s.canary != "open" && s.stable != "changed"
}

func answered(answer string) func(step) ([]string, []string) {
	return func(s step) ([]string, []string) {
		if s.function != "input" {
			return nil, nil
		}
		return []string{"--answer", approvals[s.stage] + "=" + answer}, nil
	}
}

var stops = []stop{
	{"fails", at("fail"), func(p played, s state, _ step) bool {
		return p.result == "FAILURE" || p.result == "SUCCESS" && complete(p, s)
	}},
	{"abort", whileItWaits("abort"), func(p played, s state, at step) bool { return p.result == "ABORTED" && neverPromoted(s, at) }},
	{"rejected", answered("no"), func(p played, s state, _ step) bool { return p.result == "ABORTED" && s.stable != "good" }},
	{"not answered", answered("timeout"), func(p played, s state, _ step) bool { return p.result == "ABORTED" && s.stable != "good" }},
	{"time-out", whileItWaits("timeout"), func(p played, s state, at step) bool {
		return p.result == "ABORTED" && neverPromoted(s, at) || p.result == "SUCCESS" && complete(p, s)
	}},
	// Whoever waits for a pod when the controller goes waits for ever, in Jenkins too: the time-out ends it.
	{"restart", at("kill"), func(p played, _ state, at step) bool {
		return p.result == "SUCCESS" || at.function == "node" && p.result == "ABORTED"
	}},
	{"gone", at("kill"), func(p played, _ state, _ step) bool { return p.result == "" }},
	{"helper killed", func(s step) ([]string, []string) {
		if s.function != "sh" || s.helper == "" {
			return nil, nil
		}
		return nil, []string{"REPLAY_DIES=" + s.helper}
	}, func(p played, s state, _ step) bool {
		return p.result == "FAILURE" || p.result == "SUCCESS" && complete(p, s)
	}},
}

// TestWhateverStopsAPipelineItEndsWell plays a choice of the matrix' cells;
// SLIPWAY_MATRIX=all plays every one of them and keeps them in docs/stop-matrix.md,
// SLIPWAY_MATRIX=missing those that are not there yet or did not end as they must.
func TestWhateverStopsAPipelineItEndsWell(t *testing.T) {
	l := newLocal(t)
	for _, pipeline := range []scenario{
		{name: "prodCanaryPipeline", jenkinsfile: "Jenkinsfile.prod"}, {name: "stagingPipeline", jenkinsfile: "Jenkinsfile"},
		{name: "prodCanaryPipeline, undoing", jenkinsfile: "Jenkinsfile.prod", refused: "promotion"},
		{name: "stagingPipeline, undoing", jenkinsfile: "Jenkinsfile", refused: "deploy"},
	} {
		t.Run(pipeline.name, func(t *testing.T) {
			if pipeline.refused != "" {
				pipeline.environment = []string{l.refusing(t, helperOf[pipeline.refused])}
			}
			reference, err := l.play(t.Context(), filepath.Join(t.TempDir(), "home"), pipeline.jenkinsfile, pipeline.environment, "--answer", "yes")
			require.NoError(t, err)
			require.Equal(t, pipeline.result(), reference.result, reference.console)
			steps, err := reference.steps()
			require.NoError(t, err)
			steps = rows(steps)
			if at := slices.IndexFunc(steps, func(s step) bool { return s.label == pipeline.refused }); pipeline.refused != "" {
				steps = steps[at+1:]
			}
			require.GreaterOrEqual(t, len(steps), 4)
			l.matrix(t, pipeline, steps, os.Getenv("SLIPWAY_MATRIX"))
		})
	}
}

// scenario is a run that is stopped at each of its steps: a whole one, or the undoing of one in which a helper refuses.
type scenario struct {
	name, jenkinsfile string
	refused           string // the label of the helper's sh
	environment       []string
}

func (s scenario) result() string {
	if s.refused != "" {
		return "FAILURE"
	}
	return "SUCCESS"
}

// refusing are the recorded answers of a site whose helper refuses.
func (l *local) refusing(t *testing.T, key string) string {
	t.Helper()
	name, word, _ := strings.Cut(key, " ")
	body, err := json.Marshal([]replay.Call{{Helper: name, Arguments: []string{word},
		Answer: `{"exit":1,"error":{"message":"it is refused","why":"","hint":""}}`}})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "refused.json")
	require.NoError(t, os.WriteFile(file, body, 0o600))
	return "REPLAY_FILES=" + file + ":" + l.recordings("production-rejected", "production-stopped", "production", "staging")
}

// undone judges a stop of the undoing: the run stays what it was, and what is not undone is told with the command that undoes it.
func undone(p played) bool { return p.result == "FAILURE" || p.result == "ABORTED" }

// byHand says whether the last lines tell what was not undone.
func byHand(p played) bool {
	return strings.Contains(p.console, "\n  next   slipway phase undo ") || strings.Contains(p.console, "; the next run replaces it")
}

// rows are the steps at which the build can be stopped.
func rows(steps []step) []step {
	var found []step
	for _, s := range steps {
		if suspending[s.function] {
			s.helper = helperOf[s.label]
			s.again = slices.ContainsFunc(found, func(earlier step) bool { return earlier.row() == s.row() })
			found = append(found, s)
		}
	}
	return found
}

// helperOf names the call that a sh stands or falls with.
var helperOf = map[string]string{
	"image to promote": "phase find", "what would change": "phase compare", "migration plan": "phase plan", "migration": "migrate-diff apply",
	"canary at 10 %": "phase canary", "canary health": "phase judge", "promotion": "phase promote", "canary to 0": "phase undo canary",
	"undo": "phase undo stable canary", "staging back to its last good revision": "phase undo stable",
	"push": "nexus-push", "migrate": "phase migrate", "deploy": "phase deploy",
}

type cell struct {
	text string
	good bool
}

// matrix plays each step with each stop, two at a time.
// It begins none when the test's time is nearly over.
func (l *local) matrix(t *testing.T, pipeline scenario, steps []step, which string) {
	t.Helper()
	type one struct {
		step step
		stop stop
	}
	var cells, chosenOnes []one
	for _, stop := range stops {
		for _, s := range steps {
			if arguments, environment := stop.at(s); arguments == nil && environment == nil {
				continue
			}
			cells = append(cells, one{s, stop})
			if pipeline.refused == "" && chosen(s, stop) || pipeline.refused != "" && s.function == "node" && stop.name == "restart" {
				chosenOnes = append(chosenOnes, one{s, stop})
			}
		}
	}
	count := len(cells)
	table, err := matrix.Open(filepath.Join(root, "docs/stop-matrix.md"), pipeline.name, lines(steps), names(), count)
	require.NoError(t, err)
	switch which {
	case "":
		cells = chosenOnes
	case "missing":
		cells = slices.DeleteFunc(cells, func(c one) bool { return table.Good(c.step.row(), c.stop.name) })
	}
	t.Logf("%s: %d of %d cells are played", pipeline.name, len(cells), count)
	end, limited := t.Deadline()
	slots := make(chan struct{}, 2)
	var group sync.WaitGroup
	for _, c := range cells {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if limited && time.Until(end) < 6*time.Minute {
				return
			}
			t.Run(c.step.String()+", "+c.stop.name, func(t *testing.T) {
				made, p, err := l.cell(t.Context(), filepath.Join(t.TempDir(), "home"), pipeline, c.step, c.stop)
				assert.NoError(t, err)
				assert.True(t, made.good, "%s\n%s", made.text, p.console)
				if which != "" {
					assert.NoError(t, table.Put(c.step.row(), c.stop.name, made.text, made.good))
				}
			})
		})
	}
	group.Wait()
}

// row is the step's in the table: without what is another one in each run.
func (s step) row() matrix.Row {
	text := s.function
	if s.label != "" && s.function != "node" && !strings.HasPrefix(s.label, "[") {
		text += " (" + s.label + ")"
	}
	if s.again {
		text += ", again"
	}
	return matrix.Row{Stage: s.stage, Step: text}
}

func lines(steps []step) []matrix.Row {
	var rows []matrix.Row
	for _, s := range steps {
		rows = append(rows, s.row())
	}
	return rows
}

func names() []string {
	var found []string
	for _, stop := range stops {
		found = append(found, stop.name)
	}
	return found
}

// chosen are the cells of the default run: where most is at stake, each stop once or twice.
func chosen(s step, stop stop) bool {
	switch stop.name {
	case "rejected", "not answered":
		return s.stage == "Promote to Production"
	case "gone":
		return s.label == "promotion" || s.label == "deploy"
	case "time-out":
		return s.label == "canary health"
	case "restart":
		return s.label == "canary at 10 %" || s.function == "input" && s.stage == "Promote to Production"
	case "fails":
		return s.label == "promotion" || s.label == "deploy"
	}
	return s.label == "promotion" || s.label == "canary health"
}

func (l *local) cell(ctx context.Context, home string, pipeline scenario, s step, stop stop) (cell, played, error) {
	arguments, environment := stop.at(s)
	environment = append(slices.Clone(pipeline.environment), environment...)
	p, err := l.play(ctx, home, pipeline.jenkinsfile, environment, append(arguments, "--answer", "yes")...)
	if err != nil {
		return cell{text: "did not end"}, p, err
	}
	if stop.name == "restart" {
		before := p.console
		if p, err = l.play(ctx, home, pipeline.jenkinsfile, environment, "--resume"); err != nil {
			return cell{text: "did not go on"}, p, err
		}
		p.console = before + p.console
	}
	left := after(p.calls)
	how, good := left.acceptable(stop.name == "gone")
	result := p.result
	if result == "" {
		result = "none"
	}
	right := stop.judge
	if pipeline.refused != "" && stop.name != "gone" {
		right = func(p played, _ state, _ step) bool { return undone(p) }
		if !good && byHand(p) {
			how, good = how+": by hand", true
		}
	}
	made := cell{text: result + ", " + how, good: good && right(p, left, s)}
	if made.good && stop.name != "gone" && !strings.Contains(p.console, "slipway: ") {
		made.good, made.text = false, made.text+", no last words"
	}
	if _, err := os.Stat(filepath.Join(home, "calls.died")); stop.name == "helper killed" && err != nil {
		made.good, made.text = false, made.text+", and the helper was not killed"
	}
	if stop.name != "gone" && made.good {
		if err := p.validRecord(); err != nil {
			made.good, made.text = false, made.text+", "+err.Error()
		}
	}
	return made, p, nil
}

var recordLine = regexp.MustCompile(`(?m)^slipway-record: (\{.*\})$`)

// validRecord checks the last record on the console against its schema.
func (p played) validRecord() error {
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(root, "docs/slipway-record.schema.json"))
	if err != nil {
		return err
	}
	found := recordLine.FindAllStringSubmatch(p.console, -1)
	if found == nil {
		return errors.New("no record")
	}
	record, err := jsonschema.UnmarshalJSON(strings.NewReader(found[len(found)-1][1]))
	if err != nil {
		return err
	}
	return schema.Validate(record)
}
