// Package record reads slipway-record.json, as docs/slipway-record.schema.json describes it. A field that it does not know, as
// another version of Slipway may write it, is passed over.
package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/safe"
)

// The pipelines, and how a run ends.
const (
	Staging    = "stagingPipeline"
	Production = "prodCanaryPipeline"

	Done    = "done"
	Failed  = "failed"
	Stopped = "stopped"
)

// Record is what one run of a pipeline did.
type Record struct {
	Version        int        `json:"version"`
	Pipeline       string     `json:"pipeline"`
	App            string     `json:"app"`
	Namespace      string     `json:"namespace"`
	Deployment     string     `json:"deployment"`
	Build          string     `json:"build"`
	Began          time.Time  `json:"began"`
	Ended          time.Time  `json:"ended"`
	Outcome        string     `json:"outcome"`
	Why            string     `json:"why"`
	Now            string     `json:"now"`
	Undone         string     `json:"undone"`
	Branch         string     `json:"branch"`
	Commit         string     `json:"commit"`
	Image          string     `json:"image"`
	PreviousImage  string     `json:"previousImage"`
	PreviousCommit string     `json:"previousCommit"`
	Commits        string     `json:"commits"`       // between the two
	Configuration  string     `json:"configuration"` // what it changes there, as a diff
	Validation     string     `json:"validation"`
	Scan           *Scan      `json:"scan"`
	Waived         []string   `json:"waived"`
	Evidence       []string   `json:"evidence"`
	Migration      *Migration `json:"migration"`
	Canary         *Canary    `json:"canary"`
	Approvals      []Approval `json:"approvals"`
	Refused        []Refusal  `json:"refused"`
	Policy         string     `json:"policy"`
	Warnings       []string   `json:"warnings"`
	Stages         []Stage    `json:"stages"`

	File string `json:"-"` // where it was read
}

// Scan is how the image was scanned.
type Scan struct {
	Scanner  string `json:"scanner"`
	Severity string `json:"severity"`
	Outcome  string `json:"outcome"`
}

// Migration is what was done to the database.
type Migration struct {
	PlanID   string   `json:"planId"`
	Plan     string   `json:"plan"` // what people saw of it, with its statements
	Pending  int      `json:"pending"`
	Breaking bool     `json:"breaking"`
	Current  string   `json:"current"`
	Applied  []string `json:"applied"`
	Skipped  string   `json:"skipped"`
}

// Canary is how the image was tried.
type Canary struct {
	Weight   int    `json:"weight"`
	Achieved string `json:"achieved"`
	Router   string `json:"router"`
	Verdict  string `json:"verdict"`
	Course   string `json:"course"` // JSON of canary.Course, of an analysis by Prometheus
}

// Approval is the yes of one person.
type Approval struct {
	What    string    `json:"what"`
	By      string    `json:"by"`
	As      string    `json:"as"`
	At      time.Time `json:"at"`
	Hash    string    `json:"hash"`
	Comment string    `json:"comment"`
}

// Refusal is an answer that approved nothing.
type Refusal struct {
	What string    `json:"what"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
	Why  string    `json:"why"`
}

// Stage is one stage of the run.
type Stage struct {
	Name    string    `json:"name"`
	Outcome string    `json:"outcome"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Agents  []string  `json:"agents"`
}

const largest = 16 << 20

// Read reads one record.
func Read(file string) (Record, error) {
	r := Record{File: file}
	info, err := os.Stat(file)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > largest) {
		err = fmt.Errorf("it is no file of at most %d MB", largest>>20)
	}
	var body []byte
	if err == nil {
		body, err = os.ReadFile(file)
	}
	if err == nil {
		err = json.Unmarshal(body, &r)
	}
	if err == nil {
		err = r.check()
	}
	return r, err
}

func (r Record) check() error {
	switch {
	case r.Pipeline != Staging && r.Pipeline != Production:
		return fmt.Errorf("its field pipeline is %q, and neither %s nor %s", r.Pipeline, Staging, Production)
	case r.Outcome != Done && r.Outcome != Failed && r.Outcome != Stopped:
		return fmt.Errorf("its field outcome is %q, and none of done, failed, stopped", r.Outcome)
	case r.App == "" || r.Build == "":
		return errors.New("it has no field app or build")
	case r.Began.IsZero() || r.Ended.Before(r.Began):
		return errors.New("its fields began and ended are no times in their order")
	}
	return nil
}

// Load reads records: files, and of a folder all files named slipway-record*.json, at any depth. A run that is there twice is
// read once. They come in the order in which they ended. All mistakes are one error.
func Load(paths []string) ([]Record, error) {
	files, err := find(paths)
	if err != nil {
		return nil, err
	}
	type run struct{ build, app, pipeline string }
	found, records, wrong := map[run]bool{}, []Record{}, []string{}
	for _, file := range files {
		r, err := Read(file)
		if err != nil {
			wrong = append(wrong, safe.Line(fmt.Sprintf("%s: %v", file, err)))
			continue
		}
		if key := (run{r.Build, r.App, r.Pipeline}); !found[key] {
			found[key] = true
			records = append(records, r)
		}
	}
	if len(wrong) > 0 {
		return nil, slipway.Usagef("%d of %d records cannot be read", len(wrong), len(files)).
			Because(errors.New(strings.Join(wrong[:min(len(wrong), 10)], "; "))).
			Next("give files as the pipelines archive them: docs/slipway-record.schema.json")
	}
	slices.SortStableFunc(records, func(a, b Record) int { return a.Ended.Compare(b.Ended) })
	return records, nil
}

func find(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, slipway.Usagef("there are no records to read").Because(err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if matched, _ := filepath.Match("slipway-record*.json", entry.Name()); matched && entry.Type().IsRegular() {
				files = append(files, name)
			}
			return nil
		})
		if err != nil {
			return nil, slipway.Usagef("the folder %s cannot be read whole", path).Because(err)
		}
	}
	return files, nil
}

// Last is the newest record for which the condition holds; nil where there is none.
func Last(records []Record, holds func(Record) bool) *Record {
	for i := len(records) - 1; i >= 0; i-- {
		if holds(records[i]) {
			return &records[i]
		}
	}
	return nil
}
