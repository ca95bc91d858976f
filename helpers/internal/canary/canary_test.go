package canary

import (
	"math"
	"math/rand"
	"sort"
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestSearch(t *testing.T) {
	for _, test := range []struct {
		name   string
		weight int
		limits Limits
		want   Split
	}{
		{"exact with one more", 10, Limits{Stable: 9, MinStable: 9, MaxExtra: 5}, Split{9, 1, 10}},
		{"three and no room", 10, Limits{Stable: 3, MinStable: 3, MaxExtra: 1}, Split{3, 1, 25}},
		{"three and room", 10, Limits{Stable: 3, MinStable: 3, MaxExtra: 7}, Split{9, 1, 10}},
		{"half", 50, Limits{Stable: 4, MinStable: 4, MaxExtra: 4}, Split{4, 4, 50}},
		{"half by fewer stable pods", 50, Limits{Stable: 4, MinStable: 2, MaxExtra: 0}, Split{2, 2, 50}},
		{"nothing", 0, Limits{Stable: 4, MinStable: 4, MaxExtra: 2}, Split{4, 0, 0}},
		{"an autoscaler owns stable", 10, Limits{Stable: 3, MinStable: 3, MaxExtra: 9, FixStable: true}, Split{3, 1, 25}},
		{"at least one pod", 1, Limits{Stable: 2, MinStable: 2, MaxExtra: 1}, Split{2, 1, 100. / 3}},
		{"no room for a pod", 1, Limits{Stable: 2, MinStable: 2, MaxExtra: 0}, Split{2, 0, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Search(test.weight, test.limits)
			assert.Equal(t, test.want.Stable, got.Stable)
			assert.Equal(t, test.want.Canary, got.Canary)
			assert.InDelta(t, test.want.Achieved, got.Achieved, 1e-9)
		})
	}
}

func TestSearchFindsNothingWorseThanTryingEverything(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for range 3000 {
		limits := Limits{Stable: 1 + random.Intn(12), MaxExtra: 1 + random.Intn(8)}
		limits.MinStable = random.Intn(limits.Stable + 1)
		weight := 1 + random.Intn(100)
		got := Search(weight, limits)
		best := math.Inf(1)
		for stable := limits.MinStable; stable < limits.Stable+limits.MaxExtra; stable++ {
			for canary := 1; stable+canary <= limits.Stable+limits.MaxExtra; canary++ {
				best = min(best, math.Abs(100*float64(canary)/float64(stable+canary)-float64(weight)))
			}
		}
		assert.InDelta(t, best, got.Error(weight), 1e-9)
		assert.GreaterOrEqual(t, got.Stable, limits.MinStable)
		assert.GreaterOrEqual(t, got.Canary, 1)
		assert.LessOrEqual(t, got.Stable+got.Canary, limits.Stable+limits.MaxExtra)
	}
}

func TestFisherIsTheTextbooks(t *testing.T) {
	// https://en.wikipedia.org/wiki/Fisher%27s_exact_test: a table of 1, 9, 11, 3 has p = 0.001346 for "1 or fewer".
	assert.InDelta(t, 0.001379728, FisherGreater(Sample{Errors: 11, Requests: 14}, Sample{Errors: 1, Requests: 10}), 1e-6)
	assert.Equal(t, 1.0, FisherGreater(Sample{Requests: 100}, Sample{Errors: 5, Requests: 100}))
	assert.Equal(t, 1.0, FisherGreater(Sample{}, Sample{}))
}

func TestWilson(t *testing.T) {
	low, high := Wilson(10, 100, 0.95)
	assert.InDelta(t, 0.0552, low, 1e-3)
	assert.InDelta(t, 0.1744, high, 1e-3)
	low, high = Wilson(0, 0, 0.95)
	assert.Equal(t, []float64{0, 1}, []float64{low, high})
}

var standard = Criteria{MaxErrorRate: 0.01, MaxP95Ratio: 1.2, P95Floor: 0.05, MinRequests: 500, Looks: 10}

func TestJudge(t *testing.T) {
	stable := Sample{Requests: 9000, Errors: 9, P95: 0.1}
	for name, test := range map[string]struct {
		canary Sample
		last   bool
		want   Judgement
	}{
		"like stable":                  {Sample{Requests: 1000, Errors: 1, P95: 0.1}, true, Healthy},
		"like stable, not the end":     {Sample{Requests: 1000, Errors: 1, P95: 0.1}, false, Inconclusive},
		"silence is not health":        {Sample{}, true, Inconclusive},
		"too few":                      {Sample{Requests: 499}, true, Inconclusive},
		"all fail, early":              {Sample{Requests: 25, Errors: 25}, false, Unhealthy},
		"one of three fails":           {Sample{Requests: 3, Errors: 1}, false, Inconclusive},
		"clearly more errors":          {Sample{Requests: 1000, Errors: 30}, false, Unhealthy},
		"slower":                       {Sample{Requests: 1000, P95: 0.2}, true, Unhealthy},
		"slower, but by nothing":       {Sample{Requests: 1000, P95: 0.13}, true, Healthy},
		"as bad as stable, not at all": {Sample{Requests: 1000, Errors: 60}, true, Unhealthy},
	} {
		got, why, _ := Judge(test.canary, stable, standard, test.last)
		assert.Equal(t, test.want, got, "%s: %s", name, why)
	}
	got, why, _ := Judge(Sample{Requests: 1000, Errors: 60}, Sample{Requests: 9000, Errors: 540}, standard, true)
	assert.Equal(t, Unhealthy, got, "the ceiling holds also where stable fails as often: %s", why)
}

// version draws requests: each fails with a chance, and lasts a time that is log-normal.
type version struct {
	Sample
	random *rand.Rand
}

func (v *version) serve(requests int, rate float64, durations *[]float64) {
	for range requests {
		v.Requests++
		if v.random.Float64() < rate {
			v.Errors++
		}
		if durations != nil {
			*durations = append(*durations, 0.1*math.Exp(0.8*v.random.NormFloat64()))
		}
	}
}

func p95(durations []float64) float64 {
	sort.Float64s(durations)
	return durations[len(durations)*95/100]
}

// simulate runs a whole analysis of the default length, with a look every 30 s
// for 5 minutes, and gives its end. The canary gets 10 % of the traffic; timed draws durations as well.
func simulate(random *rand.Rand, canaryRate, stableRate float64, requests int, timed bool) Judgement {
	canary, stable := version{random: random}, version{random: random}
	var durations, stableDurations *[]float64
	if timed {
		durations, stableDurations = &[]float64{}, &[]float64{}
	}
	for look := 1; look <= standard.Looks; look++ {
		canary.serve(requests/standard.Looks, canaryRate, durations)
		stable.serve(9*requests/standard.Looks, stableRate, stableDurations)
		last := look == standard.Looks
		if last && timed {
			canary.P95, stable.P95 = p95(*durations), p95(*stableDurations)
		}
		if got, _, _ := Judge(canary.Sample, stable.Sample, standard, last); got == Unhealthy || last {
			return got
		}
	}
	return Inconclusive
}

func TestFalseAlarmsAndPower(t *testing.T) {
	random := rand.New(rand.NewSource(2))
	unhealthy := func(runs int, canaryRate, stableRate float64) int {
		found := 0
		for range runs {
			if simulate(random, canaryRate, stableRate, 2000, canaryRate == 0.005) == Unhealthy {
				found++
			}
		}
		return found
	}
	for _, rate := range []float64{0, 0.001, 0.005, 0.01} {
		alarms := unhealthy(1000, rate, rate)
		t.Logf("both fail %.1f %%: %d false alarms in 1000", 100*rate, alarms)
		assert.LessOrEqual(t, alarms, 50)
	}
	for _, rate := range []float64{0.001, 0.005, 0.01} {
		caught := unhealthy(200, rate+0.02, rate)
		t.Logf("stable fails %.1f %%, the canary 2 points more: caught %d of 200", 100*rate, caught)
		assert.GreaterOrEqual(t, caught, 160)
	}
}

func TestUnaccepted(t *testing.T) {
	condition := func(kind, status string, generation int64) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionStatus(status), ObservedGeneration: generation}
	}
	route := func(conditions ...metav1.Condition) *gatewayv1.HTTPRoute {
		return &gatewayv1.HTTPRoute{
			Status: gatewayv1.HTTPRouteStatus{RouteStatus: gatewayv1.RouteStatus{Parents: []gatewayv1.RouteParentStatus{{Conditions: conditions}}}},
		}
	}
	assert.Empty(t, unaccepted(route(condition("Accepted", "True", 3), condition("ResolvedRefs", "True", 3)), 3))
	assert.NotEmpty(
		t,
		unaccepted(route(condition("Accepted", "True", 2), condition("ResolvedRefs", "True", 3)), 3),
		"an older generation says nothing",
	)
	assert.NotEmpty(t, unaccepted(route(condition("Accepted", "True", 3), condition("ResolvedRefs", "False", 3)), 3))
	assert.NotEmpty(t, unaccepted(&gatewayv1.HTTPRoute{}, 1))
}
