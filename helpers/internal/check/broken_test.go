package check

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// broken is one thing that is broken on purpose, and what turns red for it.
type broken struct {
	id     string
	state  State
	breaks func(*testing.T, *Site)
	mend   func(*testing.T)
}

// eachAlone asks the checks before anything is broken, and then after each break: that one turns red, and no other does. A check
// that cannot be asked any more is skipped.
func eachAlone(t *testing.T, table []Check, site func() *Site, elsewhere []string, all []broken) {
	t.Helper()
	before := map[string]Result{}
	for _, result := range Run(t.Context(), site(), table, nil) {
		before[result.ID] = result
		assert.Contains(t, []State{OK, Skipped}, result.State, "before anything is broken: %s: %s", result.ID, result.Found)
	}
	found := map[string]bool{}
	for _, each := range all {
		t.Run(each.id, func(t *testing.T) {
			now := site()
			each.breaks(t, now)
			if each.mend != nil {
				defer each.mend(t)
			}
			for _, result := range Run(t.Context(), now, table, nil) {
				if result.ID == each.id {
					assert.Equal(t, each.state, result.State, "%s: %s", result.ID, result.Found)
					assert.NotEmpty(t, result.Fix, result.ID)
					assert.NotEmpty(t, result.Why, result.ID)
				} else if result.State != before[result.ID].State {
					assert.Equal(t, Skipped, result.State, "also: %s: %s", result.ID, result.Found)
				}
			}
		})
		found[each.id] = true
	}
	for _, check := range table {
		if !found[check.ID] {
			assert.Contains(t, elsewhere, check.ID, "nothing breaks it")
		}
	}
}
