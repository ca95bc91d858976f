package canary

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"path/filepath"
	"strings"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/page"
	"slipway.dev/slipway/helpers/internal/safe"
)

//go:embed report.html
var reportPage string

//go:embed report.css
var reportStyle string

// WriteReport writes the analysis as one self-contained page: no script, no
// network, for screens and paper. Its style is in the page and, for a server
// that lets only files apply (Jenkins with its builds' artifacts), in a file beside
// it that ends in .css. A file is there whole or not at all.
func WriteReport(file string, analysis Analysis) error {
	failed := func(err error) error {
		return slipway.Errorf(slipway.Unknown, "the report %s could not be written", file).Because(err)
	}
	shape, err := template.New("report").Funcs(template.FuncMap{
		"percent": func(rate float64) string { return fmt.Sprintf("%.2f %%", 100*rate) },
		"count":   grouped,
		"ms":      milliseconds,
		"upper":   func(j Judgement) string { return strings.ToUpper(string(j)) },
		"test":    func(p float64) string { return fmt.Sprintf("%.2g", p) },
		"tail":    func(s Sample, rate float64) string { return fmt.Sprintf("%.2g", BinomialTail(s, rate)) },
		"alpha":   func(c Criteria) string { return fmt.Sprintf("%.2g", lookAlpha(c.Looks)) },
		"ratio": func(a, b float64) string {
			if a <= 0 || b <= 0 {
				return "not measured"
			}
			return fmt.Sprintf("%.2f ×", a/b)
		},
		"wilson": func(s Sample) string {
			low, high := Wilson(s.Errors, s.Requests, 0.95)
			return fmt.Sprintf("%.2f to %.2f %%", 100*low, 100*high)
		},
	}).Parse(reportPage)
	if err != nil {
		return failed(err)
	}
	sheet := strings.TrimSuffix(file, filepath.Ext(file)) + ".css"
	shown := newReport(analysis)
	shown.Style, shown.Sheet = template.CSS(reportStyle), filepath.Base(sheet)
	var out bytes.Buffer
	if err := shape.Execute(&out, shown); err != nil {
		return failed(err)
	}
	for name, body := range map[string]string{sheet: reportStyle, file: safe.Visible(out.String())} {
		if err := page.Whole(name, body); err != nil {
			return failed(err)
		}
	}
	return nil
}

// report is what the page shows.
type report struct {
	Analysis
	Style  template.CSS
	Sheet  string // the name of the style's file beside the page
	Last   Look
	Charts []chart
}

func newReport(analysis Analysis) report {
	r := report{Analysis: analysis}
	if len(analysis.Looks) == 0 {
		return r
	}
	r.Last = analysis.Looks[len(analysis.Looks)-1]
	errors := chart{Title: "Requests that failed", Unit: "%", Limit: 100 * analysis.Criteria.MaxErrorRate, LimitName: "allowed at all"}
	latency := chart{Title: "95 % of requests were faster than", Unit: "ms"}
	rate := chart{Title: "Requests a second", Unit: ""}
	before := Look{At: analysis.Begin}
	for _, look := range analysis.Looks {
		seconds := look.At.Sub(analysis.Begin).Seconds()
		between := max(look.At.Sub(before.At).Seconds(), 1e-3)
		errors.add(seconds, 100*look.Canary.Rate(), 100*look.Stable.Rate())
		latency.add(seconds, 1000*look.Canary.P95, 1000*look.Stable.P95)
		rate.add(seconds, (look.Canary.Requests-before.Canary.Requests)/between, (look.Stable.Requests-before.Stable.Requests)/between)
		before = look
	}
	r.Charts = []chart{errors, latency, rate}
	for i := range r.Charts {
		r.Charts[i].lay()
	}
	return r
}

func grouped(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

func milliseconds(seconds float64) string {
	if seconds <= 0 {
		return "not measured"
	}
	return fmt.Sprintf("%.0f ms", 1000*seconds)
}
