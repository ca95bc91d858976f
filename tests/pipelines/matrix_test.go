package pipelines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
type judge func(p played, s state) bool

func at(what string) func(step) ([]string, []string) {
	return func(s step) ([]string, []string) { return []string{"--at", fmt.Sprintf("%d=%s", s.number, what)}, nil }
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
		id := map[string]string{"Database Migration": "migrate", "Promote to Production": "promote"}[s.stage]
		return []string{"--answer", id + "=" + answer}, nil
	}
}

var stops = []stop{
	{"fails", at("fail"), func(p played, s state) bool { return p.result == "FAILURE" || p.result == "SUCCESS" && complete(p, s) }},
	{"abort", at("abort"), func(p played, s state) bool { return p.result == "ABORTED" }},
	{"rejected", answered("no"), func(p played, _ state) bool { return p.result == "ABORTED" }},
	{"not answered", answered("timeout"), func(p played, _ state) bool { return p.result == "ABORTED" }},
	{"time-out", at("timeout"), func(p played, s state) bool { return p.result == "ABORTED" || p.result == "SUCCESS" && complete(p, s) }},
	{"restart", at("kill"), func(p played, s state) bool { return p.result == "SUCCESS" }},
	{"gone", at("kill"), func(p played, _ state) bool { return p.result == "" }},
	{"helper killed", func(s step) ([]string, []string) {
		if s.function != "sh" || s.helper == "" {
			return nil, nil
		}
		return nil, []string{"REPLAY_DIES=" + s.helper}
	}, func(p played, s state) bool { return p.result == "FAILURE" || p.result == "SUCCESS" && complete(p, s) }},
}

// TestWhateverStopsAPipelineItEndsWell plays the cells of the matrix; SLIPWAY_MATRIX=all
// plays every one of them and writes the table to docs/stop-matrix.md.
func TestWhateverStopsAPipelineItEndsWell(t *testing.T) {
	l := newLocal(t)
	all := os.Getenv("SLIPWAY_MATRIX") == "all"
	var table strings.Builder
	for _, pipeline := range []struct{ name, jenkinsfile string }{{"prodCanaryPipeline", "Jenkinsfile.prod"}, {"stagingPipeline", "Jenkinsfile"}} {
		reference, err := l.play(t.Context(), filepath.Join(t.TempDir(), "home"), pipeline.jenkinsfile, nil, "--answer", "yes")
		require.NoError(t, err)
		require.Equal(t, "SUCCESS", reference.result, reference.console)
		steps, err := reference.steps()
		require.NoError(t, err)
		steps = rows(steps)
		require.Greater(t, len(steps), 10)
		cells, count := l.matrix(t, pipeline.jenkinsfile, steps, all)
		t.Logf("%s: %d of %d cells played", pipeline.name, len(cells), count)
		writeTable(&table, pipeline.name, steps, cells, count)
	}
	if all {
		keepTable(t, table.String())
	}
}

// rows are the steps at which the build can be stopped.
func rows(steps []step) []step {
	var found []step
	for _, s := range steps {
		if suspending[s.function] {
			s.helper = helperOf[s.label]
			found = append(found, s)
		}
	}
	return found
}

// helperOf names the call that a sh stands or falls with.
var helperOf = map[string]string{
	"image to promote": "nexus-latest-tag", "what would change": "deploy-image " + app + " --image --dry-run", "migration plan": "migrate-diff plan", "migration": "migrate-diff apply",
	"canary image": "deploy-image " + canary + " --image", "canary at 10 %": "canary-weight set", "canary health": "rollout-wait " + canary + " --image --hold",
	"promotion": "deploy-image " + app + " --image", "rollout": "rollout-wait " + app + " --image --mark-good", "canary to 0": "canary-weight abort --own",
	"push": "nexus-push", "deploy": "deploy-image " + app + " --image", "smoke test and evidence": "image-evidence add",
}

type cell struct {
	text string
	good bool
}

// matrix plays each step with each stop, and says how many cells there are; without
// all it plays a choice, and it begins none when the test's time is nearly over.
func (l *local) matrix(t *testing.T, jenkinsfile string, steps []step, all bool) (cells map[string]cell, count int) {
	t.Helper()
	cells = map[string]cell{}
	end, limited := t.Deadline()
	var lock sync.Mutex
	var group sync.WaitGroup
	slots := make(chan struct{}, 2)
	for _, stop := range stops {
		for _, s := range steps {
			arguments, environment := stop.at(s)
			if arguments == nil && environment == nil {
				continue
			}
			if count++; !all && !chosen(s, stop) {
				continue
			}
			group.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if limited && time.Until(end) < 2*time.Minute {
					return
				}
				made, p, err := l.cell(t.Context(), filepath.Join(t.TempDir(), "home"), jenkinsfile, s, stop, arguments, environment)
				if assert.NoError(t, err, "%s, %s", s, stop.name) {
					assert.True(t, made.good, "%s, %s: %s\n%s", s, stop.name, made.text, p.console)
				}
				lock.Lock()
				defer lock.Unlock()
				cells[fmt.Sprint(s.number)+stop.name] = made
			})
		}
	}
	group.Wait()
	return cells, count
}

// chosen are the cells of the default run: where most is at stake, each stop once or twice.
func chosen(s step, stop stop) bool {
	switch stop.name {
	case "rejected", "not answered":
		return s.stage == "Promote to Production"
	case "gone":
		return s.label == "rollout"
	case "time-out":
		return s.label == "canary health"
	case "restart":
		return s.label == "canary at 10 %" || s.function == "input" && s.stage == "Promote to Production"
	case "fails":
		return s.label == "promotion" || s.label == "smoke test and evidence"
	}
	return s.label == "rollout" || s.label == "canary health"
}

func (l *local) cell(ctx context.Context, home, jenkinsfile string, s step, stop stop, arguments, environment []string) (cell, played, error) {
	p, err := l.play(ctx, home, jenkinsfile, environment, append(arguments, "--answer", "yes")...)
	if err != nil {
		return cell{text: "did not end"}, p, err
	}
	if stop.name == "restart" {
		before := p.console
		if p, err = l.play(ctx, home, jenkinsfile, environment, "--resume"); err != nil {
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
	made := cell{text: result + ", " + how, good: good && stop.judge(p, left)}
	if made.good && stop.name != "gone" && !strings.Contains(p.console, "slipway: ") {
		made.good, made.text = false, made.text+", no last words"
	}
	if stop.name != "gone" && made.good {
		if err := p.validRecord(); err != nil {
			made.good, made.text = false, made.text+", "+err.Error()
		}
	}
	if !made.good {
		made.text = "**" + made.text + "**"
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

func writeTable(out *strings.Builder, name string, steps []step, cells map[string]cell, count int) {
	good := 0
	for _, c := range cells {
		if c.good {
			good++
		}
	}
	fmt.Fprintf(out, "\n### %s: %d steps, %d cells, %d played, %d as they must be\n\n| stage | step |", name, len(steps), count, len(cells), good)
	for _, stop := range stops {
		fmt.Fprintf(out, " %s |", stop.name)
	}
	fmt.Fprintf(out, "\n|---|---|%s\n", strings.Repeat("---|", len(stops)))
	for _, s := range steps {
		fmt.Fprintf(out, "| %s | %s |", s.stage, s)
		for _, stop := range stops {
			fmt.Fprintf(out, " %s |", cells[fmt.Sprint(s.number)+stop.name].text)
		}
		fmt.Fprintln(out)
	}
}

const tableBegin, tableEnd = "<!-- fast cells: begin -->\n", "<!-- fast cells: end -->\n"

func keepTable(t *testing.T, table string) {
	t.Helper()
	file := filepath.Join(root, "docs/stop-matrix.md")
	text := read(t, "docs/stop-matrix.md")
	before, rest, found := strings.Cut(text, tableBegin)
	require.True(t, found, "docs/stop-matrix.md has no place for the table")
	_, behind, found := strings.Cut(rest, tableEnd)
	require.True(t, found)
	require.NoError(t, os.WriteFile(file, []byte(before+tableBegin+table+"\n"+tableEnd+behind), 0o644))
}
