package registry

import (
	"fmt"

	"sigs.k8s.io/json"
)

// readOnce reads one JSON document in which no key that is read stands twice, and none in another spelling: two
// programs would take different values of what one signature is about. The standard library takes the last one of any spelling.
func readOnce(body []byte, into any) error {
	twice, err := json.UnmarshalStrict(body, into, json.DisallowDuplicateFields)
	if err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	if len(twice) > 0 {
		return twice[0]
	}
	return nil
}
