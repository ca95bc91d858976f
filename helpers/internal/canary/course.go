package canary

import (
	"time"

	"slipway.dev/slipway/helpers/internal/page"
)

// Course is how an analysis went, which a record keeps for the page of its release.
type Course struct {
	Begin        time.Time `json:"begin"`
	MaxErrorRate float64   `json:"maxErrorRate"` // 0 to 1
	Looks        []Look    `json:"looks"`
}

// Course of the analysis.
func (a Analysis) Course() Course { return Course{a.Begin, a.Criteria.MaxErrorRate, a.Looks} }

// Charts draws it; there is nothing to draw without a look.
func (c Course) Charts() []page.Chart {
	if len(c.Looks) == 0 {
		return nil
	}
	errors := page.Chart{Title: "Requests that failed", Unit: "%", Limit: 100 * c.MaxErrorRate, LimitName: "allowed at all"}
	latency := page.Chart{Title: "95 % of requests were faster than", Unit: "ms"}
	rate := page.Chart{Title: "Requests a second", Unit: ""}
	before := Look{At: c.Begin}
	for _, look := range c.Looks {
		seconds := look.At.Sub(c.Begin).Seconds()
		between := max(look.At.Sub(before.At).Seconds(), 1e-3)
		errors.Add(seconds, 100*look.Canary.Rate(), 100*look.Stable.Rate())
		latency.Add(seconds, 1000*look.Canary.P95, 1000*look.Stable.P95)
		rate.Add(seconds, (look.Canary.Requests-before.Canary.Requests)/between, (look.Stable.Requests-before.Stable.Requests)/between)
		before = look
	}
	charts := []page.Chart{errors, latency, rate}
	for i := range charts {
		charts[i].Lay()
	}
	return charts
}
