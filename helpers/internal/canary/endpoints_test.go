package canary

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestCountTakesPodsThatGetTraffic(t *testing.T) {
	yes, no := true, false
	endpoint := func(pod string, ready, terminating *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{
			Addresses:  []string{pod},
			TargetRef:  &corev1.ObjectReference{Name: pod, UID: types.UID(pod)},
			Conditions: discoveryv1.EndpointConditions{Ready: ready, Terminating: terminating},
		}
	}
	slices := map[string]discoveryv1.EndpointSlice{
		"v4": {Endpoints: []discoveryv1.Endpoint{
			endpoint(
				"a",
				&yes,
				nil,
			), endpoint("b", &no, nil), endpoint("c", &yes, &yes), endpoint("d", nil, &no), endpoint("e", &yes, nil), endpoint("new", &yes, nil),
			{Addresses: []string{"192.0.2.1"}},
		}},
		"v6": {Endpoints: []discoveryv1.Endpoint{endpoint("a", &yes, nil)}}, // by its other address
	}
	known := owners{"a": ofStable, "b": ofStable, "c": ofStable, "d": ofCanary, "e": "", "192.0.2.1": ""}
	counts, unknown := count(readyPods(slices), known)
	assert.Equal(t, Counts{Stable: 1, Canary: 1, Other: 2}, counts)
	assert.Equal(t, 1, unknown)
	assert.InDelta(t, 25, counts.Share(), 1e-9)
}
