package rollout

import (
	"fmt"
	"io"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

// Result is what rollout-wait answers of one workload.
type Result struct {
	Verdict
	Seconds    float64     `json:"seconds"`
	Rollback   string      `json:"rollback,omitempty"`  // what was undone, and how that ended
	LastWords  *kube.Words `json:"lastWords,omitempty"` // of one of the new pods, where they were asked for and the rollout is done
	rolledBack bool
}

// Results are those of all the workloads that were asked for.
type Results struct {
	Workloads []Result `json:"workloads"`
}

// Text tells one line a workload, and the story of each failure.
func (r Results) Text(out io.Writer) error {
	var b strings.Builder
	for _, result := range r.Workloads {
		state := string(result.State)
		if result.Code != "" {
			state += ": " + result.Code
		}
		fmt.Fprintf(&b, "%s: %s: %s (%.1f s)\n", result.Workload, state, result.Cause, result.Seconds)
		if result.State != Done {
			for i, failure := range result.Failures {
				failure.text(&b, i > 0 || failure.Cause != result.Cause)
			}
		}
		if result.LastWords != nil {
			_ = result.LastWords.Text(&b) // a strings.Builder takes all
		}
		if result.Rollback != "" {
			fmt.Fprintf(&b, "  rollback: %s\n", result.Rollback)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// Story is the same: a pipeline that keeps the answer still shows it.
func (r Results) Story(out io.Writer) error { return r.Text(out) }

func (f Failure) text(b *strings.Builder, headed bool) {
	if headed {
		fmt.Fprintf(b, "  %s: %s\n", f.Code, f.Cause)
	}
	switch {
	case f.Pods > 1:
		fmt.Fprintf(b, "  in %d pods, such as %s\n", f.Pods, f.Pod)
	case f.Pod != "":
		fmt.Fprintf(b, "  in the pod %s\n", f.Pod)
	}
	if f.Report != nil {
		f.Report.text(b)
	}
}

// Answer tells the first failure, or that all is done.
func (r Results) Answer() slipway.Fields {
	worst := Result{Verdict: Verdict{State: Done}}
	var names []string
	for _, result := range r.Workloads {
		names = append(names, result.Workload)
		if result.State != Done && worst.State == Done || result.State == Failed && worst.State == Progressing {
			worst = result
		}
	}
	return slipway.Fields{"state": string(worst.State), "workloads": strings.Join(names, " "), "workload": worst.Workload,
		"code": worst.Code, "cause": worst.Cause, "rollback": worst.Rollback}
}

// lastWord is the last line that the container in question has written, or the
// last that was said of the pod.
func (r Result) lastWord() string {
	for _, failure := range r.Failures {
		switch report := failure.Report; {
		case report == nil:
		case len(report.Log) > 0:
			return fmt.Sprintf("%s said last: %s", failure.Pod, report.Log[len(report.Log)-1])
		case len(report.Events) > 0 && !strings.Contains(r.Cause, mostTelling(report.Events)):
			return mostTelling(report.Events)
		}
	}
	return ""
}

func (r Result) try() string {
	for _, failure := range r.Failures {
		if failure.Report != nil {
			return failure.Report.Try
		}
	}
	return "look closer: kubectl describe " + r.Workload
}
