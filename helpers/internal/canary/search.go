// Package canary gives a new version a share of the traffic, proves that it has
// it, judges it by what it does there, and can undo all of it at any time.
package canary

import "math"

// Limits are what a search for replicas has to keep.
type Limits struct {
	Stable    int    // its replicas now
	MinStable int    // never fewer
	MaxExtra  int    // how many pods more than Stable in all
	FixStable bool   // an autoscaler owns them
	Why       string // the cluster's own limits, in words
}

// Split is a pair of replicas and the share that it gives, in percent.
type Split struct {
	Stable, Canary int
	Achieved       float64
}

// Error is how far the split is from the weight, in points.
func (s Split) Error(weight int) float64 { return math.Abs(s.Achieved - float64(weight)) }

func share(stable, canary int) float64 {
	if stable+canary == 0 {
		return 0
	}
	return 100 * float64(canary) / float64(stable+canary)
}

// Search tries every pair within the limits and gives the one whose share is
// nearest to weight (0 to 100); of equal ones the one with the fewest pods, then
// the one that leaves stable as it is. A weight above 0 has at least one pod.
// Where there is no room for a canary pod at all it gives none.
func Search(weight int, limits Limits) Split {
	if weight == 0 {
		return Split{Stable: limits.Stable}
	}
	from, to := max(limits.MinStable, 0), limits.Stable+limits.MaxExtra
	if limits.FixStable {
		from, to = limits.Stable, limits.Stable
	}
	best, found := Split{Stable: limits.Stable}, false
	for stable := from; stable <= to; stable++ {
		for canary := 1; stable+canary <= limits.Stable+limits.MaxExtra; canary++ {
			candidate := Split{Stable: stable, Canary: canary, Achieved: share(stable, canary)}
			if !found || better(candidate, best, weight, limits.Stable) {
				best, found = candidate, true
			}
		}
	}
	return best
}

func better(a, b Split, weight, stable int) bool {
	const equal = 1e-9
	switch difference := a.Error(weight) - b.Error(weight); {
	case difference < -equal:
		return true
	case difference > equal:
		return false
	case a.Stable+a.Canary != b.Stable+b.Canary:
		return a.Stable+a.Canary < b.Stable+b.Canary
	}
	return abs(a.Stable-stable) < abs(b.Stable-stable)
}

func abs(n int) int { return max(n, -n) }
