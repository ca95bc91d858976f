package canary

import (
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// Sample is what one version did over a window.
type Sample struct {
	Requests float64 `json:"requests"`
	Errors   float64 `json:"errors"`
	P95      float64 `json:"p95"` // seconds; NaN where nothing was measured is given as 0
}

// Rate is the share of requests that failed, 0 to 1.
func (s Sample) Rate() float64 {
	if s.Requests <= 0 {
		return 0
	}
	return s.Errors / s.Requests
}

// Alpha is the chance of a false "unhealthy" over a whole analysis, all looks
// and both tests together.
const Alpha = 0.05

// lookAlpha is what one test may spend at one look: the sum over both tests and
// as many looks as are planned is Alpha, whatever they have in common (Bonferroni).
func lookAlpha(looks int) float64 { return Alpha / 2 / float64(max(looks, 1)) }

// FisherGreater is the one-sided p-value of Fisher's exact test: how likely it
// is that the canary has so many of the errors, or more, if both versions fail equally often.
func FisherGreater(canary, stable Sample) float64 {
	canaryErrors, canaryRequests := math.Round(canary.Errors), math.Round(canary.Requests)
	errors, requests := canaryErrors+math.Round(stable.Errors), canaryRequests+math.Round(stable.Requests)
	if canaryErrors <= 0 || requests <= 0 {
		return 1
	}
	sum := 0.0
	for k := canaryErrors; k <= math.Min(errors, canaryRequests); k++ {
		term := math.Exp(choose(canaryRequests, k) + choose(requests-canaryRequests, errors-k) - choose(requests, errors))
		sum += term
		if term < sum*1e-15 {
			break
		}
	}
	return math.Min(sum, 1)
}

// choose is the logarithm of the binomial coefficient.
func choose(n, k float64) float64 {
	if k < 0 || k > n {
		return math.Inf(-1)
	}
	a, _ := math.Lgamma(n + 1)
	b, _ := math.Lgamma(k + 1)
	c, _ := math.Lgamma(n - k + 1)
	return a - b - c
}

// Wilson is the score interval of a share of successes out of n, at a confidence such as 0.95.
// https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval
func Wilson(successes, n, confidence float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	z := distuv.UnitNormal.Quantile(1 - (1-confidence)/2)
	p := successes / n
	centre := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, centre-half), min(1, centre+half)
}

// BinomialTail is how likely so many errors or more are, where each request fails with the chance rate.
func BinomialTail(sample Sample, rate float64) float64 {
	errors, requests := math.Round(sample.Errors), math.Round(sample.Requests)
	switch {
	case errors <= 0:
		return 1
	case errors > requests || rate <= 0:
		return 0
	}
	return mathext.RegIncBeta(errors, requests-errors+1, rate)
}

// Criteria are what a canary is judged by.
type Criteria struct {
	MaxErrorRate float64 `json:"maxErrorRate"` // 0 to 1
	MaxP95Ratio  float64 `json:"maxP95Ratio"`
	P95Floor     float64 `json:"p95Floor"`    // seconds that the canary must be slower by, for the ratio to count
	MinRequests  float64 `json:"minRequests"` // of the canary
	Looks        int     `json:"looks"`       // planned
}

// Judgement is what one look says.
type Judgement string

// A canary is healthy only when the last look says so with enough requests.
const (
	Healthy      Judgement = "healthy"
	Unhealthy    Judgement = "unhealthy"
	Inconclusive Judgement = "inconclusive"
)

// Judge compares the two versions over the same window. last is the final look:
// before it silence is no answer yet, at it silence is "inconclusive", never "healthy".
func Judge(canary, stable Sample, criteria Criteria, last bool) (Judgement, string, float64) {
	p, alpha := FisherGreater(canary, stable), lookAlpha(criteria.Looks)
	enough := canary.Requests >= criteria.MinRequests
	// Both tests are exact, so that few requests that all fail are enough to know.
	early := canary.Requests >= 20
	switch {
	case (enough || early) && p < alpha && canary.Rate() > stable.Rate():
		return Unhealthy, "it fails more often than stable", p
	case (enough || early) && BinomialTail(canary, criteria.MaxErrorRate) < alpha:
		return Unhealthy, "it fails more often than is allowed at all", p
	case last && enough && criteria.MaxP95Ratio > 0 && stable.P95 > 0 && canary.P95 > stable.P95*criteria.MaxP95Ratio &&
		canary.P95-stable.P95 > criteria.P95Floor:
		return Unhealthy, "it is slower than stable", p
	case !last:
		return Inconclusive, "the analysis goes on", p
	case !enough:
		return Inconclusive, "it got too few requests to tell", p
	}
	return Healthy, "it does not fail more often than stable", p
}
