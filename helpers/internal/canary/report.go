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
	if err == nil {
		shape, err = shape.Parse(page.ChartBody)
	}
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
	Charts []page.Chart
}

func newReport(analysis Analysis) report {
	r := report{Analysis: analysis}
	if len(analysis.Looks) > 0 {
		r.Last, r.Charts = analysis.Looks[len(analysis.Looks)-1], analysis.Course().Charts()
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
