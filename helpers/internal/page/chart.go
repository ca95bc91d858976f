package page

import (
	_ "embed"
	"fmt"
	"math"
	"strings"
)

// ChartBody is the template "chart", which draws a Chart.
//
//go:embed chart.html
var ChartBody string

// Chart is two lines over time, as inline SVG.
type Chart struct {
	Title, Unit, LimitName   string
	Limit                    float64 // a level that is drawn as well; 0 for none
	at, canary, stable       []float64
	Canary, Stable           string // the lines' points
	CanaryEnd, StableEnd     point
	LimitY                   float64
	Ticks                    []tick
	Times                    []tick
	LastCanary, LastStable   string
	CanaryLabel, StableLabel float64 // where the names stand
}

type point struct{ X, Y float64 }

type tick struct {
	At   float64
	Text string
}

// The drawing's inner edges, in its own units.
const (
	chartLeft, chartRight = 56.0, 560.0
	chartTop, chartBottom = 16.0, 176.0
)

// Add is one point of each line; at is in seconds.
func (c *Chart) Add(at, canary, stable float64) {
	c.at, c.canary, c.stable = append(c.at, at), append(c.canary, canary), append(c.stable, stable)
}

// Lay computes where everything stands.
func (c *Chart) Lay() {
	top := c.Limit * 1.1
	for i := range c.at {
		top = max(top, c.canary[i], c.stable[i])
	}
	step := niceStep(top / 3)
	top = max(math.Ceil(top/step-1e-9)*step, step)
	y := func(value float64) float64 { return chartBottom - value/top*(chartBottom-chartTop) }
	end := max(c.at[len(c.at)-1], 1e-3)
	x := func(at float64) float64 { return chartLeft + at/end*(chartRight-chartLeft) }
	line := func(values []float64) (string, point) {
		var points []string
		var last point
		for i, value := range values {
			last = point{x(c.at[i]), y(value)}
			points = append(points, fmt.Sprintf("%.1f,%.1f", last.X, last.Y))
		}
		return strings.Join(points, " "), last
	}
	c.Canary, c.CanaryEnd = line(c.canary)
	c.Stable, c.StableEnd = line(c.stable)
	c.LimitY = y(c.Limit)
	decimals := int(max(0, math.Ceil(-math.Log10(step)-1e-9)))
	for value := 0.0; value <= top+step/2; value += step {
		c.Ticks = append(c.Ticks, tick{y(value), strings.TrimSpace(fmt.Sprintf("%.*f %s", decimals, value, c.Unit))})
	}
	every := niceStep(end / 5)
	for at := 0.0; at <= end+1e-6; at += every {
		c.Times = append(c.Times, tick{x(at), fmt.Sprintf("%.0f s", at)})
	}
	value := func(v float64) string { return strings.TrimSpace(fmt.Sprintf("%.*f %s", max(decimals, 1), v, c.Unit)) }
	c.LastCanary, c.LastStable = value(c.canary[len(c.canary)-1]), value(c.stable[len(c.stable)-1])
	c.CanaryLabel, c.StableLabel = c.CanaryEnd.Y, c.StableEnd.Y
	const apart = 30.0
	if gap := c.CanaryLabel - c.StableLabel; math.Abs(gap) < apart {
		middle := min(max((c.CanaryLabel+c.StableLabel)/2, chartTop+apart/2), chartBottom-apart/2)
		if gap < 0 {
			c.CanaryLabel, c.StableLabel = middle-apart/2, middle+apart/2
		} else {
			c.CanaryLabel, c.StableLabel = middle+apart/2, middle-apart/2
		}
	}
}

// niceStep is the next of 1, 2, 5 times a power of ten.
func niceStep(least float64) float64 {
	if least <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= least-1e-12 {
			return factor * power
		}
	}
	return 10 * power
}
